//! What becomes of the collection when partitions are halved, or their halves joined.
//!
//! What must hold (INVARIANTS D1): what is known of deletes is known of the slots that they are in, however these are numbered; and no
//! round goes on over partitions that there are no more. Marks are cut anew by themselves ([`super::mark`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster::ClusterState;
use types::{Instant, PartitionId};

use super::mark::Outdated;
use super::{Collection, owned};

impl Collection {
    /// Other partitions have the slots of each from now on, with the same owners: what is known of a whole is known of its halves, and what
    /// is of halves is of their whole. All rounds come to nothing. What comes back is to be stored under other keys.
    pub(crate) fn recut(&mut self, state: &Arc<ClusterState>, partitions: &[PartitionId]) -> Outdated {
        let (was, of) = (self.state.partitions(), state.partitions());
        let now = |partition| of.with_slots_of(partition, was);
        self.state = Arc::clone(state);
        self.owners = owned(self.here, state, partitions);
        let outdated = self.marks.recut(of);
        for (one, dead) in std::mem::take(&mut self.dead) {
            for it in now(one) {
                let all = self.dead.entry(it).or_insert_with(|| dead.clone());
                all.absorb(&dead);
            }
        }
        let latest = |at: BTreeMap<PartitionId, Instant>| {
            let mut latest = BTreeMap::<PartitionId, Instant>::new();
            for (one, at) in at {
                for it in now(one) {
                    latest.entry(it).and_modify(|known| *known = at.max(*known)).or_insert(at);
                }
            }
            latest
        };
        self.not_before = latest(std::mem::take(&mut self.not_before));
        self.sweep_again = latest(std::mem::take(&mut self.sweep_again));
        self.rounds.clear();
        self.asked.clear();
        self.fences.recut(now);
        self.to_bring = std::mem::take(&mut self.to_bring).into_iter().flat_map(now).collect();
        // What is agreed on of parts of a partition is to be agreed on of all of it.
        let in_parts = self.marks.partitions().filter(|one| !self.marks.is_one(*one) && self.leads(*one));
        self.to_bring.extend(in_parts.collect::<Vec<_>>());
        let to_sweep = self.sweep.take().map(|sweep| sweep.partition).into_iter();
        let to_sweep = to_sweep.chain(std::mem::take(&mut self.to_sweep)).flat_map(now);
        self.to_sweep = to_sweep.collect::<BTreeSet<_>>().into_iter().collect();
        outdated
    }
}
