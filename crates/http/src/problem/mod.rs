//! Everything that can go wrong, as problem documents (RFC 9457).
//!
//! What must hold: no answer with a status of 400 or above leaves this front end without a document (except those of
//! the HTTP parser itself, which has no request to speak of), and each says in `result` the truth about the write:
//! `not-done` only where it can never become visible, else `unknown` (INVARIANTS A5).
//!
//! A [`Problem`] travels as a response that has no body yet; [`complete`], the outermost layer, knows the path and
//! writes the document. So every way in which a handler, an extractor or the router can fail ends in one place.
//!
//! In reading order: [`kind`] lists the kinds, [`document`] is what is sent, [`from_api`] translates the node's errors.

mod document;
mod from_api;
mod kind;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(crate) use document::{Facts, ProblemDocument};
pub(crate) use kind::Kind;

/// Why a request was not answered as asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    detail: String,
    facts: Facts,
    headers: HeaderMap,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Inner {
            kind,
            detail: detail.into(),
            facts: Facts::default(),
            headers: HeaderMap::new(),
        }))
    }

    /// The request is wrong in itself; `detail` says what would be right.
    pub(crate) fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Invalid, detail)
    }

    /// Adds figures that a program can act upon.
    pub(crate) fn with_facts(mut self, facts: Facts) -> Problem {
        self.0.facts = facts;
        self
    }

    /// Adds a header field.
    pub(crate) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Problem {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds header fields that a successful answer would have had too.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Problem {
        self.0.headers.extend(headers);
        self
    }

    fn document(&self, instance: &str) -> ProblemDocument {
        ProblemDocument::new(self.0.kind, &self.0.detail, instance, self.0.facts.clone())
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.0.kind.status().into_response();
        *response.headers_mut() = std::mem::take(&mut self.0.headers);
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the document of a problem, now that the path is known.
pub(crate) async fn complete(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // A document is strings and numbers only, which always can be written.
        let body = serde_json::to_vec(&problem.document(&instance)).unwrap_or_default();
        *response.body_mut() = Body::from(body);
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
