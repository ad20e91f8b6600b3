//! What the threads of one node's shards send each other.
//!
//! Things gather for a turn and leave together at its end, as messages to peers do: one wake-up of the other thread for all
//! of them. What must hold: a shard that falls behind is not buried. What a client asks is refused where the other shard has
//! too much to take in already, early and definitely; what answers something, and was therefore counted when it was asked,
//! always gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use types::{Instant, ShardId};
use wire::Hello;

use crate::core::Passed;

/// How many questions may wait for a shard's thread to take them in.
const WAITING_MAX: usize = 16 * 1024;

/// From one thread to another.
#[derive(Debug)]
pub(super) enum Mail {
    /// What one shard passed on in a turn, and when.
    Passed(ShardId, Instant, Vec<Passed>),
    /// A peer's connection, after its handshake.
    Taken(Box<Taken>),
}

/// A connection that a peer made, met by one shard and meant for another.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) stream: std::net::TcpStream,
    /// Who made it.
    pub(super) hello: Hello,
    /// What has come behind the handshake.
    pub(super) buffer: BytesMut,
}

/// The way to each shard of a node.
#[derive(Clone, Debug)]
pub(super) struct Mailboxes(Arc<[Mailbox]>);

#[derive(Debug)]
struct Mailbox {
    sender: UnboundedSender<Mail>,
    waiting: Arc<AtomicUsize>,
}

/// Where a shard takes its mail.
#[derive(Debug)]
pub(super) struct Incoming {
    receiver: UnboundedReceiver<Mail>,
    waiting: Arc<AtomicUsize>,
}

impl Mailboxes {
    /// For so many shards: the ways, and where each takes its mail.
    pub(super) fn new(shards: usize) -> (Mailboxes, Vec<Incoming>) {
        let pairs = (0..shards).map(|_| {
            let (sender, receiver) = unbounded_channel();
            let waiting = Arc::new(AtomicUsize::new(0));
            (Mailbox { sender, waiting: Arc::clone(&waiting) }, Incoming { receiver, waiting })
        });
        let (boxes, incoming): (Vec<_>, Vec<_>) = pairs.unzip();
        (Mailboxes(boxes.into()), incoming)
    }

    /// Whether a shard takes more questions.
    pub(super) fn has_room(&self, to: ShardId) -> bool {
        self.0[usize::from(to.0)].waiting.load(Ordering::Relaxed) < WAITING_MAX
    }

    /// Sends what has gathered for a shard. Lost where its thread is gone: then the node is about to stop.
    pub(super) fn pass(&self, now: Instant, from: ShardId, to: ShardId, passed: Vec<Passed>) {
        let one = &self.0[usize::from(to.0)];
        one.waiting.fetch_add(passed.len(), Ordering::Relaxed);
        let _ = one.sender.send(Mail::Passed(from, now, passed));
    }

    /// Hands a connection to a shard.
    pub(super) fn hand_over(&self, to: ShardId, taken: Taken) {
        let _ = self.0[usize::from(to.0)].sender.send(Mail::Taken(Box::new(taken)));
    }
}

impl Incoming {
    /// The next mail; nothing when the node is gone.
    pub(super) async fn next(&mut self) -> Option<Mail> {
        let mail = self.receiver.recv().await?;
        if let Mail::Passed(_, _, passed) = &mail {
            self.waiting.fetch_sub(passed.len(), Ordering::Relaxed);
        }
        Some(mail)
    }
}
