//! Whole clusters from a fixed set of seeds, and from those that found a defect, each named after it; `cargo xtask sim`
//! runs as many more as one likes.

use sim::{Report, Scenario};

/// Every rule holds under the faults of these seeds. More of them than a debug build has the time for run in CI.
#[test]
fn the_rules_hold_for_a_fixed_set_of_seeds() {
    (0..8).for_each(|seed| check(&sim::run(seed, false)));
}

/// A compaction met tables that could not be read, and no flush was begun for a second: writes ran out of time waiting for
/// one.
#[test]
fn a_failed_compaction_held_up_the_flush_that_writes_waited_for() {
    replay(500_905);
}

/// A node stood in for one owner and then for another, and what it made for the second claimed under the same actor what it had made
/// for the first: acknowledged siblings vanished.
#[test]
fn what_is_made_for_one_owner_does_not_claim_what_was_made_for_another() {
    check(&sim::run_caught(Scenario { repairs: false, ..Scenario::from_seed(2_545) }, false));
}

/// A node that leaves votes on the cluster state until another does in its place; where there were five voters a sixth was never let
/// in, and the node never got away.
#[test]
fn a_node_that_leaves_is_let_go_though_it_is_one_of_five_voters() {
    check(&sim::run_caught(Scenario::from_seed(148), false));
}

/// A new owner had some of what it fetched already, of a keyspace that is acknowledged before it is synced. All was synced by then: it
/// waited for a sync that never came.
#[test]
fn what_is_synced_already_waits_for_no_sync() {
    check(&sim::run_caught(Scenario::from_seed(144), false));
}

/// A proposal reached the leader twice: the change was made, and refused the second time because it had been made. Its client, who
/// was to be told of the first when his node went by it, was told of the second.
#[test]
fn a_change_that_was_made_is_not_said_to_be_refused() {
    check(&sim::run_caught(Scenario::from_seed(102), false));
}

/// Of three voters one had lost its log, and another was to leave. The one that was to leave was to go first, which would have left no
/// majority: so neither ever went.
#[test]
fn a_voter_that_never_votes_goes_before_one_that_does() {
    check(&sim::run_caught(Scenario::from_seed(232), false));
}

/// A founding voter had not begun its log when the first state was changed, and so never did. Before that was noticed another voter's
/// disk was rolled back, and of three voters one was left.
#[test]
fn a_founding_voter_that_never_began_is_replaced_as_soon_as_that_is_known() {
    check(&sim::run_caught(Scenario::from_seed(700_834), false));
}

/// Of two nodes one keeps the cluster state, and its disk was lost before the other had heard of the last change.
#[test]
fn the_only_disk_that_has_a_change_is_not_lost() {
    check(&sim::run_caught(Scenario::from_seed(701_381), false));
}

/// Nodes were killed before anybody had caught up with anybody, until the run was over.
#[test]
fn a_cluster_that_was_hardly_ever_up_is_left_alone_in_the_end() {
    check(&sim::run_caught(Scenario::from_seed(700_327), false));
}

/// Of three voters one had joined and was about to leave again. Another was let go first, and then he stopped, and with him half of what
/// was left.
#[test]
fn a_voter_that_stops_soon_goes_before_one_that_stays() {
    check(&sim::run_caught(Scenario::from_seed(710_992), false));
}

/// A node that joined voted by then, had no partition yet, and was cancelled. It was a member no more in the same step, and of two voters
/// one was left.
#[test]
fn a_voter_that_is_cancelled_is_let_go_when_another_votes_in_its_place() {
    check(&sim::run_caught(Scenario::from_seed(713_213), false));
}

/// The only node left, but for one that had begun to take its place and was the only voter, was to stay after all, and the other went at
/// once.
#[test]
fn the_only_voter_that_is_cancelled_is_let_go_when_another_votes_in_its_place() {
    check(&sim::run_caught(Scenario::from_seed(714_115), false));
}

/// A stand-in brought what it kept to an owner who had yet to hand over the partition. He had compared all that he had by then, and
/// dropped it: an acknowledged write was lost.
#[test]
fn what_is_kept_for_one_who_hands_over_is_for_the_new_owners() {
    check(&sim::run_caught(Scenario::from_seed(720_598), false));
}

/// Files whose removal was not synced came back with a power cut, and the simulated disk had given away their room.
#[test]
fn what_comes_back_with_a_power_cut_has_its_room() {
    check(&sim::run_caught(Scenario::from_seed(720_235), false));
}

/// A node had started as one of two, and before it met the other that one was removed: nobody was left to let it in, and it dropped no
/// deletes.
#[test]
fn who_is_alone_needs_nobody_to_let_it_in() {
    check(&sim::run_caught(Scenario::from_seed(711_068), false));
}

/// All hints for a node had gone to others since it left, but one was under way to it when that was looked at. What was kept for it
/// counted as kept for ever.
#[test]
fn what_was_kept_for_a_node_that_is_gone_is_looked_at_again() {
    check(&sim::run_caught(Scenario::from_seed(711_607), false));
}

/// Two people let the same machine join. It joined, left, and was then made a member again, unknown to itself.
#[test]
fn a_member_that_never_comes_is_removed() {
    check(&sim::run_caught(Scenario::from_seed(710_517), false));
}

/// A reader demanded what it had written to a stand-in, just after the heal and before its owner had it: it is told that this may be on
/// its way, and that is no failure.
#[test]
fn what_a_stand_in_keeps_may_be_on_its_way() {
    check(&sim::run_caught(Scenario::from_seed(800_331), false));
}

/// A node whose clock was ahead was heard once, and died before anybody had its state. Started again by a clock that was right, it was
/// heard by nobody and never learned why: who took it for down remembered a later start, and told only of those whose state it had.
#[test]
fn who_is_accused_by_a_start_that_it_has_outlived_begins_a_later_one() {
    check(&sim::run_caught(Scenario::from_seed(801_343), false));
}

/// Runs what a seed stood for when it found something: without the kinds of fault that came later.
fn replay(seed: u64) {
    check(&sim::run_caught(Scenario::from_seed(seed).without_later_faults(), false));
}

fn check(report: &Report) {
    let seed = report.seed;
    assert!(
        report.is_clean(),
        "seed {seed} broke rules:\n{}replay it with: cargo xtask sim --seed {seed} --trace",
        report.complaints()
    );
}
