//! INVARIANTS A2: answers are counted by distinct owner, from the replies, whatever comes in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quorum::{Decision, Level, Owner, Tracker};
use types::NodeId;

pub(crate) const NODES: u16 = 8;
pub(crate) const DATA_CENTERS: u8 = 3;

pub(crate) fn any_level() -> impl Strategy<Value = Level> {
    prop_oneof![
        prop::sample::select(vec![
            Level::One,
            Level::Two,
            Level::Three,
            Level::Quorum,
            Level::All,
            Level::LocalOne,
            Level::LocalQuorum,
            Level::EachQuorum,
        ]),
        (1..8_u8).prop_map(Level::Count),
    ]
}

/// Owners among the nodes, each with its data center; the rest are no owners.
fn any_owners() -> impl Strategy<Value = Vec<Owner>> {
    let homes = prop::collection::vec(0..DATA_CENTERS, usize::from(NODES));
    let nodes = prop::sample::subsequence((0..NODES).collect::<Vec<_>>(), 0..7).prop_shuffle();
    (homes, nodes).prop_map(|(homes, nodes)| {
        nodes.into_iter().map(|node| (NodeId(node), homes[usize::from(node)])).collect()
    })
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) node: NodeId,
    pub(crate) success: bool,
}

pub(crate) fn any_reply() -> impl Strategy<Value = Reply> {
    (0..NODES, any::<bool>()).prop_map(|(node, success)| Reply { node: NodeId(node), success })
}

/// The naive model: sets of nodes, and the level's definition spelled out.
pub(crate) struct Naive<'a> {
    pub(crate) level: Level,
    pub(crate) owners: &'a [Owner],
    pub(crate) local: u8,
    pub(crate) succeeded: BTreeSet<NodeId>,
    pub(crate) failed: BTreeSet<NodeId>,
}

