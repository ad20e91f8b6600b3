//! How the body of each message is laid out. Little endian; what is last in a body needs no length of its own.
//!
//! ```text
//!  kind            body
//!   4 Ping          -
//!   5 Pong          -
//!   6 Govern        postcard Govern
//!  16 Read          keyspace u32 | key ..
//!  17 Write         keyspace varint | path u8 (0 client, 1 merge, 2 client above held) | key length varint | key | record ..
//!  18 Scan          postcard ScanAsk
//!  19 Count         postcard ScanAsk
//!  20 Forward       postcard Forward
//!  21 ReadInPlace   of node u16 | as Read
//!  22 WriteInPlace  of node u16 | as Write
//!  23 Grant         wanted u32
//!  24 Compare       postcard merkle::Ask
//!  25 ReadCovering  postcard (keyspace, key, context)
//!  26 ReadHeld      postcard (keyspace, key, optional Own)
//!  27 Relay         holder's place | count u8 | (node u16 | holder's place) each | as Write
//!  31 Relayed       asker u16 | shard u8 | holder's place | as Write
//!  28 Collect       postcard CollectAsk
//!  29 Unname        -
//!  30 Fetch         postcard FetchAsk
//!  32 Found         synced u8 | record ..
//!  33 Absent        -
//!  34 CannotSay     text ..
//!  35 Stored        -
//!  36 Refused       stamp u64
//!  37 Failed        text ..
//!  38 Scanned       postcard ScanAnswer
//!  39 Counted       live u64 | more u8 | slot u16 | hash u64
//!  40 Forwarded     postcard Outcome
//!  41 StaleEpoch    epoch u64
//!  42 Granted       bytes u32
//!  43 Compared      postcard merkle::Answer
//!  44 Covering      synced u8 | holds one u8 | record ..
//!  45 NotAsNamed    -
//!  46 Fetched       postcard FetchAnswer
//!  47 NotPassedOn   node u16
//!  48 Collected     postcard CollectAnswer
//!  49 Settled       -
//!  50 Same          -
//!  51 Older         -
//! ```
//!
//! A holder's place is `stands in u8 | of node u16`. Variable numbers are as in a frame's header.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use causality::Stamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{Epoch, KeyspaceId, NodeId, ShardId};

use crate::message::{Body, ReplicaReply, ReplicaRequest, WritePath};
use crate::relay::{Holder, Relay, Relayed, Write};
use crate::varint;

/// A body that does not say what its kind should. The connection that it came by is of no more use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message of kind {kind} cannot be read: {why}")]
pub struct DecodeError {
    /// The kind byte.
    pub kind: u8,
    /// What was wrong.
    pub why: &'static str,
}

mod kind {
    pub(super) const PING: u8 = 4;
    pub(super) const PONG: u8 = 5;
    pub(super) const GOVERN: u8 = 6;
    pub(super) const READ: u8 = 16;
    pub(super) const WRITE: u8 = 17;
    pub(super) const SCAN: u8 = 18;
    pub(super) const COUNT: u8 = 19;
    pub(super) const FORWARD: u8 = 20;
    pub(super) const READ_IN_PLACE: u8 = 21;
    pub(super) const WRITE_IN_PLACE: u8 = 22;
    pub(super) const GRANT: u8 = 23;
    pub(super) const COMPARE: u8 = 24;
    pub(super) const READ_COVERING: u8 = 25;
    pub(super) const READ_HELD: u8 = 26;
    pub(super) const RELAY: u8 = 27;
    pub(super) const COLLECT: u8 = 28;
    pub(super) const UNNAME: u8 = 29;
    pub(super) const FETCH: u8 = 30;
    pub(super) const RELAYED: u8 = 31;
    pub(super) const FOUND: u8 = 32;
    pub(super) const ABSENT: u8 = 33;
    pub(super) const CANNOT_SAY: u8 = 34;
    pub(super) const STORED: u8 = 35;
    pub(super) const REFUSED: u8 = 36;
    pub(super) const FAILED: u8 = 37;
    pub(super) const SCANNED: u8 = 38;
    pub(super) const COUNTED: u8 = 39;
    pub(super) const FORWARDED: u8 = 40;
    pub(super) const STALE_EPOCH: u8 = 41;
    pub(super) const GRANTED: u8 = 42;
    pub(super) const COMPARED: u8 = 43;
    pub(super) const COVERING: u8 = 44;
    pub(super) const NOT_AS_NAMED: u8 = 45;
    pub(super) const FETCHED: u8 = 46;
    pub(super) const NOT_PASSED_ON: u8 = 47;
    pub(super) const COLLECTED: u8 = 48;
    pub(super) const SETTLED: u8 = 49;
    pub(super) const SAME: u8 = 50;
    pub(super) const OLDER: u8 = 51;
}

