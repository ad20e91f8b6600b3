//! What a client is shown of a record.

use api::{Detail, Found, Marks, ShownValue};
use causality::{Record, Version, View, clock_entries};
use types::WallTime;

use crate::target::Target;

/// What a reader is told of what R owners said together.
pub fn found(target: &Target, record: Option<&Record>, now: WallTime, detail: Detail) -> Found {
    let Some(record) = record else { return Found::default() };
    let view = View::of(record, target.keyspace().policy, now);
    let values = view.versions().iter().map(|version| shown(target, version, detail)).collect();
    Found { context: record.context(), values, marks: Marks::default() }
}

fn shown(target: &Target, version: &Version, detail: Detail) -> ShownValue {
    let clock = match detail {
        Detail::Values => Vec::new(),
        Detail::Clocks => clock(target, version),
    };
    ShownValue {
        value: version.payload.value().cloned().unwrap_or_default(),
        expires: version.expiry.at,
        stamp: version.stamp,
        priority: version.priority,
        clock,
    }
}

/// The classic vector clock of a version, with the names of nodes.
pub fn clock(target: &Target, version: &Version) -> Vec<(String, u64)> {
    clock_entries(&version.clock(), |incarnation| target.topology.name_of_incarnation(incarnation))
}
