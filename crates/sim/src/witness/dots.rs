//! Every dot that was ever seen in a record on its way, and what it named.

use std::collections::BTreeMap;

use causality::{Dot, Payload, Record};
use types::OperationId;

use super::Place;

/// What a dot names: a write of one operation to one key. Its stamp is not part of it, for a write that is stamped again
/// keeps its dot.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    place: Place,
    payload: Payload,
    operation: OperationId,
}

/// The global set of dots.
#[derive(Debug, Default)]
pub struct Dots {
    /// By slot: a dot is new among those of its partition, and which slots that has changes.
    named: BTreeMap<(u16, Dot), Named>,
}

impl Dots {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Takes note of a record's versions.
    ///
    /// # Errors
    /// If a dot named another write before, in words.
    pub fn saw(&mut self, place: &Place, record: &Record) -> Result<(), String> {
        let slot = ring::Slot::of_key(&place.1).number();
        for version in record.versions() {
            let now = Named {
                place: place.clone(),
                payload: version.payload.clone(),
                operation: version.operation,
            };
            match self.named.get(&(slot, version.dot)) {
                Some(before) if *before != now => {
                    return Err(format!("{} named {before:?} and names {now:?}", version.dot));
                }
                Some(_) => {}
                None => {
                    self.named.insert((slot, version.dot), now);
                }
            }
        }
        Ok(())
    }
}
