//! Splitting an inline command into words, with quotes and escapes as `redis-cli` and Redis read them.
//!
//! `"..."` knows `\n \r \t \b \a \xHH` and stands for any bytes, `'...'` knows only `\'`, and a closing quote must be
//! followed by a space or the end. Inline commands are typed by people: clarity comes before speed here.

/// The quotes of a line do not balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unbalanced;

/// The words of `line`, in order.
///
/// # Errors
/// [`Unbalanced`] where a quote is not closed, or something other than a space follows it.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = skip_spaces(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = skip_spaces(take_word(rest, &mut word)?);
        words.push(word);
    }
    Ok(words)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    &text[start..]
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0 || byte == 0x0b
}

/// Takes one word off the front of `text` and returns what follows it.
fn take_word<'t>(mut text: &'t [u8], word: &mut Vec<u8>) -> Result<&'t [u8], Unbalanced> {
    while let [first, rest @ ..] = text {
        text = match first {
            b'"' => return closed(take_double_quoted(rest, word)?),
            b'\'' => return closed(take_single_quoted(rest, word)?),
            space if is_space(*space) => return Ok(text),
            byte => {
                word.push(*byte);
                rest
            }
        };
    }
    Ok(text)
}

/// What follows a closing quote must be a space or the end.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    if rest.first().is_none_or(|&byte| is_space(byte)) { Ok(rest) } else { Err(Unbalanced) }
}

fn take_single_quoted<'t>(mut text: &'t [u8], word: &mut Vec<u8>) -> Result<&'t [u8], Unbalanced> {
    loop {
        text = match text {
            [] => return Err(Unbalanced),
            [b'\'', rest @ ..] => return Ok(rest),
            [b'\\', b'\'', rest @ ..] => {
                word.push(b'\'');
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        };
    }
}

fn take_double_quoted<'t>(mut text: &'t [u8], word: &mut Vec<u8>) -> Result<&'t [u8], Unbalanced> {
    loop {
        let (byte, rest) = match text {
            [] => return Err(Unbalanced),
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        word.push(byte);
        text = rest;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_uppercase().wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split(line.as_bytes()).unwrap()
    }

    #[test]
    fn words_stand_between_spaces() {
        assert_eq!(
            words("  set  a\tb "),
            [b"set", b"a\0\0", b"b\0\0"].map(|w| w.split(|&b| b == 0).next().unwrap())
        );
        assert!(words("   ").is_empty());
    }

    #[test]
    fn quotes_keep_spaces_and_escapes_make_bytes() {
        assert_eq!(words(r#"set "a b" '"\'' "\x00\n\"\q""#)[1..], [&b"a b"[..], b"\"'", b"\0\n\"q"]);
        assert_eq!(words(r#""""#), [b""]);
    }

    #[test]
    fn quotes_must_balance() {
        for line in [r#"set "a"#, "set 'a", r#"set "a"b"#, r#"set "a\"#] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line}");
        }
    }

    proptest::proptest! {
        /// Any bytes either split or do not balance; nothing panics, and no word is longer than its line.
        #[test]
        fn any_line_is_answered(line: Vec<u8>) {
            if let Ok(words) = split(&line) {
                proptest::prop_assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }
    }
}
