//! The body of a record of siblings, and of the known writes in it, which are also the body of a context's token.
//!
//! ```text
//! known     count of actors, for each, ascending:  incarnation u64 | stint varint
//!           for each actor:                        counter varint   (0: it has dots only)
//!           count of dots, for each, ascending:    actor's index varint | counter varint
//!
//! siblings  kind u8 = 2 | format u8 = 1
//!           known
//!           count of versions, for each, ascending by dot:
//!             flags u8              bit 1: ends
//!             priority u8
//!             stamp u64
//!             dot                   actor's index varint | counter varint
//!             operation u64
//!             expiry stamp u64
//!             expiry at u64         only with bit 1; milliseconds
//!             past                  count, for each, ascending: actor's index varint | counter varint
//!             value                 length varint | bytes
//! ```
//!
//! Counts and lengths are varints. Actors are written once and then meant by their index, since each is mentioned by
//! most versions: what a version's writer had read is always among what the record has seen.

use bytes::{BufMut, Bytes};
use types::{Incarnation, OperationId, Stint, WallTime};

use super::reader::{Reader, put_varint, varint_len};
use super::{DecodeError, FORMAT, KIND_SIBLINGS};
use crate::{Actor, Dot, DottedVector, Expiry, Payload, Siblings, Stamp, Version, VersionVector};

const ENDS: u8 = 2;
const ACTOR_BYTES_MIN: usize = 8 + 1 + 1;
const DOT_BYTES_MIN: usize = 1 + 1;
const VERSION_BYTES_MIN: usize = 1 + 1 + 8 + DOT_BYTES_MIN + 8 + 8 + 1 + 1;

pub(super) fn encoded_len(record: &Siblings) -> usize {
    let actors = record.seen().actors();
    let versions: usize = record.versions().iter().map(|version| version_len(version, &actors)).sum();
    2 + known_len(record.seen()) + count_len(record.versions().len()) + versions
}

pub(super) fn encode(record: &Siblings, out: &mut Vec<u8>) {
    let actors = record.seen().actors();
    out.put_slice(&[KIND_SIBLINGS, FORMAT]);
    put_known(out, record.seen());
    put_count(out, record.versions().len());
    for version in record.versions() {
        put_version(out, version, &actors);
    }
}

pub(super) fn decode(bytes: Bytes) -> Result<Siblings, DecodeError> {
    let mut reader = Reader::new(bytes, 2);
    let seen = read_known(&mut reader)?;
    let actors = seen.actors();
    let count = reader.count(VERSION_BYTES_MIN)?;
    let mut versions = Vec::with_capacity(count);
    for _ in 0..count {
        versions.push(read_version(&mut reader, &actors)?);
    }
    reader.finish()?;
    Siblings::from_parts(seen, versions)
        .ok_or_else(|| reader.malformed("versions out of order or never seen"))
}

/// The bytes that [`put_known`] writes.
pub(crate) fn known_len(known: &DottedVector) -> usize {
    let actors = known.actors();
    let of_actor = |&actor: &Actor| {
        8 + varint_len(u64::from(actor.stint.0)) + varint_len(known.vector().counter_of(actor))
    };
    let dots: usize = known.dots().iter().map(|&dot| dot_len(dot, &actors)).sum();
    count_len(actors.len())
        + actors.iter().map(of_actor).sum::<usize>()
        + count_len(known.dots().len())
        + dots
}

/// Appends a set of known writes.
pub(crate) fn put_known(out: &mut Vec<u8>, known: &DottedVector) {
    let actors = known.actors();
    put_count(out, actors.len());
    for actor in &actors {
        out.put_u64_le(actor.incarnation.0);
        put_varint(out, u64::from(actor.stint.0));
    }
    for &actor in &actors {
        put_varint(out, known.vector().counter_of(actor));
    }
    put_count(out, known.dots().len());
    for &dot in known.dots() {
        put_dot(out, dot, &actors);
    }
}

/// Reads a set of known writes.
pub(crate) fn read_known(reader: &mut Reader) -> Result<DottedVector, DecodeError> {
    let actors = read_actors(reader)?;
    let mut entries = Vec::with_capacity(actors.len());
    for &actor in &actors {
        match reader.varint()? {
            0 => {}
            counter => entries.push((actor, counter)),
        }
    }
    let dots = read_dots(reader, &actors)?;
    let vector =
        VersionVector::from_sorted(entries).ok_or_else(|| reader.malformed("actors out of order"))?;
    let known = DottedVector::from_parts(vector.clone(), dots.clone());
    if *known.vector() != vector || known.dots() != dots || known.actors() != actors {
        return Err(reader.malformed("known writes not in their one form"));
    }
    Ok(known)
}

