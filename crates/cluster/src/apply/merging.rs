//! Partitions are merged: each two halves become one again, all at once, once both have the same owners.
//!
//! What must hold (INVARIANTS E1, E6): while it is being done, every layout that is made gives both halves of a pair to one claimant,
//! so the cluster gets there by movements like any other, and stays there; the step itself moves nothing, is taken where nothing moves,
//! and has everything refused that was routed by the numbers of before. It can be called off until then.
//!
//! Why in two steps, and not by a movement of its own kind: halves that members' changes have parted are with different nodes. To bring
//! them together is what movements are for, and who goes by either number of partitions has the same owners when the number changes.

use ring::{PartitionsError, Rings, merged};

use super::Parts;
use crate::command::Refused;

impl Parts {
    /// From now on halves go to where they can be joined.
    pub(super) fn merge(&mut self, made_for: u16) -> Result<(), Refused> {
        self.is_of(made_for)?;
        if self.is_merging {
            return Err(Refused::because(format!(
                "each two of the {made_for} partitions are being merged already: `henge partition merge --cancel` calls it off"
            )));
        }
        if made_for == 1 {
            return Err(Refused::because("there is one partition: it is half of nothing"));
        }
        self.is_merging = true;
        self.lay_out_members()
    }

    /// They need not be together any more.
    pub(super) fn keep_halves(&mut self) -> Result<(), Refused> {
        if !self.is_merging {
            return Err(Refused::because("no partitions are being merged"));
        }
        self.is_merging = false;
        self.lay_out_members()
    }

    /// Each two halves are one from now on.
    pub(super) fn join_halves(&mut self, made_for: u16) -> Result<(), Refused> {
        self.is_of(made_for)?;
        if !self.may_join_halves() {
            return Err(Refused::because("partitions are not being merged, or some have yet to move"));
        }
        for layout in &mut self.layouts {
            layout.rings = layout.rings.join_halves().map_err(|error| Refused::because(error.to_string()))?;
        }
        self.at.truncate(usize::from(made_for / 2));
        self.since.truncate(self.at.len());
        self.since.fill(self.epoch);
        self.is_merging = false;
        Ok(())
    }

    /// Whether both halves of every pair have the same owners, and nothing moves.
    pub(crate) fn may_join_halves(&self) -> bool {
        let target = self.target();
        self.is_merging
            && self.movements.is_empty()
            && self.at.iter().all(|at| *at == target.id)
            && target.rings.join_halves().is_ok()
    }

    /// Rings in which both halves of every pair have one claimant, as near to these as can be.
    pub(super) fn in_pairs(&self, rings: &Rings) -> Result<Rings, Refused> {
        let whole = merged(rings, &self.staying())
            .map_err(|error| Refused::because(format!("partitions cannot be merged: {error}")))?;
        whole.halve().map_err(|error: PartitionsError| Refused::because(error.to_string()))
    }
}
