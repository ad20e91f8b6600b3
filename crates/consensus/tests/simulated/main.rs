//! A group on virtual time, from one seed: messages that are lost, late, doubled and overtaken, cuts in one direction and in
//! both, members that crash and lose what was not durable, that stand still, that are added, promoted and removed in a row,
//! and snapshots, while others propose and read. What must hold is checked at every step.

mod asking;
mod chaos;
mod checker;
mod member;
mod network;
mod world;

use std::time::Duration;

use chaos::Chaos;
use checker::Counts;
use world::{Breakage, Setting, World};

fn run(seed: u64, voters: u64, steps: u32, breakage: Breakage) -> World {
    let setting = Setting { seed, voters, breakage, keeps_state: seed.is_multiple_of(3) };
    let mut world = World::new(setting);
    Chaos::new(seed).run(&mut world, steps);
    world
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("FIRST_SEED").unwrap_or(0);
    first..first + number("SEEDS").unwrap_or(default)
}

/// G2 to G5 under everything at once, and none of the runs together was idle.
#[test]
fn nothing_that_was_agreed_on_is_lost() {
    let mut all = Counts::default();
    for seed in seeds(120) {
        let mut world = run(seed, 1 + seed % 7, 150, Breakage::None);
        world.checker.verdict(seed);
        world.settle_down(seed);
        world.checker.verdict(seed);
        all.add(&world.checker.counts);
    }
    all.assert_nothing_is_missing();
}

/// One seed, one run: no clock, no randomness of the system and no order of a hash map is seen.
#[test]
fn equal_seeds_make_equal_runs() {
    for seed in [3, 11, 26] {
        let (a, b) = (run(seed, 5, 120, Breakage::None), run(seed, 5, 120, Breakage::None));
        assert!(a.trace.len() > 1000, "the run was idle");
        assert_eq!(a.trace, b.trace, "seed {seed}");
    }
}

/// G4: a majority that is connected goes on within bounded time, whatever becomes of the others and of what they say.
#[test]
fn a_connected_majority_makes_progress() {
    for seed in seeds(40) {
        let mut world = run(seed, 3 + seed % 5, 40, Breakage::None);
        world.settle_down(seed);
        Chaos::new(seed).spoil_a_minority_for_good(&mut world);
        for _ in 0..5 {
            world.agree_within(Duration::from_secs(2), seed);
        }
        world.checker.verdict(seed);
    }
}

/// Among these seeds there is one in which the harm itself is seen, and not only that a member refuses to go on.
fn assert_noticed(breakage: Breakage, harms: &[&str]) {
    let found: Vec<String> =
        (0..200).filter_map(|seed| run(seed, 3, 150, breakage).checker.violation).collect();
    let is_harm = |violation: &String| harms.iter().any(|harm| violation.contains(harm));
    assert!(found.iter().any(is_harm), "not noticed; what was: {found:#?}");
}

/// A checker that finds nothing must be able to find something.
#[test]
fn a_member_that_acknowledges_before_its_disk_is_noticed() {
    assert_noticed(Breakage::AcknowledgesEarly, &["was agreed on", "another state"]);
}

/// The same, of votes.
#[test]
fn a_member_that_forgets_its_vote_is_noticed() {
    assert_noticed(Breakage::ForgetsItsVote, &["votes for", "lead in term"]);
}
