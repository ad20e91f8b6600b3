//! Contexts: tokens over HTTP and `KV.*`, memory of the connection for plain Redis commands.

use crate::common::dev::Dev;
use crate::common::http::key_path;
use crate::common::resp::{Reply, Resp};

fn connect(dev: &Dev, node: u16) -> Resp {
    Resp::connect_to(dev.resp_address(node), "siblings")
}

/// A context says what its reader saw of one key. Passed with another key, or damaged, it is refused and nothing is
/// written: to take it for an empty one would make siblings, to believe it would lose values.
#[test]
fn a_context_of_another_key_is_refused_and_so_is_nonsense() {
    let dev = Dev::start();
    let (ours, theirs) = (key_path("siblings", "ours"), key_path("siblings", "theirs"));
    for path in [&ours, &theirs] {
        dev.http(1).put(path, &[], "before").with_status(204);
    }
    let foreign = dev.http(1).read(&theirs).context();
    let mut resp = connect(&dev, 2);
    for token in [foreign.as_str(), "nonsense", ""] {
        let refused = dev.http(2).put(&ours, &[("henge-context", token)], "after").with_status(400);
        assert!(
            refused.json()["detail"].as_str().is_some_and(|text| text.contains("ontext")),
            "{}",
            refused.text()
        );
        let refused = resp.ask(&["KV.PUT", "ours", "after", "CONTEXT", token]);
        assert!(refused.error().contains("CONTEXT"), "{refused:?}");
    }
    assert_eq!(dev.http(3).read(&ours).values(), [("before".into(), "([n1,1])".into())]);
}

/// A client that knows nothing of contexts does not fight itself: a connection remembers what it wrote last.
#[test]
fn set_after_set_on_one_connection_makes_no_siblings() {
    let dev = Dev::start();
    let mut connection = connect(&dev, 1);
    for value in ["one", "two", "three"] {
        assert_eq!(connection.ask(&["SET", "key", value]), Reply::ok());
    }
    assert_eq!(connect(&dev, 2).ask(&["GET", "key"]), Reply::value("three"));
}

/// Two connections that have not read each other's writes are concurrent, and no value is lost over it.
#[test]
fn sets_on_two_connections_are_siblings() {
    let dev = Dev::start();
    let (mut one, mut other) = (connect(&dev, 1), connect(&dev, 2));
    assert_eq!(one.ask(&["SET", "key", "one's"]), Reply::ok());
    assert_eq!(other.ask(&["SET", "key", "the other's"]), Reply::ok());
    assert!(one.ask(&["GET", "key"]).error().starts_with("CONFLICT"));
}

/// A GET followed by a SET is a causal update, through whatever node.
#[test]
fn a_set_after_a_get_replaces_what_the_get_showed() {
    let dev = Dev::start();
    assert_eq!(connect(&dev, 1).ask(&["SET", "key", "old"]), Reply::ok());
    let mut updater = connect(&dev, 3);
    assert_eq!(updater.ask(&["GET", "key"]), Reply::value("old"));
    assert_eq!(updater.ask(&["SET", "key", "new"]), Reply::ok());
    assert_eq!(connect(&dev, 2).ask(&["GET", "key"]), Reply::value("new"));
}

/// RESET forgets, as for a new connection; so does turning the memory off.
#[test]
fn reset_and_context_off_make_the_next_set_blind() {
    let dev = Dev::start();
    for forgetting in [&["RESET"][..], &["KV.CONTEXT", "OFF"]] {
        let key = forgetting[0];
        let mut connection = connect(&dev, 1);
        assert_eq!(connection.ask(&["SET", key, "one"]), Reply::ok());
        connection.ask(forgetting);
        connection.ask(&["SELECT", "siblings"]);
        assert_eq!(connection.ask(&["SET", key, "two"]), Reply::ok());
        assert!(connect(&dev, 2).ask(&["GET", key]).error().starts_with("CONFLICT"), "{key}");
    }
}

/// Read your own writes, through any node: a read with the context of a write answers that write or a newer one.
#[test]
fn a_read_with_a_writes_context_sees_that_write_at_every_node_and_level() {
    let dev = Dev::start();
    let path = key_path("siblings", "key");
    for turn in 0..10 {
        let value = format!("value-{turn}");
        let read = dev.http(1).read(&path);
        let known = read.header("henge-context").to_owned();
        let headers: &[(&str, &str)] = if known.is_empty() { &[] } else { &[("henge-context", &known)] };
        let written = dev.http(1).put(&format!("{path}?w=1"), headers, &value).with_status(204).context();
        for node in 1..=3 {
            let answer = dev.http(node).get(&format!("{path}?r=1"), &[("henge-context", &written)]);
            assert_eq!(answer.with_status(200).text(), value);
        }
    }
}
