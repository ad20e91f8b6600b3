//! `GET /v1/ring`: which nodes own which slots.

use api::Status;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

/// The ring, by the `default` keyspace's N.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "epoch": 1, "partitions": 256,
    "slots": [{"first": 0, "last": 63, "primary": "n1", "owners": ["n1", "n2", "n3"]}]
}))]
pub(crate) struct RingDocument {
    /// The number of the committed version of the cluster state.
    epoch: u64,
    /// How many partitions the 16,384 slots are divided into.
    partitions: u32,
    /// All slots, in order, as runs with the same owners.
    slots: Vec<SlotsDocument>,
}

/// A run of slots with the same owners.
#[derive(Serialize, ToSchema)]
pub(crate) struct SlotsDocument {
    /// The first slot.
    first: u16,
    /// The last slot, included.
    last: u16,
    /// The first owner that is up.
    primary: String,
    /// All owners, in the order of the preference list.
    owners: Vec<String>,
}

impl From<&Status> for RingDocument {
    fn from(status: &Status) -> RingDocument {
        let name = |place: usize| status.nodes[place].name.clone();
        let slots = status.slots.iter().map(|range| SlotsDocument {
            first: range.first,
            last: range.last,
            primary: name(range.primary),
            owners: range.owners.iter().map(|&place| name(place)).collect(),
        });
        RingDocument { epoch: status.epoch.0, partitions: status.partitions, slots: slots.collect() }
    }
}

/// Who owns which slots.
#[utoipa::path(
    get,
    path = "/v1/ring",
    operation_id = "get_ring",
    tag = "cluster",
    responses(
        (status = 200, description = "All slots with their owners", body = RingDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<RingDocument> {
    Json(RingDocument::from(&*front.status()))
}
