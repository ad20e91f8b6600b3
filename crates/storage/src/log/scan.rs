//! Walking one segment: its records, where they end, and what lies behind.

use std::path::{Path, PathBuf};

use env::File;

use super::record::{self, ALIGNMENT};
use super::repair::Cut;
use super::segment::{FIRST_RECORD_OFFSET, HeaderError, Life, SegmentFile, VERSION};
use crate::error::{Damage, OpenError};
use crate::home::Home;

/// A segment in memory, and how far its records go.
pub(super) struct Segment {
    pub(super) file: SegmentFile,
    pub(super) path: PathBuf,
    pub(super) life: Life,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<(usize, record::Header)>,
    /// Behind the last record that follows from the first.
    pub(super) end: usize,
    /// A valid record of the same life lies behind `end`, or something that is no end mark lies at it.
    pub(super) torn: bool,
    pub(super) synced_through: u64,
}

pub(super) fn read_header(path: &Path, handle: &dyn File, home: Home) -> Result<Life, OpenError> {
    let len = usize::try_from(handle.len()?).unwrap_or(usize::MAX);
    let mut header = vec![0; len.min(super::segment::HEADER_BYTES)];
    handle.read_exact_at(0, &mut header)?;
    Life::decode(&header, home).map_err(|error| match error {
        HeaderError::Damaged(what) => damage(path, 0, what.to_owned()),
        HeaderError::Newer(version) => OpenError::Newer { file: path.to_owned(), version, known: VERSION },
    })
}

pub(super) fn damage(file: &Path, offset: u64, what: String) -> OpenError {
    OpenError::Damaged(Damage { file: file.to_owned(), offset, what })
}

impl Segment {
    pub(super) fn read(file: SegmentFile, path: PathBuf, life: Life) -> Result<Segment, OpenError> {
        let len = file.handle.len()?;
        if len < life.bytes {
            let what = format!("the segment was laid out with {} bytes and ends here", life.bytes);
            return Err(damage(&path, len, what));
        }
        Segment::read_what_is_left(file, path, life)
    }

    /// The same of a segment that may be cut short.
    pub(super) fn read_what_is_left(
        file: SegmentFile,
        path: PathBuf,
        life: Life,
    ) -> Result<Segment, OpenError> {
        let len = usize::try_from(file.handle.len()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        file.handle.read_exact_at(0, &mut bytes)?;
        let (records, end) = walk(&bytes, &life);
        let behind = records_behind(&bytes, end, &life).map(|(_, header)| header.synced_through).max();
        let told = records.iter().map(|(_, header)| header.synced_through).max().unwrap_or(0);
        Ok(Segment {
            torn: behind.is_some() || !ends_cleanly(&bytes, end),
            synced_through: told.max(behind.unwrap_or(0)).max(life.synced_through),
            file,
            path,
            life,
            bytes,
            records,
            end,
        })
    }

    /// Goes on behind a hole in which there can have been nothing but entries before `next`, which are known without it.
    /// What follows there continues the sequence as if there were no hole.
    pub(super) fn pass_over_what_is_known(&mut self, next: u64) {
        if !self.torn {
            return;
        }
        let mut expected = self.records.last().map_or(0, |(_, last)| last.next_sequence());
        let mut known = next.max(expected);
        for (offset, header) in records_behind(&self.bytes, self.end, &self.life).collect::<Vec<_>>() {
            if header.first_sequence > known {
                break;
            }
            // One from before was written to a wrong place.
            if header.first_sequence >= expected {
                expected = header.next_sequence();
                known = known.max(expected);
                self.end = offset + header.stride();
                self.records.push((offset, header));
            }
        }
        let mut behind = records_behind(&self.bytes, self.end, &self.life);
        self.torn = behind.next().is_some() || !ends_cleanly(&self.bytes, self.end);
    }

    /// Takes in the records behind the place where one could not be read, all in the order of their entries: one that a
    /// device wrote over another's place stands before those that it comes after.
    pub(super) fn pass_over_holes(&mut self) {
        let behind: Vec<_> = records_behind(&self.bytes, self.end, &self.life).collect();
        self.records.extend(behind);
        self.records.sort_by_key(|(_, header)| header.first_sequence);
    }

    /// It was laid out and no record was ever begun in it.
    pub(super) fn is_unused(&self) -> bool {
        self.records.is_empty() && !self.torn
    }

    pub(super) fn cut_at(&self, offset: usize) -> Option<Cut> {
        let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let tail = self.bytes.get(offset..used).unwrap_or_default().to_vec();
        if tail.is_empty() && offset >= self.end {
            return None;
        }
        Some(Cut {
            file: self.file.clone(),
            path: self.path.clone(),
            segment: self.life.segment,
            offset,
            tail,
        })
    }
}

/// The records from the first on, each with its offset, and where the last one ends.
fn walk(bytes: &[u8], life: &Life) -> (Vec<(usize, record::Header)>, usize) {
    let mut records: Vec<(usize, record::Header)> = Vec::new();
    let mut offset = FIRST_RECORD_OFFSET;
    while let Some((header, _)) =
        bytes.get(offset..).and_then(|rest| record::read(rest, life.segment, life.salt))
    {
        let expected = records.last().map_or(header.first_sequence, |(_, last)| last.next_sequence());
        if header.first_sequence != expected {
            break;
        }
        records.push((offset, header));
        offset += header.stride();
    }
    (records, offset)
}

/// The valid records behind `end`, each with its offset.
fn records_behind<'a>(
    bytes: &'a [u8],
    end: usize,
    life: &'a Life,
) -> impl Iterator<Item = (usize, record::Header)> + 'a {
    let mut offset = end;
    std::iter::from_fn(move || {
        while let Some(rest) = bytes.get(offset..) {
            if let Some((header, _)) = record::read(rest, life.segment, life.salt) {
                let found = (offset, header);
                offset += header.stride();
                return Some(found);
            }
            if rest.len() < record::HEADER_BYTES {
                break;
            }
            offset += skip_zeros(rest).max(ALIGNMENT);
        }
        None
    })
}

