//! The manifest's files.
//!
//! ```text
//!  manifest-N:  |HENGEMAN| version u32 | store u32 | number u64 | crc32c u32 | zero u32 |   then records, from byte 32
//!  record:      | crc32c u32 | length u32 | edit number u64 | edit ... |     length counts the edit's bytes
//!  CURRENT:     |HENGECUR| version u32 | store u32 | number u64 | crc32c u32 |
//! ```
//!
//! A record's checksum covers everything from `length` on and is bound to the numbers of store and manifest; edit numbers
//! count up from 1, so a record elsewhere in the file is not the next one. Every edit is synced before the next is written, so only the last can be torn: a bad record with a valid one
//! behind it is damage. A torn last edit changed nothing that anybody relied on; the next manifest leaves it out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::disk::DiskErrorKind;
use env::{Disk, DiskError, File};

use super::edit::{Edit, State};
use crate::checksum;
use crate::decode::{Decoder, length32};
use crate::dropped::Dropped;
use crate::error::{Damage, OpenError};
use crate::files;
use crate::home::Home;

const MAGIC: &[u8; 8] = b"HENGEMAN";
const CURRENT_MAGIC: &[u8; 8] = b"HENGECUR";
/// 1 is read too: it has zeros in the place of the store's number.
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 32;
const CURRENT_BYTES: usize = 28;
const RECORD_HEADER_BYTES: usize = 16;
/// A manifest is begun anew when it is this long and four times as long as what it says.
const REWRITE_BYTES: u64 = 64 << 10;

/// Why an edit did not take effect.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Nothing has changed, on disk or in memory; it may be tried again.
    Refused(DiskError),
    /// What is on disk is unknown. The process must stop.
    Broken(DiskError),
}

/// The manifest in use. One edit at a time.
#[derive(Debug)]
pub(crate) struct Manifest {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    number: u64,
    file: Arc<dyn File>,
    len: u64,
    snapshot_len: u64,
    last_edit: u64,
    state: State,
    /// Bytes written to manifests since the database was opened.
    bytes_written: u64,
}

/// The state that a directory's manifest tells, and the manifest's number; `None` where the directory is fresh.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<(u64, State)>, OpenError> {
    let current = files::current(dir);
    let Some(bytes) = read_whole(disk, &current)? else {
        return Ok(None);
    };
    let home = decode_current(&bytes).map_err(|error| error.at(&current))?;
    let path = files::manifest(dir, home.file);
    let bytes =
        read_whole(disk, &path)?.ok_or(OpenError::Missing { file: path.clone(), named_by: current })?;
    let state = decode_manifest(&bytes, home).map_err(|error| error.at(&path))?;
    Ok(Some((home.file, state)))
}

fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    file.read_exact_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// What is wrong with a file's bytes, before it is known which file it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FormatError {
    Damaged { offset: usize, what: &'static str },
    Newer(u32),
}

impl FormatError {
    fn at(self, path: &Path) -> OpenError {
        match self {
            FormatError::Damaged { offset, what } => OpenError::Damaged(Damage {
                file: path.to_owned(),
                offset: offset as u64,
                what: what.to_owned(),
            }),
            FormatError::Newer(version) => {
                OpenError::Newer { file: path.to_owned(), version, known: VERSION }
            }
        }
    }
}

fn encode_header(magic: &[u8; 8], home: Home) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&home.store.to_le_bytes());
    out.extend_from_slice(&home.file.to_le_bytes());
    let checksum = checksum::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Whose a header is, once it is known to be whole.
fn decode_header(bytes: &[u8], magic: &[u8; 8]) -> Result<Home, FormatError> {
    let damaged = |what| FormatError::Damaged { offset: 0, what };
    let mut decoder = Decoder::new(bytes);
    if decoder.take(8) != Some(magic) {
        return Err(damaged("the file does not begin with its magic"));
    }
    let fields = (|| {
        let version = decoder.u32()?;
        let home = Home { store: decoder.u32()?, file: decoder.u64()? };
        Some((version, home, decoder.u32()?))
    })();
    let (version, home, expected) = fields.ok_or(damaged("the header is cut off"))?;
    if checksum::of(&bytes[..CURRENT_BYTES - 4]) != expected {
        return Err(damaged("the header fails its checksum"));
    }
    if version > VERSION { Err(FormatError::Newer(version)) } else { Ok(home) }
}

/// Which manifest counts.
pub(crate) fn decode_current(bytes: &[u8]) -> Result<Home, FormatError> {
    decode_header(bytes, CURRENT_MAGIC)
}

