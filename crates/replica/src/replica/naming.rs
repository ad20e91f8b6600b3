//! Names of writes: minted here for what another node is to make, and looked at here before it is made.
//!
//! A node that passes on a put to an `lww` keyspace mints its dot and stamp, so that each maker which it may have to ask makes
//! the very same write (INVARIANTS A6; `docs/decisions/2026-11-30-named-writes.md`). What must hold: a dot is minted by the
//! partition's actor of this node like any other, so that it is new (B1) and a round of the collection knows of it; and
//! nothing is made under a name that the clock, a collected delete or a round of the collection stands against.

use causality::{Record, Stamp};
use types::{Moment, NodeId, PartitionId};
use wire::WriteName;

use super::Replica;
use crate::make::{self, MakeError};

impl Replica {
    /// A name that no other write has.
    pub fn name(&mut self, now: Moment, partition: PartitionId) -> WriteName {
        WriteName { dot: self.actors.mint(partition), stamp: self.clock.mint(now.wall) }
    }

    /// Whether a write may be made here under this name, on what is held, as far as that can be told without merging.
    ///
    /// - Its stamp is near enough to this node's clock, which follows it.
    /// - No round of the collection counts it among what is settled, unless it is held already, and so is known to the round.
    /// - It is above deletes that were collected, for another owner may still hold them.
    pub(super) fn check_name(
        &mut self,
        now: Moment,
        slot: u16,
        name: WriteName,
        in_place_of: Option<NodeId>,
        on: Option<&Record>,
    ) -> Result<(), MakeError> {
        let is_held = on.is_some_and(|on| on.versions().iter().any(|version| version.dot == name.dot));
        let is_near = self.clock.observe(name.stamp, now.wall, self.options.clock_drift_ms_max).is_ok();
        let is_open = is_held || !self.collection.is_closed(slot, &name.dot);
        let is_above = name.stamp > self.collected_below(slot, in_place_of, on);
        if is_near && is_open && is_above { Ok(()) } else { Err(MakeError::NotAsNamed) }
    }

    /// What must be outranked by a write here though it is not held, or counts as nothing.
    fn collected_below(&self, slot: u16, in_place_of: Option<NodeId>, on: Option<&Record>) -> Stamp {
        let Some(mark) = self.collection.mark(slot).filter(|_| in_place_of.is_none()) else {
            return Stamp::default();
        };
        match on {
            None => mark.newest,
            Some(on) if self.collection.is_droppable(slot, on) => mark.newest.max(make::newest_stamp(on)),
            Some(_) => Stamp::default(),
        }
    }
}
