//! `/v1/nodes/{name}/...`: members leave, are taken for gone, weigh more or less, or do so no more.
//!
//! An answer of 202 says that it is agreed on; what moves because of it moves from then on, whoever watches. Nothing here waits
//! for that.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::Change;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::change::{ChangedDocument, PlanDocument, answer};
use crate::address::NodeName;
use crate::front::Shared;
use crate::json;
use crate::params::{DryRunParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// How a node may leave. No body says no to all of it.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"below_n": false}))]
pub(crate) struct LeaveDocument {
    /// Whether a data center may be left with fewer nodes than a keyspace has replicas there.
    below_n: bool,
}

/// How a node may be called gone. No body says no to all of it.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"below_n": false, "lose_data": false}))]
pub(crate) struct RemoveDocument {
    /// Whether a data center may be left with fewer nodes than a keyspace has replicas there.
    below_n: bool,
    /// Whether partitions may be lost of which it has the last copy.
    lose_data: bool,
}

/// What a node weighs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"weight": 2.0}))]
pub(crate) struct WeightDocument {
    /// Its capacity beside the others'.
    weight: f64,
}

/// A body that says nothing.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct NothingDocument {}

/// Let nodes hand over what they have, and leave. Several at once are named with commas between, as in `n4,n5`.
#[utoipa::path(
    post,
    path = "/v1/nodes/{name}/drain",
    operation_id = "drain_nodes",
    tag = "cluster",
    params(NodeName, DryRunParams),
    request_body = Option<LeaveDocument>,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "They are leaving", body = ChangedDocument),
        (status = 400, description = "They cannot leave, or there is no such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drain(
    State(front): State<Shared>,
    NodeName(names): NodeName,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let LeaveDocument { below_n } = json::read_or_default(&front, &headers, body).await?;
    // A comma is in no name.
    let nodes = names.split(',').map(str::to_owned).collect();
    answer(&front, params.dry_run, Change::Drain { nodes, below_n }).await
}

/// Say that a node is gone for good, and its data with it. Others take over from those who have what it had; it is never let in
/// again.
#[utoipa::path(
    post,
    path = "/v1/nodes/{name}/remove",
    operation_id = "remove_node",
    tag = "cluster",
    params(NodeName, DryRunParams),
    request_body = Option<RemoveDocument>,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "It counts as gone", body = ChangedDocument),
        (status = 400, description = "It cannot be removed, or there is no such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove(
    State(front): State<Shared>,
    NodeName(node): NodeName,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let RemoveDocument { below_n, lose_data } = json::read_or_default(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Remove { node, below_n, lose_data }).await
}

/// Let a node that joins leave again, or one that leaves stay.
#[utoipa::path(
    post,
    path = "/v1/nodes/{name}/cancel",
    operation_id = "cancel_node",
    tag = "cluster",
    params(NodeName, DryRunParams),
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "It turns round", body = ChangedDocument),
        (status = 400, description = "It neither joins nor leaves, or there is no such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel(
    State(front): State<Shared>,
    NodeName(node): NodeName,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let NothingDocument {} = json::read_or_default(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Cancel { node }).await
}

/// Give a node another weight: it is to own more or fewer partitions.
#[utoipa::path(
    put,
    path = "/v1/nodes/{name}/weight",
    operation_id = "put_node_weight",
    tag = "cluster",
    params(NodeName, DryRunParams),
    request_body = WeightDocument,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "It weighs that", body = ChangedDocument),
        (status = 400, description = "It cannot weigh that, or there is no such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn weigh(
    State(front): State<Shared>,
    NodeName(node): NodeName,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let WeightDocument { weight } = json::read(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Weigh { node, weight }).await
}
