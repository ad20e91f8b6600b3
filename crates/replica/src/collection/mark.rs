//! Marks: what this node has agreed on with the other owners of its partitions, and keeps.
//!
//! A mark lies in the store like a record, under a key of its own, so it is synced with the log and survives what the records
//! survive. What must hold: a mark never falls; and a life of a node that was not among the owners which agreed on it never
//! keeps it, because it may lack what is settled, and would refuse it.
//!
//! What was agreed on is of slots, whatever partition they are in by now. When partitions are halved, what was agreed on of a whole
//! counts for both halves; it is stored under their keys before the whole's is dropped, so a start finds one or the other, or both.
//! When halves are joined, each goes on by what was agreed on of it, as a *run* of the whole's slots: their writers counted by
//! themselves, so neither's mark says anything of the other. From then on it is agreed on the whole, and as soon as that comes to the
//! same for all of it, which it does with the second round, there is one run again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ring::{Partitions, Slot};
use storage::{BackgroundKind, Db, Installed, KeyRange, ReadError, ScanLimit, ScanOutcome};
use types::PartitionId;
use wire::Mark;

use super::standing::Standing;
use crate::store_key::{self, Slots};

/// Slots with what was agreed on of them.
type Run = (Slots, Standing);

/// The marks of one shard's partitions.
#[derive(Debug)]
pub struct Marks {
    /// How many partitions there are.
    of: Partitions,
    /// Of each partition with some, the runs, in order: mostly one, of all its slots.
    by_partition: BTreeMap<PartitionId, Vec<Run>>,
}

