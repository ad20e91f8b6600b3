//! Partitions are halved, all at once.
//!
//! What must hold: who owns a slot, and which movement it is part of, is the same before and after, so nothing moves. What was routed
//! by the numbers of before is refused of every partition (INVARIANTS E1). Both halves of one that moves go on under its session:
//! what a node has done of the whole it has done of each half.

use ring::{Partitions, PartitionsError};
use types::{Epoch, PartitionId};

use super::Parts;
use crate::command::Refused;
use crate::movement::Movement;

impl Parts {
    pub(super) fn halve(&mut self, made_for: u16) -> Result<(), Refused> {
        let count = self.target().rings.partitions().count();
        self.is_of(made_for)?;
        if self.is_merging {
            return Err(Refused::because(
                "partitions are being merged: `henge partition merge --cancel` calls it off",
            ));
        }
        self.cut_in_halves().map_err(|_| {
            Refused::because(format!(
                "each of the {count} partitions is a single slot: there are no halves of it"
            ))
        })?;
        let now: Epoch = self.epoch;
        self.since.fill(now);
        Ok(())
    }

    /// The same owners with twice as many partitions, each half since when the whole was.
    pub(crate) fn cut_in_halves(&mut self) -> Result<(), PartitionsError> {
        for layout in &mut self.layouts {
            layout.rings = layout.rings.halve()?;
        }
        self.at = twice(&self.at);
        self.since = twice(&self.since);
        let (whole, cut) = (Partitions::new(self.at.len() as u64 / 2)?, self.target().rings.partitions());
        let halves = |(partition, movement): (&PartitionId, &Movement)| {
            let movement = *movement;
            cut.with_slots_of(*partition, whole).map(move |half| (half, movement))
        };
        self.movements = self.movements.iter().flat_map(halves).collect();
        Ok(())
    }
}

fn twice<T: Copy>(each: &[T]) -> Vec<T> {
    each.iter().flat_map(|one| [*one, *one]).collect()
}
