//! Runs seeds and says what came of them: what `cargo xtask sim` builds and starts.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::faults::FaultKind;
use sim::{Report, Scenario};

#[derive(Parser)]
#[command(name = "cargo xtask sim", about = "Runs the whole cluster in the simulator")]
struct Arguments {
    /// One seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A range of seeds, such as 0..1000.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Print every event.
    #[arg(long)]
    trace: bool,
    /// Only these kinds of fault strike, as in Pause,Ring; else what each seed stands for.
    #[arg(long, value_delimiter = ',', value_parser = FaultKind::named)]
    faults: Vec<FaultKind>,
    /// Nobody changes the cluster: nodes neither join nor leave, and keyspaces stay as they are.
    #[arg(long)]
    without_changes: bool,
    /// How many seeds to run at once.
    #[arg(long, default_value_t = 1)]
    jobs: u16,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let wanted = || format!("{text:?} is no range: want two numbers such as 0..1000");
    let (first, end) = text.split_once("..").ok_or_else(wanted)?;
    Ok(first.parse().map_err(|_| wanted())?..end.parse().map_err(|_| wanted())?)
}

impl Arguments {
    fn scenario(&self, seed: u64) -> Scenario {
        let scenario = Scenario::from_seed(seed);
        let scenario = if self.without_changes { scenario.without_changes() } else { scenario };
        if self.faults.is_empty() { scenario } else { scenario.with_faults(&self.faults) }
    }
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    simulated: Duration,
    done: u64,
    not_done: u64,
    unknown: u64,
    faults: usize,
    cores: usize,
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.simulated += report.simulated;
        self.done += report.figures.done;
        self.not_done += report.figures.not_done;
        self.unknown += report.figures.unknown;
        self.faults += report.faults;
        self.cores += report.cores;
        if !report.is_clean() {
            self.failed.push(report.seed);
            println!("seed {} broke rules:\n{}", report.seed, report.complaints());
            println!("replay it with: cargo xtask sim --seed {} --trace\n", report.seed);
        }
    }

    fn print(&self, took: Duration) {
        let took = took.as_secs_f64();
        let simulated = self.simulated.as_secs_f64();
        let requests = self.done + self.not_done + self.unknown;
        println!(
            "{} seeds, {simulated:.0} s simulated, {} requests done, {} not done, {} unknown, {} faults, {} healthy cores; {} failed",
            self.seeds,
            self.done,
            self.not_done,
            self.unknown,
            self.faults,
            self.cores,
            self.failed.len(),
        );
        println!(
            "in {took:.0} s of real time: {:.1} seeds per second, {:.2} simulated hours per minute, {:.0} operations per second",
            self.seeds as f64 / took,
            simulated / 3600.0 / (took / 60.0),
            requests as f64 / took,
        );
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seeds.clone().unwrap_or(arguments.seed..arguments.seed + 1);
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let started = Instant::now();
    let mut sum = Sum::default();
    let (reports, incoming) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            let (next, reports, arguments) = (&next, reports.clone(), &arguments);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = sim::run_caught(arguments.scenario(seed), arguments.trace);
                    if reports.send(report).is_err() {
                        break;
                    }
                }
            });
        }
        drop(reports);
        for report in incoming {
            sum.add(&report);
            if seeds.end - seeds.start == 1 {
                println!(
                    "trace {:016x} of {} lines; {:?}",
                    report.trace_hash, report.trace_lines, report.figures
                );
            } else if sum.seeds.is_multiple_of(100) {
                sum.print(started.elapsed());
            }
        }
    });
    sum.print(started.elapsed());
    if sum.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        sum.failed.sort_unstable();
        println!("failed: {:?}", sum.failed);
        ExitCode::FAILURE
    }
}
