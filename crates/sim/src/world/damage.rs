//! Bytes on one node's disk that are not what was written there: bits that flip, blocks of other places, with checksums that are
//! right, and what a log looks like after that.
//!
//! What must hold: only what others have is damaged, for what one owner alone has acknowledged is not promised to outlive its
//! disk; and only what the node can know that it had. Of the last record of a log that was synced before a power cut nothing
//! tells, so that its damage is a write that was cut short, to everybody but the simulator.

use std::ops::Range;
use std::path::{Path, PathBuf};

use env::disk::{CrashMode, Image};
use env::{Rng, SimDisk};

use super::World;
use crate::host::DATA_DIR;
use crate::network::Place;

/// Lengths of what a device writes to a wrong place, in bytes.
const BLOCK_BYTES: [usize; 2] = [512, 4096];

impl World {
    /// The node whose tables or log are damaged, if any are in this scenario: always the same, for what all have lost nobody
    /// can heal.
    pub fn damaged_place(&self) -> Option<Place> {
        let is_damaged = self.scenario.faults.iter().any(|kind| kind.is_damage());
        let hosts = self.hosts().len() as u64;
        is_damaged.then(|| usize::try_from(self.scenario.seed % hosts.max(1)).unwrap_or(0))
    }

    /// The same, where others hold all that it holds.
    fn place_to_damage(&self) -> Option<Place> {
        self.damaged_place().filter(|place| crate::agreement::is_held_elsewhere(self, *place))
    }

    /// Flips a bit of a table of the node that is there for it. False if it has none, or has what nobody else does.
    pub fn flip_bit(&mut self) -> bool {
        let Some(place) = self.place_to_damage() else { return false };
        let disk = self.hosts[place].disk.clone();
        let tables = tables_of(&disk);
        let Some(table) = self.rng.pick(&tables) else { return false };
        let len = disk.read_file(table).map_or(0, |bytes| bytes.len() as u64);
        let (at, bit) = (self.rng.below(len.max(1)), u8::try_from(self.rng.below(8)).unwrap_or(0));
        let name = table.display();
        self.trace.line(
            self.now,
            &self.hosts[place].name,
            format_args!("! bit {bit} of byte {at} of {name} flips"),
        );
        disk.flip_bit(table, at, bit)
    }

    /// Overwrites a block of a table of that node with one of another place of its disk: whole blocks of tables, and what lies
    /// on a device where blocks of its own size do. False if there is nothing to do it with.
    pub fn misdirect_block(&mut self) -> bool {
        let Some(place) = self.place_to_damage() else { return false };
        let disk = self.hosts[place].disk.clone();
        let drawn = if self.rng.chance(2, 3) {
            whole_blocks(&disk, &mut self.rng)
        } else {
            aligned_blocks(&disk, &mut self.rng)
        };
        drawn.is_some_and(|misdirected| self.misdirect(place, &misdirected))
    }

    fn misdirect(&mut self, place: Place, (from, to): &(Span, Span)) -> bool {
        let disk = self.hosts[place].disk.clone();
        let Some((found, mut bytes)) = disk.read_file(&from.file).zip(disk.read_file(&to.file)) else {
            return false;
        };
        let len = from.bytes.len().min(bytes.len().saturating_sub(to.bytes.start));
        let found = &found[from.bytes.start..from.bytes.start + len];
        let there = &mut bytes[to.bytes.start..to.bytes.start + len];
        if found == there {
            return false;
        }
        there.copy_from_slice(found);
        self.trace.line(
            self.now,
            &self.hosts[place].name,
            format_args!("! {len} bytes of {from} are written to {to}"),
        );
        disk.write_file(&to.file, bytes);
        true
    }

    /// That node's machine loses power, and before it comes back something is damaged in its log that was synced and is known to
    /// have been. False if there was nothing of that.
    pub fn damage_log(&mut self) -> bool {
        let Some(place) = self.place_to_damage() else { return false };
        self.crash(place, CrashMode::LoseUnsynced, "stopped, and its log is damaged");
        self.start_later(place);
        let disk = self.hosts[place].disk.clone();
        let records = records_of(&disk);
        let damageable: Vec<usize> =
            (0..records.len()).filter(|number| is_known_without(&records, *number)).collect();
        let Some(&number) = self.rng.pick(&damageable) else { return false };
        let Record { span, .. } = &records[number];
        let Some(mut bytes) = disk.read_file(&span.file) else { return false };
        let what = match self.rng.below(4) {
            0 => {
                let other = &records[usize::try_from(self.rng.below(records.len() as u64)).unwrap_or(0)];
                let len = other.span.bytes.len().min(span.bytes.len());
                let from = Span {
                    bytes: other.span.bytes.start..other.span.bytes.start + len,
                    ..other.span.clone()
                };
                return self.misdirect(place, &(from, span.clone()));
            }
            1 => {
                bytes.truncate(span.bytes.start);
                "is cut short before"
            }
            2 => {
                flip(&mut bytes[..HEADER_BYTES], &mut self.rng);
                "has a header that is damaged, above"
            }
            _ => {
                flip(&mut bytes[span.bytes.clone()], &mut self.rng);
                "is damaged in"
            }
        };
        disk.write_file(&span.file, bytes);
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! its log {what} {span}"));
        true
    }

