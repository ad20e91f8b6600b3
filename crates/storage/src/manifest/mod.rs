//! The manifest: which tables and log segments make up the database, as a log of edits.
//!
//! What must hold: a file is synced, and so is its name, before an edit names it; an edit is synced before anything
//! that relies on it happens, such as the deletion of what it replaced (INVARIANTS H1). An edit is one record, whole
//! or not there, so a flush or a compaction takes effect at one instant.
//!
//! When the log of edits has grown well beyond what it says, and whenever the database is opened, a new file is
//! begun with one edit that says everything, and `CURRENT`, replaced by a rename, says which file counts.
//! `docs/formats/manifest.md` draws the bytes. The scheme is LevelDB's.

pub(crate) mod edit;
pub(crate) mod file;

pub(crate) use edit::{Edit, State, TableMeta};
pub(crate) use file::{CommitError, Manifest};
