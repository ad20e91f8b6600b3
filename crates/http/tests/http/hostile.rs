//! Over a socket: other protocols, smuggled requests, and clients that stall (INVARIANTS K3, K4).

use std::time::Duration;

use axum::http::StatusCode;
use http_front::{ConnectionLimits, HttpOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Site, read_to_end};
use crate::fake::KEY_THAT_PANICS;

const KEY: &str = "/v1/keyspaces/default/keys/k";

/// Limits that let a test see the end of a stalled connection soon. No test depends on how soon.
fn impatient() -> ConnectionLimits {
    ConnectionLimits { header_timeout: Duration::from_millis(400), ..ConnectionLimits::default() }
}

#[tokio::test]
async fn requests_are_answered_one_after_another_on_one_connection() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let put = format!("PUT {KEY} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello");
    let get = format!("GET {KEY} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answers = listening.exchange(format!("{put}{get}").as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 204 No Content\r\n"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK\r\n") && answers.ends_with("\r\n\r\nhello"), "{answers}");
    listening.stop().await;
}

/// Bytes of another protocol are never a request of this one.
#[tokio::test]
async fn a_redis_client_is_answered_400_and_the_connection_closed() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    for bytes in
        [set, "PING\r\n", "SET k v\r\n", "*1\r\n$4\r\nPING\r\n", "\0\0\0\x10", "\x16\x03\x01\x02\0\x01"]
    {
        let answer = listening.exchange(format!("{bytes}\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bytes:?}: {answer:?}");
    }
    assert!(site.node.take_asked().is_empty());
}

/// Two programs that disagree on where a body ends would see two different requests.
#[tokio::test]
async fn ambiguous_framing_is_refused_and_runs_nothing() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let framings = [
        "content-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        "content-length: 1, 2\r\n\r\nxy",
        "content-length: +1\r\n\r\nx",
        "content-length: -1\r\n\r\nx",
        "content-length: 0x1\r\n\r\nx",
        "content-length: 99999999999999999999999\r\n\r\nx",
        "transfer-encoding: gzip\r\n\r\nx",
        "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "content-length : 1\r\n\r\nx",
        "transfer-encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n0\r\n\r\n",
    ];
    for framing in framings {
        let request = format!("PUT {KEY} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{framing}");
        let answer = listening.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing:?}: {answer:?}");
    }
    assert!(site.node.take_asked().is_empty());
}

/// Of two lengths the chunked one holds (RFC 9112, section 6.3); what follows it is a request of its own, and what is
/// inside it is not.
#[tokio::test]
async fn a_request_inside_a_body_is_not_run() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let inner = "DELETE /v1/keyspaces/default/keys/victim HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let length = inner.len();
    for framing in ["", "content-length: 4\r\n"] {
        let request = format!(
            "PUT {KEY} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{framing}transfer-encoding: chunked\r\n\r\n\
             {length:x}\r\n{inner}\r\n0\r\n\r\n"
        );
        let answer = listening.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        assert_eq!(site.node.take_asked().len(), 1);
        assert_eq!(site.get(KEY).await.text(), inner);
        site.node.take_asked();
    }
}

/// A value that ends early was never sent.
#[tokio::test]
async fn half_a_body_stores_nothing() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let mut stream = listening.connect().await;
    let half = format!("PUT {KEY} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhello");
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(!answer.contains(" 204 ") && !answer.contains(" 200 "), "{answer}");
    listening.stop().await;
    assert!(site.node.take_asked().is_empty());
}

/// A claimed length is refused for what it claims, and nothing is set aside for it: no byte of the body was sent.
#[tokio::test]
async fn an_absurd_length_is_refused_before_the_body() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let head = format!(
        "PUT {KEY} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 18446744073709551000\r\n\r\n"
    );
    let answer = listening.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && !answer.contains("100 Continue"), "{answer}");
    assert!(answer.contains("\"limit\":1048576"), "{answer}");
}

