//! INVARIANTS A1, B1, D1, E1 to E4: partitions are halved, also while they move, and nothing that was acknowledged is lost, nothing that
//! was deleted comes back, whatever stops or starts again, or sleeps through it.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use causality::Record;
use cluster::{Command, Stage};
use replica::Change;
use support::clients::{self, KEYS, STEP, options, restart, serve_clients, storage};
use support::movers::{key, keyspace_of, plan};
use support::owners::Owners;
use types::{PartitionId, WallTime};
use wire::{FetchAsk, ReplicaReply, ReplicaRequest, WritePath};

fn filled(nodes: usize) -> (Owners, BTreeSet<u32>) {
    clients::filled(nodes, 4, &storage())
}

fn halve(owners: &mut Owners) {
    let partitions = owners.state.partitions().count();
    owners.commit(&Command::Halve { partitions });
}

/// Whatever a movement has come to when its partition is halved, and whoever hears of it when, both halves arrive.
#[test]
fn both_halves_of_a_partition_that_moves_go_on() {
    for halved_after in 0..8 {
        let (mut owners, mut keys) = filled(3);
        let (mut next, mut steps) = (10_000, 0);
        owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
        owners.adopt_all(|_, _| {});
        owners.start_new(options(), &storage());
        loop {
            if steps == halved_after {
                halve(&mut owners);
                owners.adopt_all(|owners, node| {
                    serve_clients(owners, &mut keys, &mut next);
                    // Some stop with what they have under the keys of before, and start again by what they knew.
                    if node % 2 == 0 {
                        restart(owners, node);
                    }
                });
            }
            steps += 1;
            if !owners.go_on(|_| {}) {
                break;
            }
            owners.adopt_all(|owners, _| serve_clients(owners, &mut keys, &mut next));
        }
        assert!(steps > halved_after, "it is halved while it moves");
        owners.assert_at_rest(&keys);
    }
}

/// What is fetched is fetched once: the halves go on from where the whole was.
#[test]
fn what_was_fetched_of_the_whole_is_not_fetched_again() {
    let fetched = |is_halved: bool| {
        let (mut owners, keys) = filled(3);
        owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
        owners.adopt_all(|_, _| {});
        owners.start_new(options(), &storage());
        assert!(owners.go_on(|_| {}));
        owners.adopt_all(|_, _| {});
        while owners.nodes[3].moving().fetched < 20 {
            owners.pass(Duration::from_millis(10), Duration::from_millis(10));
        }
        if is_halved {
            halve(&mut owners);
            owners.adopt_all(|_, _| {});
        }
        owners.move_all();
        owners.assert_at_rest(&keys);
        owners.nodes[3].moving().fetched
    };
    let (whole, halved) = (fetched(false), fetched(true));
    assert!(halved <= whole + whole / 4, "{halved} records were fetched, and {whole} without");
}

/// Who slept through it, and finds what is on its disk under other numbers, is right when it has heard.
#[test]
fn who_was_down_while_partitions_were_halved_twice_goes_on_from_its_disk() {
    for sleeper in 0..4 {
        let (mut owners, mut keys) = filled(3);
        let mut next = 10_000;
        owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
        owners.adopt_all(|_, _| {});
        owners.start_new(options(), &storage());
        for _ in 0..2 {
            assert!(owners.go_on(|_| {}));
            owners.adopt_all(|_, _| {});
        }
        owners.pass(Duration::from_secs(1), STEP);
        owners.silent = Some(sleeper);
        for _ in 0..2 {
            halve(&mut owners);
            owners.adopt_all(|_, _| {});
            owners.pass(Duration::from_secs(1), STEP);
            serve_clients(&mut owners, &mut keys, &mut next);
        }
        owners.silent = None;
        restart(&mut owners, sleeper);
        owners.adopt(sleeper);
        restart(&mut owners, sleeper);
        while owners.go_on(|_| {}) {
            owners.adopt_all(|owners, _| serve_clients(owners, &mut keys, &mut next));
        }
        assert_eq!(owners.state.partition_count(), 16);
        owners.assert_at_rest(&keys);
    }
}

