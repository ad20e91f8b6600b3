//! Marks: what this node has agreed on with the other owners of its partitions, and keeps.
//!
//! A mark lies in the store like a record, under a key of its own, so it is synced with the log and survives what the records
//! survive. What must hold: a mark never falls; and a life of a node that was not among the owners which agreed on it never
//! keeps it, because it may lack what is settled, and would refuse it. When partitions are halved, what was agreed on of a whole
//! counts for both halves; it is stored under their keys before the whole's is dropped, so a start finds one or the other.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use causality::{Actor, Frontier, Stamp};
use ring::Partitions;
use storage::{BackgroundKind, Db, Installed, KeyRange, ReadError, ScanLimit, ScanOutcome};
use types::{Incarnation, PartitionId, WallTime};
use wire::{Mark, Written};

use crate::store_key::{self, Slots};

/// A mark, as it is asked of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// What is settled: a copy that is not held here is not taken in again.
    pub settled: Frontier,
    /// A time that had passed on all clocks when that was begun.
    pub settled_by: WallTime,
    /// Behind which deletes are dropped.
    pub droppable: Frontier,
    /// A time that had passed on all clocks when that was begun: what ends by then is dropped too.
    pub droppable_by: WallTime,
    /// The newest stamp of what was dropped, or is settled.
    pub newest: Stamp,
    /// The lives of the owners that agreed on it.
    pub owners: Vec<Incarnation>,
}

impl Standing {
    /// As it travels and is kept.
    pub fn to_mark(&self) -> Mark {
        Mark {
            settled: entries(&self.settled),
            settled_by: self.settled_by,
            droppable: entries(&self.droppable),
            droppable_by: self.droppable_by,
            newest: self.newest,
            owners: self.owners.clone(),
        }
    }

    /// From how it travels.
    pub fn of_mark(mark: &Mark) -> Standing {
        let frontier = |entries: &[Written]| entries.iter().map(|one| (actor_of(one), one.counter)).collect();
        Standing {
            settled: frontier(&mark.settled),
            settled_by: mark.settled_by,
            droppable: frontier(&mark.droppable),
            droppable_by: mark.droppable_by,
            newest: mark.newest,
            owners: mark.owners.clone(),
        }
    }

    /// From how it is kept under [`store_key::mark_key`]; nothing where it is not what this version writes.
    pub fn decode(bytes: &[u8]) -> Option<Standing> {
        match bytes {
            [FORMAT, mark @ ..] => postcard::from_bytes(mark).ok().map(|mark| Standing::of_mark(&mark)),
            _ => None,
        }
    }

    /// Agrees on more. One that comes late, and has nothing more to say, changes nothing.
    fn absorb(&mut self, later: &Standing) {
        let before = self.clone();
        self.settled.absorb(&later.settled);
        self.settled_by = self.settled_by.max(later.settled_by);
        self.droppable.absorb(&later.droppable);
        self.droppable_by = self.droppable_by.max(later.droppable_by);
        self.newest = self.newest.max(later.newest);
        if *self != before {
            self.owners.clone_from(&later.owners);
        }
    }
}

/// A frontier, as it travels.
pub fn entries(frontier: &Frontier) -> Vec<Written> {
    frontier.iter().map(written_of).collect()
}

/// Who wrote so far.
pub fn actor_of(written: &Written) -> Actor {
    Actor { incarnation: written.incarnation, stint: written.stint }
}

fn written_of((actor, counter): (Actor, u64)) -> Written {
    Written { incarnation: actor.incarnation, stint: actor.stint, counter }
}

/// The marks of one shard's partitions.
#[derive(Debug)]
pub struct Marks {
    /// How many partitions there are.
    of: Partitions,
    by_partition: BTreeMap<PartitionId, Standing>,
    /// Of parts of partitions: the state that the node goes by is older than these, and is yet to follow.
    of_parts: Vec<(Slots, Standing)>,
}

/// What of the marks is in the store under the keys of other partitions than there are: of those that these are halves of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outdated {
    /// Partitions whose marks are to be stored under keys of their own.
    pub unwritten: BTreeSet<PartitionId>,
    /// The keys that are of no use after that.
    pub keys: Vec<Bytes>,
}

/// Marks that cannot be read: what they refuse would be taken in again.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The store cannot be read there.
    #[error("the marks of what was deleted cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// An entry is none.
    #[error("the mark of {} slots from slot {} on is not one that this version writes", .0.count, .0.first)]
    Malformed(Slots),
}

/// How many marks are read at once: as many as a ring has partitions at most.
const MARKS_MAX: usize = 1 << 14;

