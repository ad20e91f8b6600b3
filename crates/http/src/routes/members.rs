//! `GET /v1/members`: what this node has heard of all members by gossip.

use api::{MemberStatus, NodeLoad};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

/// What one node has heard of all members by gossip. Who is a member, and who owns what, does not follow from it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "cluster": "example", "node": "n1",
    "members": [
        { "id": "n1", "verdict": "up", "generation": 1767225600000_u64, "heartbeat": 3600, "age_ms": 0, "phi": 0.0, "suspected_by": [], "disk_is_full": false,
          "load": { "operations_per_second": 1200, "cpu_permille": 340, "disk_used_bytes": 123000000, "disk_bytes": 98000000000_u64,
                    "hottest": [{ "partition": 17, "operations_per_second": 410 }] } },
        { "id": "n2", "verdict": "down", "generation": 1767225600321_u64, "heartbeat": 3581, "age_ms": 19250, "phi": 34.2, "suspected_by": ["n1", "n3"], "disk_is_full": false, "load": null }
    ]
}))]
pub(crate) struct MembersDocument {
    /// The cluster's name.
    cluster: String,
    /// The node that says so.
    node: String,
    /// All members, in the order of their numbers.
    members: Vec<MemberDocument>,
}

/// A member, as one node has heard of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberDocument {
    /// What people call it.
    #[schema(example = "n2")]
    id: String,
    /// `up`, `suspected`, `down` or `never heard`. It is down when two observers agree that it is silent, or the only one.
    #[schema(example = "up")]
    verdict: &'static str,
    /// The number of its start, which rises; null where it was never heard.
    generation: Option<u64>,
    /// Its newest heartbeat, counted from its start; 0 where none was heard.
    heartbeat: u64,
    /// How long ago that was heard or a request answered, in milliseconds; null where it was never heard.
    age_ms: Option<u64>,
    /// How improbable such a silence is: the negative decimal logarithm.
    phi: f64,
    /// Who suspects it, the answering node perhaps among them.
    suspected_by: Vec<String>,
    /// Whether it says that its disk is full: it takes deletes, and no values.
    disk_is_full: bool,
    /// How much it says that it has to do, rounded; null if it has not said so.
    load: Option<LoadDocument>,
}

/// How much a member has to do, as it says itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoadDocument {
    /// Reads and writes of clients that reach its records.
    operations_per_second: u32,
    /// How much of its cores its process keeps busy, in thousandths of all of them.
    cpu_permille: u16,
    /// What its store takes of the disk.
    disk_used_bytes: u64,
    /// What its store may come to: what it takes, and what is free; 0 where that is not known.
    disk_bytes: u64,
    /// The partitions on which it does most, the hottest first, with operations per second.
    hottest: Vec<RateDocument>,
}

/// How much is done on a partition.
#[derive(Serialize, ToSchema)]
pub(crate) struct RateDocument {
    /// Its number.
    partition: u16,
    /// Operations each second, of those of its node.
    operations_per_second: u32,
}

impl From<&NodeLoad> for LoadDocument {
    fn from(load: &NodeLoad) -> LoadDocument {
        let rate = |hot: &api::PartitionRate| RateDocument {
            partition: hot.partition.0,
            operations_per_second: hot.operations_per_second,
        };
        LoadDocument {
            operations_per_second: load.operations_per_second,
            cpu_permille: load.cpu_permille,
            disk_used_bytes: load.disk_used_bytes,
            disk_bytes: load.disk_bytes,
            hottest: load.hottest.iter().map(rate).collect(),
        }
    }
}

impl From<&MemberStatus> for MemberDocument {
    fn from(member: &MemberStatus) -> MemberDocument {
        MemberDocument {
            id: member.name.clone(),
            verdict: member.verdict,
            generation: member.generation,
            heartbeat: member.heartbeat,
            age_ms: member.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            // As much as anybody reads; it has no end otherwise, and JSON knows no infinity.
            phi: (member.phi.min(1e6) * 100.0).round() / 100.0,
            suspected_by: member.suspected_by.clone(),
            disk_is_full: member.disk_is_full,
            load: member.load.as_ref().map(LoadDocument::from),
        }
    }
}

/// What this node has heard of all members by gossip.
#[utoipa::path(
    get,
    path = "/v1/members",
    operation_id = "get_members",
    tag = "cluster",
    responses(
        (status = 200, description = "What this node has heard of all members", body = MembersDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<MembersDocument> {
    let status = front.status();
    Json(MembersDocument {
        cluster: status.name.clone(),
        node: status.this_node().name.clone(),
        members: front.members().iter().map(MemberDocument::from).collect(),
    })
}
