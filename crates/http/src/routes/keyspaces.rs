//! `/v1/keyspaces`: the keyspaces, their settings, and in plain words what those settings promise; they are made, altered and
//! dropped here.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::{Change, Changed, KeyspaceSettings, KeyspaceStatus};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::change::{self, ChangedDocument, PlanDocument};
use super::settings::{NewKeyspaceDocument, SettingsDocument};
use crate::address::{KeyspaceAddress, KeyspaceName};
use crate::front::{Front, Shared};
use crate::headers::put_text;
use crate::json;
use crate::params::{DryRunParams, NoParams, Params};
use crate::percent;
use crate::problem::{Problem, ProblemDocument};

/// All keyspaces.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyspacesDocument {
    /// In the order of their numbers.
    keyspaces: Vec<KeyspaceDocument>,
}

/// A keyspace and what it promises.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 0, "number": 0, "name": "default", "n": 3, "replication": "3", "r": "quorum", "w": "quorum",
    "policy": "lww", "quorum": "sloppy", "durability": "always", "model": "eventual",
    "promise": "Always writable; a read may miss a write that a stand-in took.",
    "key_bytes_max": 65536, "value_bytes_max": 1048576, "siblings_max": 100,
    "require_context": false, "allow_flush": false
}))]
pub(crate) struct KeyspaceDocument {
    /// Its id, never used again.
    id: u32,
    /// What `SELECT` takes.
    number: u32,
    /// What people call it.
    name: String,
    /// How many owners a key has, over all data centers.
    n: u8,
    /// The same by data center: `3` or `dc1=2,dc2=1`.
    replication: String,
    /// How many owners answer a read.
    r: String,
    /// How many owners hold a write before it is acknowledged.
    w: String,
    /// What becomes of concurrent writes: `siblings`, `lww` or `priority`.
    policy: String,
    /// `sloppy` or `strict`.
    quorum: String,
    /// When a write is acknowledged: once it is synced (`always`), or before (`interval`).
    durability: String,
    /// The model that all this gives: `strong`, `eventual` or `weak`.
    model: String,
    /// What that means, in a sentence.
    promise: String,
    /// The longest key, in bytes.
    key_bytes_max: u64,
    /// The longest value, in bytes.
    value_bytes_max: u64,
    /// The most siblings of a key.
    siblings_max: u32,
    /// Whether overwriting needs a context.
    require_context: bool,
    /// Whether all its keys may be deleted at once.
    allow_flush: bool,
}

impl From<&KeyspaceStatus> for KeyspaceDocument {
    fn from(keyspace: &KeyspaceStatus) -> KeyspaceDocument {
        KeyspaceDocument {
            id: keyspace.id.0,
            number: keyspace.number,
            name: keyspace.name.clone(),
            n: keyspace.n,
            replication: keyspace.n_text.clone(),
            r: keyspace.r.to_string(),
            w: keyspace.w.to_string(),
            policy: keyspace.policy.clone(),
            quorum: keyspace.quorum.clone(),
            durability: keyspace.durability.clone(),
            model: keyspace.model.clone(),
            promise: keyspace.model_sentence.clone(),
            key_bytes_max: keyspace.key_bytes_max,
            value_bytes_max: keyspace.value_bytes_max,
            siblings_max: keyspace.siblings_max,
            require_context: keyspace.require_context,
            allow_flush: keyspace.allow_flush,
        }
    }
}

