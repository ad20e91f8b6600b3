//! Every message that there is, at random.
#![allow(dead_code, reason = "each test binary uses a part")]

use api::{
    Action, Deleted, Detail, Error, ExpiryChange, Found, KeyRequest, Marks, Operation, Outcome, Part, Reply,
    ShownValue, Touched, Written,
};
use bytes::{Bytes, BytesMut};
use causality::{Actor, Context, Dot, DottedVector, Outline, Stamp};
use merkle::Short;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use quorum::Level;
use types::{Epoch, Incarnation, KeyspaceId, NodeId, OperationId, PartitionId, ShardId, Stint, WallTime};
use wire::{
    Body, CollectAnswer, CollectAsk, CollectStep, CollectWait, Envelope, FetchAnswer, FetchAsk, Forward,
    Holder, Mark, Own, Relay, Relayed, ReplicaReply, ReplicaRequest, ScanAnswer, ScanAsk, ScanEntry, Write,
    WriteName, WritePath, Written as Far, encode_frame,
};

/// A message as the bytes that travel.
pub(crate) fn framed(envelope: &Envelope) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_frame(envelope, &mut out);
    out.to_vec()
}

/// Any message.
pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let header = (any::<u64>(), any::<u32>(), any::<u64>(), any::<u16>(), any::<u32>());
    (header, body()).prop_map(|((operation, round, epoch, partition, deadline_ms), body)| Envelope {
        operation: OperationId(operation),
        round,
        epoch: Epoch(epoch),
        partition: PartitionId(partition),
        deadline_ms,
        body,
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Ping),
        Just(Body::Pong),
        request().prop_map(Body::Request),
        reply().prop_map(Body::Reply),
    ]
}

fn request() -> impl Strategy<Value = ReplicaRequest> {
    prop_oneof![
        (keyspace(), bytes(), in_place_of()).prop_map(|(keyspace, key, in_place_of)| ReplicaRequest::Read {
            keyspace,
            key,
            in_place_of
        }),
        (keyspace(), bytes(), option::of((any::<u64>(), option::of(outline())))).prop_map(
            |(keyspace, key, own)| {
                let own = own.map(|(digest, outline)| Box::new(Own { digest: Short(digest), outline }));
                ReplicaRequest::ReadHeld { keyspace, key, own }
            }
        ),
        (keyspace(), bytes(), bytes(), path(), in_place_of()).prop_map(
            |(keyspace, key, record, path, in_place_of)| {
                ReplicaRequest::Write { keyspace, key, record, path, in_place_of }
            }
        ),
        (keyspace(), bytes(), context()).prop_map(|(keyspace, key, context)| {
            ReplicaRequest::ReadCovering { keyspace, key, context: Box::new(context) }
        }),
        any::<u32>().prop_map(|wanted| ReplicaRequest::Grant { wanted }),
        (any::<u64>(), collect_step())
            .prop_map(|(round, step)| ReplicaRequest::Collect(Box::new(CollectAsk { round, step }))),
        scan_ask().prop_map(ReplicaRequest::Scan),
        scan_ask().prop_map(ReplicaRequest::Count),
        (keyspace(), bytes(), operation(), option::of((dot(), stamp()))).prop_map(
            |(keyspace, key, operation, name)| {
                let request = KeyRequest { keyspace, key, operation };
                let name = name.map(|(dot, stamp)| WriteName { dot, stamp });
                ReplicaRequest::Forward(Box::new(Forward { request, name }))
            }
        ),
        Just(ReplicaRequest::Unname),
        (write(), in_place_of(), vec(holder(), 0..4)).prop_map(|(write, in_place_of, others)| {
            ReplicaRequest::Relay(Box::new(Relay { write, in_place_of, others }))
        }),
        (any::<u16>(), any::<u8>(), write(), in_place_of()).prop_map(|(asker, shard, write, in_place_of)| {
            let (asker, shard) = (NodeId(asker), ShardId(shard));
            ReplicaRequest::Relayed(Box::new(Relayed { asker, shard, write, in_place_of }))
        }),
        (any::<u64>(), bytes(), any::<u32>()).prop_map(|(session, from, limit_bytes)| {
            ReplicaRequest::Fetch(FetchAsk { session: Epoch(session), from, limit_bytes })
        }),
    ]
}

