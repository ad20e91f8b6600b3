//! Memory lent to connections while they have something in it.
//!
//! Ten thousand idle connections with a read and a write buffer each would take over a gigabyte; the handful that are
//! at work at one moment take a few megabytes. On one thread only one connection is at work at a time, so most of the
//! time the same two buffers go round, warm in the cache.

use std::cell::RefCell;

use bytes::BytesMut;

/// What a buffer holds. A read of this size carries dozens of commands of a kilobyte.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// How many buffers wait to be lent.
const KEPT_MAX: usize = 64;

/// The buffers that are not lent.
#[derive(Default)]
pub(super) struct Buffers {
    kept: RefCell<Vec<BytesMut>>,
}

impl Buffers {
    /// An empty buffer with room.
    pub(super) fn lend(&self) -> BytesMut {
        let mut buffer = self.kept.borrow_mut().pop().unwrap_or_default();
        // Finds the room that was used up in front, or makes new room if someone keeps a slice of it.
        buffer.reserve(BUFFER_BYTES);
        buffer
    }

    /// Takes back an empty buffer. One that has grown is let go.
    pub(super) fn take_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut kept = self.kept.borrow_mut();
        let is_usual = buffer.try_reclaim(BUFFER_BYTES) && buffer.capacity() <= 2 * BUFFER_BYTES;
        if is_usual && kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, BufMut};

    use super::*;

    #[test]
    fn a_buffer_goes_round() {
        let buffers = Buffers::default();
        let mut buffer = buffers.lend();
        let place = buffer.as_ptr();
        buffer.put_slice(&[1; 1000]);
        buffer.advance(1000);
        buffers.take_back(buffer);
        let again = buffers.lend();
        assert_eq!(again.as_ptr(), place);
        assert!(again.capacity() >= BUFFER_BYTES && again.is_empty());
    }

    /// What has grown, or what someone keeps a slice of, is not kept.
    #[test]
    fn only_usual_buffers_are_kept() {
        let buffers = Buffers::default();
        buffers.take_back(BytesMut::with_capacity(4 * BUFFER_BYTES));
        assert!(buffers.kept.borrow().is_empty());
        let mut buffer = buffers.lend();
        buffer.put_slice(&[1; BUFFER_BYTES]);
        let slice = buffer.split().freeze();
        buffers.take_back(buffer);
        assert!(buffers.kept.borrow().is_empty());
        drop(slice);
    }
}
