//! What a member says of itself.

use std::collections::BTreeMap;

use crate::entry::Position;
use crate::membership::{MemberId, Membership};

/// What part a member plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It follows a leader, or waits for one.
    Follower,
    /// It asks whether it would be elected, or to be.
    Candidate,
    /// It leads.
    Leader,
}

/// What a member says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Who it is.
    pub id: MemberId,
    /// Its part.
    pub role: Role,
    /// The latest term that it has seen.
    pub term: u64,
    /// Who leads in it, as far as it knows.
    pub leader: Option<MemberId>,
    /// The index of its last entry.
    pub last: u64,
    /// Up to where its log is durable here.
    pub durable: u64,
    /// Up to where it knows the log to be committed.
    pub commit: u64,
    /// What was handed to the caller last.
    pub applied: Position,
    /// Up to where its snapshot goes.
    pub snapshot: Position,
    /// The members, as far as it has applied.
    pub membership: Membership,
    /// What a leader knows of the others; empty with everybody else.
    pub followers: BTreeMap<MemberId, Follower>,
    /// Whether a leader has committed an entry of its own term, before which it neither reads nor changes members.
    pub is_established: bool,
    /// To whom a leader hands over just now.
    pub hands_over_to: Option<MemberId>,
}

/// What a leader knows of another member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Follower {
    /// Up to where its log is durable and equal to the leader's.
    pub matched: u64,
    /// Whether it was heard of within an election's time.
    pub is_active: bool,
    /// Whether it has to have a snapshot.
    pub needs_snapshot: bool,
}
