//! Some nodes are well, and what ails the others lasts: a core with a majority of the owners serves by itself (INVARIANTS G4, H5,
//! E9).

use std::time::Duration;

use sim::faults::FaultKind;
use sim::{Report, Sabotage, Scenario};

/// Clusters of which one node or more may be left out, with these kinds of fault alone.
fn of_a_core(seed: u64, nodes: usize, faults: &[FaultKind], sabotage: Option<Sabotage>) -> Scenario {
    Scenario {
        sabotage,
        faults: faults.to_vec(),
        healthy_core: true,
        clients: 3,
        think_max: Duration::from_millis(20),
        safety: Duration::from_secs(4),
        // Seldom enough that the cluster is founded before the first of them.
        fault_gap: Duration::from_millis(2_500),
        ..Scenario::calm(seed, nodes)
    }
}

fn check(report: &Report) {
    assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
    assert_eq!(report.cores, 1, "seed {}: the core was not asked", report.seed);
}

/// One after the other, in clusters in which all nodes own all keys and in such as have others.
#[test]
fn a_core_serves_whatever_ails_the_others() {
    let kinds = FaultKind::EARLY.into_iter().chain(FaultKind::LATER).chain(FaultKind::AILMENTS);
    for (seed, kind) in (0..).zip(kinds) {
        let nodes = 3 + usize::try_from(seed % 3).unwrap_or(0);
        if nodes >= kind.nodes_needed() {
            check(&sim::run_caught(of_a_core(seed, nodes, &[kind], None), false));
        }
    }
}

/// Two data centers: what counts in each of them is done where the core has enough of its owners.
#[test]
fn a_core_in_two_data_centers_serves() {
    for seed in 0..4 {
        let faults = [FaultKind::Split, FaultKind::OneWay, FaultKind::Kill];
        let scenario = Scenario { data_centers: 2, ..of_a_core(seed, 6, &faults, None) };
        check(&sim::run_caught(scenario, false));
    }
}

/// Where every key has one owner there is no core that could do without anybody.
#[test]
fn there_is_no_core_without_majorities() {
    let scenario = Scenario { replicas: 1, ..of_a_core(1, 3, &[FaultKind::Kill], None) };
    let report = sim::run_caught(scenario, false);
    assert!(report.is_clean(), "{}", report.complaints());
    assert_eq!(report.cores, 0);
}

/// Whoever waits for all owners is found out when one of them does not come back, and not before.
#[test]
fn waiting_for_all_owners_is_noticed() {
    let sabotage = Some(Sabotage::WaitForAll);
    let report = sim::run_scenario(of_a_core(1, 3, &[FaultKind::CleanStop], sabotage), false);
    assert_eq!(report.violations[0].rule, "a healthy core serves whatever the others do (liveness)");
    let without = Scenario { healthy_core: false, ..of_a_core(1, 3, &[FaultKind::CleanStop], sabotage) };
    let report = sim::run_scenario(without, false);
    assert!(report.is_clean(), "{}", report.complaints());
}
