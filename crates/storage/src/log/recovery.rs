//! Reading the commit log back after a stop of any kind.
//!
//! Each segment is walked from its first record to the first place where none follows; together the records must
//! continue the sequence that the tables end with. Where the chain ends, two things can have happened. Either the
//! entries behind were never synced: a torn tail, which is cut off and its bytes kept in a file beside. Or they were:
//! damage, and opening is refused, because to go on would be to lose acknowledged writes in silence (INVARIANTS H3). A hole in
//! what the tables have already is no end: what is behind it may have been acknowledged, and continues the sequence.
//!
//! To tell them apart every header and record carries how far the log was synced when it was written, and the rest of
//! each segment is searched for valid records of the same life behind the hole; the manifest tells it as well, for the
//! log's last page cannot testify to its own loss. It is not enough that such a record
//! exists: a device may bring the second of two unsynced writes to the medium and lose the first. The highest "synced
//! through" found anywhere decides. What was synced last before a silence is covered by the mark that follows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::disk::DiskErrorKind;
use env::{Disk, File};

use super::chain::Chain;
use super::record::Logged;
use super::repair::{SetAside, Span};
use super::scan::{Segment, damage, read_header};
use super::segment::{FIRST_RECORD_OFFSET, Life, SegmentFile};
use crate::error::OpenError;
use crate::files::{self, FileKind};
use crate::home::Home;

/// What was found, as far as the tables do not have it.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The segments with records, oldest first, each with its last entry's sequence number.
    pub(crate) segments: Vec<(SegmentFile, u64)>,
    /// Segments without records, free to be used.
    pub(crate) empty: Vec<SegmentFile>,
    pub(crate) last_sequence: u64,
    pub(crate) entries: u64,
    /// Whether the last thing in the log is the mark of a clean stop.
    pub(crate) clean_stop: bool,
    pub(crate) next_segment: u64,
    pub(crate) set_aside: Vec<SetAside>,
}

/// Where recovery reads from and what it was told.
pub(crate) struct Source<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// The number of the store.
    pub(crate) store: u32,
    /// The segments that the manifest names: file number to life.
    pub(crate) named: &'a BTreeMap<u64, u64>,
    pub(crate) manifest: &'a Path,
    /// The last entry that is in the tables.
    pub(crate) flushed_through: u64,
    /// Above every life that the manifest has given out.
    pub(crate) next_segment: u64,
    /// How far the log was synced when the manifest was last written.
    pub(crate) synced_through: u64,
}

/// Replays every entry that the tables lack, in order, and cuts off what was never synced.
pub(crate) fn replay(
    source: &Source<'_>,
    apply: &mut dyn FnMut(Logged, u64) -> Result<(), OpenError>,
) -> Result<Replayed, OpenError> {
    let mut chain = Chain::after(source.flushed_through, source.synced_through);
    let mut replayed = Replayed::empty();
    let (mut cuts, mut spans) = (Vec::new(), Vec::new());
    source.check_unnamed()?;
    for (file, path, life) in in_log_order(source, &mut replayed)? {
        let mut segment = Segment::read(file, path, life)?;
        chain.follow(&mut segment, apply)?;
        replayed.next_segment = replayed.next_segment.max(life.segment + 1);
        if segment.is_unused() {
            replayed.empty.push(segment.file);
            continue;
        }
        if chain.broken {
            // Within a segment records follow each other, so a hole before one of them is a hole before all.
            cuts.push(segment.cut_at(FIRST_RECORD_OFFSET));
            replayed.segments.push((segment.file, 0));
            continue;
        }
        if segment.torn {
            cuts.push(segment.cut_at(segment.end));
        }
        let last_sequence = segment.records.last().map_or(0, |(_, header)| header.next_sequence() - 1);
        spans.push(Span { file: segment.file.clone(), records: segment.records });
        replayed.segments.push((segment.file, last_sequence));
    }
    chain.check(source.dir)?;
    for cut in cuts.into_iter().flatten() {
        replayed.set_aside.push(cut.carry_out(source.disk, source.dir)?);
    }
    for span in spans {
        span.make_durable(chain.synced_through)?;
    }
    replayed.last_sequence = chain.next - 1;
    replayed.entries = chain.entries;
    replayed.clean_stop = chain.clean_stop && replayed.set_aside.is_empty();
    Ok(replayed)
}

impl Replayed {
    pub(crate) fn empty() -> Replayed {
        Replayed {
            segments: Vec::new(),
            empty: Vec::new(),
            last_sequence: 0,
            entries: 0,
            clean_stop: false,
            next_segment: 1,
            set_aside: Vec::new(),
        }
    }
}

/// Opens every segment that the manifest names and sorts them by life. One that was laid out for a life that the
/// manifest does not know has no records and goes to `replayed.empty`.
fn in_log_order(
    source: &Source<'_>,
    replayed: &mut Replayed,
) -> Result<Vec<(SegmentFile, PathBuf, Life)>, OpenError> {
    let mut segments = Vec::new();
    for (&number, &named_life) in source.named {
        let path = files::segment(source.dir, number);
        let handle = source.open_named(&path)?;
        let life = read_header(&path, &*handle, source.home(number))?;
        let file = SegmentFile { number, handle };
        if life.segment < named_life {
            let what =
                format!("the manifest names life {named_life} of this segment, found {}", life.segment);
            return Err(damage(&path, 0, what));
        }
        if life.segment > named_life {
            replayed.next_segment = replayed.next_segment.max(life.segment + 1);
            source.check_unknown_life(file.clone(), &path, life)?;
            replayed.empty.push(file);
        } else {
            segments.push((file, path, life));
        }
    }
    segments.sort_by_key(|(_, _, life)| life.segment);
    Ok(segments)
}

impl Source<'_> {
    /// A segment gets records only once the manifest names its life. Records of a life that the manifest has never
    /// given out prove that it has lost its end.
    pub(super) fn check_unknown_life(
        &self,
        file: SegmentFile,
        path: &Path,
        life: Life,
    ) -> Result<(), OpenError> {
        let is_used = match Segment::read(file, path.to_owned(), life) {
            Ok(segment) => !segment.records.is_empty(),
            // Its laying out was interrupted.
            Err(OpenError::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        if life.segment < self.next_segment || !is_used {
            return Ok(());
        }
        let what = format!("{} has records, and the edit that names its life is missing", path.display());
        Err(damage(self.manifest, 0, what))
    }

    /// The same for files that the manifest does not name at all; opening is about to remove them.
    pub(super) fn check_unnamed(&self) -> Result<(), OpenError> {
        for name in self.disk.list(self.dir)? {
            let FileKind::Segment(number) = files::kind_of(&name) else {
                continue;
            };
            if self.named.contains_key(&number) {
                continue;
            }
            let path = files::segment(self.dir, number);
            let handle = self.disk.open(&path)?;
            match read_header(&path, &*handle, self.home(number)) {
                Ok(life) => self.check_unknown_life(SegmentFile { number, handle }, &path, life)?,
                // One without a whole header was never used.
                Err(OpenError::Damaged(_)) => {}
                // One that cannot be read may have been.
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn home(&self, file: u64) -> Home {
        Home { store: self.store, file }
    }

    pub(super) fn open_named(&self, path: &Path) -> Result<Arc<dyn File>, OpenError> {
        self.disk.open(path).map_err(|error| match error.kind {
            DiskErrorKind::NotFound => {
                OpenError::Missing { file: path.to_owned(), named_by: self.manifest.to_owned() }
            }
            _ => OpenError::Disk(error),
        })
    }
}
