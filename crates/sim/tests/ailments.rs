//! Machines that ail and go on: what a slow node, one whose syncs fail, and one whose disk is full do to their clients.

use std::time::Duration;

use api::{Command, Error, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use sim::faults::FaultKind;
use sim::scenario::{REGISTERS, Scenario};
use sim::trace::Trace;
use sim::{Answer, Report, World};

fn ask(key: u64, operation: Operation) -> Request {
    let key = Bytes::from(format!("key:{key}"));
    Request::new(Command::Key(KeyRequest { keyspace: REGISTERS, key, operation }))
}

fn put(key: u64) -> Request {
    ask(key, Operation::put(Bytes::from(vec![b'v'; 700])))
}

fn delete(key: u64) -> Request {
    ask(key, Operation::delete())
}

fn is_written(answer: &Answer) -> bool {
    matches!(answer, Answer::Outcome(Ok(Reply::Written(_))))
}

fn world(nodes: usize, fault: FaultKind) -> World {
    let scenario = Scenario { faults: vec![fault], ..Scenario::calm(5, nodes) };
    let mut world = World::new(scenario, Trace::new(false));
    world.pass(Duration::from_secs(1));
    world
}

#[track_caller]
fn assert_no_violation(world: &World) {
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

/// A majority of the owners answers as fast as ever.
#[test]
fn the_others_serve_while_one_node_is_slow() {
    let mut world = world(3, FaultKind::SlowNode);
    world.slow_node(0, 50);
    let until = world.now() + Duration::from_secs(2);
    let mut written = 0;
    while world.now() < until {
        written += u64::from(is_written(&world.ask_and_wait(1, put(written))));
    }
    assert!(written > 200, "{written} in two seconds");
    world.heal();
    world.pass(Duration::from_secs(10));
    assert!(world.is_whole());
    assert_no_violation(&world);
}

/// A failed sync is no sync: the node stops, and nobody is told that it has stored what it may not have.
#[test]
fn a_node_whose_sync_fails_stops_and_nothing_acknowledged_is_lost() {
    let mut world = world(1, FaultKind::FailedSync);
    assert!(is_written(&world.ask_and_wait(0, put(1))));
    let life = world.hosts()[0].life;
    world.fail_syncs(0);
    let answer = world.ask_and_wait(0, put(2));
    assert!(!is_written(&answer), "{answer:?}");
    assert!(world.hosts()[0].life != life, "it is down, or started again");
    world.pass(Duration::from_secs(5));
    assert!(world.is_whole(), "it has started again");
    assert!(!world.ails());
    let found = world.ask_and_wait(0, ask(1, Operation::get()));
    assert!(
        matches!(&found, Answer::Outcome(Ok(Reply::Found(found))) if !found.values.is_empty()),
        "{found:?}"
    );
    assert!(is_written(&world.ask_and_wait(0, put(2))));
    assert_no_violation(&world);
}

/// A full disk refuses values for certain and says why, takes deletes in, and values again as soon as there is room: in the
/// same life.
#[test]
fn a_node_whose_disk_is_full_refuses_values_takes_deletes_and_goes_on_without_a_restart() {
    let mut world = world(1, FaultKind::FullDisk);
    for key in 0..20 {
        assert!(is_written(&world.ask_and_wait(0, put(key))));
    }
    let life = world.hosts()[0].life;
    assert!(world.fill_disk(0, 4 << 10));
    let mut refused = 0;
    for key in 0..400 {
        match world.ask_and_wait(0, put(100 + key)) {
            Answer::Outcome(Err(error @ (Error::Overloaded(_) | Error::Unavailable { .. }))) => {
                assert_eq!(error.fate(), api::Fate::NotDone);
                assert!(error.to_string().contains("nearly full"), "{error}");
                refused += 1;
            }
            answer => assert!(is_written(&answer) && refused == 0, "{key}: {answer:?}"),
        }
    }
    assert!(refused > 200, "{refused}");
    for key in 0..20 {
        let deleted = world.ask_and_wait(0, delete(key));
        assert!(matches!(deleted, Answer::Outcome(Ok(Reply::Deleted(_)))), "{deleted:?}");
    }
    assert!(!world.is_whole());
    world.heal();
    world.pass(Duration::from_secs(5));
    assert!(world.is_whole());
    assert!(is_written(&world.ask_and_wait(0, put(1))));
    assert_eq!(world.hosts()[0].life, life);
    assert_no_violation(&world);
}

/// Every one of them, beside deaths, in clusters of many kinds.
#[test]
fn the_rules_hold_where_machines_ail() {
    let kinds = [FaultKind::Kill, FaultKind::PowerCut, FaultKind::Split];
    let kinds = [&FaultKind::AILMENTS[..], &kinds].concat();
    (700..704).for_each(|seed| check(&sim::run_caught(Scenario::from_seed(seed).with_faults(&kinds), false)));
}

fn check(report: &Report) {
    assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
}
