//! The cluster is changed by documents that are understood strictly, and each answer says what came of it.

use api::{Change, Error, KeyspaceSettings};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::client::Site;

fn settings(settings: KeyspaceSettings) -> Box<KeyspaceSettings> {
    Box::new(settings)
}

/// Numbers may be numbers, and every setting reaches the node in the words that were given.
#[tokio::test]
async fn a_keyspace_is_made_with_the_settings_of_the_document() {
    let site = Site::new();
    let body = json!({
        "name": "carts", "number": 9, "n": 3, "r": 2, "w": "quorum", "preset": "quorum", "policy": "siblings",
        "quorum": "strict", "durability": "interval", "require_context": true, "allow_flush": false,
        "max_clock_entries": 50, "value_bytes_max": 4096
    });
    let answer = site.ask("POST /v1/keyspaces", body.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(answer.header("location"), "/v1/keyspaces/carts");
    let document = answer.json();
    let part = |name: &str| document[name].clone();
    assert_eq!([part("name"), part("number"), part("epoch")], [json!("carts"), json!(9), json!(8)]);
    assert_eq!([part("model"), part("partitions"), part("notes")], [json!("eventual"), json!(0), json!([])]);
    let text = |text: &str| Some(text.to_owned());
    let expected = KeyspaceSettings {
        number: Some(9),
        n: text("3"),
        r: text("2"),
        w: text("quorum"),
        preset: text("quorum"),
        policy: text("siblings"),
        quorum: text("strict"),
        durability: text("interval"),
        require_context: Some(true),
        allow_flush: Some(false),
        max_clock_entries: Some(50),
        value_bytes_max: Some(4096),
    };
    let made = Change::CreateKeyspace { name: "carts".to_owned(), settings: settings(expected) };
    assert_eq!(site.node.change(), (made, false));
    assert_eq!(site.get("/v1/keyspaces/carts").await.json()["number"], 9);
    assert_eq!(site.put("/v1/keyspaces/carts/keys/k", "x").await.status, StatusCode::NO_CONTENT);
}

/// A misspelt setting would otherwise be another promise in silence.
#[tokio::test]
async fn what_is_not_known_is_refused_in_words() {
    let site = Site::new();
    for (line, body, word) in [
        ("POST /v1/keyspaces", r#"{"name": "a", "quorums": "strict"}"#, "quorums"),
        ("POST /v1/keyspaces", r#"{"n": 3}"#, "name"),
        ("POST /v1/keyspaces", r#"{"name": "a", "n": 1.5}"#, "want a number or a text"),
        ("POST /v1/keyspaces", r#"{"name": "a", "name": "b"}"#, "name"),
        ("POST /v1/keyspaces", "", "JSON"),
        ("POST /v1/keyspaces", "name=a", "JSON"),
        ("PATCH /v1/keyspaces/default", r#"{"name": "other"}"#, "name"),
        ("PATCH /v1/keyspaces/default", r#"{"allow_flush": "yes"}"#, "boolean"),
        ("PATCH /v1/keyspaces/default", "{}", "names no setting"),
        ("POST /v1/nodes/n1/drain", r#"{"below-n": true}"#, "below_n"),
        ("POST /v1/nodes/n1/remove", r#"{"below_n": 1}"#, "boolean"),
        ("POST /v1/nodes/n1/cancel", r#"{"below_n": true}"#, "below_n"),
        ("PUT /v1/nodes/n1/weight", "", "JSON"),
        ("POST /v1/partitions/first/move", r#"{"to": "n3"}"#, "`first`"),
        ("POST /v1/partitions/17/move", r#"{"from": "n3"}"#, "to"),
        ("PUT /v1/nodes/n1/weight", r#"{"weight": "2"}"#, "f64"),
        ("POST /v1/nodes/n1/drain?dry_run=true", "", "dry-run"),
        ("POST /v1/nodes/n1/drain?dry-run=1", "", "dry-run"),
        ("POST /v1/keyspaces?dry-run=true", r#"{"name": "a"}"#, "dry-run"),
    ] {
        let answer = site.ask(line, body).await;
        assert_eq!(answer.kind(), "invalid-request", "{line} {body}");
        let problem = answer.problem();
        assert_eq!(problem["result"], "not-done");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{word} in {problem}");
    }
    let long = format!("{{\"name\": \"{}\"}}", "a".repeat(70_000));
    assert_eq!(site.ask("POST /v1/keyspaces", long).await.kind(), "invalid-request");
    let answer = site.ask("DELETE /v1/keyspaces/default if-match:x", Body::empty()).await;
    assert_eq!(answer.kind(), "unsupported-condition");
    assert!(site.node.take_asked().is_empty());
}

/// Only what the document names is to be another; a number stands for the keyspace that has it.
#[tokio::test]
async fn a_keyspace_is_altered_by_what_the_document_names() {
    let site = Site::new();
    let answer = site.ask("PATCH /v1/keyspaces/1", r#"{"n": "dc1=2,dc2=1"}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    let document = answer.json();
    assert_eq!((&document["name"], &document["replication"]), (&json!("siblings"), &json!("dc1=2,dc2=1")));
    assert_eq!((&document["epoch"], &document["partitions"]), (&json!(8), &json!(256)));
    let n = Some("dc1=2,dc2=1".to_owned());
    let altered = Change::AlterKeyspace {
        name: "siblings".to_owned(),
        settings: settings(KeyspaceSettings { n, ..KeyspaceSettings::default() }),
    };
    assert_eq!(site.node.change(), (altered.clone(), false));

    let planned = site.ask("PATCH /v1/keyspaces/siblings?dry-run=true", r#"{"n": "dc1=2,dc2=1"}"#).await;
    assert_eq!(planned.json()["moves"][0]["partition"], 17);
    assert_eq!(site.node.change(), (altered, true));
}

/// What this node has not heard of may be there all the same, so it is asked for.
#[tokio::test]
async fn a_keyspace_is_dropped_by_those_who_know_whether_it_is_there() {
    let site = Site::new();
    let answer = site.ask("DELETE /v1/keyspaces/siblings", Body::empty()).await;
    assert_eq!((answer.status, &answer.json()["epoch"]), (StatusCode::OK, &json!(8)));
    assert_eq!(site.get("/v1/keyspaces/siblings/keys/k").await.kind(), "no-such-keyspace");
    site.node.take_asked();
    let again = site.ask("DELETE /v1/keyspaces/siblings", Body::empty()).await;
    assert_eq!(again.kind(), "no-such-keyspace");
    assert_eq!(site.node.change(), (Change::DropKeyspace { name: "siblings".to_owned() }, false));
}

#[tokio::test]
async fn nodes_leave_are_removed_turn_round_and_weigh_and_partitions_are_halved_and_merged() {
    let site = Site::new();
    let name = |name: &str| name.to_owned();
    for (line, body, expected) in [
        ("POST /v1/nodes/n3/drain", "", Change::Drain { nodes: vec![name("n3")], below_n: false }),
        (
            "POST /v1/nodes/n2,n3/drain",
            r#"{"below_n": true}"#,
            Change::Drain { nodes: vec![name("n2"), name("n3")], below_n: true },
        ),
        (
            "POST /v1/nodes/n%33/remove",
            "{}",
            Change::Remove { node: name("n3"), below_n: false, lose_data: false },
        ),
        ("POST /v1/nodes/n3/cancel", "", Change::Cancel { node: name("n3") }),
        ("PUT /v1/nodes/n3/weight", r#"{"weight": 2}"#, Change::Weigh { node: name("n3"), weight: 2.0 }),
        ("POST /v1/partitions/halve", "", Change::Halve { partitions: None }),
        ("POST /v1/partitions/halve", r#"{"partitions": 256}"#, Change::Halve { partitions: Some(256) }),
        ("POST /v1/partitions/merge", "", Change::Merge { partitions: None }),
        ("POST /v1/partitions/merge", r#"{"partitions": 256}"#, Change::Merge { partitions: Some(256) }),
        ("DELETE /v1/partitions/merge", "", Change::KeepHalves),
        (
            "POST /v1/partitions/17/move",
            r#"{"to": "n3"}"#,
            Change::MovePartition { partition: 17, from: None, to: name("n3") },
        ),
        (
            "POST /v1/partitions/0/move",
            r#"{"to": "n3", "from": "n1"}"#,
            Change::MovePartition { partition: 0, from: Some(name("n1")), to: name("n3") },
        ),
    ] {
        let answer = site.ask(line, body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{line}");
        let document = answer.json();
        assert_eq!((&document["partitions"], &document["notes"]), (&json!(64), &json!(["n4 is slow"])));
        assert_eq!(site.node.change(), (expected.clone(), false));

        let plan = site.ask(&format!("{line}?dry-run=true"), body).await;
        let expected_plan: Value = json!({
            "epoch": 7, "notes": ["n3 gets most"],
            "moves": [{"partition": 17, "keyspaces": ["default"], "from": ["n1"], "to": ["n3"], "why": "n1 leaves", "bytes": 4096}]
        });
        assert_eq!((plan.status, plan.json()), (StatusCode::OK, expected_plan));
        assert_eq!(site.node.change(), (expected, true));
    }
}

/// A change that the node refuses, cannot make now, or knows nothing of, is told as that.
#[tokio::test]
async fn the_fate_of_a_change_is_told() {
    let site = Site::new();
    for (error, kind, result) in [
        (Error::Invalid("there is no member `n9`".to_owned()), "invalid-request", "not-done"),
        (Error::NotLed("no majority".to_owned()), "not-led", "not-done"),
        (Error::ChangeUnknown("it was sent".to_owned()), "change-unknown", "unknown"),
    ] {
        site.node.answer_next(Err(error));
        let answer = site.ask("POST /v1/nodes/n9/remove", "").await;
        assert_eq!((answer.kind().as_str(), &answer.problem()["result"]), (kind, &json!(result)));
    }
}

/// A form on a page of somebody else's must not drain a node (INVARIANTS K4).
#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let site = Site::new();
    let answer = site.ask("POST /v1/nodes/n3/drain origin:http://evil.example", "").await;
    assert_eq!(answer.kind(), "foreign-origin");
    assert!(site.node.take_asked().is_empty());
}