/// The kind byte of a body.
pub fn kind_of(body: &Body) -> u8 {
    match body {
        Body::Ping => kind::PING,
        Body::Pong => kind::PONG,
        Body::Govern(_) => kind::GOVERN,
        Body::Request(request) => match request {
            ReplicaRequest::Read { in_place_of: None, .. } => kind::READ,
            ReplicaRequest::Read { .. } => kind::READ_IN_PLACE,
            ReplicaRequest::ReadCovering { .. } => kind::READ_COVERING,
            ReplicaRequest::ReadHeld { .. } => kind::READ_HELD,
            ReplicaRequest::Write { in_place_of: None, .. } => kind::WRITE,
            ReplicaRequest::Write { .. } => kind::WRITE_IN_PLACE,
            ReplicaRequest::Relay(_) => kind::RELAY,
            ReplicaRequest::Relayed(_) => kind::RELAYED,
            ReplicaRequest::Scan(_) => kind::SCAN,
            ReplicaRequest::Count(_) => kind::COUNT,
            ReplicaRequest::Forward(_) => kind::FORWARD,
            ReplicaRequest::Unname => kind::UNNAME,
            ReplicaRequest::Grant { .. } => kind::GRANT,
            ReplicaRequest::Compare(_) => kind::COMPARE,
            ReplicaRequest::Collect(_) => kind::COLLECT,
            ReplicaRequest::Fetch(_) => kind::FETCH,
        },
        Body::Reply(reply) => match reply {
            ReplicaReply::Found { .. } => kind::FOUND,
            ReplicaReply::Absent => kind::ABSENT,
            ReplicaReply::Covering { .. } => kind::COVERING,
            ReplicaReply::CannotSay { .. } => kind::CANNOT_SAY,
            ReplicaReply::Stored => kind::STORED,
            ReplicaReply::Refused { .. } => kind::REFUSED,
            ReplicaReply::Failed { .. } => kind::FAILED,
            ReplicaReply::NotPassedOn { .. } => kind::NOT_PASSED_ON,
            ReplicaReply::Scanned(_) => kind::SCANNED,
            ReplicaReply::Counted { .. } => kind::COUNTED,
            ReplicaReply::Forwarded(_) => kind::FORWARDED,
            ReplicaReply::NotAsNamed => kind::NOT_AS_NAMED,
            ReplicaReply::Granted { .. } => kind::GRANTED,
            ReplicaReply::Compared(_) => kind::COMPARED,
            ReplicaReply::Settled => kind::SETTLED,
            ReplicaReply::Same => kind::SAME,
            ReplicaReply::Older => kind::OLDER,
            ReplicaReply::Fetched(_) => kind::FETCHED,
            ReplicaReply::Collected(_) => kind::COLLECTED,
            ReplicaReply::StaleEpoch { .. } => kind::STALE_EPOCH,
        },
    }
}

/// Writes a body behind what `out` holds.
pub fn encode_body(body: &Body, out: &mut BytesMut) {
    match body {
        Body::Ping | Body::Pong => {}
        Body::Govern(govern) => put_postcard(govern, out),
        Body::Request(request) => encode_request(request, out),
        Body::Reply(reply) => encode_reply(reply, out),
    }
}

