//! What the manifest says, and a change of it.
//!
//! ```text
//!  edit:  field*
//!  field: | tag u8 | body |
//!    1 next file        | u64 |
//!    2 flushed through  | u64 |
//!    3 next segment     | u64 |
//!    4 segment          | file u64 | life u64 |
//!    5 segment gone     | file u64 |
//!    6 table            | level u8 | file u64 | bytes u64 | entries u64 | last sequence u64
//!                       | smallest key: u16 + bytes | largest key: u16 + bytes |
//!    7 table gone       | file u64 |
//!    8 synced through   | u64 |
//!    9 block lost       | file u64 | offset u64 |             a damaged block of a table: it counts for nothing
//!   10 missing          | start: u16 + bytes | 0 u8, or 1 u8 and end: u16 + bytes |    0: up to the last key
//!   11 whole again      | as 10 |
//!   12 dropped          | sequence u64 | as 10 |       everything of these keys up to this entry is dead
//! ```
//!
//! What an edit says of keys is applied in this order: first what is dropped, of which nothing is missing any more, then what is
//! whole again, then what is missing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::decode::Decoder;
use crate::dropped::Dropped;
use crate::key_range::{KeyRange, end_behind};
use crate::missing::Missing;

/// What is known of a table without opening it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TableMeta {
    pub(crate) file: u64,
    /// The file's length.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// No entry in it has a greater sequence number.
    pub(crate) last_sequence: u64,
    pub(crate) smallest: Bytes,
    pub(crate) largest: Bytes,
}

impl TableMeta {
    /// Whether a table's keys and the keys from `smallest` to `largest` (both included) have a common stretch.
    pub(crate) fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.smallest.as_ref() <= largest && smallest <= self.largest.as_ref()
    }

    /// Whether a table's keys and a range have a common stretch.
    pub(crate) fn touches(&self, range: &KeyRange) -> bool {
        self.largest >= range.start && range.ends_after(&self.smallest)
    }

    /// From its least key to its greatest.
    pub(crate) fn keys(&self) -> KeyRange {
        KeyRange { start: self.smallest.clone(), end: end_behind(&self.largest) }
    }
}

/// A change, applied whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Edit {
    pub(crate) next_file: Option<u64>,
    pub(crate) flushed_through: Option<u64>,
    pub(crate) next_segment: Option<u64>,
    pub(crate) synced_through: Option<u64>,
    pub(crate) segments: Vec<(u64, u64)>,
    pub(crate) segments_gone: Vec<u64>,
    pub(crate) tables: Vec<(u8, TableMeta)>,
    pub(crate) tables_gone: Vec<u64>,
    /// Blocks that are damaged, as (file number, offset).
    pub(crate) blocks_lost: Vec<(u64, u64)>,
    /// Keys of which something is missing from now on.
    pub(crate) missing: Vec<KeyRange>,
    /// Keys of which nothing is missing any more.
    pub(crate) whole: Vec<KeyRange>,
    /// Keys of which everything up to a sequence number is dead.
    pub(crate) dropped: Vec<(KeyRange, u64)>,
}

/// The sum of all edits, and of which store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    /// The number of the store, which the file's header has; 0 until it has drawn one.
    pub(crate) store: u32,
    /// Above every file number in use.
    pub(crate) next_file: u64,
    /// Every entry up to this one is in the tables.
    pub(crate) flushed_through: u64,
    pub(crate) next_segment: u64,
    /// Every entry up to this one was synced in the commit log when the last edit was made: so much must be there.
    pub(crate) synced_through: u64,
    /// Log segments: file number to life.
    pub(crate) segments: BTreeMap<u64, u64>,
    /// Tables by file number, with their level.
    pub(crate) tables: BTreeMap<u64, (u8, TableMeta)>,
    /// The damaged blocks of these tables: offsets by file number.
    pub(crate) blocks_lost: BTreeMap<u64, BTreeSet<u64>>,
    /// Keys of which something is missing.
    pub(crate) missing: Missing,
    /// Keys that were dropped, as long as a table may have something of them.
    pub(crate) dropped: Dropped,
}

