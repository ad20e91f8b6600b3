//! INVARIANTS A1, E1 to E6: changes of the cluster whose machines stop at every border of what follows from them, one after the other and
//! not by chance. Everything ends, and nothing that was acknowledged is lost. With them, what seeds come upon too seldom.

use std::time::Duration;

use sim::scenario::NetworkOptions;
use sim::{Act, Plan, Report, Scenario, Victim};

fn scenario(seed: u64, acts: &[Act], victim: Victim) -> Scenario {
    let plan = Plan { acts: acts.to_vec(), one_by_one: true, victim };
    Scenario {
        plan: Some(plan),
        spares: 2,
        clients: 3,
        keys: 2,
        safety: Duration::from_secs(1),
        // Nothing is forgotten by luck: what is not synced yet is some of what there is.
        sync_micros: 3_000,
        think_max: Duration::from_millis(30),
        ..Scenario::calm(seed, 4)
    }
}

#[track_caller]
fn assert_clean(what: &str, report: &Report) {
    assert!(report.is_clean(), "{what}, seed {}:\n{}", report.seed, report.complaints());
}

/// Each operation, with whoever stops at each border that this role comes to. `at_least` says at how many borders someone must have
/// stopped: at fewer the test would not be what it says.
#[track_caller]
fn stops_at_every_border(what: &str, acts: &[Act], at_least: [usize; 3]) {
    for (victim, at_least) in [Victim::NewOwner, Victim::OldOwner, Victim::Leader].into_iter().zip(at_least) {
        let report = sim::run_scenario(scenario(11, acts, victim), false);
        let what = format!("{what}, {victim:?} stops");
        assert_clean(&what, &report);
        let met: Vec<String> =
            report.borders.iter().map(|border| format!("{} {}", border.stage, border.phase)).collect();
        assert!(met.len() >= at_least, "{what} at {met:?}");
    }
}

#[test]
fn a_join_goes_on_from_every_border() {
    stops_at_every_border("a node joins", &[Act::Join], [7, 6, 5]);
}

#[test]
fn a_drain_goes_on_from_every_border() {
    stops_at_every_border("a node leaves", &[Act::Drain(1)], [7, 6, 7]);
}

#[test]
fn a_removal_goes_on_from_every_border() {
    stops_at_every_border("a node is gone for good", &[Act::Lose(1)], [7, 3, 5]);
}

#[test]
fn a_replacement_goes_on_from_every_border() {
    stops_at_every_border("a node takes the place of one that is gone", &[Act::Replace(2)], [7, 3, 5]);
}

#[test]
fn a_change_of_weight_goes_on_from_every_border() {
    // The one of the four whose greater weight has partitions move, on this ring.
    stops_at_every_border("a node weighs more", &[Act::Weigh(1)], [7, 6, 5]);
}

#[test]
fn a_replacement_of_who_is_up_goes_on_from_every_border() {
    stops_at_every_border("a node takes the place of one that hands over", &[Act::TakeOver(2)], [7, 6, 5]);
}

#[test]
fn more_and_fewer_copies_go_on_from_every_border() {
    stops_at_every_border("fewer copies and more again", &[Act::Alter(2), Act::Alter(3)], [7, 6, 7]);
}

#[test]
fn a_move_of_one_partition_goes_on_from_every_border() {
    stops_at_every_border("a partition is moved", &[Act::Move(0), Act::Move(1)], [7, 6, 5]);
}

/// Partitions are halved while halves of them move, and merged when halves have gone apart.
#[test]
fn halving_and_merging_go_on_from_every_border() {
    let acts = [Act::Join, Act::AwaitMoving, Act::Halve, Act::Drain(1), Act::Merge];
    for victim in [Victim::NewOwner, Victim::OldOwner, Victim::Leader] {
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim };
        let scenario = Scenario { plan: Some(plan), ..scenario(11, &acts, victim) };
        let report = sim::run_scenario(scenario, false);
        assert_clean(&format!("halved and merged, {victim:?} stops"), &report);
        assert!(report.borders.len() >= 5, "{:?}", report.borders);
    }
}

/// Who leaves stays after all, while it hands over what it had.
#[test]
fn a_cancelled_drain_goes_on_from_every_border() {
    let acts = [Act::Drain(1), Act::AwaitMoving, Act::Stay(1)];
    for victim in [Victim::NewOwner, Victim::OldOwner, Victim::Leader] {
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim };
        let scenario = Scenario { plan: Some(plan), ..scenario(12, &acts, victim) };
        let report = sim::run_scenario(scenario, false);
        assert_clean(&format!("a drain is cancelled, {victim:?} stops"), &report);
        assert!(!report.borders.is_empty());
    }
}

