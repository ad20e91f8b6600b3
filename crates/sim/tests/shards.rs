//! Nodes of several shards: whichever node and shard a client's connection is at, it meets one store.

use std::collections::BTreeSet;
use std::time::Duration;

use api::{Command, KeyRequest, Operation, Outcome, Reply, Request, ScanRequest, Scope};
use bytes::Bytes;
use sim::scenario::{REGISTERS, Scenario};
use sim::trace::Trace;
use sim::{Answer, World};

fn key(number: usize) -> Bytes {
    Bytes::from(format!("k{number}"))
}

fn request(number: usize, operation: Operation) -> KeyRequest {
    KeyRequest { keyspace: REGISTERS, key: key(number), operation }
}

/// Nodes with 4, 1 and 2 shards.
fn world(seed: u64) -> World {
    let scenario = Scenario { shards: vec![4, 1, 2], partitions: 16, ..Scenario::calm(seed, 3) };
    let mut world = World::new(scenario, Trace::new(false));
    world.pass(Duration::from_secs(1));
    world
}

fn ask(world: &mut World, place: usize, command: Command) -> Reply {
    match world.ask_and_wait(place, Request::new(command)) {
        Answer::Outcome(Ok(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

fn values(outcome: &Outcome) -> Vec<Bytes> {
    match outcome {
        Ok(Reply::Found(found)) => found.values.iter().map(|value| value.value.clone()).collect(),
        other => panic!("{other:?}"),
    }
}

/// Batches, reads, counts and walks over keys of all shards, asked at every node, by connections that take turns at shards.
#[test]
fn every_connection_meets_the_same_keys() {
    const KEYS: usize = 60;
    for seed in 0..4 {
        let mut world = world(seed);
        let puts = (0..KEYS).map(|number| request(number, Operation::put(key(number)))).collect();
        let Reply::Batch(outcomes) = ask(&mut world, 0, Command::Batch(puts)) else { panic!("a batch") };
        assert_eq!(outcomes.len(), KEYS);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Reply::Written(_)))), "{outcomes:?}");
        for place in 0..3 {
            for round in 0..4 {
                let gets = (0..KEYS).map(|number| request(number, Operation::get())).collect();
                let Reply::Batch(outcomes) = ask(&mut world, place, Command::Batch(gets)) else {
                    panic!("a batch")
                };
                for (number, outcome) in outcomes.iter().enumerate() {
                    assert_eq!(values(outcome), [key(number)], "at {place}, round {round}");
                }
                let one = Ok(ask(&mut world, place, Command::Key(request(round, Operation::get()))));
                assert_eq!(values(&one), [key(round)]);
                let count = Command::Count { keyspace: REGISTERS, scope: Scope::Cluster };
                assert_eq!(ask(&mut world, place, count), Reply::Count(KEYS as u64));
                assert_eq!(walk(&mut world, place).len(), KEYS);
            }
        }
        assert!(world.violations().is_empty(), "{:?}", world.violations());
    }
}

/// A cursor that one shard of one node gave out is good at every other.
fn walk(world: &mut World, place: usize) -> BTreeSet<Bytes> {
    let (mut cursor, mut found, mut steps) = (0, BTreeSet::new(), 0);
    loop {
        let scan = ScanRequest { keyspace: REGISTERS, cursor, count: 7, scope: Scope::Cluster };
        let Reply::Scan(page) = ask(world, (place + steps) % 3, Command::Scan(scan)) else {
            panic!("a page")
        };
        found.extend(page.keys);
        (cursor, steps) = (page.cursor, steps + 1);
        if cursor == 0 {
            return found;
        }
    }
}

/// A wait for acknowledgements finds the write at whichever shard made it.
#[test]
fn acknowledgements_are_found_by_the_name_of_the_write() {
    let mut world = world(7);
    for number in 0..12 {
        let put = Command::Key(request(number, Operation::put(key(number))));
        let Reply::Written(written) = ask(&mut world, 0, put) else { panic!("written") };
        let wait = Command::AwaitAcknowledgements { operation: written.operation, replicas: 3 };
        assert_eq!(ask(&mut world, 0, wait), Reply::Acknowledged(3));
    }
}

/// What was stored under one division is there under another, and when the first is back.
#[test]
fn a_node_that_is_divided_anew_keeps_its_data() {
    /// A start draws another division than before in one case of six, so these are more than enough.
    const ROUNDS_MAX: usize = 100;
    let scenario =
        Scenario { shards: vec![1, 4], redivides: true, replicas: 1, partitions: 16, ..Scenario::calm(3, 1) };
    let mut world = World::new(scenario, Trace::new(false));
    world.pass(Duration::from_secs(1));
    let mut divisions = vec![world.hosts()[0].shards.len()];
    for round in 0..ROUNDS_MAX {
        ask(&mut world, 0, Command::Key(request(round, Operation::put(key(round)))));
        world.stop_cleanly(0);
        world.pass(Duration::from_secs(5));
        for number in 0..=round {
            let one = Ok(ask(&mut world, 0, Command::Key(request(number, Operation::get()))));
            assert_eq!(values(&one), [key(number)], "after start {round}");
        }
        divisions.push(world.hosts()[0].shards.len());
        divisions.dedup();
        if divisions.len() == 3 {
            break;
        }
    }
    assert_eq!(divisions.len(), 3, "{divisions:?}");
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}
