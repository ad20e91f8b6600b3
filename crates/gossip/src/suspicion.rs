//! Suspicions as a fact that travels: whom a node suspects, and at which heartbeat.
//!
//! ```text
//!   for each accused, by ascending node:  node u16 | generation varint | heartbeat varint
//! ```
//!
//! Always true: an accusation names the last heartbeat that its author had heard. Who has heard a newer one knows
//! better and does not count it; so an accused node refutes all accusations with its next heartbeat, and one that
//! arrives late, or again, harms nobody.
//!
//! When a node dies, everybody notices, and if everybody said so at once, a thousand facts would crowd out the
//! heartbeats by which the living are known. So there are *witnesses*: the nodes that follow the accused in the order
//! of ids, wrapping round, and speak first; the others speak later, in waves that double, and only while fewer than
//! [`VOICES_ENOUGH`] have. With up to nine nodes everybody is in the first wave. What a node itself suspects counts for
//! its own verdict at once, said or not.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;

use types::NodeId;

use crate::codec::{Reader, put_varint, varint_bytes};
use crate::options::SUSPECTS_BYTES_MAX;
use crate::state::{Generation, Pulse};

/// Whom somebody suspects, each at the last heartbeat heard of it.
pub type Accusations = BTreeMap<NodeId, Pulse>;

/// How many nodes speak of a death first.
pub const WITNESSES: usize = 8;
/// How many accusers are enough for the others to keep silent. More than the two that are needed, because one may
/// be lost or be suspected itself.
pub const VOICES_ENOUGH: usize = 4;
/// How many rounds one wave leaves to the one before it.
const ROUNDS_PER_WAVE: u32 = 2;

/// How many rounds the node that comes `rank` places behind the accused (from 0) keeps a suspicion to itself.
pub fn patience_rounds(rank: usize) -> u32 {
    (rank / WITNESSES + 1).ilog2() * ROUNDS_PER_WAVE
}

/// The bytes of these accusations, as many as fit.
pub fn encode(accusations: &Accusations) -> Vec<u8> {
    let mut out = Vec::new();
    for (node, pulse) in accusations {
        if out.len() + bytes_of(*pulse) > SUSPECTS_BYTES_MAX {
            break;
        }
        out.extend(node.0.to_le_bytes());
        put_varint(&mut out, pulse.generation.0);
        put_varint(&mut out, pulse.heartbeat);
    }
    out
}

/// How many bytes an accusation at this heartbeat takes.
pub fn bytes_of(pulse: Pulse) -> usize {
    2 + varint_bytes(pulse.generation.0) + varint_bytes(pulse.heartbeat)
}

/// The accusations that these bytes are; those up to where the bytes make no sense, if they do not.
pub fn decode(bytes: &[u8]) -> Accusations {
    let mut reader = Reader::new(bytes);
    let mut accusations = Accusations::new();
    while reader.left() > 0 {
        let last = accusations.last_key_value().map(|(node, _)| *node);
        let Ok(node) = reader.next_node(last) else { break };
        let (Ok(generation), Ok(heartbeat)) = (reader.varint(), reader.varint()) else { break };
        accusations.insert(node, Pulse { generation: Generation(generation), heartbeat });
    }
    accusations
}