fn encode_request(request: &ReplicaRequest, out: &mut BytesMut) {
    match request {
        ReplicaRequest::Read { keyspace, key, in_place_of } => {
            in_place_of.iter().for_each(|node| out.put_u16_le(node.0));
            out.put_u32_le(keyspace.0);
            out.put_slice(key);
        }
        ReplicaRequest::ReadCovering { keyspace, key, context } => {
            put_postcard(&(keyspace.0, key, context), out);
        }
        ReplicaRequest::ReadHeld { keyspace, key, own } => put_postcard(&(keyspace.0, key, own), out),
        ReplicaRequest::Write { keyspace, key, record, path, in_place_of } => {
            in_place_of.iter().for_each(|node| out.put_u16_le(node.0));
            encode_write((*keyspace, *path), key, record, out);
        }
        ReplicaRequest::Relay(relay) => {
            let Relay { write, in_place_of, others } = &**relay;
            put_place(*in_place_of, out);
            out.put_u8(u8::try_from(others.len()).expect("a relay passes on to so many at most"));
            for Holder { node, in_place_of } in others {
                out.put_u16_le(node.0);
                put_place(*in_place_of, out);
            }
            encode_write((write.keyspace, write.path), &write.key, &write.record, out);
        }
        ReplicaRequest::Relayed(relayed) => {
            let Relayed { asker, shard, write, in_place_of } = &**relayed;
            out.put_u16_le(asker.0);
            out.put_u8(shard.0);
            put_place(*in_place_of, out);
            encode_write((write.keyspace, write.path), &write.key, &write.record, out);
        }
        ReplicaRequest::Scan(ask) | ReplicaRequest::Count(ask) => put_postcard(ask, out),
        ReplicaRequest::Forward(forward) => put_postcard(forward, out),
        ReplicaRequest::Compare(ask) => put_postcard(ask, out),
        ReplicaRequest::Collect(ask) => put_postcard(ask, out),
        ReplicaRequest::Fetch(ask) => put_postcard(ask, out),
        ReplicaRequest::Grant { wanted } => out.put_u32_le(*wanted),
        ReplicaRequest::Unname => {}
    }
}

fn put_place(in_place_of: Option<NodeId>, out: &mut BytesMut) {
    out.put_u8(u8::from(in_place_of.is_some()));
    out.put_u16_le(in_place_of.unwrap_or_default().0);
}

/// What a write takes beside key and record at most.
const WRITE_BYTES_MAX: usize = 5 + 1 + 5;

fn encode_write((keyspace, path): (KeyspaceId, WritePath), key: &[u8], record: &[u8], out: &mut BytesMut) {
    out.reserve(WRITE_BYTES_MAX + key.len() + record.len());
    varint::put(out, u64::from(keyspace.0));
    out.put_u8(match path {
        WritePath::Client => 0,
        WritePath::Merge => 1,
        WritePath::ClientAboveHeld => 2,
    });
    varint::put(out, key.len() as u64);
    out.put_slice(key);
    out.put_slice(record);
}

fn encode_reply(reply: &ReplicaReply, out: &mut BytesMut) {
    match reply {
        ReplicaReply::Found { record, synced } => {
            out.reserve(1 + record.len());
            out.put_u8(u8::from(*synced));
            out.put_slice(record);
        }
        ReplicaReply::Covering { record, synced } => {
            out.put_u8(u8::from(*synced));
            out.put_u8(u8::from(record.is_some()));
            out.put_slice(record.as_deref().unwrap_or_default());
        }
        ReplicaReply::Absent
        | ReplicaReply::Same
        | ReplicaReply::Older
        | ReplicaReply::Stored
        | ReplicaReply::Settled
        | ReplicaReply::NotAsNamed => {}
        ReplicaReply::CannotSay { why } | ReplicaReply::Failed { why } => out.put_slice(why.as_bytes()),
        ReplicaReply::Refused { held } => out.put_u64_le(held.0),
        ReplicaReply::NotPassedOn { to } => out.put_u16_le(to.0),
        ReplicaReply::Scanned(answer) => put_postcard(answer, out),
        ReplicaReply::Counted { live, next } => {
            let (slot, hash) = next.unwrap_or_default();
            out.put_u64_le(*live);
            out.put_u8(u8::from(next.is_some()));
            out.put_u16_le(slot);
            out.put_u64_le(hash);
        }
        ReplicaReply::Forwarded(outcome) => put_postcard(outcome, out),
        ReplicaReply::Granted { bytes } => out.put_u32_le(*bytes),
        ReplicaReply::Compared(answer) => put_postcard(answer, out),
        ReplicaReply::Collected(answer) => put_postcard(answer, out),
        ReplicaReply::Fetched(answer) => put_postcard(answer, out),
        ReplicaReply::StaleEpoch { newest } => out.put_u64_le(newest.0),
    }
}

fn put_postcard<T: Serialize>(value: &T, out: &mut BytesMut) {
    let bytes = postcard::to_allocvec(value).expect("these types have no case that postcard cannot write");
    out.put_slice(&bytes);
}

