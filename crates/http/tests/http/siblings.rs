//! Several values of one key: never lost, never picked from in silence.

use axum::body::Body;
use axum::http::StatusCode;

use crate::client::{Answer, Site};

const KEY: &str = "/v1/keyspaces/siblings/keys/basket";

/// Two blind writes of `values`, one beside the other.
async fn site_with(values: [&'static [u8]; 2]) -> Site {
    let site = Site::new();
    for value in values {
        assert_eq!(site.ask(&format!("PUT {KEY}"), value).await.status, StatusCode::NO_CONTENT);
    }
    site
}

#[tokio::test]
async fn siblings_answer_300_with_all_values_as_json() {
    let site = site_with([b"milk", b"bread"]).await;
    let got = site.get(KEY).await;
    assert_eq!(got.status, StatusCode::MULTIPLE_CHOICES);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("henge-siblings"), "2");
    let document = got.json();
    assert_eq!(document["context"], got.header("henge-context"));
    let expected = serde_json::json!([
        {"value": "bWlsaw==", "clock": [["n1", 1]], "stamp": "1767225600001.0", "expires": null, "priority": 0},
        {"value": "YnJlYWQ=", "clock": [["n1", 2]], "stamp": "1767225600002.0", "expires": null, "priority": 0},
    ]);
    assert_eq!(document["values"], expected);
}

#[tokio::test]
async fn a_write_with_the_context_of_a_read_replaces_what_was_read_and_nothing_else() {
    let site = site_with([b"milk", b"bread"]).await;
    let token = site.get(KEY).await.header("henge-context").to_owned();
    site.put(KEY, "eggs").await;
    site.ask(&format!("PUT {KEY} henge-context:{token}"), "milk and bread").await;
    let values = site.get(KEY).await.json()["values"].clone();
    let values: Vec<&str> =
        values.as_array().unwrap().iter().map(|value| value["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["ZWdncw==", "bWlsayBhbmQgYnJlYWQ="]);
}

/// Two writers who both read first: the classic conflict, and its end by one more write.
#[tokio::test]
async fn a_conflict_ends_with_a_write_that_covers_it() {
    let site = site_with([b"milk", b"bread"]).await;
    let token = site.get(KEY).await.header("henge-context").to_owned();
    let merged = site.ask(&format!("PUT {KEY} henge-context:{token}"), "both").await;
    let got = site.get(KEY).await;
    assert_eq!((got.status, got.text()), (StatusCode::OK, "both"));
    assert_eq!(got.header("henge-context"), merged.header("henge-context"));
}

/// A delete covers what its writer has read, and leaves what it has not.
#[tokio::test]
async fn a_delete_with_a_context_leaves_what_the_context_does_not_cover() {
    let site = Site::new();
    let token = site.put(KEY, "milk").await.header("henge-context").to_owned();
    site.put(KEY, "bread").await;
    site.ask(&format!("DELETE {KEY} henge-context:{token}"), Body::empty()).await;
    assert_eq!(site.get(KEY).await.text(), "bread");
}

#[tokio::test]
async fn siblings_come_as_multipart_to_those_who_ask_for_it() {
    let site = site_with([b"\x00\xff--henge-", b"two\r\nlines\r\n"]).await;
    let got = site.ask(&format!("GET {KEY} accept:multipart/mixed"), Body::empty()).await;
    assert_eq!(got.status, StatusCode::MULTIPLE_CHOICES);
    let parts = parts(&got);
    let values: Vec<&[u8]> = parts.iter().map(|(_, value)| value.as_slice()).collect();
    assert_eq!(values, [&b"\x00\xff--henge-"[..], b"two\r\nlines\r\n"]);
    assert_eq!(
        parts[1].0,
        "content-type: application/octet-stream\r\nhenge-clock: n1=2\r\n\
         henge-stamp: 1767225600002.0\r\nhenge-priority: 0"
    );
}

/// A single value needs no wrapping, whatever the client would take.
#[tokio::test]
async fn a_single_value_is_never_multipart() {
    let site = Site::new();
    site.put(KEY, "milk").await;
    let got = site.ask(&format!("GET {KEY} accept:multipart/mixed"), Body::empty()).await;
    assert_eq!((got.status, got.text()), (StatusCode::OK, "milk"));
    assert_eq!(got.header("content-type"), "application/octet-stream");
}

/// A reader of bytes gets the values all the same: picking one for it would lose the other.
#[tokio::test]
async fn siblings_are_shown_also_to_those_who_accept_bytes_only() {
    let site = site_with([b"milk", b"bread"]).await;
    let got = site.ask(&format!("GET {KEY} accept:application/octet-stream"), Body::empty()).await;
    assert_eq!((got.status, got.header("content-type")), (StatusCode::MULTIPLE_CHOICES, "application/json"));
}

#[tokio::test]
async fn the_priority_policy_shows_the_value_of_the_more_important_writer() {
    let site = Site::new();
    let key = "/v1/keyspaces/by%20priority/keys/k";
    site.ask(&format!("PUT {key} henge-priority:9"), "manager").await;
    site.ask(&format!("PUT {key} henge-priority:1"), "clerk").await;
    let got = site.get(key).await;
    assert_eq!((got.text(), got.header("henge-priority")), ("manager", "9"));
}

/// The parts of a multipart body: header fields and bytes. A reader as simple as RFC 2046 allows.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary =
        answer.header("content-type").strip_prefix("multipart/mixed; boundary=").expect("multipart");
    let delimiter = format!("\r\n--{boundary}");
    let whole = [b"\r\n", &answer.body[..]].concat();
    let mut pieces = split(&whole, delimiter.as_bytes());
    assert_eq!(pieces.remove(0), b"");
    assert_eq!(pieces.pop().unwrap(), b"--\r\n");
    let part = |piece: &[u8]| {
        let mut halves = split(&piece[2..], b"\r\n\r\n");
        let head = String::from_utf8(halves.remove(0)).unwrap();
        (head, halves.join(&b"\r\n\r\n"[..]))
    };
    pieces.iter().map(|piece| part(piece)).collect()
}

fn split(bytes: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut place = 0;
    while place < bytes.len() {
        if bytes[place..].starts_with(delimiter) {
            pieces.push(Vec::new());
            place += delimiter.len();
        } else {
            pieces.last_mut().unwrap().push(bytes[place]);
            place += 1;
        }
    }
    pieces
}
