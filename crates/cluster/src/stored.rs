//! The bytes of a cluster state: what a node keeps in its data directory, and what a fingerprint is taken of.
//!
//! ```text
//!   "HGCS"   u16 format   postcard body                                        u64 xxh3 of all before
//!   4 bytes  little end   name, epoch, partitions, members, rings, keyspaces   little end
//! ```
//!
//! What must hold: equal states have equal bytes (lists are sorted, numbers have one form); no bytes make a state that
//! could not have been founded, so decoding goes through the same checks as a configuration; a format that is not known
//! is refused in words, never guessed.
//!
//! Why the body has types of its own: the state's may change with the program, the bytes may not. Policies, levels and
//! modes are written as their names, which outlive any order of enum variants.

use std::collections::BTreeMap;

use ring::{Partitions, PlacementMember, REPLICAS_BALANCED, ReplicaCount, Ring, RingMember, Rings, validate};
use serde::{Deserialize, Serialize};
use types::{Epoch, KeyspaceId, NodeId};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoredError;
use crate::keyspace::Keyspace;
use crate::limits::Limits;
use crate::member::Member;
use crate::state::ClusterState;

const MAGIC: [u8; 4] = *b"HGCS";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

#[derive(Serialize, Deserialize)]
struct StoredState {
    name: String,
    epoch: Epoch,
    partitions: u16,
    members: Vec<Member>,
    /// By data center, the node that claims each partition.
    rings: BTreeMap<String, Vec<NodeId>>,
    keyspaces: Vec<StoredKeyspace>,
}

#[derive(Serialize, Deserialize)]
struct StoredKeyspace {
    id: KeyspaceId,
    name: String,
    number: u32,
    n: StoredReplicas,
    r: String,
    w: String,
    policy: String,
    quorum_mode: String,
    durability: String,
    limits: Limits,
    require_context: bool,
    max_clock_entries: Option<u32>,
    allow_flush: bool,
}

#[derive(Serialize, Deserialize)]
enum StoredReplicas {
    Everywhere(u8),
    PerDataCenter(BTreeMap<String, u8>),
}

impl ClusterState {
    /// The state as bytes, for keeping.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let bytes = postcard::to_extend(&self.to_stored(), bytes);
        let mut bytes =
            bytes.expect("a vector grows, and these types have no case that postcard cannot write");
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// The checksum that the encoded state ends with.
    pub(crate) fn checksum(&self) -> u64 {
        let bytes = self.encode();
        xxh3_64(&bytes[..bytes.len() - CHECKSUM_BYTES])
    }

    /// The state that `bytes` hold.
    ///
    /// # Errors
    /// If they are damaged, incomplete, of a later format, or no state that could be served.
    pub fn decode(bytes: &[u8]) -> Result<ClusterState, StoredError> {
        let stored: StoredState = postcard::from_bytes(body(bytes)?).map_err(damaged)?;
        let members = checked_members(stored.members)?;
        let partitions = Partitions::new(u64::from(stored.partitions)).map_err(damaged)?;
        let rings = rings_of(&members, &stored.rings, partitions)?;
        let keyspaces =
            stored.keyspaces.into_iter().map(StoredKeyspace::restore).collect::<Result<_, _>>()?;
        ClusterState::assemble(stored.name, stored.epoch, members, rings, keyspaces).map_err(damaged)
    }

    fn to_stored(&self) -> StoredState {
        let claims = |(name, ring): (&str, &Ring)| (name.to_owned(), ring.claims().collect());
        StoredState {
            name: self.name.clone(),
            epoch: self.epoch,
            partitions: self.partitions().count(),
            members: self.members.clone(),
            rings: self.rings.iter().map(claims).collect(),
            keyspaces: self.keyspaces.iter().map(StoredKeyspace::of).collect(),
        }
    }
}

/// The part of the bytes between header and checksum, once both are believed.
fn body(bytes: &[u8]) -> Result<&[u8], StoredError> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes[..4] != MAGIC {
        return Err(damaged("it does not begin as one does"));
    }
    let format = u16::from_le_bytes([bytes[4], bytes[5]]);
    if format > FORMAT {
        return Err(StoredError::TooNew { found: format, known: FORMAT });
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if xxh3_64(content).to_le_bytes() != checksum {
        return Err(damaged("its checksum does not match"));
    }
    Ok(&content[HEADER_BYTES..])
}

#[allow(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
fn damaged(why: impl ToString) -> StoredError {
    StoredError::Damaged(why.to_string())
}

fn checked_members(members: Vec<Member>) -> Result<Vec<Member>, StoredError> {
    members.iter().try_for_each(Member::check).map_err(damaged)?;
    let ascending = members.windows(2).all(|pair| pair[0].id < pair[1].id);
    if ascending && !members.is_empty() { Ok(members) } else { Err(damaged("its members are out of order")) }
}

fn rings_of(
    members: &[Member],
    claims: &BTreeMap<String, Vec<NodeId>>,
    partitions: Partitions,
) -> Result<Rings, StoredError> {
    let mut rings = BTreeMap::new();
    for (data_center, claims) in claims {
        let here = members.iter().filter(|member| member.data_center == *data_center);
        let here = here.map(|member| RingMember { node: member.id, rack: member.rack.clone() }).collect();
        rings.insert(data_center.clone(), Ring::new(here, claims, partitions).map_err(damaged)?);
    }
    let rings = Rings::new(partitions, rings).map_err(damaged)?;
    let placed: Vec<PlacementMember> = members.iter().map(Member::to_placement).collect();
    validate(&rings, &placed, REPLICAS_BALANCED).map_err(damaged)?;
    Ok(rings)
}

impl StoredKeyspace {
    fn of(keyspace: &Keyspace) -> StoredKeyspace {
        StoredKeyspace {
            id: keyspace.id,
            name: keyspace.name.clone(),
            number: keyspace.number,
            n: match &keyspace.n {
                ReplicaCount::Everywhere(count) => StoredReplicas::Everywhere(*count),
                ReplicaCount::PerDataCenter(counts) => StoredReplicas::PerDataCenter(counts.clone()),
            },
            r: keyspace.r.to_string(),
            w: keyspace.w.to_string(),
            policy: keyspace.policy.to_string(),
            quorum_mode: keyspace.quorum_mode.to_string(),
            durability: keyspace.durability.to_string(),
            limits: keyspace.limits,
            require_context: keyspace.require_context,
            max_clock_entries: keyspace.max_clock_entries,
            allow_flush: keyspace.allow_flush,
        }
    }

    fn restore(self) -> Result<Keyspace, StoredError> {
        Ok(Keyspace {
            id: self.id,
            n: match self.n {
                StoredReplicas::Everywhere(count) => ReplicaCount::Everywhere(count),
                StoredReplicas::PerDataCenter(counts) => ReplicaCount::PerDataCenter(counts),
            },
            r: self.r.parse().map_err(damaged)?,
            w: self.w.parse().map_err(damaged)?,
            policy: self.policy.parse().map_err(damaged)?,
            quorum_mode: self.quorum_mode.parse().map_err(damaged)?,
            durability: self.durability.parse().map_err(damaged)?,
            limits: self.limits,
            require_context: self.require_context,
            max_clock_entries: self.max_clock_entries,
            allow_flush: self.allow_flush,
            ..Keyspace::new(self.number, &self.name)
        })
    }
}
