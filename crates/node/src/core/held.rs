//! Questions that were routed by a later state than the one that this node goes by.
//!
//! Whoever asks has heard of a change before this node has, mostly by a few milliseconds. To refuse would turn each change into
//! a moment in which requests fail, so such a question waits until the news has come, or its time is over; and whoever sent it is
//! told how far this node is, upon which he sends the rest.
//!
//! What must hold (INVARIANTS J1): the queue is bounded, and what does not fit is refused at once; nothing in it is served by an
//! older state than the one it was routed by.

use std::collections::VecDeque;

use types::{Instant, Moment, ShardId};
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

use super::{Output, Sender, Shard};

/// How many questions wait at the most.
const HELD_MAX: usize = 4096;

/// A question that waits.
#[derive(Debug)]
pub(super) struct Held {
    via: ShardId,
    from: Sender,
    since: Instant,
    envelope: Envelope,
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    questions: VecDeque<Held>,
    /// When the first of them has no time left.
    give_up_at: Option<Instant>,
}

impl HeldBack {
    /// When one of them is to be answered at the latest.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.give_up_at
    }
}

/// How a question's epoch compares with what this node knows.
pub(super) enum Routed {
    /// By the same owners and settings.
    Alike,
    /// By earlier ones; these are since this epoch.
    Before(types::Epoch),
    /// By ones that this node has yet to hear of.
    Ahead,
}

/// Whether a question is about what a partition's owners have, and not about what is under way here.
pub(super) fn is_by_partition(request: &ReplicaRequest) -> bool {
    !matches!(request, ReplicaRequest::Grant { .. } | ReplicaRequest::Unname)
}

impl Shard {
    /// How what a question was routed by compares with what this node goes by.
    pub(super) fn routed(&self, envelope: &Envelope, request: &ReplicaRequest) -> Routed {
        if !is_by_partition(request) {
            return Routed::Alike;
        }
        let state = &self.topology.state;
        let since = match request.keyspace() {
            Some(keyspace) => state.since_in(keyspace, envelope.partition),
            None => state.since(envelope.partition),
        };
        match envelope.epoch.cmp(&since) {
            std::cmp::Ordering::Equal => Routed::Alike,
            std::cmp::Ordering::Less => Routed::Before(since),
            std::cmp::Ordering::Greater => Routed::Ahead,
        }
    }

    /// Lets a question wait for the news.
    pub(super) fn hold(
        &mut self,
        now: Moment,
        via: ShardId,
        from: Sender,
        envelope: Envelope,
        out: &mut Vec<Output>,
    ) {
        let ticket = super::ticket(now, via, from, &envelope);
        if self.held.questions.len() >= HELD_MAX {
            let why = format!(
                "this node goes by epoch {}, and {HELD_MAX} questions wait already until it has heard of later ones",
                self.topology.state.epoch()
            );
            self.reply(now, ticket, ReplicaReply::Failed { why }, out);
            return;
        }
        let until = ticket.until;
        self.held.give_up_at = Some(self.held.give_up_at.map_or(until, |at| at.min(until)));
        self.held.questions.push_back(Held { via, from, since: now.mono, envelope });
        self.ask_for_news(from.node, out);
    }

    /// The news have come, or the time of some is over: each is taken in again, and waits on if it must.
    pub(super) fn take_held(&mut self, now: Moment, out: &mut Vec<Output>) {
        let questions = std::mem::take(&mut self.held.questions);
        self.held.give_up_at = None;
        for Held { via, from, since, mut envelope } in questions {
            let waited = u32::try_from(now.mono.since(since).as_millis()).unwrap_or(u32::MAX);
            envelope.deadline_ms = envelope.deadline_ms.saturating_sub(waited);
            debug_assert!(matches!(envelope.body, Body::Request(_)), "only questions wait");
            self.hear(now, via, from, envelope, out);
        }
    }

    /// Some of what waits has no time left.
    pub(super) fn give_up_held(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.held.give_up_at.is_some_and(|at| at <= now.mono) {
            self.take_held(now, out);
        }
    }
}