/// What of the marks is in the store under other keys than it is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outdated {
    /// Slots whose mark is to be stored under a key of their own.
    pub unwritten: BTreeSet<Slots>,
    /// The keys that are of no use after that: each once, however often there is no room to drop them.
    pub keys: BTreeSet<Bytes>,
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
    fn found(mut found: Vec<Run>, of: Partitions) -> (Marks, Outdated) {
        // What was agreed on of more slots comes first: what was agreed on of parts of them came after.
        found.sort_by_key(|(slots, _)| std::cmp::Reverse(slots.count));
        let mut about: BTreeMap<PartitionId, Vec<&Run>> = BTreeMap::new();
        for run in &found {
            for partition in run.0.partitions(of) {
                about.entry(partition).or_default().push(run);
            }
        }
        let runs = |(partition, about): (PartitionId, Vec<&Run>)| {
            (partition, runs_of(Slots::of(partition, of), &about))
        };
        let marks = Marks { of, by_partition: about.into_iter().map(runs).collect() };
        let stored: BTreeMap<Slots, &Standing> = found.iter().map(|(slots, kept)| (*slots, kept)).collect();
        let unwritten = marks.runs().filter(|(slots, kept)| stored.get(slots) != Some(&kept));
        let outdated = Outdated {
            unwritten: unwritten.map(|(slots, _)| *slots).collect(),
            keys: stored
                .into_keys()
                .filter(|slots| !marks.has_run(*slots))
                .map(store_key::mark_key)
                .collect(),
        };
        (marks, outdated)
    }

    /// There are so many partitions from now on: each slot goes on by what was agreed on of it.
    pub fn recut(&mut self, of: Partitions) -> Outdated {
        let found = std::mem::take(&mut self.by_partition).into_values().flatten().collect();
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
        self.runs().map(stored)
    }

    /// What is kept of these slots as a run, with the key under which it is stored.
    pub fn stored_of(&self, slots: Slots) -> Option<(Bytes, Bytes)> {
        self.runs_at(slots).find(|(run, _)| *run == slots).map(stored)
    }

    /// Whether something that is kept is stored under this key.
    pub fn is_stored_under(&self, key: &[u8]) -> bool {
        store_key::parse_mark(key).is_some_and(|slots| self.has_run(slots))
    }

    /// What was agreed on of a slot, if anything.
    pub fn of_slot(&self, slot: u16) -> Option<&Standing> {
        let slots = Slots { first: slot, count: 1 };
        self.runs_at(slots).find(|(run, _)| run.contain(slots)).map(|(_, kept)| kept)
    }

    /// What is true of all slots of a partition, if anything was agreed on of each.
    pub fn of_all(&self, partition: PartitionId) -> Option<Standing> {
        let mut runs = self.filled(partition).into_iter().map(|(_, kept)| kept);
        let first = runs.next()?;
        let of_all = runs.fold(first, |of_all, run| of_all.of_both(&run));
        (of_all != Standing::default()).then_some(of_all)
    }

    /// What any slot of a partition was settled by, whoever agreed on it.
    pub fn of_any(&self, partition: PartitionId) -> Standing {
        let mut of_any = Standing::default();
        self.runs_of(partition).iter().for_each(|(_, kept)| of_any.absorb(kept));
        of_any
    }

    /// Whether what was agreed on is the same for all slots of a partition.
    pub fn is_one(&self, partition: PartitionId) -> bool {
        matches!(self.runs_of(partition), [(slots, _)] if *slots == Slots::of(partition, self.of))
    }

    /// The partitions of which there is one.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.by_partition.keys().copied()
    }

    /// Nothing is kept of a partition any more. What comes back are the keys under which it was stored.
    pub fn forget(&mut self, partition: PartitionId) -> Vec<Bytes> {
        let runs = self.by_partition.remove(&partition).unwrap_or_default();
        runs.into_iter().map(|(slots, _)| store_key::mark_key(slots)).collect()
    }

    /// What is kept of a partition and this mark of all of it come to, with the keys under which it is to be stored.
    pub fn joined(&self, partition: PartitionId, mark: &Mark) -> Vec<(Bytes, Bytes)> {
        self.agreeing(partition, &Standing::of_mark(mark)).iter().map(stored).collect()
    }

    /// Keeps a mark from here on. What comes back are keys under which something was stored that is under another now.
    pub fn keep(&mut self, partition: PartitionId, mark: &Mark) -> Vec<Bytes> {
        let runs = self.agreeing(partition, &Standing::of_mark(mark));
        let were = self.by_partition.insert(partition, runs).unwrap_or_default();
        let are_gone = were.into_iter().map(|(slots, _)| slots).filter(|slots| !self.has_run(*slots));
        are_gone.map(store_key::mark_key).collect()
    }

    fn agreeing(&self, partition: PartitionId, later: &Standing) -> Vec<Run> {
        let mut runs = self.filled(partition);
        runs.iter_mut().for_each(|(_, kept)| kept.absorb(later));
        let runs: Vec<&Run> = runs.iter().collect();
        runs_of(Slots::of(partition, self.of), &runs)
    }

    /// The runs of a partition, and of slots between of which nothing was agreed on some that say nothing.
    fn filled(&self, partition: PartitionId) -> Vec<Run> {
        let all = (Slots::of(partition, self.of), Standing::default());
        let runs: Vec<&Run> = std::iter::once(&all).chain(self.runs_of(partition)).collect();
        runs_of(all.0, &runs)
    }

    fn runs_of(&self, partition: PartitionId) -> &[Run] {
        self.by_partition.get(&partition).map_or(&[], Vec::as_slice)
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.by_partition.values().flatten()
    }

    /// The runs of the partition that has the first of these slots.
    fn runs_at(&self, slots: Slots) -> impl Iterator<Item = &Run> {
        let partition = Slot::new(slots.first).map(|slot| self.of.of_slot(slot));
        partition.map_or(&[][..], |partition| self.runs_of(partition)).iter()
    }

    fn has_run(&self, slots: Slots) -> bool {
        self.runs_at(slots).any(|(run, _)| *run == slots)
    }
}

