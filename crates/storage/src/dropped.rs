//! The keys that were dropped: ranges of which everything up to a sequence number is dead.
//!
//! A drop writes nothing to the keys that it takes. It takes a sequence number, as an entry does, and whatever is older than
//! that and in its range counts for nothing. Tables and memtables do not know the sequence numbers of their entries, only of
//! the last; so what must hold is this: **a table or memtable whose last entry is not newer than a drop has nothing in its range
//! that counts, and any other has only what counts.** A drop ends the memtable in which it meets more than a few keys, which makes that
//! true at first; compactions keep it true by leaving out what is dead, and by giving what they write the number behind the newest
//! drop that they knew, if that is above those of their inputs: whatever is put or dropped next has no lower one. So one comparison tells what of a table is to be read, and no
//! block that is wholly dead is ever read.
//!
//! A delete marker for each key would do without any of this, and cost what the keys had cost: a partition that has been moved
//! away would be read and written once more to be forgotten.
//!
//! A drop is itself forgotten once no table is left that it takes something from ([`Dropped::forget`]).

use bytes::Bytes;

use crate::key_range::KeyRange;
use crate::manifest::TableMeta;

/// The most ranges that are kept apart. Joining neighbours would take what is alive, so one more is refused until compactions
/// have let go of some.
pub(crate) const DROPPED_RANGES_MAX: usize = 4096;

/// Disjoint ranges in key order, each with the sequence number up to which its keys are dead.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dropped {
    ranges: Vec<(KeyRange, u64)>,
}

impl Dropped {
    pub(crate) fn ranges(&self) -> &[(KeyRange, u64)] {
        &self.ranges
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The sequence number of the newest drop.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.ranges.iter().map(|(_, sequence)| *sequence).max()
    }

    /// Everything of these keys up to this sequence number is dead. To add a drop again changes nothing.
    pub(crate) fn add(&mut self, range: &KeyRange, sequence: u64) {
        if range.is_empty() {
            return;
        }
        // Those that it meets, and the neighbour on each side, which it may be joined with.
        let first = self.ranges.partition_point(|(one, _)| !one.ends_after(&range.start)).saturating_sub(1);
        let behind = self.ranges.partition_point(|(one, _)| range.ends_after(&one.start)) + 1;
        let met = first..behind.min(self.ranges.len());
        let (mut fresh, mut pieces) = (vec![range.clone()], Vec::new());
        for (one, of) in &self.ranges[met.clone()] {
            if *of >= sequence {
                fresh = fresh.iter().flat_map(|part| part.without(one)).collect();
                pieces.push((one.clone(), *of));
            } else {
                pieces.extend(one.without(range).map(|left| (left, *of)));
            }
        }
        pieces.extend(fresh.into_iter().map(|part| (part, sequence)));
        pieces.sort_by(|(a, _), (b, _)| a.start.cmp(&b.start));
        let mut joined: Vec<(KeyRange, u64)> = Vec::with_capacity(pieces.len());
        for (piece, of) in pieces {
            match joined.last_mut() {
                Some((last, as_new)) if *as_new == of && last.end.as_ref() == Some(&piece.start) => {
                    last.end = piece.end;
                }
                _ => joined.push((piece, of)),
            }
        }
        self.ranges.splice(met, joined);
    }

    /// Up to which sequence number a key is dead, if at all.
    pub(crate) fn through(&self, key: &[u8]) -> Option<u64> {
        let place = self.ranges.partition_point(|(range, _)| range.start.as_ref() <= key).checked_sub(1)?;
        let (range, sequence) = &self.ranges[place];
        range.contains(key).then_some(*sequence)
    }

    /// What of a range counts in a table or memtable whose last entry has this sequence number, in key order.
    pub(crate) fn live_parts(&self, range: &KeyRange, last_sequence: u64) -> Vec<KeyRange> {
        let first = self.ranges.partition_point(|(one, _)| !one.ends_after(&range.start));
        let dead = self.ranges[first..].iter().filter(|(_, sequence)| *sequence >= last_sequence);
        let (mut parts, mut rest) = (Vec::new(), Some(range.start.clone()));
        for (one, _) in dead.take_while(|(one, _)| range.ends_after(&one.start)) {
            let Some(start) = rest.take() else { break };
            let next: Option<Bytes> = one.end.clone();
            rest = next.map(|end| end.max(start.clone()));
            parts.push(KeyRange { start, end: Some(one.start.clone()) });
        }
        parts.extend(rest.map(|start| KeyRange { start, end: range.end.clone() }));
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Whether everything in a table is dead.
    pub(crate) fn covers(&self, meta: &TableMeta) -> bool {
        self.through(&meta.smallest).is_some_and(|through| through >= meta.last_sequence)
            && !self.live_parts(&meta.keys(), meta.last_sequence).iter().any(|part| meta.touches(part))
    }

    /// Lets go of drops that take nothing any more: all that they could take is in tables, and no table has it.
    pub(crate) fn forget<'a>(&mut self, flushed_through: u64, tables: impl Iterator<Item = &'a TableMeta>) {
        if self.ranges.is_empty() {
            return;
        }
        let mut takes_something: Vec<bool> =
            self.ranges.iter().map(|(_, sequence)| *sequence > flushed_through).collect();
        for meta in tables {
            self.places_in(meta).for_each(|place| takes_something[place] = true);
        }
        let mut kept = takes_something.into_iter();
        self.ranges.retain(|_| kept.next().unwrap_or(true));
    }

