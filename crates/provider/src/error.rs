//! What can go wrong with a provider.

use thiserror::Error;

/// Why a provider did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProviderError {
    /// Nothing was done.
    #[error("{asked}: {why}")]
    NotDone {
        /// What was asked.
        asked: String,
        /// What was there, and what to do.
        why: String,
    },
    /// It may have been done: the next list shows it.
    #[error("{asked}: {why}; whether it was done shows in the next list")]
    Unknown {
        /// What was asked.
        asked: String,
        /// What was there, and what to do.
        why: String,
    },
}

impl ProviderError {
    /// That nothing was done.
    pub fn not_done(asked: impl Into<String>, why: impl Into<String>) -> ProviderError {
        ProviderError::NotDone { asked: asked.into(), why: why.into() }
    }

    /// That it may have been done.
    pub fn unknown(asked: impl Into<String>, why: impl Into<String>) -> ProviderError {
        ProviderError::Unknown { asked: asked.into(), why: why.into() }
    }
}