/// The fewest runs that say of each of these slots all that was found of it, in this order. Parts of them are halves of halves.
fn runs_of(slots: Slots, found: &[&Run]) -> Vec<Run> {
    let are_parts = |run: &Run| run.0 != slots && slots.contain(run.0);
    if found.iter().any(|run| are_parts(run)) {
        let runs: Vec<Run> = slots.halves().into_iter().flat_map(|half| runs_of(half, found)).collect();
        return match runs.as_slice() {
            [(first, kept), (second, other)]
                if first.count + second.count == slots.count && kept == other =>
            {
                vec![(slots, kept.clone())]
            }
            _ => runs,
        };
    }
    let mut of_all = found.iter().filter(|run| run.0.contain(slots)).map(|(_, kept)| kept).peekable();
    if of_all.peek().is_none() {
        return Vec::new();
    }
    let mut kept = Standing::default();
    of_all.for_each(|one| kept.absorb(one));
    vec![(slots, kept)]
}

fn stored((slots, kept): &Run) -> (Bytes, Bytes) {
    (store_key::mark_key(*slots), kept.encode())
}

/// Lets the store give up what was found damaged; false where there was nothing, or it cannot. Blocks.
pub(crate) fn give_up(db: &mut Db) -> bool {
    let job = db.background_job_of(BackgroundKind::Damage);
    let installed = job.map(|job| db.install(job.run()));
    matches!(installed, Some(Ok(Installed::Lost { .. })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use causality::Actor;
    use proptest::prelude::*;
    use types::{Incarnation, Stint, WallTime};
    use wire::Written;

    use super::*;

    const ACTOR: Actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
    /// So many slots have the smallest partitions of these tests.
    const SIXTEENTH: u16 = 1024;

    /// A mark of one actor's writes up to here; what a mark of a counter less settled may be dropped.
    fn mark(counter: u64) -> Mark {
        let written = |counter| Written { incarnation: ACTOR.incarnation, stint: ACTOR.stint, counter };
        Mark {
            settled: vec![written(counter)],
            settled_by: WallTime(counter),
            droppable: vec![written(counter - 1)],
            droppable_by: WallTime(counter - 1),
            owners: vec![Incarnation(1)],
            ..Mark::default()
        }
    }

    fn partitions(count: u16) -> Partitions {
        Partitions::new(u64::from(count)).unwrap()
    }

    fn settled(kept: Option<&Standing>) -> u64 {
        kept.map_or(0, |kept| kept.settled.counter_of(ACTOR))
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

    /// Halves that were agreed on apart are told apart when they are joined: each slot refuses what was settled of it, all slots let go of
    /// what both had settled alone, and the next mark but one makes them the same.
    #[test]
    fn what_was_agreed_on_of_halves_is_of_their_slots_until_two_rounds_were_over_both() {
        let mut marks = Marks::found(Vec::new(), partitions(2)).0;
        assert_eq!(marks.keep(PartitionId(0), &mark(10)), [] as [Bytes; 0]);
        marks.keep(PartitionId(1), &mark(90));
        assert_eq!(marks.recut(partitions(1)), Outdated::default(), "they stay where they are stored");
        let whole = PartitionId(0);
        assert_eq!([0, 8191, 8192].map(|slot| settled(marks.of_slot(slot))), [10, 10, 90]);
        assert_eq!(settled(marks.of_all(whole).as_ref()), 10);
        assert_eq!((settled(Some(&marks.of_any(whole))), marks.is_one(whole)), (90, false));
        let round = |marks: &Marks, counter| Mark {
            droppable: super::super::standing::entries(&marks.of_all(whole).unwrap().settled),
            droppable_by: marks.of_all(whole).unwrap().settled_by,
            ..mark(counter)
        };
        assert_eq!(marks.keep(whole, &round(&marks, 100)), [] as [Bytes; 0]);
        assert_eq!((settled(marks.of_all(whole).as_ref()), marks.is_one(whole)), (100, false));
        let later = round(&marks, 110);
        let stored = marks.joined(whole, &later);
        let halves = [0, 8192].map(|first| store_key::mark_key(Slots { first, count: 8192 }));
        assert_eq!(marks.keep(whole, &later), halves);
        assert!(marks.is_one(whole) && !marks.is_stored_under(&halves[0]));
        assert_eq!(stored, marks.stored().collect::<Vec<_>>());
    }

    /// What was agreed on of one half alone says nothing of the other.
    #[test]
    fn a_half_of_which_nothing_was_agreed_on_refuses_nothing() {
        let mut marks = Marks::found(Vec::new(), partitions(2)).0;
        marks.keep(PartitionId(1), &mark(90));
        marks.recut(partitions(1));
        assert_eq!([0, 8192].map(|slot| settled(marks.of_slot(slot))), [0, 90]);
        assert_eq!(settled(marks.of_all(PartitionId(0)).as_ref()), 0);
        marks.keep(PartitionId(0), &mark(95));
        assert_eq!([0, 8192].map(|slot| settled(marks.of_slot(slot))), [95, 95]);
    }

    proptest! {
        /// INVARIANTS D1: wherever a node stops while it writes marks under other keys, and however often partitions are halved and joined
        /// before it has, a start finds of each slot what was agreed on of it, and nothing less; and it never takes more for agreed on.
        #[test]
        fn marks_never_fall_when_partitions_are_cut_anew(
            first in 0_u32..=4,
            steps in proptest::collection::vec(
                (any::<bool>(), any::<bool>(), proptest::collection::vec((0_u16..16, 1_u64..200), 0..4)), 1..8,
            ),
        ) {
            let mut of = partitions(1 << first);
            let mut marks = Marks::found(Vec::new(), of).0;
            let mut log: Vec<(Bytes, Option<Bytes>)> = Vec::new();
            // For each sixteenth of the slots what was agreed on of it, and from which entry of the log on it is known.
            let mut promised: Vec<(u16, u64, usize)> = Vec::new();
            let mut outdated = Outdated::default();
            for (is_halved, is_written, agreed) in steps {
                for (at, counter) in agreed {
                    let partition = of.of_slot(Slot::new(at * SIXTEENTH).unwrap());
                    log.extend(marks.joined(partition, &mark(counter)).into_iter().map(|(key, mark)| (key, Some(mark))));
                    outdated.keys.extend(marks.keep(partition, &mark(counter)));
                    let parts = partitions(16).with_slots_of(partition, of);
                    promised.extend(parts.map(|part| (part.0, counter, log.len())));
                }
                let count = if is_halved { (of.count() * 2).min(16) } else { (of.count() / 2).max(1) };
                of = partitions(count);
                let more = marks.recut(of);
                outdated.unwritten.extend(more.unwritten);
                outdated.keys.extend(more.keys);
                if is_written {
                    let written = std::mem::take(&mut outdated.unwritten);
                    log.extend(written.into_iter().filter_map(|slots| {
                        marks.stored_of(slots).map(|(key, value)| (key, Some(value)))
                    }));
                    let keys = std::mem::take(&mut outdated.keys).into_iter();
                    log.extend(keys.filter(|key| !marks.is_stored_under(key)).map(|key| (key, None)));
                }
            }
            for end in 0..=log.len() {
                let (found, _) = Marks::found(kept(&log[..end]), of);
                for part in 0..16 {
                    let so_far = promised.iter().filter(|(one, _, since)| *one == part && *since <= end);
                    let least = so_far.map(|(_, counter, _)| *counter).max().unwrap_or_default();
                    let ever = promised.iter().filter(|(one, ..)| *one == part).map(|(_, counter, _)| *counter);
                    let is = settled(found.of_slot(part * SIXTEENTH));
                    prop_assert!((least..=ever.max().unwrap_or_default()).contains(&is), "{part} at {end}: {is}, and {least}");
                }
            }
        }
    }
}