impl State {
    pub(crate) fn apply(&mut self, edit: Edit) {
        self.next_file = self.next_file.max(edit.next_file.unwrap_or(0));
        self.flushed_through = self.flushed_through.max(edit.flushed_through.unwrap_or(0));
        self.next_segment = self.next_segment.max(edit.next_segment.unwrap_or(0));
        self.synced_through = self.synced_through.max(edit.synced_through.unwrap_or(0));
        for file in edit.segments_gone {
            self.segments.remove(&file);
        }
        self.segments.extend(edit.segments);
        for file in edit.tables_gone {
            self.tables.remove(&file);
            self.blocks_lost.remove(&file);
        }
        for (level, meta) in edit.tables {
            self.tables.insert(meta.file, (level, meta));
        }
        for (file, offset) in edit.blocks_lost {
            // A compaction may have put another table in its place meanwhile.
            if self.tables.contains_key(&file) {
                self.blocks_lost.entry(file).or_default().insert(offset);
            }
        }
        for (range, sequence) in edit.dropped {
            self.missing.remove(&range);
            self.dropped.add(&range, sequence);
        }
        self.dropped.forget(self.flushed_through, self.tables.values().map(|(_, meta)| meta));
        edit.whole.iter().for_each(|range| self.missing.remove(range));
        edit.missing.into_iter().for_each(|range| self.missing.add(range));
    }

    /// A table cannot be used: all that it had is missing, but for what was dropped.
    pub(crate) fn give_up_table(&mut self, meta: &TableMeta) {
        let missing = self.dropped.live_parts(&meta.keys(), meta.last_sequence);
        self.apply(Edit { tables_gone: vec![meta.file], missing, ..Edit::default() });
    }

    /// The one edit that says all of this.
    pub(crate) fn as_edit(&self) -> Edit {
        Edit {
            next_file: Some(self.next_file),
            flushed_through: Some(self.flushed_through),
            next_segment: Some(self.next_segment),
            synced_through: Some(self.synced_through),
            segments: self.segments.iter().map(|(file, life)| (*file, *life)).collect(),
            tables: self.tables.values().cloned().collect(),
            blocks_lost: self
                .blocks_lost
                .iter()
                .flat_map(|(file, offsets)| offsets.iter().map(|offset| (*file, *offset)))
                .collect(),
            missing: self.missing.ranges().to_vec(),
            dropped: self.dropped.ranges().to_vec(),
            ..Edit::default()
        }
    }
}

