//! The parts of a query, strictly: what is not known, comes twice or is not UTF-8 is an error and not passed over, for
//! a misspelt level would otherwise be a weaker promise in silence.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use quorum::Level;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::front::Shared;
use crate::percent;
use crate::problem::Problem;

/// A query that was understood.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Params<T>, Problem> {
        check_encoding(parts.uri.query().unwrap_or_default())?;
        let query = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            Problem::invalid(format!("the query is wrong: {}", rejection.body_text()))
        })?;
        Ok(Params(query.0))
    }
}

/// The parser of queries replaces what it cannot read; here that is an error.
fn check_encoding(query: &str) -> Result<(), Problem> {
    let decoded = percent::decode(query);
    if decoded.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok()) {
        return Ok(());
    }
    Err(Problem::invalid("the query is not percent-encoded UTF-8; a percent sign itself is written %25"))
}

/// The query of a request that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// Whether a change is to be made, or only shown.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRunParams {
    /// Change nothing, and answer what the change would come to: which partitions would move, from whom to whom.
    #[serde(rename = "dry-run")]
    #[param(rename = "dry-run")]
    pub(crate) dry_run: bool,
}

/// How many owners must answer, and how long the client waits.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct LevelParams {
    /// How many owners must answer a read: a number, or `one`, `two`, `three`, `quorum`, `all`, `local-one`,
    /// `local-quorum`, `each-quorum`. The keyspace's own where absent.
    #[param(example = "quorum")]
    r: Option<String>,
    /// How many owners must hold a write before it is acknowledged; as `r`.
    #[param(example = "2")]
    w: Option<String>,
    /// How long the client waits, in milliseconds. An answer is given by then, whatever happens.
    #[param(example = 1000, minimum = 1)]
    timeout_ms: Option<u64>,
}

impl LevelParams {
    pub(crate) fn new(r: Option<String>, w: Option<String>, timeout_ms: Option<u64>) -> LevelParams {
        LevelParams { r, w, timeout_ms }
    }

    /// The levels and the time limit that they ask for.
    pub(crate) fn parse(&self) -> Result<Levels, Problem> {
        if self.timeout_ms == Some(0) {
            return Err(Problem::invalid(
                "timeout_ms=0 leaves no time to answer; leave it out for the node's own limit",
            ));
        }
        Ok(Levels {
            read: level("r", self.r.as_deref())?,
            write: level("w", self.w.as_deref())?,
            timeout: self.timeout_ms.map(Duration::from_millis),
        })
    }
}

/// What a request asks for instead of the keyspace's own.
#[derive(Clone, Copy)]
pub(crate) struct Levels {
    pub(crate) read: Option<Level>,
    pub(crate) write: Option<Level>,
    pub(crate) timeout: Option<Duration>,
}

fn level(name: &str, text: Option<&str>) -> Result<Option<Level>, Problem> {
    let parsed = text.map(str::parse::<Level>).transpose();
    parsed.map_err(|error| Problem::invalid(format!("{name}: {error}")))
}
