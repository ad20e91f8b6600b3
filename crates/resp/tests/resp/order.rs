//! Replies in the order of commands, commands in the order of their keys, and bounds on what waits.

use std::rc::Rc;

use resp::{ListenerKind, Settings};

use crate::support::connection::array;
use crate::support::{Connection, FakeStore};

fn pipeline(commands: &[&str]) -> Vec<u8> {
    commands.iter().flat_map(|command| array(command)).collect()
}

fn deferring() -> (Connection, FakeStore) {
    let (connection, store) = Connection::alone();
    store.defer();
    (connection, store)
}

/// Commands of other keys go on, whatever order the answers come in; the replies keep the order of the commands.
#[test]
fn replies_keep_the_order_of_commands() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "SET b 2", "GET c", "PING", "STRLEN d"]));
    assert_eq!(store.asked(), ["put a", "put b", "get c", "get d"]);
    store.release(3);
    store.release(2);
    store.release(1);
    connection.run();
    assert_eq!(connection.send(), "");
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n+OK\r\n$-1\r\n+PONG\r\n:0\r\n");
}

/// "A command waits if an earlier unfinished one touches the same key and either writes."
#[test]
fn a_read_waits_for_the_write_of_its_key() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "GET a", "GET b"]));
    assert_eq!(store.asked(), ["put a"]);
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), ["get a", "get b"]);
    store.release(0);
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n$1\r\n1\r\n$-1\r\n");
}

#[test]
fn a_write_waits_for_the_read_of_its_key_and_reads_do_not_wait() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["GET a", "MGET a b", "MSET c 1 b 2"]));
    assert_eq!(store.asked(), ["get a", "get a", "get b"]);
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), [""; 0], "b is still being read");
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), ["put c", "put b"]);
}

/// A key of the same name in another keyspace is another key.
#[test]
fn keys_of_other_keyspaces_do_not_wait() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "SELECT scratch", "SET a 2"]));
    assert_eq!(store.asked(), ["put a", "put a"]);
}

/// What speaks of a whole keyspace waits for all before it, and all after it wait.
#[test]
fn commands_about_all_keys_are_alone() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "DBSIZE", "GET b", "PING"]));
    assert_eq!(store.asked(), ["put a"]);
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), ["count Cluster"]);
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), ["get b"]);
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n:1\r\n$-1\r\n+PONG\r\n");
}

/// A walk asks again and again; nothing of its connection runs in between.
#[test]
fn a_walk_over_all_keys_is_alone_to_its_end() {
    let (mut connection, store) = Connection::alone();
    connection.ask("SELECT scratch");
    for number in 0..600 {
        connection.ask(&format!("SET key{number} v"));
    }
    store.asked();
    store.defer();
    connection.receive(&pipeline(&["FLUSHDB", "GET a"]));
    for expected in [1, 500, 1, 100] {
        assert_eq!(store.asked().len(), expected);
        store.release(0);
        connection.run();
    }
    assert_eq!(store.asked(), ["get a"]);
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n$-1\r\n");
}

/// WAIT speaks of the last write before it, so it waits for that to be answered.
#[test]
fn wait_waits_for_the_write_before_it() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "WAIT 1 100"]));
    assert_eq!(store.asked(), ["put a"]);
    store.release(0);
    connection.run();
    assert_eq!(store.asked(), ["await op1 2"]);
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n:2\r\n");
}

/// A reply that is due later is in the version of the protocol that its command was sent in.
#[test]
fn a_late_reply_is_in_its_own_version() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["GET a", "HELLO 3", "GET b"]));
    store.release(0);
    store.release(0);
    connection.run();
    let replies = connection.send();
    assert!(replies.starts_with("$-1\r\n%7\r\n") && replies.ends_with("_\r\n"), "{replies}");
}

/// QUIT is answered after all before it, and nothing after it runs.
#[test]
fn quit_ends_when_all_is_answered() {
    let (mut connection, store) = deferring();
    connection.receive(&pipeline(&["SET a 1", "QUIT", "SET a 2"]));
    assert!(!connection.session.is_over());
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "+OK\r\n+OK\r\n");
    assert!(connection.session.is_over());
    assert_eq!(store.asked(), ["put a"]);
}