pub(crate) fn decode_manifest(bytes: &[u8], home: Home) -> Result<State, FormatError> {
    if decode_header(bytes, MAGIC)? != home {
        return Err(FormatError::Damaged { offset: 0, what: "the header is that of another manifest" });
    }
    let mut state = State { store: home.store, ..State::default() };
    let (mut offset, mut edit_number) = (HEADER_BYTES, 1);
    while let Some((found, payload)) = read_record(bytes, offset, home) {
        let damaged = |what| FormatError::Damaged { offset, what };
        if found != edit_number {
            return Err(damaged("an edit is missing before this one"));
        }
        let edit =
            Edit::decode(payload).ok_or(damaged("an edit has a field that this program does not know"))?;
        state.apply(edit);
        offset += RECORD_HEADER_BYTES + payload.len();
        edit_number += 1;
    }
    check_tail(bytes, offset, home, edit_number)?;
    Ok(state)
}

/// The valid record at `offset`: its edit's number and bytes.
fn read_record(bytes: &[u8], offset: usize, home: Home) -> Option<(u64, &[u8])> {
    let record = bytes.get(offset..)?;
    let mut decoder = Decoder::new(record);
    let (expected, len, edit_number) = (decoder.u32()?, decoder.len32()?, decoder.u64()?);
    let payload = decoder.take(len)?;
    let valid = checksum::bound_to(&[home.word()], &record[4..RECORD_HEADER_BYTES + len]) == expected;
    valid.then_some((edit_number, payload))
}

/// Behind the last valid record only a torn one may lie: the first edit is synced before the manifest counts, and an
/// edit is written only once the one before it is synced.
fn check_tail(bytes: &[u8], end: usize, home: Home, edit_number: u64) -> Result<(), FormatError> {
    let damaged = |what| Err(FormatError::Damaged { offset: end, what });
    if edit_number == 1 {
        return damaged("the first edit fails its checksum");
    }
    if (end + 1..bytes.len()).any(|offset| read_record(bytes, offset, home).is_some()) {
        return damaged("an edit fails its checksum and a valid one follows");
    }
    Ok(())
}

fn encode_record(home: Home, edit_number: u64, edit: &Edit) -> Vec<u8> {
    let payload = edit.encode();
    let mut record = vec![0; 4];
    record.extend_from_slice(&length32(payload.len()).to_le_bytes());
    record.extend_from_slice(&edit_number.to_le_bytes());
    record.extend_from_slice(&payload);
    let checksum = checksum::bound_to(&[home.word()], &record[4..]);
    record[..4].copy_from_slice(&checksum.to_le_bytes());
    record
}

/// A manifest file that says `state`, synced under its name, and its length.
fn write_new(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    state: &State,
) -> Result<(Arc<dyn File>, u64), DiskError> {
    let (path, home) = (files::manifest(dir, number), Home { store: state.store, file: number });
    let mut bytes = encode_header(MAGIC, home);
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend_from_slice(&encode_record(home, 1, &state.as_edit()));
    match disk.remove(&path) {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&path)?;
    file.write_all_at(0, &bytes)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    Ok((file, bytes.len() as u64))
}

/// Writes `CURRENT` anew under another name; only the rename makes it count.
fn draft_current(disk: &dyn Disk, dir: &Path, home: Home) -> Result<(), DiskError> {
    let draft = files::current_draft(dir);
    match disk.remove(&draft) {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&draft)?;
    file.write_all_at(0, &encode_header(CURRENT_MAGIC, home))?;
    file.sync()
}

fn switch_current(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
    disk.rename(&files::current_draft(dir), &files::current(dir))?;
    disk.sync_dir(dir)
}

