//! What it means for this replica that partitions were halved.
//!
//! What must hold: who owns a slot is the same before and after, so all that is known of a partition is known of its halves: who issues
//! its dots and how far, what was agreed on of its deletes, what is missing of it, how far its movement is. What was under way by the
//! numbers of before comes to nothing, and is begun again by those of now: a number of before names another partition. Trees are
//! built anew from what is stored, and nothing is said to be the same before they are.
//!
//! A node may hear of several changes at once. Then the halving is the first of them: the state that it went by is cut as the new one
//! is, and all that changed besides changes from there on.

use std::sync::Arc;

use bytes::Bytes;
use cluster::ClusterState;
use ring::Partitions;
use types::{Moment, PartitionId};
use wire::ReplicaReply;

use super::{Effect, Replica};
use crate::collection::mark::Outdated;
use crate::store_key::{Slots, note_key};

/// What is in the store under the keys of partitions that were halved.
#[derive(Debug, Default)]
pub(super) struct Rewriting {
    outdated: Outdated,
}

impl Rewriting {
    pub(super) fn new(outdated: Outdated) -> Rewriting {
        Rewriting { outdated }
    }

    /// Whether nothing is.
    pub(super) fn is_done(&self) -> bool {
        self.outdated.keys.is_empty()
    }

    /// These keys are of no use any more.
    pub(super) fn drop_keys(&mut self, keys: impl IntoIterator<Item = Bytes>) {
        self.outdated.keys.extend(keys);
    }

    /// Partitions were halved once more. What was yet to be written of halves is so of theirs.
    fn go_on_with(&mut self, outdated: Outdated) {
        self.outdated.unwritten = outdated.unwritten;
        self.outdated.keys.extend(outdated.keys);
    }
}

impl Replica {
    /// Each partition is in parts from now on. `state` has the owners and movements that the one before had.
    pub(super) fn part(&mut self, now: Moment, state: ClusterState, out: &mut Vec<Effect>) {
        let (was, of) = (self.state.partitions(), state.partitions());
        self.state = Arc::new(state);
        let state = Arc::clone(&self.state);
        let parts = |partition| of.parts_of(partition, was);
        self.partitions = self.partitions.iter().flat_map(|one| parts(*one)).collect();
        self.actors.part(usize::from(of.count() / was.count()));
        let stood_in_for = std::mem::take(&mut self.stood_in_for).into_iter();
        self.stood_in_for =
            stood_in_for.flat_map(|(one, node)| parts(one).map(move |part| (part, node))).collect();
        for ticket in self.pages.give_up() {
            let why = "the partition was halved while the page was read".to_owned();
            out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
        }
        self.moving.part(&state, was);
        self.sweeping.part(parts);
        self.handoff.part(parts);
        self.healing.part(&state, &self.partitions, parts);
        let moving = &self.moving;
        let compares = |keyspace, partition| moving.compares(keyspace, partition);
        self.exchange.begin_anew(now, &state, &self.partitions, compares, out);
        let outdated = self.collection.part(&state, &self.partitions);
        self.rewriting.go_on_with(outdated);
        let unmarked = std::mem::take(&mut self.to_unmark).into_iter();
        let keys = unmarked.flat_map(|one| keys_of(one, was));
        self.rewriting.drop_keys(keys);
    }

    /// Writes what is under the keys of partitions that were halved under those of their halves, and then drops it there. False where
    /// there is no room for all of it yet.
    pub(super) fn rewrite(&mut self, now: Moment) -> bool {
        if self.rewriting.is_done() && self.rewriting.outdated.unwritten.is_empty() {
            return true;
        }
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        while let Some(partition) = self.rewriting.outdated.unwritten.first().copied() {
            // A mark that is not kept any more is not written.
            if let Some((key, mark)) = self.collection.stored_mark(partition)
                && self.db.put(&key, mark, storage::Kind::Full).is_err()
            {
                return false;
            }
            self.rewriting.outdated.unwritten.pop_first();
        }
        while let Some(key) = self.rewriting.outdated.keys.last() {
            if self.db.delete(key).is_err() {
                return false;
            }
            self.rewriting.outdated.keys.pop();
        }
        true
    }

    /// The slots of a partition, by which its mark and its note are found.
    pub(super) fn slots(&self, partition: PartitionId) -> Slots {
        Slots::of(partition, self.state.partitions())
    }
}

fn keys_of(partition: PartitionId, of: Partitions) -> [Bytes; 2] {
    let slots = Slots::of(partition, of);
    [crate::store_key::mark_key(slots), note_key(slots)]
}
