//! Blocks of one node's tables are damaged, again and again, beside what else goes wrong: nothing that was acknowledged is lost or
//! answered wrongly, and in the end all owners hold the same (INVARIANTS A1, C3, F1).

use std::time::Duration;

use sim::faults::FaultKind;
use sim::{Report, Sabotage, Scenario};

/// Three nodes with so little memory that most of what they have is in tables.
fn of_damage(seed: u64, faults: &[FaultKind], sabotage: Option<Sabotage>) -> Scenario {
    let storage = storage::Options {
        memory_bytes: 64 << 10,
        block_bytes: 256,
        level0_tables: usize::try_from(1 + seed % 4).unwrap_or(1),
        ..storage::Options::tiny()
    };
    Scenario {
        sabotage,
        storage,
        faults: faults.to_vec(),
        fault_gap: Duration::from_millis(500),
        safety: Duration::from_secs(15),
        think_max: Duration::from_millis(5),
        keys: 6,
        ..Scenario::calm(seed, 3)
    }
}

fn check(report: &Report) {
    assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
    assert!(report.faults > 3, "seed {}: {} faults struck", report.seed, report.faults);
}

#[test]
fn damage_is_healed_while_clients_read_and_write() {
    (0..4).for_each(|seed| check(&sim::run_caught(of_damage(seed, &[FaultKind::FlippedBlock], None), false)));
}

const WITH_DEATHS: [FaultKind; 5] =
    [FaultKind::FlippedBlock, FaultKind::Kill, FaultKind::CleanStop, FaultKind::LinkCut, FaultKind::Pause];

/// The same for as many seeds as one has time for: `cargo test --release -p henge-sim --test damage -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn damage_of_many_seeds_is_healed() {
    let clean = |seed: u64| {
        let faults: &[FaultKind] =
            if seed.is_multiple_of(3) { &[FaultKind::FlippedBlock] } else { &WITH_DEATHS };
        let report = sim::run_caught(of_damage(seed, faults, None), false);
        if !report.is_clean() {
            println!("seed {seed}:\n{}", report.complaints());
        }
        report.is_clean()
    };
    assert_eq!((1_000..1_150).filter(|seed| !clean(*seed)).count(), 0);
}

#[test]
fn damage_is_healed_while_nodes_die_and_the_network_falls_apart() {
    (10..16).for_each(|seed| check(&sim::run_caught(of_damage(seed, &WITH_DEATHS, None), false)));
}

/// An owner whose "cannot say" is taken for "absent" is found out.
#[test]
fn taking_damage_for_absence_is_noticed() {
    let report = (0..20).find_map(|seed| {
        let report = sim::run_caught(with_strangers(seed, Some(Sabotage::TakeDamageForAbsence)), false);
        (!report.is_clean()).then_some(report)
    });
    let report = report.expect("sabotage is noticed");
    let rules = [
        "siblings are the values that nobody replaced (B2, B3)",
        "reads give what was acknowledged, and never go back (C1, C2)",
    ];
    assert!(rules.contains(&report.violations[0].rule), "{}", report.complaints());
}

/// The same without sabotage is clean.
#[test]
fn damage_that_is_told_is_no_absence() {
    (0..2).for_each(|seed| check(&sim::run_caught(with_strangers(seed, None), false)));
}

/// More nodes than owners, so that many a read has no owner at hand.
fn with_strangers(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    let nodes = Scenario::calm(seed, 5).nodes;
    Scenario { nodes, ..of_damage(seed, &[FaultKind::FlippedBlock], sabotage) }
}
