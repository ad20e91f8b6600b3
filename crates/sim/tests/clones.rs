//! A second process runs under the name of a node, on a copy of its directory or on a clone of its volume, while the node runs, is
//! cut off, stands still or starts anew: peers let in one of the two, no dot is named twice, nothing that was acknowledged is lost,
//! and in the end all hold the same (INVARIANTS A1, B1, E7).

use std::time::Duration;

use sim::faults::FaultKind;
use sim::{Report, Scenario};

/// What takes an original from its peers, and a moment of it.
const ABSENCES: [FaultKind; 6] = [
    FaultKind::Clone,
    FaultKind::Split,
    FaultKind::LinkCut,
    FaultKind::Reset,
    FaultKind::Pause,
    FaultKind::Kill,
];

fn of_clones(seed: u64, nodes: usize, faults: &[FaultKind]) -> Scenario {
    Scenario {
        faults: faults.to_vec(),
        fault_gap: Duration::from_millis(1_000),
        safety: Duration::from_secs(20),
        skew_ms_max: if seed.is_multiple_of(2) { 0 } else { 2_000 },
        ..Scenario::calm(seed, nodes)
    }
}

fn run(seed: u64, nodes: usize, faults: &[FaultKind]) -> Report {
    let report = sim::run_caught(of_clones(seed, nodes, faults), false);
    assert!(report.is_clean(), "seed {seed}, {nodes} nodes:\n{}", report.complaints());
    report
}

#[test]
fn a_clone_beside_a_node_that_is_there_is_let_in_by_nobody() {
    for seed in 0..4 {
        let clones = run(seed, 3, &[FaultKind::Clone]).clones;
        assert!(clones.begun > 0 && clones.refused > 0 && clones.let_in == 0, "seed {seed}: {clones:?}");
    }
}

#[test]
fn of_two_with_one_name_one_is_let_in_and_nothing_is_lost_by_it() {
    let all = (2..=5).flat_map(|nodes| (0..6).map(move |seed| run(seed, nodes, &ABSENCES).clones));
    let (mut let_in, mut refused, mut gave_way) = (0, 0, 0);
    for clones in all {
        let_in += u32::from(clones.let_in > 0);
        refused += u32::from(clones.refused > 0);
        gave_way += u32::from(clones.gave_way > 0);
    }
    assert!(
        let_in > 3 && refused > 3 && gave_way > 3,
        "{let_in} let in, {refused} refused, {gave_way} gave way"
    );
}

/// A clone was let in by a peer that could not reach the original, and the peer did not remember it: when the original started
/// anew it minted under the same stints as the clone had.
#[test]
fn a_run_that_was_let_in_is_remembered_by_whom_it_has_called() {
    [(1_016, 2), (1_032, 2), (1_061, 3), (1_073, 3)].into_iter().for_each(|(seed, nodes)| {
        run(seed, nodes, &ABSENCES);
    });
}

/// Two observers agreed, the clone of one of them made others forget what that one had said, and then the verdict was acted on.
#[test]
fn what_two_observers_agreed_on_stands_though_one_is_another_since() {
    run(1_058, 4, &ABSENCES);
}

/// The same for as many seeds as one has time for: `cargo test --profile sim -p henge-sim --test clones -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn clones_of_many_seeds_break_nothing() {
    let seeds = || {
        std::env::var("SEEDS").ok().and_then(|seeds| {
            let (first, end) = seeds.split_once("..")?;
            Some(first.parse().ok()?..end.parse().ok()?)
        })
    };
    let failed = |seed: &u64| {
        let nodes = usize::try_from(2 + seed % 4).unwrap_or(2);
        let report = sim::run_caught(of_clones(*seed, nodes, &ABSENCES), false);
        println!("seed {seed}, {nodes} nodes, {:?}\n{}", report.clones, report.complaints());
        !report.is_clean()
    };
    let seeds: std::ops::Range<u64> = seeds().unwrap_or(1_000..1_100);
    assert_eq!(seeds.filter(failed).count(), 0);
}
