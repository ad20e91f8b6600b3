//! The connections to peers, as the driver sees them: put a message in, and at the end of a turn it is on its way.
//!
//! Requests to a peer go over the connection that this shard made, and their replies come back on it; the peer's requests,
//! and our replies, have the connections that the peer made: one for each of its shards, and a reply goes back by the one that
//! its question came by. Messages gather in a connection's buffer and leave in one write
//! at the end of a turn: batching without delay. The buffer is bounded: a peer that does not take what it is sent is not
//! sent more. What may not leave yet because the way is cut or slow waits in it too.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use types::NodeId;
use wire::{Envelope, encode_frame};

use super::delayed::Delayed;
use super::network::Way;
use crate::core::Sender;

/// How much may wait for a peer that takes its time.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A buffer that has grown beyond this is given back once it is empty.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Connections that this shard made.
    made: RefCell<BTreeMap<NodeId, Rc<Link>>>,
    /// Connections that shards of peers made.
    taken: RefCell<BTreeMap<Sender, Rc<Link>>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) way: Way,
    unsent: RefCell<BytesMut>,
    delayed: RefCell<Delayed>,
    broken: Cell<bool>,
    /// Wakes the task that writes when the socket would not take all at once, or that the link is broken.
    pub(super) wake: Notify,
}

impl Links {
    /// Puts a question into the buffer of the connection with a peer; false where there is none or it is full.
    pub(super) fn ask(&self, peer: NodeId, envelope: &Envelope) -> bool {
        self.made.borrow().get(&peer).is_some_and(|link| link.put(envelope))
    }

    /// Puts a reply into the buffer of the connection that its question came by. Where that is gone, whoever asked knows.
    pub(super) fn reply(&self, to: Sender, envelope: &Envelope) {
        if let Some(link) = self.taken.borrow().get(&to) {
            link.put(envelope);
        }
    }

    /// Writes what has gathered.
    pub(super) fn flush(&self) {
        self.made.borrow().values().for_each(|link| link.flush());
        self.taken.borrow().values().for_each(|link| link.flush());
    }

    /// A connection that this shard made is ready for use; one that there was before is broken off.
    pub(super) fn made(&self, peer: NodeId, stream: TcpStream, way: Way) -> Rc<Link> {
        open(&self.made, peer, stream, way)
    }

    /// A connection that a shard of a peer made is ready for use; one that there was before is broken off.
    pub(super) fn taken(&self, peer: Sender, stream: TcpStream, way: Way) -> Rc<Link> {
        open(&self.taken, peer, stream, way)
    }

    /// A connection that this shard made is over. False where another has taken its place already.
    pub(super) fn made_is_over(&self, peer: NodeId, link: &Rc<Link>) -> bool {
        close(&self.made, &peer, link)
    }

    /// Breaks off the connection that this shard made with a peer, and those that the peer made; whether there was the first.
    pub(super) fn break_off(&self, peer: NodeId) -> bool {
        for (_, link) in self.taken.borrow().iter().filter(|(sender, _)| sender.node == peer) {
            link.break_off();
        }
        let link = self.made.borrow_mut().remove(&peer);
        link.iter().for_each(|link| link.break_off());
        link.is_some()
    }

    /// A connection that a shard of a peer made is over.
    pub(super) fn taken_is_over(&self, peer: Sender, link: &Rc<Link>) {
        close(&self.taken, &peer, link);
    }
}

fn open<K: Ord>(links: &RefCell<BTreeMap<K, Rc<Link>>>, with: K, stream: TcpStream, way: Way) -> Rc<Link> {
    let link = Rc::new(Link {
        stream,
        way,
        unsent: RefCell::new(BytesMut::new()),
        delayed: RefCell::default(),
        broken: Cell::new(false),
        wake: Notify::new(),
    });
    if let Some(before) = links.borrow_mut().insert(with, Rc::clone(&link)) {
        before.break_off();
    }
    link
}

fn close<K: Ord>(links: &RefCell<BTreeMap<K, Rc<Link>>>, with: &K, link: &Rc<Link>) -> bool {
    link.break_off();
    let mut links = links.borrow_mut();
    let is_current = links.get(with).is_some_and(|current| Rc::ptr_eq(current, link));
    if is_current {
        links.remove(with);
    }
    is_current
}

impl Link {
    /// Puts a message into the buffer.
    pub(super) fn put(&self, envelope: &Envelope) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        if self.broken.get() || unsent.len() > UNSENT_BYTES_MAX {
            return false;
        }
        let before = unsent.len();
        encode_frame(envelope, &mut unsent);
        let delay = self.way.delay();
        let mut delayed = self.delayed.borrow_mut();
        delayed.put(unsent.len() - before, delay);
        if delayed.due().is_some() {
            // Whoever writes the rest is to look when it is due.
            self.wake.notify_one();
        }
        true
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    pub(super) fn break_off(&self) {
        self.broken.set(true);
        self.wake.notify_one();
    }

    /// Writes as much as the socket takes; the rest is left to the task that writes.
    pub(super) fn flush(&self) {
        if self.unsent.borrow().is_empty() {
            return;
        }
        if !self.write_some() {
            self.wake.notify_one();
        }
    }

    /// True when nothing is left that may leave now.
    fn write_some(&self) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        let not_due = self.delayed.borrow_mut().not_due();
        while unsent.len() > not_due {
            if self.way.is_cut() {
                return true;
            }
            match self.stream.try_write(&unsent[..unsent.len() - not_due]) {
                Ok(0) => {
                    self.broken.set(true);
                    return false;
                }
                Ok(written) => unsent.advance(written),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.broken.set(true);
                    return false;
                }
            }
        }
        if unsent.is_empty() && unsent.capacity() > KEPT_BYTES_MAX {
            *unsent = BytesMut::new();
        }
        true
    }

    /// Writes what could not leave at once, whenever there is such a rest; ends when the link is broken.
    pub(super) async fn write_rest(&self) {
        let mut changes = self.way.changes();
        loop {
            let due = self.delayed.borrow().due();
            tokio::select! {
                () = self.wake.notified() => {}
                () = Delayed::next_due(due) => {}
                () = changes.next() => {}
            }
            loop {
                if self.broken.get() {
                    return;
                }
                if self.write_some() {
                    break;
                }
                if self.broken.get() || self.stream.writable().await.is_err() {
                    return;
                }
            }
        }
    }
}
