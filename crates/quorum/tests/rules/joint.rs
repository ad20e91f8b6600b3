//! INVARIANTS E2: while a partition moves, what is counted is enough among the owners that it leaves and among those that it goes
//! to, and no node counts twice in either.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorum::{DataCenter, Decision, Joint, Level, Owner, Tracker};
use types::NodeId;

use crate::tracking::{DATA_CENTERS, NODES, Naive, any_level, any_reply};

/// Two sets of owners among the same nodes, each of which is in one data center.
fn any_sets() -> impl Strategy<Value = (Vec<Owner>, Vec<Owner>)> {
    let homes = prop::collection::vec(0..DATA_CENTERS, usize::from(NODES));
    let set = || prop::sample::subsequence((0..NODES).collect::<Vec<_>>(), 0..7).prop_shuffle();
    (homes, set(), set()).prop_map(|(homes, first, second)| {
        let owners = |nodes: Vec<u16>| {
            nodes.into_iter().map(|node| (NodeId(node), homes[usize::from(node)])).collect()
        };
        (owners(first), owners(second))
    })
}

fn joint(level: Level, local: DataCenter, first: &[Owner], second: &[Owner]) -> Joint {
    Joint::new(Tracker::new(level, first, local), Some(Tracker::new(level, second, local)))
}

fn three(nodes: [u16; 3]) -> Vec<Owner> {
    nodes.into_iter().map(|node| (NodeId(node), 0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn both_sets_decide_as_each_would_alone(
        level in any_level(),
        (first, second) in any_sets(),
        local in 0..DATA_CENTERS,
        replies in prop::collection::vec(any_reply(), 0..20),
    ) {
        let mut joint = joint(level, local, &first, &second);
        let naive = |owners| Naive { level, owners, local, succeeded: BTreeSet::new(), failed: BTreeSet::new() };
        let (mut one, mut other) = (naive(&first), naive(&second));
        for reply in replies {
            if reply.success { joint.succeeded(reply.node) } else { joint.failed(reply.node) }
            one.hear(reply);
            other.hear(reply);
            let decisions = [one.decision(), other.decision()];
            let expected = if decisions.contains(&Decision::Impossible) {
                Decision::Impossible
            } else if decisions.contains(&Decision::Waiting) {
                Decision::Waiting
            } else {
                Decision::Met
            };
            prop_assert_eq!(joint.decided(), expected);
            let holding: BTreeSet<NodeId> = one.succeeded.union(&other.succeeded).copied().collect();
            let listed: Vec<NodeId> = joint.successes().collect();
            prop_assert_eq!(listed.len(), holding.len(), "each node is listed once");
            prop_assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), holding);
            prop_assert_eq!(joint.short().decided() == Decision::Met, expected == Decision::Met);
        }
    }

    /// A2: whoever stands in, the nodes that are counted are distinct in each set, and what succeeded stays counted.
    #[test]
    fn nobody_counts_twice_whoever_stands_in(
        (first, second) in any_sets(),
        steps in prop::collection::vec((0..NODES, 0..NODES, any::<bool>()), 0..20),
    ) {
        let mut joint = joint(Level::Quorum, 0, &first, &second);
        let mut succeeded = BTreeSet::new();
        for (node, by, replaces) in steps {
            let (node, by) = (NodeId(node), NodeId(by));
            if replaces {
                let could = joint.counts(node) && !joint.counts(by) && !succeeded.contains(&node);
                prop_assert_eq!(joint.replace(node, by), could);
                prop_assert!(!could || joint.counts(by) && !joint.counts(node));
            } else if joint.counts(node) {
                joint.succeeded(node);
                succeeded.insert(node);
            }
            for (set, owners) in joint.sets().zip([&first, &second]) {
                let nodes: Vec<NodeId> = set.successes().chain(set.failures()).chain(set.awaited()).collect();
                prop_assert_eq!(nodes.len(), owners.len());
                prop_assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), owners.len());
            }
            prop_assert_eq!(joint.successes().collect::<BTreeSet<_>>(), succeeded.clone());
        }
    }
}

/// A node that joins and does not answer costs nothing where those that stay suffice in both sets.
#[test]
fn a_slow_joiner_is_not_waited_for() {
    let mut joint = joint(Level::Quorum, 0, &three([1, 2, 3]), &three([2, 3, 4]));
    joint.succeeded(NodeId(2));
    assert_eq!(joint.decided(), Decision::Waiting);
    joint.succeeded(NodeId(3));
    assert_eq!(joint.decided(), Decision::Met);
    assert_eq!(joint.awaited().collect::<Vec<_>>(), [NodeId(1), NodeId(4)]);
}

/// A majority of all four is none of those that the partition goes to.
#[test]
fn a_majority_of_all_is_not_enough() {
    let mut joint = joint(Level::Quorum, 0, &three([1, 2, 3]), &three([3, 4, 5]));
    for node in [1, 2, 3] {
        joint.succeeded(NodeId(node));
    }
    assert_eq!((joint.decided(), joint.short().got()), (Decision::Waiting, 1));
    joint.failed(NodeId(4));
    joint.failed(NodeId(5));
    assert_eq!(joint.decided(), Decision::Impossible);
}

/// One that failed and is asked once more is waited for in each set, and one that has succeeded is not.
#[test]
fn who_is_asked_again_may_still_bring_it_about() {
    let mut joint = joint(Level::Quorum, 0, &three([1, 2, 3]), &three([1, 3, 4]));
    joint.succeeded(NodeId(1));
    joint.failed(NodeId(2));
    joint.failed(NodeId(3));
    assert_eq!(joint.decided(), Decision::Impossible);
    joint.asked_again(NodeId(1));
    joint.asked_again(NodeId(3));
    assert_eq!(joint.decided(), Decision::Waiting);
    assert_eq!(joint.awaited().collect::<Vec<_>>(), [NodeId(3), NodeId(4)]);
    joint.succeeded(NodeId(3));
    assert_eq!(joint.decided(), Decision::Met);
}
