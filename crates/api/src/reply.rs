//! What a client is told when things went well.

use bytes::Bytes;
use causality::{Context, Stamp};
use serde::{Deserialize, Serialize};
use types::{OperationId, WallTime};

use crate::change::{Changed, Planned};
use crate::error::Error;

/// What came of a request.
pub type Outcome = Result<Reply, Error>;

/// The answers; which one comes belongs to what was asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To a get.
    Found(Found),
    /// To a put.
    Written(Written),
    /// To a delete.
    Deleted(Deleted),
    /// To a change of expiry.
    Touched(Touched),
    /// To a scan.
    Scan(ScanPage),
    /// To a count.
    Count(u64),
    /// To the wish for any key; nothing where there is none.
    RandomKey(Option<Bytes>),
    /// To an explain.
    Explain(Box<Explanation>),
    /// How many owners have acknowledged a write.
    Acknowledged(u8),
    /// To a repair: it has begun.
    Repairing,
    /// To a change: it is agreed on.
    Changed(Changed),
    /// To the question what a change would come to.
    Planned(Planned),
    /// To a batch: one outcome a key, in the order asked. It never travels between nodes, because each of its keys does
    /// by itself; could it be read from bytes, batches within batches would overflow the reader's stack.
    #[serde(skip)]
    Batch(Vec<Outcome>),
}

/// What a read found: no value, one, or siblings.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// What the client may pass back to say that it has seen this.
    pub context: Context,
    /// The live values that the keyspace's policy shows; more than one are siblings, in an order that every node agrees
    /// on.
    pub values: Vec<ShownValue>,
    /// What is weaker about this answer than it might be.
    pub marks: Marks,
}

/// One value.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ShownValue {
    /// Its bytes.
    pub value: Bytes,
    /// When it expires.
    pub expires: Option<WallTime>,
    /// When it was written, by the hybrid clock of who made it.
    pub stamp: Stamp,
    /// The importance of its writer.
    pub priority: u8,
    /// The vector clock, `[(node or node/stint, counter)]`; empty unless the request asked for clocks.
    pub clock: Vec<(String, u64)>,
}

/// A write that is done: W distinct owners hold it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// What covers the write and what it replaced.
    pub context: Context,
    /// Names the write, for waiting on more acknowledgements.
    pub operation: OperationId,
    /// How many distinct owners hold it as of this answer.
    pub acknowledged: u8,
    /// What is weaker about this answer than it might be.
    pub marks: Marks,
}

/// A delete that is done.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Deleted {
    /// Whether there was a live value to delete.
    pub existed: bool,
    /// As of any write; where nothing was there to delete, nothing was written.
    pub written: Written,
}

/// A change of expiry that is done.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Touched {
    /// What the key held; no values mean that there was none and nothing changed.
    pub found: Found,
    /// Whether the expiry is another than before.
    pub changed: bool,
}

/// What the client should know of an answer beyond its content (INVARIANTS C4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    /// A stand-in served in an owner's place.
    pub stand_in: bool,
    /// Acknowledged before it was synced, as the keyspace's `durability = "interval"` allows.
    pub relaxed_durability: bool,
}

/// A step of an iteration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ScanPage {
    /// Where to go on; zero when done.
    pub cursor: u64,
    /// Live keys.
    pub keys: Vec<Bytes>,
}

/// Where a key lives and what its owners hold.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// The hash slot.
    pub slot: u16,
    /// The partition that the slot is in.
    pub partition: u16,
    /// Of so many.
    pub partitions: u32,
    /// The preference list after the owners, by name.
    pub fallbacks: Vec<String>,
    /// What each owner says, in the order of the preference list.
    pub owners: Vec<OwnerAnswer>,
    /// In words: N, R, W, and the model that they give.
    pub quorum: String,
}

/// What one owner holds of a key.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OwnerAnswer {
    /// The owner's name.
    pub node: String,
    /// In words: `found`, `absent`, `deleted`, `expired`, `unreachable`, or why it cannot say.
    pub state: String,
    /// The clock of each version it holds.
    pub clocks: Vec<Vec<(String, u64)>>,
    /// The stamp of its newest version.
    pub stamp: Option<Stamp>,
    /// The bytes of its record.
    pub bytes: usize,
}
