//! First light.
#[test]
fn one() {
    let report = sim::run_scenario(sim::Scenario::calm(1, 3), false);
    println!("{:?} {:?} lines {}", report.figures, report.simulated, report.trace_lines);
    assert!(report.is_clean(), "{}", report.complaints());
}
