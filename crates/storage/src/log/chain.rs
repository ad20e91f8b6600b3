//! Following the sequence of entries through the segments, up to the first hole.

use std::path::{Path, PathBuf};

use super::record::{self, FLAG_CLEAN_STOP, Logged};
use super::scan::{Segment, damage};
use crate::error::OpenError;

/// How far the sequence goes on without a hole.
pub(super) struct Chain {
    pub(super) next: u64,
    pub(super) entries: u64,
    /// Where the last record that continued it ends: (path, offset).
    end: Option<(PathBuf, u64)>,
    pub(super) broken: bool,
    pub(super) clean_stop: bool,
    pub(super) synced_through: u64,
}

impl Chain {
    pub(super) fn after(flushed_through: u64, synced_through: u64) -> Chain {
        Chain {
            next: flushed_through + 1,
            entries: 0,
            end: None,
            broken: false,
            clean_stop: false,
            synced_through,
        }
    }

    pub(super) fn follow(
        &mut self,
        segment: &mut Segment,
        apply: &mut dyn FnMut(Logged, u64) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        self.synced_through = self.synced_through.max(segment.synced_through);
        segment.pass_over_what_is_known(self.next);
        for (offset, header) in &segment.records {
            self.broken |= header.first_sequence > self.next;
            if self.broken {
                return Ok(());
            }
            self.clean_stop = header.flags & FLAG_CLEAN_STOP != 0;
            self.apply_record(segment, *offset, header, apply)?;
        }
        let last = segment.records.last();
        let is_newest = last.is_some_and(|(_, header)| header.next_sequence() == self.next);
        if is_newest || self.end.is_none() {
            self.end = Some((segment.path.clone(), segment.end as u64));
        }
        Ok(())
    }

    fn apply_record(
        &mut self,
        segment: &Segment,
        offset: usize,
        header: &record::Header,
        apply: &mut dyn FnMut(Logged, u64) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        if header.next_sequence() <= self.next {
            return Ok(());
        }
        let payload = &segment.bytes[offset + record::HEADER_BYTES..offset + header.length];
        let entries = record::decode_entries(payload, header.entries).ok_or_else(|| {
            damage(&segment.path, offset as u64, "a record's entries are not what its header says".to_owned())
        })?;
        for (logged, sequence) in entries.into_iter().zip(header.first_sequence..) {
            if sequence >= self.next {
                self.next = sequence + 1;
                self.entries += 1;
                apply(logged, sequence)?;
            }
        }
        Ok(())
    }

    /// Refuses where entries are missing that are known to have been synced.
    pub(super) fn check(&self, dir: &Path) -> Result<(), OpenError> {
        if self.next > self.synced_through {
            return Ok(());
        }
        let (file, offset) = self.end.clone().unwrap_or_else(|| (dir.to_owned(), 0));
        let what = format!(
            "entries {} to {} of the commit log were synced and cannot be read",
            self.next, self.synced_through
        );
        Err(damage(&file, offset, what))
    }
}
