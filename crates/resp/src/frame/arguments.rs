//! The arguments of one complete command, to look at and to take.
//!
//! Looking costs nothing. Taking gives a [`Bytes`] that outlives the buffer: a small argument is copied, a large one
//! is a slice of what was received. The slice keeps its whole buffer alive for as long as it lives, so only one that
//! makes up a good part of its buffer is handed out that way; anyone who stores values then holds at most
//! [`BUFFER_SHARE`] times their bytes, and ten thousand stored keys of ten bytes do not pin ten thousand read buffers.

use std::ops::Index;

use bytes::Bytes;

use crate::frame::Span;

/// From how many bytes on an argument may be a slice of the buffer it came in. A copy of less costs a few microseconds at
/// most, little beside what else happens to a value of that size.
pub const SLICE_BYTES_MIN: usize = 64 << 10;

/// A slice is at least this fraction (one in so many) of its buffer.
pub const BUFFER_SHARE: usize = 2;

/// The arguments of a command; the first is its name.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'f> {
    bytes: &'f [u8],
    spans: &'f [Span],
    /// The frame as shared bytes, and how large the buffer behind it is, where it holds arguments worth slicing.
    shared: Option<(&'f Bytes, usize)>,
}

impl<'f> Arguments<'f> {
    /// The arguments at `spans` of `bytes`.
    pub fn new(bytes: &'f [u8], spans: &'f [Span]) -> Arguments<'f> {
        Arguments { bytes, spans, shared: None }
    }

    /// The arguments at `spans` of `frame`, which is part of a buffer of `buffer_bytes`.
    pub fn of_shared(frame: &'f Bytes, spans: &'f [Span], buffer_bytes: usize) -> Arguments<'f> {
        Arguments { bytes: frame, spans, shared: Some((frame, buffer_bytes)) }
    }

    /// How many there are, the name included.
    #[allow(clippy::len_without_is_empty)] // A command has a name: there is always one.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The argument at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Option<&'f [u8]> {
        let span = self.spans.get(index)?;
        self.bytes.get(span.start as usize..span.end as usize)
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> Arguments<'f> {
        Arguments { spans: self.spans.get(index..).unwrap_or_default(), ..*self }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'f [u8]> + 'f {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| &bytes[span.start as usize..span.end as usize])
    }

    /// The argument at `index` as bytes of its own.
    ///
    /// # Panics
    /// If there are not so many arguments, as indexing does.
    pub fn take(&self, index: usize) -> Bytes {
        let span = self.spans[index];
        let (start, end) = (span.start as usize, span.end as usize);
        match self.shared {
            Some((frame, buffer_bytes)) if is_worth_slicing(end - start, buffer_bytes) => {
                frame.slice(start..end)
            }
            _ => Bytes::copy_from_slice(&self.bytes[start..end]),
        }
    }

    /// Whether one of `spans` would be handed out as a slice of a buffer of `buffer_bytes`.
    pub fn any_worth_slicing(spans: &[Span], buffer_bytes: usize) -> bool {
        spans.iter().any(|span| is_worth_slicing((span.end - span.start) as usize, buffer_bytes))
    }
}

impl Index<usize> for Arguments<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        let span = self.spans[index];
        &self.bytes[span.start as usize..span.end as usize]
    }
}

fn is_worth_slicing(length: usize, buffer_bytes: usize) -> bool {
    length >= SLICE_BYTES_MIN && length.saturating_mul(BUFFER_SHARE) >= buffer_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(length: usize, buffer_bytes: usize) -> (Bytes, Bytes) {
        let frame = Bytes::from(vec![7; length]);
        let spans = [Span { start: 0, end: u32::try_from(length).unwrap() }];
        let argument = Arguments::of_shared(&frame, &spans, buffer_bytes).take(0);
        (frame, argument)
    }

    /// A small argument never keeps a read buffer alive.
    #[test]
    fn small_arguments_are_copied() {
        let (frame, argument) = taken(100, 100);
        assert_ne!(frame.as_ptr(), argument.as_ptr());
        let (frame, argument) = taken(SLICE_BYTES_MIN, SLICE_BYTES_MIN * BUFFER_SHARE + 1);
        assert_ne!(frame.as_ptr(), argument.as_ptr());
    }

    #[test]
    fn large_arguments_are_slices_of_what_was_received() {
        let (frame, argument) = taken(SLICE_BYTES_MIN, SLICE_BYTES_MIN * BUFFER_SHARE);
        assert_eq!(frame.as_ptr(), argument.as_ptr());
    }
}
