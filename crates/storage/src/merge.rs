//! What storage is told about values: how two of them become one, and whether the last one may go.
//!
//! To storage a value is a string of bytes. Replication writes records that form a join-semilattice, and the one
//! function that joins them is handed in here, so that storage and replication can never disagree about it.

/// How an entry stands to older entries of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// It is the whole truth about its key: whatever is older no longer counts.
    Full,
    /// It is an operand: the truth is its merge with whatever is older.
    Merge,
    /// It is a delete marker: its key is gone, and whatever is older no longer counts. It has no value.
    Delete,
}

impl Kind {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Kind::Full => 1,
            Kind::Merge => 2,
            Kind::Delete => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::Full),
            2 => Some(Kind::Merge),
            3 => Some(Kind::Delete),
            _ => None,
        }
    }
}

/// The owner's knowledge of what values mean. Called on any thread, so it must depend on its arguments alone.
pub trait Merge: Send + Sync + 'static {
    /// Joins two values of a key. Must be associative: storage joins neighbours in whatever order it meets them,
    /// but always passes the older one first.
    fn merge(&self, key: &[u8], older: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError>;

    /// Whether this value, of whose key nothing older is left in any table, may be forgotten when a compaction meets it.
    /// Entries in the log or a memtable do not matter, since those are newer. Never asked about a delete marker.
    fn may_drop(&self, _key: &[u8], _value: &[u8]) -> bool {
        false
    }
}

/// Two values could not be joined: at least one is not what the owner writes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("two values of one key cannot be merged: {0}")]
pub struct MergeError(pub String);
