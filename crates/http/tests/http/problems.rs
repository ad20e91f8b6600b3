//! Every error is a problem document that says the truth about the write.

use api::{Action, Error, Part, Reply};
use axum::body::Body;
use axum::http::StatusCode;
use http_front::HttpOptions;
use quorum::Level;
use serde_json::{Value, json};

use crate::client::{Answer, Site};

const KEY: &str = "/v1/keyspaces/default/keys/greeting";

async fn put_answered_with(error: Error) -> Answer {
    let site = Site::new();
    site.node.answer_next(Err(error));
    site.put(KEY, "x").await
}

/// The members of the document that `expected` names are as it says.
fn check(answer: &Answer, status: u16, kind: &str, expected: &Value) {
    assert_eq!(answer.status.as_u16(), status);
    assert_eq!(answer.kind(), kind);
    let problem = answer.problem();
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&problem[member], value, "{member} in {problem}");
    }
}

#[tokio::test]
async fn too_few_owners_is_503_and_not_done() {
    let answer = put_answered_with(Error::Unavailable {
        action: Action::Write,
        level: Level::Quorum,
        needed: 2,
        got: 1,
        owners: 3,
        detail: "n2 and n3 are not reachable".to_owned(),
    })
    .await;
    let facts = json!({
        "result": "not-done", "action": "write", "level": "quorum", "needed": 2, "got": 1, "owners": 3, "instance": KEY
    });
    check(&answer, 503, "unavailable", &facts);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.problem()["detail"].as_str().unwrap().contains("n2 and n3 are not reachable"));
}

