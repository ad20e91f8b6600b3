//! The bytes of a cluster state: what a node keeps in its data directory, and what a fingerprint is taken of.
//!
//! ```text
//!   "HGCS"   u16 format   postcard body                                            u64 xxh3 of all before
//!   4 bytes  little end   1: name, epoch, partitions, members, rings, keyspaces    little end
//!                         2: the parts of a state (`Stored`)
//!                         3: the same, and behind it u64 history, where that was begun again
//!                         4: the same, while partitions are being merged
//! ```
//!
//! What must hold: equal states have equal bytes (lists are sorted, numbers have one form); no bytes make a state that
//! could not have come about, so decoding goes through the same checks as a configuration; a format that is not known
//! is refused in words, never guessed. Format 1 knew states that nothing followed on. It is read, and it is what a cluster's
//! founding is told by: a later program must not take its own cluster for another.
//!
//! Why the body has types of its own: the state's may change with the program, the bytes may not. Policies, levels and
//! modes are written as their names, which outlive any order of enum variants.

use std::collections::BTreeMap;

use ring::{Partitions, PlacementMember, REPLICAS_BALANCED, ReplicaCount, Ring, RingMember, Rings, validate};
use serde::{Deserialize, Serialize};
use types::{Epoch, KeyspaceId, NodeId, PartitionId};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoredError;
use crate::keyspace::Keyspace;
use crate::layout::{Layout, LayoutId};
use crate::limits::Limits;
use crate::member::{Addresses, Member, MemberPlan, Standing};
use crate::movement::Movement;
use crate::parts::Parts;
use crate::state::ClusterState;

const MAGIC: [u8; 4] = *b"HGCS";
const FIRST_FORMAT: u16 = 1;
/// Of a history that was never begun again: its states are the bytes that they always were.
const FIRST_HISTORY_FORMAT: u16 = 2;
const LATER_HISTORY_FORMAT: u16 = 3;
/// Of a state in which partitions are being merged, whatever its history.
const MERGING_FORMAT: u16 = 4;
const FORMAT: u16 = MERGING_FORMAT;
const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// Format 1.
#[derive(Serialize, Deserialize)]
struct StoredFirst {
    name: String,
    epoch: Epoch,
    partitions: u16,
    members: Vec<StoredMember>,
    rings: StoredRings,
    keyspaces: Vec<StoredKeyspace>,
}

/// Format 2.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    founding: u64,
    generation: u32,
    epoch: Epoch,
    partitions: u16,
    members: Vec<(StoredMember, Standing)>,
    layouts: Vec<StoredLayout>,
    /// By runs of partitions, each with its length.
    at: Vec<(LayoutId, u16)>,
    /// The same.
    since: Vec<(Epoch, u16)>,
    movements: BTreeMap<PartitionId, Movement>,
    keyspaces: Vec<(StoredKeyspace, Epoch)>,
    next_node: NodeId,
    next_keyspace: KeyspaceId,
    next_layout: LayoutId,
}

/// By data center, the node that claims each partition.
type StoredRings = BTreeMap<String, Vec<NodeId>>;

#[derive(Serialize, Deserialize)]
struct StoredLayout {
    id: LayoutId,
    rings: StoredRings,
    counts: BTreeMap<KeyspaceId, StoredReplicas>,
}

#[derive(Serialize, Deserialize)]
struct StoredMember {
    id: NodeId,
    name: String,
    data_center: String,
    rack: String,
    weight: f64,
    addresses: Addresses,
}

/// A keyspace's settings as they are written.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKeyspace {
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
        let stored = Stored::of(&self.parts);
        match self.parts.history {
            history if self.parts.is_merging => sealed(MERGING_FORMAT, &(stored, history)),
            0 => sealed(FIRST_HISTORY_FORMAT, &stored),
            history => sealed(LATER_HISTORY_FORMAT, &(stored, history)),
        }
    }

    /// The checksum that the encoded state ends with.
    pub(crate) fn checksum(&self) -> u64 {
        checksum_of(&self.encode())
    }

    /// What the first state of a cluster comes to.
    pub(crate) fn first_fingerprint(&self) -> u64 {
        checksum_of(&sealed(FIRST_FORMAT, &StoredFirst::of(&self.parts)))
    }

    /// The state that `bytes` hold.
    ///
    /// # Errors
    /// If they are damaged, incomplete, of a later format, or no state that could be served.
    pub fn decode(bytes: &[u8]) -> Result<ClusterState, StoredError> {
        let (format, body) = body(bytes)?;
        if format == FIRST_FORMAT {
            let parts = postcard::from_bytes::<StoredFirst>(body).map_err(damaged)?.restore()?;
            return ClusterState::assemble(parts).map_err(damaged);
        }
        let (stored, history) = match format {
            FIRST_HISTORY_FORMAT => (postcard::from_bytes::<Stored>(body).map_err(damaged)?, 0),
            _ => postcard::from_bytes::<(Stored, u64)>(body).map_err(damaged)?,
        };
        if (stored.generation == 0) != (history == 0) {
            return Err(damaged("a history was begun again, and does not say how often"));
        }
        let parts = Parts { history, is_merging: format == MERGING_FORMAT, ..stored.restore()? };
        ClusterState::assemble(parts).map_err(damaged)
    }
}

