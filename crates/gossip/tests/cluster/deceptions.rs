//! What must deceive nobody: cut links, pauses, one sick observer, one that lags (INVARIANTS E9). No healthy node is
//! seen down by a majority; in fact by nobody whose own ears are well.

use std::time::Duration;

use env::Rng;
use gossip::{Options, Verdict};
use types::NodeId;

use crate::network::Cluster;

/// Who took whom for down, but for what the predicate excuses.
fn wrongs(cluster: &Cluster, excused: impl Fn(u16, u16) -> bool) -> Vec<(NodeId, NodeId)> {
    let downs = cluster.changes().filter(|(_, change)| change.to == Verdict::Down);
    let wrong = downs.filter(|(at, change)| !excused(at.0, change.node.0));
    wrong.map(|(at, change)| (at, change.node)).collect()
}

#[test]
fn a_link_that_is_cut_in_one_or_both_directions_takes_nobody_down() {
    for (seed, count) in (0..8).zip([3, 4, 5, 9].into_iter().cycle()) {
        for both_ways in [false, true] {
            let mut cluster = Cluster::new(count, Options::default(), seed);
            cluster.loss = 20;
            cluster.run(10);
            let (one, other) = (NodeId(0), NodeId(1));
            cluster.cuts.insert((one, other));
            if both_ways {
                cluster.cuts.insert((other, one));
            }
            cluster.run(120);
            assert_eq!(wrongs(&cluster, |_, _| false), [], "{count} nodes, seed {seed}, both: {both_ways}");
        }
    }
}

/// Cuts come and go at random, one link at a time, while everything else loses a message now and then.
#[test]
fn links_that_are_cut_one_after_the_other_take_nobody_down() {
    for seed in 0..6 {
        let mut rng = Rng::from_seed(seed);
        let mut cluster = Cluster::new(6, Options::default(), seed);
        cluster.loss = 20;
        cluster.run(10);
        let ids: Vec<NodeId> = (0..6).map(NodeId).collect();
        for _ in 0..25 {
            let (one, other) = (*rng.pick(&ids).unwrap(), *rng.pick(&ids).unwrap());
            cluster.cuts = [(one, other)].into();
            if rng.chance(1, 2) {
                cluster.cuts.insert((other, one));
            }
            cluster.run(*rng.pick(&[1, 3, 5, 8, 15]).unwrap());
        }
        assert_eq!(wrongs(&cluster, |_, _| false), [], "seed {seed}");
    }
}

/// What waited for it is looked at before or after its first round; both orders are met, as the driver has it.
#[test]
fn an_observer_that_was_paused_accuses_nobody_when_it_wakes() {
    for seed in 0..6 {
        let mut cluster = Cluster::new(5, Options::default(), seed);
        cluster.run(10);
        for rounds in [2, 5, 40, 3] {
            cluster.pause(3, rounds);
            cluster.run(rounds + 30);
        }
        assert_eq!(wrongs(&cluster, |_, accused| accused == 3), [], "seed {seed}");
        let told = cluster.changes().filter(|(at, change)| at.0 == 3 && change.to == Verdict::Suspected);
        assert_eq!(told.count(), 0, "seed {seed}: it does not even suspect");
        assert!(cluster.is_whole(), "seed {seed}");
    }
}

#[test]
fn an_observer_whose_rounds_always_lag_accuses_nobody() {
    for seed in 0..4 {
        let mut cluster = Cluster::new(5, Options::default(), seed);
        cluster.node(2).lag_max = Duration::from_secs(6);
        cluster.run(150);
        assert_eq!(wrongs(&cluster, |_, accused| accused == 2), [], "seed {seed}");
    }
}

/// It hears nothing, and all of its requests fail; it speaks, and convinces nobody but itself.
#[test]
fn one_sick_observer_convinces_nobody() {
    for (seed, count) in (0..6).zip([3, 5, 9].into_iter().cycle()) {
        for deafness in [900, 1_000] {
            let mut cluster = Cluster::new(count, Options::default(), seed);
            cluster.run(15);
            cluster.node(0).deafness = deafness;
            for _ in 0..100 {
                let now = cluster.now;
                let sick = &mut cluster.node(0).gossip;
                (1..count).for_each(|id| sick.request_failed(now, NodeId(id)));
                cluster.run(1);
            }
            assert_eq!(wrongs(&cluster, |at, _| at == 0), [], "{count} nodes, seed {seed}");
            cluster.node(0).deafness = 0;
            // It flapped on its own, so its verdicts are damped for a while.
            assert!(cluster.run_until(90, Cluster::is_whole).is_some(), "{count} nodes, seed {seed}");
        }
    }
}

/// Everybody's requests to it fail, as with a disk that has become slow, and its heart beats.
#[test]
fn a_slow_node_is_not_down() {
    let mut cluster = Cluster::new(5, Options::default(), 3);
    cluster.loss = 50;
    for _ in 0..100 {
        let now = cluster.now;
        for id in 0..4 {
            (0..10).for_each(|_| cluster.node(id).gossip.request_failed(now, NodeId(4)));
        }
        cluster.run(1);
    }
    assert_eq!(wrongs(&cluster, |_, _| false), []);
}

#[test]
fn failed_requests_make_the_dead_known_sooner() {
    let rounds = |with_requests: bool| {
        let mut cluster = Cluster::new(5, Options::default(), 4);
        cluster.run(20);
        cluster.kill(4);
        for round in 0..60 {
            if cluster.count(4, Verdict::Down) == 4 {
                return round;
            }
            let now = cluster.now;
            for id in (0..4).filter(|_| with_requests) {
                (0..3).for_each(|_| cluster.node(id).gossip.request_failed(now, NodeId(4)));
            }
            cluster.run(1);
        }
        panic!("it was never found down");
    };
    assert!(rounds(true) < rounds(false), "{} {}", rounds(true), rounds(false));
}

/// Cut off and healed for two minutes, every ten seconds.
#[test]
fn a_node_that_comes_and_goes_does_not_make_verdicts_flutter() {
    let mut cluster = Cluster::new(5, Options::default(), 5);
    cluster.run(20);
    for _ in 0..60 {
        cluster.split(|id| id == 4);
        cluster.run(10);
        cluster.cuts.clear();
        cluster.run(10);
    }
    let changes = cluster.changes().filter(|(at, change)| at.0 == 0 && change.node.0 == 4).count();
    // Twenty minutes: undamped there would be 120 and more.
    assert!((4..=50).contains(&changes), "{changes} changes");
    assert!(cluster.run_until(90, Cluster::is_whole).is_some());
}

#[test]
fn a_healthy_cluster_that_loses_messages_suspects_hardly_anybody_and_takes_nobody_down() {
    for (count, loss, seed) in [(5, 100, 1), (20, 100, 2), (40, 50, 3)] {
        let mut cluster = Cluster::new(count, Options::default(), seed);
        cluster.loss = loss;
        cluster.run(80);
        assert_eq!(wrongs(&cluster, |_, _| false), [], "{count} nodes");
        let suspected = cluster.changes().filter(|(_, change)| change.to == Verdict::Suspected).count();
        assert!(suspected <= usize::from(count) / 10, "{count} nodes: {suspected} suspicions");
    }
}
