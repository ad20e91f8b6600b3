//! Whatever is sent, the answer is one that a client can read, and the next client is served (INVARIANTS K3).

use axum::body::Body;
use axum::http::{HeaderName, Method, Request};
use http_front::ConnectionLimits;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

use crate::client::{Answer, Site, read_to_end};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Paths near those that exist: right prefixes with anything after them.
fn path() -> impl Strategy<Value = String> {
    let prefix = prop::sample::select(vec![
        "/",
        "/v1/keyspaces/default/keys/",
        "/v1/keyspaces/",
        "/v1/explain/siblings/",
        "/problems/",
        "/v1/cluster",
        "/v1/nodes/n1/",
        "/v1/nodes/n1/drain?",
    ]);
    (prefix, "[!-~]{0,24}").prop_map(|(prefix, rest)| format!("{prefix}{rest}"))
}

fn fields() -> impl Strategy<Value = Vec<(HeaderName, Vec<u8>)>> {
    let name = prop::sample::select(vec![
        "host",
        "origin",
        "accept",
        "henge-context",
        "henge-priority",
        "henge-identifier",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "if-match",
        "sec-fetch-site",
    ]);
    let field =
        (name.prop_map(HeaderName::from_static), "[ -~\\x80-\\xff]{0,24}".prop_map(String::into_bytes));
    prop::collection::vec(field, 0..4)
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::POST,
        Method::PATCH,
        Method::OPTIONS,
    ])
}

fn check(answer: &Answer) {
    assert_ne!(answer.status.as_u16(), 500);
    let is_error = answer.status.is_client_error() || answer.status.is_server_error();
    if is_error && !answer.body.is_empty() {
        answer.problem();
    }
}

proptest! {
    /// No path, query or header makes a handler panic or answer without a document.
    #[test]
    fn every_request_has_a_readable_answer(
        method in method(),
        path in path(),
        fields in fields(),
        body: Vec<u8>,
        has_host: bool,
    ) {
        let mut request = Request::builder().method(method).uri(path);
        if has_host {
            request = request.header("host", "localhost");
        }
        for (name, value) in fields {
            request = request.header(name, value);
        }
        // What the parser of HTTP would not let through is not for the router.
        if let Ok(request) = request.body(Body::from(body)) {
            runtime().block_on(async { check(&Site::new().send(request).await) });
        }
    }
}

/// Bodies near those that change the cluster.
fn document() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["name", "n", "r", "number", "below_n", "weight", "allow_flush", "x"]);
    let value =
        prop::sample::select(vec!["1", "-1", "1e99", "null", "true", "\"dc1=2\"", "{}", "[[[]]]", "\"", ""]);
    let field = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

proptest! {
    /// No document makes a handler panic, and what is answered says whether anything was done.
    #[test]
    fn every_document_is_answered(
        line in prop::sample::select(vec![
            "POST /v1/keyspaces",
            "PATCH /v1/keyspaces/default",
            "DELETE /v1/keyspaces/default",
            "POST /v1/nodes/n1/drain",
            "POST /v1/nodes/n1/remove",
            "POST /v1/nodes/n1/cancel",
            "PUT /v1/nodes/n1/weight",
        ]),
        body in document(),
    ) {
        runtime().block_on(async {
            let site = Site::new();
            let answer = site.ask(line, body).await;
            check(&answer);
            assert_eq!(answer.status.is_success(), !site.node.take_asked().is_empty(), "{answer:?}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes that are no request end their own connection at most.
    #[test]
    fn any_bytes_on_a_connection_leave_the_server_serving(
        start in prop::sample::select(vec!["", "GET / HTTP/1.1\r\n", "PUT /v1/keyspaces/default/keys/k HTTP/1.1\r\nhost: localhost\r\n", "*1\r\n"]),
        bytes: Vec<u8>,
    ) {
        runtime().block_on(async {
            let site = Site::new();
            let listening = site.listen(ConnectionLimits::default()).await;
            let mut stream = listening.connect().await;
            // The server may close before it has read everything.
            let _ = stream.write_all(&[start.as_bytes(), &bytes].concat()).await;
            let _ = stream.shutdown().await;
            read_to_end(&mut stream).await;
            let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let answer = listening.exchange(request).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        });
    }
}