impl Edit {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let numbers = [
            (1, self.next_file),
            (2, self.flushed_through),
            (3, self.next_segment),
            (8, self.synced_through),
        ];
        for (tag, number) in numbers {
            if let Some(number) = number {
                put_numbers(&mut out, tag, &[number]);
            }
        }
        for (file, life) in &self.segments {
            put_numbers(&mut out, 4, &[*file, *life]);
        }
        for file in &self.segments_gone {
            put_numbers(&mut out, 5, &[*file]);
        }
        for (level, meta) in &self.tables {
            out.extend_from_slice(&[6, *level]);
            put_table(&mut out, meta);
        }
        for file in &self.tables_gone {
            put_numbers(&mut out, 7, &[*file]);
        }
        for (file, offset) in &self.blocks_lost {
            put_numbers(&mut out, 9, &[*file, *offset]);
        }
        for (tag, ranges) in [(10, &self.missing), (11, &self.whole)] {
            for range in ranges {
                out.push(tag);
                put_range(&mut out, range);
            }
        }
        for (range, sequence) in &self.dropped {
            put_numbers(&mut out, 12, &[*sequence]);
            put_range(&mut out, range);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Edit> {
        let mut decoder = Decoder::new(bytes);
        let mut edit = Edit::default();
        while !decoder.is_empty() {
            match decoder.u8()? {
                1 => edit.next_file = Some(decoder.u64()?),
                2 => edit.flushed_through = Some(decoder.u64()?),
                3 => edit.next_segment = Some(decoder.u64()?),
                4 => edit.segments.push((decoder.u64()?, decoder.u64()?)),
                5 => edit.segments_gone.push(decoder.u64()?),
                6 => edit.tables.push((decoder.u8()?, take_table(&mut decoder)?)),
                7 => edit.tables_gone.push(decoder.u64()?),
                8 => edit.synced_through = Some(decoder.u64()?),
                9 => edit.blocks_lost.push((decoder.u64()?, decoder.u64()?)),
                10 => edit.missing.push(take_range(&mut decoder)?),
                11 => edit.whole.push(take_range(&mut decoder)?),
                12 => {
                    let sequence = decoder.u64()?;
                    edit.dropped.push((take_range(&mut decoder)?, sequence));
                }
                _ => return None,
            }
        }
        Some(edit)
    }
}

fn put_numbers(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.push(tag);
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_table(out: &mut Vec<u8>, meta: &TableMeta) {
    for number in [meta.file, meta.bytes, meta.entries, meta.last_sequence] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for key in [&meta.smallest, &meta.largest] {
        put_key(out, key);
    }
}

fn put_range(out: &mut Vec<u8>, range: &KeyRange) {
    put_key(out, &range.start);
    out.push(u8::from(range.end.is_some()));
    range.end.iter().for_each(|end| put_key(out, end));
}

fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    let len = u16::try_from(key.len()).expect("put refuses keys whose length does not fit 16 bits");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(key);
}

fn take_table(decoder: &mut Decoder<'_>) -> Option<TableMeta> {
    Some(TableMeta {
        file: decoder.u64()?,
        bytes: decoder.u64()?,
        entries: decoder.u64()?,
        last_sequence: decoder.u64()?,
        smallest: take_key(decoder)?,
        largest: take_key(decoder)?,
    })
}

fn take_range(decoder: &mut Decoder<'_>) -> Option<KeyRange> {
    let start = take_key(decoder)?;
    let end = match decoder.u8()? {
        0 => None,
        1 => Some(take_key(decoder)?),
        _ => return None,
    };
    Some(KeyRange { start, end })
}

fn take_key(decoder: &mut Decoder<'_>) -> Option<Bytes> {
    let len = usize::from(decoder.u16()?);
    decoder.take(len).map(Bytes::copy_from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(file: u64) -> TableMeta {
        TableMeta {
            file,
            bytes: 10,
            entries: 2,
            last_sequence: 5,
            smallest: Bytes::from_static(b"a"),
            largest: Bytes::from_static(b"z"),
        }
    }

    #[test]
    fn edits_add_up_and_a_state_is_one_edit() {
        let mut state = State::default();
        state.apply(Edit {
            segments: vec![(1, 1)],
            tables: vec![(0, table(2))],
            next_file: Some(3),
            ..Edit::default()
        });
        state.apply(Edit {
            segments: vec![(1, 2)],
            tables: vec![(1, table(4))],
            tables_gone: vec![2],
            ..Edit::default()
        });
        assert_eq!(state.segments, BTreeMap::from([(1, 2)]));
        assert_eq!(state.tables.keys().copied().collect::<Vec<_>>(), [4]);
        let mut again = State::default();
        again.apply(Edit::decode(&state.as_edit().encode()).unwrap());
        assert_eq!(again, state);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Edit::decode(&bytes);
        }

        #[test]
        fn an_edit_round_trips(next: Option<u64>, flushed: Option<u64>, segments: Vec<(u64, u64)>, gone: Vec<u64>, level: u8) {
            let edit = Edit { next_file: next, flushed_through: flushed, next_segment: None,
                synced_through: flushed, segments: segments.clone(), segments_gone: gone.clone(), tables: vec![(level, table(1))], tables_gone: gone,
                blocks_lost: segments, missing: vec![KeyRange::new(b"a", Some(b"b"))], whole: vec![KeyRange::all()],
                dropped: vec![(KeyRange::all(), 7)] };
            prop_assert_eq!(Edit::decode(&edit.encode()), Some(edit));
        }
    }
}