impl Naive<'_> {
    pub(crate) fn hear(&mut self, reply: Reply) {
        if self.owners.iter().any(|owner| owner.0 == reply.node) {
            let set = if reply.success { &mut self.succeeded } else { &mut self.failed };
            set.insert(reply.node);
        }
    }

    /// Whether the level would be met if exactly these nodes had succeeded.
    pub(crate) fn is_met_by(&self, nodes: &BTreeSet<NodeId>) -> bool {
        let mut found: BTreeMap<u8, usize> = BTreeMap::new();
        let mut owned: BTreeMap<u8, usize> = BTreeMap::new();
        for (node, home) in self.owners {
            *owned.entry(*home).or_default() += 1;
            *found.entry(*home).or_default() += usize::from(nodes.contains(node));
        }
        let all: usize = found.values().sum();
        let is_majority = |home: u8| {
            let (found, owned) = (found.get(&home).copied(), owned.get(&home).copied());
            found.unwrap_or(0) * 2 > owned.unwrap_or(0)
        };
        let at_most_there_are = |count: usize| all >= count.min(self.owners.len()) && all > 0;
        match self.level {
            Level::One => at_most_there_are(1),
            Level::Two => at_most_there_are(2),
            Level::Three => at_most_there_are(3),
            Level::Quorum => all * 2 > self.owners.len(),
            Level::All => at_most_there_are(usize::MAX),
            Level::Count(count) => all >= usize::from(count),
            Level::LocalOne => found.get(&self.local).is_some_and(|&found| found > 0),
            Level::LocalQuorum => is_majority(self.local),
            Level::EachQuorum => !owned.is_empty() && owned.keys().all(|&home| is_majority(home)),
        }
    }

    pub(crate) fn decision(&self) -> Decision {
        let hopeless: BTreeSet<NodeId> = self.failed.difference(&self.succeeded).copied().collect();
        let at_best =
            self.owners.iter().map(|owner| owner.0).filter(|node| !hopeless.contains(node)).collect();
        match (self.is_met_by(&self.succeeded), self.is_met_by(&at_best)) {
            (true, _) => Decision::Met,
            (false, true) => Decision::Waiting,
            (false, false) => Decision::Impossible,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_tracker_decides_as_the_naive_model_does(
        level in any_level(),
        owners in any_owners(),
        local in 0..DATA_CENTERS,
        replies in prop::collection::vec(any_reply(), 0..20),
    ) {
        let mut tracker = Tracker::new(level, &owners, local);
        let (succeeded, failed) = (BTreeSet::new(), BTreeSet::new());
        let mut naive = Naive { level, owners: &owners, local, succeeded, failed };
        prop_assert_eq!(tracker.decided(), naive.decision());
        for reply in replies {
            if reply.success { tracker.succeeded(reply.node) } else { tracker.failed(reply.node) }
            naive.hear(reply);
            prop_assert_eq!(tracker.decided(), naive.decision());
            prop_assert_eq!(&tracker.successes().collect::<BTreeSet<_>>(), &naive.succeeded);
            let succeeded = owners.iter().copied().filter(|owner| naive.succeeded.contains(&owner.0));
            prop_assert_eq!(tracker.requirement().is_met_by(succeeded), tracker.decided() == Decision::Met);
            prop_assert!(tracker.decided() != Decision::Met || tracker.got() >= tracker.needed());
        }
    }

    /// The order of replies decides when, never what: a node that both failed and succeeded has succeeded.
    #[test]
    fn the_order_of_replies_does_not_matter(
        level in any_level(),
        owners in any_owners(),
        (replies, shuffled) in prop::collection::vec(any_reply(), 0..12)
            .prop_flat_map(|replies| (Just(replies.clone()), Just(replies).prop_shuffle())),
    ) {
        let after = |replies: &[Reply]| {
            let mut tracker = Tracker::new(level, &owners, 0);
            for reply in replies {
                if reply.success { tracker.succeeded(reply.node) } else { tracker.failed(reply.node) }
            }
            (tracker.decided(), tracker.got())
        };
        prop_assert_eq!(after(&replies), after(&shuffled));
    }
}

fn three() -> Vec<Owner> {
    vec![(NodeId(1), 0), (NodeId(2), 0), (NodeId(3), 0)]
}

/// One node that answers twice is one copy.
#[test]
fn one_node_never_counts_twice() {
    let mut tracker = Tracker::new(Level::Quorum, &three(), 0);
    tracker.succeeded(NodeId(1));
    tracker.succeeded(NodeId(1));
    assert_eq!((tracker.decided(), tracker.got(), tracker.needed()), (Decision::Waiting, 1, 2));
    tracker.succeeded(NodeId(3));
    assert_eq!(tracker.decided(), Decision::Met);
}

/// A list that names a node twice does not make two owners of it.
#[test]
fn a_node_listed_twice_is_one_owner() {
    let mut tracker = Tracker::new(Level::All, &[(NodeId(1), 0), (NodeId(1), 0), (NodeId(2), 0)], 0);
    assert_eq!(tracker.needed(), 2);
    tracker.succeeded(NodeId(1));
    assert_eq!(tracker.decided(), Decision::Waiting);
}

/// The answer of a node that owns nothing is worth nothing.
#[test]
fn a_stranger_does_not_count() {
    let mut tracker = Tracker::new(Level::One, &three(), 0);
    tracker.succeeded(NodeId(9));
    assert_eq!((tracker.decided(), tracker.got()), (Decision::Waiting, 0));
}

/// More than there are owners is impossible before anything is sent, and the figures for the message are at hand.
#[test]
fn more_than_there_are_owners_is_impossible_from_the_start() {
    let tracker = Tracker::new(Level::Count(4), &three(), 0);
    assert_eq!((tracker.decided(), tracker.needed(), tracker.got()), (Decision::Impossible, 4, 0));
    assert_eq!(tracker.requirement().to_string(), "4 owners");
}

/// Without owners nothing is met, and nobody waits for it.
#[test]
fn without_owners_every_level_is_impossible() {
    for level in
        [Level::One, Level::Quorum, Level::All, Level::LocalOne, Level::LocalQuorum, Level::EachQuorum]
    {
        assert_eq!(Tracker::new(level, &[], 0).decided(), Decision::Impossible, "{level}");
    }
}

/// Owners elsewhere are of no use to a local level.
#[test]
fn a_local_level_counts_local_owners_only() {
    let mut tracker = Tracker::new(Level::LocalOne, &[(NodeId(1), 0), (NodeId(2), 1)], 0);
    tracker.succeeded(NodeId(2));
    assert_eq!((tracker.decided(), tracker.got()), (Decision::Waiting, 0));
    tracker.failed(NodeId(1));
    assert_eq!(tracker.decided(), Decision::Impossible);
}
