//! `GET /problems/{name}`: what a kind of problem means. The `type` of every problem document is such a path.

use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem, ProblemDocument};

/// What a kind of problem means, and what to do about it.
#[utoipa::path(
    get,
    path = "/problems/{name}",
    operation_id = "explain_problem",
    tag = "health",
    params(("name" = String, Path, description = "The last part of the problem's type", example = "unavailable")),
    responses(
        (status = 200, description = "What it means", body = String, content_type = "text/plain"),
        (status = 404, description = "There is no such kind", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(uri: Uri) -> Result<Response, Problem> {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let kind = Kind::from_name(name).ok_or_else(|| {
        let names: Vec<String> = Kind::all().map(Kind::path).collect();
        Problem::new(
            Kind::NoSuchRoute,
            format!("there is no such kind of problem; there are: {}", names.join(", ")),
        )
    })?;
    let text = format!("{} {}\n\n{}\n", kind.status().as_u16(), kind.title(), kind.meaning());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
