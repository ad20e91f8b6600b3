//! Decimal integers as Redis reads them: an optional minus, no plus, no leading zeros, no spaces, 64 bits.
//!
//! Stricter than the standard library's `parse`, so that one number has one spelling, as clients of Redis expect.

/// The number that `text` spells, if it spells one.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = parse_digits(digits)?;
    if negative {
        (magnitude > 0).then(|| 0_i64.checked_sub_unsigned(magnitude)).flatten()
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The number that `text` spells, if it spells one that is not negative.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    parse_digits(text)
}

fn parse_digits(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0'] => Some(0),
        [] | [b'0', ..] => None,
        _ => digits.iter().try_fold(0_u64, |number, &byte| {
            let digit = byte.is_ascii_digit().then_some(u64::from(byte.wrapping_sub(b'0')))?;
            number.checked_mul(10)?.checked_add(digit)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_spelling() {
        for (text, number) in [("0", 0), ("7", 7), ("-1", -1), ("9223372036854775807", i64::MAX)] {
            assert_eq!(parse_i64(text.as_bytes()), Some(number));
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        for text in
            ["", "-", "+1", "01", "-0", " 1", "1 ", "1x", "9223372036854775808", "18446744073709551616"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_back(number: i64) {
            proptest::prop_assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        }
    }
}
