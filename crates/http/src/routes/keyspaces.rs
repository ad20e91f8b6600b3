//! `GET /v1/keyspaces`: the keyspaces, their settings, and in plain words what those settings promise.

use api::KeyspaceStatus;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

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
