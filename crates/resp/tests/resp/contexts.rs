//! "Causal context over plain Redis": a test for each sentence of the design.

use std::rc::Rc;

use resp::ListenerKind;

use crate::support::connection::array;
use crate::support::{Connection, FakeStore};

fn pair() -> (Connection, Connection) {
    let store = FakeStore::new();
    (Connection::in_siblings(&store), Connection::in_siblings(&store))
}

/// How many values the key has, and in RESP2 the values.
fn values(connection: &mut Connection, key: &str) -> Vec<String> {
    let reply = connection.ask(&format!("KV.GET {key}"));
    let lines: Vec<&str> = reply.split("\r\n").collect();
    // A value stands two lines behind the head of its array of five.
    let heads = lines.iter().enumerate().filter(|(_, line)| **line == "*5");
    heads.map(|(at, _)| lines[at + 2].to_owned()).collect()
}

fn pipeline(connection: &mut Connection, commands: &[&str]) -> String {
    let bytes: Vec<u8> = commands.iter().flat_map(|command| array(command)).collect();
    connection.receive(&bytes);
    connection.send()
}

/// "A connection remembers the contexts of the (keyspace, key) it last read ..., so a GET followed by a SET is a causal
/// update."
#[test]
fn a_get_followed_by_a_set_is_a_causal_update() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    assert_eq!(b.ask("GET k"), "$3\r\none\r\n");
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k"), ["two"]);
}

/// "... or wrote ... and SET, SET makes no siblings."
#[test]
fn set_after_set_makes_no_siblings() {
    let (mut a, _) = pair();
    for value in ["one", "two", "three"] {
        assert_eq!(a.ask(&format!("SET k {value}")), "+OK\r\n");
    }
    assert_eq!(values(&mut a, "k"), ["three"]);
}

/// A write that has read nothing replaces nothing: two who do not know of each other make siblings.
#[test]
fn what_was_not_read_is_not_replaced() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// Interleaved read-modify-writes of k clients leave at most k values (INVARIANTS B3).
#[test]
fn siblings_do_not_pile_up() {
    let (mut a, mut b) = pair();
    for round in 0..10 {
        a.ask(&format!("SET k a{round}"));
        b.ask(&format!("SET k b{round}"));
    }
    assert_eq!(values(&mut a, "k"), ["a9", "b9"]);
}

/// "Remembered contexts only in keyspaces that keep siblings": elsewhere nothing is kept.
#[test]
fn in_an_lww_keyspace_nothing_is_remembered() {
    let (mut connection, _) = Connection::alone();
    connection.ask("SET k one");
    assert_eq!(connection.ask("GET k"), "$3\r\none\r\n");
    connection.ask("SELECT priority");
    connection.ask("SET k one");
    connection.ask("SET k two");
    assert_eq!(values(&mut connection, "k"), ["two"], "priority keyspaces keep siblings and so do remember");
}

/// "Of the (keyspace, key)": a key of the same name elsewhere is another key.
#[test]
fn a_context_is_of_one_keyspace() {
    let store = FakeStore::new();
    let (mut a, mut b) = (Connection::in_siblings(&store), Connection::in_siblings(&store));
    a.ask("SET k one");
    b.ask("SELECT priority");
    b.ask("SET k other");
    b.ask("SELECT siblings");
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// "A context is used only by commands received after the reply that carried it was sent (a pipelined GET, SET is
/// blind)."
#[test]
fn a_pipelined_get_set_is_blind() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    pipeline(&mut b, &["GET k", "SET k two"]);
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// The same where the commands come in two reads, but before the first reply has left.
#[test]
fn received_before_the_reply_left_is_blind_too() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.receive(&array("GET k"));
    b.receive(&array("SET k two"));
    b.send();
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// The same where only the first byte came before: the client had begun to write without having seen the reply.
#[test]
fn a_command_begun_before_the_reply_left_is_blind() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    let set = array("SET k two");
    b.receive(&[array("GET k").as_slice(), &set[..5]].concat());
    b.send();
    b.receive(&set[5..]);
    b.send();
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// A reply that has left in part has not been seen.
#[test]
fn a_reply_that_left_in_part_is_not_sent() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.receive(&array("GET k"));
    b.session.sent(4);
    b.receive(&array("SET k two"));
    b.send();
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// What was seen before a pipeline was sent is seen by all of it, as far as it goes.
#[test]
fn a_pipeline_uses_what_was_seen_before_it() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("GET k");
    pipeline(&mut b, &["SET k two", "SET k three"]);
    assert_eq!(values(&mut a, "k"), ["two", "three"], "both replace what was read, neither the other");
}

/// "An error reply leaves none": what a CONFLICT did not show is not replaced.
#[test]
fn an_error_reply_leaves_no_context() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    let mut c = Connection::in_siblings(&a.store());
    assert!(c.ask("GET k").starts_with("-CONFLICT 2 siblings"));
    c.ask("SET k three");
    assert_eq!(values(&mut c, "k"), ["one", "two", "three"]);
}

