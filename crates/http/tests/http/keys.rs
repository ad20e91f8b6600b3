//! One key: raw bytes in and out, everything else in header fields.

use api::{Command, Detail, ExpiryChange, Marks, Operation};
use axum::body::Body;
use axum::http::StatusCode;
use quorum::Level;
use std::time::Duration;
use types::WallTime;

use crate::client::Site;

const KEY: &str = "/v1/keyspaces/default/keys/greeting";

#[tokio::test]
async fn a_value_comes_back_as_the_bytes_that_were_put() {
    let site = Site::new();
    let every_byte: Vec<u8> = (0..=255).collect();
    let put = site.ask(&format!("PUT {KEY}"), every_byte.clone()).await;
    assert_eq!(put.status, StatusCode::NO_CONTENT);
    assert_eq!(put.header("henge-acknowledged"), "3");
    assert!(put.body.is_empty());

    let got = site.get(KEY).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.body, every_byte);
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert_eq!(got.header("henge-priority"), "0");
    assert_eq!(got.header("henge-context"), put.header("henge-context"));
}

/// An answer that has to be waited for is the same answer.
#[tokio::test]
async fn answers_may_come_later() {
    let site = Site::new();
    site.node.answer_later();
    site.put(KEY, "hello").await;
    assert_eq!(site.get(KEY).await.text(), "hello");
}

#[tokio::test]
async fn a_value_may_be_empty_and_is_not_absent_then() {
    let site = Site::new();
    site.put(KEY, "").await;
    let got = site.get(KEY).await;
    assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0));
}

/// Keys are any bytes: slashes, what is not UTF-8, and the zero byte among them.
#[tokio::test]
async fn a_key_may_be_any_bytes() {
    let site = Site::new();
    let every_byte: String = (0..=255).map(|byte: u8| format!("%{byte:02x}")).collect();
    for key in ["a%2Fb", "%ff%fe", "%00", "a+b", "%25", "..%2f", "%2E%2E", "%C3%A9", "a:b@c", &every_byte] {
        let path = format!("/v1/keyspaces/default/keys/{key}");
        assert_eq!(site.put(&path, key).await.status, StatusCode::NO_CONTENT, "{key}");
        assert_eq!(site.get(&path).await.text(), key);
    }
    assert_eq!(site.node.len(), 10);
    assert_eq!(site.get("/v1/keyspaces/default/keys/%c3%a9").await.text(), "%C3%A9");
}

