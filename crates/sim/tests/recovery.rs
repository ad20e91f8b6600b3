//! The majority of those who keep the cluster state is lost, the history is begun again, and the lost ones come back: what was promised
//! holds, and nobody goes by the old history who has heard of the new one (INVARIANTS E1, G3).

use std::time::Duration;

use sim::faults::FaultKind;
use sim::scenario::Recoveries;
use sim::{Report, Scenario};

fn of_recovery(seed: u64, nodes: usize, recoveries: Recoveries) -> Scenario {
    Scenario {
        recoveries: Some(recoveries),
        safety: Duration::from_secs(4),
        // Who begins again listens for longer than a request usually takes.
        timeout: Duration::from_secs(4),
        keys: 6,
        shards: vec![1, 2],
        ..Scenario::calm(seed, nodes)
    }
}

fn check(report: &Report) {
    assert!(report.is_clean(), "seed {}:\n{}", report.seed, report.complaints());
}

#[test]
fn the_history_goes_on_from_what_is_left_and_those_who_were_lost_follow() {
    for seed in 0..4 {
        check(&sim::run_caught(
            of_recovery(seed, 3 + usize::try_from(seed % 3).unwrap_or(0), Recoveries::One),
            false,
        ));
    }
}

/// Partitions move, and more faults than one have struck, when the majority is lost.
#[test]
fn movements_go_on_in_the_new_history() {
    let faults = vec![FaultKind::Kill, FaultKind::LinkCut, FaultKind::Pause];
    for seed in 10..16 {
        let scenario = of_recovery(seed, 5, Recoveries::One);
        check(&sim::run_caught(
            Scenario { changes: true, spares: 2, faults: faults.clone(), ..scenario },
            false,
        ));
    }
}

/// Two administrators begin again at once, on two sides of a cut.
#[test]
fn two_histories_that_are_begun_at_once_are_noticed_and_never_mixed() {
    (20..24).for_each(|seed| check(&sim::run_caught(of_recovery(seed, 5, Recoveries::Two), false)));
}
