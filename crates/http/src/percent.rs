//! Percent-encoding (RFC 3986, section 2.1), strictly: a `%` without two hexadecimal digits is an error, because two
//! spellings that some program on the way takes for the same must never name two keys.

use std::borrow::Cow;

/// The bytes that `text` stands for; nothing if a `%` is not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let text = text.as_bytes();
    if !text.contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let high = digit(*rest.next()?)?;
            let low = digit(*rest.next()?)?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    Some(Cow::Owned(decoded))
}

/// `bytes` as one segment of a path: all but RFC 3986's unreserved characters encoded.
pub(crate) fn encode_segment(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(hexadecimal(byte >> 4));
            text.push(hexadecimal(byte & 0xf));
        }
    }
    text
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

fn hexadecimal(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble & 0xf)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_percent_sign_without_two_digits_is_an_error() {
        for text in ["%", "%4", "a%zz", "%4g", "%%41", "%+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_plus_sign_is_a_plus_sign() {
        assert_eq!(decode("a+b%2Bc").unwrap().as_ref(), b"a+b+c");
    }

    proptest! {
        /// Any bytes survive being a segment of a path.
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>) {
            let text = encode_segment(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
            let decoded = decode(&text).unwrap();
            prop_assert_eq!(decoded.as_ref(), &bytes[..]);
        }

        /// No text makes the decoder panic.
        #[test]
        fn decoding_is_total(text: String) {
            let _ = decode(&text);
        }
    }
}