/// The same in a reply about several keys: not even those that it could have shown.
#[test]
fn an_error_about_several_keys_leaves_no_context_of_any() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    a.ask("SET fine one");
    let mut c = Connection::in_siblings(&a.store());
    assert!(c.ask("MGET fine k").starts_with("-CONFLICT 2 siblings of 'k'"));
    c.ask("SET fine two");
    assert_eq!(values(&mut c, "fine"), ["one", "two"]);
}

/// "DEL covers what a read at R finds", also what the connection has not read.
#[test]
fn a_delete_covers_what_is_there() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    assert_eq!(a.ask("DEL k"), ":1\r\n");
    assert_eq!(values(&mut b, "k"), [""; 0]);
}

/// "RESET clears."
#[test]
fn reset_forgets() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("GET k");
    assert_eq!(b.ask("RESET"), "+RESET\r\n");
    b.ask("SELECT siblings");
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// "The memory is bounded": keys used long ago are forgotten, and their next write is blind.
#[test]
fn the_memory_is_bounded() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("GET k");
    for number in 0..2000 {
        b.ask(&format!("GET other{number}"));
    }
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k"), ["one", "two"]);
}

/// "`KV.CONTEXT off` turns it off."
#[test]
fn kv_context_off_forgets_and_keeps_nothing() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("GET k");
    assert_eq!(b.ask("KV.CONTEXT off"), "+OK\r\n");
    b.ask("SET k two");
    b.ask("SET k three");
    assert_eq!(values(&mut a, "k"), ["one", "two", "three"]);
    b.ask("KV.CONTEXT on");
    b.ask("KV.GET k");
    b.ask("SET k four");
    assert_eq!(values(&mut a, "k"), ["four"]);
}

/// "A plain read of a key with siblings answers CONFLICT and names KV.GET; it never picks one in silence."
#[test]
fn every_plain_read_of_siblings_is_a_conflict() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    for read in
        ["GET k", "MGET j k", "STRLEN k", "GETRANGE k 0 1", "GETEX k", "GETEX k EX 100", "TTL k", "PTTL k"]
    {
        let reply = a.ask(read);
        assert!(reply.starts_with("-CONFLICT ") && reply.contains("KV.GET"), "{read}: {reply}");
    }
    // Whether a key is there is no choice between its values.
    assert_eq!(a.ask("EXISTS k"), ":1\r\n");
    assert_eq!(a.ask("TYPE k"), "+string\r\n");
}

/// Seeing all siblings and writing what they should become ends the conflict.
#[test]
fn a_set_after_kv_get_replaces_all_that_it_showed() {
    let (mut a, mut b) = pair();
    a.ask("SET k one");
    b.ask("SET k two");
    assert_eq!(values(&mut a, "k").len(), 2);
    a.ask("SET k both");
    assert_eq!(a.ask("GET k"), "$4\r\nboth\r\n");
}

/// Only what shows a value has shown it: a length or a time to live is not the value, and does not entitle to replace it.
#[test]
fn a_reply_that_does_not_show_the_value_leaves_no_context() {
    for read in ["STRLEN k", "TTL k", "EXISTS k", "TYPE k", "TOUCH k"] {
        let (mut a, mut b) = pair();
        a.ask("SET k one");
        b.ask(read);
        b.ask("SET k two");
        assert_eq!(values(&mut a, "k"), ["one", "two"], "{read}");
    }
}

/// MGET and MSET remember and use each key's own.
#[test]
fn commands_of_several_keys_remember_each() {
    let (mut a, mut b) = pair();
    a.ask("MSET j one k one");
    b.ask("MGET k j missing");
    b.ask("MSET j two k two");
    assert_eq!((values(&mut a, "j"), values(&mut a, "k")), (vec!["two".to_owned()], vec!["two".to_owned()]));
}

/// The context of a command that was answered after a SELECT is of the keyspace that it was asked in.
#[test]
fn a_late_answer_is_remembered_for_its_own_keyspace() {
    let store = FakeStore::new();
    let (mut a, mut b) = (Connection::in_siblings(&store), Connection::in_siblings(&store));
    a.ask("SET k one");
    store.defer();
    b.receive(&[array("GET k"), array("SELECT default")].concat());
    store.release(0);
    b.run();
    assert_eq!(b.send(), "$3\r\none\r\n+OK\r\n");
    b.receive(&[array("SELECT siblings"), array("SET k two")].concat());
    store.release(0);
    b.run();
    assert_eq!(b.send(), "+OK\r\n+OK\r\n");
    let mut c = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    c.receive(&[array("SELECT siblings"), array("GET k")].concat());
    store.release(0);
    c.run();
    assert_eq!(c.send(), "+OK\r\n$3\r\ntwo\r\n");
}
