//! What the members agree on: entries in one order, and a snapshot in the place of the first of them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bytes_form;
use crate::membership::{Change, Membership};

/// A place in the log, and in which term it was written there. Two logs that have the same position are equal up to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The leader's term. The first is 1.
    pub term: u64,
    /// From 1, without gaps.
    pub index: u64,
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader's first entry, which shows that it can commit.
    Nothing,
    /// What somebody proposed. Never empty.
    Data(#[serde(with = "bytes_form")] Bytes),
    /// Another membership.
    Change(Change),
}

impl Payload {
    /// How many bytes of others it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Payload::Data(data) => data.len(),
            Payload::Nothing | Payload::Change(_) => 0,
        }
    }
}

/// All that was agreed on up to a position, in the caller's own form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry that it contains.
    pub position: Position,
    /// The members at that position.
    pub membership: Membership,
    /// The caller's state there.
    #[serde(with = "bytes_form")]
    pub data: Bytes,
}

/// What a member must never forget beside its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that it has seen.
    pub term: u64,
    /// For whom it has voted in that term; zero for nobody.
    pub vote: u64,
    /// Up to where it knows the log to be committed. May be less than it once knew.
    pub commit: u64,
}
