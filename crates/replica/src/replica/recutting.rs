//! What it means for this replica that partitions were halved, or their halves joined.
//!
//! What must hold: who owns a slot is the same before and after, so all that is known of a partition is known of its halves, and all
//! that is known of halves of their whole: who issues its dots and how far, what was agreed on of its deletes, what is missing of it,
//! how far its movement is. What was under way by the numbers of before comes to nothing, and is begun again by those of now: a number
//! of before names another partition. Trees are built anew from what is stored, and nothing is said to be the same before they are.
//!
//! A node may hear of several changes at once. Halving is the first of them then: the state that it went by is cut as the new one is,
//! and all that changed besides changes from there on. Joining is the last: the new state is cut as the old one was, for halves may
//! have had different owners before, and are joined when this node goes by that. So whatever it slept through, both halves of what is
//! joined have the same owners, at the same stage of the same movement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use cluster::ClusterState;
use types::{Moment, NodeId, PartitionId};
use wire::ReplicaReply;

use super::{Effect, Replica};
use crate::collection::mark::Outdated;
use crate::store_key::Slots;

/// What is in the store under the keys of other partitions than there are, or of such as this node does not hold.
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

    /// Partitions were cut anew once more.
    fn go_on_with(&mut self, outdated: Outdated) {
        self.outdated.unwritten.extend(outdated.unwritten);
        self.outdated.keys.extend(outdated.keys);
    }
}

impl Replica {
    /// Other partitions have the slots of each from now on. `state` has the owners and movements that the one before had.
    pub(super) fn recut(&mut self, now: Moment, state: Arc<ClusterState>, out: &mut Vec<Effect>) {
        let (was, of) = (self.state.partitions(), state.partitions());
        self.state = state;
        let state = Arc::clone(&self.state);
        let with_slots_of = |partition| of.with_slots_of(partition, was);
        let begin_stints = self.recut_who_is_stood_in_for(with_slots_of);
        let partitions: BTreeSet<PartitionId> =
            self.partitions.iter().flat_map(|one| with_slots_of(*one)).collect();
        self.partitions = partitions.into_iter().collect();
        self.actors.recut(was, of);
        begin_stints.into_iter().for_each(|partition| self.forget(partition));
        for ticket in self.pages.give_up() {
            let why = "the partitions were cut anew while the page was read".to_owned();
            out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
        }
        self.moving.recut(&state, was);
        self.sweeping.recut(with_slots_of);
        self.handoff.recut(with_slots_of);
        self.healing.recut(&state, &self.partitions, with_slots_of);
        let moving = &self.moving;
        let compares = |keyspace, partition| moving.compares(keyspace, partition);
        self.exchange.begin_anew(now, &state, &self.partitions, compares, out);
        let outdated = self.collection.recut(&state, &self.partitions);
        self.rewriting.go_on_with(outdated);
    }

    /// For whom this node stands in. Where it stood in for different owners of two halves, or for one of one and made writes of the other as
    /// an owner, it is to begin a fresh stint for the whole, as where it stands in for another one of the same partition. Those come back.
    fn recut_who_is_stood_in_for<I: Iterator<Item = PartitionId>>(
        &mut self,
        with_slots_of: impl Fn(PartitionId) -> I,
    ) -> Vec<PartitionId> {
        let stood_in_for = std::mem::take(&mut self.stood_in_for);
        let mut made_for: BTreeMap<PartitionId, BTreeSet<Option<NodeId>>> = BTreeMap::new();
        for one in &self.partitions {
            let owner = stood_in_for.get(one).copied();
            if owner.is_some() || self.actors.issued(*one) > 0 {
                with_slots_of(*one).for_each(|it| made_for.entry(it).or_default().extend([owner]));
            }
        }
        let differ = made_for.iter().filter(|(_, owners)| owners.len() > 1).map(|(one, _)| *one).collect();
        let any = made_for
            .into_iter()
            .filter_map(|(one, owners)| Some((one, owners.into_iter().flatten().next()?)));
        self.stood_in_for.extend(any);
        differ
    }

    /// Writes under their keys what is in the store under those of other partitions, and then drops it there. False where there is no
    /// room for all of it yet.
    pub(super) fn rewrite(&mut self, now: Moment) -> bool {
        if self.rewriting.is_done() && self.rewriting.outdated.unwritten.is_empty() {
            return true;
        }
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        while let Some(slots) = self.rewriting.outdated.unwritten.first().copied() {
            // A mark that is not kept any more is not written.
            if let Some((key, mark)) = self.collection.stored_mark(slots)
                && self.db.put(&key, mark, storage::Kind::Full).is_err()
            {
                return false;
            }
            self.rewriting.outdated.unwritten.pop_first();
        }
        while let Some(key) = self.rewriting.outdated.keys.last() {
            // There may be partitions of these slots again.
            if !self.collection.is_stored_under(key) && self.db.delete(key).is_err() {
                return false;
            }
            self.rewriting.outdated.keys.pop_last();
        }
        true
    }

    /// The slots of a partition, by which its mark and its note are found.
    pub(super) fn slots(&self, partition: PartitionId) -> Slots {
        Slots::of(partition, self.state.partitions())
    }
}
