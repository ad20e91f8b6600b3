//! The bytes of a member's file: `docs/formats/consensus.md` draws them.
//!
//! A header, a mark and records. The first record is all of a [`Stored`]; each after it is what was appended in one write: the
//! hard state as it was then, and entries. The file is made anew, whole, when a snapshot takes the place of entries.
//!
//! What must hold: nothing that was synced is dropped in silence (INVARIANTS H3). A record is bound by its checksum to its place
//! and to this life of the file. Reading stops at the first one that is not whole. It is a torn tail, which nobody was promised,
//! only where nothing shows that the file was synced beyond it. What shows it: the header (the file got its name after that), the
//! mark, which is written after each sync, and any whole record further on, since each is written after the sync of the one before.
//! A last record that rots before the mark behind it reached the disk looks torn, and no bytes of one file could tell.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{Entry, HardState};
use crate::membership::MemberId;
use crate::stored::{Contradiction, Stored};

const MAGIC: &[u8; 8] = b"HENGERF1";
const MARK: &[u8; 4] = b"SYNC";
const RECORD: &[u8; 4] = b"RREC";

/// Where the mark stands: in a page of its own, so that writing it can tear nothing else.
pub(crate) const MARK_OFFSET: usize = 4096;
/// Where the first record stands.
pub(crate) const RECORDS_OFFSET: usize = 8192;
const HEADER_BYTES: usize = 44;
const MARK_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 24;
const ALIGNMENT: usize = 8;
const WHOLE: u32 = 1;
const APPENDED: u32 = 2;

/// Whose a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The group, by whatever number its users know it.
    pub group: u64,
    /// The member.
    pub member: MemberId,
}

/// What is wrong with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// It is another's.
    #[error("it is the log of member {} of group {}", .0.member, .0.group)]
    Foreign(Owner),
    /// It does not begin as such a file does.
    #[error("it does not begin as a consensus log of this version does")]
    Header,
    /// Bytes that were synced are not what was written.
    #[error("what stands at byte {offset} is damaged, and the file was synced up to byte {synced} once")]
    Record {
        /// Where.
        offset: usize,
        /// How far it was synced, at the least.
        synced: usize,
    },
    /// A record is whole and cannot be.
    #[error("the record at byte {offset} cannot have been written: {why}")]
    Contradiction {
        /// Where.
        offset: usize,
        /// What is wrong with it.
        why: Contradiction,
    },
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// All of it.
    pub stored: Stored,
    /// Which life of the file this is.
    pub generation: u64,
    /// Up to where it is whole. What is behind that was never synced.
    pub length: usize,
}

/// A whole file, of a life of its own.
pub fn encode(owner: Owner, generation: u64, stored: &Stored) -> Vec<u8> {
    let record = encode_record(generation, RECORDS_OFFSET, WHOLE, stored);
    let synced = RECORDS_OFFSET + record.len();
    let mut rest = Vec::with_capacity(HEADER_BYTES);
    rest.extend_from_slice(&owner.group.to_le_bytes());
    rest.extend_from_slice(&owner.member.0.to_le_bytes());
    rest.extend_from_slice(&generation.to_le_bytes());
    rest.extend_from_slice(&(synced as u64).to_le_bytes());
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&checksum(&rest).to_le_bytes());
    bytes.extend_from_slice(&rest);
    bytes.resize(RECORDS_OFFSET, 0);
    bytes.extend_from_slice(&record);
    bytes
}

/// What is written at `offset`, which is the end of the file, for one write.
pub fn encode_appended(generation: u64, offset: usize, hard_state: HardState, entries: &[Entry]) -> Vec<u8> {
    encode_record(generation, offset, APPENDED, &(hard_state, entries))
}

/// What is written at the place of the mark after a sync of all bytes up to `synced`.
pub fn encode_mark(generation: u64, synced: usize) -> Vec<u8> {
    let rest = [generation.to_le_bytes(), (synced as u64).to_le_bytes()].concat();
    [&MARK[..], &checksum(&rest).to_le_bytes(), &rest].concat()
}

