//! The storage engine of one shard: a log-structured merge tree over the `Disk` seam.
//!
//! It keeps a sorted map from keys to values, both byte strings whose meaning is the owner's; how two values of a key
//! become one is passed in ([`Merge`]), and a delete leaves nothing of a key. Writes go to the commit log and a memtable, memtables are flushed to tables,
//! tables are compacted into levels (O'Neil et al. 1996; LevelDB's `doc/impl.md` is the two-page version).
//!
//! What must always hold. After any crash the database is what a model would be that has taken every synced batch, and
//! perhaps some of the later ones, in order, each whole. No byte is used unverified; what is damaged is called damaged,
//! never absent. Memory stays within [`Options::memory_bytes`] over everything.
//!
//! What it is not: it has no threads, no clock and no opinion about replication, and it answers only for one
//! directory. The owner calls it from one thread; whatever may block is a job to be run elsewhere:
//!
//! ```text
//!  put, delete ──> memtable + batch ── write_log ──> page cache ── sync_job().run() ──> synced(outcome): durable
//!  get ──> Found | Absent | Cold(job) ── job.run() ──> complete(outcome): Found | Absent ...
//!  background_job() ── job.run() ──> install(outcome)        (segments, flushes, compactions, removals)
//! ```
//!
//! In reading order: `db` is what the owner sees; `log`, `memtable`, `sstable`, `manifest` are the parts;
//! `compaction` and `merge_iterator` work on them; `cache`, `options`, `stats` are about memory and figures.

mod cache;
mod checksum;
mod compaction;
mod db;
mod decode;
mod dropped;
mod error;
mod files;
mod home;
mod key_range;
mod log;
mod manifest;
mod memtable;
mod merge;
mod merge_iterator;
mod missing;
mod options;
mod sstable;
mod stats;
mod table_set;

pub use db::background::{BackgroundJob, BackgroundKind, BackgroundOutcome, Installed};
pub use db::estimate::ByteEstimate;
pub use db::give_up::GivenUp;
pub use db::read::{Lookup, ReadJob, ReadOutcome};
pub use db::recover::Recovery;
pub use db::scan::{ScanJob, ScanLimit, ScanOutcome};
pub use db::{Db, SequenceNumber};
pub use error::{Damage, LogError, OpenError, PutError, ReadError};
pub use key_range::KeyRange;
pub use log::repair::SetAside;
pub use log::writer::{SyncJob, SyncOutcome};
pub use merge::{Kind, Merge, MergeError};
pub use options::{KEY_BYTES_MAX, Options};
pub use stats::{Counters, Stats};
