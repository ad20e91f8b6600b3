//! A level means what it means at the node that the client asked, whichever owner makes the write.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cluster::{Addresses, ClusterState, FoundingPlan, Keyspace, MemberPlan, Topology};
use coordinator::target::Target;
use quorum::{Level, required};
use ring::{Partitions, ReplicaCount};
use types::{Incarnation, KeyspaceId, NodeId};

const KEYSPACE: KeyspaceId = KeyspaceId(0);

/// Seven nodes in three data centers, which keep three copies, two, and none.
fn cluster() -> Arc<ClusterState> {
    let member = |(number, data_center): (usize, &&str)| MemberPlan {
        name: format!("n{number}"),
        data_center: (*data_center).to_owned(),
        rack: format!("r{number}"),
        weight: 1.0,
        addresses: Addresses::default(),
    };
    let copies = BTreeMap::from([("dc1".to_owned(), 3), ("dc2".to_owned(), 2)]);
    let state = ClusterState::found(FoundingPlan {
        name: "test".to_owned(),
        members: ["dc1", "dc2", "dc3", "dc1", "dc2", "dc1", "dc2"].iter().enumerate().map(member).collect(),
        partitions: Partitions::new(16).unwrap(),
        keyspaces: vec![Keyspace {
            n: ReplicaCount::PerDataCenter(copies),
            ..Keyspace::new(KEYSPACE.0, "default")
        }],
    });
    Arc::new(state.unwrap())
}

fn target(state: &Arc<ClusterState>, here: NodeId) -> Target {
    let topology = Topology::new(Arc::clone(state), here, Incarnation(1)).unwrap();
    Target::new(&Arc::new(topology), KEYSPACE, Bytes::from_static(b"key")).unwrap()
}

#[test]
fn a_level_means_the_same_at_every_maker() {
    let state = cluster();
    let nodes: Vec<NodeId> = state.members().iter().map(|member| member.id).collect();
    for &coordinator in &nodes {
        let asked = target(&state, coordinator);
        for maker in asked.owners.iter().map(|(node, _)| *node) {
            let made = target(&state, maker).asked_by(coordinator);
            for level in [Level::One, Level::Quorum, Level::LocalOne, Level::LocalQuorum, Level::EachQuorum] {
                assert_eq!(
                    required(level, &made.owners, made.local),
                    required(level, &asked.owners, asked.local),
                    "{level} at {coordinator}, made by {maker}"
                );
            }
        }
    }
}
