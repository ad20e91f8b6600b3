//! Who really said that it has stored a write, by maker and operation. Only the latest round counts: a write that was
//! stamped again is acknowledged anew.

use std::collections::{BTreeMap, BTreeSet};

use causality::Record;
use types::{NodeId, OperationId};

use super::Place;

#[derive(Debug)]
struct Write {
    round: u32,
    stored: BTreeSet<NodeId>,
    made: (Place, Record),
}

/// The writes under way and past.
#[derive(Debug, Default)]
pub struct Acknowledgers {
    writes: BTreeMap<(NodeId, OperationId), Write>,
}

impl Acknowledgers {
    /// The maker asks a peer to store this.
    pub fn asked(
        &mut self,
        maker: NodeId,
        operation: OperationId,
        round: u32,
        place: &Place,
        record: &Record,
    ) {
        let made = (place.clone(), record.clone());
        // Rounds go up within a life of the maker. In its next one, operations have the same numbers again.
        let known = self
            .writes
            .get(&(maker, operation))
            .is_some_and(|write| write.round == round || write.round > round && write.made == made);
        if !known {
            self.writes.insert((maker, operation), Write { round, stored: BTreeSet::new(), made });
        }
    }

    /// A peer's word that it has stored the write has reached the maker.
    pub fn stored(&mut self, maker: NodeId, operation: OperationId, round: u32, by: NodeId) {
        if let Some(write) = self.writes.get_mut(&(maker, operation))
            && write.round == round
        {
            write.stored.insert(by);
        }
    }

    /// A node begins a new life, which may name its operations as the life before did.
    pub fn forget(&mut self, maker: NodeId) {
        self.writes.retain(|(of, _), _| *of != maker);
    }

    /// How many peers said so.
    pub fn others(&self, maker: NodeId, operation: OperationId) -> usize {
        self.writes.get(&(maker, operation)).map_or(0, |write| write.stored.len())
    }

    /// What the maker made, as it was sent to peers.
    pub fn made(&self, maker: NodeId, operation: OperationId) -> Option<(Place, Record)> {
        self.writes.get(&(maker, operation)).map(|write| write.made.clone())
    }
}
