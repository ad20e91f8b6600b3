//! Reading the commit log back after a stop of any kind.
//!
//! Each segment is walked from its first record to the first place where none follows; together the records must
//! continue the sequence that the tables end with. Where the chain ends, two things can have happened. Either the
//! entries behind were never synced: a torn tail, which is cut off and its bytes kept in a file beside. Or they were:
//! damage, and opening is refused, because to go on would be to lose acknowledged writes in silence (INVARIANTS H3).
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

use super::record::{self, ALIGNMENT, FLAG_CLEAN_STOP};
use super::segment::{FIRST_RECORD_OFFSET, HeaderError, Life, SegmentFile, VERSION};
use crate::error::{Damage, OpenError};
use crate::files::{self, FileKind};
use crate::memtable::Entry;

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

/// Where recovery reads from and what it was told.
pub(crate) struct Source<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
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

/// A segment in memory, and how far its records go.
struct Segment {
    file: SegmentFile,
    path: PathBuf,
    life: Life,
    bytes: Vec<u8>,
    records: Vec<(usize, record::Header)>,
    /// Behind the last record that follows from the first.
    end: usize,
    /// A valid record of the same life lies behind `end`, or something that is no end mark lies at it.
    torn: bool,
    synced_through: u64,
}

/// How far the sequence goes on without a hole.
struct Chain {
    next: u64,
    entries: u64,
    /// Where the last record that continued it ends: (path, offset).
    end: Option<(PathBuf, u64)>,
    broken: bool,
    clean_stop: bool,
    synced_through: u64,
}

