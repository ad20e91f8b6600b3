//! A counter that one client raises and all watch, by which a stale read tells how old it is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When each value of the counter was acknowledged, from the first to the last.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Vec<(u64, Instant)>>);

impl Counter {
    /// A value greater than all before was acknowledged, now.
    pub(super) fn acknowledged(&self, value: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((value, Instant::now()));
    }

    /// The highest acknowledged value.
    pub(super) fn highest(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().map_or(0, |(value, _)| *value)
    }

    /// For how long, when a read that showed `seen` began, there had been a newer value that was acknowledged; nothing where
    /// there was none.
    pub(super) fn age(&self, seen: u64, began: Instant) -> Option<Duration> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, at) = values.get(values.partition_point(|(value, _)| *value <= seen))?;
        (*at <= began).then(|| began - *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was acknowledged while a read was under way it need not show.
    #[test]
    fn a_read_is_as_old_as_the_first_newer_value() {
        let counter = Counter::default();
        let before = Instant::now();
        assert_eq!((counter.highest(), counter.age(0, before)), (0, None));
        counter.acknowledged(1);
        counter.acknowledged(3);
        let at: Vec<Instant> = counter.0.lock().expect("nobody panicked").iter().map(|(_, at)| *at).collect();
        let began = at[1] + Duration::from_secs(5);
        assert_eq!(counter.highest(), 3);
        assert_eq!(counter.age(0, began), Some(began - at[0]));
        assert_eq!(counter.age(1, began), Some(Duration::from_secs(5)));
        assert_eq!(counter.age(2, began), Some(Duration::from_secs(5)));
        assert_eq!(counter.age(3, began), None);
        assert_eq!(counter.age(1, at[1] - Duration::from_nanos(1)), None);
    }
}