/// The keyspaces and what they promise.
#[utoipa::path(
    get,
    path = "/v1/keyspaces",
    operation_id = "list_keyspaces",
    tag = "cluster",
    responses(
        (status = 200, description = "All keyspaces", body = KeyspacesDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(front): State<Shared>, _: Params<NoParams>) -> Json<KeyspacesDocument> {
    let status = front.status();
    Json(KeyspacesDocument { keyspaces: status.keyspaces.iter().map(KeyspaceDocument::from).collect() })
}

/// A keyspace and what it promises.
#[utoipa::path(
    get,
    path = "/v1/keyspaces/{keyspace}",
    operation_id = "get_keyspace",
    tag = "cluster",
    params(KeyspaceAddress),
    responses(
        (status = 200, description = "The keyspace", body = KeyspaceDocument),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(keyspace: KeyspaceAddress, _: Params<NoParams>) -> Json<KeyspaceDocument> {
    Json(KeyspaceDocument::from(keyspace.keyspace()))
}

/// A keyspace as it is after a change, and what came of the change.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedKeyspaceDocument {
    /// Left out where somebody else has dropped it by now.
    #[serde(flatten)]
    keyspace: Option<KeyspaceDocument>,
    #[serde(flatten)]
    changed: ChangedDocument,
}

impl ChangedKeyspaceDocument {
    fn new(front: &Front, name: &str, changed: Changed) -> ChangedKeyspaceDocument {
        let status = front.status();
        let keyspace = status.keyspaces.iter().find(|keyspace| keyspace.name == name);
        ChangedKeyspaceDocument {
            keyspace: keyspace.map(KeyspaceDocument::from),
            changed: ChangedDocument::from(changed),
        }
    }
}

/// Make a keyspace. It can be used at once, on every node that has heard of it.
#[utoipa::path(
    post,
    path = "/v1/keyspaces",
    operation_id = "create_keyspace",
    tag = "cluster",
    request_body = NewKeyspaceDocument,
    responses(
        (status = 201, description = "It is there", body = ChangedKeyspaceDocument,
            headers(("Location" = String, description = "The path of the keyspace"))),
        (status = 400, description = "A setting is not known or cannot be served, or the name or number is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not made: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Made or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(front): State<Shared>,
    _: Params<NoParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let NewKeyspaceDocument { name, settings } = json::read(&front, &headers, body).await?;
    let settings = Box::new(KeyspaceSettings::from(settings));
    let changed = change::make(&front, Change::CreateKeyspace { name: name.clone(), settings }).await?;
    let mut headers = HeaderMap::new();
    let path = format!("/v1/keyspaces/{}", percent::encode_segment(name.as_bytes()));
    put_text(&mut headers, header::LOCATION, &path);
    let document = ChangedKeyspaceDocument::new(&front, &name, changed);
    Ok((StatusCode::CREATED, headers, Json(document)).into_response())
}

/// Alter a keyspace: those settings that the body names. Another `n` moves partitions; the new owners count once they have caught
/// up.
#[utoipa::path(
    patch,
    path = "/v1/keyspaces/{keyspace}",
    operation_id = "alter_keyspace",
    tag = "cluster",
    params(KeyspaceName, DryRunParams),
    request_body = SettingsDocument,
    responses(
        (status = 200, description = "It is so; or with dry-run a PlanDocument: what it would come to", body = inline(AlteredDocument)),
        (status = 400, description = "A setting is not known or cannot be served", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not altered: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Altered or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn alter(
    State(front): State<Shared>,
    KeyspaceName(name): KeyspaceName,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<AlteredDocument>, Problem> {
    let settings: SettingsDocument = json::read(&front, &headers, body).await?;
    let settings = Box::new(KeyspaceSettings::from(settings));
    if *settings == KeyspaceSettings::default() {
        return Err(Problem::invalid("the body names no setting: say which of them are to be others"));
    }
    let change = Change::AlterKeyspace { name: name.clone(), settings };
    if params.dry_run {
        return Ok(Json(AlteredDocument::Planned(change::plan(&front, change).await?)));
    }
    let changed = change::make(&front, change).await?;
    Ok(Json(AlteredDocument::Altered(Box::new(ChangedKeyspaceDocument::new(&front, &name, changed)))))
}

/// What is answered to an alteration.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AlteredDocument {
    Altered(Box<ChangedKeyspaceDocument>),
    Planned(PlanDocument),
}

/// Drop a keyspace and all its keys, for ever.
#[utoipa::path(
    delete,
    path = "/v1/keyspaces/{keyspace}",
    operation_id = "drop_keyspace",
    tag = "cluster",
    params(KeyspaceName),
    responses(
        (status = 200, description = "It is gone", body = ChangedDocument),
        (status = 400, description = "It cannot be dropped", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not dropped: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Dropped or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove(
    State(front): State<Shared>,
    KeyspaceName(name): KeyspaceName,
    _: Params<NoParams>,
    headers: HeaderMap,
) -> Result<Json<ChangedDocument>, Problem> {
    json::check_conditions(&headers)?;
    let changed = change::make(&front, Change::DropKeyspace { name }).await?;
    Ok(Json(ChangedDocument::from(changed)))
}
