//! Broken on purpose: each checker must notice the sabotage that it is there for.

use std::time::Duration;

use sim::faults::FaultKind;
use sim::scenario::NetworkOptions;
use sim::{Act, Plan, Report, Sabotage, Scenario, Victim};

/// The first seed of a few that is noticed to be sabotaged.
fn caught(sabotage: Option<Sabotage>, faults: &[FaultKind]) -> Option<Report> {
    (0..10).find_map(|seed| {
        let report = sim::run_scenario(
            Scenario {
                sabotage,
                faults: faults.to_vec(),
                fault_gap: Duration::from_millis(400),
                think_max: Duration::from_millis(5),
                keys: 2,
                // Slow enough that plugs are pulled while much is not synced.
                sync_micros: 5_000,
                ..Scenario::calm(seed, 3)
            },
            false,
        );
        (!report.is_clean()).then_some(report)
    })
}

/// Who reads is shown less than what is there, or what was replaced or deleted: by a read, among siblings, or at the end.
fn assert_past_is_shown(report: Option<Report>) {
    let rules = [
        "reads give what was acknowledged, and never go back (C1, C2)",
        "siblings are the values that nobody replaced (B2, B3)",
        "no acknowledged write is lost (A1)",
        // A node that starts again without what it has dropped too early.
        "what was acknowledged is on stable storage (A4)",
    ];
    let rule = rule(report);
    assert!(rules.contains(&rule), "{rule}");
}

fn rule(report: Option<Report>) -> &'static str {
    report.expect("sabotage is noticed").violations[0].rule
}

/// A4: an owner that says *stored* before its sync is found out when its plug is pulled.
#[test]
fn acknowledging_before_the_sync_is_noticed() {
    let report = caught(Some(Sabotage::AcknowledgeBeforeSync), &[FaultKind::PowerCut]);
    assert_eq!(rule(report), "what was acknowledged is on stable storage (A4)");
}

/// A2: one owner's word counted as several owners' is found out.
#[test]
fn acknowledging_in_another_name_is_noticed() {
    let report = caught(Some(Sabotage::AcknowledgeTwice), &[]);
    assert_eq!(rule(report), "an acknowledgement counts distinct owners (A2)");
}

