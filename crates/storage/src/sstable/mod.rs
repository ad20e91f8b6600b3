//! Tables: sorted entries on disk, written once and never changed.
//!
//! ```text
//!  | file header 32 B | data block | data block | ... | filter block | index block | properties block | footer 64 B |
//! ```
//!
//! What must hold: no byte is used unverified. Every block carries a checksum bound to the table's file number and the
//! block's offset, so that rot, a torn write, a block written to the wrong place and a stale one are all found, and
//! found for that block alone: the rest of the table stays usable. Filter and index stay in memory from opening on; a
//! key that is not there costs no read (but for the filter's false positives), one that is there costs one block.
//! `docs/formats/sstable.md` draws the bytes.
//!
//! In reading order: [`frame`] (what all blocks have in common), [`block`], [`filter`], [`index`], [`footer`], then
//! [`writer`], [`table`] (reading) and [`iterator`].

pub(crate) mod block;
pub(crate) mod filter;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod index;
pub(crate) mod iterator;
pub(crate) mod reports;
pub(crate) mod table;
pub(crate) mod writer;

pub(crate) use table::Table;
