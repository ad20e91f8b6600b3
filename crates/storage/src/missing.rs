//! The keys of which something was here and is lost: a set of ranges.
//!
//! What must hold: a key that is in no range is as it was put. Of one that is in a range nothing may be concluded, be it
//! that something is found or that nothing is: what is left may be older than what was lost (INVARIANTS C3). Ranges may
//! cover more than was lost and never less, so there is a bound to their number: where there are more, neighbours are
//! joined across what lies between them.

use bytes::Bytes;

use crate::key_range::KeyRange;

/// The most ranges that are kept apart.
const RANGES_MAX: usize = 512;

/// Disjoint ranges in key order, no two of which touch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Missing {
    ranges: Vec<KeyRange>,
}

/// Whether a range that ends here reaches as far as `start`.
fn reaches(end: Option<&Bytes>, start: &Bytes) -> bool {
    end.is_none_or(|end| end >= start)
}

fn later_end(a: Option<Bytes>, b: Option<Bytes>) -> Option<Bytes> {
    a.zip(b).map(|(a, b)| a.max(b))
}

impl Missing {
    pub(crate) fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// Whether something may be missing of this key.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let place = self.ranges.partition_point(|range| range.start.as_ref() <= key);
        place.checked_sub(1).is_some_and(|place| self.ranges[place].contains(key))
    }

    /// The first range that has keys in common with this one.
    pub(crate) fn first_in(&self, range: &KeyRange) -> Option<&KeyRange> {
        let first = self.ranges.iter().find(|one| one.ends_after(&range.start))?;
        range.ends_after(&first.start).then_some(first)
    }

    /// Something of these keys is missing from now on.
    pub(crate) fn add(&mut self, range: KeyRange) {
        if range.is_empty() {
            return;
        }
        let (touching, mut ranges): (Vec<KeyRange>, Vec<KeyRange>) = self.ranges.drain(..).partition(|one| {
            reaches(one.end.as_ref(), &range.start) && reaches(range.end.as_ref(), &one.start)
        });
        let whole = touching.into_iter().fold(range, |all, one| KeyRange {
            start: all.start.min(one.start),
            end: later_end(all.end, one.end),
        });
        let place = ranges.partition_point(|one| one.start < whole.start);
        ranges.insert(place, whole);
        self.ranges = if ranges.len() > RANGES_MAX { joined(&ranges) } else { ranges };
    }

    /// Nothing of these keys is missing any more.
    pub(crate) fn remove(&mut self, range: &KeyRange) {
        self.ranges = self.ranges.iter().flat_map(|one| one.without(range)).collect();
    }
}

/// Half as many, each of two neighbours and what lies between them.
fn joined(ranges: &[KeyRange]) -> Vec<KeyRange> {
    let pair = |pair: &[KeyRange]| KeyRange {
        start: pair[0].start.clone(),
        end: pair.last().and_then(|last| last.end.clone()),
    };
    ranges.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(from: u8, to: u8) -> KeyRange {
        KeyRange::new(&[from], (to < 200).then_some(&[to][..]))
    }

    proptest! {
        /// The set has exactly the keys of what was added and not taken out since, in as few ranges as that takes.
        #[test]
        fn ranges_add_up_and_are_taken_out(steps in prop::collection::vec((any::<bool>(), 0u8..210, 0u8..210), 0..30)) {
            let (mut missing, mut model) = (Missing::default(), [false; 256]);
            for (add, from, to) in steps {
                let range = range(from, to);
                for key in 0..=255u8 {
                    if range.contains(&[key]) {
                        model[usize::from(key)] = add;
                    }
                }
                if add { missing.add(range) } else { missing.remove(&range) }
            }
            for key in 0..=255u8 {
                prop_assert_eq!(missing.contains(&[key]), model[usize::from(key)], "key {}", key);
                let first = missing.first_in(&KeyRange::new(&[key], None));
                let expected = (key..=255).find(|key| model[usize::from(*key)]);
                prop_assert_eq!(first.is_some(), expected.is_some());
            }
            let apart = missing.ranges().windows(2).all(|pair| pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start));
            prop_assert!(apart, "{:?}", missing);
        }
    }

    /// More ranges than are kept apart are joined: all that is missing still is.
    #[test]
    fn too_many_ranges_cover_more_and_never_less() {
        let mut missing = Missing::default();
        let key = |number: u16| number.to_be_bytes();
        for number in 0..3000u16 {
            missing.add(KeyRange::new(&key(2 * number), Some(&key(2 * number + 1))));
            assert!(missing.ranges().len() <= RANGES_MAX);
        }
        assert!((0..3000).all(|number| missing.contains(&key(2 * number))));
    }
}
