//! Nodes that come to a cluster by being started and leave it by being drained, with all that was stored (INVARIANTS E6, I1).

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::servers::Servers;

const KEYS: usize = 120;

/// Waits until these nodes are the members, all are up, and nothing is to move, as all of them see it.
#[track_caller]
fn wait_until_settled(servers: &Servers, nodes: &[u16]) {
    for &node in nodes {
        wait_until(&format!("n{node} to see {nodes:?} settled"), || {
            let seen = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
            let members = seen["nodes"].as_array().cloned().unwrap_or_default();
            let names: Vec<&str> = members.iter().filter_map(|member| member["id"].as_str()).collect();
            names == nodes.iter().map(|node| format!("n{node}")).collect::<Vec<_>>()
                && members.iter().all(|member| member["state"] == "up" && member["standing"] == "settled")
                && seen["movements"].as_array().is_some_and(Vec::is_empty)
                && seen["waiting"] == 0
        });
    }
}

/// Every key, read from every owner, is what was put.
#[track_caller]
fn assert_all_there(servers: &Servers, node: u16) {
    for key in 0..KEYS {
        let path = format!("{}?r=all", key_path("default", &format!("key {key}").replace(' ', "%20")));
        assert_eq!(servers.http(node).get(&path, &[]).with_status(200).text(), format!("value {key}"));
    }
}

/// One node founds a cluster; three more join it by nothing but their start. The one that founded it is drained: it hands over
/// what it has, stops in good order, and is not let in again with its old directory. Every acknowledged key is there at every
/// step, at the strictest level.
#[test]
fn a_cluster_grows_by_starts_and_outlives_the_node_that_founded_it() {
    let mut servers = Servers::prepare(4, "");
    for node in 1..=4 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        servers.configure_alone(node, &format!("{how}\npartitions = 16\n"));
    }
    servers.launch(1);
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(1).put(&path, &[], &format!("value {key}")).status < 300);
    }
    for node in 2..=4 {
        servers.launch(node);
    }
    wait_until_settled(&servers, &[1, 2, 3, 4]);
    assert_all_there(&servers, 4);

    let at = servers.http_address(2).to_string();
    let foreseen = run(["node", "drain", "n1", "--dry-run", "--at", &at]);
    assert!(foreseen.code == Some(0) && foreseen.printed.contains("n1"), "{foreseen:?}");
    wait_until_bytes_are_foretold(&at);
    wait_until_settled(&servers, &[1, 2, 3, 4]);
    let drained = run(["node", "drain", "n1", "--at", &at]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let status = servers.process(1).wait();
    assert!(status.success(), "{status}: {}", servers.process(1).logged());
    wait_until_settled(&servers, &[2, 3, 4]);
    assert_all_there(&servers, 2);
    servers.run(1).refused_with(&["n1", "has left the cluster", "empty the directory"]);
}

/// Who leads hears in turn how much there is of each partition, and whichever node is asked, the plan says how many bytes would move.
fn wait_until_bytes_are_foretold(at: &str) {
    wait_until("all bytes that a drain would move to be known", || {
        let foreseen = run(["node", "drain", "n1", "--dry-run", "--json", "--at", at]);
        let Ok(planned) = serde_json::from_str::<serde_json::Value>(&foreseen.printed) else { return false };
        let moves = planned["moves"].as_array().cloned().unwrap_or_default();
        let bytes: Option<Vec<u64>> = moves.iter().map(|one| one["bytes"].as_u64()).collect();
        // 120 keys of some bytes are there, in 16 partitions.
        bytes.is_some_and(|bytes| bytes.iter().sum::<u64>() > 0 && bytes.iter().all(|bytes| *bytes < 1 << 20))
    });
}

/// What cannot be is refused in words, and nothing is changed: a node under the name of a member, one that nobody knows, and a
/// drain that would leave fewer nodes than a keyspace has replicas.
#[test]
fn changes_that_cannot_be_are_refused_by_name() {
    let mut servers = Servers::prepare(4, "");
    for node in 1..=3 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        servers.configure_alone(node, &format!("{how}\npartitions = 16\n"));
        servers.launch(node);
    }
    wait_until_settled(&servers, &[1, 2, 3]);
    let at = servers.http_address(2).to_string();
    let before = servers.http(3).get("/v1/cluster", &[]).json()["epoch"].clone();
    run(["node", "drain", "n9", "--at", &at]).refused_with(&["n9"]);
    run(["node", "drain", "n3", "--at", &at]).refused_with(&["--below-n"]);
    servers.configure_named(4, "n2", &format!("{}\npartitions = 16\n", servers.seeds(&[1])));
    servers.run(4).refused_with(&["n2"]);
    assert_eq!(servers.http(3).get("/v1/cluster", &[]).json()["epoch"], before);
}
