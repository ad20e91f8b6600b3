//! Machines come back with an empty disk, with their disk as it was earlier, or with copies of its files: nothing that was
//! acknowledged is lost, denied or named twice (INVARIANTS A1, B1, C3, E7).

use std::time::Duration;

use sim::faults::FaultKind;
use sim::{Report, Sabotage, Scenario};

/// Clients that leave the cluster enough rest for disks to be lost.
fn of_losses(seed: u64, nodes: usize, faults: &[FaultKind], sabotage: Option<Sabotage>) -> Scenario {
    Scenario {
        sabotage,
        faults: faults.to_vec(),
        fault_gap: Duration::from_millis(1_500),
        safety: Duration::from_secs(20),
        think_max: Duration::from_millis(60),
        keys: 6,
        ..Scenario::calm(seed, nodes)
    }
}

fn check(report: &Report) {
    assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
}

#[test]
fn a_node_that_has_forgotten_catches_up_before_it_answers() {
    for kind in FaultKind::LOSSES {
        let reports = (0..4).map(|seed| sim::run_caught(of_losses(seed, 3, &[kind], None), false));
        let struck: usize = reports.inspect(check).map(|report| report.faults).sum();
        assert!(struck > 2, "{kind:?} struck {struck} times");
    }
}

#[test]
fn what_is_forgotten_while_much_else_goes_wrong_is_not_denied() {
    let faults = [
        FaultKind::Wipe,
        FaultKind::RollBack,
        FaultKind::Copy,
        FaultKind::Kill,
        FaultKind::PowerCut,
        FaultKind::LinkCut,
    ];
    (0..6).for_each(|seed| check(&sim::run_caught(of_losses(seed, 4, &faults, None), false)));
}

/// A disk was rolled back to before its node came to own a partition. When the node heard of the later state it took itself for
/// filled, which it had been in a life that it did not know of, and said *absent* of keys that it lacked.
#[test]
fn what_was_filled_before_a_roll_back_is_not_taken_for_here() {
    check(&sim::run_caught(Scenario::from_seed(700_614), false));
}

/// A node that says *absent* of what it has forgotten is found out.
#[test]
fn denying_what_is_forgotten_is_noticed() {
    let report = (0..20).find_map(|seed| {
        let scenario = of_losses(seed, 5, &[FaultKind::Wipe], Some(Sabotage::TakeDamageForAbsence));
        let report = sim::run_caught(scenario, false);
        (!report.is_clean()).then_some(report)
    });
    let report = report.expect("sabotage is noticed");
    let rules = [
        "siblings are the values that nobody replaced (B2, B3)",
        "reads give what was acknowledged, and never go back (C1, C2)",
        "no acknowledged write is lost (A1)",
    ];
    assert!(rules.contains(&report.violations[0].rule), "{}", report.complaints());
}
