//! When operations are to be woken, soonest first.
//!
//! Nearly all wait for the same time and end long before it, in about the order in which they began. So this is a queue:
//! what comes goes to its end and what ends leaves from its front, but for a few steps. A tree would pay for an order that
//! is there already.

use std::collections::VecDeque;

use types::{Instant, OperationId};

/// Ascending, each once.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    queue: VecDeque<(Instant, OperationId)>,
}

impl Wakes {
    /// The soonest.
    pub(super) fn first(&self) -> Option<(Instant, OperationId)> {
        self.queue.front().copied()
    }

    /// Notes that an operation is to be woken.
    pub(super) fn insert(&mut self, at: Instant, id: OperationId) {
        let wake = (at, id);
        let place = match self.queue.back() {
            Some(last) if *last > wake => self.queue.partition_point(|other| *other < wake),
            _ => self.queue.len(),
        };
        self.queue.insert(place, wake);
    }

    /// It is not to be woken then.
    pub(super) fn remove(&mut self, at: Instant, id: OperationId) {
        let wake = (at, id);
        if self.queue.front() == Some(&wake) {
            self.queue.pop_front();
        } else if let Ok(place) = self.queue.binary_search(&wake) {
            self.queue.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the order of coming and going, the soonest is in front.
        #[test]
        fn it_is_an_ordered_set(steps in proptest::collection::vec((0u64..8, 0u64..8, any::<bool>()), 0..100)) {
            let (mut wakes, mut model) = (Wakes::default(), BTreeSet::new());
            for (at, id, comes) in steps {
                let (at, id) = (Instant(at), OperationId(id));
                if !comes {
                    wakes.remove(at, id);
                    model.remove(&(at, id));
                } else if model.insert((at, id)) {
                    wakes.insert(at, id);
                }
                prop_assert_eq!(wakes.first(), model.first().copied());
            }
            prop_assert!(wakes.queue.iter().eq(&model));
        }
    }
}
