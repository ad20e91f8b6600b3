//! A cursor over bytes that nobody has vouched for.

use bytes::Bytes;

use super::DecodeError;

/// Reads forward; every read is checked against the end.
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// Begins at offset `at` of `bytes`.
    pub(crate) fn new(bytes: Bytes, at: usize) -> Reader {
        Reader { bytes, at }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// A complaint about what was read last.
    pub(crate) fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { at: self.at, what }
    }

    /// The next `length` bytes, not copied.
    pub(crate) fn slice(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.left() {
            return Err(DecodeError::Truncated { at: self.at, wanted: length });
        }
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(slice)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A LEB128 number, in as few bytes as will do.
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(self.malformed("a number above 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(self.malformed("a number with padding")) } else { Ok(value) };
            }
        }
        Err(self.malformed("a number above 64 bits"))
    }

    /// A count of things of which each takes at least `bytes_each`: one that cannot be true is refused, so that
    /// memory may be reserved for it.
    pub(crate) fn count(&mut self, bytes_each: usize) -> Result<usize, DecodeError> {
        let claimed = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let wanted = claimed.saturating_mul(bytes_each);
        if wanted > self.left() {
            return Err(DecodeError::Truncated { at: self.at, wanted });
        }
        Ok(claimed)
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.left() > 0 {
            return Err(self.malformed("bytes after the end"));
        }
        Ok(())
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(array) = rest.first_chunk::<LENGTH>() else {
            return Err(DecodeError::Truncated { at: self.at, wanted: LENGTH });
        };
        self.at += LENGTH;
        Ok(*array)
    }
}

/// The bytes that [`put_varint`] writes.
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).max(1) as usize;
    bits.div_ceil(7)
}

/// Appends `value` as LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
