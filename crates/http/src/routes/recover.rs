//! `POST /v1/recover`: the history of the cluster state is begun again at the node that is asked, because the majority of those who keep
//! it is lost for good.
//!
//! The node listens for some seconds before it answers, and refuses where nothing is lost.

#![allow(unused_qualifications)] // The macro that describes a handler qualifies its parameter types.

use api::{Change, Recovery};
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

/// How the history is to be begun again. No body names nobody.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"without": ["n1", "n2"], "losing": []}))]
pub(crate) struct RecoveryDocument {
    /// Members that are gone for good, and their data with them. They are removed at once, and never let in again.
    without: Vec<String>,
    /// Members that have a later state, or one of another history, which is to be given up.
    losing: Vec<String>,
}

/// Begin the history of the cluster state again at this node, because the majority of those who keep it is lost for good. What the lost
/// ones alone have agreed on is given up. With `dry-run` nothing is done, and the notes say what each node has.
#[utoipa::path(
    post,
    path = "/v1/recover",
    operation_id = "recover",
    tag = "cluster",
    params(DryRunParams),
    request_body = Option<RecoveryDocument>,
    responses(
        (status = 200, description = "With dry-run: what it would come to", body = PlanDocument),
        (status = 202, description = "The history was begun again", body = ChangedDocument),
        (status = 400, description = "Nothing is lost, or another node has a later state", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "Done or not: unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn recover(
    State(front): State<Shared>,
    Params(params): Params<DryRunParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let RecoveryDocument { without, losing } = json::read_or_default(&front, &headers, body).await?;
    answer(&front, params.dry_run, Change::Recover(Box::new(Recovery { without, losing }))).await
}
