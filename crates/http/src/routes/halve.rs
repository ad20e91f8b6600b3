//! `/v1/partitions/halve`: each partition becomes two.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::Change;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::change::{ChangedDocument, PlanDocument, answer};
use crate::front::Shared;
use crate::json;
use crate::params::{DryRunParams, Params};
use crate::problem::{Problem, ProblemDocument};

/// For how many partitions it is asked. No body says: for as many as the node asked knows of.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"partitions": 256}))]
pub(crate) struct CountDocument {
    /// How many there are, as whoever asks knows: if there are others by now, nothing is done.
    pub(super) partitions: Option<u16>,
}

/// Halve all partitions. Both halves stay with the owners of the whole: nothing moves.
#[utoipa::path(
    post,
    path = "/v1/partitions/halve",
    operation_id = "halve_partitions",
    tag = "cluster",
    params(DryRunParams),
    request_body = Option<CountDocument>,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "They are halved", body = ChangedDocument),
        (status = 400, description = "There are as many as there can be, or others than was said", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not done: no majority of the voters can be reached", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn halve(
    State(front): State<Shared>,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let CountDocument { partitions } = json::read_or_default(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Halve { partitions }).await
}
