//! INVARIANTS A1, B1, D1, E1 to E4: halves are brought together and joined, and nothing that was acknowledged is lost, nothing that was
//! deleted comes back, whatever stops or starts again, or sleeps through it.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use causality::Record;
use cluster::Command;
use replica::Change;
use support::clients::{self, KEYS, STEP, options, restart, serve_clients, storage};
use support::movers::{key, keyspace_of, plan};
use support::owners::Owners;
use types::WallTime;
use wire::{ReplicaReply, ReplicaRequest, WritePath};

fn filled(nodes: usize) -> (Owners, BTreeSet<u32>) {
    clients::filled(nodes, 8, &storage())
}

fn merge(owners: &mut Owners) {
    let partitions = owners.state.partitions().count();
    owners.commit(&Command::Merge { partitions });
}

/// Brings all halves together, and leaves them at that.
fn bring_together(owners: &mut Owners) -> Command {
    merge(owners);
    owners.adopt_all(|_, _| {});
    while !owners.state.may_join_halves() {
        assert!(owners.go_on(|_| {}));
        owners.adopt_all(|_, _| {});
    }
    Command::JoinHalves { partitions: owners.state.partitions().count() }
}

/// Whoever hears of each step when, and whoever stops there: halves that are with different nodes come together, and become one.
#[test]
fn halves_come_together_and_are_joined_under_clients() {
    for restarts in [false, true] {
        let (mut owners, mut keys) = filled(3);
        let mut next = 10_000;
        owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
        owners.adopt_all(|_, _| {});
        owners.start_new(options(), &storage());
        owners.move_all();
        merge(&mut owners);
        assert!(owners.state.waiting_to_move().next().is_some(), "some halves are apart");
        loop {
            owners.adopt_all(|owners, node| {
                serve_clients(owners, &mut keys, &mut next);
                if restarts && node % 2 == 0 {
                    restart(owners, node);
                }
            });
            if !owners.go_on(|_| {}) {
                break;
            }
        }
        assert_eq!(owners.state.partition_count(), 4);
        owners.assert_at_rest(&keys);
    }
}

/// Who slept through the joining, and through what moved as a whole afterwards, is right when it has heard: it goes through it all in
/// the order in which it came, whatever it finds on its disk.
#[test]
fn who_was_down_while_halves_were_joined_goes_on_from_its_disk() {
    for (sleeper, is_halved_again) in (0..3).flat_map(|sleeper| [(sleeper, false), (sleeper, true)]) {
        let (mut owners, mut keys) = filled(3);
        let mut next = 10_000;
        let join = bring_together(&mut owners);
        owners.silent = Some(sleeper);
        owners.commit(&join);
        owners.adopt_all(|_, _| {});
        serve_clients(&mut owners, &mut keys, &mut next);
        owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
        owners.adopt_all(|_, _| {});
        owners.start_new(options(), &storage());
        let begin = Command::Begin { partitions: owners.state.waiting_to_move().collect() };
        owners.commit(&begin);
        owners.adopt_all(|_, _| {});
        owners.pass(Duration::from_secs(1), STEP);
        if is_halved_again {
            // There are as many as it knows of, and they are not those.
            owners.commit(&Command::Halve { partitions: 4 });
            owners.adopt_all(|_, _| {});
        }
        serve_clients(&mut owners, &mut keys, &mut next);
        owners.silent = None;
        restart(&mut owners, sleeper);
        owners.adopt(sleeper);
        restart(&mut owners, sleeper);
        while owners.go_on(|_| {}) {
            owners.adopt_all(|owners, _| serve_clients(owners, &mut keys, &mut next));
        }
        owners.assert_at_rest(&keys);
    }
}

fn delete(owners: &mut Owners, keys: &mut BTreeSet<u32>, number: u32) {
    let (keyspace, key) = (keyspace_of(number), key(number));
    let context = owners.held(0, keyspace, &key).unwrap().context();
    let made = owners.make(0, keyspace, &key, Change::Delete { context }).unwrap();
    let record = Record::decode(made.record).unwrap();
    [1, 2].iter().for_each(|node| owners.store(*node, keyspace, &key, &record));
    keys.remove(&number);
}

