//! What R and W buy: the stale read that R=W=1 allows, and that R+W>N never gives.

use crate::common::patience::wait_for;
use crate::common::process::Signal;
use crate::common::resp::{Reply, Resp};
use crate::common::servers::Servers;

/// One keyspace that promises little and one that promises that a read sees what was acknowledged.
const KEYSPACES: &str = "\
    [[keyspaces]]\nname = \"weak\"\nn = 3\nr = 1\nw = 1\npolicy = \"lww\"\n\
    [[keyspaces]]\nname = \"firm\"\nn = 3\nr = \"quorum\"\nw = \"quorum\"\npolicy = \"lww\"\nquorum = \"strict\"\n";

/// The value that this node shows, as soon as it can answer.
#[track_caller]
fn read(servers: &Servers, node: u16, keyspace: &str) -> Reply {
    wait_for("a read to be answered", || match servers.resp(node, keyspace).ask(&["GET", "key"]) {
        Reply::Error(text) => {
            assert!(text.starts_with("UNAVAILABLE"), "{text}");
            None
        }
        value => Some(value),
    })
}

#[track_caller]
fn write(mut connection: Resp, value: &str) {
    assert_eq!(connection.ask(&["SET", "key", value]), Reply::ok());
}

/// n3 holds still during a write and dies before it wakes, so it never gets it. Back again, at R=W=1 it answers with what
/// it has; at majorities the same history never shows the old value, at any node, from the first answer on.
#[test]
fn a_node_that_missed_a_write_answers_with_the_old_value_at_one_and_never_at_quorum() {
    let mut servers = Servers::start(3, KEYSPACES);
    for keyspace in ["weak", "firm"] {
        let mut connection = servers.resp(1, keyspace);
        assert_eq!(connection.ask(&["KV.PUT", "key", "old", "W", "all"]).array()[1], Reply::Integer(3));
    }
    servers.process(3).signal(Signal::Stop);
    write(servers.resp(1, "weak"), "new");
    write(servers.resp(2, "firm"), "new");
    servers.kill(3);
    servers.launch(3);

    for node in [3, 2, 1] {
        assert_eq!(read(&servers, node, "firm"), Reply::value("new"), "at n{node}");
    }
    assert_eq!(read(&servers, 3, "weak"), Reply::value("old"), "n3 asks itself, and it missed the write");
    assert_eq!(read(&servers, 1, "weak"), Reply::value("new"));
    // A read at a higher level finds the difference and mends it, so that n3 is stale no more.
    let mut connection = servers.resp(3, "weak");
    let values = wait_for("a read of all owners", || match connection.ask(&["KV.GET", "key", "R", "all"]) {
        Reply::Array(found) => Some(found[1].clone()),
        _ => None,
    });
    assert_eq!(values.array()[0].array()[0], Reply::value("new"));
    wait_for("the repair to arrive", || (read(&servers, 3, "weak") == Reply::value("new")).then_some(()));
}

/// Nobody has to work out what N, R, W and the quorum mode promise: wherever a keyspace is shown, the model is named.
#[test]
fn each_keyspace_names_the_model_that_its_numbers_give() {
    let servers = Servers::start(3, KEYSPACES);
    let shown = servers.http(2).get("/v1/keyspaces", &[]).with_status(200).json();
    let list = shown.as_array().or(shown["keyspaces"].as_array()).expect("a list");
    let models: Vec<(&str, &str)> = list
        .iter()
        .map(|keyspace| {
            (keyspace["name"].as_str().expect("a name"), keyspace["model"].as_str().expect("a model"))
        })
        .collect();
    assert_eq!(models, [("default", "eventual"), ("weak", "weak"), ("firm", "strong")]);
}
