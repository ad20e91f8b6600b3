//! The merge that storage is handed: decode, merge, encode. Storage itself knows nothing of records.

use bytes::Bytes;
use causality::Record;
use storage::{Merge, MergeError};

/// Merges encoded records, for storage.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordMerge;

impl Merge for RecordMerge {
    fn merge(&self, _key: &[u8], older: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        let decode = |bytes: &[u8]| {
            Record::decode(Bytes::copy_from_slice(bytes)).map_err(|error| MergeError(error.to_string()))
        };
        let merged = decode(older)?.merge(&decode(newer)?).map_err(|error| MergeError(error.to_string()))?;
        Ok(merged.to_bytes().to_vec())
    }
}
