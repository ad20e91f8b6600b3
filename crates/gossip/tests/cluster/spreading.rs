//! What is said by one is known to all in a logarithmic number of rounds, in bounded messages.

use gossip::{Key, Options};
use types::NodeId;

use crate::network::Cluster;

#[test]
fn a_fact_is_known_to_all_within_a_logarithmic_number_of_rounds() {
    for (count, loss) in [(2, 0), (5, 0), (20, 100), (60, 100)] {
        let mut cluster = Cluster::new(count, Options::default(), u64::from(count));
        cluster.loss = loss;
        cluster.run(20);
        cluster.node(1).gossip.set_fact(Key::DISK, b"full").unwrap();
        let known = |cluster: &Cluster| {
            cluster.running().all(|(_, node)| node.gossip.fact(NodeId(1), Key::DISK) == Some(b"full"))
        };
        let most = 4 + 2 * (u32::from(count) + 1).ilog2();
        assert!(cluster.run_until(most, known).is_some(), "{count} nodes: not within {most} rounds");
    }
}

/// The smallest messages that are allowed, facts that fill a state, and more members than a digest holds.
#[test]
fn no_message_is_longer_than_allowed_and_facts_arrive_nevertheless() {
    let options = Options { message_bytes_max: 1_200, ..Options::default() };
    let mut cluster = Cluster::new(130, options, 1);
    for id in 0..130 {
        for key in 1..4 {
            cluster.node(id).gossip.set_fact(Key::new(key).unwrap(), &[7; 100]).unwrap();
        }
    }
    let known = |cluster: &Cluster| {
        let key = Key::new(3).unwrap();
        cluster
            .running()
            .all(|(_, node)| (0..130).all(|id| node.gossip.fact(NodeId(id), key) == Some(&[7; 100])))
    };
    assert!(cluster.run_until(60, known).is_some());
    assert!(cluster.longest_message <= 1_200, "{} bytes", cluster.longest_message);
}

#[test]
fn a_node_sends_no_more_in_a_round_than_a_bounded_number_of_messages() {
    let options = Options::default();
    let (fan_out, rounds) = (options.fan_out as u64, 40);
    let mut cluster = Cluster::new(60, options, 2);
    cluster.kill(59);
    cluster.run(rounds);
    let sent: u64 = cluster.nodes.values().map(|node| node.messages_sent).sum();
    // Each opens with its fan-out and one silent peer, and each exchange has three messages.
    let most = 3 * (fan_out + 1) * u64::from(rounds + 2) * 60;
    assert!(sent <= most, "{sent} messages, {most} allowed");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let mut cluster = Cluster::new(12, Options::default(), 3);
        cluster.loss = 200;
        cluster.run(20);
        cluster.kill(5);
        cluster.run(20);
        let sent: Vec<u64> = cluster.nodes.values().map(|node| node.bytes_sent).collect();
        (sent, cluster.changes().collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}
