//! Reading numbers and byte strings from bytes that may be anything. Every step either yields a value that lies within
//! the input or `None`; nothing here allocates by a length that the input claims, and nothing panics.

/// A position in a slice. All numbers are little-endian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A 32-bit number used as a length or a count.
    pub(crate) fn len32(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}

/// The other direction, for the few places that need it: a length that a limit keeps below 2^32.
pub(crate) fn length32(len: usize) -> u32 {
    u32::try_from(len).expect("lengths are checked against limits far below 2^32 before they are encoded")
}
