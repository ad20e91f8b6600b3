//! The dead are found by all, soon, and those that come back are found again.

use gossip::{Key, Options, Verdict};
use types::NodeId;

use crate::network::Cluster;

/// Within how many rounds a death is known to all: the limit of silence, some time for a second voice, and some for
/// losses. A quarter of the messages may be lost.
const ROUNDS_TO_KNOW: u32 = 25;

#[test]
fn a_killed_node_is_seen_down_by_all_within_a_bounded_number_of_rounds() {
    for (count, loss, seed) in [(3, 0, 1), (5, 100, 2), (12, 250, 3), (30, 100, 4), (50, 50, 5)] {
        let mut cluster = Cluster::new(count, Options::default(), seed);
        cluster.loss = loss;
        cluster.run(30);
        assert!(cluster.is_whole(), "{count} nodes");
        cluster.kill(1);
        let all = usize::from(count) - 1;
        let rounds = cluster.run_until(ROUNDS_TO_KNOW, |cluster| cluster.count(1, Verdict::Down) == all);
        assert!(rounds.is_some(), "{count} nodes: only {} know", cluster.count(1, Verdict::Down));
        let wrongly = cluster.changes().find(|(_, change)| change.node.0 != 1 && change.to == Verdict::Down);
        assert_eq!(wrongly, None, "{count} nodes");
    }
}

/// With two nodes there is nobody to agree with.
#[test]
fn in_a_cluster_of_two_one_observer_is_enough() {
    let mut cluster = Cluster::new(2, Options::default(), 6);
    cluster.run(10);
    cluster.kill(0);
    assert!(cluster.run_until(10, |cluster| cluster.count(0, Verdict::Down) == 1).is_some());
}

#[test]
fn the_last_of_a_cluster_sees_all_others_down() {
    let mut cluster = Cluster::new(5, Options::default(), 7);
    cluster.run(10);
    (1..5).for_each(|id| cluster.kill(id));
    let alone = |cluster: &Cluster| (1..5).all(|id| cluster.count(id, Verdict::Down) == 1);
    assert!(cluster.run_until(ROUNDS_TO_KNOW, alone).is_some());
}

#[test]
fn a_node_that_starts_again_is_up_for_all_and_what_it_said_in_its_earlier_life_is_gone() {
    let mut cluster = Cluster::new(5, Options::default(), 8);
    cluster.node(2).gossip.set_fact(Key::LOAD, b"heavy").unwrap();
    cluster.run(10);
    assert_eq!(cluster.node(0).gossip.fact(NodeId(2), Key::LOAD), Some(&b"heavy"[..]));
    cluster.kill(2);
    cluster.run(20);
    assert_eq!(cluster.count(2, Verdict::Down), 4);
    cluster.start(2);
    assert!(cluster.run_until(10, Cluster::is_whole).is_some());
    assert_eq!(cluster.node(0).gossip.fact(NodeId(2), Key::LOAD), None);
}

/// It hears of the death with the accusations, and need not find out by itself.
#[test]
fn a_node_that_starts_learns_at_once_who_is_down() {
    let mut cluster = Cluster::new(6, Options::default(), 9);
    cluster.run(10);
    cluster.kill(2);
    cluster.run(20);
    cluster.kill(3);
    cluster.run(20);
    cluster.start(3);
    cluster.run(3);
    assert_eq!(cluster.node(3).gossip.verdict(NodeId(2)), Verdict::Down);
}

#[test]
fn halves_that_are_cut_apart_see_each_other_down_and_come_back_after_the_heal() {
    for (count, seed) in [(4, 10), (9, 11), (24, 12)] {
        let mut cluster = Cluster::new(count, Options::default(), seed);
        cluster.run(20);
        cluster.split(|id| id < count / 2);
        let apart = |cluster: &Cluster| {
            let other_side = |id: u16| {
                let left = usize::from(count / 2);
                if id < count / 2 { usize::from(count) - left } else { left }
            };
            (0..count).all(|id| cluster.count(id, Verdict::Down) == other_side(id))
        };
        assert!(cluster.run_until(40, apart).is_some(), "{count} nodes");
        cluster.cuts.clear();
        assert!(cluster.run_until(20, Cluster::is_whole).is_some(), "{count} nodes");
    }
}

/// Ten times as many die as are left to agree on them.
#[test]
fn when_most_die_at_once_the_few_that_are_left_agree() {
    let mut cluster = Cluster::new(40, Options::default(), 13);
    cluster.run(20);
    (4..40).for_each(|id| cluster.kill(id));
    let known = |cluster: &Cluster| (4..40).all(|id| cluster.count(id, Verdict::Down) == 4);
    assert!(cluster.run_until(40, known).is_some());
}
