//! What a client is told when things did not go well, and the truth about its write.

use std::fmt;

use quorum::Level;
use serde::{Deserialize, Serialize};

/// The three honest results of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It took effect.
    Done,
    /// It took no effect and never will.
    NotDone,
    /// It may have taken effect, or may yet.
    Unknown,
}

/// Why a request was not answered as asked. Each kind is something that a client reacts to differently.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// Not done: too few owners could be reached, and nothing was stored. Worth trying again.
    #[error("{action} needs {needed} of {owners} owners ({level}) and {got} answered: {detail}")]
    Unavailable {
        /// Which of the two could not be done.
        action: Action,
        /// The level asked for.
        level: Level,
        /// How many owners that takes.
        needed: u8,
        /// How many answered.
        got: u8,
        /// How many owners the key has.
        owners: u8,
        /// Which owners did not, and why.
        detail: String,
    },
    /// Not done: the node has more to do than it can. Worth trying again later, more slowly.
    #[error("{0}")]
    Overloaded(String),
    /// It may or may not be stored: some owners may hold the write, and too few said so in time.
    #[error(
        "the write may or may not be stored: {needed} of {owners} owners ({level}) must hold it and {got} said so in time: {detail}"
    )]
    Unknown {
        /// The level asked for.
        level: Level,
        /// How many owners that takes.
        needed: u8,
        /// How many acknowledged.
        got: u8,
        /// How many owners the key has.
        owners: u8,
        /// Which owners did not, and why.
        detail: String,
    },
    /// Not done: the request itself cannot be served, now or later. The text says what would be right.
    #[error("{0}")]
    Invalid(String),
    /// Not done: a key, value or record beyond a limit.
    #[error("{what} is {bytes} bytes; the limit of keyspace {keyspace} is {limit}")]
    TooLarge {
        /// What of it.
        what: Part,
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        limit: u64,
        /// Whose limit.
        keyspace: String,
    },
    /// Not done: the key has as many siblings as the keyspace allows.
    #[error(
        "the key has {siblings} siblings, the limit of keyspace {keyspace}: read it and write with the context that the read gave"
    )]
    TooManySiblings {
        /// How many there are.
        siblings: usize,
        /// Whose limit.
        keyspace: String,
    },
    /// Not done: the keyspace insists on a context for overwriting.
    #[error("keyspace {0} overwrites only with the context of a read (require_context)")]
    ContextRequired(String),
    /// Not done: no such keyspace.
    #[error("there is no keyspace {0}")]
    NoSuchKeyspace(String),
    /// Not done: a change to the cluster needs a majority of those who keep the cluster state, and none can be reached. Worth
    /// trying again.
    #[error("the cluster cannot be changed now: {0}")]
    NotLed(String),
    /// Whether a change to the cluster was or will be made is not known. Who looks at the cluster state later sees it.
    #[error("the cluster may or may not have been changed: {0}")]
    ChangeUnknown(String),
}

impl Error {
    /// What became of the write, or of the change.
    pub fn fate(&self) -> Fate {
        match self {
            Error::Unknown { .. } | Error::ChangeUnknown(_) => Fate::Unknown,
            _ => Fate::NotDone,
        }
    }
}

/// The two things that owners are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// To say what they hold.
    Read,
    /// To hold something.
    Write,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Read => "the read",
            Action::Write => "the write",
        })
    }
}

/// What may be too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
    /// All that is stored of the key: values, siblings and clocks.
    Record,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Key => "the key",
            Part::Value => "the value",
            Part::Record => "the record with all its siblings",
        })
    }
}
