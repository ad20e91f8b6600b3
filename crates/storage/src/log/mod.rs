//! The commit log: every accepted entry, in order, on disk before anybody is told that it is safe.
//!
//! What must hold. (1) A record is either whole or not there: it carries a checksum over all of itself. (2) Recovery
//! drops only what was never synced: later records and segment headers say how far the log was synced when they were
//! written, so a hole below that mark is damage, and opening is refused. (3) A segment that is used again never shows
//! the records of its earlier life: a record is bound to its segment's number and to a secret of that life.
//!
//! The log is cut into segments of fixed length, laid out and synced before use and used again once the tables hold
//! what they held, because a sync of bytes that were written before costs about half of one that grows a file.
//! `docs/formats/commit-log.md` draws the bytes.
//!
//! In reading order: [`record`] and [`segment`] are the formats, [`writer`] appends, [`recovery`] reads it all back with
//! `scan` (one segment), `chain` (across segments) and [`repair`] (what it changes), or where it is damaged and others have
//! the same, what is left of it ([`salvage`]).

mod chain;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod repair;
pub(crate) mod salvage;
mod scan;
pub(crate) mod segment;
pub(crate) mod writer;

/// What a segment's header and one record's header take, and room for the end mark and padding, in bytes: an entry
/// fits into a segment if with this it is not longer than the segment.
pub(crate) const OVERHEAD_BYTES_MAX: usize = 8 << 10;

const _: () = assert!(
    segment::FIRST_RECORD_OFFSET + record::HEADER_BYTES + record::ENTRY_HEADER_BYTES + 2 * record::ALIGNMENT
        <= OVERHEAD_BYTES_MAX
);
