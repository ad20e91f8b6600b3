//! A cluster of three nodes, as a status.

use api::{GroupStatus, KeyspaceStatus, NodeStanding, NodeState, NodeStatus, SlotRange, Status};
use causality::Policy;
use quorum::Level;
use types::{Epoch, KeyspaceId, NodeId, WallTime};

pub(crate) const DEFAULT: KeyspaceId = KeyspaceId(10);
pub(crate) const SIBLINGS: KeyspaceId = KeyspaceId(11);
pub(crate) const SCRATCH: KeyspaceId = KeyspaceId(12);
pub(crate) const PRIORITY: KeyspaceId = KeyspaceId(13);

pub(crate) fn status() -> Status {
    Status {
        name: "example".into(),
        epoch: Epoch(3),
        here: 0,
        nodes: (1..=3).map(node).collect(),
        keyspaces: vec![
            keyspace(DEFAULT, 0, "default", Policy::Lww),
            keyspace(SIBLINGS, 1, "siblings", Policy::Siblings),
            KeyspaceStatus { allow_flush: true, ..keyspace(SCRATCH, 2, "scratch", Policy::Lww) },
            keyspace(PRIORITY, 3, "priority", Policy::Priority),
        ],
        partitions: 256,
        slots: vec![
            SlotRange { first: 0, last: 99, primary: 0, owners: vec![0, 1, 2] },
            SlotRange { first: 100, last: 5461, primary: 0, owners: vec![0, 2, 1] },
            SlotRange { first: 5462, last: 10922, primary: 1, owners: vec![1, 2, 0] },
            SlotRange { first: 10923, last: 16383, primary: 2, owners: vec![2, 0, 1] },
        ],
        movements: Vec::new(),
        waiting: 0,
        is_merging: false,
        group: GroupStatus::default(),
        data_dir: "data/n1".into(),
        version: "0.1.0".into(),
        started: WallTime(1_000_000),
        notices: vec!["durability is interval".into()],
    }
}

fn node(number: u16) -> NodeStatus {
    let address = |base: u16| Some(([127, 0, 0, 1], base + number).into());
    NodeStatus {
        id: NodeId(number),
        name: format!("n{number}"),
        state: NodeState::Up,
        standing: NodeStanding::Settled,
        data_center: "dc1".into(),
        rack: "r1".into(),
        weight: 1.0,
        partitions: 85,
        replicas: 256,
        resp: address(7000),
        cluster: address(7100),
        http: address(8000),
        peer: address(9000),
    }
}

pub(crate) fn keyspace(id: KeyspaceId, number: u32, name: &str, policy: Policy) -> KeyspaceStatus {
    KeyspaceStatus {
        id,
        number,
        name: name.into(),
        n: 3,
        n_text: "3".into(),
        r: Level::Quorum,
        w: Level::Quorum,
        policy: policy.name().into(),
        quorum: "sloppy".into(),
        durability: "always".into(),
        model: "eventual".into(),
        model_sentence: "Always writable.".into(),
        key_bytes_max: 64 << 10,
        value_bytes_max: 1 << 20,
        siblings_max: 100,
        require_context: false,
        allow_flush: false,
    }
}
