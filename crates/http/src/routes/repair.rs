//! `/v1/repair`: how far this node agrees with other owners, and the wish to have all compared now.

use api::{Command, Counter, Reply, Request};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::{Shared, unexpected};
use crate::params::{NoParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// How far one node agrees with the other owners of what it owns. What is compared is pairs: a partition's hash tree of one
/// keyspace, and one other owner.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "node": "n1", "repairs": 1, "left": 0, "pairs": 1024, "agreeing": 1024, "uncompared": 0, "unreachable": 0, "stuck": 0, "unbuilt": 0,
    "differing": 0, "oldest_seconds": 0, "rounds": 20480, "found": 7, "fetched": 3, "sent": 4, "moved_bytes": 812
}))]
pub(crate) struct RepairDocument {
    /// The node that says so.
    node: String,
    /// Times that somebody asked for all to be compared at once.
    repairs: u64,
    /// Pairs still to be compared because of the last time.
    left: u64,
    /// How many pairs there are.
    pairs: u64,
    /// Those of which the last comparison left no difference.
    agreeing: u64,
    /// Those not compared completely since somebody last asked for it, or not at all if nobody has.
    uncompared: u64,
    /// Those whose other owner cannot be reached.
    unreachable: u64,
    /// Those of which one comparison after the other finds and moves the same: a defect, or damage.
    stuck: u64,
    /// Hash trees that are not built yet, or in doubt: they are not compared.
    unbuilt: u64,
    /// Keys that are known to differ from another owner's.
    differing: u64,
    /// How long the oldest of them has been known.
    oldest_seconds: u64,
    /// Comparisons, since the node started.
    rounds: u64,
    /// Keys that were found to differ.
    found: u64,
    /// Records that were fetched from other owners.
    fetched: u64,
    /// Records that were sent to other owners and taken in.
    sent: u64,
    /// Bytes of records that were fetched or sent.
    moved_bytes: u64,
}

impl RepairDocument {
    fn new(node: String, counters: &[Counter]) -> RepairDocument {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, far below 2^53")]
        let figure = |name: &str| {
            counters.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value as u64)
        };
        RepairDocument {
            node,
            // Each shard counts; it has begun once all have.
            repairs: figure("exchange_repairs_total") / figure("shards").max(1),
            left: figure("exchange_hurried_pairs"),
            pairs: figure("exchange_pairs"),
            agreeing: figure("exchange_agreeing_pairs"),
            uncompared: figure("exchange_uncompared_pairs"),
            unreachable: figure("exchange_unreachable_pairs"),
            stuck: figure("exchange_stuck_pairs"),
            unbuilt: figure("trees_unbuilt"),
            differing: figure("exchange_differing_keys"),
            oldest_seconds: figure("exchange_oldest_difference_seconds"),
            rounds: figure("exchange_rounds_total"),
            found: figure("exchange_found_total"),
            fetched: figure("exchange_fetched_total"),
            sent: figure("exchange_sent_total"),
            moved_bytes: figure("exchange_moved_bytes_total"),
        }
    }
}

/// How far this node agrees with other owners.
#[utoipa::path(
    get,
    path = "/v1/repair",
    operation_id = "get_repair",
    tag = "cluster",
    responses(
        (status = 200, description = "How far this node agrees with other owners", body = RepairDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<RepairDocument> {
    Json(RepairDocument::new(front.status().this_node().name.clone(), &front.counters()))
}

/// Compare all that this node owns with the other owners, now and without the usual pauses. It has begun when this is
/// answered; `GET /v1/repair` says how far it has come.
#[utoipa::path(
    post,
    path = "/v1/repair",
    operation_id = "post_repair",
    tag = "cluster",
    responses(
        (status = 202, description = "It has begun", body = RepairDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post(
    State(front): State<Shared>,
    _: Params<NoParams>,
) -> Result<(StatusCode, Json<RepairDocument>), Problem> {
    match front.ask(Request::new(Command::Repair)).await? {
        Reply::Repairing => {
            let name = front.status().this_node().name.clone();
            Ok((StatusCode::ACCEPTED, Json(RepairDocument::new(name, &front.counters()))))
        }
        _ => Err(unexpected("repair")),
    }
}