/// Reads a file back.
///
/// # Errors
/// What is wrong with it. Nothing that was synced is ever left out without one.
pub fn decode(owner: Owner, bytes: &[u8]) -> Result<Decoded, Damage> {
    let (found, generation, named) = header(bytes).ok_or(Damage::Header)?;
    if found != owner {
        return Err(Damage::Foreign(found));
    }
    let mark = mark(bytes, generation).unwrap_or(0);
    let synced = named.max(mark);
    let damaged = |offset, synced| Err(Damage::Record { offset, synced });
    let Some((WHOLE, body, mut offset)) = record(bytes, generation, RECORDS_OFFSET) else {
        return damaged(RECORDS_OFFSET, synced);
    };
    let Some(mut stored) = parse::<Stored>(body) else { return damaged(RECORDS_OFFSET, synced) };
    let contradiction = |offset, why| Damage::Contradiction { offset, why };
    stored.check().map_err(|why| contradiction(RECORDS_OFFSET, why))?;
    while let Some((APPENDED, body, end)) = record(bytes, generation, offset) {
        let Some((hard_state, entries)) = parse::<(HardState, Vec<Entry>)>(body) else {
            return damaged(offset, synced.max(end));
        };
        stored.append(hard_state, entries).map_err(|why| contradiction(offset, why))?;
        offset = end;
    }
    if offset < synced {
        return damaged(offset, synced);
    }
    match later_record(bytes, generation, offset) {
        Some(later) => damaged(offset, later),
        None => Ok(Decoded { stored, generation, length: offset }),
    }
}

/// Whose it is, which life of it, and up to where it was synced when it got its name.
fn header(bytes: &[u8]) -> Option<(Owner, u64, usize)> {
    let header = bytes.get(..HEADER_BYTES)?;
    let rest = header.get(12..)?;
    if header.get(..8)? != MAGIC || header.get(8..12)? != checksum(rest).to_le_bytes() {
        return None;
    }
    // The pages of the header and of the mark hold nothing else.
    if bytes.get(HEADER_BYTES..MARK_OFFSET)?.iter().any(|byte| *byte != 0) {
        return None;
    }
    let owner = Owner { group: number(rest, 0)?, member: MemberId(number(rest, 8)?) };
    Some((owner, number(rest, 16)?, usize::try_from(number(rest, 24)?).ok()?))
}

/// Up to where the mark says that the file was synced. A torn one says nothing.
fn mark(bytes: &[u8], generation: u64) -> Option<usize> {
    let mark = bytes.get(MARK_OFFSET..MARK_OFFSET + MARK_BYTES)?;
    let rest = mark.get(8..)?;
    let is_whole = mark.get(..4)? == MARK && mark.get(4..8)? == checksum(rest).to_le_bytes();
    (is_whole && number(rest, 0)? == generation).then(|| usize::try_from(number(rest, 8)?).ok()).flatten()
}

/// The kind and the body of the record at a place, and where the next one stands.
fn record(bytes: &[u8], generation: u64, offset: usize) -> Option<(u32, &[u8], usize)> {
    let header = bytes.get(offset..offset.checked_add(RECORD_HEADER_BYTES)?)?;
    if header.get(..4)? != RECORD {
        return None;
    }
    let kind = u32::from_le_bytes(header.get(8..12)?.try_into().ok()?);
    let length = usize::try_from(number(header, 12)?).ok()?;
    let start = offset + RECORD_HEADER_BYTES;
    let end = start.checked_add(length)?;
    let body = bytes.get(start..end)?;
    let padded = end.checked_next_multiple_of(ALIGNMENT)?;
    if bytes.get(end..padded)?.iter().any(|byte| *byte != 0) || header.get(20..24)? != [0; 4] {
        return None;
    }
    let expected = record_checksum(generation, offset, kind, body);
    (header.get(4..8)? == expected.to_le_bytes()).then_some((kind, body, padded))
}

/// Where there is a whole record behind a place at which there is none.
fn later_record(bytes: &[u8], generation: u64, offset: usize) -> Option<usize> {
    let places = (offset..bytes.len()).step_by(ALIGNMENT).skip(1);
    places
        .filter(|place| bytes[*place..].starts_with(RECORD))
        .find(|place| record(bytes, generation, *place).is_some())
}

fn encode_record<T: Serialize + ?Sized>(generation: u64, offset: usize, kind: u32, body: &T) -> Vec<u8> {
    let body = postcard::to_allocvec(body);
    let body = body.expect("a vector grows, and these types have no case that postcard cannot write");
    let mut bytes = RECORD.to_vec();
    bytes.extend_from_slice(&record_checksum(generation, offset, kind, &body).to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&body);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn record_checksum(generation: u64, offset: usize, kind: u32, body: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&generation.to_le_bytes());
    digest.update(&(offset as u64).to_le_bytes());
    digest.update(&kind.to_le_bytes());
    digest.update(&(body.len() as u64).to_le_bytes());
    digest.update(body);
    low_half(digest.finalize())
}

fn checksum(bytes: &[u8]) -> u32 {
    low_half(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes))
}

fn low_half(wide: u64) -> u32 {
    u32::try_from(wide & u64::from(u32::MAX)).expect("the upper half was masked")
}
