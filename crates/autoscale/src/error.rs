//! What can be wrong with a policy.

use thiserror::Error;

/// A key of `[autoscaler]` has a value with which nothing would work.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{key} = {value}: {wanted}")]
pub struct PolicyError {
    /// Which key, as a path a person can find: `autoscaler.max`.
    pub key: String,
    /// What it says.
    pub value: String,
    /// What would be right.
    pub wanted: String,
}

impl PolicyError {
    /// That `key`, within `[autoscaler]`, says `value`, and what would be right.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "callers hand over numbers, words and what they have formatted"
    )]
    pub fn new(key: &str, value: impl ToString, wanted: impl Into<String>) -> PolicyError {
        PolicyError { key: format!("autoscaler.{key}"), value: value.to_string(), wanted: wanted.into() }
    }
}
