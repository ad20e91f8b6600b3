//! The bytes of a message.
//!
//! ```text
//!   0  format u8 = 1 | 1  step u8 (0 opening, 1 answer, 2 closing) | 2  sender's incarnation u64
//!  10  number of entries u16 | 12  number of states u16
//!  14  entries, by ascending node:
//!        node u16 | tag u8 | generation varint | heartbeat varint | heartbeat - newest fact, varint
//!      states, by ascending node:
//!        node u16 | incarnation u64 | generation varint | heartbeat varint | heartbeat - since, varint
//!        number of facts u8 | facts, by ascending key:
//!          key u8 | heartbeat - version, varint | length varint | value
//! ```
//!
//! Little endian; a varint is LEB128 in as few bytes as will do. Always true: every message has one form and every
//! form one message; no bytes make [`decode`] panic; and nothing is set aside for a count or length that is claimed,
//! only for what is there. There is no checksum, because a message travels sealed ([`crate::seal`]) or on a connection
//! that has its own. By hand and not by `postcard`, so that a draft knows its size before it is written.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;

use types::{Incarnation, NodeId};

use crate::message::{Entry, Message, Step};
use crate::state::{Difference, Fact, Generation, Key, Pulse, Start};

/// The format's number.
pub const FORMAT: u8 = 1;
/// The bytes of a message without entries and states.
pub const HEADER_BYTES: usize = 14;
/// The most that is looked at: no datagram is longer.
pub const BYTES_MAX: usize = 65_507;

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// From a later version of Henge, or no gossip at all.
    #[error("gossip of format {0}, and this version reads format {FORMAT} only")]
    Format(u8),
    /// Not a message.
    #[error("a gossip message that is no message at byte {at}: {what}")]
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// The bytes of `message`.
pub fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    out.push(FORMAT);
    out.push(match message.step {
        Step::Opening => 0,
        Step::Answer => 1,
        Step::Closing => 2,
    });
    out.extend(message.incarnation.0.to_le_bytes());
    // Node ids are 16 bits, so there are at most 65,536 of them; a message of that size is refused by the reader.
    out.extend(u16::try_from(message.entries.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(u16::try_from(message.states.len()).unwrap_or(u16::MAX).to_le_bytes());
    for (node, entry) in &message.entries {
        out.extend(node.0.to_le_bytes());
        out.push(entry.tag);
        put_varint(&mut out, entry.pulse.generation.0);
        put_varint(&mut out, entry.pulse.heartbeat);
        put_varint(&mut out, entry.pulse.heartbeat.saturating_sub(entry.newest_fact));
    }
    for (node, difference) in &message.states {
        out.extend(node.0.to_le_bytes());
        put_difference(&mut out, difference);
    }
    out
}

fn put_difference(out: &mut Vec<u8>, difference: &Difference) {
    out.extend(difference.start.incarnation.0.to_le_bytes());
    put_varint(out, difference.start.generation.0);
    put_varint(out, difference.heartbeat);
    put_varint(out, difference.heartbeat.saturating_sub(difference.since));
    out.push(u8::try_from(difference.facts.len()).unwrap_or(u8::MAX));
    for (key, fact) in &difference.facts {
        out.push(key.number());
        put_varint(out, difference.heartbeat.saturating_sub(fact.version));
        put_varint(out, fact.value.len() as u64);
        out.extend(&fact.value);
    }
}

/// How many bytes `entry` takes in a message.
pub fn entry_bytes(entry: &Entry) -> usize {
    let behind = entry.pulse.heartbeat.saturating_sub(entry.newest_fact);
    3 + varint_bytes(entry.pulse.generation.0) + varint_bytes(entry.pulse.heartbeat) + varint_bytes(behind)
}

/// How many bytes `difference` takes in a message.
pub fn difference_bytes(difference: &Difference) -> usize {
    let heartbeat = difference.heartbeat;
    let head = varint_bytes(difference.start.generation.0)
        + varint_bytes(heartbeat)
        + varint_bytes(heartbeat.saturating_sub(difference.since));
    let fact_bytes = |fact: &Fact| {
        let length = fact.value.len();
        1 + varint_bytes(heartbeat.saturating_sub(fact.version)) + varint_bytes(length as u64) + length
    };
    11 + head + difference.facts.values().map(fact_bytes).sum::<usize>()
}

/// The message that these bytes are.
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let mut reader = Reader::new(bytes);
    if bytes.len() > BYTES_MAX {
        return Err(reader.malformed("longer than any datagram"));
    }
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(DecodeError::Format(format));
    }
    let step = match reader.u8()? {
        0 => Step::Opening,
        1 => Step::Answer,
        2 => Step::Closing,
        _ => return Err(reader.malformed("an unknown step")),
    };
    let incarnation = Incarnation(reader.u64()?);
    let (entry_count, state_count) = (reader.u16()?, reader.u16()?);
    let mut entries = BTreeMap::new();
    for _ in 0..entry_count {
        let node = reader.next_node(entries.last_key_value().map(|(node, _)| *node))?;
        entries.insert(node, entry(&mut reader)?);
    }
    let mut states = BTreeMap::new();
    for _ in 0..state_count {
        let node = reader.next_node(states.last_key_value().map(|(node, _)| *node))?;
        states.insert(node, difference(&mut reader)?);
    }
    if reader.left() > 0 {
        return Err(reader.malformed("bytes behind the end"));
    }
    Ok(Message { step, incarnation, entries, states })
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let tag = reader.u8()?;
    let generation = Generation(reader.varint()?);
    let heartbeat = reader.varint()?;
    let newest_fact = reader.behind(heartbeat)?;
    let entry = Entry { tag, pulse: Pulse { generation, heartbeat }, newest_fact };
    if heartbeat == 0 && entry != Entry::UNKNOWN {
        return Err(reader.malformed("an unknown node that something is known of"));
    }
    Ok(entry)
}

