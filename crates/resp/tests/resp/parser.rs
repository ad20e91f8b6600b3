//! The parser against all the ways in which bytes may come.

use proptest::collection::vec;
use proptest::prelude::*;
use resp::frame::{Limits, Parsed, Parser, ProtocolError};

type Command = Vec<Vec<u8>>;

/// Feeds `pieces` one after the other and collects the commands, as a session does.
fn commands_of(pieces: &[&[u8]], limits: &Limits) -> Result<Vec<Command>, ProtocolError> {
    let mut parser = Parser::default();
    let mut buffer = Vec::new();
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.parse(&buffer, limits)? {
                Parsed::Incomplete => break,
                Parsed::Foreign => return Ok(commands),
                Parsed::Nothing(length) => drop(buffer.drain(..length)),
                Parsed::Command(length) => {
                    let bytes = parser.words().unwrap_or(&buffer);
                    let argument =
                        |span: &resp::frame::Span| bytes[span.start as usize..span.end as usize].to_vec();
                    commands.push(parser.spans().iter().map(argument).collect());
                    buffer.drain(..length);
                }
            }
            parser.finish();
        }
    }
    Ok(commands)
}

fn encoded(command: &Command) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn some_commands() -> impl Strategy<Value = Vec<Command>> {
    vec(vec(vec(any::<u8>(), 0..40), 1..6), 0..6)
}

/// Bytes that look like requests more often than chance would have it.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let fragments = prop_oneof![
        Just(b"*2\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"*0\r\n".to_vec()),
        Just(b"*1048577\r\n".to_vec()),
        Just(b"$3\r\nGET\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"$99999999\r\n".to_vec()),
        Just(b"set \"a\\x00\" 'b\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        vec(any::<u8>(), 0..12),
    ];
    vec(fragments, 0..12).prop_map(|fragments| fragments.concat())
}

proptest! {
    /// However a stream is cut into reads, the commands are the same.
    #[test]
    fn cutting_the_stream_changes_nothing(commands in some_commands(), cuts in vec(0_usize..400, 0..8)) {
        prop_assume!(commands.iter().all(|command| !is_foreign(&command[0])));
        let bytes: Vec<u8> = commands.iter().flat_map(encoded).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(commands_of(&pieces, &Limits::default()), Ok(commands.clone()));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(commands_of(&single, &Limits::default()), Ok(commands));
    }

    /// No bytes make it panic, and cutting them changes neither commands nor error.
    #[test]
    fn any_bytes_are_answered(bytes in hostile_bytes(), cut in 0_usize..100) {
        let whole = commands_of(&[&bytes], &Limits::default());
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(&commands_of(&[head, tail], &Limits::default()), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&commands_of(&single, &Limits::default()), &whole);
    }
}

fn is_foreign(word: &[u8]) -> bool {
    resp::frame::foreign::is_foreign_word(word)
}

fn small() -> Limits {
    Limits { arguments_max: 4, bulk_bytes_max: 100, command_bytes_max: 200, inline_bytes_max: 50 }
}

#[test]
fn limits_are_protocol_errors_in_the_words_of_redis() {
    let hundred = "x".repeat(100);
    for (bytes, message) in [
        ("*5\r\n", "Protocol error: invalid multibulk length"),
        ("*x\r\n", "Protocol error: invalid multibulk length"),
        ("*99999999999999999999\r\n", "Protocol error: invalid multibulk length"),
        ("*1234567890123456789012345678901234567890", "Protocol error: invalid multibulk length"),
        ("*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
        ("*1\r\n*1\r\n", "Protocol error: expected '$', got '*'"),
        ("*1\r\n\x01", "Protocol error: expected '$', got '?'"),
        ("*1\r\n$101\r\n", "Protocol error: invalid bulk length"),
        ("*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        ("*1\r\n$18446744073709551615\r\n", "Protocol error: invalid bulk length"),
        ("*1\r\n$1\r\nab\r\n", "Protocol error: expected CRLF after a bulk string"),
        (
            &format!("*2\r\n$100\r\n{hundred}\r\n$100\r\n"),
            "Protocol error: the command is longer than 200 bytes",
        ),
        (&hundred, "Protocol error: too big inline request"),
        ("set 'a\r\n", "Protocol error: unbalanced quotes in request"),
    ] {
        let error = commands_of(&[bytes.as_bytes()], &small()).expect_err(bytes);
        assert_eq!(error.to_string(), message, "{bytes:?}");
    }
}

/// What is claimed is compared with a limit and then waited for; nothing is made ready for it.
#[test]
fn claims_alone_are_only_waited_for() {
    let mut parser = Parser::default();
    let bytes = b"*1048576\r\n$67108864\r\nabc";
    assert_eq!(parser.parse(bytes, &Limits::default()), Ok(Parsed::Incomplete));
    assert!(parser.is_midway());
    assert_eq!(parser.bytes_awaited(bytes.len()), 67_108_864 + 2 - 3);
}
