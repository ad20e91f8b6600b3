//! Dropping partitions whole, and what waits for that: writes to one that this node is to get, and that is not empty yet.
//!
//! What must hold (INVARIANTS E3): nothing is dropped of which anything is kept; and a write to a partition that is being emptied is
//! stored behind that, in its turn, or not at all. It waits in a bounded queue for as long as whoever sent it does. To refuse it would
//! be to count this node as one that has failed, though it takes the same write in a moment later.

use storage::{KeyRange, PutError, ScanOutcome};
use types::{Moment, PartitionId};

use super::{Effect, Replica};
use crate::store_key;
use crate::waiting::{TOO_LATE, Task, Waiting};

impl Replica {
    /// Drops at once what movements wait for, as far as nothing is kept of it.
    pub(super) fn drop_what_is_waited_for(&mut self, now: Moment) {
        let (moving, state) = (&self.moving, &self.state);
        let is_whole = |one| moving.waits_for_sweep(one) && !moving.keeps_any(one);
        let partitions = self.sweeping.to_drop_whole(now.mono, is_whole);
        let ranges = partitions.into_iter().filter_map(|one| Some((one, store_key::range_of(state, one)?)));
        let ranges: Vec<(PartitionId, KeyRange)> = ranges.collect();
        for (partition, range) in ranges {
            self.drop_whole(now, partition, &range);
        }
    }

    /// A page was read of a partition that may have something to be dropped. Whether all of it goes at once, by that.
    pub(super) fn is_dropped_whole(&mut self, now: Moment, token: u64, outcome: &ScanOutcome) -> bool {
        let Some(partition) = self.sweeping.is_reading(token) else { return false };
        let has_some = matches!(outcome, ScanOutcome::Page { entries, .. } if !entries.is_empty());
        if !has_some || self.moving.keeps_any(partition) {
            return false;
        }
        let Some(range) = store_key::range_of(&self.state, partition) else { return false };
        self.drop_whole(now, partition, &range);
        true
    }

    fn drop_whole(&mut self, now: Moment, partition: PartitionId, range: &KeyRange) {
        let outcome = self.db.drop_range(range);
        if outcome.is_ok() {
            self.recent.show_all_of(range);
            self.moving.figures.dropped_whole += 1;
            self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        }
        let outcome: Result<(), &PutError> = outcome.as_ref().map(|_| ());
        self.sweeping.dropped_whole(now.mono, partition, outcome);
    }

    /// Lets a write wait that is for a partition which is being emptied.
    pub(super) fn wait_until_empty(
        &mut self,
        now: Moment,
        key: bytes::Bytes,
        one: Waiting,
        out: &mut Vec<Effect>,
    ) {
        self.give_up_by(&one);
        out.extend(self.to_empty.push(now, key, one, &mut self.refusals));
    }

    /// Takes up what has waited for partitions that are empty by now, or do not move any more.
    pub(super) fn take_up_emptied(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if self.to_empty.is_empty() {
            return;
        }
        let (mut wait_on, mut kept) = (std::collections::VecDeque::new(), self.to_empty.take());
        while let Some((key, one)) = kept.pop_front() {
            let is_emptying = matches!(&one.task, Task::Write { keyspace, .. }
                if self.moving.is_emptying(*keyspace, one.ticket.partition)
                    && self.newer_epoch(*keyspace, &one.ticket).is_none());
            if is_emptying {
                wait_on.push_back((key, one));
            } else if one.is_late(now) {
                self.refusals.late += 1;
                out.push(one.fail(TOO_LATE));
            } else {
                self.with_held(now, key, one, out);
            }
        }
        self.to_empty.append(wait_on);
    }
}
