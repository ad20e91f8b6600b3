//! How much there is of a range, without reading it.
//!
//! What holds: nothing is read but what is in memory anyway, and the work does not grow with the range: two searches in the index of each
//! table that has keys of it, and a bounded walk in each memtable. So it can be asked for every partition, and often.
//!
//! What it is not: a count. A key counts once for each memtable and table that has it, and a delete marker as a key. A block at an
//! end of the range counts half. In memtables whose walk does not come to the end of the range, keys are taken to be spread as evenly beyond
//! as before, which hashed keys are.

use bytes::Bytes;

use super::Db;
use crate::key_range::KeyRange;
use crate::memtable::Memtable;

/// How many entries of a memtable are looked at.
const WALK_MAX: usize = 256;

/// About how much there is of a range.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ByteEstimate {
    /// Bytes of keys and values, as they would be sent.
    pub bytes: u64,
    /// Bytes that they take on disk, compressed; what is in memory still counts as it is.
    pub stored_bytes: u64,
    /// Keys.
    pub keys: u64,
}

impl ByteEstimate {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: ByteEstimate) -> ByteEstimate {
        ByteEstimate {
            bytes: self.bytes + other.bytes,
            stored_bytes: self.stored_bytes + other.stored_bytes,
            keys: self.keys + other.keys,
        }
    }

    /// This part of it.
    pub(crate) fn share(self, part: u64, of: u64) -> ByteEstimate {
        let share = |amount: u64| {
            let share = u128::from(amount) * u128::from(part) / u128::from(of.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        ByteEstimate {
            bytes: share(self.bytes),
            stored_bytes: share(self.stored_bytes),
            keys: share(self.keys),
        }
    }
}

impl Db {
    /// About how much there is of a range, in memory and on disk. Memory only, and little of it.
    pub fn bytes_of(&self, range: &KeyRange) -> ByteEstimate {
        let dropped = self.tables.dropped();
        let live_parts = |table| self.tables.live_parts(table, range);
        let parts = self.tables.iter().flat_map(|(_, table)| live_parts(table));
        let in_tables = parts.map(|(table, part)| table.estimate(&part));
        let memtables = self.frozen.iter().map(|table| &**table).chain([&self.active]);
        let in_memory = memtables.flat_map(|memtable| {
            let parts = dropped.live_parts(range, memtable.last_sequence());
            parts.into_iter().map(move |part| estimate_memtable(memtable, &part))
        });
        in_tables.chain(in_memory).fold(ByteEstimate::default(), ByteEstimate::plus)
    }
}

fn estimate_memtable(memtable: &Memtable, range: &KeyRange) -> ByteEstimate {
    let (mut walked, mut last) = (ByteEstimate::default(), None);
    let mut entries = memtable.range(range);
    for entry in entries.by_ref().take(WALK_MAX) {
        let bytes = (entry.key.len() + entry.value.len()) as u64;
        walked = walked.plus(ByteEstimate { bytes, stored_bytes: bytes, keys: 1 });
        last = Some(entry.key);
    }
    match (last, entries.next()) {
        (Some(last), Some(_)) => {
            let all = beyond(walked, range, &last);
            // More than there is at all there cannot be.
            let of = all.keys;
            if of > memtable.len() as u64 { all.share(memtable.len() as u64, of) } else { all }
        }
        _ => walked,
    }
}

/// What there is of the whole range if there is so much up to `last`.
fn beyond(walked: ByteEstimate, range: &KeyRange, last: &Bytes) -> ByteEstimate {
    let start = place(&range.start);
    let end = range.end.as_ref().map_or(u128::MAX, |end| place(end));
    let span = end.saturating_sub(start).max(1);
    // In units in which the whole of it fits 60 bits, so that products fit 128.
    let unit_bits = (u128::BITS - span.leading_zeros()).saturating_sub(60);
    let units = |span: u128| u64::try_from(span >> unit_bits).unwrap_or(u64::MAX).max(1);
    let walked_units = units(place(last).saturating_sub(start));
    walked.share(units(span).max(walked_units), walked_units)
}

/// Where a key lies among all, by its first 16 bytes: slot, keyspace and hash are 14.
fn place(key: &[u8]) -> u128 {
    let mut first = [0; 16];
    let len = key.len().min(16);
    first[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::Slot;
    use crate::merge::Kind;

    fn filled(keys: u64) -> Memtable {
        let mut table = Memtable::new(1, 0);
        for number in 0..keys {
            // Spread evenly, in no order.
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            table.set(&key, Slot { kind: Kind::Full, value: Bytes::from_static(&[7; 92]) }, number + 1);
        }
        table
    }

    /// What is walked to the end is counted; beyond that a tenth of evenly spread keys is estimated as a tenth within a fifth.
    #[test]
    fn an_evenly_filled_memtable_is_estimated() {
        let table = filled(20_000);
        let of = |from: u64, to: u64| {
            estimate_memtable(&table, &KeyRange::new(&from.to_be_bytes(), Some(&to.to_be_bytes())))
        };
        let tenth = u64::MAX / 10;
        for from in [0, 3 * tenth, 8 * tenth] {
            let found = of(from, from + tenth);
            assert!((1_600..2_400).contains(&found.keys), "{found:?}");
            assert_eq!((found.bytes / found.keys, found.stored_bytes), (100, found.bytes));
        }
        let few = of(tenth, tenth + u64::MAX / 200);
        assert!((80..120).contains(&few.keys) && few.bytes == few.keys * 100, "{few:?}");
        assert_eq!(
            estimate_memtable(&table, &KeyRange::all()).keys.min(20_000),
            20_000.min(table.len() as u64)
        );
        assert_eq!(of(5, 5), ByteEstimate::default());
    }
}