/// Reads a body of this kind; values share the bytes given.
pub fn decode_body(kind: u8, mut bytes: Bytes) -> Result<Body, DecodeError> {
    let short = |_| DecodeError { kind, why: "it is too short" };
    let body = match kind {
        kind::PING => Body::Ping,
        kind::PONG => Body::Pong,
        kind::GOVERN => Body::Govern(get_postcard(kind, &bytes)?),
        kind::READ | kind::READ_IN_PLACE => {
            let in_place_of = decode_in_place_of(kind, &mut bytes)?;
            let keyspace = KeyspaceId(bytes.try_get_u32_le().map_err(short)?);
            Body::Request(ReplicaRequest::Read { keyspace, key: bytes, in_place_of })
        }
        kind::READ_COVERING => {
            let (keyspace, key, context) = get_postcard(kind, &bytes)?;
            Body::Request(ReplicaRequest::ReadCovering { keyspace: KeyspaceId(keyspace), key, context })
        }
        kind::READ_HELD => {
            let (keyspace, key, own) = get_postcard(kind, &bytes)?;
            Body::Request(ReplicaRequest::ReadHeld { keyspace: KeyspaceId(keyspace), key, own })
        }
        kind::WRITE | kind::WRITE_IN_PLACE => {
            let in_place_of = decode_in_place_of(kind, &mut bytes)?;
            Body::Request(decode_write(kind, bytes)?.asked(in_place_of))
        }
        kind::RELAY => Body::Request(decode_relay(bytes)?),
        kind::RELAYED => Body::Request(decode_relayed(bytes)?),
        kind::GRANT => {
            Body::Request(ReplicaRequest::Grant { wanted: bytes.try_get_u32_le().map_err(short)? })
        }
        kind::UNNAME => Body::Request(ReplicaRequest::Unname),
        kind::SCAN => Body::Request(ReplicaRequest::Scan(get_postcard(kind, &bytes)?)),
        kind::COUNT => Body::Request(ReplicaRequest::Count(get_postcard(kind, &bytes)?)),
        kind::COMPARE => Body::Request(ReplicaRequest::Compare(get_postcard(kind, &bytes)?)),
        kind::COLLECT => Body::Request(ReplicaRequest::Collect(get_postcard(kind, &bytes)?)),
        kind::FETCH => Body::Request(ReplicaRequest::Fetch(get_postcard(kind, &bytes)?)),
        kind::FORWARD => Body::Request(ReplicaRequest::Forward(get_postcard(kind, &bytes)?)),
        kind::FOUND => {
            let synced = bytes.try_get_u8().map_err(short)? != 0;
            Body::Reply(ReplicaReply::Found { record: bytes, synced })
        }
        kind::COVERING => {
            let synced = bytes.try_get_u8().map_err(short)? != 0;
            let holds = bytes.try_get_u8().map_err(short)? != 0;
            Body::Reply(ReplicaReply::Covering { record: holds.then_some(bytes), synced })
        }
        kind::ABSENT => Body::Reply(ReplicaReply::Absent),
        kind::CANNOT_SAY => Body::Reply(ReplicaReply::CannotSay { why: text(&bytes) }),
        kind::STORED => Body::Reply(ReplicaReply::Stored),
        kind::REFUSED => {
            Body::Reply(ReplicaReply::Refused { held: Stamp(bytes.try_get_u64_le().map_err(short)?) })
        }
        kind::FAILED => Body::Reply(ReplicaReply::Failed { why: text(&bytes) }),
        kind::NOT_PASSED_ON => {
            let to = NodeId(bytes.try_get_u16_le().map_err(short)?);
            Body::Reply(ReplicaReply::NotPassedOn { to })
        }
        kind::SCANNED => Body::Reply(ReplicaReply::Scanned(get_postcard(kind, &bytes)?)),
        kind::COUNTED => Body::Reply(decode_counted(bytes)?),
        kind::FORWARDED => Body::Reply(ReplicaReply::Forwarded(get_postcard(kind, &bytes)?)),
        kind::GRANTED => Body::Reply(ReplicaReply::Granted { bytes: bytes.try_get_u32_le().map_err(short)? }),
        kind::COMPARED => Body::Reply(ReplicaReply::Compared(get_postcard(kind, &bytes)?)),
        kind::COLLECTED => Body::Reply(ReplicaReply::Collected(get_postcard(kind, &bytes)?)),
        kind::FETCHED => Body::Reply(ReplicaReply::Fetched(get_postcard(kind, &bytes)?)),
        kind::SETTLED => Body::Reply(ReplicaReply::Settled),
        kind::SAME => Body::Reply(ReplicaReply::Same),
        kind::OLDER => Body::Reply(ReplicaReply::Older),
        kind::NOT_AS_NAMED => Body::Reply(ReplicaReply::NotAsNamed),
        kind::STALE_EPOCH => {
            Body::Reply(ReplicaReply::StaleEpoch { newest: Epoch(bytes.try_get_u64_le().map_err(short)?) })
        }
        _ => {
            return Err(DecodeError { kind, why: "this version knows no such kind" });
        }
    };
    Ok(body)
}

