//! What a node shows of the cluster and of itself.

use api::{MovementStatus, NodeState};
use axum::http::StatusCode;
use serde_json::json;
use types::Epoch;

use crate::client::Site;

#[tokio::test]
async fn the_cluster_is_its_members_as_this_node_sees_them() {
    let site = Site::new();
    site.node.change_status(|status| status.nodes[1].state = NodeState::Down);
    let document = site.get("/v1/cluster").await.json();
    assert_eq!(document["name"], "test");
    assert_eq!(document["epoch"], 7);
    assert_eq!(document["node"], "n1");
    assert_eq!((&document["movements"], &document["waiting"]), (&json!([]), &json!(0)));
    assert_eq!(document["voters"], json!(["n1", "n2", "n3"]));
    assert_eq!((&document["leader"], &document["term"]), (&json!("n2"), &json!(3)));
    assert_eq!(document["notices"], json!(["durability is interval"]));
    let expected = json!({
        "id": "n2", "number": 2, "state": "down", "standing": "settled", "datacenter": "dc2", "rack": "r1", "weight": 1.0, "partitions": 85,
        "replicas": 256, "resp": "127.0.0.1:7002", "cluster": null, "http": "127.0.0.1:8002", "peer": "127.0.0.1:9002"
    });
    assert_eq!(document["nodes"][1], expected);
    assert_eq!(document["nodes"].as_array().unwrap().len(), 3);
}

/// What a node does not know of a movement is null, and not zero.
#[tokio::test]
async fn what_moves_is_shown_with_what_is_known_of_it() {
    let site = Site::new();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let unknown = MovementStatus {
        partition: 17,
        session: Epoch(5),
        stage: "filling",
        from: names(&["n1"]),
        to: names(&["n3"]),
        keyspaces: names(&["default", "siblings"]),
        bytes_total: None,
        bytes_done: None,
        waits_for: None,
    };
    let known = MovementStatus {
        partition: 18,
        bytes_total: Some(100),
        bytes_done: Some(40),
        waits_for: Some(names(&["n3"])),
        ..unknown.clone()
    };
    site.node.change_status(|status| (status.movements, status.waiting) = (vec![unknown, known], 42));
    let document = site.get("/v1/cluster").await.json();
    let expected = |partition, total: Option<u64>, done: Option<u64>, waits_for: Option<Vec<&str>>| {
        json!({
            "partition": partition, "session": 5, "stage": "filling", "from": ["n1"], "to": ["n3"],
            "keyspaces": ["default", "siblings"], "bytes_total": total, "bytes_done": done, "waits_for": waits_for
        })
    };
    let first = expected(17, None, None, None);
    let second = expected(18, Some(100), Some(40), Some(vec!["n3"]));
    assert_eq!(document["movements"], json!([first, second]));
    assert_eq!(document["waiting"], 42);
}

