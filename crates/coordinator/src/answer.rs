//! What a client is shown of a record.

use api::{Detail, Found, KeyRequest, Marks, Operation, ShownValue};
use bytes::Bytes;
use causality::{DecodeError, Policy, Record, Version, VersionVector, View, clock_entries};
use cluster::Topology;
use quorum::Level;
use types::{PartitionId, WallTime};

use crate::target::Target;

/// Where a key is that this node alone can answer a read of: it is an owner, and one answer is enough. Then the read needs
/// no operation of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alone {
    /// The key's partition.
    pub partition: PartitionId,
    /// Whether one owner is also a majority of them, so that what is told must not be taken back (INVARIANTS C2): then only
    /// a synced record is an answer.
    pub needs_synced: bool,
}

/// Whether this node alone can answer a read.
pub fn alone(topology: &Topology, request: &KeyRequest) -> Option<Alone> {
    let Operation::Get { read, context: None, detail: Detail::Values } = &request.operation else {
        return None;
    };
    let state = &topology.state;
    let keyspace = state.keyspace(request.keyspace)?;
    if request.key.len() as u64 > keyspace.limits.key_bytes_max {
        return None;
    }
    let partition = state.partition_of(&request.key);
    let all = state.all_owners(request.keyspace, partition);
    let owners = all.read;
    let one_is_enough = match read.unwrap_or(keyspace.r) {
        Level::One | Level::LocalOne | Level::Count(1) => true,
        Level::Quorum | Level::All | Level::Two | Level::Three | Level::LocalQuorum | Level::EachQuorum => {
            owners.len() == 1
        }
        Level::Count(_) => false,
    };
    // What must not be taken back is to be held by those that the partition goes to as well.
    let is_to_settle = owners.len() == 1 && !all.also_written.is_empty();
    (one_is_enough && owners.contains(&topology.here) && !is_to_settle)
        .then_some(Alone { partition, needs_synced: owners.len() == 1 })
}

/// What a reader is told of a record that this node alone answers with.
pub fn found_alone(policy: Policy, record: Option<&Bytes>, now: WallTime) -> Result<Found, DecodeError> {
    let Some(bytes) = record else {
        return Ok(Found::default());
    };
    let record = Record::decode(bytes.clone())?;
    let view = View::of(&record, policy, now);
    let values = view.versions().iter().map(|version| shown(version, Vec::new())).collect();
    Ok(Found { context: record.context(), values, marks: Marks::default() })
}

/// What a reader is told of what R owners said together.
pub fn found(target: &Target, record: Option<&Record>, now: WallTime, detail: Detail) -> Found {
    let Some(record) = record else {
        return Found::default();
    };
    let view = View::of(record, target.keyspace().policy, now);
    let clocks = match detail {
        Detail::Values => vec![Vec::new(); view.versions().len()],
        Detail::Clocks => clocks(target, view.versions().iter().copied()),
    };
    let values = view.versions().iter().zip(clocks).map(|(version, clock)| shown(version, clock)).collect();
    Found { context: record.context(), values, marks: Marks::default() }
}

fn shown(version: &Version, clock: Vec<(String, u64)>) -> ShownValue {
    ShownValue {
        value: version.payload.value().cloned().unwrap_or_default(),
        expires: version.expiry.at,
        stamp: version.stamp,
        priority: version.priority,
        clock,
    }
}

/// The classic vector clocks of versions that are shown together, with the names of nodes.
pub fn clocks<'v>(target: &Target, versions: impl Iterator<Item = &'v Version>) -> Vec<Vec<(String, u64)>> {
    let each: Vec<VersionVector> = versions.map(Version::clock).collect();
    let all = each.iter().fold(VersionVector::default(), |all, clock| all.merge(clock));
    let name = |incarnation| target.topology.name_of_incarnation(incarnation);
    each.iter().map(|clock| clock_entries(clock, &all, name)).collect()
}
