//! `POST /v1/keyspaces/{keyspace}/keys`: store under a key that this node computes, by hashing.
//!
//! With an identifier, in `Henge-Identifier` (any bytes) or `?identifier=` (UTF-8), the key is its hash, so that keys of
//! any length and shape become short and even. Without one it is the hash of the content itself.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::{Operation, Reply};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::keys;
use super::written::{self, WrittenDocument};
use crate::address::KeyspaceAddress;
use crate::content::{Octets, check_content};
use crate::front::{Shared, unexpected};
use crate::headers::{IDENTIFIER, priority, put_text, single};
use crate::params::{LevelParams, Params};
use crate::problem::{Problem, ProblemDocument};
use crate::{body, context, digest, expiry};

/// How a value is stored under a hash.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct HashedParams {
    /// The identifier whose hash is the key. Without one, here or in `Henge-Identifier`, the content's hash is.
    #[param(example = "customer 4711")]
    identifier: Option<String>,
    /// Accepted for uniformity; a put reads nothing.
    r: Option<String>,
    /// How many owners must hold the value before it is acknowledged, as a number or a name.
    #[param(example = "quorum")]
    w: Option<String>,
    /// How long the client waits, in milliseconds.
    #[param(example = 1000, minimum = 1)]
    timeout_ms: Option<u64>,
    /// The value expires after so many milliseconds.
    #[param(example = 60000, minimum = 1)]
    ttl_ms: Option<u64>,
    /// The value expires at this time, in milliseconds since the Unix epoch.
    expires_ms: Option<u64>,
    /// The value expires when the one that it replaces would have.
    keep_ttl: bool,
}

/// A value that is stored, and its key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "context": "AQAAAAABAgMEBQ",
    "acknowledged": 2
}))]
pub(crate) struct StoredDocument {
    /// The SHA-256 of the identifier or the content, in lowercase hexadecimal.
    key: String,
    #[serde(flatten)]
    written: WrittenDocument,
}

/// Store under the hash of an identifier, or of the content itself.
#[utoipa::path(
    post,
    path = "/v1/keyspaces/{keyspace}/keys",
    operation_id = "post_value",
    tag = "keys",
    params(
        KeyspaceAddress,
        HashedParams,
        ("Henge-Identifier" = Option<String>, Header, description = "The identifier whose hash is the key: any bytes that a header may hold"),
        ("Henge-Context" = Option<String>, Header, description = "What a read of that key returned: those values are replaced"),
        ("Henge-Priority" = Option<u8>, Header, description = "The importance of the writer, 0 to 255", example = 10),
    ),
    request_body(content = Octets, content_type = "application/octet-stream", description = "The value: the bytes as they are"),
    responses(
        (status = 201, description = "Stored; where, is in Location and in the body", body = StoredDocument,
            headers(
                ("Location" = String, description = "The path of the key"),
                ("Henge-Context" = String, description = "Covers this write and what it replaced"),
                ("Henge-Acknowledged" = u8, description = "How many distinct owners hold it as of now"),
                ("Henge-Marks" = String, description = "What is weaker about the answer: stand-in, relaxed-durability"),
            )),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not stored: too few owners could be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Stored or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post(
    State(front): State<Shared>,
    keyspace: KeyspaceAddress,
    Params(params): Params<HashedParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_content(&headers)?;
    let expiry = expiry::change(params.ttl_ms, params.expires_ms, params.keep_ttl)?;
    let identifier = identifier(params.identifier, &headers)?;
    let levels = LevelParams::new(params.r, params.w, params.timeout_ms).parse()?;
    let priority = priority(&headers)?;
    let arrived = body::read_value(&front, keyspace.keyspace(), &headers, body).await?;
    let key = digest::key_of(identifier.as_deref().unwrap_or(&arrived.bytes));
    let address = keyspace.with_key(Bytes::from(key.clone()));
    let context = context::from_headers(&headers, &address)?;
    let value = arrived.bytes.clone();
    let write = Operation::Put { value, context, write: levels.write, expiry, priority };
    let Reply::Written(written) = keys::ask(&front, &address, levels, write).await? else {
        return Err(unexpected("put"));
    };
    let mut headers = written::headers(&address, &written);
    put_text(&mut headers, header::LOCATION, &address.path());
    let document = StoredDocument { key, written: WrittenDocument::new(&address, &written) };
    Ok((StatusCode::CREATED, headers, Json(document)).into_response())
}

fn identifier(in_query: Option<String>, headers: &HeaderMap) -> Result<Option<Vec<u8>>, Problem> {
    let in_header = single(headers, &IDENTIFIER)?.map(|value| value.as_bytes().to_vec());
    if in_header.is_some() && in_query.is_some() {
        return Err(Problem::invalid(format!(
            "the identifier is given twice, in the query and in {IDENTIFIER}"
        )));
    }
    Ok(in_header.or(in_query.map(String::into_bytes)))
}
