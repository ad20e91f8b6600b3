//! What can be wrong with a configuration and with a stored state.

use thiserror::Error;

/// A key of the configuration has a value that cannot be served.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{key} = {value}: {wanted}")]
pub struct ConfigError {
    /// Which key, as a path a person can find: `keyspaces.sessions.r`.
    pub key: String,
    /// What it says.
    pub value: String,
    /// What would be right.
    pub wanted: String,
}

impl ConfigError {
    /// That `key` says `value`, and what would be right.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "callers hand over numbers, words and what they have formatted"
    )]
    pub fn new(key: impl Into<String>, value: impl ToString, wanted: impl Into<String>) -> ConfigError {
        ConfigError { key: key.into(), value: value.to_string(), wanted: wanted.into() }
    }

    /// The same error of a key inside of `section`.
    pub fn within(mut self, section: &str) -> ConfigError {
        self.key = format!("{section}.{}", self.key);
        self
    }
}

/// Bytes that hold no cluster state.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StoredError {
    /// They are not what this crate writes, or not all of it.
    #[error("the stored cluster state is damaged: {0}")]
    Damaged(String),
    /// A later version wrote them.
    #[error(
        "the stored cluster state has format {found}; this version of henge reads formats up to {known}: run a newer one"
    )]
    TooNew {
        /// The format of the bytes.
        found: u16,
        /// The newest format known here.
        known: u16,
    },
}