    /// The ranges that take something from a table, by their places.
    fn places_in(&self, meta: &TableMeta) -> impl Iterator<Item = usize> + use<> {
        let first = self.ranges.partition_point(|(range, _)| !range.ends_after(&meta.smallest));
        let behind = self.ranges.partition_point(|(range, _)| range.start <= meta.largest);
        let taking: Vec<usize> =
            (first..behind).filter(|place| self.ranges[*place].1 >= meta.last_sequence).collect();
        taking.into_iter()
    }

    /// The ranges that take something from a table.
    pub(crate) fn taking_from(&self, meta: &TableMeta) -> impl Iterator<Item = &KeyRange> {
        self.places_in(meta).map(|place| &self.ranges[place].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(from: u8, to: u8) -> KeyRange {
        KeyRange::new(&[from], (to < 60).then_some(&[to][..]))
    }

    fn table(smallest: u8, largest: u8, last_sequence: u64) -> TableMeta {
        let key = |key: u8| Bytes::from(vec![key]);
        TableMeta {
            file: 1,
            bytes: 1,
            entries: 1,
            last_sequence,
            smallest: key(smallest),
            largest: key(largest),
        }
    }

    proptest! {
        /// Of each key the newest drop counts, in whatever order and however often they are told; and the parts of a range that are
        /// alive are those of which no drop is as new as what is asked for.
        #[test]
        fn of_each_key_the_newest_drop_counts(
            drops in prop::collection::vec((0u8..64, 0u8..64, 1u64..9), 0..20),
            asked in (0u8..64, 0u8..64, 0u64..10),
        ) {
            let (mut dropped, mut model) = (Dropped::default(), [None::<u64>; 64]);
            for (from, to, sequence) in &drops {
                dropped.add(&range(*from, *to), *sequence);
                for key in 0..64u8 {
                    if range(*from, *to).contains(&[key]) {
                        model[usize::from(key)] = model[usize::from(key)].max(Some(*sequence));
                    }
                }
            }
            for key in 0..64u8 {
                prop_assert_eq!(dropped.through(&[key]), model[usize::from(key)], "key {}", key);
            }
            let (from, to, last_sequence) = asked;
            let is_alive = |key: u8| model[usize::from(key)].is_none_or(|through| through < last_sequence);
            let parts = dropped.live_parts(&range(from, to), last_sequence);
            for key in 0..64u8 {
                let expected = range(from, to).contains(&[key]) && is_alive(key);
                prop_assert_eq!(parts.iter().filter(|part| part.contains(&[key])).count(), usize::from(expected));
            }
            prop_assert!(parts.windows(2).all(|pair| pair[0].end.as_ref().is_some_and(|end| *end <= pair[1].start)));
            if from <= to {
                // Tables are not of single bytes only: nothing may lie between their keys either.
                let covered = dropped.covers(&table(from, to, last_sequence));
                prop_assert!(!covered || (from..=to).all(|key| !is_alive(key)));
            }
            let mut again = dropped.clone();
            drops.iter().for_each(|(from, to, sequence)| again.add(&range(*from, *to), *sequence));
            prop_assert_eq!(again, dropped);
        }
    }

    /// A drop is kept while anything that it takes may be in a table, in memory or in the log, and no longer.
    #[test]
    fn a_drop_is_forgotten_when_it_takes_nothing() {
        let kept = |flushed_through: u64, tables: &[TableMeta]| {
            let mut dropped = Dropped::default();
            dropped.add(&range(10, 20), 5);
            dropped.forget(flushed_through, tables.iter());
            !dropped.is_empty()
        };
        assert!(kept(4, &[]), "the log and memtables have older entries");
        assert!(!kept(5, &[]));
        assert!(kept(5, &[table(19, 30, 5)]) && kept(9, &[table(0, 10, 2)]));
        assert!(!kept(9, &[table(20, 30, 5), table(0, 9, 3), table(0, 30, 6)]), "beside it, or newer");
    }
}