/// How many zeros these bytes begin with, at least. No record begins in them: each of its places holds an end mark. Most of
/// a segment is zeros, and a slice is compared much faster than a record is looked for at each of its places.
fn skip_zeros(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 512] = [0; 512];
    bytes.chunks_exact(ZEROS.len()).take_while(|chunk| **chunk == ZEROS).count() * ZEROS.len()
}

/// An end mark follows, or there is no room for one.
fn ends_cleanly(bytes: &[u8], end: usize) -> bool {
    bytes.get(end..end + ALIGNMENT).is_none_or(|mark| mark.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a segment holds, walking it ends, within it.
        #[test]
        fn any_bytes_are_walked_without_panic(noise in prop::collection::vec(any::<u8>(), 0..300), segment in 0u64..3) {
            let life = Life::new(3, segment, 1, 8192, 0);
            let mut bytes = life.encode(1);
            bytes.truncate(FIRST_RECORD_OFFSET);
            bytes.extend_from_slice(&noise);
            let (records, end) = walk(&bytes, &life);
            prop_assert!(records.is_empty() && end == FIRST_RECORD_OFFSET);
            prop_assert_eq!(records_behind(&bytes, end, &life).count(), 0);
        }

        /// Records are found from the first on, and behind a hole those that are whole.
        #[test]
        fn records_before_and_behind_a_hole_are_found(count in 1u64..8, hole in 0u64..8) {
            let life = Life::new(3, 5, 1, 8192, 0);
            let mut bytes = life.encode(1);
            bytes.truncate(FIRST_RECORD_OFFSET);
            let mut starts = Vec::new();
            for sequence in 1..=count {
                starts.push(bytes.len());
                let mut batch = record::Batch::new();
                batch.push(b"key", crate::Kind::Full, b"value");
                let sealed = batch.seal(life.segment, life.salt, sequence, sequence - 1, 0);
                bytes.extend_from_slice(&sealed[..sealed.len() - ALIGNMENT]);
            }
            bytes.extend_from_slice(&[0; ALIGNMENT]);
            let hole = usize::try_from(hole % count).unwrap();
            bytes[starts[hole] + 45] ^= 1;
            let (records, end) = walk(&bytes, &life);
            prop_assert_eq!((records.len(), end), (hole, starts[hole]));
            let last_behind = (hole as u64 + 1 < count).then_some(count - 1);
            prop_assert_eq!(records_behind(&bytes, end, &life).map(|(_, header)| header.synced_through).max(), last_behind);
        }
    }
}