/// INVARIANTS D1, H6: what was agreed on of one half alone goes on to be refused there, and says nothing of the other, in which the
/// same actor has counted less far; and so with who starts again. What is deleted afterwards is dropped in the end.
#[test]
fn deletes_stay_deletes_though_halves_had_different_marks() {
    for restarts in [None, Some(false), Some(true)] {
        let (mut owners, mut keys) = filled(3);
        let mut copies = Vec::new();
        let of_first: Vec<u32> =
            (0..KEYS).filter(|number| owners.state.partition_of(&key(*number)).0 % 2 == 0).collect();
        for number in of_first.iter().copied().step_by(2) {
            copies.push((number, owners.held(0, keyspace_of(number), &key(number)).unwrap().to_bytes()));
            delete(&mut owners, &mut keys, number);
        }
        owners.pass(Duration::from_secs(60), STEP);
        assert!(
            owners.nodes.iter().all(|node| node.collection(WallTime(0)).dropped > 0),
            "deletes are dropped"
        );
        let join = bring_together(&mut owners);
        // Of the other half this has reached nobody yet, and its number is among those that were settled of the first.
        owners.silent = Some(0);
        let unsettled =
            KEYS + (0..).find(|more| owners.state.partition_of(&key(KEYS + more)).0 % 2 == 1).unwrap();
        let put = Change::Put {
            value: Bytes::from_static(b"late"),
            context: causality::Context::Empty,
            expiry: api::ExpiryChange::Clear,
            priority: 0,
        };
        let made = owners.make(0, keyspace_of(unsettled), &key(unsettled), put).unwrap();
        owners.commit(&join);
        for node in [1, 2, 0] {
            owners.adopt(node);
            match restarts {
                Some(true) => restart(&mut owners, node),
                Some(false) => {
                    owners.pass(Duration::from_secs(2), STEP);
                    restart(&mut owners, node);
                }
                None => {}
            }
        }
        for (number, record) in &copies {
            for node in 0..3 {
                let reply = owners.arrives(node, keyspace_of(*number), &key(*number), record.clone());
                assert_eq!(reply, ReplicaReply::Settled, "{number} is not taken in by {node}, {restarts:?}");
            }
        }
        let reply = owners.arrives(1, keyspace_of(unsettled), &key(unsettled), made.record.clone());
        assert_eq!(reply, ReplicaReply::Stored, "it is not taken for settled");
        owners.silent = None;
        keys.insert(unsettled);
        for number in (0..KEYS).filter(|number| number % 3 == 1) {
            if keys.contains(&number) {
                delete(&mut owners, &mut keys, number);
            }
        }
        owners.pass(Duration::from_secs(180), STEP);
        let figures = owners.nodes.iter().map(|node| node.collection(WallTime(u64::MAX)));
        let waiting: Vec<_> = figures.map(|figures| (figures.waiting, figures.blocked)).collect();
        assert!(waiting.iter().all(|(waiting, _)| *waiting == 0), "all are dropped in the end: {waiting:?}");
        for (number, record) in copies {
            let reply = owners.arrives(1, keyspace_of(number), &key(number), record);
            assert_eq!(reply, ReplicaReply::Settled, "{number} is not taken in after two more rounds");
        }
        owners.assert_at_rest(&keys);
    }
}

/// INVARIANTS E1: what names a partition by its number of before is refused on every path, whether there is one of that number or not.
#[test]
fn what_was_routed_by_more_partitions_is_refused() {
    let (mut owners, _) = filled(3);
    let join = bring_together(&mut owners);
    let named: Vec<_> = (0..40)
        .map(|number| {
            let partition = owners.state.partition_of(&key(number));
            (number, partition, owners.state.since_in(keyspace_of(number), partition))
        })
        .collect();
    owners.commit(&join);
    owners.adopt_all(|_, _| {});
    let newest = owners.state.epoch();
    for (number, partition, before) in named {
        let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
        let record = support::lww(1, causality::Stamp(1), b"late").to_bytes();
        let requests = [
            ReplicaRequest::Read { keyspace, key: key.clone(), in_place_of: None },
            ReplicaRequest::ReadHeld { keyspace, key: key.clone(), own: None },
            ReplicaRequest::Write {
                keyspace,
                key: key.clone(),
                record,
                path: WritePath::Merge,
                in_place_of: None,
            },
        ];
        for request in requests {
            let reply = owners.asks_by(1, before, partition, request.clone());
            assert_eq!(reply, ReplicaReply::StaleEpoch { newest }, "{request:?}");
        }
    }
}
