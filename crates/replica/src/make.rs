//! How a client's change becomes a record: done by one owner, the maker, on top of what it holds.
//!
//! The maker mints the dot and the stamp once, or was given both by the node that passed the write on (its *name*); every owner is sent the record that came of it. A write that must be
//! stamped again (another owner holds a greater stamp) keeps its dot and its operation id, so that it stays one write.
//! See `docs/decisions/2026-11-20-stamping-again.md` for when that is allowed.

use api::ExpiryChange;
use bytes::Bytes;
use causality::{
    Context, Dot, Expiry, HybridClock, MergeError, Payload, PutError, Record, Stamp, Version, View,
};
use cluster::Keyspace;
use types::{Epoch, KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::{WriteName, WritePath};

use crate::actors::Actors;

/// A change to be made into a record.
#[derive(Clone, Debug)]
pub struct Make {
    /// Which keyspace.
    pub keyspace: KeyspaceId,
    /// Which key.
    pub key: Bytes,
    /// On behalf of which operation.
    pub operation: OperationId,
    /// What is to change.
    pub change: Change,
    /// What a read at R found, where the change rests on one; merged below what is held.
    pub base: Option<Box<Record>>,
    /// What the write is called, where another node has named it: it is made so or not at all.
    pub named: Option<Named>,
    /// Set when the write is stamped again.
    pub again: Option<Again>,
    /// Whether reads here are to be answered with what was there before, until the operation lets go.
    pub hide: bool,
    /// For which owner this node stands in; nothing where it is one.
    pub in_place_of: Option<NodeId>,
}

impl Make {
    /// About how many bytes of value the record will have.
    pub fn bytes(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |base| base.encoded_len());
        match &self.change {
            Change::Put { value, .. } => base + value.len(),
            Change::Delete { .. } | Change::Expire { .. } => base,
        }
    }
}

/// A write that was named by the node that passed it on. Another maker may have made it already, and no two may make
/// different ones: so it has the dot, the stamp and the operation that it was named with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its dot and stamp.
    pub name: WriteName,
    /// The operation, at the node that named it.
    pub operation: OperationId,
}

/// A write that was made before, and refused because some owner holds a greater stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Again {
    /// The dot that it has and keeps.
    pub dot: Dot,
    /// The stamp that it must be above.
    pub above: Stamp,
}

/// What is to change.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// A new value in place of what the context covers.
    Put {
        /// The value.
        value: Bytes,
        /// What its writer had read.
        context: Context,
        /// What becomes of the time to live.
        expiry: ExpiryChange,
        /// The importance of its writer.
        priority: u8,
    },
    /// No value in place of what the context covers.
    Delete {
        /// What the deleter had read.
        context: Context,
    },
    /// Another time to live for the versions that the context covers.
    Expire {
        /// What the asker had read.
        context: Context,
        /// When they expire from now on; nothing for never.
        at: Option<types::WallTime>,
    },
}

/// A change, made.
#[derive(Clone, PartialEq, Debug)]
pub struct Made {
    /// The record, in causality's canonical encoding: what the other owners are sent.
    pub record: Bytes,
    /// What the writer knows now.
    pub context: Context,
    /// The dot of the new version, where there is one.
    pub dot: Option<Dot>,
    /// How owners are to take the record.
    pub path: WritePath,
}

/// Why a change was not made. Nothing was stored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum MakeError {
    /// The keyspace insists on a context for overwriting.
    #[error("the keyspace overwrites only with the context of a read")]
    ContextRequired,
    /// As many siblings as there may be.
    #[error("the key has {0} siblings already")]
    TooManySiblings(usize),
    /// A record beyond the limit.
    #[error("the record would be {bytes} bytes, beyond the limit of {limit}")]
    TooLarge {
        /// How large it would be.
        bytes: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The context passed cannot be right.
    #[error("{0}")]
    Context(String),
    /// The version whose expiry was to change was there when it was looked for, and has ended and been dropped since.
    #[error("the key has ended meanwhile")]
    Gone,
    /// What is held cannot be read, so nothing can be made on top of it.
    #[error("{0}")]
    CannotSay(String),
    /// It cannot be made under the name that it was given: what is held is not below it, or it is too late or too early for it.
    #[error("it cannot be made as it is named")]
    NotAsNamed,
    /// Storage takes no more at the moment.
    #[error("{0}")]
    Overloaded(String),
    /// It was routed by a state before the last change to the owners or to the keyspace.
    #[error("it was routed by a state of before epoch {newest}")]
    Stale {
        /// When that was.
        newest: Epoch,
    },
}

impl From<MergeError> for MakeError {
    fn from(error: MergeError) -> MakeError {
        MakeError::CannotSay(error.to_string())
    }
}

