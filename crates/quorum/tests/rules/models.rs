//! The model that a keyspace's numbers are called by, against all the sets of nodes that could answer.

use proptest::prelude::*;
use quorum::{DataCenter, Decision, Durability, Level, Model, Owner, QuorumMode, Tracker};
use types::NodeId;

fn counted(r: u8, w: u8) -> Model {
    Model::of(Level::Count(r), Level::Count(w), &[(0, 3)], QuorumMode::Strict, Durability::Always)
}

/// With strict quorums and R + W > N a read that follows a write sees it: the presets, and the pairs below them.
#[test]
fn three_copies_with_every_pair_of_r_and_w() {
    for (r, w) in [(1, 3), (3, 1), (2, 2), (2, 3), (3, 2), (3, 3)] {
        assert_eq!(counted(r, w), Model::Strong, "R={r} W={w}");
    }
    assert_eq!(counted(1, 2), Model::Eventual);
    assert_eq!(counted(1, 1), Model::Weak);
    assert_eq!(counted(2, 1), Model::Weak);
}

/// A sloppy quorum is not strong, whatever R and W are; nor is relaxed durability.
#[test]
fn sloppy_and_relaxed_are_never_strong() {
    let of = |mode, durability| Model::of(Level::Quorum, Level::Quorum, &[(0, 3)], mode, durability);
    assert_eq!(of(QuorumMode::Strict, Durability::Always), Model::Strong);
    assert_eq!(of(QuorumMode::Sloppy, Durability::Always), Model::Eventual);
    assert_eq!(of(QuorumMode::Strict, Durability::Interval), Model::Eventual);
    let one = |durability| Model::of(Level::One, Level::One, &[(0, 1)], QuorumMode::Strict, durability);
    assert_eq!(one(Durability::Always), Model::Strong);
    assert_eq!(one(Durability::Interval), Model::Weak);
}

/// Local quorums of two data centers never meet; a local one always meets one of each.
#[test]
fn local_levels_are_judged_across_data_centers() {
    let of = |read, write, copies: &[(DataCenter, u8)]| {
        Model::of(read, write, copies, QuorumMode::Strict, Durability::Always)
    };
    let two = [(0, 3), (1, 3)];
    assert_eq!(of(Level::LocalQuorum, Level::LocalQuorum, &two), Model::Eventual);
    assert_eq!(of(Level::LocalQuorum, Level::EachQuorum, &two), Model::Strong);
    assert_eq!(of(Level::LocalQuorum, Level::Quorum, &two), Model::Eventual);
    assert_eq!(of(Level::Quorum, Level::Quorum, &two), Model::Strong);
    assert_eq!(of(Level::LocalQuorum, Level::LocalQuorum, &two[..1]), Model::Strong);
}

/// Each model has a name and a sentence of its own.
#[test]
fn models_speak_plainly() {
    assert_eq!(
        [Model::Strong, Model::Eventual, Model::Weak].map(|model| model.to_string()),
        ["strong", "eventual", "weak"]
    );
    for model in [Model::Strong, Model::Eventual, Model::Weak] {
        assert!(model.sentence().ends_with('.'));
    }
    assert_eq!("strict".parse(), Ok(QuorumMode::Strict));
    let error = "fast".parse::<Durability>().expect_err("no durability");
    assert_eq!(error.to_string(), "\"fast\" is not a durability: want always or interval");
}

fn any_level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![
        Level::One,
        Level::Two,
        Level::Three,
        Level::Quorum,
        Level::All,
        Level::Count(1),
        Level::Count(2),
        Level::LocalOne,
        Level::LocalQuorum,
        Level::EachQuorum,
    ])
}

/// All sets of owners (as bits) that meet a level for a coordinator in `local`.
fn meeting(level: Level, owners: &[Owner], local: DataCenter) -> Vec<u32> {
    let is_met = |set: &u32| {
        let mut tracker = Tracker::new(level, owners, local);
        (0..)
            .zip(owners)
            .filter(|(bit, _)| set >> bit & 1 == 1)
            .for_each(|(_, owner)| tracker.succeeded(owner.0));
        tracker.decided() == Decision::Met
    };
    (0..1 << owners.len()).filter(is_met).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Strong is exactly: every set that can answer a read shares an owner with every set that can acknowledge a write.
    #[test]
    fn strong_means_that_all_sets_overlap(read in any_level(), write in any_level(), counts in prop::collection::vec(1..4_u8, 1..3)) {
        let copies: Vec<(DataCenter, u8)> = (0..).zip(counts).collect();
        let homes = copies.iter().flat_map(|&(home, count)| std::iter::repeat_n(home, usize::from(count)));
        let owners: Vec<Owner> = (0..).map(NodeId).zip(homes).collect();
        let sets = |level| copies.iter().flat_map(|&(home, _)| meeting(level, &owners, home)).collect::<Vec<u32>>();
        let (reads, writes) = (sets(read), sets(write));
        prop_assume!(!reads.is_empty() && !writes.is_empty());
        let overlap = reads.iter().all(|read| writes.iter().all(|write| read & write != 0));
        let model = Model::of(read, write, &copies, QuorumMode::Strict, Durability::Always);
        prop_assert_eq!(model == Model::Strong, overlap);
        let single_copy = writes.iter().any(|set| set.count_ones() == 1);
        prop_assert_eq!(model == Model::Weak, !overlap && single_copy);
    }
}
