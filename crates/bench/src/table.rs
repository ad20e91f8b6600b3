//! The report for people.

use std::fmt::Write;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use crate::report::{Latency, Report, Server};

/// The report as text: what was run, latencies, errors, what it cost.
pub(crate) fn render(report: &Report) -> String {
    let mut text = heading(report);
    text.push_str(&latency_table(report).to_string());
    text.push('\n');
    let result = write_lines(report, &mut text);
    debug_assert!(result.is_ok(), "writing to a String does not fail");
    text
}

fn heading(report: &Report) -> String {
    let setup = &report.setup;
    let loop_kind = setup.rate_per_second.map_or_else(
        || "closed loop".to_owned(),
        |rate| format!("open loop at {rate}/s, latency from the intended start"),
    );
    format!(
        "workload {}, {:?} over {} keys of {} bytes, values of {} bytes\n\
         {} clients, pipeline {}, {loop_kind}; {}\n",
        setup.workload,
        setup.distribution,
        setup.keys,
        setup.key_bytes,
        setup.value_bytes,
        setup.connections,
        setup.pipeline,
        setup.addresses.join(", "),
    )
    .to_lowercase()
}

fn latency_table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["latency, us", "count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"]);
    for line in report.latency.iter().chain(&report.send_lag) {
        table.add_row(row(line));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(line: &Latency) -> Vec<String> {
    let times =
        [line.mean_us, line.p50_us, line.p90_us, line.p99_us, line.p99_9_us, line.p99_99_us, line.max_us];
    let mut cells = vec![line.kind.clone(), line.count.to_string()];
    cells.extend(times.map(|micros| format!("{micros:.1}")));
    cells
}

fn write_lines(report: &Report, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "{} operations in {:.2} s: {:.0} per second",
        report.operations, report.elapsed_seconds, report.throughput_per_second
    )?;
    let counts = [
        ("reads found nothing", report.misses),
        ("requests were sent on by MOVED", report.redirects),
        (
            "arrivals could not be sent before the end; they count with the time they had waited",
            report.unsent,
        ),
        ("operations failed; the latencies above do not include them", report.failed),
    ];
    for (what, count) in counts.iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "{count} {what}")?;
    }
    for error in &report.errors {
        writeln!(text, "  {} x {}, such as: {}", error.count, error.kind, error.example)?;
    }
    write_costs(report, text)
}

fn write_costs(report: &Report, text: &mut String) -> std::fmt::Result {
    match &report.server {
        Server::NotMeasured { not_measured } => writeln!(text, "server CPU: not measured ({not_measured})")?,
        Server::Measured {
            processes,
            cpu_us_per_operation,
            resident_bytes,
            voluntary_switches_per_operation,
            ..
        } => {
            let names: Vec<String> =
                processes.iter().map(|each| format!("{} {}", each.name, each.pid)).collect();
            writeln!(
                text,
                "server CPU: {cpu_us_per_operation:.2} us per operation, {voluntary_switches_per_operation:.2} voluntary \
                 switches; {} MiB resident ({})",
                resident_bytes >> 20,
                names.join(", ")
            )?;
        }
    }
    writeln!(text, "generator CPU: {:.2} us per operation", report.generator.cpu_us_per_operation)
}

#[cfg(test)]
mod tests {
    /// What a person is told: the table, the failures with an example, the costs.
    #[test]
    fn the_table_shows_what_was_measured() {
        let text = super::render(&crate::report::tests::example().0);
        assert_eq!(text, include_str!("../testdata/table.txt"));
    }
}