fn difference(reader: &mut Reader<'_>) -> Result<Difference, DecodeError> {
    let incarnation = Incarnation(reader.u64()?);
    let start = Start { generation: Generation(reader.varint()?), incarnation };
    let heartbeat = reader.varint()?;
    if heartbeat == 0 {
        return Err(reader.malformed("a node without a heartbeat"));
    }
    let since = reader.behind(heartbeat)?;
    let count = reader.u8()?;
    let mut facts: BTreeMap<Key, Fact> = BTreeMap::new();
    for _ in 0..count {
        let number = reader.u8()?;
        let key = Key::new(number).ok_or(reader.malformed("an unknown key"))?;
        if facts.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(reader.malformed("keys out of order"));
        }
        let version = reader.behind(heartbeat)?;
        if version <= since {
            return Err(reader.malformed("a fact from before the difference"));
        }
        let length = reader.varint()?;
        facts.insert(key, Fact { version, value: reader.slice(length)?.to_vec() });
    }
    Ok(Difference { start, heartbeat, since, facts })
}

/// Appends `value` as LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes `value` takes as LEB128.
pub(crate) fn varint_bytes(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// Reads forward; every read is checked against the end.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { at: self.at, what }
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let slice = end.and_then(|end| self.bytes.get(self.at..end));
        let slice = slice.ok_or(self.malformed("it ends too early"))?;
        self.at += slice.len();
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let slice = self.slice(N as u64)?;
        slice.try_into().map_err(|_| self.malformed("it ends too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(self.malformed("a number above 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(self.malformed("a number with padding")) } else { Ok(value) };
            }
        }
        Err(self.malformed("a number above 64 bits"))
    }

    /// A number that is told by how much it is below `from`.
    fn behind(&mut self, from: u64) -> Result<u64, DecodeError> {
        let by = self.varint()?;
        from.checked_sub(by).ok_or(self.malformed("a version before the first"))
    }

    /// The id of a node, which must be above `last`.
    pub(crate) fn next_node(&mut self, last: Option<NodeId>) -> Result<NodeId, DecodeError> {
        let node = NodeId(self.u16()?);
        if last.is_some_and(|last| node <= last) {
            return Err(self.malformed("nodes out of order"));
        }
        Ok(node)
    }
}
