//! What waits until the disk has what comes before it.
//!
//! What must hold: an effect is listed only when every write that it rests on is durable, and effects of one kind in the order
//! in which they were made. Writes are durable in their order, so a number says how far they are.

use std::collections::VecDeque;

use types::Instant;

use crate::effect::Effect;
use crate::entry::{Payload, Position};
use crate::membership::Membership;

/// How many effects may wait. A disk that stands still for so long has its member deaf before its memory is gone.
const WAITING_MAX: usize = 4096;

/// A write that is under way.
struct Outstanding {
    number: u64,
    since: Instant,
    /// The library's number of what it belongs to.
    ready: u64,
}

pub(crate) struct Held {
    writes: VecDeque<Outstanding>,
    /// The latest write that was listed.
    last: u64,
    /// The latest that holds what an acknowledgement or a vote would rest on.
    last_binding: u64,
    /// The latest with another term or vote.
    last_vote: u64,
    /// Up to which write all are durable.
    durable: u64,
    waiting: VecDeque<(u64, Effect)>,
    /// Up to where entries were listed to be applied, and the members there: where the caller's state is.
    listed: (Position, Membership),
}

/// What an effect rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// No write: what has to be durable was found to be so.
    Nothing,
    /// The latest term and vote. The messages of a leader, who counts his own entries only once they are durable.
    Vote,
    /// The latest entries, term and vote.
    Binding,
    /// All writes.
    Everything,
}

/// What a write has in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Contents {
    pub(crate) is_binding: bool,
    pub(crate) has_vote: bool,
}

impl Held {
    /// Nothing is under way, and the caller's state is here.
    pub(crate) fn new(listed: (Position, Membership)) -> Held {
        Held {
            writes: VecDeque::new(),
            last: 0,
            last_binding: 0,
            last_vote: 0,
            durable: 0,
            waiting: VecDeque::new(),
            listed,
        }
    }

    /// Where the caller's state is, once he has done all that was listed.
    pub(crate) fn listed(&self) -> &(Position, Membership) {
        &self.listed
    }

    fn list(&mut self, effect: Effect, out: &mut Vec<Effect>) {
        match &effect {
            Effect::Apply(entry) => {
                self.listed.0 = entry.position;
                if let Payload::Change(change) = entry.payload
                    && let Ok(next) = self.listed.1.with(change)
                {
                    self.listed.1 = next;
                }
            }
            Effect::Install(snapshot) => self.listed = (snapshot.position, snapshot.membership.clone()),
            _ => {}
        }
        out.push(effect);
    }

    /// The number of a write that begins now.
    pub(crate) fn begin(&mut self, now: Instant, ready: u64, contents: Contents) -> u64 {
        self.last += 1;
        if contents.is_binding {
            self.last_binding = self.last;
        }
        if contents.has_vote {
            self.last_vote = self.last;
        }
        self.writes.push_back(Outstanding { number: self.last, since: now, ready });
        self.last
    }

    /// Lists an effect, or keeps it until it may be.
    pub(crate) fn emit(&mut self, after: After, effect: Effect, out: &mut Vec<Effect>) {
        let after = match after {
            After::Nothing => 0,
            After::Vote => self.last_vote,
            After::Binding => self.last_binding,
            After::Everything => self.last,
        };
        if after <= self.durable {
            self.list(effect, out);
        } else {
            self.waiting.push_back((after, effect));
        }
    }

    /// All writes up to this one are durable. Returns the library's number of the last of them that is news.
    pub(crate) fn durable(&mut self, number: u64, out: &mut Vec<Effect>) -> Option<u64> {
        self.durable = self.durable.max(number.min(self.last));
        let mut ready = None;
        while self.writes.front().is_some_and(|write| write.number <= self.durable) {
            ready = self.writes.pop_front().map(|write| write.ready).max(ready);
        }
        for (after, effect) in std::mem::take(&mut self.waiting) {
            if after <= self.durable {
                self.list(effect, out);
            } else {
                self.waiting.push_back((after, effect));
            }
        }
        ready
    }

    /// Whether no write is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether what this member would vote or acknowledge by is not all durable.
    pub(crate) fn is_binding(&self) -> bool {
        self.last_binding > self.durable
    }

    /// Whether so much waits that nothing more should be taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX || self.writes.len() >= WAITING_MAX
    }

    /// Since when the oldest write is under way.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.writes.front().map(|write| write.since)
    }
}
