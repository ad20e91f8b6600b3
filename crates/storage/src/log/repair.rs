//! What recovery changes on disk before the log goes on: unsynced tails are cut off, kept records made durable.

use std::path::{Path, PathBuf};

use env::Disk;
use env::disk::DiskErrorKind;

use super::record;
use super::segment::SegmentFile;
use crate::error::OpenError;
use crate::files;

/// An unsynced tail that recovery cut off, and where its bytes were kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// The segment that it was cut from.
    pub segment: PathBuf,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes were kept.
    pub bytes: u64,
    /// The file that they are in now.
    pub kept_in: PathBuf,
}

/// The records of a segment that recovery keeps.
pub(super) struct Span {
    pub(super) file: SegmentFile,
    pub(super) records: Vec<(usize, record::Header)>,
}

impl Span {
    /// Makes sure that what was read is on the medium before anything relies on it. The process before may have left
    /// records in the page cache, and if its sync failed the kernel may take those pages for clean, so that a sync
    /// alone would do nothing: what is not known to be synced is written once more. With it the marks before it, which no sync
    /// was there for: without them there would be a hole.
    pub(super) fn make_durable(&self, synced_through: u64) -> Result<(), OpenError> {
        let is_uncertain =
            |(_, header): &(usize, record::Header)| header.next_sequence() - 1 > synced_through;
        let Some(uncertain) = self.records.iter().position(is_uncertain) else { return Ok(()) };
        let certain = self.records[..uncertain].iter().rposition(|(_, header)| header.entries > 0);
        let (from, _) = &self.records[certain.map_or(0, |last| last + 1)];
        let end = self.records.last().map_or(*from, |(offset, header)| offset + header.length);
        let mut bytes = vec![0; end - from];
        self.file.handle.read_exact_at(*from as u64, &mut bytes)?;
        self.file.handle.write_all_at(*from as u64, &bytes)?;
        Ok(self.file.handle.sync()?)
    }
}

/// A tail to be cut off: overwritten with zeros, since a segment keeps its length.
pub(super) struct Cut {
    pub(super) file: SegmentFile,
    pub(super) path: PathBuf,
    pub(super) segment: u64,
    pub(super) offset: usize,
    pub(super) tail: Vec<u8>,
}

impl Cut {
    /// Keeps the tail's bytes in a file of their own, durably, before they are cut off. A crash in between repeats it.
    pub(super) fn carry_out(self, disk: &dyn Disk, dir: &Path) -> Result<SetAside, OpenError> {
        let kept_in = files::aside(dir, self.segment, self.file.number);
        if !self.tail.is_empty() {
            match disk.remove(&kept_in) {
                Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let aside = disk.create(&kept_in)?;
            aside.write_all_at(0, &self.tail)?;
            aside.sync()?;
            disk.sync_dir(dir)?;
        }
        self.file.handle.write_all_at(self.offset as u64, &vec![0; self.tail.len()])?;
        self.file.handle.sync()?;
        Ok(SetAside {
            segment: self.path,
            offset: self.offset as u64,
            bytes: self.tail.len() as u64,
            kept_in,
        })
    }
}
