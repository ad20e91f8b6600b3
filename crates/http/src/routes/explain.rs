//! `GET /v1/explain/{keyspace}/{key}`: where a key lives, and what each of its owners holds.

use api::{Command, Explanation, OwnerAnswer, Reply, Request};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::address::KeyAddress;
use crate::front::{Shared, unexpected};
use crate::params::{NoParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// Where a key lives, and what each of its owners holds.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "slot": 8462, "partition": 132, "partitions": 256, "quorum": "N=3 R=quorum W=quorum: eventual",
    "owners": [{"node": "n2", "state": "found", "clocks": [[["n2", 1]]], "stamp": "1767225600000.0", "bytes": 72}],
    "fallbacks": []
}))]
pub(crate) struct ExplanationDocument {
    /// The hash slot.
    slot: u16,
    /// The partition that the slot is in.
    partition: u16,
    /// How many partitions there are.
    partitions: u32,
    /// N, R, W, and the model that they give.
    quorum: String,
    /// What each owner says, in the order of the preference list.
    owners: Vec<OwnerDocument>,
    /// The nodes after the owners in the preference list.
    fallbacks: Vec<String>,
}

/// What one owner holds of a key.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnerDocument {
    /// The owner.
    node: String,
    /// `found`, `absent`, `deleted`, `expired`, `unreachable`, or why it cannot say.
    state: String,
    /// The vector clock of each version that it holds.
    clocks: Vec<Vec<(String, u64)>>,
    /// The stamp of its newest version.
    stamp: Option<String>,
    /// The length of its record, in bytes.
    bytes: usize,
}

impl From<OwnerAnswer> for OwnerDocument {
    fn from(owner: OwnerAnswer) -> OwnerDocument {
        OwnerDocument {
            node: owner.node,
            state: owner.state,
            clocks: owner.clocks,
            stamp: owner.stamp.map(|stamp| stamp.to_string()),
            bytes: owner.bytes,
        }
    }
}

impl From<Explanation> for ExplanationDocument {
    fn from(explanation: Explanation) -> ExplanationDocument {
        ExplanationDocument {
            slot: explanation.slot,
            partition: explanation.partition,
            partitions: explanation.partitions,
            quorum: explanation.quorum,
            owners: explanation.owners.into_iter().map(OwnerDocument::from).collect(),
            fallbacks: explanation.fallbacks,
        }
    }
}

/// Where a key lives, and what its owners hold.
#[utoipa::path(
    get,
    path = "/v1/explain/{keyspace}/{key}",
    operation_id = "explain_key",
    tag = "cluster",
    params(KeyAddress),
    responses(
        (status = 200, description = "What each owner of the key says", body = ExplanationDocument),
        (status = 404, description = "There is no such keyspace", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    State(front): State<Shared>,
    address: KeyAddress,
    _: Params<NoParams>,
) -> Result<Json<ExplanationDocument>, Problem> {
    let keyspace = address.keyspace().id;
    let explain = Command::Explain { keyspace, key: address.key };
    match front.ask(Request::new(explain)).await? {
        Reply::Explain(explanation) => Ok(Json(ExplanationDocument::from(*explanation))),
        _ => Err(unexpected("explain")),
    }
}