/// The maker's own: what it mints with.
pub struct Mint<'a> {
    /// The node's hybrid clock.
    pub clock: &'a mut HybridClock,
    /// The node's dot issuers.
    pub actors: &'a mut Actors,
    /// The partition of the key.
    pub partition: PartitionId,
    /// Now.
    pub now: Moment,
}

/// What comes of a change on top of what is held.
pub fn make(
    held: Option<&Record>,
    ask: Make,
    keyspace: &Keyspace,
    mint: &mut Mint<'_>,
) -> Result<Made, MakeError> {
    let Make { base, change, operation, named, again, .. } = ask;
    if let (Some(Record::Siblings(base)), actor) = (base.as_deref(), mint.actors.actor(mint.partition))
        && held.map_or(base.seen().highest_of(actor) > 0, |held| held.is_behind(actor, base.seen()))
    {
        begin_stint(mint)?;
    }
    let merged = match (held, base) {
        (Some(held), Some(base)) => Some(held.merge(&base)?),
        (None, Some(base)) => Some(*base),
        (_, None) => None,
    };
    let held = merged.as_ref().or(held);
    match change {
        Change::Put { value, context, expiry, priority } => {
            check_context(held, &context, keyspace, mint.now)?;
            let at = new_expiry(held, expiry, keyspace, mint.now);
            let payload = Payload::Value(value);
            let new = New { payload, expires: at, priority, operation, named, again };
            write(held, &context, new, keyspace, mint)
        }
        Change::Delete { context } => {
            let payload = Payload::Tombstone;
            let new = New { payload, expires: None, priority: 0, operation, named: None, again };
            write(held, &context, new, keyspace, mint)
        }
        Change::Expire { context, at } => expire(held, &context, at, mint),
    }
}

/// A version without its name and stamp.
struct New {
    payload: Payload,
    expires: Option<types::WallTime>,
    priority: u8,
    operation: OperationId,
    named: Option<Named>,
    again: Option<Again>,
}

fn check_context(
    held: Option<&Record>,
    context: &Context,
    keyspace: &Keyspace,
    now: Moment,
) -> Result<(), MakeError> {
    let blind = keyspace.require_context && context.is_empty();
    let overwrites =
        || held.is_some_and(|held| !View::of(held, keyspace.policy, now.wall).versions().is_empty());
    if blind && overwrites() { Err(MakeError::ContextRequired) } else { Ok(()) }
}

fn new_expiry(
    held: Option<&Record>,
    change: ExpiryChange,
    keyspace: &Keyspace,
    now: Moment,
) -> Option<types::WallTime> {
    match change {
        ExpiryChange::Clear => None,
        ExpiryChange::At(at) => Some(at),
        ExpiryChange::Keep => match View::of(held?, keyspace.policy, now.wall) {
            View::One(version) => version.expiry.at,
            View::Absent | View::Conflict(_) => None,
        },
    }
}

fn write(
    held: Option<&Record>,
    context: &Context,
    New { payload, expires, priority, operation, named, again }: New,
    keyspace: &Keyspace,
    mint: &mut Mint<'_>,
) -> Result<Made, MakeError> {
    let floor = held.map_or(Stamp::default(), newest_stamp);
    let name = named.filter(|_| again.is_none()).map(|named| named.name);
    let stamp = match name {
        Some(name) => name.stamp,
        None => {
            let above = again.map_or(floor, |again| again.above.max(floor));
            mint.clock.mint_above(mint.now.wall, above)
        }
    };
    let operation = named.map_or(operation, |named| named.operation);
    let context = if keyspace.policy.keeps_siblings() { context } else { &Context::Empty };
    let version = |dot| Version::new(dot, stamp, payload, operation).with_priority(priority).ending(expires);
    let (record, dot) = match (again, name) {
        (Some(again), _) => (put(held, keyspace, context, version(again.dot))?, again.dot),
        (None, Some(name)) => (put_as_named(held, keyspace, version(name.dot))?, name.dot),
        (None, None) => put_under_a_new_dot(held, keyspace, context, version, mint)?,
    };
    let record = prune(record, keyspace);
    check_size(&record, keyspace)?;
    let context =
        record.context_after(context, dot).map_err(|error| MakeError::Context(error.to_string()))?;
    // A name is by its giver's clock, which whoever makes it so has found to be near enough.
    let by_clock = name.is_some() || stamp.millis() <= mint.now.wall.0;
    let path = if by_clock { WritePath::Client } else { WritePath::ClientAboveHeld };
    Ok(Made { record: record.to_bytes(), context, dot: Some(dot), path })
}

