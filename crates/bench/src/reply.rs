//! The replies of a RESP server, read as little as a load generator needs.
//!
//! What is found is borrowed from the input; nothing is copied. The parser keeps no state: it is handed all that has
//! arrived, and says how many bytes the first whole reply takes, or that it is not whole yet. A reply cut in two is
//! looked at twice, which costs only its header again, since a bulk string's length is known from there.
//!
//! RESP2, and the RESP3 types that a server may answer with (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//! Aggregates are skipped with a counter, not by recursion: depth costs no stack. Bytes from the network never panic.

use thiserror::Error;

/// The longest line (an error, a status) and the most items of an aggregate; beyond, the peer does not speak RESP.
const LINE_BYTES_MAX: usize = 1 << 16;
const ITEMS_MAX: u64 = 1 << 20;
/// Redis's own limit for a bulk string.
const BULK_BYTES_MAX: u64 = 512 << 20;

/// One reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply<'a> {
    /// `+OK` and its like.
    Status(&'a [u8]),
    /// `-ERR ...`, without the dash.
    Error(&'a [u8]),
    /// `:42`.
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(&'a [u8]),
    /// No value.
    Null,
    /// A double, boolean, big number, array, map or set: whole, but not looked into.
    Other,
    /// An out-of-band message, which answers no request.
    Push,
}

/// What arrived is not RESP.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("not a RESP reply: {0}")]
pub(crate) struct Malformed(String);

/// One element of the protocol: a whole reply, or the head of an aggregate of this many items.
pub(crate) enum Item<'a> {
    Whole(Reply<'a>),
    Aggregate { marker: u8, items: u64 },
}

/// The first reply in `input` and the bytes that it takes, or nothing where more must arrive.
pub(crate) fn parse(input: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Malformed> {
    let mut at = 0;
    loop {
        let Some((item, used)) = parse_item(&input[at..])? else {
            return Ok(None);
        };
        at += used;
        let (marker, items) = match item {
            Item::Whole(reply) => return Ok(Some((reply, at))),
            Item::Aggregate { marker, items } => (marker, items),
        };
        let Some(skipped) = skip(&input[at..], items)? else {
            return Ok(None);
        };
        at += skipped;
        match marker {
            // An attribute describes the reply that follows it.
            b'|' => {}
            b'>' => return Ok(Some((Reply::Push, at))),
            _ => return Ok(Some((Reply::Other, at))),
        }
    }
}

/// The bytes that this many items take, with all that is inside them.
fn skip(input: &[u8], items: u64) -> Result<Option<usize>, Malformed> {
    let (mut at, mut remaining) = (0, items);
    while remaining > 0 {
        let Some((item, used)) = parse_item(&input[at..])? else {
            return Ok(None);
        };
        at += used;
        remaining -= 1;
        if let Item::Aggregate { marker, items } = item {
            // What an attribute describes is one more item, which takes the attribute's place.
            remaining += items + u64::from(marker == b'|');
        }
        if remaining > ITEMS_MAX {
            return Err(Malformed(format!("an aggregate of more than {ITEMS_MAX} items")));
        }
    }
    Ok(Some(at))
}

/// The first element in `input` and the bytes that it takes.
pub(crate) fn parse_item(input: &[u8]) -> Result<Option<(Item<'_>, usize)>, Malformed> {
    let Some(line) = first_line(input)? else {
        return Ok(None);
    };
    let (Some((&marker, rest)), used) = (line.split_first(), line.len() + 2) else {
        return Err(Malformed("an empty line".to_owned()));
    };
    let whole = |reply| Ok(Some((Item::Whole(reply), used)));
    match marker {
        b'+' => whole(Reply::Status(rest)),
        b'-' => whole(Reply::Error(rest)),
        b':' => whole(Reply::Integer(integer(rest)?)),
        b'_' => whole(Reply::Null),
        b',' | b'#' | b'(' => whole(Reply::Other),
        b'$' | b'=' | b'!' => bulk(marker, rest, input, used),
        b'*' | b'~' | b'>' | b'%' | b'|' => match length(rest, ITEMS_MAX)? {
            None => whole(Reply::Null),
            Some(items) => {
                let pairs = matches!(marker, b'%' | b'|');
                Ok(Some((Item::Aggregate { marker, items: items * (1 + u64::from(pairs)) }, used)))
            }
        },
        _ => Err(Malformed(format!(
            "a line that begins with {:?}",
            String::from_utf8_lossy(&line[..line.len().min(20)])
        ))),
    }
}

fn bulk<'a>(
    marker: u8,
    digits: &[u8],
    input: &'a [u8],
    start: usize,
) -> Result<Option<(Item<'a>, usize)>, Malformed> {
    let Some(size) = length(digits, BULK_BYTES_MAX)? else {
        return Ok(Some((Item::Whole(Reply::Null), start)));
    };
    let size =
        usize::try_from(size).map_err(|_| Malformed("a string too long for this machine".to_owned()))?;
    let Some(body) = input.get(start..start + size + 2) else {
        return Ok(None);
    };
    let (body, end) = body.split_at(size);
    if end != b"\r\n" {
        return Err(Malformed(format!("a string of {size} bytes that does not end where it says")));
    }
    let reply = if marker == b'!' { Reply::Error(body) } else { Reply::Bulk(body) };
    Ok(Some((Item::Whole(reply), start + size + 2)))
}

/// The first line without its end, or nothing where its end has not arrived.
fn first_line(input: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let window = &input[..input.len().min(LINE_BYTES_MAX)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some(&input[..end])),
        None if input.len() >= LINE_BYTES_MAX => {
            Err(Malformed(format!("a line above {LINE_BYTES_MAX} bytes")))
        }
        None => Ok(None),
    }
}

fn integer(digits: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Malformed(format!("{:?} where a number was due", String::from_utf8_lossy(digits))))
}