/// Replays every entry that the tables lack, in order, and cuts off what was never synced.
pub(crate) fn replay(
    source: &Source<'_>,
    apply: &mut dyn FnMut(Entry, u64) -> Result<(), OpenError>,
) -> Result<Replayed, OpenError> {
    let mut chain = Chain::after(source.flushed_through, source.synced_through);
    let mut replayed = Replayed::empty();
    let (mut cuts, mut spans) = (Vec::new(), Vec::new());
    source.check_unnamed()?;
    for (file, path, life) in in_log_order(source, &mut replayed)? {
        let segment = Segment::read(file, path, life)?;
        chain.follow(&segment, apply)?;
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
        let last_sequence = segment
            .records
            .last()
            .map_or(0, |(_, header)| header.next_sequence() - 1);
        spans.push(Span {
            file: segment.file.clone(),
            records: segment.records,
        });
        replayed.segments.push((segment.file, last_sequence));
    }
    chain.check(source)?;
    for cut in cuts.into_iter().flatten() {
        replayed.set_aside.push(cut.carry_out(source)?);
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
    fn empty() -> Replayed {
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
        let handle = open_named(source, &path)?;
        let life = read_header(&path, &*handle)?;
        let file = SegmentFile { number, handle };
        if life.segment < named_life {
            let what = format!(
                "the manifest names life {named_life} of this segment, found {}",
                life.segment
            );
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
    fn check_unknown_life(&self, file: SegmentFile, path: &Path, life: Life) -> Result<(), OpenError> {
        let is_used = match Segment::read(file, path.to_owned(), life) {
            Ok(segment) => !segment.records.is_empty(),
            // Its laying out was interrupted.
            Err(OpenError::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        if life.segment < self.next_segment || !is_used {
            return Ok(());
        }
        let what = format!(
            "{} has records, and the edit that names its life is missing",
            path.display()
        );
        Err(damage(self.manifest, 0, what))
    }

    /// The same for files that the manifest does not name at all; opening is about to remove them.
    fn check_unnamed(&self) -> Result<(), OpenError> {
        for name in self.disk.list(self.dir)? {
            let FileKind::Segment(number) = files::kind_of(&name) else {
                continue;
            };
            if self.named.contains_key(&number) {
                continue;
            }
            let path = files::segment(self.dir, number);
            let handle = self.disk.open(&path)?;
            // One without a whole header was never used.
            if let Ok(life) = read_header(&path, &*handle) {
                self.check_unknown_life(SegmentFile { number, handle }, &path, life)?;
            }
        }
        Ok(())
    }
}

fn open_named(source: &Source<'_>, path: &Path) -> Result<Arc<dyn File>, OpenError> {
    source.disk.open(path).map_err(|error| match error.kind {
        DiskErrorKind::NotFound => OpenError::Missing {
            file: path.to_owned(),
            named_by: source.manifest.to_owned(),
        },
        _ => OpenError::Disk(error),
    })
}

fn read_header(path: &Path, handle: &dyn File) -> Result<Life, OpenError> {
    let len = usize::try_from(handle.len()?).unwrap_or(usize::MAX);
    let mut header = vec![0; len.min(super::segment::HEADER_BYTES)];
    handle.read_exact_at(0, &mut header)?;
    Life::decode(&header).map_err(|error| match error {
        HeaderError::Damaged(what) => damage(path, 0, what.to_owned()),
        HeaderError::Newer(version) => OpenError::Newer {
            file: path.to_owned(),
            version,
            known: VERSION,
        },
    })
}

fn damage(file: &Path, offset: u64, what: String) -> OpenError {
    OpenError::Damaged(Damage {
        file: file.to_owned(),
        offset,
        what,
    })
}

impl Segment {
    fn read(file: SegmentFile, path: PathBuf, life: Life) -> Result<Segment, OpenError> {
        let len = usize::try_from(file.handle.len()?).unwrap_or(usize::MAX);
        if (len as u64) < life.bytes {
            let what = format!("the segment was laid out with {} bytes and ends here", life.bytes);
            return Err(damage(&path, len as u64, what));
        }
        let mut bytes = vec![0; len];
        file.handle.read_exact_at(0, &mut bytes)?;
        let (records, end) = walk(&bytes, &life);
        let behind = synced_through_behind(&bytes, end, &life);
        let told = records
            .iter()
            .map(|(_, header)| header.synced_through)
            .max()
            .unwrap_or(0);
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

    /// It was laid out and no record was ever begun in it.
    fn is_unused(&self) -> bool {
        self.records.is_empty() && !self.torn
    }

    fn cut_at(&self, offset: usize) -> Option<Cut> {
        let used = self
            .bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
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
    while let Some((header, _)) = bytes
        .get(offset..)
        .and_then(|rest| record::read(rest, life.segment, life.salt))
    {
        let expected = records
            .last()
            .map_or(header.first_sequence, |(_, last)| last.next_sequence());
        if header.first_sequence != expected {
            break;
        }
        records.push((offset, header));
        offset += header.stride();
    }
    (records, offset)
}

/// How far any valid record behind `end` says that the log was synced; `None` where there is no such record.
fn synced_through_behind(bytes: &[u8], end: usize, life: &Life) -> Option<u64> {
    let mut found = None;
    let mut offset = end;
    while let Some(rest) = bytes.get(offset..) {
        let Some((header, _)) = record::read(rest, life.segment, life.salt) else {
            if rest.len() < record::HEADER_BYTES {
                break;
            }
            offset += ALIGNMENT;
            continue;
        };
        found = found.max(Some(header.synced_through));
        offset += header.stride();
    }
    found
}

/// An end mark follows, or there is no room for one.
fn ends_cleanly(bytes: &[u8], end: usize) -> bool {
    bytes
        .get(end..end + ALIGNMENT)
        .is_none_or(|mark| mark.iter().all(|byte| *byte == 0))
}

impl Chain {
    fn after(flushed_through: u64, synced_through: u64) -> Chain {
        Chain {
            next: flushed_through + 1,
            entries: 0,
            end: None,
            broken: false,
            clean_stop: false,
            synced_through,
        }
    }

    fn follow(
        &mut self,
        segment: &Segment,
        apply: &mut dyn FnMut(Entry, u64) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        self.synced_through = self.synced_through.max(segment.synced_through);
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
        apply: &mut dyn FnMut(Entry, u64) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        if header.next_sequence() <= self.next {
            return Ok(());
        }
        let payload = &segment.bytes[offset + record::HEADER_BYTES..offset + header.length];
        let entries = record::decode_entries(payload, header.entries).ok_or_else(|| {
            damage(
                &segment.path,
                offset as u64,
                "a record's entries are not what its header says".to_owned(),
            )
        })?;
        for (entry, sequence) in entries.into_iter().zip(header.first_sequence..) {
            if sequence >= self.next {
                self.next = sequence + 1;
                self.entries += 1;
                apply(entry, sequence)?;
            }
        }
        Ok(())
    }

    /// Refuses where entries are missing that are known to have been synced.
    fn check(&self, source: &Source<'_>) -> Result<(), OpenError> {
        if self.next > self.synced_through {
            return Ok(());
        }
        let (file, offset) = self.end.clone().unwrap_or_else(|| (source.dir.to_owned(), 0));
        let what = format!(
            "entries {} to {} of the commit log were synced and cannot be read",
            self.next, self.synced_through
        );
        Err(damage(&file, offset, what))
    }
}

/// The records of a segment that recovery keeps.
struct Span {
    file: SegmentFile,
    records: Vec<(usize, record::Header)>,
}

impl Span {
    /// Makes sure that what was read is on the medium before anything relies on it. The process before may have left
    /// records in the page cache, and if its sync failed the kernel may take those pages for clean, so that a sync
    /// alone would do nothing: what is not known to be synced is written once more.
    fn make_durable(&self, synced_through: u64) -> Result<(), OpenError> {
        let uncertain = self
            .records
            .iter()
            .find(|(_, header)| header.next_sequence() - 1 > synced_through);
        let Some((from, _)) = uncertain else { return Ok(()) };
        let end = self
            .records
            .last()
            .map_or(*from, |(offset, header)| offset + header.length);
        let mut bytes = vec![0; end - from];
        self.file.handle.read_exact_at(*from as u64, &mut bytes)?;
        self.file.handle.write_all_at(*from as u64, &bytes)?;
        Ok(self.file.handle.sync()?)
    }
}

/// A tail to be cut off: overwritten with zeros, since a segment keeps its length.
struct Cut {
    file: SegmentFile,
    path: PathBuf,
    segment: u64,
    offset: usize,
    tail: Vec<u8>,
}

impl Cut {
    /// Keeps the tail's bytes in a file of their own, durably, before they are cut off. A crash in between repeats it.
    fn carry_out(self, source: &Source<'_>) -> Result<SetAside, OpenError> {
        let kept_in = files::aside(source.dir, self.segment, self.file.number);
        if !self.tail.is_empty() {
            match source.disk.remove(&kept_in) {
                Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let aside = source.disk.create(&kept_in)?;
            aside.write_all_at(0, &self.tail)?;
            aside.sync()?;
            source.disk.sync_dir(source.dir)?;
        }
        self.file
            .handle
            .write_all_at(self.offset as u64, &vec![0; self.tail.len()])?;
        self.file.handle.sync()?;
        Ok(SetAside {
            segment: self.path,
            offset: self.offset as u64,
            bytes: self.tail.len() as u64,
            kept_in,
        })
    }
}
