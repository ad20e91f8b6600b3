//! Storing under a hash.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::client::Site;

const KEYS: &str = "/v1/keyspaces/default/keys";
/// The SHA-256 of "abc", from FIPS 180-4.
const HASH_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[tokio::test]
async fn content_is_stored_under_its_own_hash() {
    let site = Site::new();
    let posted = site.ask(&format!("POST {KEYS}"), "abc").await;
    assert_eq!(posted.status, StatusCode::CREATED);
    assert_eq!(posted.json()["key"], HASH_OF_ABC);
    assert_eq!(posted.json()["acknowledged"], 3);
    assert_eq!(posted.json()["context"], posted.header("henge-context"));
    assert_eq!(posted.header("henge-acknowledged"), "3");
    assert_eq!(posted.header("location"), format!("{KEYS}/{HASH_OF_ABC}"));
    assert_eq!(site.get(posted.header("location")).await.text(), "abc");
}

#[tokio::test]
async fn an_identifier_is_hashed_in_the_contents_stead() {
    let site = Site::new();
    for line in [format!("POST {KEYS}?identifier=abc"), format!("POST {KEYS} henge-identifier:abc")] {
        let posted = site.ask(&line, "a value").await;
        assert_eq!(posted.json()["key"], HASH_OF_ABC, "{line}");
        assert_eq!(site.get(posted.header("location")).await.text(), "a value");
    }
}

/// An identifier is bytes, not text.
#[tokio::test]
async fn an_identifier_in_a_header_need_not_be_utf_8() {
    let site = Site::new();
    let request = Request::post(KEYS).header("host", "localhost").header("henge-identifier", &b"\xff"[..]);
    let posted = site.send(request.body(Body::from("x")).unwrap()).await;
    let hash_of_ff = "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89";
    assert_eq!(posted.json()["key"], hash_of_ff);
}

#[tokio::test]
async fn the_location_names_the_keyspace_as_a_path_must() {
    let site = Site::new();
    let posted = site.ask("POST /v1/keyspaces/2/keys", "abc").await;
    assert_eq!(posted.header("location"), format!("/v1/keyspaces/by%20priority/keys/{HASH_OF_ABC}"));
}

#[tokio::test]
async fn two_identifiers_are_one_too_many() {
    let site = Site::new();
    let answer = site.ask(&format!("POST {KEYS}?identifier=a henge-identifier:b"), "x").await;
    assert_eq!((answer.status, answer.kind().as_str()), (StatusCode::BAD_REQUEST, "invalid-request"));
    assert_eq!(site.node.len(), 0);
}

/// The context of one key must not cover the values of another.
#[tokio::test]
async fn a_context_is_checked_against_the_key_that_the_hash_gives() {
    let site = Site::new();
    let token = site.ask(&format!("POST {KEYS}?identifier=a"), "x").await.header("henge-context").to_owned();
    let same = site.ask(&format!("POST {KEYS}?identifier=a henge-context:{token}"), "y").await;
    assert_eq!(same.status, StatusCode::CREATED);
    let other = site.ask(&format!("POST {KEYS}?identifier=b henge-context:{token}"), "y").await;
    assert_eq!(other.kind(), "invalid-context");
}
