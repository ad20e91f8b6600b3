//! What was received and not yet run: the buffer, the parser over it, and when each command came in.

use bytes::{Buf, Bytes, BytesMut};

use crate::contexts::Offset;
use crate::frame::arguments::SLICE_BYTES_MIN;
use crate::frame::{Arguments, Limits, Parsed, Parser, ProtocolError};

/// The input side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// From the first byte of the command at hand on.
    pub(crate) buffer: BytesMut,
    parser: Parser,
    /// How far the replies had left when the first byte of the command at hand came in, and when the bytes behind that
    /// command did. They differ only while a command came in pieces: at most one is unfinished when more is read.
    received: (Offset, Offset),
    /// Parsing has come to the end of what was received.
    is_exhausted: bool,
    /// The largest capacity that the buffer has had since it was last empty.
    buffer_bytes: usize,
    /// The complete command at hand, taken off the buffer because its arguments are worth slicing.
    large: Option<Bytes>,
}

impl Intake {
    /// So many bytes were added to the buffer, when replies had left up to `sent`.
    pub(crate) fn received(&mut self, bytes: usize, sent: Offset) {
        debug_assert!(
            self.is_exhausted || self.buffer.len() == bytes,
            "all that was received before was looked at"
        );
        if self.buffer.len() == bytes {
            self.received.0 = sent;
        }
        self.received.1 = sent;
        self.is_exhausted = bytes == 0 && self.is_exhausted;
        self.buffer_bytes = self.buffer_bytes.max(self.buffer.capacity());
    }

    /// Looks for the next command.
    pub(crate) fn parse(&mut self, limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.is_exhausted() {
            return Ok(Parsed::Incomplete);
        }
        let parsed = self.parser.parse(&self.buffer, limits)?;
        self.is_exhausted = parsed == Parsed::Incomplete;
        Ok(parsed)
    }

    /// Whether parsing has come to the end of what was received.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted || (self.buffer.is_empty() && self.large.is_none())
    }

    /// How many more bytes the argument at hand claims to have.
    pub(crate) fn bytes_awaited(&self) -> usize {
        self.parser.bytes_awaited(self.buffer.len())
    }

    /// How far the replies had left when the command at hand came in.
    pub(crate) fn received_at(&self) -> Offset {
        self.received.0
    }

    /// Takes a complete command with large arguments off the buffer, so that they can be handed out as they are.
    pub(crate) fn prepare(&mut self, length: usize) {
        let is_large = length >= SLICE_BYTES_MIN && self.parser.words().is_none() && self.large.is_none();
        if is_large && Arguments::any_worth_slicing(self.parser.spans(), self.buffer_bytes) {
            self.large = Some(self.buffer.split_to(length).freeze());
        }
    }

    /// The arguments of the complete command, which is `length` bytes long.
    pub(crate) fn arguments(&self, length: usize) -> Arguments<'_> {
        let spans = self.parser.spans();
        match (self.parser.words(), &self.large) {
            (Some(words), _) => Arguments::new(words, spans),
            (None, Some(frame)) => Arguments::of_shared(frame, spans, self.buffer_bytes),
            (None, None) => Arguments::new(&self.buffer[..length], spans),
        }
    }

    /// Goes on behind what has been run or is nothing.
    pub(crate) fn finish(&mut self, length: usize) {
        self.parser.finish();
        if self.large.take().is_none() {
            self.buffer.advance(length);
        }
        self.received.0 = self.received.1;
        if self.buffer.is_empty() {
            self.buffer_bytes = 0;
        }
    }

    /// Forgets everything: the connection is at its end.
    pub(crate) fn clear(&mut self) {
        *self = Intake { received: self.received, is_exhausted: true, ..Intake::default() };
    }
}
