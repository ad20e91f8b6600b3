//! The connection's recent writes that some owners may not hold yet, for WAIT.
//!
//! WAIT speaks of the writes before it, not of the last alone: a client that pipelines a hundred SETs and then waits for
//! one copy more means one copy more of each. So each write is remembered until all owners are known to hold it, and
//! WAIT answers for the one that fewest hold. The memory is bounded to the latest `WRITES_MAX`; older writes have had
//! as long as so many later ones took.

use std::collections::VecDeque;

use types::OperationId;

/// How many writes are remembered.
const WRITES_MAX: usize = 256;

/// The writes of one connection.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    /// Writes that not all owners were known to hold, oldest first.
    unsettled: VecDeque<OperationId>,
    /// Of the writes that all owners hold, the least number of owners.
    settled: Option<u8>,
}

impl Acknowledgements {
    /// A write is held by `acknowledged` of `owners` owners.
    pub fn add(&mut self, operation: OperationId, acknowledged: u8, owners: u8) {
        if acknowledged >= owners {
            self.settled = Some(self.settled.map_or(acknowledged, |least| least.min(acknowledged)));
            return;
        }
        self.unsettled.push_back(operation);
        if self.unsettled.len() > WRITES_MAX {
            self.unsettled.pop_front();
        }
    }

    /// The writes to be asked about, which are taken out, and the least number of owners that hold one of the others;
    /// nothing where there are no others.
    pub fn take(&mut self) -> (VecDeque<OperationId>, Option<u8>) {
        (std::mem::take(&mut self.unsettled), self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_all_owners_hold_are_not_asked_about() {
        let mut writes = Acknowledgements::default();
        writes.add(OperationId(1), 3, 3);
        writes.add(OperationId(2), 2, 3);
        assert_eq!(writes.take(), ([OperationId(2)].into(), Some(3)));
        assert_eq!(writes.take(), (VecDeque::new(), Some(3)));
    }

    #[test]
    fn the_latest_writes_are_remembered() {
        let mut writes = Acknowledgements::default();
        for number in 0..1000 {
            writes.add(OperationId(number), 2, 3);
        }
        let (unsettled, _) = writes.take();
        assert_eq!(unsettled.len(), WRITES_MAX);
        assert_eq!(unsettled.back(), Some(&OperationId(999)));
    }
}
