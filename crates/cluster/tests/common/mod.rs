//! Plans that several tests found clusters from.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]
#![allow(dead_code, reason = "each test binary uses its part")]

use cluster::{Addresses, ClusterState, FoundingPlan, Keyspace, MemberPlan};
use ring::Partitions;

/// A member of which only name, data center and rack are of interest.
pub(crate) fn member(name: &str, data_center: &str, rack: &str) -> MemberPlan {
    MemberPlan {
        name: name.to_owned(),
        data_center: data_center.to_owned(),
        rack: rack.to_owned(),
        weight: 1.0,
        addresses: Addresses::default(),
    }
}

/// So many members `n1`, `n2` ... in `dc1`, each in a rack of its own.
pub(crate) fn plan(nodes: usize) -> FoundingPlan {
    let members =
        (1..=nodes).map(|number| member(&format!("n{number}"), "dc1", &format!("r{number}"))).collect();
    FoundingPlan {
        name: "test".to_owned(),
        members,
        partitions: Partitions::default(),
        keyspaces: Vec::new(),
    }
}

/// A cluster of so many nodes with these keyspaces beside `default`.
pub(crate) fn found(nodes: usize, keyspaces: Vec<Keyspace>) -> ClusterState {
    ClusterState::found(FoundingPlan { keyspaces, ..plan(nodes) }).unwrap()
}
