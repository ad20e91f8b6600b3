//! Laying out the commit log's segments ahead of their use.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use env::{Disk, DiskError};

use super::{Done, Trouble, remove_quietly, write_trouble};
use crate::compaction::run::FileNumbers;
use crate::db::locked;
use crate::files;
use crate::log::segment::{Life, Prepared, SegmentFile};
use crate::manifest::{CommitError, Edit, Manifest};
use crate::options::Options;

/// Lays out the next segment of the commit log, on a file that is used again or a new one.
#[derive(Debug)]
pub(super) struct Prepare {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) options: Arc<Options>,
    pub(super) manifest: Arc<Mutex<Manifest>>,
    pub(super) numbers: FileNumbers,
    pub(super) life: Life,
    pub(super) recycled: Option<SegmentFile>,
    pub(super) retired: Vec<SegmentFile>,
}

impl Prepare {
    pub(super) fn run(self) -> Done {
        let result = self.lay_out().and_then(|prepared| self.commit(prepared));
        let unused = if result.is_err() {
            self.recycled.into_iter().chain(self.retired).collect()
        } else {
            Vec::new()
        };
        Done::Prepared { result, unused }
    }

    fn lay_out(&self) -> Result<Prepared, Trouble> {
        match &self.recycled {
            Some(file) => lay_out_segment(file.clone(), self.life, false).map_err(write_trouble),
            None => {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                create_segment(&*self.disk, &self.dir, number, self.life, self.options.log_zero_fill)
                    .map_err(write_trouble)
            }
        }
    }

    fn commit(&self, prepared: Prepared) -> Result<Prepared, Trouble> {
        let edit = Edit {
            next_file: Some(self.numbers.load(Ordering::Relaxed)),
            next_segment: Some(self.life.segment + 1),
            synced_through: Some(self.life.synced_through),
            segments: vec![(prepared.file.number, self.life.segment)],
            segments_gone: self.retired.iter().map(|file| file.number).collect(),
            ..Edit::default()
        };
        if let Err(error) = locked(&self.manifest).commit(edit) {
            // Where the manifest's state is unknown it may name the file.
            if self.recycled.is_none() && matches!(error, CommitError::Refused(_)) {
                remove_quietly(&*self.disk, &files::segment(&self.dir, prepared.file.number));
            }
            return Err(error.into());
        }
        for file in &self.retired {
            remove_quietly(&*self.disk, &files::segment(&self.dir, file.number));
        }
        Ok(prepared)
    }
}

/// Makes a new segment file, synced with its name.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    life: Life,
    zero_fill: bool,
) -> Result<Prepared, DiskError> {
    let path = files::segment(dir, number);
    let handle = disk.create(&path)?;
    let prepared = lay_out_segment(SegmentFile { number, handle }, life, zero_fill);
    let prepared = prepared.and_then(|prepared| disk.sync_dir(dir).map(|()| prepared));
    if prepared.is_err() {
        remove_quietly(disk, &path);
    }
    prepared
}

/// Gives a segment file a new life: full length, header, end mark, synced. A longer file stays as long as it is: were
/// it cut and the new header lost, it would look like a damaged segment of its old life.
pub(crate) fn lay_out_segment(file: SegmentFile, life: Life, zero_fill: bool) -> Result<Prepared, DiskError> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut len = file.handle.len()?;
    while zero_fill && len < life.bytes {
        let count = usize::try_from(life.bytes - len).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.handle.write_all_at(len, &ZEROS[..count])?;
        len += count as u64;
    }
    if len < life.bytes {
        file.handle.set_len(life.bytes)?;
    }
    let life = Life { bytes: len.max(life.bytes), ..life };
    file.handle.write_all_at(0, &life.encode(file.number))?;
    file.handle.sync()?;
    Ok(Prepared { file, life })
}
