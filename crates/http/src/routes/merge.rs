//! `/v1/partitions/merge`: each two halves become one.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::Change;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::change::{ChangedDocument, PlanDocument, answer};
use super::halve::CountDocument;
use crate::front::Shared;
use crate::json;
use crate::params::{DryRunParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// Merge partitions, two by two. Both halves of each pair go to the same owners first, and are joined when all are there. Cluster
/// documents say `merging` until then.
#[utoipa::path(
    post,
    path = "/v1/partitions/merge",
    operation_id = "merge_partitions",
    tag = "cluster",
    params(DryRunParams),
    request_body = Option<CountDocument>,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "They are being merged", body = ChangedDocument),
        (status = 400, description = "There is one, or others than was said, or they are being merged already", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn merge(
    State(front): State<Shared>,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let CountDocument { partitions } = json::read_or_default(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Merge { partitions }).await
}

/// Keep the halves that are being merged. Placement evens out claims again, without keeping halves together.
#[utoipa::path(
    delete,
    path = "/v1/partitions/merge",
    operation_id = "keep_halves",
    tag = "cluster",
    params(DryRunParams),
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "They are not being merged any more", body = ChangedDocument),
        (status = 400, description = "No partitions are being merged: they were joined, or nobody asked for it", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn keep_halves(
    State(front): State<Shared>,
    Params(params): Params<DryRunParams>,
) -> Result<Response, Problem> {
    answer(&front, params.dry_run, Change::KeepHalves).await
}