#[test]
fn a_cancelled_join_goes_on_from_every_border() {
    let acts = [Act::Join, Act::AwaitMoving, Act::Cancel(4)];
    for victim in [Victim::NewOwner, Victim::OldOwner, Victim::Leader] {
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim };
        let scenario = Scenario { plan: Some(plan), ..scenario(12, &acts, victim) };
        let report = sim::run_scenario(scenario, false);
        assert_clean(&format!("a join is cancelled, {victim:?} stops"), &report);
        assert!(!report.borders.is_empty());
    }
}

/// INVARIANTS E3: a join is given up and taken up again, so that partitions begin to move under other sessions while pages and records of
/// the first are under way: messages take long, overtake each other and come twice. What is late has no effect.
#[test]
fn what_is_under_way_comes_late_past_abort_and_retry() {
    for seed in 30..32 {
        let acts = [Act::Join, Act::AwaitMoving, Act::Cancel(4), Act::Stay(4)];
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim: Victim::Nobody };
        let network = NetworkOptions { usual_micros: 15_000, unruly: true, lost_one_in: 0 };
        let scenario = Scenario { plan: Some(plan), network, ..scenario(seed, &acts, Victim::Nobody) };
        assert_clean("late pages", &sim::run_scenario(scenario, false));
    }
}

/// Three racks of two machines, of which one stands still in each change: a node joins it, one leaves another, one dies in the third.
#[test]
fn racks_stay_apart_while_one_stands_still() {
    for seed in 26..28 {
        let still = [Act::Pause(0), Act::Pause(3)];
        let acts: Vec<Act> = [Act::Join, Act::Drain(1), Act::Lose(2)]
            .iter()
            .flat_map(|act| [still[0], still[1], *act])
            .collect();
        let scenario = scenario(seed, &acts, Victim::Nobody);
        let nodes = Scenario::calm(seed, 6).nodes;
        let report = sim::run_scenario(Scenario { nodes, racks: 3, partitions: 16, ..scenario }, false);
        assert_clean("racks", &report);
    }
}

/// Two join and one leaves, all at once.
#[test]
fn two_joins_and_a_drain_at_once() {
    for victim in [Victim::NewOwner, Victim::Leader] {
        let acts = [Act::Join, Act::Join, Act::Drain(0)];
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim };
        let scenario = Scenario { plan: Some(plan), ..scenario(13, &acts, victim) };
        assert_clean(&format!("{victim:?} stops"), &sim::run_scenario(scenario, false));
    }
}

/// Of two administrators each lets another node leave, of which only one can: the second is refused, or waits, and what is agreed on
/// is one history.
#[test]
fn two_administrators_race() {
    let acts = [Act::Join, Act::Race(1, 2)];
    for seed in 14..16 {
        assert_clean("two race", &sim::run_scenario(scenario(seed, &acts, Victim::Leader), false));
    }
}

/// An owner that stands still is said to be gone, and others take its place. It wakes up and knows nothing of that: what it answers, and
/// what it coordinates, is refused by all others.
#[test]
fn an_owner_that_was_buried_wakes_up() {
    for seed in 17..19 {
        let scenario = scenario(seed, &[Act::Bury(1)], Victim::Nobody);
        // Clients are at work when it wakes up.
        let report = sim::run_scenario(Scenario { safety: Duration::from_secs(10), ..scenario }, false);
        assert_clean("a zombie", &report);
    }
}

/// A coordinator sleeps through a join and a drain, as far as these go without it, and then goes on as if nothing had happened: five nodes
/// each of which owns three partitions of five.
#[test]
fn a_coordinator_sleeps_through_the_change() {
    for seed in 20..22 {
        let acts = [Act::Pause(3), Act::Join, Act::Drain(0)];
        let scenario = scenario(seed, &acts, Victim::Nobody);
        let cluster =
            Scenario { nodes: Scenario::calm(seed, 5).nodes, safety: Duration::from_secs(10), ..scenario };
        assert_clean("a sleeper", &sim::run_scenario(cluster, false));
    }
}

/// A node joins one of two data centers, which is cut off while partitions move to it; the other goes on changing. What needs those who
/// are cut off waits; when they are back all of it ends.
#[test]
fn a_data_center_is_cut_off_through_the_change() {
    for seed in 23..25 {
        let acts = [Act::Join, Act::AwaitMoving, Act::Cut(1), Act::Weigh(2)];
        let plan = Plan { acts: acts.to_vec(), one_by_one: false, victim: Victim::Nobody };
        let scenario = Scenario {
            plan: Some(plan),
            nodes: Scenario::calm(seed, 5).nodes,
            data_centers: 2,
            replicas: 2,
            safety: Duration::from_secs(15),
            ..scenario(seed, &acts, Victim::Nobody)
        };
        assert_clean("a cut", &sim::run_scenario(scenario, false));
    }
}
