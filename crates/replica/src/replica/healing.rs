//! What is missing of what this replica had: what that means for its questions and answers, and when it is whole again.

use std::sync::Arc;
use std::time::Duration;

use storage::{Damage, KeyRange, SequenceNumber};
use types::{Moment, NodeId, PartitionId};

use super::{Effect, Replica};
use crate::founding::Founding;
use crate::healing;
use crate::store_key;
use crate::waiting::Task;

impl Replica {
    /// Something of these keys is lost. This node may have made writes that it now does not know: it goes on under fresh
    /// stints (INVARIANTS B2), and compares what is left.
    pub(super) fn lost(&mut self, keys: &[KeyRange], damages: Vec<Damage>) {
        let partitions = self.healing.lost(keys);
        self.healing.found(damages, partitions.len());
        partitions.iter().for_each(|partition| self.exchange.lost(*partition));
        // A hint may be of any partition.
        let hints = store_key::hints();
        let any_hint = keys.iter().any(|range| range.end.as_ref().is_none_or(|end| *end > hints));
        let forgotten = if any_hint { self.state.partitions().iter().collect() } else { partitions };
        forgotten.into_iter().for_each(|partition| self.forget(partition));
        self.marks_kept = None;
        self.healing.nobodys().into_iter().for_each(|range| self.db.is_whole(range));
    }

    /// The life of this node began with an empty data directory, and nobody has said whether there was anything to forget.
    pub fn begin_new(&mut self) {
        self.founding = Some(Founding::new(self.here, Arc::clone(&self.state)));
    }

    /// The life of this node began without what is missing: nothing of that was damaged here.
    pub fn begin_without(&mut self) {
        self.healing.began_without(true);
    }

    /// A peer says whether it is new, and whether it lacks nothing and has never met this node before. Where enough do, there
    /// was nothing to forget.
    pub fn heard_of_new(&mut self, peer: NodeId, is_new: bool, never_met: bool) {
        let Some(founding) = &mut self.founding else { return };
        founding.heard(peer, is_new, never_met);
        if !self.healing.lacks_all() {
            // It has caught up in part. It is no founder any more.
            self.founding = None;
        } else if founding.is_founded(self.healing.owned()) {
            self.founding = None;
            self.is_being_founded = true;
            self.healing.founded().into_iter().for_each(|range| self.db.is_whole(range));
        }
    }

    /// Whether this shard is as new as its node was when it began: it has answered for nothing yet.
    pub fn is_new(&self) -> bool {
        let is_undecided = self.founding.is_some() && self.healing.lacks_all();
        is_undecided || (self.is_being_founded && self.lacks_something())
    }

    /// Whether something of what it owns may be missing.
    pub fn lacks_something(&self) -> bool {
        !self.db.missing().is_empty()
    }

    /// What this life of the node began without is here. What is missing from now on is damaged.
    pub fn has_caught_up(&mut self) {
        self.healing.began_without(false);
        self.is_being_founded = false;
    }

    /// Goes on with what is missing.
    pub(super) fn heal(&mut self, now: Moment, out: &mut Vec<Effect>) {
        out.extend(self.healing.take_news().into_iter().map(Effect::Noticed));
        if self.db.missing().is_empty() {
            return;
        }
        for range in self.healing.turn(now.mono, &mut self.exchange) {
            self.db.is_whole(range);
        }
        self.keep_marks_again(now);
    }

    /// Marks are few, and all of them in memory: where some on disk may be missing all are written once more.
    fn keep_marks_again(&mut self, now: Moment) {
        let (start, end) = store_key::marks();
        let range = KeyRange { start: start.clone(), end: Some(end) };
        match self.marks_kept {
            Some(kept) if kept <= self.db.synced_through() => self.db.is_whole(range),
            Some(_) => {}
            None if !self.db.missing().iter().any(|one| one.end.as_ref().is_none_or(|end| *end > start)) => {}
            None if self.marks_again_at > now.mono => {}
            None => {
                let mut last = SequenceNumber::default();
                for (key, bytes) in self.collection.kept_marks() {
                    match self.db.put(&key, bytes, storage::Kind::Full) {
                        Ok(sequence) => last = sequence,
                        // There is no room for the moment.
                        Err(_) => {
                            self.marks_again_at = now.mono + MARKS_AGAIN;
                            return;
                        }
                    }
                }
                self.sync_due = Some(now.mono);
                self.marks_kept = Some(last);
            }
        }
    }

    /// Why a task cannot be done on what is left of a key of which something is missing; nothing where it can.
    pub(super) fn why_not_on_what_is_left(task: &Task) -> Option<&'static str> {
        match task {
            // Owners compare and merge what is left, and what is settled elsewhere is let go of here.
            Task::ReadHeld(_) | Task::Write { .. } | Task::LetGo { .. } | Task::Readdress => None,
            Task::Read | Task::ReadCovering(_) | Task::Make(_) | Task::Drop => Some(MISSING),
        }
    }

    /// How far what was lost is healed.
    pub fn healing(&self) -> healing::Figures {
        self.healing.figures()
    }

    /// Whether something of this partition is missing, and with whom it is yet to be compared: the collection waits for it.
    pub(super) fn missing_of(&self, partition: PartitionId) -> Option<NodeId> {
        self.healing.waits_for(partition)
    }
}

/// How long after marks could not be written they are tried again.
const MARKS_AGAIN: Duration = Duration::from_secs(1);

/// What is said of a key of which something is missing.
pub(super) const MISSING: &str =
    "it may have lost what it had of the key, and has yet to compare it with the other owners";
