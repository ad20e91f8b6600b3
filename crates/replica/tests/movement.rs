//! INVARIANTS A1, C1, D4, E2 to E4: partitions move from some owners to others, and nothing that was acknowledged is lost, whatever
//! stops or starts again in between.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Record};
use cluster::{Command, Keyspace, Stage};
use replica::Change;
use ring::ReplicaCount;
use storage::Options;
use support::clients::{self, KEYS, STEP, options, storage};
use support::movers::{key, keyspace_of, plan, value};
use support::owners::Owners;
use support::{LWW, SIBLINGS};
use types::{Epoch, NodeId, PartitionId, WallTime};
use wire::{FetchAsk, ReplicaReply, ReplicaRequest, WritePath};

fn filled(nodes: usize) -> (Owners, BTreeSet<u32>) {
    filled_with(nodes, &storage())
}

fn filled_with(nodes: usize, storage: &Options) -> (Owners, BTreeSet<u32>) {
    clients::filled(nodes, if nodes > 4 { 8 } else { 4 }, storage)
}

fn join(owners: &mut Owners, name: &str) {
    owners.commit(&Command::Join { plan: plan(name), replaces: None });
    owners.adopt_all(|_, _| {});
    owners.start_new(options(), &storage());
}

fn drain(owners: &mut Owners, name: &str) {
    owners.commit(&Command::Drain { names: vec![name.to_owned()], below_n: false });
    owners.adopt_all(|_, _| {});
}

/// Everything that was acknowledged is read by any majority, by whoever goes by whatever state, at any time.
#[track_caller]
fn assert_read(owners: &mut Owners, keys: &BTreeSet<u32>, turn: u32) {
    for number in keys.iter().filter(|number| (**number + turn).is_multiple_of(7)) {
        for by in 0..owners.nodes.len() {
            let found = owners.read(by, *number, (turn + number) as usize);
            assert!(found != Some(false), "{number} is not found, by what node {by} goes by");
        }
    }
}

/// Goes on until nothing moves, while clients write and read, and `at_borders` is called after each node has adopted each stage.
fn move_under_load(
    owners: &mut Owners,
    keys: &mut BTreeSet<u32>,
    mut at_borders: impl FnMut(&mut Owners, usize),
) {
    let (mut next, mut turn) = (10_000, 0);
    loop {
        let mut written = BTreeSet::new();
        let goes_on = owners.go_on(|owners| {
            next += 1;
            if owners.write(next as usize % owners.nodes.len(), next) {
                written.insert(next);
            }
        });
        keys.extend(written);
        if !goes_on {
            return;
        }
        let mut written = BTreeSet::new();
        let all = keys.clone();
        owners.adopt_all(|owners, node| {
            turn += 1;
            for by in 0..owners.nodes.len() {
                next += 1;
                if owners.write(by, next) {
                    written.insert(next);
                }
            }
            at_borders(owners, node);
            assert_read(owners, &all, turn);
        });
        keys.extend(written);
        let all = keys.clone();
        assert_read(owners, &all, turn);
    }
}

#[test]
fn a_node_joins_and_another_leaves_while_clients_write_and_read() {
    let (mut owners, mut keys) = filled(3);
    join(&mut owners, "n4");
    move_under_load(&mut owners, &mut keys, |_, _| {});
    let fetched: u64 = owners.nodes[3].moving().fetched;
    assert!(fetched > 0, "whole runs are fetched");
    owners.assert_at_rest(&keys);
    drain(&mut owners, "n1");
    move_under_load(&mut owners, &mut keys, |_, _| {});
    owners.assert_at_rest(&keys);
    let moving = owners.nodes[0].moving();
    assert!(
        moving.dropped_whole > 0 && moving.dropped == 0,
        "nothing is kept, so whole partitions go: {moving:?}"
    );
    assert!(keys.len() > KEYS as usize + 50, "clients were served: {}", keys.len());
}

