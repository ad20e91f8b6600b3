//! `/v1/partitions/{partition}/...`: single partitions go where somebody wants them. As with [nodes](super::nodes), an answer of 202
//! says that it is agreed on.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::Change;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::change::{ChangedDocument, PlanDocument, answer};
use crate::address::PartitionNumber;
use crate::front::Shared;
use crate::json;
use crate::params::{DryRunParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// Where a partition is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "n4", "from": "n1"}))]
pub(crate) struct MovePartitionDocument {
    /// The node that is to own it.
    to: String,
    /// The node that is to give it up; whoever gives way where nobody is named.
    #[serde(default)]
    from: Option<String>,
}

/// Let a node own a partition, in the place of another node of its data center. Partitions beside it may move too, the fewest that
/// can be. Placement evens out claims again when members change.
#[utoipa::path(
    post,
    path = "/v1/partitions/{partition}/move",
    operation_id = "move_partition",
    tag = "cluster",
    params(PartitionNumber, DryRunParams),
    request_body = MovePartitionDocument,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "It is to move", body = ChangedDocument),
        (status = 400, description = "It cannot go there, or there is no such partition or node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn relocate(
    State(front): State<Shared>,
    PartitionNumber(partition): PartitionNumber,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let MovePartitionDocument { to, from } = json::read(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::MovePartition { partition, from, to }).await
}
