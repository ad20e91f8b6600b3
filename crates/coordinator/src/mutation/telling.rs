//! What the client is told, and what is let go then.

use api::{Deleted, Error, ExpiryChange, Marks, Reply, Touched, Written};
use bytes::Bytes;
use causality::Context;
use cluster::Durability;

use super::refusal::{NEWS_DID_NOT_COME, not_made};
use super::{Ask, Mutation, Naming, Phase, Writing};
use crate::settle::count;
use crate::target::{Step, Target, Turn};

/// Why one that was named by another node, and could not be made so, has come to nothing.
const NAME_NOT_LEFT: &str =
    "it cannot be made as it is named, and the node that named it did not leave that to this one in time";

/// A record up to this size is kept while owners have not answered, though the client has been.
const KEPT_BYTES_MAX: usize = 16 * 1024;

impl Mutation {
    /// The time is up: what to say, if nothing was said yet.
    pub fn timed_out(&self, target: &Target) -> Option<Error> {
        if self.answered {
            return None;
        }
        Some(match &self.phase {
            Phase::Reading(read) => read.timed_out(target),
            Phase::Settling(settling) => settling.0.error(),
            Phase::Overtaken => not_made(target, self.level, NEWS_DID_NOT_COME.to_owned()),
            Phase::Begun | Phase::Making(_) => Error::Unknown {
                level: self.level,
                needed: 1,
                got: 0,
                owners: target.owner_count(),
                detail: match self.naming {
                    Naming::Asked => NAME_NOT_LEFT.to_owned(),
                    Naming::Theirs | Naming::Ours => "this node's own disk did not answer in time".to_owned(),
                },
            },
            Phase::Writing(writing) => self.unknown(target, writing, true),
        })
    }

    /// The client has been answered: what the record was made of is not needed any more. Nor is the record, unless it is small
    /// and a fallback may still have to keep it for an owner that turns out not to be reachable, or somebody behind a relay may
    /// have to be sent it directly.
    pub(super) fn let_go(&mut self, target: &Target) {
        if let Ask::Put { value, context, .. } = &mut self.ask {
            (*value, *context) = (Bytes::new(), Context::default());
        }
        if let Phase::Writing(writing) = &mut self.phase {
            writing.ingredients = None;
            let may_be_sent = target.is_sloppy() || writing.waits_for_relays();
            if !may_be_sent || writing.made.record.len() > KEPT_BYTES_MAX {
                writing.made.record = Bytes::new();
            }
        }
    }

    pub(super) fn reply(&mut self, target: &Target, turn: &Turn<'_>) -> Reply {
        let Phase::Writing(writing) = &self.phase else { unreachable!("a reply is made while writing") };
        let relaxed = target.keyspace().durability == Durability::Interval;
        let written = Written {
            context: writing.made.context.clone(),
            operation: turn.id,
            acknowledged: self.acknowledged(),
            marks: Marks { stand_in: self.counts_stand_ins(writing), relaxed_durability: relaxed },
        };
        match &mut self.ask {
            Ask::Put { .. } => Reply::Written(written),
            Ask::Delete { existed, .. } => Reply::Deleted(Deleted { existed: *existed, written }),
            Ask::Expire { change, found } => {
                let mut found = std::mem::take(found);
                let at = if let ExpiryChange::At(at) = change { Some(*at) } else { None };
                found.values.iter_mut().for_each(|value| value.expires = at);
                Reply::Touched(Touched { found, changed: true })
            }
        }
    }

    /// Whether a stand-in is one of those that hold the write (INVARIANTS C4).
    pub(super) fn counts_stand_ins(&self, writing: &Writing) -> bool {
        writing.holding.successes().any(|node| self.stand_ins.owner_of(node).is_some())
    }

    pub(super) fn unknown_of(&self, target: &Target) -> Error {
        let Phase::Writing(writing) = &self.phase else { unreachable!("only a write under way is unknown") };
        self.unknown(target, writing, false)
    }

    pub(super) fn unknown(&self, target: &Target, writing: &Writing, waiting: bool) -> Error {
        let mut parts: Vec<String> =
            writing.problems.iter().map(|(node, why)| format!("{}: {why}", target.name_of(*node))).collect();
        if !writing.refused.is_empty() {
            let names: Vec<&str> = writing.refused.iter().map(|node| target.name_of(*node)).collect();
            parts.push(format!("a concurrent write outranks it on {}", names.join(", ")));
        }
        if waiting && self.naming == Naming::Asked {
            parts.push(NAME_NOT_LEFT.to_owned());
        } else if waiting {
            parts.extend(writing.silent(target));
        }
        parts.extend(writing.in_each_set(target));
        let short = writing.holding.short();
        Error::Unknown {
            level: self.level,
            needed: count(short.needed()),
            got: count(short.got()),
            owners: count(short.counted()),
            detail: parts.join("; "),
        }
    }

    pub(super) fn finish(&mut self, outcome: api::Outcome, turn: &mut Turn<'_>) {
        if !self.answered {
            self.answered = true;
            turn.answer(outcome);
        }
        self.end(turn);
    }

    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.hidden) {
            turn.steps.push(Step::Show);
        }
        turn.steps.push(Step::End);
    }
}