fn read_actors(reader: &mut Reader) -> Result<Vec<Actor>, DecodeError> {
    let count = reader.count(ACTOR_BYTES_MIN)?;
    let mut actors = Vec::with_capacity(count);
    for _ in 0..count {
        let incarnation = Incarnation(reader.u64()?);
        let stint = u32::try_from(reader.varint()?).map_err(|_| reader.malformed("a stint above 32 bits"))?;
        actors.push(Actor { incarnation, stint: Stint(stint) });
    }
    Ok(actors)
}

fn read_dots(reader: &mut Reader, actors: &[Actor]) -> Result<Vec<Dot>, DecodeError> {
    let count = reader.count(DOT_BYTES_MIN)?;
    let mut dots = Vec::with_capacity(count);
    for _ in 0..count {
        dots.push(read_dot(reader, actors)?);
    }
    Ok(dots)
}

fn version_len(version: &Version, actors: &[Actor]) -> usize {
    let ends = if version.expiry.at.is_some() { 8 } else { 0 };
    let past: usize = past_of(version).map(|dot| dot_len(dot, actors)).sum();
    let value = version.payload.value().map_or(0, Bytes::len);
    1 + 1
        + 8
        + dot_len(version.dot, actors)
        + 8
        + 8
        + ends
        + count_len(version.past.len())
        + past
        + count_len(value)
        + value
}

fn put_version(out: &mut Vec<u8>, version: &Version, actors: &[Actor]) {
    out.put_slice(&[if version.expiry.at.is_some() { ENDS } else { 0 }, version.priority]);
    out.put_u64_le(version.stamp.0);
    put_dot(out, version.dot, actors);
    out.put_u64_le(version.operation.0);
    out.put_u64_le(version.expiry.stamp.0);
    if let Some(at) = version.expiry.at {
        out.put_u64_le(at.0);
    }
    put_count(out, version.past.len());
    for dot in past_of(version) {
        put_dot(out, dot, actors);
    }
    let value: &[u8] = version.payload.value().map_or(&[], |value| value);
    put_count(out, value.len());
    out.put_slice(value);
}

fn read_version(reader: &mut Reader, actors: &[Actor]) -> Result<Version, DecodeError> {
    let flags = reader.u8()?;
    if flags & !ENDS != 0 {
        return Err(reader.malformed("unknown flags"));
    }
    let priority = reader.u8()?;
    let stamp = Stamp(reader.u64()?);
    let dot = read_dot(reader, actors)?;
    let operation = OperationId(reader.u64()?);
    let expiry_stamp = Stamp(reader.u64()?);
    let at = if flags & ENDS != 0 { Some(WallTime(reader.u64()?)) } else { None };
    let past = read_past(reader, actors)?;
    let length = reader.count(1)?;
    let payload = Payload::Value(reader.slice(length)?);
    Ok(Version { dot, stamp, payload, priority, expiry: Expiry { stamp: expiry_stamp, at }, operation, past })
}

fn past_of(version: &Version) -> impl Iterator<Item = Dot> {
    version.past.iter().map(|(actor, counter)| Dot { actor, counter })
}

fn read_past(reader: &mut Reader, actors: &[Actor]) -> Result<VersionVector, DecodeError> {
    let entries = read_dots(reader, actors)?.into_iter().map(|dot| (dot.actor, dot.counter)).collect();
    VersionVector::from_sorted(entries).ok_or_else(|| reader.malformed("a version's past out of order"))
}

fn dot_len(dot: Dot, actors: &[Actor]) -> usize {
    varint_len(index_of(dot.actor, actors)) + varint_len(dot.counter)
}

fn put_dot(out: &mut Vec<u8>, dot: Dot, actors: &[Actor]) {
    put_varint(out, index_of(dot.actor, actors));
    put_varint(out, dot.counter);
}

fn read_dot(reader: &mut Reader, actors: &[Actor]) -> Result<Dot, DecodeError> {
    let index = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    let actor = *actors.get(index).ok_or_else(|| reader.malformed("an actor that is not listed"))?;
    match reader.varint()? {
        0 => Err(reader.malformed("a counter of 0")),
        counter => Ok(Dot { actor, counter }),
    }
}

fn index_of(actor: Actor, actors: &[Actor]) -> u64 {
    let at = actors.binary_search(&actor).expect("a record has seen every actor that it mentions");
    at as u64
}

fn count_len(count: usize) -> usize {
    varint_len(count as u64)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_varint(out, count as u64);
}