fn decode_in_place_of(kind: u8, bytes: &mut Bytes) -> Result<Option<NodeId>, DecodeError> {
    if !matches!(kind, kind::READ_IN_PLACE | kind::WRITE_IN_PLACE) {
        return Ok(None);
    }
    let short = |_| DecodeError { kind, why: "it is too short" };
    Ok(Some(NodeId(bytes.try_get_u16_le().map_err(short)?)))
}

fn decode_relay(mut bytes: Bytes) -> Result<ReplicaRequest, DecodeError> {
    let short = |_| DecodeError { kind: kind::RELAY, why: "it is too short" };
    let in_place_of = decode_place(kind::RELAY, &mut bytes)?;
    let mut others = Vec::new();
    for _ in 0..bytes.try_get_u8().map_err(short)? {
        let node = NodeId(bytes.try_get_u16_le().map_err(short)?);
        others.push(Holder { node, in_place_of: decode_place(kind::RELAY, &mut bytes)? });
    }
    let write = decode_write(kind::RELAY, bytes)?;
    Ok(ReplicaRequest::Relay(Box::new(Relay { write, in_place_of, others })))
}

fn decode_relayed(mut bytes: Bytes) -> Result<ReplicaRequest, DecodeError> {
    let short = |_| DecodeError { kind: kind::RELAYED, why: "it is too short" };
    let asker = NodeId(bytes.try_get_u16_le().map_err(short)?);
    let shard = ShardId(bytes.try_get_u8().map_err(short)?);
    let in_place_of = decode_place(kind::RELAYED, &mut bytes)?;
    let write = decode_write(kind::RELAYED, bytes)?;
    Ok(ReplicaRequest::Relayed(Box::new(Relayed { asker, shard, write, in_place_of })))
}

fn decode_place(kind: u8, bytes: &mut Bytes) -> Result<Option<NodeId>, DecodeError> {
    let short = |_| DecodeError { kind, why: "it is too short" };
    let stands_in = bytes.try_get_u8().map_err(short)? != 0;
    let owner = NodeId(bytes.try_get_u16_le().map_err(short)?);
    Ok(stands_in.then_some(owner))
}

fn decode_write(kind: u8, mut bytes: Bytes) -> Result<Write, DecodeError> {
    let error = |why| DecodeError { kind, why };
    let short = |_| error("it is too short");
    let keyspace = KeyspaceId(varint::get(&mut bytes).map_err(error)?);
    let path = match bytes.try_get_u8().map_err(short)? {
        0 => WritePath::Client,
        1 => WritePath::Merge,
        2 => WritePath::ClientAboveHeld,
        _ => return Err(error("its path is neither a client's nor a merge")),
    };
    let key_len = varint::get(&mut bytes).map_err(error)?;
    if key_len > bytes.len() {
        return Err(error("its key is longer than the message"));
    }
    let key = bytes.split_to(key_len);
    Ok(Write { keyspace, key, record: bytes, path })
}

fn decode_counted(mut bytes: Bytes) -> Result<ReplicaReply, DecodeError> {
    let short = |_| DecodeError { kind: kind::COUNTED, why: "it is too short" };
    let live = bytes.try_get_u64_le().map_err(short)?;
    let more = bytes.try_get_u8().map_err(short)? != 0;
    let slot = bytes.try_get_u16_le().map_err(short)?;
    let hash = bytes.try_get_u64_le().map_err(short)?;
    Ok(ReplicaReply::Counted { live, next: more.then_some((slot, hash)) })
}

fn get_postcard<T: DeserializeOwned>(kind: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(DecodeError { kind, why: "something follows its fields" }),
        Err(_) => Err(DecodeError { kind, why: "its fields do not parse" }),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