fn sealed(format: u16, body: &impl Serialize) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(format.to_le_bytes());
    let bytes = postcard::to_extend(body, bytes);
    let mut bytes = bytes.expect("a vector grows, and these types have no case that postcard cannot write");
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn checksum_of(sealed: &[u8]) -> u64 {
    xxh3_64(&sealed[..sealed.len() - CHECKSUM_BYTES])
}

/// The format of the bytes, and the part between header and checksum, once both are believed.
fn body(bytes: &[u8]) -> Result<(u16, &[u8]), StoredError> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes[..4] != MAGIC {
        return Err(damaged("it does not begin as one does"));
    }
    let format = u16::from_le_bytes([bytes[4], bytes[5]]);
    if format > FORMAT {
        return Err(StoredError::TooNew { found: format, known: FORMAT });
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if format < FIRST_FORMAT || xxh3_64(content).to_le_bytes() != checksum {
        return Err(damaged("its checksum does not match"));
    }
    Ok((format, &content[HEADER_BYTES..]))
}

#[allow(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
fn damaged(why: impl ToString) -> StoredError {
    StoredError::Damaged(why.to_string())
}

impl StoredFirst {
    fn of(parts: &Parts) -> StoredFirst {
        StoredFirst {
            name: parts.name.clone(),
            epoch: parts.epoch,
            partitions: parts.target().rings.partitions().count(),
            members: parts.members.iter().map(StoredMember::of).collect(),
            rings: claims(&parts.target().rings),
            keyspaces: parts.keyspaces.iter().map(StoredKeyspace::of).collect(),
        }
    }

    fn restore(self) -> Result<Parts, StoredError> {
        let members = self.members.into_iter().map(|member| member.restore(Standing::Settled));
        let members = checked_members(members.collect())?;
        let partitions = Partitions::new(u64::from(self.partitions)).map_err(damaged)?;
        let rings = rings_of(&members, &self.rings, partitions)?;
        let keyspaces = self.keyspaces.into_iter().map(StoredKeyspace::restore).collect::<Result<_, _>>()?;
        let mut parts = Parts::first(self.name, members, rings, keyspaces);
        if self.epoch != parts.epoch {
            return Err(damaged("it is of an epoch that format 1 has no words for"));
        }
        parts.founding = checksum_of(&sealed(FIRST_FORMAT, &StoredFirst::of(&parts)));
        Ok(parts)
    }
}

impl Stored {
    fn of(parts: &Parts) -> Stored {
        let layout = |layout: &Layout| StoredLayout {
            id: layout.id,
            rings: claims(&layout.rings),
            counts: layout.counts.iter().map(|(id, count)| (*id, StoredReplicas::of(count))).collect(),
        };
        Stored {
            name: parts.name.clone(),
            founding: parts.founding,
            generation: parts.generation,
            epoch: parts.epoch,
            partitions: parts.target().rings.partitions().count(),
            members: parts.members.iter().map(|one| (StoredMember::of(one), one.standing)).collect(),
            layouts: parts.layouts.iter().map(layout).collect(),
            at: runs(&parts.at),
            since: runs(&parts.since),
            movements: parts.movements.clone(),
            keyspaces: parts.keyspaces.iter().map(|one| (StoredKeyspace::of(one), one.since)).collect(),
            next_node: parts.next_node,
            next_keyspace: parts.next_keyspace,
            next_layout: parts.next_layout,
        }
    }

    fn restore(self) -> Result<Parts, StoredError> {
        let members = self.members.into_iter().map(|(member, standing)| member.restore(standing));
        let members = checked_members(members.collect())?;
        let partitions = Partitions::new(u64::from(self.partitions)).map_err(damaged)?;
        let layout = |layout: StoredLayout| {
            let counts = layout.counts.into_iter().map(|(id, count)| (id, count.restore())).collect();
            Ok(Layout { id: layout.id, rings: rings_of(&members, &layout.rings, partitions)?, counts })
        };
        let layouts = self.layouts.into_iter().map(layout).collect::<Result<Vec<Layout>, StoredError>>()?;
        let keyspace = |(stored, since): (StoredKeyspace, Epoch)| Ok(Keyspace { since, ..stored.restore()? });
        Ok(Parts {
            name: self.name,
            founding: self.founding,
            generation: self.generation,
            history: 0,
            is_merging: false,
            epoch: self.epoch,
            layouts,
            at: unrun(&self.at, partitions)?,
            since: unrun(&self.since, partitions)?,
            movements: self.movements,
            keyspaces: self.keyspaces.into_iter().map(keyspace).collect::<Result<_, StoredError>>()?,
            members,
            next_node: self.next_node,
            next_keyspace: self.next_keyspace,
            next_layout: self.next_layout,
        })
    }
}