impl Marks {
    /// Those of so many partitions that the store keeps, and what of them it keeps under other keys. Blocks.
    ///
    /// # Errors
    /// As [`MarksError`] says.
    pub fn load(db: &mut Db, of: Partitions) -> Result<(Marks, Outdated), MarksError> {
        let (start, end) = store_key::marks();
        let limit = ScanLimit { entries: MARKS_MAX, bytes: usize::MAX };
        let mut found = Vec::new();
        let mut from = Some(start);
        while let Some(start) = from {
            match db.scan_what_is_left(KeyRange::new(&start, Some(&end)), limit).run() {
                // What is damaged and is elsewhere too is given up, and then there is what is left.
                ScanOutcome::Unreadable(ReadError::Damaged(damage)) if give_up(db) => drop(damage),
                ScanOutcome::Unreadable(error) => return Err(error.into()),
                ScanOutcome::Page { entries, next } => {
                    for (key, bytes) in entries {
                        let Some(slots) = store_key::parse_mark(&key) else { continue };
                        found.push((slots, Standing::decode(&bytes).ok_or(MarksError::Malformed(slots))?));
                    }
                    from = next;
                    continue;
                }
            }
            from = Some(start);
        }
        Ok(Marks::found(found, of))
    }

    /// Of what was agreed on of these slots.
    fn found(mut found: Vec<(Slots, Standing)>, of: Partitions) -> (Marks, Outdated) {
        let mut marks = Marks { of, by_partition: BTreeMap::new(), of_parts: Vec::new() };
        let mut outdated = Outdated::default();
        // What was agreed on of a half was agreed on after the whole was one.
        found.sort_by_key(|(slots, _)| std::cmp::Reverse(slots.count));
        for (slots, standing) in found {
            if slots.count < of.slots_each() {
                marks.of_parts.push((slots, standing));
                continue;
            }
            if slots.count > of.slots_each() {
                outdated.keys.push(store_key::mark_key(slots));
                outdated.unwritten.extend(slots.partitions(of));
            }
            for partition in slots.partitions(of) {
                marks.by_partition.entry(partition).or_default().absorb(&standing);
            }
        }
        (marks, outdated)
    }

    /// Each partition is in parts from now on, so that there are this many: what was agreed on of the whole was agreed on of each.
    pub fn part(&mut self, of: Partitions) -> Outdated {
        let was = std::mem::replace(&mut self.of, of);
        let whole = std::mem::take(&mut self.by_partition).into_iter();
        let found = whole.map(|(partition, standing)| (Slots::of(partition, was), standing));
        let found = found.chain(std::mem::take(&mut self.of_parts)).collect();
        let (marks, outdated) = Marks::found(found, of);
        *self = marks;
        outdated
    }

    /// Those of other partitions than these are not kept.
    pub fn retain(&mut self, is_kept: impl Fn(PartitionId) -> bool) {
        self.by_partition.retain(|partition, _| is_kept(*partition));
    }

    /// All that is kept, with the keys under which it is stored.
    pub fn stored(&self) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
        let of = self.of;
        let of_parts = self.of_parts.iter().map(|(slots, standing)| (*slots, standing));
        let of_wholes = self.by_partition.iter().map(move |(one, standing)| (Slots::of(*one, of), standing));
        of_wholes
            .chain(of_parts)
            .map(|(slots, standing)| (store_key::mark_key(slots), encode(&standing.to_mark())))
    }

    /// What is kept of a partition, with the key under which it is stored.
    pub fn stored_of(&self, partition: PartitionId) -> Option<(Bytes, Bytes)> {
        let standing = self.by_partition.get(&partition)?;
        Some((store_key::mark_key(Slots::of(partition, self.of)), encode(&standing.to_mark())))
    }

    /// What is kept of a partition, if anything.
    pub fn get(&self, partition: PartitionId) -> Option<&Standing> {
        self.by_partition.get(&partition)
    }

    /// The partitions of which there is one.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.by_partition.keys().copied()
    }

    /// Nothing is kept of a partition any more.
    pub fn forget(&mut self, partition: PartitionId) {
        self.by_partition.remove(&partition);
    }

    /// What is kept of a partition and this mark come to, as it is stored under [`store_key::mark_key`].
    pub fn joined(&self, partition: PartitionId, mark: &Mark) -> Bytes {
        let mut kept = self.by_partition.get(&partition).cloned().unwrap_or_default();
        kept.absorb(&Standing::of_mark(mark));
        encode(&kept.to_mark())
    }

    /// Keeps a mark from here on.
    pub fn keep(&mut self, partition: PartitionId, mark: &Mark) {
        self.by_partition.entry(partition).or_default().absorb(&Standing::of_mark(mark));
    }
}