/// A length; nothing where it is -1, which is RESP2's null.
fn length(digits: &[u8], max: u64) -> Result<Option<u64>, Malformed> {
    match integer(digits)? {
        -1 => Ok(None),
        number => u64::try_from(number)
            .ok()
            .filter(|length| *length <= max)
            .map(Some)
            .ok_or_else(|| Malformed(format!("a length of {number}, where 0 to {max} are possible"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(input: &[u8]) -> Reply<'_> {
        let (reply, used) = parse(input).unwrap().expect("a whole reply");
        assert_eq!(used, input.len());
        reply
    }

    #[test]
    fn every_type_of_resp_2_and_3_is_read_to_its_end() {
        assert_eq!(whole(b"+OK\r\n"), Reply::Status(b"OK"));
        assert_eq!(whole(b"-ERR no such thing\r\n"), Reply::Error(b"ERR no such thing"));
        assert_eq!(whole(b":-12\r\n"), Reply::Integer(-12));
        assert_eq!(whole(b"$5\r\na\r\nb!\r\n"), Reply::Bulk(b"a\r\nb!"));
        assert_eq!(whole(b"$0\r\n\r\n"), Reply::Bulk(b""));
        for null in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
            assert_eq!(whole(null), Reply::Null);
        }
        assert_eq!(whole(b"=7\r\ntxt:abc\r\n"), Reply::Bulk(b"txt:abc"));
        assert_eq!(whole(b"!7\r\nERR bad\r\n"), Reply::Error(b"ERR bad"));
        for other in [&b",1.5\r\n"[..], b"#t\r\n", b"(123456789012345678901\r\n", b"*0\r\n"] {
            assert_eq!(whole(other), Reply::Other);
        }
        assert_eq!(whole(b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n"), Reply::Other);
        assert_eq!(whole(b"%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n"), Reply::Other);
        assert_eq!(whole(b">2\r\n+invalidate\r\n*0\r\n"), Reply::Push);
        assert_eq!(whole(b"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n"), Reply::Bulk(b"v"));
        assert_eq!(whole(b"*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n"), Reply::Other);
    }

    /// Deep nesting costs no stack and absurd lengths no memory.
    #[test]
    fn hostile_replies_are_refused_or_waited_for() {
        let nested = b"*1\r\n".repeat(100_000);
        assert_eq!(parse(&nested).unwrap(), None);
        for bad in [
            &b"$-2\r\n"[..],
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            b":x\r\n",
            b"HTTP/1.1 400\r\n",
            b"\r\n",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(parse(b"$1\r\nabc\r\n").is_err());
        assert!(parse(&vec![b'+'; LINE_BYTES_MAX]).is_err());
    }

    fn stream() -> Vec<u8> {
        [
            &b"+OK\r\n"[..],
            b"$3\r\n\r\n\r\r\n",
            b"*2\r\n:1\r\n$-1\r\n",
            b"|1\r\n+a\r\n+b\r\n:7\r\n",
            b"-E x\r\n",
        ]
        .concat()
    }

    fn read_all(chunks: &[&[u8]]) -> Vec<String> {
        let (mut buffer, mut replies) = (Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some((reply, used)) = parse(&buffer).unwrap() {
                replies.push(format!("{reply:?}"));
                buffer.drain(..used);
            }
        }
        assert!(buffer.is_empty());
        replies
    }

    proptest! {
        /// However the stream is cut, the same replies come out.
        #[test]
        fn split_reads_change_nothing(first in 0_usize..60, second in 0_usize..60) {
            let stream = stream();
            let (low, high) = (first.min(second).min(stream.len()), first.max(second).min(stream.len()));
            let chunks = [&stream[..low], &stream[low..high], &stream[high..]];
            prop_assert_eq!(read_all(&chunks), read_all(&[&stream]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
