//! The document that a client reads (RFC 9457, section 3).

use serde::Serialize;
use utoipa::ToSchema;

use super::Kind;

/// Why a request was not answered as asked.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/unavailable",
    "title": "Too few owners of the key could be reached",
    "status": 503,
    "detail": "write needs 2 of 3 owners (quorum) and 1 answered: n2 and n3 are not reachable",
    "instance": "/v1/keyspaces/default/keys/greeting",
    "result": "not-done",
    "action": "write",
    "level": "quorum",
    "needed": 2,
    "got": 1,
    "owners": 3
}))]
pub(crate) struct ProblemDocument {
    /// The kind of problem: a path on this node that explains it.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of this kind.
    title: &'static str,
    /// The status that it was answered with.
    status: u16,
    /// What was asked, what was there and what to do.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// `not-done`: it took no effect and never will. `unknown`: it may have, or may yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "not-done")]
    result: Option<&'static str>,
    #[serde(flatten)]
    facts: Facts,
}

/// What a program can act upon; each is there only where it means something.
#[derive(Clone, Serialize, ToSchema, Debug, Default)]
pub(crate) struct Facts {
    /// `read` or `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<&'static str>,
    /// The level that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<String>,
    /// How many owners that takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) needed: Option<u64>,
    /// How many there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) got: Option<u64>,
    /// How many owners the key has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owners: Option<u64>,
    /// How large it was, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// How large it may be, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    /// How many siblings the key has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) siblings: Option<u64>,
    /// The keyspace that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keyspace: Option<String>,
    /// The keyspaces that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keyspaces: Option<Vec<String>>,
}

impl ProblemDocument {
    pub(super) fn new(kind: Kind, detail: &str, instance: &str, facts: Facts) -> ProblemDocument {
        ProblemDocument {
            kind: kind.path(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.to_owned(),
            instance: instance.to_owned(),
            result: kind.result(),
            facts,
        }
    }
}
