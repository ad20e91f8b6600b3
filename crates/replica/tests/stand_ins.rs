//! INVARIANTS A3, B2, F3: what stand-ins keep for owners reaches whoever owns it by then, though partitions move meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Record};
use cluster::{Command, Stage};
use replica::Change;
use support::clients::{STEP, filled, options, storage};
use support::movers::{key, keyspace_of, plan};
use types::NodeId;
use wire::{ReplicaReply, ReplicaRequest, WritePath};

/// INVARIANTS F3: what a stand-in keeps for one who has left reaches those who own it by then.
#[test]
fn hints_reach_those_who_own_the_key_by_now() {
    let (mut owners, _) = filled(4, 4, &storage());
    let number = 77_000;
    let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
    let partition = owners.state.partition_of(&key);
    let members: Vec<NodeId> = owners.state.members().iter().map(|member| member.id).collect();
    let set = owners.state.owners(keyspace, partition).to_vec();
    let stand_in = members.iter().find(|node| !set.contains(node)).copied().unwrap();
    let (stand_in, leaves) = (owners.place(stand_in), set[0]);
    let record = support::lww(1, causality::Stamp(owners.now.wall.0 << 16), b"kept").to_bytes();
    // The one that leaves cannot be reached by whoever stands in, who alone has the write.
    owners.nodes[stand_in].peer_lost(owners.now, leaves);
    let epoch = owners.state.since_in(keyspace, partition);
    let request = ReplicaRequest::Write {
        keyspace,
        key: key.clone(),
        record,
        path: WritePath::Merge,
        in_place_of: Some(leaves),
    };
    assert_eq!(owners.asks_by(stand_in, epoch, partition, request), ReplicaReply::Stored);
    let name = owners.state.member(leaves).unwrap().name.clone();
    owners.commit(&Command::Remove { name, below_n: true, lose_data: false });
    owners.silent = Some(owners.place(leaves));
    owners.adopt_all(|_, _| {});
    owners.move_all();
    owners.pass(Duration::from_secs(60), STEP);
    let set = owners.state.owners(keyspace, partition).to_vec();
    assert!(!set.contains(&leaves));
    for owner in set {
        assert!(owners.held(owners.place(owner), keyspace, &key).is_some(), "{owner} has it");
    }
    assert_eq!(owners.nodes[stand_in].handoff().waiting, 0);
}

/// INVARIANTS B2: who stands in where it has made writes as an owner does so under a fresh stint: what it keeps for another says nothing of
/// those, and under the same actor would claim them.
#[test]
fn who_stands_in_where_it_was_an_owner_does_so_as_another_actor() {
    let (mut owners, _) = filled(3, 4, &storage());
    let put = |value: &'static [u8]| Change::Put {
        value: Bytes::from_static(value),
        context: Context::Empty,
        expiry: ExpiryChange::Clear,
        priority: 0,
    };
    let dot = |made: replica::Made| Record::decode(made.record).unwrap().versions()[0].dot;
    let numbers: Vec<u32> = (0..40).map(|number| 80_001 + 2 * number).collect();
    let mut as_owner = std::collections::BTreeMap::new();
    for number in &numbers {
        for node in 0..3 {
            let made = owners.make(node, keyspace_of(*number), &key(*number), put(b"owned")).unwrap();
            as_owner.insert((*number, node), dot(made));
        }
    }
    owners.pass(Duration::from_secs(5), STEP);
    owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
    owners.adopt_all(|_, _| {});
    owners.start_new(options(), &storage());
    owners.move_all();
    let mut stood_in = 0;
    for ((number, node), before) in as_owner {
        let (keyspace, id) = (keyspace_of(number), owners.id(node));
        let set = owners.state.owners(keyspace, owners.state.partition_of(&key(number))).to_vec();
        if !set.contains(&id) {
            let made =
                owners.make_in_place_of(node, keyspace, &key(number), put(b"kept"), (None, Some(set[0])));
            assert_ne!(dot(made.unwrap()).actor, before.actor, "{number} by {node}");
            stood_in += 1;
        }
    }
    assert!(stood_in > 0, "somebody is an owner no more");
}

/// INVARIANTS A3, E4: what a stand-in keeps for one who is handing over the partition is for the new owners. He may have compared all that
/// he had, and would drop what he is given then (seed 720598).
#[test]
fn hints_for_one_who_hands_over_reach_the_new_owners() {
    let (mut owners, _) = filled(5, 8, &storage());
    let number = 77_000;
    let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
    let partition = owners.state.partition_of(&key);
    let set = owners.state.owners(keyspace, partition).to_vec();
    let leaves = set[0];
    let name = owners.state.member(leaves).unwrap().name.clone();
    let drain = Command::Drain { names: vec![name], below_n: false };
    let gaining = owners.state.apply(&drain).unwrap().gaining(partition);
    let mut members = owners.state.members().iter().map(|one| one.id);
    let stand_in = members.find(|node| !set.contains(node) && !gaining.contains(node)).unwrap();
    let stand_in = owners.place(stand_in);
    // They do not reach each other, and he alone has the write.
    owners.nodes[stand_in].peer_lost(owners.now, leaves);
    let request = ReplicaRequest::Write {
        keyspace,
        key: key.clone(),
        record: support::lww(1, causality::Stamp(owners.now.wall.0 << 16), b"kept").to_bytes(),
        path: WritePath::Merge,
        in_place_of: Some(leaves),
    };
    let epoch = owners.state.since_in(keyspace, partition);
    assert_eq!(owners.asks_by(stand_in, epoch, partition, request), ReplicaReply::Stored);
    owners.commit(&drain);
    owners.adopt_all(|_, _| {});
    while owners.state.movement(partition).is_none_or(|movement| movement.stage != Stage::Clearing) {
        assert!(owners.go_on(|_| {}), "the partition moves");
        owners.adopt_all(|_, _| {});
    }
    owners.pass(Duration::from_secs(20), STEP);
    for owner in owners.state.owners(keyspace, partition).to_vec() {
        assert!(owners.held(owners.place(owner), keyspace, &key).is_some(), "{owner} has it");
    }
}
