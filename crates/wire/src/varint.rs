//! Numbers that are mostly small, as LEB128: seven bits a byte, the lowest first.
//!
//! Always true: a number has one form, that of the fewest bytes; another, one that its field does not hold, and one that goes on
//! beyond the message are refused.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why a number cannot be read.
pub(crate) type Why = &'static str;

const TOO_LARGE: Why = "a number in it is too large";

/// Appends a number.
pub(crate) fn put(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_le_bytes()[0]);
}

/// Takes a number off the front.
pub(crate) fn get<T: TryFrom<u64>>(bytes: &mut Bytes) -> Result<T, Why> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = bytes.try_get_u8().map_err(|_| "it is too short")?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        value |= bits << shift;
        match byte {
            0 if shift > 0 => return Err("a number in it is padded"),
            0..0x80 => return T::try_from(value).map_err(|_| TOO_LARGE),
            0x80.. => {}
        }
    }
    Err(TOO_LARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got<T: TryFrom<u64>>(bytes: &[u8]) -> Result<T, Why> {
        get(&mut Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn every_width_survives_and_takes_as_few_bytes_as_will_do() {
        for bits in 0..64 {
            for value in [1 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = BytesMut::new();
                put(&mut out, value);
                assert_eq!(got(&out), Ok(value));
                let needed = (u64::BITS - value.leading_zeros()).max(1).div_ceil(7);
                assert_eq!(out.len(), needed as usize, "{value}");
            }
        }
    }

    /// K3: what a peer could have written in two ways, or has no room here, is refused.
    #[test]
    fn a_number_has_one_form() {
        assert_eq!(got::<u64>(&[0x80, 0]), Err("a number in it is padded"));
        assert_eq!(got::<u64>(&[0xff; 11]), Err(TOO_LARGE));
        assert_eq!(got::<u64>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(TOO_LARGE));
        assert_eq!(got::<u16>(&[0xff, 0xff, 4]), Err(TOO_LARGE));
        assert_eq!(got::<u16>(&[0xff, 0xff, 3]), Ok(u16::MAX));
        assert_eq!(got::<u64>(&[0x80]), Err("it is too short"));
        assert_eq!(got::<u64>(&[]), Err("it is too short"));
    }
}