impl Manifest {
    /// Begins a manifest that says `state` and makes it the one that counts.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        number: u64,
        state: State,
    ) -> Result<Manifest, DiskError> {
        let (file, len) = write_new(&*disk, &dir, number, &state)?;
        draft_current(&*disk, &dir, Home { store: state.store, file: number })?;
        switch_current(&*disk, &dir)?;
        Ok(Manifest {
            disk,
            dir,
            number,
            file,
            len,
            snapshot_len: len,
            last_edit: 1,
            state,
            bytes_written: len,
        })
    }

    /// Makes an edit durable. When this returns `Ok`, the edit counts, whatever happens next.
    pub(crate) fn commit(&mut self, edit: Edit) -> Result<(), CommitError> {
        let home = Home { store: self.state.store, file: self.number };
        let record = encode_record(home, self.last_edit + 1, &edit);
        if let Err(error) = self.file.write_all_at(self.len, &record) {
            return Err(self.take_back(error));
        }
        self.file.sync().map_err(CommitError::Broken)?;
        self.len += record.len() as u64;
        self.bytes_written += record.len() as u64;
        self.last_edit += 1;
        self.state.apply(edit);
        if self.len > REWRITE_BYTES && self.len > 4 * self.snapshot_len {
            self.rewrite()?;
        }
        Ok(())
    }

    /// A full disk may have taken a part of the record. A part is no record, and is cut off all the same, so that the
    /// next one follows the last whole one.
    fn take_back(&mut self, error: DiskError) -> CommitError {
        if error.kind != DiskErrorKind::Full {
            return CommitError::Broken(error);
        }
        match self.file.set_len(self.len) {
            Ok(()) => CommitError::Refused(error),
            Err(second) => CommitError::Broken(second),
        }
    }

    /// Begins a new file. The edit that led here is durable already, so a full disk only puts this off.
    fn rewrite(&mut self) -> Result<(), CommitError> {
        let next = self.number + 1;
        let home = Home { store: self.state.store, file: next };
        let drafted = write_new(&*self.disk, &self.dir, next, &self.state)
            .and_then(|made| draft_current(&*self.disk, &self.dir, home).map(|()| made));
        let (file, len) = match drafted {
            Ok(made) => made,
            Err(error) if error.kind == DiskErrorKind::Full => return self.abandon_rewrite(next),
            Err(error) => return Err(CommitError::Broken(error)),
        };
        switch_current(&*self.disk, &self.dir).map_err(CommitError::Broken)?;
        let old = files::manifest(&self.dir, self.number);
        self.disk.remove(&old).map_err(CommitError::Broken)?;
        (self.number, self.file, self.len, self.snapshot_len, self.last_edit) = (next, file, len, len, 1);
        self.bytes_written += len;
        Ok(())
    }

    fn abandon_rewrite(&mut self, next: u64) -> Result<(), CommitError> {
        // Whether or not these exist, they count for nothing; opening removes them too.
        drop(self.disk.remove(&files::manifest(&self.dir, next)));
        drop(self.disk.remove(&files::current_draft(&self.dir)));
        self.snapshot_len = self.len;
        Ok(())
    }

    /// What was dropped, as far as it says.
    pub(crate) fn dropped(&self) -> &Dropped {
        &self.state.dropped
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOME: Home = Home { store: 5, file: 7 };

    /// A manifest with these edits, and where each record begins.
    fn manifest(edits: u64) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = encode_header(MAGIC, HOME);
        bytes.resize(HEADER_BYTES, 0);
        let mut starts = Vec::new();
        for number in 1..=edits {
            starts.push(bytes.len());
            let edit = Edit { next_file: Some(number), segments: vec![(number, number)], ..Edit::default() };
            bytes.extend_from_slice(&encode_record(HOME, number, &edit));
        }
        (bytes, starts)
    }

    #[test]
    fn edits_add_up() {
        let state = decode_manifest(&manifest(3).0, HOME).unwrap();
        assert_eq!((state.next_file, state.segments.len()), (3, 3));
        for other in [Home { file: 8, ..HOME }, Home { store: 6, ..HOME }] {
            assert!(decode_manifest(&manifest(3).0, other).is_err(), "another number, or another store");
        }
    }

    proptest! {
        /// Of the last edit a part may be there: it was never relied on. A part of any other is damage.
        #[test]
        fn only_the_last_edit_may_be_torn(edits in 2u64..6, damaged in 0u64..6, bit in 0u8..8, at in 0usize..30) {
            let (mut bytes, starts) = manifest(edits);
            let damaged = usize::try_from(damaged % edits).unwrap();
            bytes[starts[damaged] + at] ^= 1 << bit;
            let decoded = decode_manifest(&bytes, HOME);
            if damaged + 1 == starts.len() {
                prop_assert_eq!(decoded.unwrap().next_file, edits - 1);
            } else {
                let expected = FormatError::Damaged { offset: starts[damaged], what: "" };
                let FormatError::Damaged { offset, .. } = decoded.unwrap_err() else { panic!("damage is damage") };
                prop_assert_eq!(FormatError::Damaged { offset, what: "" }, expected);
            }
        }

        #[test]
        fn a_cut_manifest_is_an_older_state_or_damaged(edits in 1u64..5, len in 0usize..400) {
            let (bytes, starts) = manifest(edits);
            let len = len.min(bytes.len());
            match decode_manifest(&bytes[..len], HOME) {
                Ok(state) => prop_assert!(state.next_file >= 1 && starts[1..].iter().all(|start| (*start < len) || state.next_file <= edits)),
                Err(_) => prop_assert!(len < starts.get(1).copied().unwrap_or(bytes.len())),
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(noise in prop::collection::vec(any::<u8>(), 0..200), records: bool) {
            let mut bytes = if records { manifest(1).0 } else { Vec::new() };
            bytes.extend_from_slice(&noise);
            let _ = decode_manifest(&bytes, HOME);
            let _ = decode_current(&bytes);
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut header = CURRENT_MAGIC.to_vec();
        header.extend_from_slice(&9u32.to_le_bytes());
        header.extend_from_slice(&[0; 12]);
        header.extend_from_slice(&checksum::of(&header).to_le_bytes());
        assert_eq!(decode_current(&header), Err(FormatError::Newer(9)));
    }
}
