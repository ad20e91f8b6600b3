//! Whether the owners of every key hold the same of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use causality::Record;
use replica::store_key;
use types::{NodeId, WallTime};

use crate::network::Place;
use crate::world::World;

/// Keys whose owners do not hold equal records, and records that nodes hold of keys that are not theirs; in words.
pub fn disagreements(world: &World) -> Vec<String> {
    let mut held: BTreeMap<Bytes, BTreeMap<NodeId, Bytes>> = BTreeMap::new();
    let mut problems = Vec::new();
    for host in world.members().map(|place| &world.hosts()[place]) {
        match host.contents() {
            Ok(contents) => {
                // What is kept for an owner is no opinion of one's own, and neither is what all have agreed on.
                for (key, record) in
                    contents.into_iter().filter(|(key, _)| store_key::own_slot(key).is_some())
                {
                    held.entry(key).or_default().insert(host.id, record);
                }
            }
            Err(why) => problems.push(why),
        }
    }
    for (key, holders) in &held {
        problems.extend(disagreement(world, key, holders));
    }
    problems
}

/// Whether of each key that a node holds another holds as much. Not where it cannot read what it holds.
pub fn is_held_elsewhere(world: &World, place: Place) -> bool {
    let Ok(contents) = world.hosts()[place].contents() else { return false };
    let others: Vec<BTreeMap<Bytes, Bytes>> = (0..world.hosts().len())
        .filter(|other| *other != place)
        .filter_map(|other| world.hosts()[other].contents().ok())
        .map(|contents| contents.into_iter().collect())
        .collect();
    contents.into_iter().filter(|(key, _)| store_key::own_slot(key).is_some()).all(|(key, record)| {
        others.iter().filter_map(|other| other.get(&key)).any(|other| {
            let both = Record::decode(record.clone()).ok().zip(Record::decode(other.clone()).ok());
            both.is_some_and(|(own, other)| other.merge(&own).is_ok_and(|merged| merged == other))
        })
    })
}

/// How many hints are kept for owners, on all machines that run.
pub fn hints(world: &World) -> usize {
    let hosts = world.members().map(|place| &world.hosts()[place]);
    let contents = hosts.filter_map(|host| host.contents().ok()).flatten();
    contents.filter(|(key, _)| is_hint(key)).count()
}

/// Keys of which some owner keeps a record that had nothing to show to anybody at that time.
pub fn dead(world: &World, at: WallTime) -> Vec<String> {
    let mut dead = Vec::new();
    for host in world.members().map(|place| &world.hosts()[place]) {
        let contents = host.contents().unwrap_or_default();
        for (key, record) in contents.into_iter().filter(|(key, _)| store_key::own_slot(key).is_some()) {
            if Record::decode(record).is_ok_and(|record| record.is_dead(at)) {
                dead.push(format!("{} keeps {}", host.name, key.escape_ascii()));
            }
        }
    }
    dead
}

/// How far the collection of deletes is on each shard, in words.
pub fn collections(world: &World) -> String {
    let of_host = |host: &crate::host::Host| {
        let now = host.moment(world.now()).wall;
        let shards = host.shards.iter().map(|running| running.shard.replica().collection(now));
        format!("{}: {:?}", host.name, shards.collect::<Vec<_>>())
    };
    world.hosts().iter().map(of_host).collect::<Vec<_>>().join("; ")
}

/// What each shard lacks, and how far its healing is, in words.
pub fn healings(world: &World) -> String {
    let of_host = |host: &crate::host::Host| {
        let replicas = host.shards.iter().map(|running| running.shard.replica());
        let each = replicas.map(|replica| (replica.db().missing().len(), replica.healing()));
        format!("{}: {:?}", host.name, each.collect::<Vec<_>>())
    };
    world.hosts().iter().map(of_host).collect::<Vec<_>>().join("; ")
}

fn is_hint(key: &Bytes) -> bool {
    store_key::parse_hint(key).is_some()
}

fn disagreement(world: &World, key: &Bytes, holders: &BTreeMap<NodeId, Bytes>) -> Option<String> {
    let shown = key.escape_ascii();
    let Some(place) = store_key::parse(key) else {
        return Some(format!("{shown} is no storage key"));
    };
    let state = world.cluster();
    let (partition, _) = state.partition_of_slot(place.slot);
    let owners = state.owners(place.keyspace, partition);
    if let Some(stranger) = holders.keys().find(|node| !owners.contains(node)) {
        return Some(format!("{stranger} holds {shown}, which is not its own"));
    }
    let first = holders.values().next();
    let equal = owners.iter().all(|owner| holders.get(owner) == first);
    (!equal).then(|| format!("the owners of {shown} hold {holders:?}"))
}
