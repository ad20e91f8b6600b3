//! How a key's number is written: `key:` and the number in decimal, filled with zeros to the chosen size.
//!
//! Fixed size, so that requests can be prepared once and only the digits change. Nothing in it is a hash tag: no
//! braces, hence keys spread over all slots.

use crate::Error;

const PREFIX: &[u8] = b"key:";

/// The form of all keys of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyForm {
    size: usize,
}

impl KeyForm {
    /// Keys of `size` bytes, which must be enough to tell `keys` of them apart.
    pub(crate) fn new(size: usize, keys: u64) -> Result<KeyForm, Error> {
        let needed = PREFIX.len() + decimal_digits(keys.saturating_sub(1));
        if size < needed {
            return Err(Error::invalid(
                "--key-size",
                &size,
                format!("{keys} keys cannot be told apart in so few bytes; at least {needed}"),
            ));
        }
        Ok(KeyForm { size })
    }

    /// Bytes of every key.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Appends the key of this number. A number too large for the digits loses its highest ones; the plan leaves
    /// room for all the numbers of a run.
    pub(crate) fn write(self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        let start = out.len();
        out.resize(start + self.size - PREFIX.len(), b'0');
        let mut rest = number;
        for digit in out[start..].iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *digit = b'0' + u8::try_from(rest % 10).expect("a decimal digit is below 10");
            rest /= 10;
        }
    }
}

fn decimal_digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(size: usize, number: u64) -> String {
        let mut out = Vec::new();
        KeyForm::new(size, number + 1).unwrap().write(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_have_exactly_the_size_that_was_asked_for() {
        assert_eq!(key(16, 0), "key:000000000000");
        assert_eq!(key(16, 99_999), "key:000000099999");
        assert_eq!(key(5, 9), "key:9");
        assert_eq!(key(40, 7).len(), 40);
        assert_eq!(key(24, u64::MAX - 1), "key:18446744073709551614");
    }

    /// Two numbers never share a key, because a form that could not keep them apart is refused.
    #[test]
    fn a_size_too_small_for_the_number_of_keys_is_refused() {
        assert!(KeyForm::new(5, 10).is_ok());
        let message = KeyForm::new(5, 11).unwrap_err().to_string();
        assert!(message.contains("--key-size") && message.contains("at least 6"), "{message}");
    }
}
