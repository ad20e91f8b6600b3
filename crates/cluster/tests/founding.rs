//! Founding: the same state on every node that has the same plan, and lookups that agree with it.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use cluster::{ClusterState, FoundingPlan, Keyspace};
use common::{found, member, plan};
use proptest::prelude::*;
use quorum::{Durability, Level, Model, QuorumMode};
use ring::ReplicaCount;
use types::{Epoch, KeyspaceId, NodeId, PartitionId};

/// Nodes compare fingerprints before they talk: the order of lines in a file must not keep them apart.
#[test]
fn the_order_of_the_plan_does_not_matter() {
    let keyspaces = vec![Keyspace::new(1, "carts"), Keyspace::new(2, "users"), Keyspace::built_in()];
    let straight = FoundingPlan { keyspaces, ..plan(5) };
    let mut turned = straight.clone();
    turned.members.reverse();
    turned.keyspaces.reverse();
    let (straight, turned) = (ClusterState::found(straight).unwrap(), ClusterState::found(turned).unwrap());
    assert_eq!(straight, turned);
    assert_eq!(straight.fingerprint(), turned.fingerprint());
}

#[test]
fn different_plans_have_different_fingerprints() {
    let mut heavier = plan(3);
    heavier.members[0].weight = 2.0;
    let mut renamed = plan(3);
    renamed.name = "other".to_owned();
    let with_keyspace = FoundingPlan { keyspaces: vec![Keyspace::new(1, "carts")], ..plan(3) };
    let plans = [plan(3), plan(4), heavier, renamed, with_keyspace];
    let fingerprints: BTreeSet<u64> =
        plans.into_iter().map(|plan| ClusterState::found(plan).unwrap().fingerprint()).collect();
    assert_eq!(fingerprints.len(), 5);
}

#[test]
fn members_are_numbered_from_one_in_the_order_of_their_names() {
    let state = found(3, vec![]);
    let numbered: Vec<_> = state.members().iter().map(|member| (member.id, member.name.as_str())).collect();
    assert_eq!(numbered, [(NodeId(1), "n1"), (NodeId(2), "n2"), (NodeId(3), "n3")]);
    assert_eq!(state.epoch(), Epoch(1));
    assert_eq!(state.member(NodeId(2)).unwrap().name, "n2");
    assert_eq!(state.member_by_name("n3").unwrap().id, NodeId(3));
    assert_eq!(state.member(NodeId(4)), None);
    assert_eq!(state.member_by_name("n4"), None);
}

/// What the contract says of keyspace 0: N=3, R=W=quorum, sloppy, lww, always.
#[test]
fn the_built_in_keyspace_is_always_there() {
    let state = found(3, vec![]);
    let default = state.keyspace_by_number(0).unwrap();
    assert_eq!(default, state.default_keyspace());
    assert_eq!(default, state.keyspace_by_name("default").unwrap());
    assert_eq!(default.status().n_text, "3");
    assert_eq!((default.r, default.w), (Level::Quorum, Level::Quorum));
    assert_eq!((default.quorum_mode, default.durability), (QuorumMode::Sloppy, Durability::Always));
    assert_eq!(default.policy.to_string(), "lww");
    assert_eq!(default.limits.value_bytes_max, 1024 * 1024);
}

#[test]
fn three_nodes_own_everything_in_the_order_of_the_walk() {
    let state = found(3, vec![]);
    for partition in state.partitions().iter() {
        let owners = state.owners(KeyspaceId(0), partition);
        assert_eq!(owners.len(), 3);
        assert_eq!(state.rings().ring("dc1").unwrap().claimant(partition), owners.first().copied());
        assert_eq!(state.fallbacks(KeyspaceId(0), partition), []);
    }
}

#[test]
fn there_are_no_owners_of_what_is_not_there() {
    let state = found(3, vec![]);
    assert_eq!(state.owners(KeyspaceId(7), PartitionId(0)), []);
    assert_eq!(state.owners(KeyspaceId(0), PartitionId(256)), []);
    assert_eq!(state.fallbacks(KeyspaceId(7), PartitionId(0)), []);
    assert_eq!(state.keyspace(KeyspaceId(7)), None);
    assert_eq!(state.data_center_of(NodeId(9)), u8::MAX);
}

/// N counts in each data center, and a data center's number is its place among the sorted names.
#[test]
fn each_data_center_keeps_its_own_replicas() {
    let members = ["west", "east"].into_iter().flat_map(|data_center| {
        (1..=3)
            .map(move |number| member(&format!("{data_center}{number}"), data_center, &format!("r{number}")))
    });
    let counts = BTreeMap::from([("east".to_owned(), 2), ("west".to_owned(), 1)]);
    let keyspace = Keyspace { n: ReplicaCount::PerDataCenter(counts), ..Keyspace::new(1, "both") };
    let plan = FoundingPlan { members: members.collect(), keyspaces: vec![keyspace], ..plan(0) };
    let state = ClusterState::found(plan).unwrap();
    assert_eq!(state.data_centers(), ["east", "west"]);
    for partition in state.partitions().iter() {
        let homes: Vec<u8> =
            state.owners(KeyspaceId(1), partition).iter().map(|&node| state.data_center_of(node)).collect();
        assert_eq!(homes, [0, 0, 1]);
        assert_eq!(state.owners(KeyspaceId(0), partition).len(), 6);
    }
    assert_eq!(state.keyspace_by_name("both").unwrap().status().n_text, "east=2,west=1");
}