/// Puts the version as it is, or not at all. Where it is held already another maker has made it, and this is a resend.
fn put_as_named(held: Option<&Record>, keyspace: &Keyspace, version: Version) -> Result<Record, MakeError> {
    let stamp = version.stamp;
    match Record::put(held, keyspace.policy, &Context::Empty, version) {
        Ok(record) if newest_stamp(&record) == stamp => Ok(record),
        Ok(_) | Err(PutError::Outranked { .. }) => Err(MakeError::NotAsNamed),
        Err(error) => Err(MakeError::Context(error.to_string())),
    }
}

/// Mints a dot and puts the version under it. Where the record or the context shows that this actor has forgotten some of
/// its own writes, it goes on under a fresh stint (INVARIANTS B2).
fn put_under_a_new_dot(
    held: Option<&Record>,
    keyspace: &Keyspace,
    context: &Context,
    version: impl FnOnce(Dot) -> Version,
    mint: &mut Mint<'_>,
) -> Result<(Record, Dot), MakeError> {
    let dot = mint.actors.mint(mint.partition);
    let version = version(dot);
    if !keyspace.policy.keeps_siblings() {
        // No dot is ever refused here: those of `lww` claim nothing of their predecessors.
        return Ok((put(held, keyspace, context, version)?, dot));
    }
    match Record::put(held, keyspace.policy, context, version.clone()) {
        Ok(record) => Ok((record, dot)),
        Err(PutError::DotIsNotNew { known, .. }) if known > mint.actors.issued(mint.partition) => {
            Err(MakeError::Context(format!(
                "the context names write {known} of {}, which has not been made: pass a context that a read returned",
                dot.actor
            )))
        }
        Err(PutError::ActorHasForgotten { .. } | PutError::DotIsNotNew { .. }) => {
            begin_stint(mint)?;
            let dot = mint.actors.mint(mint.partition);
            Ok((put(held, keyspace, context, Version { dot, ..version })?, dot))
        }
        Err(error) => Err(MakeError::Context(error.to_string())),
    }
}

fn begin_stint(mint: &mut Mint<'_>) -> Result<(), MakeError> {
    if mint.actors.begin_stint(mint.partition) {
        return Ok(());
    }
    Err(stints_used_up(mint.partition))
}

/// Why nothing more is made of a partition in this run.
pub(crate) fn stints_used_up(partition: PartitionId) -> MakeError {
    MakeError::CannotSay(format!(
        "{partition} has forgotten some of its writes, and no stints are left for this run: restart the node"
    ))
}

fn put(
    held: Option<&Record>,
    keyspace: &Keyspace,
    context: &Context,
    version: Version,
) -> Result<Record, MakeError> {
    Record::put(held, keyspace.policy, context, version)
        .map_err(|error| MakeError::Context(error.to_string()))
}

/// Applies the classic size threshold, where the keyspace asks for it. Only here, where a record is made: what is pruned on
/// one path and merged back on another would differ between replicas for ever.
fn prune(record: Record, keyspace: &Keyspace) -> Record {
    match (record, keyspace.max_clock_entries) {
        (Record::Siblings(siblings), Some(entries)) => {
            Record::Siblings(siblings.prune(usize::try_from(entries).unwrap_or(usize::MAX)))
        }
        (record, _) => record,
    }
}

fn check_size(record: &Record, keyspace: &Keyspace) -> Result<(), MakeError> {
    let siblings = record.versions().len();
    if siblings > 1 && siblings > usize::try_from(keyspace.limits.siblings_max).unwrap_or(usize::MAX) {
        return Err(MakeError::TooManySiblings(siblings - 1));
    }
    let bytes = record.encoded_len() as u64;
    let limit = keyspace.limits.record_bytes_max;
    if bytes > limit { Err(MakeError::TooLarge { bytes, limit }) } else { Ok(()) }
}

fn expire(
    held: Option<&Record>,
    context: &Context,
    at: Option<types::WallTime>,
    mint: &mut Mint<'_>,
) -> Result<Made, MakeError> {
    let held = held.ok_or(MakeError::Gone)?;
    let newest = held.versions().iter().map(|version| version.expiry.stamp).max().unwrap_or_default();
    let stamp = mint.clock.mint_above(mint.now.wall, newest);
    let record = held
        .with_expiry(context, Expiry { stamp, at })
        .map_err(|error| MakeError::Context(error.to_string()))?;
    Ok(Made { record: record.to_bytes(), context: record.context(), dot: None, path: WritePath::Merge })
}

/// The greatest stamp of a record's versions.
pub fn newest_stamp(record: &Record) -> Stamp {
    record.versions().iter().map(|version| version.stamp).max().unwrap_or_default()
}