fn outline() -> impl Strategy<Value = Outline> {
    let vector = vec((dot(), 1..9_u64), 0..4);
    let known = (vector, vec(dot(), 0..4)).prop_map(|(vector, dots)| {
        let vector = vector.into_iter().map(|(dot, counter)| (dot.actor, counter)).collect();
        DottedVector::from_parts(vector, dots)
    });
    prop_oneof![
        (stamp(), dot()).prop_map(|(stamp, dot)| Outline::Lww { stamp, dot }),
        (known, vec(dot(), 0..4)).prop_map(|(seen, standing)| Outline::Siblings { seen, standing }),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    (keyspace(), bytes(), bytes(), path()).prop_map(|(keyspace, key, record, path)| Write {
        keyspace,
        key,
        record,
        path,
    })
}

fn holder() -> impl Strategy<Value = Holder> {
    (any::<u16>(), in_place_of()).prop_map(|(node, in_place_of)| Holder { node: NodeId(node), in_place_of })
}

fn in_place_of() -> impl Strategy<Value = Option<NodeId>> {
    option::of(any::<u16>().prop_map(NodeId))
}

fn reply() -> impl Strategy<Value = ReplicaReply> {
    let place = || option::of((any::<u16>(), any::<u64>()));
    prop_oneof![
        (bytes(), any::<bool>()).prop_map(|(record, synced)| ReplicaReply::Found { record, synced }),
        Just(ReplicaReply::Absent),
        (option::of(bytes()), any::<bool>())
            .prop_map(|(record, synced)| ReplicaReply::Covering { record, synced }),
        ".*".prop_map(|why| ReplicaReply::CannotSay { why }),
        Just(ReplicaReply::Stored),
        stamp().prop_map(|held| ReplicaReply::Refused { held }),
        ".*".prop_map(|why| ReplicaReply::Failed { why }),
        (vec(scan_entry(), 0..4), place())
            .prop_map(|(entries, next)| ReplicaReply::Scanned(ScanAnswer { entries, next })),
        (any::<u64>(), place()).prop_map(|(live, next)| ReplicaReply::Counted { live, next }),
        outcome().prop_map(|outcome| ReplicaReply::Forwarded(Box::new(outcome))),
        any::<u32>().prop_map(|bytes| ReplicaReply::Granted { bytes }),
        Just(ReplicaReply::Settled),
        Just(ReplicaReply::Same),
        Just(ReplicaReply::Older),
        Just(ReplicaReply::NotAsNamed),
        any::<u16>().prop_map(|node| ReplicaReply::NotPassedOn { to: NodeId(node) }),
        collect_answer().prop_map(|answer| ReplicaReply::Collected(Box::new(answer))),
        (vec((bytes(), bytes()), 0..4), option::of(bytes()), option::of(mark())).prop_map(
            |(entries, next, mark)| ReplicaReply::Fetched(Box::new(FetchAnswer { entries, next, mark }))
        ),
        any::<u64>().prop_map(|newest| ReplicaReply::StaleEpoch { newest: Epoch(newest) }),
    ]
}

fn far() -> impl Strategy<Value = Far> {
    (any::<u64>(), any::<u32>(), any::<u64>()).prop_map(|(incarnation, stint, counter)| Far {
        incarnation: Incarnation(incarnation),
        stint: Stint(stint),
        counter,
    })
}

fn collect_step() -> impl Strategy<Value = CollectStep> {
    prop_oneof![
        Just(CollectStep::Fence),
        vec(far(), 0..4).prop_map(CollectStep::Operations),
        Just(CollectStep::Hints),
        Just(CollectStep::Comparing),
        mark().prop_map(CollectStep::Adopt),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    let frontiers = (vec(far(), 0..4), any::<u64>(), vec(far(), 0..4), any::<u64>());
    (frontiers, vec(any::<u64>(), 0..4), any::<u64>()).prop_map(
        |((settled, settled_by, droppable, droppable_by), owners, newest)| Mark {
            settled,
            newest: Stamp(newest),
            droppable,
            settled_by: WallTime(settled_by),
            droppable_by: WallTime(droppable_by),
            owners: owners.into_iter().map(Incarnation).collect(),
        },
    )
}

fn collect_answer() -> impl Strategy<Value = CollectAnswer> {
    prop_oneof![
        (far(), any::<u64>(), vec(any::<u64>(), 0..4)).prop_map(|(written, now, known)| {
            let known = known.into_iter().map(Incarnation).collect();
            CollectAnswer::Fenced { written, now: WallTime(now), known }
        }),
        Just(CollectAnswer::Done),
        any::<u64>().prop_map(|newest| CollectAnswer::Compared { newest: Stamp(newest) }),
        any::<u16>().prop_map(|node| CollectAnswer::NotYet(CollectWait::Comparing(NodeId(node)))),
        Just(CollectAnswer::NotYet(CollectWait::Hints)),
        Just(CollectAnswer::NoSuchRound),
        Just(CollectAnswer::NotAnOwner),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let levels = || option::of(level());
    prop_oneof![
        (levels(), option::of(context())).prop_map(|(read, context)| Operation::Get {
            read,
            context,
            detail: Detail::Clocks
        }),
        (bytes(), option::of(context()), levels(), expiry_change(), any::<u8>()).prop_map(
            |(value, context, write, expiry, priority)| Operation::Put {
                value,
                context,
                write,
                expiry,
                priority
            }
        ),
        (option::of(context()), levels(), levels()).prop_map(|(context, write, read)| Operation::Delete {
            context,
            write,
            read
        }),
        (expiry_change(), levels(), levels()).prop_map(|(change, read, write)| Operation::Expire {
            change,
            read,
            write
        }),
    ]
}

/// What can come of a request about one key.
fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        found().prop_map(|found| Ok(Reply::Found(found))),
        written().prop_map(|written| Ok(Reply::Written(written))),
        (any::<bool>(), written())
            .prop_map(|(existed, written)| Ok(Reply::Deleted(Deleted { existed, written }))),
        (found(), any::<bool>()).prop_map(|(found, changed)| Ok(Reply::Touched(Touched { found, changed }))),
        (level(), any::<u8>(), ".*").prop_map(|(level, got, detail)| Err(Error::Unavailable {
            action: Action::Write,
            level,
            needed: 2,
            got,
            owners: 3,
            detail
        })),
        (level(), any::<u8>(), ".*").prop_map(|(level, got, detail)| Err(Error::Unknown {
            level,
            needed: 2,
            got,
            owners: 3,
            detail
        })),
        ".*".prop_map(|why| Err(Error::Overloaded(why))),
        ".*".prop_map(|why| Err(Error::Invalid(why))),
        (any::<u64>(), any::<u64>(), ".*").prop_map(|(bytes, limit, keyspace)| Err(Error::TooLarge {
            what: Part::Record,
            bytes,
            limit,
            keyspace
        })),
        ".*".prop_map(|keyspace| Err(Error::TooManySiblings { siblings: 7, keyspace })),
        ".*".prop_map(|keyspace| Err(Error::ContextRequired(keyspace))),
        ".*".prop_map(|keyspace| Err(Error::NoSuchKeyspace(keyspace))),
        ".*".prop_map(|why| Err(Error::NotLed(why))),
        ".*".prop_map(|why| Err(Error::ChangeUnknown(why))),
    ]
}

fn found() -> impl Strategy<Value = Found> {
    let shown = (bytes(), option::of(any::<u64>()), stamp(), any::<u8>(), vec((".*", any::<u64>()), 0..3));
    let shown = shown.prop_map(|(value, expires, stamp, priority, clock)| ShownValue {
        value,
        expires: expires.map(WallTime),
        stamp,
        priority,
        clock,
    });
    (context(), vec(shown, 0..3)).prop_map(|(context, values)| Found {
        context,
        values,
        marks: Marks::default(),
    })
}

fn written() -> impl Strategy<Value = Written> {
    (context(), any::<u64>(), any::<u8>(), any::<bool>()).prop_map(
        |(context, operation, acknowledged, relaxed)| Written {
            context,
            operation: OperationId(operation),
            acknowledged,
            marks: Marks { stand_in: false, relaxed_durability: relaxed },
        },
    )
}

fn context() -> impl Strategy<Value = Context> {
    prop_oneof![
        vec(dot(), 0..5).prop_map(|dots| {
            let mut known = DottedVector::new();
            dots.into_iter().for_each(|dot| known.add(dot));
            Context::from(known)
        }),
        (stamp(), dot()).prop_map(|(stamp, dot)| Context::Stamp { stamp, dot }),
    ]
}

fn dot() -> impl Strategy<Value = Dot> {
    (any::<u64>(), 0u32..4, 1u64..9).prop_map(|(incarnation, stint, counter)| Dot {
        actor: Actor { incarnation: Incarnation(incarnation), stint: Stint(stint) },
        counter,
    })
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![
        Just(Level::One),
        Just(Level::Quorum),
        Just(Level::LocalQuorum),
        Just(Level::EachQuorum),
        (1u8..).prop_map(Level::Count),
    ]
}

fn expiry_change() -> impl Strategy<Value = ExpiryChange> {
    prop_oneof![
        Just(ExpiryChange::Clear),
        Just(ExpiryChange::Keep),
        any::<u64>().prop_map(|at| ExpiryChange::At(WallTime(at))),
    ]
}

fn scan_ask() -> impl Strategy<Value = ScanAsk> {
    let fields = (keyspace(), any::<(u16, u64)>(), any::<u16>(), any::<u32>());
    fields.prop_map(|(keyspace, from, last_slot, limit)| ScanAsk { keyspace, from, last_slot, limit })
}

fn scan_entry() -> impl Strategy<Value = ScanEntry> {
    (any::<u16>(), any::<u64>(), bytes(), bytes()).prop_map(|(slot, hash, key, record)| ScanEntry {
        slot,
        hash,
        key,
        record,
    })
}

fn path() -> impl Strategy<Value = WritePath> {
    prop_oneof![Just(WritePath::Client), Just(WritePath::ClientAboveHeld), Just(WritePath::Merge)]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<u64>().prop_map(Stamp)
}

fn keyspace() -> impl Strategy<Value = KeyspaceId> {
    any::<u32>().prop_map(KeyspaceId)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}