    /// A bit flips of a file without which this node does not start, while its machine is off. It must refuse to start, and name
    /// the file; then people empty its directory. False where that would lose what nobody else has.
    pub fn spoil_small_file(&mut self, place: Place) -> bool {
        if !self.can_lose_a_disk() {
            return false;
        }
        self.crash(place, CrashMode::LoseUnsynced, "stopped, and a small file is damaged");
        let disk = self.hosts[place].disk.clone();
        if let Some(Span { file, bytes }) = self.rng.pick(&small_files(&disk)).cloned() {
            let byte = bytes.start as u64 + self.rng.below(bytes.len() as u64);
            disk.flip_bit(&file, byte, u8::try_from(self.rng.below(8)).unwrap_or(0));
            self.trace.line(
                self.now,
                &self.hosts[place].name,
                format_args!("! byte {byte} of {} is damaged", file.display()),
            );
            self.check_refusal(place, &file);
        }
        disk.put_back(&Image::default(), false);
        self.relapsed[place] = false;
        self.witness.forget(self.hosts[place].id);
        self.start_later(place);
        true
    }

    fn check_refusal(&mut self, place: Place, path: &Path) {
        let mut rng = self.rng.fork();
        let options = self.options_of(place);
        let first = self.first_of(place);
        let started = self.hosts[place].start(self.now, &first, options, &mut rng);
        let said = started.as_ref().map_or_else(ToString::to_string, |()| "started".to_owned());
        let names_it = said.contains(&path.display().to_string());
        let helps = said.contains("estore") && said.contains("directory");
        if started.is_ok() || !names_it || !helps {
            let what = format!("{}, with {} damaged: {said}", self.hosts[place].name, path.display());
            self.violated("a node refuses to start on what it cannot do without, and says what to do", what);
        }
        self.hosts[place].crash(CrashMode::KeepAll, &mut rng);
    }
}

/// Some bytes of a file.
#[derive(Clone, Debug)]
struct Span {
    file: PathBuf,
    bytes: Range<usize>,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}..{}", self.file.display(), self.bytes.start, self.bytes.end)
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    if let Some(byte) = usize::try_from(rng.below(bytes.len() as u64)).ok().and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1 << rng.below(8);
    }
}

pub(super) fn tables_of(disk: &SimDisk) -> Vec<PathBuf> {
    files_of(disk, "table-")
}

fn files_of(disk: &SimDisk, prefix: &str) -> Vec<PathBuf> {
    let is = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(prefix))
    };
    disk.paths().into_iter().filter(is).collect()
}

/// Two blocks of tables: of the same length where there are such, for those are in each other's place to the last byte.
fn whole_blocks(disk: &SimDisk, rng: &mut Rng) -> Option<(Span, Span)> {
    let blocks: Vec<Span> = tables_of(disk).into_iter().flat_map(|table| blocks_of(disk, &table)).collect();
    let to = rng.pick(&blocks)?;
    let is_other = |block: &&Span| block.file != to.file || block.bytes != to.bytes;
    let as_long = |block: &&Span| is_other(block) && block.bytes.len() == to.bytes.len();
    let mut others: Vec<&Span> = blocks.iter().filter(as_long).collect();
    if others.is_empty() {
        others = blocks.iter().filter(is_other).collect();
    }
    Some(((*rng.pick(&others)?).clone(), to.clone()))
}

/// The blocks of a table (`docs/formats/sstable.md`), as far as they follow each other.
fn blocks_of(disk: &SimDisk, table: &Path) -> Vec<Span> {
    const FILE_HEADER_BYTES: usize = 32;
    const FRAME_BYTES: usize = 16;
    let bytes = disk.read_file(table).unwrap_or_default();
    let (mut blocks, mut at) = (Vec::new(), FILE_HEADER_BYTES);
    while let Some(stored) = u32_at(&bytes, at + 4).filter(|_| matches!(bytes.get(at + 12), Some(1..=4))) {
        let end = at.saturating_add(FRAME_BYTES).saturating_add(stored);
        if end > bytes.len() {
            break;
        }
        blocks.push(Span { file: table.to_owned(), bytes: at..end });
        at = end;
    }
    blocks
}

