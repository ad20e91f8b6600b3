//! `/v1/keyspaces/{keyspace}/keys/{key}`: one key, its value as the raw body, everything else about it in header fields.
//!
//! A read answers 200 with the one value, 300 with all of them where there are several ([`super::siblings`]), 404 where
//! there is none. Never does it pick one of several in silence.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::{Deleted, Detail, ExpiryChange, Found, Operation, Reply, Request};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::accept::{Form, preferred};
use crate::address::KeyAddress;
use crate::content::{Octets, check_content};
use crate::front::{Front, Shared, unexpected};
use crate::headers::{EXISTED, EXPIRES, PRIORITY, priority, put_marks, put_text};
use crate::params::{LevelParams, Levels, Params};
use crate::problem::{Kind, Problem, ProblemDocument};
use crate::routes::siblings::{Siblings, SiblingsDocument};
use crate::routes::written::{self, WrittenDocument};
use crate::{body, context, expiry};

/// Read a key.
#[utoipa::path(
    get,
    path = "/v1/keyspaces/{keyspace}/keys/{key}",
    operation_id = "get_key",
    tag = "keys",
    params(
        KeyAddress,
        LevelParams,
        ("Henge-Context" = Option<String>, Header, description = "Answer only from a state that covers this context: read your own writes"),
        ("Accept" = Option<String>, Header, description = "application/json shows context and clocks too; with siblings, application/json or multipart/mixed", example = "application/octet-stream"),
    ),
    responses(
        (status = 200, description = "The value: its bytes, or as JSON if asked for",
            content((Octets = "application/octet-stream"), (SiblingsDocument = "application/json")),
            headers(
                ("Henge-Context" = String, description = "What to pass back when writing this key"),
                ("Henge-Expires" = u64, description = "When the value expires, in milliseconds since the Unix epoch"),
                ("Henge-Priority" = u8, description = "The importance of the value's writer"),
                ("Henge-Marks" = String, description = "What is weaker about the answer: stand-in, relaxed-durability"),
            )),
        (status = 300, description = "The key has siblings: all of them, as JSON or multipart",
            content((SiblingsDocument = "application/json"), (Octets = "multipart/mixed")),
            headers(
                ("Henge-Context" = String, description = "Covers all the values; a write with it replaces them"),
                ("Henge-Siblings" = usize, description = "How many there are"),
                ("Henge-Marks" = String, description = "What is weaker about the answer: stand-in, relaxed-durability"),
            )),
        (status = 404, description = "There is no value, or no such keyspace", body = ProblemDocument, content_type = "application/problem+json",
            headers(("Henge-Context" = String, description = "Of a deleted key: what to pass back when writing it again"))),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    State(front): State<Shared>,
    address: KeyAddress,
    Params(levels): Params<LevelParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = preferred(&headers);
    let levels = levels.parse()?;
    let read = Operation::Get {
        read: levels.read,
        context: context::from_headers(&headers, &address)?,
        detail: detail(form, &address.keyspace().policy),
    };
    match ask(&front, &address, levels, read).await? {
        Reply::Found(found) => show(&address, &found, form),
        _ => Err(unexpected("get")),
    }
}

/// Read all but the value of a key.
#[utoipa::path(
    head,
    path = "/v1/keyspaces/{keyspace}/keys/{key}",
    operation_id = "head_key",
    tag = "keys",
    params(
        KeyAddress,
        LevelParams,
        ("Henge-Context" = Option<String>, Header, description = "Answer only from a state that covers this context: read your own writes"),
    ),
    responses(
        (status = 200, description = "There is one value; the header fields are those of a GET"),
        (status = 300, description = "The key has siblings", headers(("Henge-Siblings" = usize, description = "How many there are"))),
        (status = "default", description = "A problem, without its document: 404 where there is no value"),
    )
)]
pub(crate) async fn head(
    state: State<Shared>,
    address: KeyAddress,
    levels: Params<LevelParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    get(state, address, levels, headers).await // The body is taken off by the router.
}

/// Clocks are put together only where they will be shown: in JSON, and beside siblings.
fn detail(form: Form, policy: &str) -> Detail {
    if form == Form::Json || policy == "siblings" { Detail::Clocks } else { Detail::Values }
}

fn show(address: &KeyAddress, found: &Found, form: Form) -> Result<Response, Problem> {
    let mut headers = HeaderMap::new();
    context::put(&mut headers, &found.context, address);
    put_marks(&mut headers, found.marks);
    match (found.values.as_slice(), form) {
        ([], _) => {
            let keyspace = &address.keyspace().name;
            let detail = format!("keyspace {keyspace} has no value under this key");
            Err(Problem::new(Kind::NoSuchKey, detail).with_headers(headers))
        }
        ([only], Form::Raw | Form::Multipart) => {
            put_text(&mut headers, PRIORITY, &only.priority.to_string());
            if let Some(expires) = only.expires {
                put_text(&mut headers, EXPIRES, &expires.0.to_string());
            }
            let octets = [(header::CONTENT_TYPE, "application/octet-stream")];
            Ok((StatusCode::OK, octets, headers, Body::from(only.value.clone())).into_response())
        }
        _ => Ok(Siblings { address, found, form, headers }.into_response()),
    }
}

