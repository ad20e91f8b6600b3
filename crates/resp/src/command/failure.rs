//! Why a command is answered with an error, in the form that RESP clients look at: a prefix in capitals, a sentence.
//!
//! What must hold: the prefix tells the truth about a write (INVARIANTS A5). `UNAVAILABLE` and `OVERLOADED` are said
//! where nothing was and will be stored or changed, `UNKNOWN` where it may have been, `CONFLICT` where a read found siblings. No
//! prefix that client libraries answer by trying again on their own (`TRYAGAIN`, `LOADING`, `ASK`,
//! `CLUSTERDOWN`, `BUSY`, `MASTERDOWN`): they would repeat writes that are not theirs to repeat. `MOVED` is said before anything
//! is done.

use std::borrow::Cow;

use api::Error;

/// An error reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What programs look at.
    pub prefix: &'static str,
    /// What people read.
    pub message: Cow<'static, str>,
}

/// Redis's error for options that do not fit together.
pub const SYNTAX: Failure = Failure::fixed("syntax error");
/// Redis's error for a number that is none.
pub const NOT_AN_INTEGER: Failure = Failure::fixed("value is not an integer or out of range");

impl Failure {
    /// An `ERR` with a fixed text.
    pub const fn fixed(message: &'static str) -> Failure {
        Failure { prefix: "ERR", message: Cow::Borrowed(message) }
    }

    /// An `ERR` with a text made for the occasion.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { prefix: "ERR", message: Cow::Owned(message.into()) }
    }

    /// A plain read found siblings: it never picks one in silence.
    pub fn conflict(siblings: usize, key: Option<&[u8]>) -> Failure {
        let of = key.map_or_else(String::new, |key| format!(" of '{}'", key.escape_ascii()));
        let message = format!(
            "{siblings} siblings{of}: read them with KV.GET, and write what they should become with KV.PUT and its context"
        );
        Failure { prefix: "CONFLICT", message: Cow::Owned(message) }
    }

    /// The keyspace that the connection is in was dropped: nothing of it can be read or written any more, by any command. Another
    /// one of the same name is another one, and what the client knows of the old one does not hold there.
    pub fn dropped(keyspace: &str) -> Failure {
        Failure::new(format!(
            "keyspace '{keyspace}', which this connection is in, was dropped: SELECT another; KV.KEYSPACES lists them"
        ))
    }

    /// The store answered a question that was not asked. Whatever it did, it is not known here.
    pub fn misplaced() -> Failure {
        Failure {
            prefix: "UNKNOWN",
            message: Cow::Borrowed("the node's answer does not belong to the question"),
        }
    }

    /// The same, with words before its message.
    pub fn with_context(self, before: &str) -> Failure {
        Failure { prefix: self.prefix, message: Cow::Owned(format!("{before}: {}", self.message)) }
    }

    /// The same, as the fate of a command of which parts are done.
    pub fn partly_done(self, before: &str) -> Failure {
        Failure { prefix: "UNKNOWN", ..self.with_context(before) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let prefix = match &error {
            Error::Unavailable { .. } | Error::NotLed(_) => "UNAVAILABLE",
            Error::Overloaded(_) => "OVERLOADED",
            Error::Unknown { .. } | Error::ChangeUnknown(_) => "UNKNOWN",
            _ => "ERR",
        };
        Failure { prefix, message: Cow::Owned(error.to_string()) }
    }
}