/// The model is of the copies that there are: a single node is asked by every read and every write.
#[test]
fn the_model_is_named_for_every_keyspace() {
    let model = |nodes, change: fn(&mut Keyspace)| {
        let mut keyspace = Keyspace::new(1, "k");
        change(&mut keyspace);
        found(nodes, vec![keyspace]).keyspace_by_name("k").unwrap().model()
    };
    assert_eq!(model(3, |k| k.quorum_mode = QuorumMode::Strict), Model::Strong);
    assert_eq!(model(3, |_| {}), Model::Eventual, "a sloppy quorum is not strong");
    let weak = |k: &mut Keyspace| (k.r, k.w) = (Level::One, Level::One);
    assert_eq!(model(3, weak), Model::Weak);
    assert_eq!(
        model(3, |k| (k.quorum_mode, k.durability) = (QuorumMode::Strict, Durability::Interval)),
        Model::Eventual
    );
}

/// Runs cover all slots without gap or overlap, and neighbours differ, or they would be one run.
#[test]
fn slot_runs_cover_every_slot_once() {
    for nodes in [1, 2, 3, 5, 9] {
        let state = found(nodes, vec![]);
        let runs = state.slot_runs();
        assert_eq!((runs[0].first, runs[runs.len() - 1].last), (0, 16_383));
        for pair in runs.windows(2) {
            assert_eq!(pair[0].last + 1, pair[1].first);
            assert_ne!(pair[0].owners, pair[1].owners);
        }
    }
    assert_eq!(found(1, vec![]).slot_runs().len(), 1);
}

#[test]
fn a_slot_knows_its_partition_and_the_last_slot_of_it() {
    let state = found(3, vec![]);
    assert_eq!(state.partition_of_slot(0), (PartitionId(0), 63));
    assert_eq!(state.partition_of_slot(64), (PartitionId(1), 127));
    assert_eq!(state.partition_of_slot(16_383), (PartitionId(255), 16_383));
    assert_eq!(state.partition_of(b"foo"), PartitionId(12_182 / 64));
}

#[test]
fn plans_that_cannot_be_served_are_refused_in_words() {
    let refused = |change: &dyn Fn(&mut FoundingPlan)| {
        let mut plan = plan(3);
        change(&mut plan);
        ClusterState::found(plan).unwrap_err().to_string()
    };
    let with = |change: fn(&mut Keyspace)| {
        refused(&move |plan| {
            let mut keyspace = Keyspace::new(1, "carts");
            change(&mut keyspace);
            plan.keyspaces.push(keyspace);
        })
    };
    assert_eq!(refused(&|plan| plan.members.clear()), "cluster.members = 0: a cluster has 1 to 1000 members");
    assert_eq!(
        refused(&|plan| plan.members[2].name = "n1".to_owned()),
        "cluster.members.id = \"n1\": two members have this id: give each its own"
    );
    assert_eq!(
        refused(&|plan| plan.members[1].weight = -2.0),
        "cluster.members.n2.weight = -2: a weight is a number from 0.001 to 1000, usually 1"
    );
    assert_eq!(
        with(|k| k.r = Level::Count(4)),
        "keyspaces.carts.r = 4: n keeps 3 replicas: want at most that many"
    );
    assert_eq!(
        with(|k| k.n = ReplicaCount::Everywhere(0)),
        "keyspaces.carts.n = 0: want 1 to 15 replicas in a data center"
    );
    assert_eq!(
        with(|k| k.n = ReplicaCount::PerDataCenter(BTreeMap::from([("moon".to_owned(), 2)]))),
        "keyspaces.carts.n = moon=2: there is no data center moon; there are dc1"
    );
    assert_eq!(
        with(|k| k.limits.value_bytes_max = 1 << 30),
        "keyspaces.carts.limits.value_bytes_max = 1073741824: want 0 to 67108864"
    );
    assert_eq!(
        with(|k| (k.number, k.id) = (0, KeyspaceId(0))),
        "keyspaces.carts.number = 0: number 0 belongs to the keyspace `default`"
    );
    assert_eq!(
        refused(&|plan| plan.keyspaces = vec![Keyspace::new(3, "a"), Keyspace::new(3, "b")]),
        "keyspaces.b.number = 3: another keyspace has this number: give each its own, or leave it out"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Owners and fallbacks together are the preference list: every node of the data center, each once.
    #[test]
    fn owners_and_fallbacks_are_every_node_once(nodes in 1_usize..12, n in 1_u8..6, partition in 0_u16..256) {
        let keyspace = Keyspace { n: ReplicaCount::Everywhere(n), ..Keyspace::new(1, "k") };
        let state = found(nodes, vec![keyspace]);
        let list = state.preference_list(KeyspaceId(1), PartitionId(partition));
        prop_assert_eq!(&list.owners[..], state.owners(KeyspaceId(1), PartitionId(partition)));
        prop_assert_eq!(list.owners.len(), usize::from(n).min(nodes));
        let all: BTreeSet<NodeId> = list.owners.iter().chain(&list.fallbacks).copied().collect();
        prop_assert_eq!((all.len(), list.owners.len() + list.fallbacks.len()), (nodes, nodes));
    }
}
