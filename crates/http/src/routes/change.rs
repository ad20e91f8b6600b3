//! What all requests that change the cluster share: they are agreed on, or only planned, and answered with what came of it.

use api::{Change, Changed, Command, Planned, PlannedMove, Reply, Request};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::{Front, unexpected};
use crate::problem::Problem;

/// What came of a change: it is agreed on.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"epoch": 8, "partitions": 64, "notes": []}))]
pub(crate) struct ChangedDocument {
    /// The epoch of the cluster state in which it is so.
    epoch: u64,
    /// How many partitions are to move because of it. `GET /v1/cluster` says how far they are.
    partitions: u32,
    /// What people should know of it.
    notes: Vec<String>,
}

impl From<Changed> for ChangedDocument {
    fn from(changed: Changed) -> ChangedDocument {
        ChangedDocument { epoch: changed.epoch.0, partitions: changed.partitions, notes: changed.notes }
    }
}

/// What a change would come to, if it were made now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "epoch": 7,
    "moves": [{"partition": 17, "keyspaces": ["default"], "from": ["n1"], "to": ["n4"], "why": "n4 joins", "bytes": 4194304}],
    "notes": []
}))]
pub(crate) struct PlanDocument {
    /// The epoch of the cluster state that it was worked out from.
    epoch: u64,
    /// What would move, in order.
    moves: Vec<MoveDocument>,
    /// What people should know of it.
    notes: Vec<String>,
}

/// A plan as `/v1` shows it, for who has come by it on another way.
pub fn plan_document(planned: Planned) -> serde_json::Value {
    serde_json::to_value(PlanDocument::from(planned)).unwrap_or_default()
}

/// A partition that would move.
#[derive(Serialize, ToSchema)]
pub(crate) struct MoveDocument {
    /// Its number.
    partition: u16,
    /// The keyspaces whose owners would be others.
    keyspaces: Vec<String>,
    /// The nodes that would give it away.
    from: Vec<String>,
    /// The nodes that would get it.
    to: Vec<String>,
    /// Because of what, for people.
    why: String,
    /// About how many bytes each of those would get; null where the answering node does not know.
    bytes: Option<u64>,
}

impl From<Planned> for PlanDocument {
    fn from(planned: Planned) -> PlanDocument {
        let moves = planned.moves.into_iter().map(MoveDocument::from).collect();
        PlanDocument { epoch: planned.epoch.0, moves, notes: planned.notes }
    }
}

impl From<PlannedMove> for MoveDocument {
    fn from(planned: PlannedMove) -> MoveDocument {
        let PlannedMove { partition, keyspaces, from, to, why, bytes } = planned;
        MoveDocument { partition, keyspaces, from, to, why, bytes }
    }
}

/// Has a change made.
pub(super) async fn make(front: &Front, change: Change) -> Result<Changed, Problem> {
    match front.ask(Request::new(Command::Change(Box::new(change)))).await? {
        Reply::Changed(changed) => Ok(changed),
        _ => Err(unexpected("change")),
    }
}

/// Asks what it would come to.
pub(super) async fn plan(front: &Front, change: Change) -> Result<PlanDocument, Problem> {
    match front.ask(Request::new(Command::Plan(Box::new(change)))).await? {
        Reply::Planned(planned) => Ok(PlanDocument::from(planned)),
        _ => Err(unexpected("plan")),
    }
}

/// What would come of a change, or, once it is agreed on, what has.
pub(crate) async fn answer(front: &Front, dry_run: bool, change: Change) -> Result<Response, Problem> {
    if dry_run {
        return Ok(Json(plan(front, change).await?).into_response());
    }
    let changed = make(front, change).await?;
    Ok((StatusCode::ACCEPTED, Json(ChangedDocument::from(changed))).into_response())
}
