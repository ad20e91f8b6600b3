//! Deletes that are not dropped yet: what is known of them is all that a round is begun for.
//!
//! What must hold: whatever is stored and is a delete, or ends, is noticed, when it is stored or when a sweep or a rebuild of a tree
//! comes upon it; that one is noticed twice does no harm. Nothing of it is kept on disk: it is found again.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use causality::{Peek, Record, Stamp, peek};
use types::{Incarnation, Instant, Moment, PartitionId, WallTime};

use super::{Collection, KNOWN_MAX};
use crate::make::newest_stamp;

/// What is known of the deletes of a partition that are not dropped.
#[derive(Clone, Debug)]
pub(super) struct Dead {
    /// From when on the first of them is one.
    pub(super) from: WallTime,
    /// When a round is to begin for its sake.
    pub(super) due: Instant,
    /// The incarnations that they know of.
    pub(super) known: BTreeSet<Incarnation>,
    /// Of theirs.
    pub(super) newest: Stamp,
}

impl Dead {
    /// Those that are known of other slots of the same partition.
    pub(super) fn absorb(&mut self, others: &Dead) {
        (self.from, self.due) = (self.from.min(others.from), self.due.min(others.due));
        self.newest = self.newest.max(others.newest);
        let room = KNOWN_MAX.saturating_sub(self.known.len());
        self.known.extend(others.known.iter().take(room));
    }
}

impl Collection {
    /// A record is stored, or was found stored: where it is a delete, or ends, it is to be collected.
    pub(crate) fn noticed(&mut self, now: Moment, partition: PartitionId, record: &Bytes) {
        if !self.owners.contains_key(&partition) {
            return;
        }
        let from = match peek(record) {
            Ok(Peek::Lww(peek)) if peek.is_tombstone => Some(now.wall),
            Ok(Peek::Lww(peek)) => peek.expiry.at,
            Ok(Peek::Siblings) => None,
            Err(_) => return,
        };
        let is_siblings = matches!(peek(record), Ok(Peek::Siblings));
        if from.is_none() && !is_siblings {
            return;
        }
        let Ok(record) = Record::decode(record.clone()) else { return };
        let Some(from) = from.or_else(|| dead_from(&record, now.wall)) else { return };
        let wait = Duration::from_millis(from.0.saturating_sub(now.wall.0)) + self.options.gather;
        let due = now.mono + wait;
        let dead = self.dead.entry(partition).or_insert_with(|| Dead {
            from,
            due,
            known: BTreeSet::new(),
            newest: Stamp::default(),
        });
        dead.newest = dead.newest.max(newest_stamp(&record));
        (dead.from, dead.due) = (dead.from.min(from), dead.due.min(due));
        for incarnation in record.incarnations() {
            if dead.known.len() < KNOWN_MAX {
                dead.known.insert(incarnation);
            }
        }
    }

    /// The newest stamp of a partition's deletes that this node holds, or has dropped.
    pub(crate) fn newest(&self, partition: PartitionId) -> Stamp {
        let dropped = self.marks.of_any(partition).newest;
        self.dead.get(&partition).map_or(dropped, |dead| dead.newest.max(dropped))
    }
}

/// Whether a record is worth decoding to see whether it is a delete.
pub(super) fn may_be_dead(record: &[u8]) -> bool {
    match peek(record) {
        Ok(Peek::Lww(peek)) => peek.is_tombstone || peek.expiry.at.is_some(),
        Ok(Peek::Siblings) => true,
        Err(_) => false,
    }
}

/// From when on a record has nothing to show to anybody; nothing where that is never.
fn dead_from(record: &Record, now: WallTime) -> Option<WallTime> {
    let mut ends = record.versions().iter().map(|version| match version.payload.value() {
        None => Some(now),
        Some(_) => version.expiry.at,
    });
    ends.try_fold(now, |latest, end| end.map(|end| latest.max(end)))
}