/// How a value is written.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutParams {
    /// Accepted for uniformity; a put reads nothing.
    r: Option<String>,
    /// How many owners must hold the value before it is acknowledged: a number, or `one`, `two`, `three`, `quorum`,
    /// `all`, `local-one`, `local-quorum`, `each-quorum`. The keyspace's own where absent.
    #[param(example = "quorum")]
    w: Option<String>,
    /// How long the client waits, in milliseconds. An answer is given by then, whatever happens.
    #[param(example = 1000, minimum = 1)]
    timeout_ms: Option<u64>,
    /// The value expires after so many milliseconds.
    #[param(example = 60000, minimum = 1)]
    ttl_ms: Option<u64>,
    /// The value expires at this time, in milliseconds since the Unix epoch.
    #[param(example = 1767225600000_u64)]
    expires_ms: Option<u64>,
    /// The value expires when the one that it replaces would have.
    keep_ttl: bool,
}

impl PutParams {
    fn expiry(&self) -> Result<ExpiryChange, Problem> {
        expiry::change(self.ttl_ms, self.expires_ms, self.keep_ttl)
    }

    fn levels(self) -> LevelParams {
        LevelParams::new(self.r, self.w, self.timeout_ms)
    }
}

/// Write a key.
#[utoipa::path(
    put,
    path = "/v1/keyspaces/{keyspace}/keys/{key}",
    operation_id = "put_key",
    tag = "keys",
    params(
        KeyAddress,
        PutParams,
        ("Henge-Context" = Option<String>, Header, description = "What a read returned: those values are replaced. Without it the write is blind, and in a keyspace of siblings stands beside what is there"),
        ("Henge-Priority" = Option<u8>, Header, description = "The importance of the writer, 0 to 255, for keyspaces of the priority policy", example = 10),
        ("Accept" = Option<String>, Header, description = "application/json asks for a body with the context", example = "application/json"),
    ),
    request_body(content = Octets, content_type = "application/octet-stream", description = "The value: the bytes as they are, whatever their content type"),
    responses(
        (status = 204, description = "Stored by as many owners as w asks for",
            headers(
                ("Henge-Context" = String, description = "Covers this write and what it replaced"),
                ("Henge-Acknowledged" = u8, description = "How many distinct owners hold it as of now"),
                ("Henge-Marks" = String, description = "What is weaker about the answer: stand-in, relaxed-durability"),
            )),
        (status = 200, description = "The same, as JSON if asked for", body = WrittenDocument),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not stored: too few owners could be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Stored or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(
    State(front): State<Shared>,
    address: KeyAddress,
    Params(params): Params<PutParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_content(&headers)?;
    let expiry = params.expiry()?;
    let levels = params.levels().parse()?;
    let context = context::from_headers(&headers, &address)?;
    let priority = priority(&headers)?;
    let arrived = body::read_value(&front, address.keyspace(), &headers, body).await?;
    let value = arrived.bytes.clone();
    let write = Operation::Put { value, context, write: levels.write, expiry, priority };
    match ask(&front, &address, levels, write).await? {
        Reply::Written(written) => Ok(written::answer(&address, &written, preferred(&headers))),
        _ => Err(unexpected("put")),
    }
}

/// Delete a key.
#[utoipa::path(
    delete,
    path = "/v1/keyspaces/{keyspace}/keys/{key}",
    operation_id = "delete_key",
    tag = "keys",
    params(
        KeyAddress,
        LevelParams,
        ("Henge-Context" = Option<String>, Header, description = "What a read returned: those values are deleted. Without it the delete covers what a read at r finds"),
        ("Accept" = Option<String>, Header, description = "application/json asks for a body with the context", example = "application/json"),
    ),
    responses(
        (status = 204, description = "There is no value under the key now; deleting twice is no error",
            headers(
                ("Henge-Existed" = bool, description = "Whether there was a value to delete"),
                ("Henge-Context" = String, description = "Covers the delete and what it replaced"),
                ("Henge-Acknowledged" = u8, description = "How many distinct owners hold it as of now"),
                ("Henge-Marks" = String, description = "What is weaker about the answer: stand-in, relaxed-durability"),
            )),
        (status = 200, description = "The same, as JSON if asked for", body = WrittenDocument),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not deleted: too few owners could be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Deleted or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete(
    State(front): State<Shared>,
    address: KeyAddress,
    Params(levels): Params<LevelParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_content(&headers)?;
    let levels = levels.parse()?;
    let context = context::from_headers(&headers, &address)?;
    let delete = Operation::Delete { context, write: levels.write, read: levels.read };
    match ask(&front, &address, levels, delete).await? {
        Reply::Deleted(deleted) => Ok(show_deleted(&address, &deleted, preferred(&headers))),
        _ => Err(unexpected("delete")),
    }
}

fn show_deleted(address: &KeyAddress, deleted: &Deleted, form: Form) -> Response {
    let mut response = written::answer(address, &deleted.written, form);
    put_text(response.headers_mut(), EXISTED, &deleted.existed.to_string());
    response
}

/// What the node answers to `operation`, within the client's own time limit where it has one.
pub(super) async fn ask(
    front: &Front,
    address: &KeyAddress,
    levels: Levels,
    operation: Operation,
) -> Result<Reply, Problem> {
    front.ask(Request { timeout: levels.timeout, ..address.request(operation) }).await
}
