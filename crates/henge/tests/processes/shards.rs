//! Nodes of several shards: threads of one process that clients and operators see as one node.

use std::collections::BTreeSet;

use crate::common::patience::wait_until;
use crate::common::resp::{Reply, Resp};
use crate::common::servers::Servers;

const LINES: [&str; 3] = [
    "memory = \"256MiB\"\nshards = 4\n",
    "memory = \"64MiB\"\nshards = 1\n",
    "memory = \"128MiB\"\nshards = 2\n",
];

/// Three nodes, divided in four, not at all, and in two.
fn start() -> Servers {
    let mut servers = Servers::prepare(3, "");
    for (node, lines) in (1..).zip(LINES) {
        servers.configure_with(node, lines, "");
        servers.launch(node);
    }
    servers.wait_until_seen();
    servers
}

fn keys() -> Vec<String> {
    (0..64).map(|number| format!("key{number}")).collect()
}

fn strings(reply: &Reply) -> Vec<&str> {
    reply.array().iter().map(Reply::text).collect()
}

/// Connections are dealt out to shards in turns, and each serves every key, alone and together with others.
#[test]
fn every_connection_serves_every_key() {
    let servers = start();
    let keys = keys();
    for node in 1..=3 {
        // Each shard has connections of its own to the others, and what is seen of a node is seen by one of them.
        let mut connection = servers.resp(node, "0");
        for key in &keys {
            wait_until("the key's shard to reach all owners", || {
                let written = connection.ask(&["SET", key, "first"]) == Reply::ok();
                written && connection.ask(&["WAIT", "2", "5000"]) == Reply::Integer(2)
            });
        }
        let mut connections: Vec<Resp> = (0..5).map(|_| servers.resp(node, "0")).collect();
        for (key, place) in keys.iter().zip((0..5).cycle()) {
            assert_eq!(connections[place].ask(&["SET", key, &format!("{key} by {node}")]), Reply::ok());
        }
        let wanted: Vec<String> = keys.iter().map(|key| format!("{key} by {node}")).collect();
        let get: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        for connection in &mut connections {
            assert_eq!(strings(&connection.ask(&get)), wanted);
            assert_eq!(connection.ask(&["DBSIZE"]), Reply::Integer(64));
            assert_eq!(connection.ask(&["SET", &keys[node as usize], "waited for"]), Reply::ok());
            assert_eq!(connection.ask(&["WAIT", "2", "5000"]), Reply::Integer(2));
            assert_eq!(connection.ask(&["SET", &keys[node as usize], &wanted[node as usize]]), Reply::ok());
        }
    }
}

/// What speaks of connections speaks of those of all shards; and a limit or an end reaches them.
#[test]
fn connections_of_all_shards_are_one_nodes() {
    let servers = start();
    let mut connections: Vec<Resp> = (0..6).map(|_| servers.resp(1, "0")).collect();
    let mut ids = BTreeSet::new();
    for connection in &mut connections {
        let Reply::Integer(id) = connection.ask(&["CLIENT", "ID"]) else { panic!("a number") };
        ids.insert(id);
    }
    assert_eq!(ids.len(), 6);
    for connection in &mut connections {
        let list = connection.ask(&["CLIENT", "LIST"]);
        assert_eq!(list.text().lines().count(), 6, "{}", list.text());
    }
    let last = ids.last().expect("six").to_string();
    assert_eq!(connections[0].ask(&["CLIENT", "KILL", "ID", &last]), Reply::Integer(1));
    assert!(connections[5].try_ask(&["PING"]).is_err(), "its thread was told");
    let info = connections[1].ask(&["INFO", "clients"]);
    assert!(info.text().contains("connected_clients:5"), "{}", info.text());
    assert!(servers.http(1).get("/metrics", &[]).text().contains("henge_shard_passes_total"));
}

/// Another number of shards is another way to keep the same data, whether the node was stopped or killed before.
#[test]
fn data_is_kept_when_the_number_of_shards_changes() {
    let mut servers = Servers::prepare(1, "");
    let mut written: Vec<String> = Vec::new();
    for (round, shards) in ["1", "4", "2", "1"].into_iter().enumerate() {
        servers.configure_with(1, &format!("memory = \"256MiB\"\nshards = {shards}\n"), "");
        servers.launch(1);
        let mut connection = servers.resp(1, "0");
        for key in &written {
            assert_eq!(
                connection.ask(&["GET", key.as_str()]),
                Reply::value("kept"),
                "{key} with {shards} shards"
            );
        }
        for number in 0..40 {
            let key = format!("round{round}-{number}");
            assert_eq!(connection.ask(&["SET", &key, "kept"]), Reply::ok());
            written.push(key);
        }
        if round % 2 == 0 { servers.stop(1) } else { servers.kill_unnoticed(1) }
    }
}
