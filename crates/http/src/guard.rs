//! Who may speak to this node at all, before any handler runs (INVARIANTS K4).
//!
//! The danger is a browser on the same machine or network: a page can make it send requests to any address. Three
//! things stop that. No `Access-Control-*` header is ever sent, so no page of another origin can read an answer or send
//! a PUT or DELETE. A request whose name for this node is not one of its names is refused, so no page can make itself
//! the same origin by pointing its own name here (DNS rebinding); an address needs no such check, because nobody can
//! rebind an address. And a request that may change something and comes from a page of another origin is refused by
//! what browsers say of it, since plain forms may POST anywhere.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::front::{Front, Shared};
use crate::headers::single_text;
use crate::problem::{Kind, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets pass what names this node and comes from no foreign page. Every answer is marked as not to be kept or guessed
/// at: a value is whatever a client stored, and must not become a page because it looks like one.
pub(crate) async fn check(State(front): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match may_speak(&front, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn may_speak(front: &Front, request: &Request) -> Result<(), Problem> {
    let host = host(request.uri(), request.headers())?;
    check_host(&host, &front.options.host_names)?;
    if request.method().is_safe() {
        return Ok(());
    }
    check_origin(request.method(), request.headers(), &host)
}

/// What the client calls this node. A request line with a whole URI must agree with its Host (RFC 9112, section 3.2.2).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Problem> {
    let text = single_text(headers, &header::HOST)?
        .ok_or_else(|| Problem::invalid("the Host header is missing; it names the node that is asked"))?;
    let host: Authority =
        text.parse().ok().filter(|host: &Authority| !host.as_str().contains('@')).ok_or_else(|| {
            Problem::invalid(format!("the Host header {text:?} is not a name or address with a port"))
        })?;
    match uri.authority() {
        Some(authority) if authority != &host => {
            Err(Problem::invalid(format!("the request is for {authority}, and its Host header names {host}")))
        }
        _ => Ok(host),
    }
}

fn check_host(host: &Authority, names: &[String]) -> Result<(), Problem> {
    let name = host.host();
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    if is_address || is_local || names.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
        return Ok(());
    }
    let detail =
        format!("this node does not go by the name {name:?}; use its address, or configure the name");
    Err(Problem::new(Kind::ForeignHost, detail))
}

fn check_origin(method: &Method, headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    let origin = single_text(headers, &header::ORIGIN)?;
    let site = single_text(headers, &SEC_FETCH_SITE)?;
    let from_here = origin.is_none_or(|origin| is_same_host(origin, host));
    let site_is_here = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    if from_here && site_is_here {
        return Ok(());
    }
    let page = origin.unwrap_or("another site");
    let detail = format!("{method} was sent by a page of {page}, which is not this node ({host})");
    Err(Problem::new(Kind::ForeignOrigin, detail))
}

/// Whether `origin`, as a browser writes it, is this very host and port. `null` is nobody's.
fn is_same_host(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else {
        return false;
    };
    origin.scheme().is_some() && origin.authority() == Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(host: &str) -> bool {
        check_host(&host.parse().unwrap(), &["node1.example".to_owned()]).is_ok()
    }

    #[test]
    fn a_node_answers_to_localhost_to_addresses_and_to_its_configured_names() {
        for host in [
            "localhost",
            "LocalHost:8001",
            "n1.localhost:80",
            "localhost.:8001",
            "127.0.0.1:8001",
            "[::1]:8001",
        ] {
            assert!(is_accepted(host), "{host}");
        }
        for host in ["10.1.2.3", "node1.example:8001", "NODE1.example."] {
            assert!(is_accepted(host), "{host}");
        }
    }

    /// A name that merely contains one of the node's, or looks like an address, is somebody else's.
    #[test]
    fn a_node_answers_to_no_other_name() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "node1.example.evil",
        ] {
            assert!(!is_accepted(host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_this_host_only_with_the_same_name_and_port() {
        let host: Authority = "127.0.0.1:8001".parse().unwrap();
        assert!(is_same_host("http://127.0.0.1:8001", &host));
        for origin in
            ["null", "http://127.0.0.1:8002", "http://127.0.0.1", "http://evil.example", "127.0.0.1:8001", ""]
        {
            assert!(!is_same_host(origin, &host), "{origin}");
        }
    }
}
