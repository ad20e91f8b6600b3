//! Who may speak to a node: what a browser would send on behalf of a hostile page changes nothing (INVARIANTS K4).

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_front::HttpOptions;

use crate::client::{Answer, Site};

const KEY: &str = "/v1/keyspaces/default/keys/k";

async fn put_with(site: &Site, fields: &[(&str, &str)]) -> Answer {
    let request =
        fields.iter().fold(Request::put(KEY), |request, (name, value)| request.header(*name, *value));
    site.send(request.body(Body::from("x")).unwrap()).await
}

#[tokio::test]
async fn a_request_must_say_whom_it_is_for() {
    let site = Site::new();
    assert_eq!(put_with(&site, &[]).await.kind(), "invalid-request");
    assert_eq!(
        put_with(&site, &[("host", "localhost"), ("host", "localhost")]).await.kind(),
        "invalid-request"
    );
    assert_eq!(put_with(&site, &[("host", "")]).await.kind(), "invalid-request");
    assert_eq!(put_with(&site, &[("host", "user@localhost")]).await.kind(), "invalid-request");
    assert_eq!(site.node.len(), 0);
}

/// DNS rebinding: a page's own name, pointed at this node.
#[tokio::test]
async fn a_request_for_another_name_is_refused_on_every_route() {
    let site = Site::new();
    let answer = put_with(&site, &[("host", "evil.example:8001")]).await;
    assert_eq!((answer.status, answer.kind().as_str()), (StatusCode::MISDIRECTED_REQUEST, "foreign-host"));
    assert_eq!(site.node.len(), 0);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for path in ["/", "/v1/cluster", KEY, "/openapi.json", "/metrics", "/nothing"] {
        let request = Request::get(path).header("host", "evil.example").body(Body::empty()).unwrap();
        assert_eq!(site.send(request).await.kind(), "foreign-host", "{path}");
    }
}

#[tokio::test]
async fn a_name_that_was_configured_is_answered_to() {
    let options = HttpOptions { host_names: vec!["n1.example".to_owned()], ..HttpOptions::default() };
    let site = Site::with_options(options);
    assert_eq!(put_with(&site, &[("host", "N1.example:8001")]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(put_with(&site, &[("host", "n2.example:8001")]).await.kind(), "foreign-host");
}

/// A request line with a whole URI is for the host that it names.
#[tokio::test]
async fn a_whole_uri_must_agree_with_the_host() {
    let site = Site::new();
    let uri = format!("http://evil.example{KEY}");
    let request = Request::put(&uri).header("host", "localhost").body(Body::from("x")).unwrap();
    assert_eq!(site.send(request).await.kind(), "invalid-request");
    let uri = format!("http://localhost{KEY}");
    let request = Request::put(&uri).header("host", "localhost").body(Body::from("x")).unwrap();
    assert_eq!(site.send(request).await.status, StatusCode::NO_CONTENT);
}

/// Cross-site request forgery: a form or script of another origin.
#[tokio::test]
async fn a_page_of_another_origin_can_change_nothing() {
    let site = Site::new();
    for origin in
        ["http://evil.example", "null", "http://localhost:3000", "https://localhost:8001.evil.example"]
    {
        let fields = format!("origin:{origin}");
        for line in [
            format!("PUT {KEY} {fields}"),
            format!("DELETE {KEY} {fields}"),
            format!("POST /v1/keyspaces/default/keys {fields}"),
        ] {
            let answer = site.ask(&line, "x").await;
            assert_eq!(
                (answer.status, answer.kind().as_str()),
                (StatusCode::FORBIDDEN, "foreign-origin"),
                "{line}"
            );
        }
    }
    let answer = site.ask(&format!("PUT {KEY} sec-fetch-site:cross-site"), "x").await;
    assert_eq!(answer.kind(), "foreign-origin");
    assert!(site.node.take_asked().is_empty());
}

#[tokio::test]
async fn a_page_of_this_node_may() {
    let site = Site::new();
    let line = format!("PUT {KEY} origin:http://localhost:8001 sec-fetch-site:same-origin");
    assert_eq!(site.ask(&line, "x").await.status, StatusCode::NO_CONTENT);
}

/// Without permission in the answer to it, a browser sends neither PUT nor DELETE across origins.
#[tokio::test]
async fn a_preflight_is_given_no_permission() {
    let site = Site::new();
    let line = format!("OPTIONS {KEY} origin:http://evil.example access-control-request-method:PUT");
    let answer = site.ask(&line, Body::empty()).await;
    assert!(answer.status.is_client_error());
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}
