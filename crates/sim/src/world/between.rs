//! What passes between data centers: how much of what, how long they are cut off, and relays that die.
//!
//! Counted is what arrives, in whole frames and datagrams. What a cut holds back has not crossed.

use std::collections::BTreeMap;
use std::time::Duration;

use env::disk::CrashMode;
use merkle::{Answer, Question};
use types::Instant;
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

use super::World;
use crate::network::Place;

/// What a message is sent for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// What clients ask, and what comes of it at once.
    Clients,
    /// Owners compare what they have, and bring each other what is missing.
    Exchange,
    /// Hints on their way.
    Hints,
    /// What else nodes agree on about the data: which deletes may be dropped, and movements.
    Upkeep,
    /// The cluster state.
    Govern,
    /// Who is alive.
    Gossip,
}

impl Kind {
    /// Of a message of a connection.
    fn of(envelope: &Envelope) -> Kind {
        let is_own = replica::handoff::is_own(envelope.operation);
        match &envelope.body {
            Body::Govern(_) | Body::Ping | Body::Pong => Kind::Govern,
            Body::Request(ReplicaRequest::Collect(_) | ReplicaRequest::Fetch(_))
            | Body::Reply(ReplicaReply::Collected(_) | ReplicaReply::Fetched(_)) => Kind::Upkeep,
            _ if replica::exchange::is_its(envelope.operation) => Kind::Exchange,
            _ if is_own => Kind::Hints,
            _ => Kind::Clients,
        }
    }
}

/// What a message of a connection says, as far as the exchange is concerned: by this the cost of each of its steps can be told.
fn step_of(envelope: &Envelope) -> &'static str {
    match &envelope.body {
        Body::Request(ReplicaRequest::Compare(ask)) => match ask.question {
            Question::Root(_) => "compare: a root",
            Question::Leaves(_) => "compare: which leaves",
            Question::Spans(_) => "compare: which spans",
            Question::Keys(_) => "compare: whose digests",
        },
        Body::Reply(ReplicaReply::Compared(answer)) => match **answer {
            Answer::Refused(_) | Answer::Same { .. } => "compared: the same, or refused",
            Answer::Branches(_) => "compared: branches",
            Answer::Leaves(_) => "compared: leaves",
            Answer::Spans(_) => "compared: spans",
            Answer::Keys { .. } => "compared: keys",
        },
        Body::Request(ReplicaRequest::ReadHeld { .. }) => "what is held?",
        Body::Request(ReplicaRequest::Write { .. }) => "a record to be merged",
        Body::Request(ReplicaRequest::Grant { .. }) => "how much?",
        Body::Reply(ReplicaReply::Found { .. }) => "a record",
        Body::Reply(ReplicaReply::Absent) => "nothing is held",
        Body::Reply(ReplicaReply::Same) => "the same is held",
        Body::Reply(ReplicaReply::Older) => "something older is held",
        Body::Reply(ReplicaReply::Stored) => "stored",
        Body::Reply(ReplicaReply::Granted { .. }) => "so much",
        _ => "other",
    }
}

/// How much has crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Crossed {
    /// Frames or datagrams.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Crossed {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// What there is between the data centers of a world.
#[derive(Debug, Default)]
pub(super) struct Between {
    crossed: BTreeMap<Kind, Crossed>,
    /// The same for what the exchange says, by what it is.
    steps: BTreeMap<&'static str, Crossed>,
    cut_until: Option<Instant>,
    a_relay_dies: bool,
}

impl Between {
    /// All cuts are over, and nobody is to die any more.
    pub(super) fn heals(&mut self) {
        self.cut_until = None;
        self.a_relay_dies = false;
    }
}

impl World {
    /// What has crossed between data centers so far.
    pub fn crossed(&self) -> &BTreeMap<Kind, Crossed> {
        &self.between.crossed
    }

    /// What has crossed for the exchange, by what was said.
    pub fn crossed_in_steps(&self) -> &BTreeMap<&'static str, Crossed> {
        &self.between.steps
    }

    /// Whether a data center is cut off and is to stay so for now.
    pub fn is_cut_for_long(&self) -> bool {
        self.between.cut_until.is_some_and(|until| self.now < until)
    }

    /// What is cut now stays so for this time.
    pub fn lets_cuts_last(&mut self, time: Duration) {
        self.between.cut_until = Some(self.now + time);
    }

    /// The next node to which a write comes that it is to pass on dies of it. False if one is to die already.
    pub fn let_a_relay_die(&mut self) -> bool {
        !std::mem::replace(&mut self.between.a_relay_dies, true)
    }

    /// Whether a node dies of a message, before it has done anything about it.
    pub(super) fn relay_dies(&mut self, place: Place, envelope: &Envelope) -> bool {
        let is_relay = matches!(envelope.body, Body::Request(ReplicaRequest::Relay(_)));
        if !is_relay || !self.between.a_relay_dies || !self.hosts[place].is_up() {
            return false;
        }
        self.between.a_relay_dies = false;
        let mode = if self.rng.chance(1, 2) { CrashMode::KeepAll } else { CrashMode::LoseUnsynced };
        self.pull_plug(place, mode);
        true
    }

    pub(super) fn crosses(&mut self, ends: (Place, Place), kind: Kind, bytes: usize) {
        if self.network.is_between(ends) {
            self.between.crossed.entry(kind).or_default().add(bytes);
        }
    }

    /// A message of a connection crosses.
    pub(super) fn envelope_crosses(&mut self, ends: (Place, Place), envelope: &Envelope, bytes: usize) {
        let kind = Kind::of(envelope);
        self.crosses(ends, kind, bytes);
        if kind == Kind::Exchange && self.network.is_between(ends) {
            self.between.steps.entry(step_of(envelope)).or_default().add(bytes);
        }
    }
}
