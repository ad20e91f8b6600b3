//! What members say to each other, and its bytes: a version, then postcard.
//!
//! Who a message is from is not in it: that is for the channel to say (INVARIANTS K2). For whom it is stands in it, because
//! a message that was sent to an earlier life of a member must not be taken by its next one.
//!
//! What must hold: bytes of others never panic and never make a larger thing than themselves; what is decoded may still be
//! nonsense to the protocol, and [`crate::guard`] refuses that. Why these are not the library's own messages: its protobuf code
//! recurses without a limit, so it never sees bytes that came from anywhere.

use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Position, Snapshot};
use crate::membership::MemberId;

const VERSION: u8 = 1;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Who is to have it.
    pub to: MemberId,
    /// The sender's term, or the one that it stands for.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// A leader's entries, or a probe without any.
    Append {
        /// The entry before them.
        before: Position,
        /// Up to where the log is committed.
        commit: u64,
        /// They follow each other.
        entries: Vec<Entry>,
    },
    /// The log is on stable storage and equal to the leader's up to `index`.
    Appended {
        /// See there.
        index: u64,
        /// Up to where the sender knows the log to be committed.
        commit: u64,
    },
    /// There is no such entry before those that were sent.
    NotAppended {
        /// The index of that entry.
        index: u64,
        /// The last that may be equal.
        hint: Position,
        /// Up to where the sender knows the log to be committed.
        commit: u64,
    },
    /// I am your leader.
    Heartbeat {
        /// Up to where the log is committed, as far as the receiver has it.
        commit: u64,
        /// To be sent back, where a read waits for that.
        token: Option<u64>,
    },
    /// You are.
    HeartbeatAnswer {
        /// Up to where the sender knows the log to be committed.
        commit: u64,
        /// What came with the heartbeat.
        token: Option<u64>,
    },
    /// Asks for a vote.
    Vote {
        /// Whether it only asks how an election would end.
        is_trial: bool,
        /// Whether the leader told the sender to take over.
        is_transfer: bool,
        /// The end of the sender's log.
        last: Position,
        /// Up to where the sender knows the log to be committed.
        committed: Position,
    },
    /// The vote.
    VoteAnswer {
        /// Whether it answers a trial.
        is_trial: bool,
        /// Whether the answer is no.
        refuses: bool,
        /// Up to where the sender knows the log to be committed; zeros where the answer is yes.
        committed: Position,
    },
    /// What a leader sends whose log begins too late for the receiver.
    Snapshot(Snapshot),
    /// Take over.
    TakeOver,
}

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Another version of this program wrote it.
    #[error(
        "a consensus message of version {found}; this program knows version {VERSION}: upgrade the older one"
    )]
    Version {
        /// What it says.
        found: u8,
    },
    /// It is larger than any message of this group may be.
    #[error("a consensus message of {bytes} bytes, which is more than {max}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// It is not what anybody wrote.
    #[error("these bytes are no consensus message")]
    Malformed,
}

impl Message {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![VERSION]);
        bytes.expect("a vector grows, and these types have no case that postcard cannot write")
    }

    /// From bytes, of which there are at most [`crate::Options::message_bytes_max`].
    ///
    /// # Errors
    /// As [`DecodeError`] says.
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Message, DecodeError> {
        if bytes.len() > bytes_max {
            return Err(DecodeError::TooLarge { bytes: bytes.len(), max: bytes_max });
        }
        match bytes.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
                Ok((message, [])) => Ok(message),
                _ => Err(DecodeError::Malformed),
            },
            Some((&found, _)) => Err(DecodeError::Version { found }),
            None => Err(DecodeError::Malformed),
        }
    }
}