fn connection_with(settings: Settings) -> (Connection, FakeStore) {
    let store = FakeStore::new();
    let connection = Connection::with_settings(&store, &Rc::default(), ListenerKind::OneStore, settings);
    (connection, store)
}

/// Requests in flight are bounded in number.
#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let (mut connection, store) =
        connection_with(Settings { requests_in_flight_max: 3, ..Settings::default() });
    store.defer();
    connection.receive(&pipeline(&["GET a", "GET b", "GET c", "GET d", "GET e"]));
    assert_eq!(store.pending(), 3);
    store.release(0);
    connection.run();
    assert_eq!(store.pending(), 3);
}

/// And in bytes: beyond the bound one more runs when one is done.
#[test]
fn requests_in_flight_are_bounded_in_bytes() {
    let (mut connection, store) =
        connection_with(Settings { request_bytes_in_flight_max: 1000, ..Settings::default() });
    store.defer();
    let value = "v".repeat(600);
    let sets: Vec<String> = (0..5).map(|number| format!("SET key{number} {value}")).collect();
    connection.receive(&pipeline(&sets.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(store.pending(), 2);
    assert!(!connection.wants_input());
}

/// A client that does not read gets no further commands run, and is not read from.
#[test]
fn unread_replies_are_bounded() {
    let (mut connection, _) = connection_with(Settings { output_bytes_max: 10_000, ..Settings::default() });
    connection.ask(&format!("SET a {}", "v".repeat(4000)));
    connection.receive(&pipeline(&["GET a"; 100]));
    assert!(connection.session.output().len() < 10_000 + 5000);
    assert!(!connection.wants_input());
    let mut bytes = 0;
    for _ in 0..100 {
        bytes += connection.send().len();
    }
    assert_eq!(bytes, 100 * (4000 + 9));
    assert!(connection.wants_input());
}

/// Answers that wait in the node for their turn hold their values: large values are fetched few at a time.
#[test]
fn large_replies_are_asked_for_few_at_a_time() {
    let settings = Settings { reply_bytes_in_flight_max: 100_000, ..Settings::default() };
    let (mut connection, store) = connection_with(settings);
    connection.ask(&format!("SET a {}", "v".repeat(30_000)));
    connection.ask("GET a");
    store.defer();
    connection.receive(&pipeline(&["GET a"; 20]));
    assert_eq!(store.pending(), 4);
}

/// "WAIT speaks of the writes before it": the least held of them counts, and what all owners hold is not asked about.
#[test]
fn wait_asks_about_every_write_that_not_all_owners_hold() {
    let (mut connection, store) = Connection::alone();
    connection.ask("MSET a 1 b 2");
    connection.ask("DEL a");
    store.asked();
    assert_eq!(connection.ask("WAIT 2 1000"), ":2\r\n");
    assert_eq!(store.asked(), ["await op1 3", "await op2 3", "await op3 3"]);
    assert_eq!(connection.ask("WAIT 2 1000"), ":2\r\n");
    assert_eq!(store.asked(), [""; 0]);
}

/// A client that sends a transaction in one go is told that nothing ran, and nothing did.
#[test]
fn what_was_sent_behind_a_refused_multi_does_not_run() {
    let (mut connection, store) = Connection::alone();
    connection.receive(&pipeline(&["SET a 1", "MULTI", "SET b 2", "DEL a", "EXEC", "SET c 3"]));
    assert_eq!(store.asked(), ["put a", "put c"]);
    let replies = connection.send();
    let replies: Vec<&str> =
        replies.split_terminator("\r\n").map(|reply| reply.split(' ').next().unwrap()).collect();
    assert_eq!(replies, ["+OK", "-ERR", "-ERR", "-ERR", "-ERR", "+OK"]);
}

/// One who has seen the refusal is not held to it.
#[test]
fn after_the_refusal_of_multi_was_sent_commands_run() {
    let (mut connection, store) = Connection::alone();
    assert!(connection.ask("MULTI").starts_with("-ERR MULTI must change several things at once"));
    assert_eq!(connection.ask("SET a 1"), "+OK\r\n");
    assert_eq!(store.asked(), ["put a"]);
}