/// A2: a relay that acknowledges for those that it did not reach is found out.
#[test]
fn acknowledging_for_those_behind_a_relay_is_noticed() {
    let report = (0..10).find_map(|seed| {
        let report =
            sim::run_scenario(over_two_data_centers(seed, Some(Sabotage::AcknowledgeForOthers)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_eq!(rule(report), "an acknowledgement counts distinct owners (A2)");
}

/// The same without sabotage is clean, with relays that die and a data center that is cut off.
#[test]
fn relays_do_no_harm() {
    for seed in 0..3 {
        let faults = FaultKind::BETWEEN.to_vec();
        let report = sim::run_scenario(Scenario { faults, ..over_two_data_centers(seed, None) }, false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// Three nodes in each of two data centers, a little apart.
fn over_two_data_centers(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    Scenario { sabotage, data_centers: 2, apart_micros: 5_000, keys: 2, ..Scenario::calm(seed, 6) }
}

/// B1, E7: a node that mints under stints that it has used before is found out: by who watches dots, or before that by its
/// peers, who do not let it in as who it was.
#[test]
fn minting_a_dot_twice_is_noticed() {
    let report = caught(Some(Sabotage::ReuseStints), &[FaultKind::Kill]);
    let rules = ["no dot is issued twice (B1)", "no life is given up without a cause (E7)"];
    assert!(rules.contains(&rule(report)));
}

/// A3: a hint that is given up before its owner has it is found out when nobody has the write in the end.
#[test]
fn losing_hints_is_noticed() {
    let report = (0..10).find_map(|seed| {
        let report = sim::run_scenario(of_strangers(seed, Some(Sabotage::LoseHints)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_eq!(rule(report), "no acknowledged write is lost (A1)");
}

/// The same without sabotage is clean.
#[test]
fn hints_that_are_kept_reach_their_owners() {
    for seed in 0..4 {
        let report = sim::run_scenario(of_strangers(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// Five nodes of which one owns a key and the others stand in; and one is always down.
fn of_strangers(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    Scenario {
        sabotage,
        faults: vec![FaultKind::Kill, FaultKind::PowerCut],
        fault_gap: Duration::from_millis(600),
        think_max: Duration::from_millis(5),
        keys: 2,
        replicas: 1,
        sloppy_siblings: true,
        ..Scenario::calm(seed, 5)
    }
}

/// F1: owners that find no difference where there is one are found out when they stay different.
#[test]
fn comparing_nothing_is_noticed() {
    let report = caught(Some(Sabotage::CompareNothing), &[FaultKind::Kill, FaultKind::PowerCut]);
    assert_eq!(rule(report), "owners become equal without a client (F1, liveness)");
}

/// D1: owners that drop deletes which not all have are found out when one that was cut off brings a value back.
#[test]
fn collecting_early_is_noticed() {
    let report = (0..60).find_map(|seed| {
        let report = sim::run_scenario(of_cut_links(seed, Some(Sabotage::CollectEarly)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_past_is_shown(report);
}

/// The same without sabotage is clean.
#[test]
fn deletes_that_all_have_stay_deleted() {
    for seed in 0..4 {
        let report = sim::run_scenario(of_cut_links(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// Three nodes of which two at a time do not reach each other, and keys enough that not every read mends what the next
/// would see.
fn of_cut_links(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    Scenario {
        sabotage,
        faults: vec![FaultKind::LinkCut],
        fault_gap: Duration::from_millis(2_000),
        safety: Duration::from_secs(15),
        think_max: Duration::from_millis(5),
        keys: 8,
        ..Scenario::calm(seed, 3)
    }
}

/// C3: an owner that denies what it holds is found out where a reader believes it.
#[test]
fn denying_records_is_noticed() {
    let report = caught(Some(Sabotage::DenyRecords), &[FaultKind::Kill, FaultKind::PowerCut]);
    assert_past_is_shown(report);
}

/// C1: an owner whose answers are of another time is found out.
#[test]
fn answering_from_memory_is_noticed() {
    let report = caught(Some(Sabotage::AnswerFromMemory), &[FaultKind::Kill, FaultKind::PowerCut]);
    assert_past_is_shown(report);
}

/// A4: an owner that prefers its own side to what it is told to merge is found out.
#[test]
fn keeping_ones_own_side_is_noticed() {
    let report = caught(Some(Sabotage::KeepOwnSide), &[FaultKind::Kill, FaultKind::PowerCut]);
    assert_eq!(rule(report), "what was acknowledged is on stable storage (A4)");
}

/// A6: a maker that gives a write a name of its own is found out when the write was made before, by a maker that was lost: it is
/// seen under one name, and then under another.
#[test]
fn naming_a_write_anew_is_noticed() {
    let report = (0..60).find_map(|seed| {
        let report = sim::run_scenario(of_lost_makers(seed, Some(Sabotage::NameAnew)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_eq!(rule(report), "a later write outranks what was there (B6)");
}

/// The same without sabotage is clean.
#[test]
fn lost_makers_do_no_harm() {
    for seed in 0..4 {
        let report = sim::run_scenario(of_lost_makers(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// Five nodes, so that most coordinators own nothing of a key, whose connections break again and again.
fn of_lost_makers(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    Scenario {
        sabotage,
        faults: vec![FaultKind::Reset],
        fault_gap: Duration::from_millis(100),
        think_max: Duration::from_millis(2),
        keys: 2,
        clients: 8,
        ..Scenario::calm(seed, 5)
    }
}

/// E9: a node that takes others for down by its own word alone is found out.
#[test]
fn believing_one_witness_is_noticed() {
    let report = (0..10).find_map(|seed| {
        let scenario = Scenario {
            sabotage: Some(Sabotage::DownByOneWitness),
            faults: vec![FaultKind::Split],
            // A silence is noticed after about four seconds.
            fault_gap: Duration::from_secs(6),
            safety: Duration::from_secs(25),
            ..Scenario::calm(seed, 3)
        };
        let report = sim::run_scenario(scenario, false);
        (!report.is_clean()).then_some(report)
    });
    assert_eq!(rule(report), "a node is down only when two observers agree (E9)");
}

/// The same scenarios without sabotage are clean: it is the sabotage that is noticed.
#[test]
fn without_sabotage_there_is_nothing_to_notice() {
    let faults = [FaultKind::Kill, FaultKind::PowerCut];
    if let Some(report) = caught(None, &faults) {
        panic!("seed {}:\n{}", report.seed, report.complaints());
    }
}

/// E1: what is on its way when partitions are halved, by the numbers of before, does no harm.
#[test]
fn numbers_of_before_a_split_are_refused() {
    for seed in 0..4 {
        let report = sim::run_scenario(of_halves(seed), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// Five nodes of which two own a key, far apart, so that much is on its way when partitions are halved.
fn of_halves(seed: u64) -> Scenario {
    Scenario {
        changes: true,
        halves: true,
        replicas: 2,
        clients: 24,
        // Now and then a message takes a second here, and a read of both owners that differ takes four.
        timeout: Duration::from_secs(5),
        think_max: Duration::from_millis(2),
        network: NetworkOptions { usual_micros: 60_000, unruly: false, lost_one_in: 0 },
        safety: Duration::from_secs(8),
        ..Scenario::calm(seed, 5)
    }
}

/// E4: an old owner that drops what the others do not have takes it with him.
#[test]
fn dropping_the_last_copy_is_noticed() {
    assert_past_is_shown(caught_moving(Sabotage::DropTheLast));
}

/// E2: a partition that is switched to a new owner that has nothing of it yet is found out by who reads there.
#[test]
fn switching_to_who_has_nothing_is_noticed() {
    assert_past_is_shown(caught_moving(Sabotage::SwitchUnfilled));
}

/// E1: an old owner that takes what was routed to it before it was none any more is found out when it then says that it is none, which
/// is no answer to a client.
#[test]
fn taking_what_was_routed_before_is_noticed() {
    let report = (0..6).find_map(|seed| {
        let report = sim::run_scenario(of_a_sleeper(seed, Some(Sabotage::TakeOldRoutes)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_eq!(rule(report), "only what cannot be served is refused as invalid");
}

/// The same without sabotage is clean.
#[test]
fn what_was_routed_before_is_refused() {
    for seed in 0..2 {
        let report = sim::run_scenario(of_a_sleeper(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// A coordinator sleeps while a node joins, and goes on by the state that it knows. Each key has one owner.
fn of_a_sleeper(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    let acts = vec![Act::Pause(2), Act::Join];
    Scenario {
        plan: Some(Plan { acts, one_by_one: true, victim: Victim::Nobody }),
        replicas: 1,
        clients: 6,
        keys: 6,
        safety: Duration::from_secs(5),
        nodes: Scenario::calm(seed, 3).nodes,
        ..of_movements(seed, sabotage)
    }
}

/// E3: what was under way for a movement that was given up, and is taken for what a later one is to bring, is found out by who reads
/// there: between the two more was written.
#[test]
fn taking_late_pages_is_noticed() {
    let report = (0..6).find_map(|seed| {
        let report = sim::run_scenario(of_a_retry(seed, Some(Sabotage::TakeLatePages)), false);
        (!report.is_clean()).then_some(report)
    });
    assert_past_is_shown(report);
}

/// The same without sabotage is clean.
#[test]
fn late_pages_do_no_harm() {
    for seed in 0..2 {
        let report = sim::run_scenario(of_a_retry(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// A join is called off while partitions fill, and taken up again. Each key has one owner.
fn of_a_retry(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    let acts = vec![Act::Join, Act::AwaitMoving, Act::Cancel(2), Act::Stay(2)];
    Scenario {
        plan: Some(Plan { acts, one_by_one: false, victim: Victim::Nobody }),
        network: NetworkOptions { usual_micros: 15_000, unruly: false, lost_one_in: 0 },
        clients: 24,
        think_max: Duration::from_millis(2),
        ..of_movements(seed, sabotage)
    }
}

/// E1, I1: a node that goes by a change that nobody agreed on is found out.
#[test]
fn going_by_a_forged_change_is_noticed() {
    let report = caught_moving(Sabotage::ForgeHistory);
    assert_eq!(rule(report), "there is one history of cluster states (E1, I1)");
}

/// Liveness: where the leader never hears that anybody is done, changes do not end, and that is found out.
#[test]
fn a_change_that_does_not_end_is_noticed() {
    let report = sim::run_scenario(of_movements(0, Some(Sabotage::LoseReports)), false);
    assert_eq!(rule(Some(report)), "every change ends, and all know of it (E6, I1, liveness)");
}

/// The same without sabotage is clean.
#[test]
fn honest_movements_lose_nothing() {
    for seed in 0..2 {
        let report = sim::run_scenario(of_movements(seed, None), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

fn caught_moving(sabotage: Sabotage) -> Option<Report> {
    (0..6).find_map(|seed| {
        let report = sim::run_scenario(of_movements(seed, Some(sabotage)), false);
        (!report.is_clean()).then_some(report)
    })
}

/// A node joins two others, and one of these leaves. Each key has one owner, so that what a movement loses is nowhere else.
fn of_movements(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    let acts = vec![Act::Join, Act::Drain(0)];
    Scenario {
        plan: Some(Plan { acts, one_by_one: true, victim: Victim::Nobody }),
        spares: 1,
        replicas: 1,
        sabotage,
        clients: 3,
        think_max: Duration::from_millis(20),
        safety: Duration::from_secs(1),
        ..Scenario::calm(seed, 2)
    }
}
