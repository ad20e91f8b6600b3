//! What is to happen, ordered by (virtual time, order of arrival): the one source of order in a run.

use std::collections::BTreeMap;

use types::Instant;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(Instant, u64), E>,
    sequence: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { events: BTreeMap::new(), sequence: 0 }
    }
}

impl<E> Queue<E> {
    /// Something is to happen at this time, after all that was put there for the same time before.
    pub fn put(&mut self, at: Instant, event: E) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// The next event, taken out.
    pub fn take(&mut self) -> Option<(Instant, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_time_keep_the_order_in_which_they_came() {
        let mut queue = Queue::default();
        queue.put(Instant(2), 'b');
        queue.put(Instant(1), 'a');
        queue.put(Instant(2), 'c');
        let order: String = std::iter::from_fn(|| queue.take()).map(|(_, event)| event).collect();
        assert_eq!(order, "abc");
    }
}
