//! What one node has on its disk is damaged, again and again, beside what else goes wrong: bits of its tables flip, blocks of them
//! are overwritten with others, its log is damaged while it is off. Nothing that was acknowledged is lost or answered wrongly, and
//! in the end all owners hold the same (INVARIANTS A1, C3, F1, H2, H3).

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

/// All of them are clean, and so many faults struck in them together.
fn check_all(scenarios: impl Iterator<Item = Scenario>, least: usize) {
    let mut faults = 0;
    for scenario in scenarios {
        let report = sim::run_caught(scenario, false);
        assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
        faults += report.faults;
    }
    assert!(faults >= least, "{faults} faults struck");
}

#[test]
fn damage_is_healed_while_clients_read_and_write() {
    (0..4).for_each(|seed| check(&sim::run_caught(of_damage(seed, &[FaultKind::FlippedBlock], None), false)));
}

/// Blocks with checksums that are right, of another place of the same table, of another table, and of the other shard's table of
/// the same number.
#[test]
fn blocks_of_other_places_are_healed() {
    let divided = |seed| Scenario {
        shards: vec![if seed % 2 == 0 { 1 } else { 2 }],
        ..of_damage(seed, &[FaultKind::MisdirectedBlock], None)
    };
    (0..4).for_each(|seed| check(&sim::run_caught(divided(seed), false)));
}

/// What was synced in the commit log is damaged while the node is off: what is left of the log is taken in, and the rest comes
/// from the others.
#[test]
fn a_damaged_log_is_healed() {
    let with_deaths = [FaultKind::DamagedLog, FaultKind::Kill, FaultKind::CleanStop, FaultKind::LinkCut];
    let alone = |seed| of_damage(seed, &[FaultKind::DamagedLog], None);
    check_all((0..2).map(alone), 4);
    check_all((2..4).map(|seed| of_damage(seed, &with_deaths, None)), 8);
}

/// Of a file on which all others hang a node does not guess what was in it: it refuses to start and says which and what to do;
/// with an empty directory it gets all from the others.
#[test]
fn a_node_whose_small_files_are_damaged_refuses_and_comes_back_when_emptied() {
    let restful = |seed| Scenario {
        think_max: Duration::from_millis(100),
        shards: vec![if seed % 2 == 0 { 1 } else { 2 }],
        ..of_damage(seed, &[FaultKind::SpoiltFile], None)
    };
    check_all((0..4).map(restful), 4);
}

const WITH_DEATHS: [FaultKind; 5] =
    [FaultKind::FlippedBlock, FaultKind::Kill, FaultKind::CleanStop, FaultKind::LinkCut, FaultKind::Pause];

const WITH_EVERYTHING: [FaultKind; 8] = [
    FaultKind::FlippedBlock,
    FaultKind::MisdirectedBlock,
    FaultKind::DamagedLog,
    FaultKind::SpoiltFile,
    FaultKind::Kill,
    FaultKind::CleanStop,
    FaultKind::Pause,
    FaultKind::LinkCut,
];

/// The same for as many seeds as one has time for: `cargo test --release -p henge-sim --test damage -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn damage_of_many_seeds_is_healed() {
    let clean = |seed: u64| {
        let faults = if seed.is_multiple_of(3) { &FaultKind::ASKED_FOR[..3] } else { &WITH_EVERYTHING[..] };
        let divided = Scenario { shards: vec![1, 2], ..of_damage(seed, faults, None) };
        let report = sim::run_caught(divided, false);
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

/// A node whose log or table is damaged and that is to have another number of shards did not start, though with the number it had
/// it would have healed.
#[test]
fn a_damaged_store_is_divided_anew() {
    for seed in [0, 103] {
        let report =
            sim::run_caught(Scenario::from_seed(seed).with_faults(&FaultKind::ASKED_FOR[..4]), false);
        assert!(report.is_clean(), "seed {seed}:\n{}", report.complaints());
    }
}

/// What a node sent while it was fifty times slower was under way for seconds after it was healed, and all that was sent behind
/// it on the same connection with it: the cluster was not yet whole.
#[test]
fn a_cluster_is_whole_when_nothing_late_is_under_way() {
    let kinds = [FaultKind::Reset, FaultKind::SlowDisk, FaultKind::SlowNode];
    let scenario = Scenario::from_seed(313).with_faults(&[&WITH_EVERYTHING[..], &kinds].concat());
    let report = sim::run_caught(scenario, false);
    assert!(report.is_clean(), "{}", report.complaints());
}