/// INVARIANTS E4: whoever stops at whatever border goes on from what is on his disk.
#[test]
fn whoever_stops_at_a_border_of_a_stage_goes_on_from_his_disk() {
    for stops in 0..4 {
        let (mut owners, mut keys) = filled(3);
        join(&mut owners, "n4");
        let mut borders = 0;
        move_under_load(&mut owners, &mut keys, |owners, node| {
            borders += 1;
            if node == stops {
                owners.restart(node, (options(), &storage()), |_| {});
            }
            if borders % 3 == 0 {
                owners.restart(3, (options(), &storage()), |_| {});
            }
        });
        owners.assert_at_rest(&keys);
    }
}

/// INVARIANTS E3: a movement that is given up leaves nothing behind, and the next one begins from the beginning.
#[test]
fn what_was_fetched_for_a_movement_that_is_given_up_is_dropped() {
    let (mut owners, keys) = filled(3);
    join(&mut owners, "n4");
    assert!(owners.go_on(|_| {}));
    owners.adopt_all(|_, _| {});
    let moved: Vec<PartitionId> = owners.state.movements().keys().copied().collect();
    let stored = |owners: &Owners| -> usize {
        moved.iter().map(|one| owners.stored(3, LWW, *one) + owners.stored(3, SIBLINGS, *one)).sum()
    };
    while stored(&owners) == 0 {
        owners.pass(STEP, STEP);
    }
    owners.commit(&Command::Cancel { name: "n4".to_owned() });
    assert!(owners.state.movements().is_empty(), "it is given up");
    owners.adopt_all(|_, _| {});
    owners.pass(Duration::from_secs(5), STEP);
    assert_eq!(stored(&owners), 0);
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// INVARIANTS E3: a new owner that stops between two pages goes on from the note of the last one that it had: what came before is not
/// fetched again, and counts as got.
#[test]
fn a_new_owner_that_stops_between_two_pages_goes_on_from_there() {
    let storage = Options { memory_bytes: 8 << 20, ..Options::tiny() };
    let (mut owners, mut keys) = (Owners::new(3, 4, options(), &storage), BTreeSet::new());
    let bytes = 4_000;
    for number in 0..2_880 {
        let (keyspace, key) = (keyspace_of(number), key(number));
        let put = Change::Put {
            value: Bytes::from(vec![7; bytes]),
            context: Context::Empty,
            expiry: ExpiryChange::Clear,
            priority: 0,
        };
        let record = owners.make(0, keyspace, &key, put).unwrap().record;
        for node in 1..3 {
            assert_eq!(owners.arrives(node, keyspace, &key, record.clone()), ReplicaReply::Stored);
        }
        keys.insert(number);
    }
    owners.pass(Duration::from_secs(5), STEP);
    owners.commit(&Command::Join { plan: plan("n4"), replaces: None });
    owners.adopt_all(|_, _| {});
    owners.start_new(options(), &storage);
    let (mut fetched, mut before, mut resumed, mut stops) = (0, 0, 0, 0);
    while owners.go_on(|_| {}) {
        owners.adopt_all(|_, _| {});
        for _ in 0..20 {
            let now = owners.nodes[3].moving().fetched_bytes;
            let is_in_the_midst = owners.nodes[3].steps().iter().any(|(_, _, what)| *what == "fetching");
            // Each stop costs what was not synced yet, which is to be little beside all.
            if is_in_the_midst && now > before + (1 << 20) && stops < 3 {
                stops += 1;
                owners.restart(3, (options(), &storage), |_| {});
                let got: u64 = owners.nodes[3].fetched().iter().map(|(_, _, bytes)| bytes).sum();
                resumed += u64::from(got > 0);
                fetched += now;
                before = 0;
            }
            owners.pass(STEP, STEP);
        }
        before = before.max(owners.nodes[3].moving().fetched_bytes);
    }
    fetched += owners.nodes[3].moving().fetched_bytes;
    assert!(resumed > 0, "it stops in the midst");
    let moved = keys.iter().filter(|number| {
        let partition = owners.state.partition_of(&key(**number));
        owners.state.owners(keyspace_of(**number), partition).contains(&owners.id(3))
    });
    let moved = moved.count() as u64 * bytes as u64;
    assert!(fetched >= moved && fetched < moved + moved / 4, "{fetched} bytes for {moved}, {resumed} stops");
    owners.assert_at_rest(&keys);
}

/// A write that one owner has made, as it is sent to others.
fn write_made_by(owners: &mut Owners, maker: usize, number: u32) -> (PartitionId, ReplicaRequest) {
    let (keyspace, key) = (keyspace_of(number), key(number));
    let put = Change::Put {
        value: value(number),
        context: Context::Empty,
        expiry: ExpiryChange::Clear,
        priority: 0,
    };
    let record = owners.make(maker, keyspace, &key, put).unwrap().record;
    let partition = owners.state.partition_of(&key);
    let key = Bytes::from(key);
    (partition, ReplicaRequest::Write { keyspace, key, record, path: WritePath::Client, in_place_of: None })
}

/// INVARIANTS E3: a new owner takes writes from the moment at which it goes by the movement. Nothing was kept, so it is empty at once.
#[test]
fn a_new_owner_takes_writes_as_soon_as_it_goes_by_the_movement() {
    let (mut owners, mut keys) = filled(3);
    join(&mut owners, "n4");
    let begin = owners.next().unwrap();
    owners.commit(&begin);
    let is_to_move = |number: &u32| {
        let partition = owners.state.partition_of(&key(*number));
        owners.state.is_filled(owners.id(3), keyspace_of(*number), partition)
    };
    let number = (50_000..60_000).find(is_to_move).unwrap();
    let maker =
        owners.place(owners.state.owners(keyspace_of(number), owners.state.partition_of(&key(number)))[0]);
    let (partition, write) = write_made_by(&mut owners, maker, number);
    let (waits, reply) = owners.adopt_while_asked(3, partition, write);
    assert_eq!((waits, reply), (false, ReplicaReply::Stored));
    keys.insert(number);
    owners.adopt_all(|_, _| {});
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// INVARIANTS E3: where another keyspace of the partition is kept, what is left of an earlier time is looked for, and dropped, one by one.
/// What is written meanwhile waits, and is stored behind that.
#[test]
fn a_write_waits_until_a_new_owner_is_empty() {
    let (mut owners, mut keys) = filled(3);
    let alter = |owners: &mut Owners, n| {
        let keyspace = owners.state.keyspace(SIBLINGS).unwrap().clone();
        let since = keyspace.since;
        let keyspace = Box::new(Keyspace { n: ReplicaCount::Everywhere(n), ..keyspace });
        owners.commit(&Command::AlterKeyspace { keyspace, since });
    };
    alter(&mut owners, 2);
    owners.adopt_all(|_, _| {});
    owners.move_all();
    alter(&mut owners, 3);
    owners.adopt_all(|_, _| {});
    let begin = owners.next().unwrap();
    owners.commit(&begin);
    let number = (50_000..60_000).find(|number| keyspace_of(*number) == SIBLINGS).unwrap();
    let partition = owners.state.partition_of(&key(number));
    let fresh = (0..3).find(|node| owners.state.is_filled(owners.id(*node), SIBLINGS, partition)).unwrap();
    let maker = owners.place(owners.state.owners(SIBLINGS, partition)[0]);
    let (partition, write) = write_made_by(&mut owners, maker, number);
    let (waits, reply) = owners.adopt_while_asked(fresh, partition, write);
    assert_eq!((waits, reply), (true, ReplicaReply::Stored), "it waits for what is read, and is taken in");
    keys.insert(number);
    owners.adopt_all(|_, _| {});
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// A source that cannot be reached is left for another; but nothing is done before every old owner was compared with.
#[test]
fn a_source_that_is_away_is_left_for_another_and_waited_for_in_the_end() {
    let (mut owners, keys) = filled(3);
    join(&mut owners, "n4");
    assert!(owners.go_on(|_| {}));
    owners.adopt_all(|_, _| {});
    owners.silent = Some(0);
    owners.pass(Duration::from_secs(60), STEP);
    assert!(owners.nodes[3].moving().fetched > 0, "another has it too");
    assert_eq!(owners.nodes[3].report(), [], "one of the old owners was not compared with");
    assert_eq!(owners.nodes[3].moving().waits_for, Some(owners.id(0)));
    // Who leads hears for whom it waits, and not only that it is not done: the one that is away may be replaced.
    let progress = owners.progress();
    let mut under_way = owners.state.movements().keys();
    let away = owners.id(0);
    assert!(under_way.all(|one| progress.waits_for(&owners.state, *one, |node| node != away) == [away]));
    let (joins, both) = (owners.id(3), |_| false);
    let mut under_way = owners.state.movements().keys();
    assert!(
        under_way.all(|one| progress.waits_for(&owners.state, *one, both) == [joins]),
        "who waits is away too"
    );
    owners.silent = None;
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// An old owner that has yet to hear of the movement may still acknowledge by what was before: it does not count as compared.
#[test]
fn an_owner_that_goes_by_what_was_before_is_waited_for() {
    let (mut owners, keys) = filled(3);
    join(&mut owners, "n4");
    assert!(owners.go_on(|_| {}));
    for node in [0, 1, 3] {
        owners.adopt(node);
    }
    owners.pass(Duration::from_secs(30), STEP);
    assert_eq!(owners.nodes[3].report(), []);
    owners.adopt(2);
    owners.pass(Duration::from_secs(30), STEP);
    assert_eq!(owners.nodes[3].report().len(), owners.state.movements().len());
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// What is noted at the end of a turn is synced by itself: a node that nobody asks for anything, and that stores nothing else, would
/// never report that it is done.
#[test]
fn who_has_all_that_it_is_to_have_reports_it_though_nobody_asks_anything_more() {
    let (mut owners, keys) = filled(3);
    join(&mut owners, "n4");
    assert!(owners.go_on(|_| {}));
    owners.adopt_all(|_, _| {});
    while owners.nodes[3].moving().filling > 0 {
        owners.pass(STEP, STEP);
    }
    owners.silent = Some(3);
    owners.pass(Duration::from_secs(2), STEP);
    assert_eq!(owners.nodes[3].report().len(), owners.state.movements().len());
    owners.silent = None;
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// INVARIANTS A1, E4: a node that has lost something compares with all who may have it. One who has handed over and dropped has
/// nothing left, and says so: else the node would wait for him as long as the partition moves, and the movement for the node, if it
/// is one that leaves as well.
#[test]
fn who_has_handed_over_is_not_waited_for_by_one_that_has_lost_something() {
    let storage = Options { replicated: true, ..storage() };
    let (mut owners, keys) = filled_with(5, &storage);
    owners.commit(&Command::Drain { names: vec!["n1".to_owned(), "n2".to_owned()], below_n: false });
    owners.adopt_all(|_, _| {});
    let is_clearing = |owners: &Owners, partition: PartitionId| {
        owners.state.movement(partition).is_some_and(|movement| movement.stage == Stage::Clearing)
            && [0, 1].iter().all(|node| owners.state.is_cleared(owners.id(*node), LWW, partition))
    };
    let partitions: Vec<PartitionId> = owners.state.partitions().iter().collect();
    let partition = loop {
        if let Some(found) = partitions.iter().find(|one| is_clearing(&owners, **one)) {
            break *found;
        }
        assert!(owners.go_on(|_| {}), "both leave some partition");
        // The second of them hears of it last, and is not done before the first is.
        owners.adopt_all(|_, _| {});
    };
    owners.silent = Some(1);
    let has_dropped =
        |owners: &Owners| owners.nodes[0].report().iter().any(|step| step.partition == partition);
    while !has_dropped(&owners) {
        owners.pass(STEP, STEP);
    }
    owners.silent = None;
    let stays = owners.place(owners.state.owners(LWW, partition)[0]);
    for lost in [1, stays] {
        owners.restart(lost, (options(), &storage), |disk| {
            let log = disk.paths().into_iter().find(|path| path.to_string_lossy().contains("log-")).unwrap();
            disk.flip_bit(&log, 40, 3);
        });
        assert!(owners.nodes[lost].healing().partitions > 0, "something is missing");
        owners.pass(Duration::from_secs(60), STEP);
        assert_eq!(owners.nodes[lost].healing().partitions, 0, "{:?}", owners.nodes[lost].healing());
    }
    owners.move_all();
    owners.assert_at_rest(&keys);
}

/// INVARIANTS E6: where there are to be fewer copies whoever stays may be the one that has missed what others acknowledged.
#[test]
fn fewer_copies_and_more_copies_again() {
    let (mut owners, mut keys) = filled(3);
    for (turn, n) in [2, 3, 1, 3].into_iter().enumerate() {
        let keyspace = owners.state.keyspace(SIBLINGS).unwrap().clone();
        let since = keyspace.since;
        let keyspace = Box::new(Keyspace { n: ReplicaCount::Everywhere(n), ..keyspace });
        // With one owner that has missed it, as far as W allows.
        owners.silent = Some(turn % 3);
        for number in (20_000 + 100 * u32::try_from(turn).unwrap()..).take(30) {
            if owners.write(usize::from(turn % 3 == 0), number) {
                keys.insert(number);
            }
        }
        owners.silent = None;
        owners.commit(&Command::AlterKeyspace { keyspace, since });
        owners.adopt_all(|_, _| {});
        move_under_load(&mut owners, &mut keys, |_, _| {});
        owners.assert_at_rest(&keys);
    }
}

/// INVARIANTS D1: what was deleted and dropped before a node became an owner does not come back by it, nor what is deleted
/// afterwards; and what old owners had agreed on the new one knows.
#[test]
fn deletes_stay_deletes_over_a_movement() {
    let (mut owners, mut keys) = filled(3);
    let mut copies = Vec::new();
    let delete = |owners: &mut Owners, number: u32, nodes: &[usize]| {
        let (keyspace, key) = (keyspace_of(number), key(number));
        let context = owners.held(nodes[0], keyspace, &key).unwrap().context();
        let made = owners.make(nodes[0], keyspace, &key, Change::Delete { context }).unwrap();
        let record = Record::decode(made.record).unwrap();
        nodes[1..].iter().for_each(|node| owners.store(*node, keyspace, &key, &record));
    };
    for number in (0..KEYS).step_by(3) {
        copies.push((number, owners.held(0, keyspace_of(number), &key(number)).unwrap().to_bytes()));
        delete(&mut owners, number, &[0, 1, 2]);
        keys.remove(&number);
    }
    owners.pass(Duration::from_secs(60), STEP);
    assert!(owners.nodes.iter().any(|node| node.collection(WallTime(0)).dropped > 0), "deletes are dropped");
    join(&mut owners, "n4");
    while owners.go_on(|_| {}) {
        owners.adopt_all(|_, _| {});
        owners.pass(Duration::from_secs(3), STEP);
    }
    owners.assert_at_rest(&keys);
    for (number, record) in copies {
        let (keyspace, key) = (keyspace_of(number), key(number));
        let partition = owners.state.partition_of(&key);
        for owner in owners.state.owners(keyspace, partition).to_vec() {
            let place = owners.place(owner);
            let reply = owners.arrives(place, keyspace, &key, record.clone());
            assert_eq!(reply, ReplicaReply::Settled, "{number} is not taken in by {owner}");
        }
    }
    for number in (1..KEYS).step_by(3) {
        let (keyspace, key) = (keyspace_of(number), key(number));
        let set = owners.state.owners(keyspace, owners.state.partition_of(&key)).to_vec();
        let nodes: Vec<usize> = set.iter().map(|owner| owners.place(*owner)).collect();
        delete(&mut owners, number, &nodes);
    }
    owners.pass(Duration::from_secs(120), STEP);
    let figures = owners.nodes.iter().map(|node| node.collection(WallTime(u64::MAX)));
    let waiting: Vec<_> = figures.map(|figures| (figures.waiting, figures.blocked)).collect();
    assert!(waiting.iter().all(|(waiting, _)| *waiting == 0), "all are dropped in the end: {waiting:?}");
}

/// INVARIANTS D4: what there was of a keyspace that is dropped goes, and nothing of it is taken in or said any more.
#[test]
fn a_keyspace_that_is_dropped_leaves_nothing_behind() {
    let (mut owners, _) = filled(3);
    let name = owners.state.keyspace(SIBLINGS).unwrap().name.clone();
    owners.commit(&Command::DropKeyspace { keyspace: SIBLINGS, name });
    owners.adopt_all(|_, _| {});
    let partition = owners.state.partition_of(&key(1));
    let request = ReplicaRequest::Read { keyspace: SIBLINGS, key: Bytes::from(key(1)), in_place_of: None };
    let reply = owners.asks_by(0, Epoch(1), partition, request);
    assert_eq!(reply, ReplicaReply::StaleEpoch { newest: owners.state.epoch() });
    owners.pass(Duration::from_secs(5), STEP);
    for node in 0..3 {
        for partition in owners.state.partitions().iter() {
            assert_eq!(owners.stored(node, SIBLINGS, partition), 0);
        }
        assert!((0..4).any(|one| owners.stored(node, LWW, PartitionId(one)) > 0));
    }
}

/// INVARIANTS E1, E3: what was routed by what was before is refused on every path, and pages are given for the movement alone that is
/// under way.
#[test]
fn what_comes_late_is_refused() {
    let (mut owners, _) = filled(3);
    let number = 0;
    let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
    let partition = owners.state.partition_of(&key);
    let record = owners.held(0, keyspace, &key).unwrap().to_bytes();
    let before = owners.state.since_in(keyspace, partition);
    join(&mut owners, "n4");
    owners.go_on(|_| {});
    owners.adopt_all(|_, _| {});
    owners.pass(Duration::from_secs(20), STEP);
    let session = owners.state.movement(partition).unwrap().session;
    let newest = owners.state.since_in(keyspace, partition);
    for path in [WritePath::Client, WritePath::Merge] {
        let record = record.clone();
        let request = ReplicaRequest::Write { keyspace, key: key.clone(), record, path, in_place_of: None };
        for node in 0..4 {
            let reply = owners.asks_by(node, before, partition, request.clone());
            assert_eq!(reply, ReplicaReply::StaleEpoch { newest });
        }
    }
    let fetch = |session: Epoch| {
        ReplicaRequest::Fetch(FetchAsk { session, from: Bytes::new(), limit_bytes: 1 << 20 })
    };
    assert!(matches!(owners.asks_by(0, newest, partition, fetch(before)), ReplicaReply::Failed { .. }));
    let reply = owners.asks_by(0, newest, partition, fetch(session.0));
    assert!(matches!(reply, ReplicaReply::Fetched(_)), "{reply:?}");
    while owners.state.movement(partition).is_some_and(|movement| movement.stage == Stage::Filling) {
        owners.go_on(|_| {});
    }
    owners.adopt_all(|_, _| {});
    assert!(matches!(owners.asks_by(0, newest, partition, fetch(session.0)), ReplicaReply::Failed { .. }));
    let member: NodeId = owners.id(3);
    assert!(
        owners.state.owners(keyspace, partition).contains(&member) || !owners.state.movements().is_empty()
    );
}
