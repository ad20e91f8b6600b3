//! Nodes that come to a cluster by being started and leave it by being drained, with all that was stored (INVARIANTS E6, I1).

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::servers::Servers;

pub(crate) const KEYS: usize = 120;

/// Waits until these nodes are the members, all are up, and nothing is to move, as all of them see it.
#[track_caller]
pub(crate) fn wait_until_settled(servers: &Servers, nodes: &[u16]) {
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
pub(crate) fn assert_all_there(servers: &Servers, node: u16) {
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

/// Nodes that are not alike: each owns as much as it weighs beside the others, and one that does not say what it weighs is measured,
/// which beside a node of the same machine is the same. All that is stored is found.
#[test]
fn unequal_nodes_own_by_their_weights() {
    let mut servers = Servers::prepare(4, "");
    for node in 1..=4 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        let lines = format!("{how}\npartitions = 64\n");
        match node {
            2 => servers.configure_weighing(node, 3.0, &lines),
            _ => servers.configure_alone(node, &lines),
        }
        servers.launch(node);
    }
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(3).put(&path, &[], &format!("value {key}")).status < 300);
    }
    wait_until_settled(&servers, &[1, 2, 3, 4]);
    let seen = servers.http(4).get("/v1/cluster", &[]).json();
    let figure = |of: &str| -> Vec<f64> {
        let nodes = seen["nodes"].as_array().expect("it lists nodes");
        nodes.iter().map(|node| node[of].as_f64().expect("each has one")).collect()
    };
    assert_eq!(figure("weight"), [1.0, 3.0, 1.0, 1.0]);
    // 192 replicas. No node has a partition twice, so one of three times the weight has its share, which is every partition.
    let replicas = figure("replicas");
    assert!(replicas[1] >= 60.0, "{replicas:?}");
    assert!([0, 2, 3].iter().all(|node| (38.0..=47.0).contains(&replicas[*node])), "{replicas:?}");
    assert_all_there(&servers, 1);
}

/// A new node takes the place of one that is up, which hands over what it has and ends; and that of one that is dead, whose part
/// others have. All keys are there at the strictest level each time, and nobody else has lost or gained a claim.
#[test]
fn a_node_takes_the_place_of_one_that_is_up_and_of_one_that_is_dead() {
    let mut servers = Servers::prepare(6, "");
    let joins = |servers: &Servers, more: &str| format!("{}{more}\npartitions = 16\n", servers.seeds(&[1]));
    servers.configure_alone(1, "bootstrap = true\npartitions = 16\n");
    for node in 2..=4 {
        servers.configure_alone(node, &joins(&servers, ""));
    }
    servers.configure_alone(5, &joins(&servers, "\nreplaces = \"n2\""));
    servers.configure_alone(6, &joins(&servers, "\nreplaces = \"n3\""));
    (1..=4).for_each(|node| servers.launch(node));
    wait_until_settled(&servers, &[1, 2, 3, 4]);
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(1).put(&path, &[], &format!("value {key}")).status < 300);
    }
    let claims = |servers: &Servers| -> std::collections::BTreeMap<String, u64> {
        let seen = servers.http(1).get("/v1/cluster", &[]).json();
        let nodes = seen["nodes"].as_array().expect("it lists nodes").clone();
        let text = |node: &serde_json::Value| node["id"].as_str().unwrap_or_default().to_owned();
        nodes.iter().map(|node| (text(node), node["partitions"].as_u64().unwrap_or_default())).collect()
    };
    let before = claims(&servers);

    servers.launch(5);
    let status = servers.process(2).wait();
    assert!(status.success(), "{status}: {}", servers.process(2).logged());
    wait_until_settled(&servers, &[1, 3, 4, 5]);
    assert_all_there(&servers, 4);
    let after = claims(&servers);
    assert_eq!(
        [after["n1"], after["n3"], after["n4"], after["n5"]],
        [before["n1"], before["n3"], before["n4"], before["n2"]]
    );

    servers.kill_unnoticed(3);
    for node in [1, 4, 5] {
        wait_until("the others to know that it is dead", || {
            let seen = servers.http(node).get("/v1/cluster", &[]).json();
            seen["nodes"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["id"] == "n3" && one["state"] == "down"))
        });
    }
    servers.launch(6);
    wait_until_settled(&servers, &[1, 4, 5, 6]);
    assert_all_there(&servers, 4);
    assert_eq!(claims(&servers)["n6"], before["n3"]);
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
