//! Hostile clients: nothing runs that should not, nothing grows, nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::Connection;
use crate::support::connection::array;

/// "HTTP verbs or Host: on the Redis port close the connection before anything runs" (INVARIANTS K4).
#[test]
fn http_is_closed_without_a_word_and_nothing_of_it_runs() {
    let smuggled =
        "\r\nHost: x\r\nContent-Length: 99\r\n\r\nSET k v\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    for verb in
        ["GET / HTTP/1.1", "POST / HTTP/1.1", "PUT /k HTTP/1.1", "HEAD / HTTP/1.0", "Host: x", "post /"]
    {
        let (mut connection, store) = Connection::alone();
        connection.receive(format!("{verb}{smuggled}").as_bytes());
        assert_eq!(connection.send(), "", "{verb}");
        assert!(connection.session.is_over());
        assert!(store.asked().is_empty());
    }
}

/// The same words in an array, as a request of a tricked client library would have them.
#[test]
fn http_words_in_arrays_are_closed_too() {
    let (mut connection, store) = Connection::alone();
    connection.receive(&[array("POST /"), array("SET k v")].concat());
    assert!(connection.session.is_over() && store.asked().is_empty());
}

/// A TLS greeting may carry bytes of an attacker's choice.
#[test]
fn a_tls_greeting_is_closed_at_its_first_byte() {
    let (mut connection, store) = Connection::alone();
    connection.receive(b"\x16\x03\x01\r\nSET k v\r\n");
    assert!(connection.session.is_over() && store.asked().is_empty());
}

/// After a protocol error nothing that follows is taken for a command.
#[test]
fn a_protocol_error_is_told_and_ends_the_connection() {
    let (mut connection, store) = Connection::alone();
    connection.receive(&[&array("SET a 1"), &b"*1\r\n:5\r\n"[..], &array("SET b 2")].concat());
    assert_eq!(connection.send(), "+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(connection.session.is_over());
    assert_eq!(store.asked(), ["put a"]);
}

/// What was asked before the error is answered before it, also when the answer comes late.
#[test]
fn a_protocol_error_waits_its_turn() {
    let (mut connection, store) = Connection::alone();
    store.defer();
    connection.receive(&[&array("SET a 1"), &b"*x\r\n"[..]].concat());
    assert_eq!(connection.send(), "");
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n-ERR Protocol error: invalid multibulk length\r\n");
}

/// Half a command is waited for, and costs what was received.
#[test]
fn half_a_command_runs_nothing() {
    let (mut connection, store) = Connection::alone();
    let set = array("SET key value");
    for end in 1..set.len() {
        connection.receive(&set[end - 1..end]);
        assert!(store.asked().is_empty());
        assert!(connection.session.is_midway());
    }
    connection.receive(&set[set.len() - 1..]);
    assert_eq!(connection.send(), "+OK\r\n");
    assert!(!connection.session.is_midway());
}

/// A length of 64 MB and a count of a million are claims: memory follows what has come.
#[test]
fn claims_take_no_memory() {
    let (mut connection, _) = Connection::alone();
    connection.receive(b"*1048576\r\n$67108864\r\nabc");
    assert!(connection.session.input().capacity() < 1024);
}

#[test]
fn binary_keys_and_values_come_back_as_they_were() {
    let (mut connection, _) = Connection::alone();
    assert_eq!(connection.ask(r#"SET "\x00\r\n\xff" "\x00$5\r\n""#), "+OK\r\n");
    connection.receive(&array(r#"GET "\x00\r\n\xff""#));
    assert_eq!(&connection.session.output()[..], b"$5\r\n\0$5\r\n\r\n");
    assert_eq!(connection.ask("DBSIZE"), "$5\r\n\0$5\r\n\r\n:1\r\n");
}

/// A key that an error quotes must not begin another reply.
#[test]
fn an_error_stays_on_one_line() {
    let (mut connection, _) = Connection::alone();
    let reply = connection.ask(r#"NOSUCH "a\r\n+OK\r\n""#);
    assert_eq!(reply.matches("\r\n").count(), 1, "{reply:?}");
}

/// An empty command name, and one longer than any.
#[test]
fn strange_names_are_unknown_commands() {
    let (mut connection, _) = Connection::alone();
    for name in [r#""""#, &"x".repeat(5000), r#""GET\x00""#] {
        assert!(connection.ask(name).starts_with("-ERR unknown command '"));
    }
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "GET",
        "SET",
        "MGET",
        "MSET",
        "DEL",
        "KV.GET",
        "KV.PUT",
        "KV.DEL",
        "SCAN",
        "EXPIRE",
        "GETEX",
        "GETRANGE",
        "CLIENT",
        "COMMAND",
        "CLUSTER",
        "KV.KEYSPACE",
        "KV.KEYSPACES",
        "CREATE",
        "ALTER",
        "DROP",
        "POLICY",
        "ALLOW-FLUSH",
        "VALUE-BYTES-MAX",
        "NUMBER",
        "yes",
        "CONFIG",
        "HELLO",
        "SELECT",
        "WAIT",
        "INFO",
        "KILL",
        "LIST",
        "GETKEYS",
        "DOCS",
        "0",
        "1",
        "3",
        "-1",
        "9223372036854775807",
        "EX",
        "PX",
        "MATCH",
        "COUNT",
        "CONTEXT",
        "W",
        "R",
        "all",
        "siblings",
        "k",
        "*",
        "[a",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    /// Any words as a command are answered with exactly one reply, or end the connection.
    #[test]
    fn every_command_is_answered_once(commands in vec(vec(word(), 1..6), 1..10)) {
        let (mut connection, _) = Connection::alone();
        for words in commands {
            connection.receive(&array(&words.join(" ")));
            let reply = connection.session.output().to_vec();
            prop_assert_eq!(reply_length(&reply), Some(reply.len()), "{:?} {}", words, String::from_utf8_lossy(&reply));
            connection.send();
        }
    }

    /// Any bytes leave the session in a state that can go on or is over.
    #[test]
    fn any_bytes_do_no_harm(pieces in vec(vec(any::<u8>(), 0..60), 0..6)) {
        let (mut connection, _) = Connection::alone();
        for piece in pieces {
            connection.receive(&piece);
            connection.send();
        }
    }
}

/// The length of the first reply in `bytes`, if it is whole.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..end - 2]).ok()?.parse::<i64>().ok();
    let elements = |count: i64| (0..count).try_fold(end, |at, _| Some(at + reply_length(&bytes[at..])?));
    match bytes[0] {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' => Some(end),
        b'$' | b'=' => match number()? {
            -1 => Some(end),
            length => Some(end + usize::try_from(length).ok()? + 2).filter(|whole| *whole <= bytes.len()),
        },
        b'*' | b'~' => elements(number()?),
        b'%' => elements(number()? * 2),
        _ => None,
    }
}
