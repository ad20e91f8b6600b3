//! Keyspaces come and go while connections are in them.

use std::rc::Rc;

use api::Error;
use resp::ListenerKind;

use crate::support::{Connection, FakeStore};

/// Everything that speaks of keys of the selected keyspace.
const ABOUT_KEYS: [&str; 14] = [
    "GET k",
    "SET k v",
    "MGET k l",
    "MSET k v",
    "DEL k",
    "EXPIRE k 10",
    "TTL k",
    "SCAN 0",
    "KEYS *",
    "DBSIZE",
    "RANDOMKEY",
    "FLUSHDB",
    "KV.GET k",
    "KV.EXPLAIN k",
];

fn is_refused(reply: &str, keyspace: &str) -> bool {
    reply.starts_with(&format!(
        "-ERR keyspace '{keyspace}', which this connection is in, was dropped: SELECT another"
    ))
}

/// "A session whose keyspace was dropped gets a clear error until it SELECTs another", and nothing reaches the store.
#[test]
fn a_connection_in_a_dropped_keyspace_is_told_until_it_selects_another() {
    let store = FakeStore::new();
    let mut connection = Connection::in_siblings(&store);
    connection.ask("SET k v");
    let mut other = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    assert!(other.ask("KV.KEYSPACE DROP siblings").starts_with("*4\r\n:4\r\n"));
    store.asked();
    for command in ABOUT_KEYS {
        let reply = connection.ask(command);
        assert!(is_refused(&reply, "siblings"), "{command}: {reply}");
    }
    assert!(store.asked().is_empty());
    for command in
        ["PING", "KV.KEYSPACES", "INFO", "CONFIG GET *", "CLIENT LIST", "WAIT 0 10", "KV.CONSISTENCY"]
    {
        assert!(!connection.ask(command).starts_with('-'), "{command}");
    }
    assert_eq!(connection.ask("SELECT default"), "+OK\r\n");
    assert_eq!(connection.ask("GET k"), "$-1\r\n");
}

/// What a client read in the old one says nothing of the new one: it is another keyspace, of whatever name.
#[test]
fn a_keyspace_of_the_same_name_is_another_one() {
    let store = FakeStore::new();
    let mut connection = Connection::in_siblings(&store);
    connection.ask("SET k v");
    let mut other = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    other.ask("KV.KEYSPACE DROP siblings");
    other.ask("KV.KEYSPACE CREATE siblings NUMBER 1");
    assert!(is_refused(&connection.ask("GET k"), "siblings"));
    assert_eq!(connection.ask("SELECT 1"), "+OK\r\n");
    assert_eq!(connection.ask("GET k"), "$-1\r\n");
    assert_eq!(connection.ask("SET k w"), "+OK\r\n");
}

/// RESET goes home; where home was dropped it says so, though another keyspace was looked for and found in the same epoch.
#[test]
fn a_dropped_home_is_told_after_a_reset() {
    let store = FakeStore::new();
    let mut connection = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    connection.ask("SELECT scratch");
    store.change_status(|status| {
        status.keyspaces.remove(0);
        status.epoch.0 += 1;
    });
    assert_eq!(connection.ask("GET k"), "$-1\r\n");
    assert_eq!(connection.ask("RESET"), "+RESET\r\n");
    assert!(is_refused(&connection.ask("GET k"), "default"));
}

/// A pipeline makes a keyspace and goes into it, though the store answers late.
#[test]
fn a_keyspace_is_there_for_what_follows_in_the_pipeline() {
    use crate::support::connection::array;
    let (mut connection, store) = Connection::alone();
    store.defer();
    let commands = ["KV.KEYSPACE CREATE carts", "SELECT carts", "SET k v"];
    connection.receive(&commands.map(array).concat());
    assert_eq!(connection.send(), "");
    store.release(0);
    connection.run();
    store.release(0);
    connection.run();
    assert_eq!(connection.send(), "*4\r\n:4\r\n:7\r\n:0\r\n*0\r\n+OK\r\n+OK\r\n");
}

/// Every setting reaches the store in the words that were given.
#[test]
fn settings_are_passed_on_as_they_were_said() {
    let (mut connection, store) = Connection::alone();
    connection.ask(
        "kv.keyspace create carts n dc1=2,dc2=1 r one w 2 policy siblings preset quorum quorum strict durability always \
         allow-flush YES require-context no max-clock-entries 50 value-bytes-max 4096 number 9",
    );
    let expected = "CreateKeyspace { name: \"carts\", settings: KeyspaceSettings { number: Some(9), n: Some(\"dc1=2,dc2=1\"), \
                    r: Some(\"one\"), w: Some(\"2\"), preset: Some(\"quorum\"), policy: Some(\"siblings\"), \
                    quorum: Some(\"strict\"), durability: Some(\"always\"), require_context: Some(false), \
                    allow_flush: Some(true), max_clock_entries: Some(50), value_bytes_max: Some(4096) } }";
    assert_eq!(store.asked(), [expected]);
}

/// What became of a change is told as what became of a write is.
#[test]
fn the_fate_of_a_change_is_told() {
    let (mut connection, store) = Connection::alone();
    for (error, prefix) in [
        (Error::Invalid("there is a keyspace `carts` already".into()), "-ERR there is a keyspace"),
        (Error::NotLed("no majority".into()), "-UNAVAILABLE the cluster cannot be changed now: no majority"),
        (
            Error::ChangeUnknown("it was sent".into()),
            "-UNKNOWN the cluster may or may not have been changed: it was sent",
        ),
    ] {
        store.fail("the cluster", error);
        for command in ["CREATE carts", "ALTER carts N 3", "DROP carts"] {
            let reply = connection.ask(&format!("KV.KEYSPACE {command}"));
            assert!(reply.starts_with(prefix), "{reply}");
        }
    }
}
