//! What became of a write is told truly (INVARIANTS A5), and what is weaker about an answer is visible (C4).

use std::rc::Rc;

use api::{Error, Marks};
use quorum::Level;
use resp::{Clients, ListenerKind};

use crate::support::{Connection, FakeStore};

fn unavailable() -> Error {
    let detail = "n2 and n3 are down".into();
    Error::Unavailable {
        action: api::Action::Write,
        level: Level::Quorum,
        needed: 2,
        got: 1,
        owners: 3,
        detail,
    }
}

fn unknown() -> Error {
    Error::Unknown { level: Level::Quorum, needed: 2, got: 1, owners: 3, detail: "n2 did not answer".into() }
}

fn too_large() -> Error {
    Error::TooLarge { what: api::Part::Value, bytes: 2_000_000, limit: 1_048_576, keyspace: "default".into() }
}

/// Prefixes that client libraries answer by trying again on their own.
const RETRIED: [&str; 8] =
    ["TRYAGAIN", "LOADING", "MOVED", "ASK", "CLUSTERDOWN", "BUSY", "MASTERDOWN", "READONLY"];

#[test]
fn each_kind_of_error_has_its_prefix_and_none_is_retried_by_clients() {
    let (mut connection, store) = Connection::alone();
    let overloaded = Error::Overloaded("the node has more to do than it can".into());
    for (error, prefix) in [
        (unavailable(), "-UNAVAILABLE "),
        (unknown(), "-UNKNOWN "),
        (overloaded, "-OVERLOADED "),
        (Error::Invalid("no".into()), "-ERR "),
        (too_large(), "-ERR "),
        (Error::NoSuchKeyspace("gone".into()), "-ERR "),
        (Error::NotLed("2 of 3 voters are away".into()), "-UNAVAILABLE "),
        (Error::ChangeUnknown("n2 led it and is away".into()), "-UNKNOWN "),
        (Error::TooManySiblings { siblings: 100, keyspace: "siblings".into() }, "-ERR "),
        (Error::ContextRequired("siblings".into()), "-ERR "),
    ] {
        let message = error.to_string();
        store.fail("k", error);
        for command in
            ["SET k v", "GET k", "DEL k", "EXPIRE k 10", "KV.GET k", "KV.PUT k v", "KV.DEL k", "TTL k"]
        {
            assert_eq!(connection.ask(command), format!("{prefix}{message}\r\n"));
        }
        assert!(RETRIED.iter().all(|retried| !prefix[1..].starts_with(retried)));
    }
}

/// "MSET: the first error, with how many were done". What is partly done is not "not done".
#[test]
fn a_write_of_several_keys_that_is_partly_done_is_unknown() {
    let (mut connection, store) = Connection::alone();
    store.fail("b", unavailable());
    let reply = connection.ask("MSET a 1 b 2 c 3");
    assert!(
        reply.starts_with("-UNKNOWN 2 of 3 keys were set; key 'b': the write needs 2 of 3 owners"),
        "{reply}"
    );
    let reply = connection.ask("DEL c b");
    assert!(reply.starts_with("-UNKNOWN 1 of 2 keys were deleted; key 'b': "), "{reply}");
    assert_eq!(connection.ask("EXISTS a c"), ":1\r\n");
}

/// Where no key was written and none may have been, nothing was done.
#[test]
fn a_write_of_several_keys_of_which_none_is_done_says_so() {
    let (mut connection, store) = Connection::alone();
    store.fail("a", unavailable());
    store.fail("b", unavailable());
    let reply = connection.ask("MSET a 1 b 2");
    assert!(reply.starts_with("-UNAVAILABLE key 'a': "), "{reply}");
    store.fail("b", unknown());
    let reply = connection.ask("MSET a 1 b 2");
    assert!(reply.starts_with("-UNKNOWN 0 of 2 keys were set; key 'a': "), "{reply}");
}

/// A read of several keys of which one cannot be read is an error, not an array with a hole.
#[test]
fn a_read_of_several_keys_is_whole_or_an_error() {
    let (mut connection, store) = Connection::alone();
    connection.ask("MSET a 1 b 2");
    store.fail("b", unavailable());
    assert!(connection.ask("MGET a b").starts_with("-UNAVAILABLE "));
    assert!(connection.ask("EXISTS a b").starts_with("-UNAVAILABLE "));
}

/// A walk that deletes and is stopped says how far it came.
#[test]
fn a_flush_that_stops_midway_is_unknown() {
    let (mut connection, store) = Connection::alone();
    connection.ask("SELECT scratch");
    connection.ask("MSET a 1 b 2");
    store.fail("b", unavailable());
    let reply = connection.ask("FLUSHDB");
    assert!(reply.starts_with("-UNKNOWN 1 keys are deleted and others are not: "), "{reply}");
}

/// KV.* show what is weaker about an answer; plain commands have no place to, so it is counted.
#[test]
fn weaker_answers_are_marked_and_counted() {
    let store = FakeStore::new();
    let clients: Rc<Clients> = Rc::default();
    let mut connection = Connection::new(&store, &clients, ListenerKind::OneStore);
    store.mark(Marks { stand_in: true, relaxed_durability: true });
    let marks = "*2\r\n$8\r\nstand-in\r\n$18\r\nrelaxed-durability\r\n";
    for command in ["KV.PUT k v", "KV.GET k", "KV.GET missing"] {
        assert!(connection.ask(command).ends_with(marks), "{command}");
    }
    assert_eq!(clients.figures().stand_in_answers.get(), 3);
    assert_eq!(connection.ask("SET k v"), "+OK\r\n");
    assert_eq!(connection.ask("GET k"), "$1\r\nv\r\n");
    assert_eq!(clients.figures().stand_in_answers.get(), 5);
    assert_eq!(clients.figures().relaxed_writes.get(), 5);
}
