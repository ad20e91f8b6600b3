//! The connections to peers, as the driver sees them: put a message in, and at the end of a turn it is on its way.
//!
//! Requests to a peer go over the connection that this shard made, and their replies come back on it; the peer's requests,
//! and our replies, have a connection that the peer made. A peer with several shards makes several: any of them will do for
//! a reply, for the peer knows by the operation which of its shards it is for. Messages gather in a connection's buffer and leave in one write
//! at the end of a turn: batching without delay. The buffer is bounded: a peer that does not take what it is sent is not
//! sent more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use types::{NodeId, ShardId};
use wire::{Body, Envelope, encode_frame};

/// How much may wait for a peer that takes its time.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A buffer that has grown beyond this is given back once it is empty.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Connections that this shard made, as (peer, shard 0).
    made: RefCell<BTreeMap<End, Rc<Link>>>,
    /// Connections that peers' shards made.
    taken: RefCell<BTreeMap<End, Rc<Link>>>,
}

/// Who is at the other end.
pub(super) type End = (NodeId, ShardId);

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    unsent: RefCell<BytesMut>,
    broken: Cell<bool>,
    /// Wakes the task that writes when the socket would not take all at once, or that the link is broken.
    pub(super) wake: Notify,
}

/// Which of the two connections with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Made,
    Taken,
}

impl Links {
    /// Puts a message into the buffer of the connection that it belongs on; false where there is none or it is full.
    pub(super) fn send(&self, to: NodeId, envelope: &Envelope) -> bool {
        let side = match envelope.body {
            Body::Request(_) | Body::Ping => &self.made,
            Body::Reply(_) | Body::Pong => &self.taken,
        };
        side.borrow().range((to, ShardId(0))..=(to, ShardId(u8::MAX))).any(|(_, link)| link.put(envelope))
    }

    /// Writes what has gathered.
    pub(super) fn flush(&self) {
        for side in [&self.made, &self.taken] {
            for link in side.borrow().values() {
                link.flush();
            }
        }
    }

    /// A connection is ready for use; one that there was before is broken off.
    pub(super) fn open(&self, peer: End, side: Side, stream: TcpStream) -> Rc<Link> {
        let link = Rc::new(Link {
            stream,
            unsent: RefCell::new(BytesMut::new()),
            broken: Cell::new(false),
            wake: Notify::new(),
        });
        if let Some(before) = self.side(side).borrow_mut().insert(peer, Rc::clone(&link)) {
            before.break_off();
        }
        link
    }

    /// A connection is over. False where another has taken its place already.
    pub(super) fn close(&self, peer: End, side: Side, link: &Rc<Link>) -> bool {
        link.break_off();
        let mut links = self.side(side).borrow_mut();
        let is_current = links.get(&peer).is_some_and(|current| Rc::ptr_eq(current, link));
        if is_current {
            links.remove(&peer);
        }
        is_current
    }

    fn side(&self, side: Side) -> &RefCell<BTreeMap<End, Rc<Link>>> {
        match side {
            Side::Made => &self.made,
            Side::Taken => &self.taken,
        }
    }
}

impl Link {
    /// Puts a message into the buffer.
    pub(super) fn put(&self, envelope: &Envelope) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        if self.broken.get() || unsent.len() > UNSENT_BYTES_MAX {
            return false;
        }
        encode_frame(envelope, &mut unsent);
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
    fn flush(&self) {
        if self.unsent.borrow().is_empty() {
            return;
        }
        if !self.write_some() {
            self.wake.notify_one();
        }
    }

    /// True when nothing is left.
    fn write_some(&self) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            match self.stream.try_write(&unsent) {
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
        if unsent.capacity() > KEPT_BYTES_MAX {
            *unsent = BytesMut::new();
        }
        true
    }

    /// Writes what the socket would not take at once, whenever there is such a rest; ends when the link is broken.
    pub(super) async fn write_rest(&self) {
        loop {
            self.wake.notified().await;
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
