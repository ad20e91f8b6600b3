//! What is taken in while the disk is nearly full: what deletes, and nothing else.
//!
//! What must hold (INVARIANTS H4): values are refused on every path (clients, other owners, hints, repair) before the disk
//! refuses by itself, so that deletes still find room in the log and in a table, and compactions can then give room back.
//! A write that leaves fewer bytes of values than there were is a delete in this sense: of one sibling of several, too.

use bytes::Bytes;
use causality::Record;
use storage::PutError;

use super::Replica;

impl Replica {
    /// Whether there is room for a record in place of what is held. Looks into them only if the disk is nearly full.
    pub(super) fn room_for_record(&self, record: &Bytes, held: Option<&Bytes>) -> Result<(), PutError> {
        let Err(refused) = self.db.room_for_values() else {
            return Ok(());
        };
        let bytes_left = value_bytes(record);
        let deletes = bytes_left == Some(0) || bytes_left < held.and_then(value_bytes);
        if deletes { Ok(()) } else { Err(refused) }
    }
}

/// The bytes of a record's values; `None` where there are none to be counted. Empty values are values too, of a byte each.
fn value_bytes(record: &Bytes) -> Option<usize> {
    let record = Record::decode(record.clone()).ok()?;
    let values = record.versions().iter().filter_map(|version| version.payload.value());
    Some(values.map(|value| value.len().max(1)).sum())
}