/// Equal neighbours as one, with how many they are.
fn runs<T: Copy + PartialEq>(each: &[T]) -> Vec<(T, u16)> {
    let mut runs: Vec<(T, u16)> = Vec::new();
    for &one in each {
        match runs.last_mut() {
            Some((last, length)) if *last == one => *length += 1,
            _ => runs.push((one, 1)),
        }
    }
    runs
}

/// One for each partition.
fn unrun<T: Copy>(runs: &[(T, u16)], partitions: Partitions) -> Result<Vec<T>, StoredError> {
    let count: u64 = runs.iter().map(|(_, length)| u64::from(*length)).sum();
    if count != u64::from(partitions.count()) {
        return Err(damaged("it does not say of each partition where it is"));
    }
    let each = runs.iter().flat_map(|(one, length)| std::iter::repeat_n(*one, usize::from(*length)));
    Ok(each.collect())
}

fn claims(rings: &Rings) -> StoredRings {
    rings.iter().map(|(name, ring): (&str, &Ring)| (name.to_owned(), ring.claims().collect())).collect()
}

fn checked_members(members: Vec<Member>) -> Result<Vec<Member>, StoredError> {
    members.iter().try_for_each(Member::check).map_err(damaged)?;
    let ascending = members.windows(2).all(|pair| pair[0].id < pair[1].id);
    if ascending && !members.is_empty() { Ok(members) } else { Err(damaged("its members are out of order")) }
}

/// Rings of these claims. Members of a ring are those that claim something in it.
fn rings_of(members: &[Member], claims: &StoredRings, partitions: Partitions) -> Result<Rings, StoredError> {
    let mut rings = BTreeMap::new();
    let mut placed: Vec<PlacementMember> = Vec::new();
    for (data_center, claims) in claims {
        let mut claimants = claims.clone();
        claimants.sort_unstable();
        claimants.dedup();
        let claims_some = |member: &&Member| claimants.binary_search(&member.id).is_ok();
        let here = members.iter().filter(|member| member.data_center == *data_center).filter(claims_some);
        placed.extend(here.clone().map(Member::to_placement));
        let here = here.map(|member| RingMember { node: member.id, rack: member.rack.clone() }).collect();
        rings.insert(data_center.clone(), Ring::new(here, claims, partitions).map_err(damaged)?);
    }
    let rings = Rings::new(partitions, rings).map_err(damaged)?;
    validate(&rings, &placed, REPLICAS_BALANCED).map_err(damaged)?;
    Ok(rings)
}

impl StoredMember {
    fn of(member: &Member) -> StoredMember {
        StoredMember {
            id: member.id,
            name: member.name.clone(),
            data_center: member.data_center.clone(),
            rack: member.rack.clone(),
            weight: member.weight,
            addresses: member.addresses,
        }
    }

    fn restore(self, standing: Standing) -> Member {
        let StoredMember { id, name, data_center, rack, weight, addresses } = self;
        Member::new(id, MemberPlan { name, data_center, rack, weight, addresses }, standing)
    }
}

impl StoredReplicas {
    fn of(count: &ReplicaCount) -> StoredReplicas {
        match count {
            ReplicaCount::Everywhere(count) => StoredReplicas::Everywhere(*count),
            ReplicaCount::PerDataCenter(counts) => StoredReplicas::PerDataCenter(counts.clone()),
        }
    }

    fn restore(self) -> ReplicaCount {
        match self {
            StoredReplicas::Everywhere(count) => ReplicaCount::Everywhere(count),
            StoredReplicas::PerDataCenter(counts) => ReplicaCount::PerDataCenter(counts),
        }
    }
}

impl From<Keyspace> for StoredKeyspace {
    fn from(keyspace: Keyspace) -> StoredKeyspace {
        StoredKeyspace::of(&keyspace)
    }
}

impl TryFrom<StoredKeyspace> for Keyspace {
    type Error = StoredError;

    fn try_from(stored: StoredKeyspace) -> Result<Keyspace, StoredError> {
        stored.restore()
    }
}

impl StoredKeyspace {
    fn of(keyspace: &Keyspace) -> StoredKeyspace {
        StoredKeyspace {
            id: keyspace.id,
            name: keyspace.name.clone(),
            number: keyspace.number,
            n: StoredReplicas::of(&keyspace.n),
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
            n: self.n.restore(),
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
