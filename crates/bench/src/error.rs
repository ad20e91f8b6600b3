//! What can end a run before it has figures.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there are no figures, or why they must not be trusted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument, or two that do not go together; the user corrects the command line.
    #[error("{flag} {value}: {reason}")]
    Invalid {
        /// The flag as it is typed.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// Nobody answered at the address; the user starts the servers.
    #[error("cannot connect to {address}: {source}; is the cluster running? try `henge dev`")]
    Connect {
        /// As it was given or as the cluster named it.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server answered, but not as the run needs; the user changes the flags or the server.
    #[error("{address} answered {command} with: {reply}")]
    Refused {
        /// The server.
        address: String,
        /// The command that prepared the connection.
        command: String,
        /// The server's words.
        reply: String,
    },
    /// The preload did not store all keys, so that the run would measure misses.
    #[error("loading failed for {failed} of {keys} keys; the first error: {example}")]
    Load {
        /// Keys that should exist.
        keys: u64,
        /// Keys that were not acknowledged.
        failed: u64,
        /// One error in the server's words.
        example: String,
    },
    /// The run ended, and none of its operations succeeded.
    #[error("none of {attempted} operations succeeded; the first error: {example}")]
    NothingSucceeded {
        /// Operations that were sent.
        attempted: u64,
        /// One error in the server's words.
        example: String,
    },
    /// `--verify` read values that were not what was written; the store is broken, or was loaded by somebody else.
    #[error("{count} reads returned something that was not written for their key; see the errors above")]
    Verify {
        /// Reads that failed the check.
        count: u64,
    },
    /// A report could not be written.
    #[error("cannot write {path}: {source}")]
    Output {
        /// Where it should have gone.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The generator itself could not start or go on.
    #[error("the load generator failed: {0}")]
    Generator(String),
}

impl Error {
    pub(crate) fn invalid(flag: &'static str, value: &dyn Display, reason: impl Into<String>) -> Error {
        Error::Invalid { flag, value: value.to_string(), reason: reason.into() }
    }
}
