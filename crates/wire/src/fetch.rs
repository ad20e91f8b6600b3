//! How a new owner of a partition gets what there is of it: whole runs of records in the order of storage, page by page, at the
//! pace of whoever asks. See `docs/protocols/movement.md`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::Epoch;

use crate::collect::Mark;

/// The most bytes of records that one page is asked for.
pub const FETCH_BYTES_MAX: u32 = 256 * 1024;

/// A question for the next page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FetchAsk {
    /// The movement that it is for, by the epoch in which it began. Whoever goes by another one refuses.
    pub session: Epoch,
    /// Where the page begins, as a key of the store.
    pub from: Bytes,
    /// About how many bytes of records it is to have; one record may be more.
    pub limit_bytes: u32,
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FetchAnswer {
    /// Keys of the store with their records, in order.
    pub entries: Vec<(Bytes, Bytes)>,
    /// Where the next page begins; nothing where this was the last.
    pub next: Option<Bytes>,
    /// With the last page, what the owners have agreed on of the partition's deletes.
    pub mark: Option<Mark>,
}
