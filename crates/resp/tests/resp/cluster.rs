//! The cluster listener where the cluster is not as it should be.

use std::rc::Rc;

use api::NodeState;
use resp::ListenerKind;
use types::Epoch;

use crate::support::{Connection, FakeStore};

fn connection(store: &FakeStore) -> Connection {
    Connection::new(store, &Rc::default(), ListenerKind::RedisCluster)
}

/// "SCAN, KEYS, DBSIZE of the node's primary ranges, as cluster clients expect."
#[test]
fn commands_about_all_keys_speak_of_the_primary_ranges() {
    let store = FakeStore::new();
    let mut cluster = connection(&store);
    cluster.ask("SCAN 0");
    cluster.ask("KEYS *");
    cluster.ask("DBSIZE");
    assert_eq!(store.asked(), ["scan 0 10 Primaries", "scan 0 1000 Primaries", "count Primaries"]);
    let mut one_store = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    one_store.ask("SCAN 0");
    assert_eq!(store.asked(), ["scan 0 10 Cluster"]);
}

/// A node that clients cannot be sent to has its ranges named after this one, which serves every key.
#[test]
fn every_slot_is_named_after_a_node_that_can_be_reached() {
    let store = FakeStore::new();
    store.change_status(|status| status.nodes[1].cluster = None);
    let mut connection = connection(&store);
    let slots = connection.ask("CLUSTER SLOTS");
    assert!(slots.starts_with("*2\r\n*3\r\n:0\r\n:10922\r\n*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n"), "{slots}");
    assert!(connection.ask("CLUSTER INFO").contains("cluster_state:ok\r\n"));
}

#[test]
fn a_node_that_is_down_is_shown_as_failing() {
    let store = FakeStore::new();
    let mut connection = connection(&store);
    for state in [NodeState::Gone, NodeState::Down] {
        store.change_status(|status| (status.nodes[2].state, status.epoch) = (state, Epoch(9)));
        assert!(connection.ask("CLUSTER NODES").contains("disconnected"), "{state:?}");
    }
    assert!(connection.ask("CLUSTER NODES").contains("127.0.0.1:7103@9003 master,fail - 0 0 9 disconnected"));
    assert!(connection.ask("CLUSTER SHARDS").contains("$4\r\nfail\r\n"));
}

/// A client that asks again sees what has become of the cluster: nothing is kept from one command to the next.
#[test]
fn what_is_shown_is_as_of_the_command() {
    let store = FakeStore::new();
    let mut connection = connection(&store);
    assert!(connection.ask("CLUSTER SLOTS").starts_with("*3\r\n*3\r\n:0\r\n:5461\r\n"));
    store.change_status(|status| {
        status.epoch = Epoch(4);
        status.slots[1].primary = 1;
        status.nodes[1].state = NodeState::Leaving;
    });
    assert!(connection.ask("CLUSTER SLOTS").starts_with("*3\r\n*3\r\n:0\r\n:99\r\n"));
    let info = connection.ask("CLUSTER INFO");
    assert!(info.contains("cluster_current_epoch:4\r\ncluster_my_epoch:4\r\n"), "{info}");
    let nodes = connection.ask("CLUSTER NODES");
    assert!(nodes.contains("127.0.0.1:7102@9002 master - 0 0 4 connected 100-10922"), "{nodes}");
    store.change_status(|status| {
        status.nodes.truncate(2);
        status.slots.iter_mut().for_each(|range| range.primary = 0);
    });
    assert!(connection.ask("CLUSTER SHARDS").starts_with("*2\r\n"));
    assert!(connection.ask("CLUSTER SLOTS").starts_with("*1\r\n*3\r\n:0\r\n:16383\r\n"));
}

/// `foo` is in slot 12182, of which n3 is first owner, and `bar` in 5061, of which n1 is, who is asked.
const MOVED: &str = "-MOVED 12182 127.0.0.1:7103\r\n";

/// A client whose map of slots may be out of date is told so, once on each connection after each change of the cluster, and nothing
/// is done of what it asked for. What it asks of the right node is never refused.
#[test]
fn a_change_of_the_cluster_is_told_once_to_each_connection() {
    let store = FakeStore::new();
    let (mut one, mut other) = (connection(&store), connection(&store));
    assert_eq!(one.ask("SET foo v"), "+OK\r\n");
    other.ask("GET foo");
    store.asked();
    store.change_status(|status| status.epoch = Epoch(9));
    assert_eq!(one.ask("SET bar v"), "+OK\r\n");
    assert_eq!(one.ask("SET foo w"), MOVED);
    assert_eq!(store.asked().len(), 1, "only what was asked of the first owner");
    assert_eq!(one.ask("SET foo w"), "+OK\r\n");
    assert_eq!(other.ask("GET foo"), MOVED);
    assert_eq!(other.ask("GET foo"), "$1\r\nw\r\n");
    assert_eq!(
        connection(&store).ask("GET foo"),
        "$1\r\nw\r\n",
        "it has just come, and may have the map of now"
    );
    let mut one_store = Connection::new(&store, &Rc::default(), ListenerKind::OneStore);
    assert_eq!(one_store.ask("GET foo"), "$1\r\nw\r\n");
    store.change_status(|status| status.epoch = Epoch(10));
    assert_eq!(one_store.ask("GET foo"), "$1\r\nw\r\n");
    assert_eq!(one.ask("GET foo"), MOVED);
}

/// Whoever leaves sends clients on until they have gone: what is under way with it when it ends is lost to them.
#[test]
fn a_node_that_leaves_sends_clients_to_who_takes_over() {
    let store = FakeStore::new();
    let mut connection = connection(&store);
    store.change_status(|status| status.nodes[0].standing = api::NodeStanding::Leaving);
    for _ in 0..3 {
        assert_eq!(connection.ask("GET foo"), MOVED);
    }
    assert_eq!(connection.ask("GET bar"), "$-1\r\n");
    store.change_status(|status| status.slots.iter_mut().for_each(|range| range.primary = 2));
    assert_eq!(connection.ask("GET bar"), "-MOVED 5061 127.0.0.1:7103\r\n");
}

/// Nobody is sent to a node that he will not find.
#[test]
fn nobody_is_sent_to_a_node_that_is_not_there() {
    let store = FakeStore::new();
    let mut connection = connection(&store);
    store.change_status(|status| {
        status.nodes[0].standing = api::NodeStanding::Leaving;
        status.nodes[2].state = NodeState::Down;
    });
    assert_eq!(connection.ask("GET foo"), "$-1\r\n");
    store.change_status(|status| (status.nodes[2].state, status.nodes[2].cluster) = (NodeState::Up, None));
    assert_eq!(connection.ask("GET foo"), "$-1\r\n");
}

/// Listening on all addresses means "where you found me" to clients, and is written as nothing.
#[test]
fn an_address_of_all_interfaces_is_not_named() {
    let store = FakeStore::new();
    store.change_status(|status| status.nodes[0].cluster = Some(([0, 0, 0, 0], 7101).into()));
    assert!(
        connection(&store)
            .ask("CLUSTER SLOTS")
            .starts_with("*3\r\n*3\r\n:0\r\n:5461\r\n*4\r\n$0\r\n\r\n:7101\r\n")
    );
}