#[tokio::test]
async fn a_keyspace_is_named_by_its_name_or_its_number() {
    let site = Site::new();
    site.put("/v1/keyspaces/by%20priority/keys/k", "1").await;
    assert_eq!(site.get("/v1/keyspaces/2/keys/k").await.text(), "1");
    assert_eq!(site.get("/v1/keyspaces/default/keys/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn head_answers_what_get_does_without_the_value() {
    let site = Site::new();
    site.put(KEY, "hello").await;
    let head = site.ask(&format!("HEAD {KEY}"), Body::empty()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header("content-length"), "5");
    assert!(!head.header("henge-context").is_empty());
    assert!(head.body.is_empty());

    let absent = site.ask("HEAD /v1/keyspaces/default/keys/absent", Body::empty()).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert!(absent.body.is_empty());
}

#[tokio::test]
async fn deleting_says_whether_there_was_a_value_and_twice_is_no_error() {
    let site = Site::new();
    site.put(KEY, "hello").await;
    let first = site.ask(&format!("DELETE {KEY}"), Body::empty()).await;
    assert_eq!((first.status, first.header("henge-existed")), (StatusCode::NO_CONTENT, "true"));
    assert_eq!(first.header("henge-acknowledged"), "3");
    let second = site.ask(&format!("DELETE {KEY}"), Body::empty()).await;
    assert_eq!((second.status, second.header("henge-existed")), (StatusCode::NO_CONTENT, "false"));
}

/// Who writes a deleted key again passes on what the delete left.
#[tokio::test]
async fn an_absent_key_is_a_problem_that_carries_the_context_of_its_deletion() {
    let site = Site::new();
    let never = site.get(KEY).await;
    assert_eq!((never.status, never.kind().as_str()), (StatusCode::NOT_FOUND, "no-such-key"));
    assert!(!never.headers.contains_key("henge-context"));

    site.put(KEY, "hello").await;
    let deleted = site.ask(&format!("DELETE {KEY}"), Body::empty()).await;
    let absent = site.get(KEY).await;
    assert_eq!(absent.kind(), "no-such-key");
    assert_eq!(absent.header("henge-context"), deleted.header("henge-context"));
}

#[tokio::test]
async fn json_is_given_to_those_who_ask_for_it() {
    let site = Site::new();
    let put = site.ask(&format!("PUT {KEY} accept:application/json henge-priority:7"), "hello").await;
    assert_eq!(put.status, StatusCode::OK);
    assert_eq!(put.json()["acknowledged"], 3);
    assert_eq!(put.json()["context"], put.header("henge-context"));

    let got = site.ask(&format!("GET {KEY} accept:application/json"), Body::empty()).await;
    assert_eq!(got.status, StatusCode::OK);
    let document = got.json();
    assert_eq!(document["context"], put.header("henge-context"));
    let expected = serde_json::json!([{
        "value": "aGVsbG8=", "clock": [["n1", 1]], "stamp": "1767225600001.0", "expires": null, "priority": 7
    }]);
    assert_eq!(document["values"], expected);

    let deleted = site.ask(&format!("DELETE {KEY} accept:application/json"), Body::empty()).await;
    assert_eq!((deleted.status, deleted.header("henge-existed")), (StatusCode::OK, "true"));
    assert_eq!(deleted.json()["acknowledged"], 3);
}

#[tokio::test]
async fn levels_and_the_time_limit_reach_the_node() {
    let site = Site::new();
    site.get(&format!("{KEY}?r=one&timeout_ms=250")).await;
    let asked = site.node.take_asked().remove(0);
    assert_eq!(asked.timeout, Some(Duration::from_millis(250)));
    let Command::Key(key) = asked.command else { panic!("not about a key") };
    assert!(matches!(key.operation, Operation::Get { read: Some(Level::One), detail: Detail::Values, .. }));

    site.put(&format!("{KEY}?w=3"), "x").await;
    assert!(matches!(site.node.operation(), Operation::Put { write: Some(Level::Count(3)), .. }));

    site.ask(&format!("DELETE {KEY}?r=two&w=each-quorum"), Body::empty()).await;
    let operation = site.node.operation();
    let expected = (Some(Level::Two), Some(Level::EachQuorum));
    assert!(matches!(operation, Operation::Delete { read, write, .. } if (read, write) == expected));
}

#[tokio::test]
async fn what_is_not_asked_for_is_left_to_the_keyspace() {
    let site = Site::new();
    site.put(KEY, "x").await;
    let Operation::Put { write, context, expiry, priority, .. } = site.node.operation() else {
        panic!("not a put")
    };
    assert_eq!((write, context, expiry, priority), (None, None, ExpiryChange::Clear, 0));
}

#[tokio::test]
async fn a_value_expires_when_its_writer_says() {
    let site = Site::new();
    site.put(&format!("{KEY}?expires_ms=1767225999000"), "x").await;
    assert!(matches!(
        site.node.operation(),
        Operation::Put { expiry: ExpiryChange::At(WallTime(1_767_225_999_000)), .. }
    ));
    assert_eq!(site.get(KEY).await.header("henge-expires"), "1767225999000");

    site.put(&format!("{KEY}?keep_ttl=true"), "x").await;
    site.node.take_asked();
    site.put(&format!("{KEY}?ttl_ms=60000"), "x").await;
    let Operation::Put { expiry: ExpiryChange::At(time), .. } = site.node.operation() else {
        panic!("no expiry")
    };
    assert!(time > crate::fake::NOW);
}

/// INVARIANTS C4: a weaker answer is visible as such.
#[tokio::test]
async fn weaker_answers_are_marked() {
    let site = Site::new();
    assert_eq!(site.put(KEY, "x").await.header("henge-marks"), "");
    site.node.mark(Marks { stand_in: true, relaxed_durability: true });
    let both = "stand-in, relaxed-durability";
    assert_eq!(site.put(KEY, "x").await.header("henge-marks"), both);
    assert_eq!(site.get(KEY).await.header("henge-marks"), both);
    assert_eq!(site.ask(&format!("DELETE {KEY}"), Body::empty()).await.header("henge-marks"), both);
    assert_eq!(site.get(KEY).await.header("henge-marks"), both);

    site.node.mark(Marks { stand_in: true, relaxed_durability: false });
    let put = site.ask(&format!("PUT {KEY} accept:application/json"), "x").await;
    assert_eq!(put.json()["marks"], serde_json::json!(["stand-in"]));
    let got = site.ask(&format!("GET {KEY} accept:application/json"), Body::empty()).await;
    assert_eq!(got.json()["marks"], serde_json::json!(["stand-in"]));
}

/// A read with a context is a read of one's own writes.
#[tokio::test]
async fn a_context_reaches_the_node_on_reads_too() {
    let site = Site::new();
    let token = site.put(KEY, "x").await.header("henge-context").to_owned();
    site.node.take_asked();
    site.ask(&format!("GET {KEY} henge-context:{token}"), Body::empty()).await;
    assert!(matches!(site.node.operation(), Operation::Get { context: Some(_), .. }));
}

/// A stored value must never become a page of this origin, nor stay in a cache.
#[tokio::test]
async fn answers_are_neither_kept_nor_guessed_at() {
    let site = Site::new();
    site.put(KEY, "<script>alert(1)</script>").await;
    let got = site.get(KEY).await;
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("cache-control"), "no-store");
    assert!(!got.headers.contains_key("access-control-allow-origin"));
}