/// Of any file of the node's, and to a table, at multiples of a length that devices write.
fn aligned_blocks(disk: &SimDisk, rng: &mut Rng) -> Option<(Span, Span)> {
    let len = *rng.pick(&BLOCK_BYTES)?;
    let mut block_of = |files: &[PathBuf]| {
        let file = rng.pick(files)?.clone();
        let blocks = disk.read_file(&file)?.len().div_ceil(len);
        let start = usize::try_from(rng.below(blocks as u64)).ok()? * len;
        Some(Span { bytes: start..disk.read_file(&file)?.len().min(start + len), file })
    };
    let from = block_of(&disk.paths())?;
    Some((from, block_of(&tables_of(disk))?))
}

/// A record of a commit log.
struct Record {
    span: Span,
    /// The sequence number of its last entry; nothing if it has none.
    last: Option<u64>,
    /// How far it says that the log was synced.
    told: u64,
}

/// What a segment's header takes, in bytes.
const HEADER_BYTES: usize = 52;

/// Every record of all logs on a disk (`docs/formats/commit-log.md`), as far as they follow each other.
fn records_of(disk: &SimDisk) -> Vec<Record> {
    files_of(disk, "log-").into_iter().flat_map(|log| records_of_segment(disk, &log)).collect()
}

fn records_of_segment(disk: &SimDisk, log: &Path) -> Vec<Record> {
    const FIRST_RECORD: usize = 4096;
    const RECORD_HEADER_BYTES: usize = 40;
    const ALIGNMENT: usize = 8;
    let bytes = disk.read_file(log).unwrap_or_default();
    let (mut records, mut at, mut next) = (Vec::new(), FIRST_RECORD, None);
    while let Some(len) = u32_at(&bytes, at + 4).filter(|len| *len >= RECORD_HEADER_BYTES) {
        let is_of_this_life = u64_at(&bytes, at + 8) == u64_at(&bytes, 16);
        let numbers = u64_at(&bytes, at + 16).zip(u64_at(&bytes, at + 24)).zip(u32_at(&bytes, at + 32));
        let Some(((first, told), count)) =
            numbers.filter(|((first, _), _)| next.is_none_or(|next| next == *first))
        else {
            break;
        };
        if !is_of_this_life || at + len > bytes.len() {
            break;
        }
        let end = first + count as u64;
        let span = Span { file: log.to_owned(), bytes: at..at + len };
        records.push(Record { span, last: (count > 0).then(|| end - 1), told });
        (at, next) = (at + len.next_multiple_of(ALIGNMENT), Some(end));
    }
    records
}

/// Whether another record of the same log says that what is in this one was synced.
fn is_known_without(records: &[Record], number: usize) -> bool {
    let record = &records[number];
    let is_same_log = |other: &Record| other.span.file.parent() == record.span.file.parent();
    let others = records.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other);
    let told = others.filter(|other| is_same_log(other)).map(|other| other.told).max();
    record.last.zip(told).is_some_and(|(last, told)| last <= told)
}

/// The files without which a node does not start: what of them no reader may take for a write that was cut short.
fn small_files(disk: &SimDisk) -> Vec<Span> {
    let dir = Path::new(DATA_DIR);
    let currents = files_of(disk, "CURRENT").into_iter().filter(|path| path.ends_with("CURRENT"));
    let whole: Vec<PathBuf> =
        [dir.join("identity"), dir.join("division")].into_iter().chain(currents).collect();
    let mut spans = Vec::new();
    for file in whole {
        let bytes = disk.read_file(&file).unwrap_or_default();
        if let Some(number) = u64_at(&bytes, 16).filter(|_| file.ends_with("CURRENT")) {
            spans.extend(manifest_spans(disk, file.with_file_name(format!("manifest-{number:010}"))));
        }
        spans.push(Span { file, bytes: 0..bytes.len() });
    }
    spans.retain(|span| !span.bytes.is_empty());
    spans
}

/// The header and the first edit of a manifest, without the zeros between them.
fn manifest_spans(disk: &SimDisk, file: PathBuf) -> [Span; 2] {
    const CHECKED_BYTES: usize = 28;
    const HEADER_BYTES: usize = 32;
    const EDIT_HEADER_BYTES: usize = 16;
    let bytes = disk.read_file(&file).unwrap_or_default();
    let first_edit = EDIT_HEADER_BYTES + u32_at(&bytes, HEADER_BYTES + 4).unwrap_or(0);
    [
        Span { file: file.clone(), bytes: 0..CHECKED_BYTES.min(bytes.len()) },
        Span { file, bytes: HEADER_BYTES..(HEADER_BYTES + first_edit).min(bytes.len()) },
    ]
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*four)).ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|eight| u64::from_le_bytes(*eight))
}
