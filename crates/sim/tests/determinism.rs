//! A run is a function of its seed.

use std::process::Command;
use std::time::Duration;

use sim::Scenario;
use sim::faults::FaultKind;

/// Equal seeds give equal traces, byte for byte.
#[test]
fn equal_seeds_give_equal_traces() {
    let (first, second) = (sim::run(2, false), sim::run(2, false));
    assert_eq!(first.trace_lines, second.trace_lines);
    assert_eq!(first.trace_hash, second.trace_hash);
}

/// So do equal scenarios in which every kind of fault strikes.
#[test]
fn every_kind_of_fault_repeats_itself() {
    let run = || {
        let faults: Vec<FaultKind> = FaultKind::EARLY.into_iter().chain(FaultKind::LATER).collect();
        let calm = Scenario { safety: Duration::from_secs(10), ..Scenario::calm(5, 4) };
        let gap = Duration::from_millis(300);
        sim::run_scenario(Scenario { fault_gap: gap, ..calm.with_faults(&faults) }, false)
    };
    let (first, second) = (run(), run());
    assert!(first.is_clean(), "{}", first.complaints());
    assert_eq!((first.trace_hash, first.trace_lines), (second.trace_hash, second.trace_lines));
}

/// Different seeds are different runs.
#[test]
fn different_seeds_give_different_traces() {
    let hashes = [1, 2, 3].map(|seed| sim::run_scenario(Scenario::calm(seed, 2), false).trace_hash);
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
}

/// Not even a fresh process, with other addresses and another seed for the standard library's hash maps, changes a trace.
#[test]
fn a_fresh_process_gives_the_same_trace() {
    const SEED: &str = "HENGE_SIM_PRINT_TRACE_OF";
    let hash = || sim::run_scenario(Scenario::calm(11, 3), false).trace_hash;
    if std::env::var_os(SEED).is_some() {
        println!("trace {:016x}", hash());
        return;
    }
    let this = std::env::current_exe().expect("a test knows its own program");
    let name = "a_fresh_process_gives_the_same_trace";
    let child = Command::new(this).args(["--exact", name, "--nocapture"]).env(SEED, "1").output();
    let printed = String::from_utf8(child.expect("the program starts").stdout).expect("it prints text");
    assert!(printed.contains(&format!("trace {:016x}", hash())), "{printed}");
}