/// INVARIANTS D1, H6: what the owners of a whole agreed on its halves know, and so does who starts again before or after it has
/// written that down anew. What was dropped is not taken in again, and what is deleted afterwards is dropped in the end.
#[test]
fn deletes_stay_deletes() {
    for restarts in [None, Some(false), Some(true)] {
        let (mut owners, mut keys) = filled(3);
        let mut copies = Vec::new();
        let delete = |owners: &mut Owners, number: u32| {
            let (keyspace, key) = (keyspace_of(number), key(number));
            let context = owners.held(0, keyspace, &key).unwrap().context();
            let made = owners.make(0, keyspace, &key, Change::Delete { context }).unwrap();
            let record = Record::decode(made.record).unwrap();
            [1, 2].iter().for_each(|node| owners.store(*node, keyspace, &key, &record));
        };
        for number in (0..KEYS).step_by(3) {
            copies.push((number, owners.held(0, keyspace_of(number), &key(number)).unwrap().to_bytes()));
            delete(&mut owners, number);
            keys.remove(&number);
        }
        owners.pass(Duration::from_secs(60), STEP);
        assert!(
            owners.nodes.iter().all(|node| node.collection(WallTime(0)).dropped > 0),
            "deletes are dropped"
        );
        halve(&mut owners);
        for node in 0..3 {
            owners.adopt(node);
            match restarts {
                // What was written under the keys of the halves is not synced yet.
                Some(true) => restart(&mut owners, node),
                Some(false) => {
                    owners.pass(Duration::from_secs(2), STEP);
                    restart(&mut owners, node);
                }
                None => {}
            }
        }
        for (number, record) in copies {
            for node in 0..3 {
                let reply = owners.arrives(node, keyspace_of(number), &key(number), record.clone());
                assert_eq!(reply, ReplicaReply::Settled, "{number} is not taken in by {node}, {restarts:?}");
            }
        }
        (1..KEYS).step_by(3).for_each(|number| delete(&mut owners, number));
        keys.retain(|number| number % 3 != 1);
        owners.pass(Duration::from_secs(120), STEP);
        let figures = owners.nodes.iter().map(|node| node.collection(WallTime(u64::MAX)));
        let waiting: Vec<_> = figures.map(|figures| (figures.waiting, figures.blocked)).collect();
        assert!(waiting.iter().all(|(waiting, _)| *waiting == 0), "all are dropped in the end: {waiting:?}");
        owners.assert_at_rest(&keys);
    }
}

/// INVARIANTS E1: what names a partition by its number of before is refused on every path, though there is one of that number, and so
/// is what names one that there is not.
#[test]
fn what_was_routed_by_fewer_partitions_is_refused() {
    let (mut owners, _) = filled(3);
    owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
    owners.adopt_all(|_, _| {});
    owners.start_new(options(), &storage());
    assert!(owners.go_on(|_| {}));
    owners.adopt_all(|_, _| {});
    let moving = owners.state.movements().iter().map(|(partition, movement)| (*partition, movement.session));
    let (partition, session) = moving.max().unwrap();
    let number = (0..).find(|number| owners.state.partition_of(&key(*number)) == partition).unwrap();
    let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
    let before = owners.state.since_in(keyspace, partition);
    halve(&mut owners);
    owners.adopt_all(|_, _| {});
    let newest = owners.state.epoch();
    assert_eq!(owners.state.since_in(keyspace, partition), newest);
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
        for node in 0..4 {
            let reply = owners.asks_by(node, before, partition, request.clone());
            assert_eq!(reply, ReplicaReply::StaleEpoch { newest }, "{request:?}");
        }
    }
    // A page for a half is asked for by the half's number alone, and ends where the half does.
    let partition = PartitionId(2 * partition.0);
    assert_eq!(owners.state.movement(partition).map(|movement| movement.stage), Some(Stage::Filling));
    let fetch = FetchAsk { session: session.0, from: Bytes::new(), limit_bytes: 1 << 20 };
    let ReplicaReply::Fetched(page) = owners.asks_by(0, newest, partition, ReplicaRequest::Fetch(fetch))
    else {
        panic!("an old owner gives it");
    };
    for (key, _) in page.entries {
        let place = replica::store_key::parse(&key).unwrap();
        assert_eq!(owners.state.partition_of(&place.key), partition);
    }
}