/// Who joins or leaves serves what he owns; who is gone for good does not, whatever answers there.
#[tokio::test]
async fn readiness_counts_those_who_serve() {
    let site = Site::new();
    for (state, status) in [
        (NodeState::Joining, StatusCode::OK),
        (NodeState::Leaving, StatusCode::OK),
        (NodeState::Gone, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        site.node.change_status(|status| {
            status.nodes[1].state = NodeState::Down;
            status.nodes[2].state = state;
        });
        assert_eq!(site.get("/readyz").await.status, status, "{state:?}");
    }
}

#[tokio::test]
async fn members_are_shown_as_this_node_has_heard_of_them() {
    let document = Site::new().get("/v1/members").await.json();
    let expected = json!({
        "id": "n2", "verdict": "up", "generation": 1, "heartbeat": 7, "age_ms": 250, "phi": 0.13, "suspected_by": [],
        "disk_is_full": true, "load": {
            "operations_per_second": 1200, "cpu_permille": 340, "disk_used_bytes": 5, "disk_bytes": 50,
            "hottest": [{"partition": 17, "operations_per_second": 410}]
        }
    });
    assert_eq!((&document["cluster"], &document["node"]), (&json!("test"), &json!("n1")));
    assert_eq!(document["members"][1], expected);
}

/// Keys of any bytes can be told, and those of a keyspace that is gone.
#[tokio::test]
async fn what_is_hot_is_shown() {
    let document = Site::new().get("/v1/hot").await.json();
    assert_eq!(document["node"], "n1");
    let hot = json!({
        "keyspace": "default", "key": "user:1", "key_base64": "dXNlcjox", "partition": 17,
        "reads_per_second": 812.4, "writes_per_second": 31.0, "missed_per_second": 0.1
    });
    assert_eq!(document["keys"][0], hot);
    let other = &document["keys"][1];
    let expected = (&json!("ks999"), &json!("\u{FFFD}"), &json!("/w=="));
    assert_eq!((&other["keyspace"], &other["key"], &other["key_base64"]), expected);
    let partition = json!({
        "partition": 17, "reads_per_second": 900.0, "writes_per_second": 77.5, "bytes_per_second": 1_000_000.0
    });
    assert_eq!(document["partitions"], json!([partition]));
}

#[tokio::test]
async fn the_ring_names_the_owners_of_every_slot() {
    let document = Site::new().get("/v1/ring").await.json();
    let expected = json!({"epoch": 7, "partitions": 256, "slots": [
        {"first": 0, "last": 8191, "primary": "n1", "owners": ["n1", "n2", "n3"]},
        {"first": 8192, "last": 16383, "primary": "n3", "owners": ["n3", "n1", "n2"]},
    ]});
    assert_eq!(document, expected);
}

#[tokio::test]
async fn keyspaces_are_shown_with_what_they_promise() {
    let document = Site::new().get("/v1/keyspaces").await.json();
    let expected = json!({
        "id": 11, "number": 1, "name": "siblings", "n": 3, "replication": "3", "r": "quorum", "w": "quorum",
        "policy": "siblings", "quorum": "sloppy", "durability": "always", "model": "eventual",
        "promise": "Always writable.", "key_bytes_max": 65536, "value_bytes_max": 1048576, "siblings_max": 100,
        "require_context": false, "allow_flush": false
    });
    assert_eq!(document["keyspaces"][1], expected);
    assert_eq!(document["keyspaces"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_key_is_explained_by_what_its_owners_hold() {
    let site = Site::new();
    site.put("/v1/keyspaces/default/keys/a%2Fb", "x").await;
    let document = site.get("/v1/explain/default/a%2Fb").await.json();
    let expected = json!({
        "slot": ring::Slot::of_key(b"a/b").number(), "partition": 1, "partitions": 256,
        "quorum": "N=3 R=quorum W=quorum", "fallbacks": ["n4"],
        "owners": [{"node": "n1", "state": "found", "clocks": [[["n1", 1]]], "stamp": "1767225600001.0", "bytes": 72}]
    });
    assert_eq!(document, expected);
    assert_eq!(site.get("/v1/explain/absent/k").await.kind(), "no-such-keyspace");
}

#[tokio::test]
async fn the_figures_are_in_the_format_of_prometheus() {
    let site = Site::new();
    site.put("/v1/keyspaces/default/keys/k", "x").await;
    let metrics = site.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let expected =
        "# HELP henge_writes_total Writes made.\n# TYPE henge_writes_total counter\nhenge_writes_total 1\n";
    assert_eq!(metrics.text(), expected);
}

#[tokio::test]
async fn a_node_that_runs_is_healthy_whatever_the_others_do() {
    let site = Site::new();
    site.node.change_status(|status| status.nodes[1].state = NodeState::Down);
    site.node.change_status(|status| status.nodes[2].state = NodeState::Down);
    let answer = site.get("/healthz").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok\n"));
}

/// Ready means: for every slot, enough owners are up for the default keyspace's own levels.
#[tokio::test]
async fn a_node_is_ready_while_the_default_keyspace_can_be_served() {
    let site = Site::new();
    assert_eq!(site.get("/readyz").await.text(), "ready\n");
    site.node.change_status(|status| status.nodes[1].state = NodeState::Down);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);

    site.node.change_status(|status| status.nodes[2].state = NodeState::Down);
    let answer = site.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let problem = answer.problem();
    assert_eq!(answer.kind(), "not-ready");
    assert_eq!((&problem["needed"], &problem["got"], &problem["owners"]), (&json!(2), &json!(1), &json!(3)));
    assert_eq!(problem["level"], "quorum");
}

#[tokio::test]
async fn readiness_asks_for_what_writes_need_and_where_they_need_it() {
    let site = Site::new();
    site.node.change_status(|status| status.nodes[1].state = NodeState::Down);
    site.node.change_status(|status| status.keyspaces[0].w = quorum::Level::All);
    assert_eq!(site.get("/readyz").await.problem()["needed"], 3);
    site.node.change_status(|status| status.keyspaces[0].w = quorum::Level::LocalQuorum);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    site.node.change_status(|status| status.keyspaces[0].w = quorum::Level::EachQuorum);
    assert_eq!(site.get("/readyz").await.kind(), "not-ready");
}

#[tokio::test]
async fn the_first_page_links_to_what_there_is() {
    let site = Site::new();
    let page = site.get("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let links: Vec<&str> =
        page.text().split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() > 5);
    for link in links {
        assert_eq!(site.get(link).await.status, StatusCode::OK, "{link}");
    }
}
