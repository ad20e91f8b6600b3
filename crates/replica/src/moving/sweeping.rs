//! Dropping what this node does not keep: of partitions that have left it, of movements that were given up, of keyspaces that were
//! dropped.
//!
//! Where nothing of a partition is kept, all of it goes at once, as one range of the store: before anything is read where a movement
//! waits for it, else once a page was read that has something. Where something is kept, of another keyspace, a partition is read, a
//! page and then a pause, and what is not kept of it is named. (A keyspace lies within each slot, so what is to go is as many ranges
//! as there are slots.) What must hold: whether something is kept is asked when it is dropped, not before; and a partition counts as
//! clean only once all of it was dropped, or read, since it was last said to have something to be dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use storage::{Db, KeyRange, PutError, ScanJob, ScanLimit, ScanOutcome};
use types::{Instant, KeyspaceId, PartitionId};

use crate::store_key;

/// How much one page reads.
const PAGE: ScanLimit = ScanLimit { entries: 512, bytes: 512 * 1024 };

/// How long to pause after each page that had something to be dropped.
const PAUSE: Duration = Duration::from_millis(5);

/// How long after something could not be read, or there was no room for deletes, it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The same after storage has to catch up with its background work before it drops a range.
const SOON: Duration = Duration::from_millis(50);

/// Partitions that may have something to be dropped.
#[derive(Debug)]
pub(crate) struct Sweeping {
    waiting: BTreeSet<PartitionId>,
    pass: Option<Pass>,
    rest_until: Instant,
}

#[derive(Debug)]
struct Pass {
    partition: PartitionId,
    from: Bytes,
    end: Option<Bytes>,
    /// Of the page under way.
    token: Option<u64>,
}

impl Sweeping {
    /// These may have some.
    pub(crate) fn of(partitions: impl IntoIterator<Item = PartitionId>) -> Sweeping {
        Sweeping { waiting: partitions.into_iter().collect(), pass: None, rest_until: Instant::default() }
    }

    /// This one may have some from now on, or again.
    pub(crate) fn add(&mut self, partition: PartitionId) {
        self.pass.take_if(|pass| pass.partition == partition);
        self.waiting.insert(partition);
    }

    /// Other partitions have the slots of each from now on. What was read of one is read again.
    pub(crate) fn recut<I: Iterator<Item = PartitionId>>(&mut self, now: impl Fn(PartitionId) -> I) {
        self.pass = None;
        self.waiting = std::mem::take(&mut self.waiting).into_iter().flat_map(now).collect();
    }

    /// Whether nothing of a partition is left that is to be dropped.
    pub(crate) fn is_clean(&self, partition: PartitionId) -> bool {
        !self.waiting.contains(&partition)
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let is_reading = self.pass.as_ref().is_some_and(|pass| pass.token.is_some());
        (!self.waiting.is_empty() && !is_reading).then_some(self.rest_until)
    }

    /// All that are to be dropped whole, if it is time. `is_whole` says whether that is waited for, and nothing of it is kept.
    pub(crate) fn to_drop_whole(
        &self,
        now: Instant,
        is_whole: impl Fn(PartitionId) -> bool,
    ) -> Vec<PartitionId> {
        if self.rest_until > now {
            return Vec::new();
        }
        self.waiting.iter().copied().filter(|one| is_whole(*one)).collect()
    }

    /// Of which partition a page is that is read under this token.
    pub(crate) fn is_reading(&self, token: u64) -> Option<PartitionId> {
        self.pass.as_ref().filter(|pass| pass.token == Some(token)).map(|pass| pass.partition)
    }

    /// It was dropped whole, or could not be.
    pub(crate) fn dropped_whole(
        &mut self,
        now: Instant,
        partition: PartitionId,
        outcome: Result<(), &PutError>,
    ) {
        self.pass.take_if(|pass| pass.partition == partition);
        match outcome {
            Ok(()) => drop(self.waiting.remove(&partition)),
            Err(PutError::Stalled { .. }) => self.rest_until = now + SOON,
            Err(_) => self.rest_until = now + AGAIN,
        }
    }

    /// The next page, under this token, if it is time for one. `first` says of which partitions it is waited for.
    pub(crate) fn turn(
        &mut self,
        now: Instant,
        token: u64,
        slots_of: impl Fn(PartitionId) -> Option<(u16, u16)>,
        first: impl Fn(PartitionId) -> bool,
        db: &Db,
    ) -> Option<ScanJob> {
        self.next_timer().filter(|due| *due <= now)?;
        if self.pass.is_none() {
            let waited_for = self.waiting.iter().find(|partition| first(**partition));
            let partition = *waited_for.or_else(|| self.waiting.first())?;
            let Some((first_slot, last_slot)) = slots_of(partition) else {
                self.waiting.remove(&partition);
                return None;
            };
            let from = store_key::position(first_slot, KeyspaceId(0), 0);
            self.pass = Some(Pass { partition, from, end: store_key::end_of_slot(last_slot), token: None });
        }
        let pass = self.pass.as_mut()?;
        pass.token = Some(token);
        Some(db.scan_what_is_left(KeyRange::new(&pass.from, pass.end.as_deref()), PAGE))
    }

    /// A page was read. `drop_one` drops an entry if it is not kept: true if it did, and an error where there is no room for it.
    pub(crate) fn page<E>(
        &mut self,
        now: Instant,
        token: u64,
        outcome: ScanOutcome,
        mut drop_one: impl FnMut(&Bytes) -> Result<bool, E>,
    ) {
        let Some(mut pass) = self.pass.take_if(|pass| pass.token == Some(token)) else { return };
        pass.token = None;
        let ScanOutcome::Page { entries, next } = outcome else {
            self.rest_until = now + AGAIN;
            self.pass = Some(pass);
            return;
        };
        let mut any = false;
        for (key, _) in &entries {
            match drop_one(key) {
                Ok(dropped) => any |= dropped,
                Err(_) => {
                    pass.from = key.clone();
                    self.rest_until = now + AGAIN;
                    self.pass = Some(pass);
                    return;
                }
            }
        }
        self.rest_until = if any { now + PAUSE } else { now };
        match next {
            Some(next) => self.pass = Some(Pass { from: next, ..pass }),
            None => drop(self.waiting.remove(&pass.partition)),
        }
    }
}