#[tokio::test]
async fn an_unknown_fate_is_504_and_said_to_be_unknown() {
    let error = Error::Unknown {
        level: Level::All,
        needed: 3,
        got: 2,
        owners: 3,
        detail: "n3 did not answer".to_owned(),
    };
    let facts = json!({"result": "unknown", "level": "all", "needed": 3, "got": 2, "owners": 3});
    let answer = put_answered_with(error).await;
    check(&answer, 504, "unknown", &facts);
    assert!(!answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn overload_is_429_and_says_when_to_come_back() {
    let answer = put_answered_with(Error::Overloaded("the queue is full".to_owned())).await;
    check(&answer, 429, "overloaded", &json!({"result": "not-done", "detail": "the queue is full"}));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn the_nodes_other_refusals_have_a_status_each() {
    let invalid = put_answered_with(Error::Invalid("no".to_owned())).await;
    check(&invalid, 400, "invalid-request", &json!({"result": "not-done", "detail": "no"}));

    let error =
        Error::TooLarge { what: Part::Key, bytes: 70_000, limit: 65_536, keyspace: "default".to_owned() };
    let facts = json!({"result": "not-done", "bytes": 70_000, "limit": 65_536, "keyspace": "default"});
    check(&put_answered_with(error).await, 413, "too-large", &facts);

    let error = Error::TooManySiblings { siblings: 100, keyspace: "default".to_owned() };
    let facts = json!({"result": "not-done", "siblings": 100, "keyspace": "default"});
    check(&put_answered_with(error).await, 409, "too-many-siblings", &facts);

    let error = Error::ContextRequired("default".to_owned());
    check(&put_answered_with(error).await, 428, "context-required", &json!({"result": "not-done"}));

    let error = Error::NotLed("2 of 3 voters are away".to_owned());
    let answer = put_answered_with(error).await;
    let detail = "the cluster cannot be changed now: 2 of 3 voters are away";
    check(&answer, 503, "not-led", &json!({"result": "not-done", "detail": detail}));
    assert_eq!(answer.header("retry-after"), "1");

    let error = Error::ChangeUnknown("n2 led it and is away".to_owned());
    let answer = put_answered_with(error).await;
    check(&answer, 504, "change-unknown", &json!({"result": "unknown"}));
    assert!(!answer.headers.contains_key("retry-after"));

    let error = Error::NoSuchKeyspace("default".to_owned());
    check(&put_answered_with(error).await, 404, "no-such-keyspace", &json!({"result": "not-done"}));
}

#[tokio::test]
async fn a_reply_to_another_question_is_a_defect_and_the_fate_unknown() {
    let site = Site::new();
    site.node.answer_next(Ok(Reply::Count(1)));
    check(&site.put(KEY, "x").await, 500, "internal-error", &json!({"result": "unknown"}));
}

#[tokio::test]
async fn an_unknown_keyspace_is_404_and_lists_those_there_are() {
    let site = Site::new();
    let facts = json!({"keyspace": "nope", "keyspaces": ["default", "siblings", "by priority"], "result": "not-done"});
    for line in
        ["GET /v1/keyspaces/nope/keys/k", "PUT /v1/keyspaces/nope/keys/k", "POST /v1/keyspaces/nope/keys"]
    {
        check(&site.ask(line, Body::empty()).await, 404, "no-such-keyspace", &facts);
    }
    assert_eq!(site.node.len(), 0);
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let site = Site::new();
    for path in [
        "/v2",
        "/v1/keyspaces/default/",
        "/v1/nodes/n1",
        "/v1/keyspaces/default/keys/a/b",
        "/v1/keyspaces/default/keys/",
        "//",
    ] {
        let answer = site.get(path).await;
        check(&answer, 404, "no-such-route", &json!({"instance": path}));
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_405_and_those_it_knows_are_listed() {
    let site = Site::new();
    let answer = site.ask(&format!("PATCH {KEY}"), Body::empty()).await;
    check(&answer, 405, "method-not-allowed", &json!({"result": "not-done"}));
    let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);

    let answer = site.ask("DELETE /v1/cluster", Body::empty()).await;
    assert_eq!((answer.kind().as_str(), answer.header("allow")), ("method-not-allowed", "GET,HEAD"));
    assert_eq!(site.get("/v1/keyspaces/default/keys").await.header("allow"), "POST");
}

#[tokio::test]
async fn a_wrong_query_is_400_and_nothing_is_done() {
    let site = Site::new();
    let queries = [
        "w=most",
        "w=0",
        "w=256",
        "r=",
        "w=1&w=2",
        "W=1",
        "timeout_ms=0",
        "timeout_ms=soon",
        "ttl_ms=-1",
        "ttl_ms=0",
        "ttl_ms=1&expires_ms=2",
        "ttl_ms=1&keep_ttl=true",
        "keep_ttl=perhaps",
        "identifier=x",
        "w=%ff",
        "w=%",
    ];
    for query in queries {
        let answer = site.put(&format!("{KEY}?{query}"), "x").await;
        check(&answer, 400, "invalid-request", &json!({"result": "not-done"}));
    }
    assert_eq!(site.get("/v1/cluster?verbose=1").await.kind(), "invalid-request");
    assert!(site.node.take_asked().is_empty());
}

/// What is told names what was wrong and what would be right.
#[tokio::test]
async fn a_wrong_level_is_answered_with_the_levels_that_there_are() {
    let answer = Site::new().get(&format!("{KEY}?r=most")).await;
    let problem = answer.problem();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("r: ") && detail.contains("most") && detail.contains("local-quorum"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_path_that_is_not_percent_encoding_is_400() {
    let site = Site::new();
    for path in ["/v1/keyspaces/default/keys/%", "/v1/keyspaces/default/keys/%zz", "/v1/keyspaces/%ff/keys/k"]
    {
        assert_eq!(site.get(path).await.kind(), "invalid-request", "{path}");
    }
}

#[tokio::test]
async fn a_context_that_is_not_one_or_of_another_key_is_400() {
    let site = Site::new();
    let token = site.put(KEY, "x").await.header("henge-context").to_owned();
    site.node.take_asked();
    let damaged = format!("B{}", &token[1..]);
    for context in ["nonsense!", "AAAA", &damaged] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = site.ask(&format!("{method} {KEY} henge-context:{context}"), Body::empty()).await;
            check(&answer, 400, "invalid-context", &json!({"result": "not-done"}));
        }
    }
    for other in ["/v1/keyspaces/default/keys/other", "/v1/keyspaces/siblings/keys/greeting"] {
        let answer = site.ask(&format!("PUT {other} henge-context:{token}"), "x").await;
        assert_eq!(answer.kind(), "invalid-context");
    }
    assert!(site.node.take_asked().is_empty());
}

#[tokio::test]
async fn headers_that_make_no_sense_are_400() {
    let site = Site::new();
    let headers = [
        "henge-priority:256",
        "henge-priority:high",
        "henge-priority:1 henge-priority:2",
        "henge-context:AAAA henge-context:BBBB",
        "content-range:bytes=0-1/2",
    ];
    for fields in headers {
        let answer = site.ask(&format!("PUT {KEY} {fields}"), "x").await;
        check(&answer, 400, "invalid-request", &json!({"result": "not-done"}));
    }
    assert!(site.node.take_asked().is_empty());
}

/// A value is stored as its bytes; a wrapping would be stored along with it.
#[tokio::test]
async fn a_wrapped_body_is_415() {
    let site = Site::new();
    for field in ["content-type:multipart/form-data;boundary=x", "content-encoding:gzip"] {
        for line in [format!("PUT {KEY} {field}"), format!("POST /v1/keyspaces/default/keys {field}")] {
            let answer = site.ask(&line, "x").await;
            check(&answer, 415, "unsupported-content", &json!({"result": "not-done"}));
        }
    }
    assert!(site.node.take_asked().is_empty());
    for field in [
        "content-type:text/plain",
        "content-type:application/x-www-form-urlencoded",
        "content-encoding:identity",
    ] {
        assert_eq!(site.ask(&format!("PUT {KEY} {field}"), "x").await.status, StatusCode::NO_CONTENT);
    }
}

/// A server that cannot check a condition must not act as if it held.
#[tokio::test]
async fn conditions_are_refused_and_not_passed_over() {
    let site = Site::new();
    for condition in ["if-none-match:*", "if-match:\"x\"", "if-unmodified-since:now"] {
        for method in ["PUT", "DELETE"] {
            let answer = site.ask(&format!("{method} {KEY} {condition}"), "x").await;
            check(&answer, 501, "unsupported-condition", &json!({"result": "not-done"}));
        }
    }
    assert!(site.node.take_asked().is_empty());
}

/// The limit is the keyspace's, whether the client says how long its value is or not.
#[tokio::test]
async fn a_value_beyond_the_keyspaces_limit_is_413() {
    let site = Site::new();
    site.node.change_status(|status| status.keyspaces[0].value_bytes_max = 8);
    assert_eq!(site.put(KEY, "12345678").await.status, StatusCode::NO_CONTENT);
    site.node.take_asked();

    let claimed = site.ask(&format!("PUT {KEY} content-length:9"), "123456789").await;
    let facts = json!({"result": "not-done", "bytes": 9, "limit": 8, "keyspace": "default"});
    check(&claimed, 413, "too-large", &facts);
    let unclaimed = site.put(KEY, "123456789").await;
    check(&unclaimed, 413, "too-large", &json!({"bytes": null, "limit": 8}));
    assert_eq!(site.ask("POST /v1/keyspaces/default/keys", "123456789").await.kind(), "too-large");
    assert!(site.node.take_asked().is_empty());
    assert_eq!(site.put("/v1/keyspaces/siblings/keys/k", "123456789").await.status, StatusCode::NO_CONTENT);
}

/// INVARIANTS J1: all bodies together stay inside one budget, and it is given back.
#[tokio::test]
async fn more_bytes_of_bodies_than_the_node_may_hold_are_overload() {
    let site = Site::with_options(HttpOptions { body_bytes_max: 8, ..HttpOptions::default() });
    check(&site.put(KEY, "123456789").await, 429, "overloaded", &json!({"result": "not-done"}));
    assert!(site.node.take_asked().is_empty());
    for _ in 0..3 {
        assert_eq!(site.put(KEY, "12345678").await.status, StatusCode::NO_CONTENT);
    }
}

/// The type of a problem is a path that explains it.
#[tokio::test]
async fn every_kind_of_problem_has_a_page() {
    let site = Site::new();
    let listing = site.get("/problems/nonsense").await;
    let problem = listing.problem();
    let pages: Vec<&str> =
        problem["detail"].as_str().unwrap().split("there are: ").nth(1).unwrap().split(", ").collect();
    assert!(pages.len() > 15);
    for page in pages {
        let answer = site.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        assert!(answer.text().lines().count() >= 3);
    }
}