/// A client that sends all of its body before it reads is told of the refusal, and not of a broken connection.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let body = vec![b'x'; 8 * 1024 * 1024];
    for (path, kind) in [(KEY, "too-large"), ("/v1/keyspaces/nope/keys/k", "no-such-keyspace")] {
        let head =
            format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = listening.exchange(&[head.as_bytes(), &body].concat()).await;
        assert!(answer.contains(&format!("/problems/{kind}")), "{answer}");
    }
    assert!(site.node.take_asked().is_empty());
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let site = Site::new();
    let listening = site.listen(impatient()).await;
    let mut stream = listening.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
    read_to_end(&mut stream).await; // Ends only if the server closes.
}

/// A connection that was used and then is not counts as one whose next head never ends.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let site = Site::new();
    let listening = site.listen(impatient()).await;
    let answer = listening.exchange(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = Site::new();
    let limits =
        ConnectionLimits { headers_max: 8, header_bytes_max: 16 * 1024, ..ConnectionLimits::default() };
    let listening = site.listen(limits).await;
    let many = "x: y\r\n".repeat(9);
    let answer =
        listening.exchange(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = "y".repeat(20 * 1024);
    let answer = listening
        .exchange(format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n").as_bytes())
        .await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// The longest context beside a long key is still a request like any other.
#[tokio::test]
async fn a_long_key_and_a_long_context_are_accepted() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let key = "k".repeat(65_000);
    let token = "A".repeat(64 * 1024);
    let head =
        format!("GET /v1/keyspaces/default/keys/{key} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    let answer = listening.exchange(format!("{head}\r\n").as_bytes()).await;
    assert!(answer.contains("/problems/no-such-key"), "{answer}");
    let answer = listening.exchange(format!("{head}henge-context: {token}\r\n\r\n").as_bytes()).await;
    assert!(answer.contains("/problems/invalid-context"), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_is_ended_with_408() {
    let site = Site::with_options(HttpOptions {
        body_timeout: Duration::from_millis(100),
        ..HttpOptions::default()
    });
    let listening = site.listen(ConnectionLimits::default()).await;
    let head = format!("PUT {KEY} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf");
    let answer = listening.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/body-timeout"), "{answer}");
    assert!(site.node.take_asked().is_empty());
}

#[tokio::test]
async fn a_client_too_many_is_turned_away_and_its_place_comes_free() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() }).await;
    let mut first = listening.connect().await;
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();

    let mut second = listening.connect().await;
    let answer = read_to_end(&mut second).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["status"], &problem["result"]), (&503.into(), &"not-done".into()));

    drop(first);
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    while !listening.exchange(request).await.starts_with("HTTP/1.1 200 ") {
        tokio::task::yield_now().await;
    }
}

/// A defect costs the connection that it was found on, and no other.
#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let mut other = listening.connect().await;
    let request =
        format!("GET /v1/keyspaces/default/keys/{KEY_THAT_PANICS} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(listening.exchange(request.as_bytes()).await, "");
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut other).await.starts_with("HTTP/1.1 200 "));
}

/// A client that asks and does not read cannot hold its answer for ever.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let site = Site::new();
    let value = vec![b'x'; 1024 * 1024];
    assert_eq!(site.ask(&format!("PUT {KEY}"), value).await.status, StatusCode::NO_CONTENT);
    let limits =
        ConnectionLimits { write_timeout: Duration::from_millis(100), ..ConnectionLimits::default() };
    let listening = site.listen(ConnectionLimits { connections_max: 1, ..limits }).await;
    let mut stalled = listening.connect().await;
    let get = format!("GET {KEY} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stalled.write_all(get.repeat(32).as_bytes()).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    while !listening.exchange(request).await.starts_with("HTTP/1.1 200 ") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Shutting down ends idle connections, and lets nobody in any more.
#[tokio::test]
async fn shutting_down_ends_the_connections() {
    let site = Site::new();
    let listening = site.listen(ConnectionLimits::default()).await;
    let address = listening.address;
    let mut stream = listening.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    listening.stop().await;
    read_to_end(&mut stream).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