/// Lets the store give up what was found damaged; false where there was nothing, or it cannot. Blocks.
pub(crate) fn give_up(db: &mut Db) -> bool {
    let job = db.background_job_of(BackgroundKind::Damage);
    let installed = job.map(|job| db.install(job.run()));
    matches!(installed, Some(Ok(Installed::Lost { .. })))
}

/// The first byte of what is kept, so that a later version can tell.
const FORMAT: u8 = 1;

fn encode(mark: &Mark) -> Bytes {
    let mark = postcard::to_allocvec(mark).expect("these types have no case that postcard cannot write");
    [&[FORMAT], mark.as_slice()].concat().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mark of these lives up to here.
    fn mark(counter: u64) -> Mark {
        let one = Written { incarnation: Incarnation(1), stint: types::Stint(1), counter };
        Mark { settled: vec![one], owners: vec![Incarnation(1)], ..Mark::default() }
    }

    /// What a store keeps after so many entries of its log: a key has its last value, or none.
    fn kept(log: &[(Bytes, Option<Bytes>)]) -> Vec<(Slots, Standing)> {
        let mut store: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for (key, value) in log {
            match value {
                Some(value) => drop(store.insert(key.clone(), value.clone())),
                None => drop(store.remove(key)),
            }
        }
        let parse = |(key, value): (Bytes, Bytes)| store_key::parse_mark(&key).zip(Standing::decode(&value));
        store.into_iter().filter_map(parse).collect()
    }

    proptest! {
        /// INVARIANTS D1: wherever a node stops while it writes marks under other keys, and however many times partitions are halved
        /// before it has, a start finds of each slot what was agreed on of it, and nothing less.
        #[test]
        fn marks_never_fall_when_partitions_are_halved(
            agreed in proptest::collection::vec((0_u16..16, 1_u64..100), 1..12),
            halvings in proptest::collection::vec((any::<bool>(), proptest::collection::vec((0_u16..16, 100_u64..200), 0..4)), 1..4),
        ) {
            let mut of = Partitions::new(2).unwrap();
            let mut marks = Marks::found(Vec::new(), of).0;
            let mut log: Vec<(Bytes, Option<Bytes>)> = Vec::new();
            // For each sixteenth of the slots what was agreed on of it, and from which entry of the log on it is known.
            let mut promised: Vec<(usize, u64, usize)> = Vec::new();
            let adopt = |marks: &mut Marks, log: &mut Vec<_>, promised: &mut Vec<_>, of: Partitions, (at, counter)| {
                let partition = of.of_slot(ring::Slot::new(at * 1024).unwrap());
                marks.keep(partition, &mark(counter));
                let (key, value) = marks.stored_of(partition).unwrap();
                log.push((key, Some(value)));
                let parts = Partitions::new(16).unwrap().parts_of(partition, of);
                promised.extend(parts.map(|part| (usize::from(part.0), counter, log.len())));
            };
            for one in agreed {
                adopt(&mut marks, &mut log, &mut promised, of, one);
            }
            let mut outdated = Outdated::default();
            for (is_written, later) in halvings {
                of = Partitions::new(u64::from(of.count()) * 2).unwrap();
                let more = marks.part(of);
                // What was yet to be written then is of halves that are wholes now.
                outdated.unwritten = more.unwritten;
                outdated.keys.extend(more.keys);
                for one in later {
                    adopt(&mut marks, &mut log, &mut promised, of, one);
                }
                if is_written {
                    let written = std::mem::take(&mut outdated.unwritten);
                    log.extend(written.into_iter().filter_map(|one| {
                        marks.stored_of(one).map(|(key, value)| (key, Some(value)))
                    }));
                    log.extend(std::mem::take(&mut outdated.keys).into_iter().map(|key| (key, None)));
                }
            }
            for end in 0..=log.len() {
                let (found, _) = Marks::found(kept(&log[..end]), of);
                for (part, counter, since) in &promised {
                    let partition = PartitionId(u16::try_from(*part).unwrap() * of.count() / 16);
                    let actor = Actor { incarnation: Incarnation(1), stint: types::Stint(1) };
                    let settled = found.get(partition).map_or(0, |mark| mark.settled.counter_of(actor));
                    prop_assert!(*since > end || settled >= *counter, "{partition} at {end}: {settled} of {counter}");
                }
            }
        }
    }
}
