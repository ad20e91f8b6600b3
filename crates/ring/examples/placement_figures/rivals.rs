//! The schemes that are compared: each gives every partition its owners, with one node per rack while there are
//! enough racks, in the order in which it prefers nodes.

use std::collections::{BTreeMap, BTreeSet};

use ring::{Partitions, PlacementMember, REPLICAS_BALANCED, Rings, place};
use types::{NodeId, PartitionId};

/// For each partition its owners.
pub(crate) type Owners = Vec<Vec<NodeId>>;

/// A scheme that goes through one history: members in, owners out.
type Placing = Box<dyn FnMut(&[PlacementMember]) -> Owners>;

/// A way to place.
pub(crate) struct Scheme {
    pub(crate) name: &'static str,
    pub(crate) begin: fn(Partitions) -> Placing,
}

/// All of them, ours first.
pub(crate) const SCHEMES: &[Scheme] = &[
    Scheme { name: "placement", begin: ours },
    Scheme { name: "rendezvous hashing, by weight", begin: |partitions| stateless(partitions, rendezvous) },
    Scheme { name: "random tokens, 256 for each unit of weight", begin: tokens },
    Scheme {
        name: "jump hashing, a bucket for each unit of weight",
        begin: |partitions| stateless(partitions, jump),
    },
    Scheme {
        name: "modulo, a place for each unit of weight",
        begin: |partitions| stateless(partitions, modulo),
    },
];

fn ours(partitions: Partitions) -> Placing {
    let mut rings = Rings::empty(partitions);
    Box::new(move |members| {
        rings = place(&rings, members).unwrap();
        let (_, ring) = rings.iter().next().unwrap();
        let owners = |partition| {
            let mut owners = Vec::new();
            ring.walk_into(partition, REPLICAS_BALANCED, &mut owners);
            owners
        };
        partitions.iter().map(owners).collect()
    })
}

/// The nodes that a scheme prefers for a partition, best first, perhaps more than once.
type Preferred<'a> = Box<dyn Iterator<Item = usize> + 'a>;

/// A scheme that looks at one partition and the members alone: these by themselves, and in buckets.
fn stateless(
    partitions: Partitions,
    preferred: for<'a> fn(PartitionId, &'a [PlacementMember], &'a [usize]) -> Preferred<'a>,
) -> Placing {
    let mut nodes: Vec<NodeId> = Vec::new();
    Box::new(move |members| {
        let buckets = buckets(&mut nodes, members);
        let owners = |partition| first_owners(members, preferred(partition, members, &buckets));
        partitions.iter().map(owners).collect()
    })
}

/// The members by index, each once for each unit of weight. `nodes` is what is kept from change to change: whoever
/// leaves is replaced by the last, which is the least that hashing to numbers allows.
fn buckets(nodes: &mut Vec<NodeId>, members: &[PlacementMember]) -> Vec<usize> {
    let index_of: BTreeMap<NodeId, usize> = members.iter().map(|member| member.node).zip(0..).collect();
    let mut missing: Vec<u64> = members.iter().map(|member| member.weight as u64).collect();
    let mut at = 0;
    while at < nodes.len() {
        match index_of.get(&nodes[at]) {
            Some(&index) if missing[index] > 0 => {
                missing[index] -= 1;
                at += 1;
            }
            _ => {
                nodes.swap_remove(at);
            }
        }
    }
    // Turn by turn, so that the buckets of a heavy node are not all neighbours.
    while missing.iter().any(|&missing| missing > 0) {
        for (member, missing) in members.iter().zip(&mut missing).filter(|(_, missing)| **missing > 0) {
            nodes.push(member.node);
            *missing -= 1;
        }
    }
    nodes.iter().map(|node| index_of[node]).collect()
}

/// The first N distinct nodes: in rounds of one node per rack, as the walk of a ring takes them.
fn first_owners(members: &[PlacementMember], preferred: impl Iterator<Item = usize>) -> Vec<NodeId> {
    let wanted = REPLICAS_BALANCED.min(members.len());
    let racks: BTreeSet<&str> = members.iter().map(|member| member.rack.as_str()).collect();
    let (mut owners, mut passed_over, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
    for index in preferred {
        let member = &members[index];
        if owners.contains(&member.node) || passed_over.contains(&member.node) {
            continue;
        }
        if used.insert(member.rack.as_str()) {
            owners.push(member.node);
        } else {
            passed_over.push(member.node);
        }
        if owners.len() == wanted || (used.len() == racks.len() && owners.len() + passed_over.len() >= wanted)
        {
            break;
        }
    }
    owners.extend(passed_over);
    owners.truncate(wanted);
    owners
}

/// Highest random weight (Thaler and Ravishankar 1998), with logarithmic weights.
fn rendezvous<'a>(partition: PartitionId, members: &'a [PlacementMember], _: &'a [usize]) -> Preferred<'a> {
    let score = |member: &PlacementMember| {
        let hash = mix((u64::from(partition.0) << 16) | u64::from(member.node.0));
        let fraction = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        -fraction.max(f64::MIN_POSITIVE).ln() / member.weight
    };
    let mut order: Vec<(f64, usize)> = members.iter().map(score).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    Box::new(order.into_iter().map(|(_, index)| index))
}

/// Classic consistent hashing: tokens at random on a circle, keys to the next ones clockwise (Karger et al. 1997;
/// Dynamo's first strategy). Its ranges are cut by its tokens; here the middle of each partition stands for its keys.
fn tokens(partitions: Partitions) -> Placing {
    Box::new(move |members| {
        let mut circle: Vec<(u64, usize)> = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let count = 256 * member.weight as u64;
            circle.extend((0..count).map(|token| (mix((u64::from(member.node.0) << 32) | token), index)));
        }
        circle.sort_unstable();
        let width = u64::MAX / u64::from(partitions.count());
        let owners = |partition: PartitionId| {
            let middle = u64::from(partition.0) * width + width / 2;
            let start = circle.partition_point(|&(token, _)| token < middle);
            first_owners(members, circle[start..].iter().chain(&circle[..start]).map(|&(_, index)| index))
        };
        partitions.iter().map(owners).collect()
    })
}

/// Jump consistent hashing (Lamping and Veach 2014): buckets are numbered, one for each unit of
/// weight. Further owners by hashing again.
fn jump<'a>(partition: PartitionId, members: &'a [PlacementMember], buckets: &'a [usize]) -> Preferred<'a> {
    let tries = 64 * members.len() as u64;
    let bucket = move |again| jump_hash(mix((u64::from(partition.0) << 32) | again), buckets.len());
    Box::new((0..tries).map(move |again| buckets[bucket(again)]))
}

fn jump_hash(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0_u64, 0.0_f64);
    while next < buckets as f64 {
        bucket = next as u64;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = (bucket as f64 + 1.0) * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64);
    }
    bucket as usize
}

/// A hash of the partition modulo the places, and the next places for further owners.
fn modulo<'a>(partition: PartitionId, _: &'a [PlacementMember], buckets: &'a [usize]) -> Preferred<'a> {
    let start = (mix(u64::from(partition.0)) % buckets.len() as u64) as usize;
    Box::new(buckets[start..].iter().chain(&buckets[..start]).copied())
}

/// The finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
