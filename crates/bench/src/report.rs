//! The figures of a run, in the form that is kept: what `--json` writes and the table shows.
//!
//! The field names are a contract with scripts: fields may be added, none is renamed or given another meaning without
//! raising `format`. Units are in the names; `_us` is microseconds.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::plan::{Extent, Plan};
use crate::process::Usage;
use crate::recorder::{Recorder, TIMELINE_STEP};
use crate::workload::{Distribution, Kind};

/// The version of the JSON's form.
const FORMAT: u32 = 1;

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) setup: Setup,
    /// From the end of the warmup to the last answer.
    pub(crate) elapsed_seconds: f64,
    /// Operations that succeeded.
    pub(crate) operations: u64,
    pub(crate) throughput_per_second: f64,
    /// Operations that failed; in no percentile.
    pub(crate) failed: u64,
    /// Reads that found nothing; among the operations.
    pub(crate) misses: u64,
    pub(crate) redirects: u64,
    /// Reads that `--verify` found wrong; among the failed.
    pub(crate) unverified: u64,
    /// Open loop: arrivals that the end of the run overtook; in the percentiles with the time they had waited.
    pub(crate) unsent: u64,
    pub(crate) errors: Vec<ErrorLine>,
    /// By kind of operation, and `all` where there are several.
    pub(crate) latency: Vec<Latency>,
    /// Open loop: how late the generator itself was although a client was free.
    pub(crate) send_lag: Option<Latency>,
    pub(crate) server: Server,
    pub(crate) generator: Generator,
    pub(crate) timeline: Timeline,
}

/// What was run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setup {
    pub(crate) addresses: Vec<String>,
    pub(crate) cluster: bool,
    pub(crate) workload: String,
    pub(crate) distribution: Distribution,
    pub(crate) keys: u64,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    /// Nothing in a closed loop.
    pub(crate) rate_per_second: Option<f64>,
    pub(crate) wait_replicas: Option<u32>,
    /// The commands that prepared every connection.
    pub(crate) prelude: Vec<String>,
    /// Nothing where operations were counted instead.
    pub(crate) duration_seconds: Option<f64>,
    pub(crate) warmup_seconds: f64,
    pub(crate) seed: u64,
}

/// Errors that begin alike.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErrorLine {
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) example: String,
}

/// The percentiles of a histogram.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_9_us: f64,
    pub(crate) p99_99_us: f64,
    pub(crate) max_us: f64,
}

/// What the servers used, or why that is not known.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Server {
    /// All server processes together.
    Measured {
        /// The processes, as pid and name.
        processes: Vec<Process>,
        /// User and system time per operation, failed ones included.
        cpu_us_per_operation: f64,
        /// The same in sum.
        cpu_seconds: f64,
        /// Resident memory at the end.
        resident_bytes: u64,
        /// Times that a thread of a server went to sleep, per operation.
        voluntary_switches_per_operation: f64,
    },
    /// Servers elsewhere, or not found.
    NotMeasured {
        /// In plain words.
        not_measured: String,
    },
}

/// A server process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// What the generator itself used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Generator {
    pub(crate) cpu_us_per_operation: f64,
    pub(crate) cpu_seconds: f64,
}

/// Throughput over time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timeline {
    pub(crate) step_seconds: f64,
    /// Operations answered in each step.
    pub(crate) operations: Vec<u64>,
}

/// The servers' usage in the measured stretch, or why it is not known.
pub(crate) type ServerUsage = Result<(Vec<Process>, Usage), String>;

impl Report {
    /// Puts the figures together.
    pub(crate) fn new(plan: &Plan, recorder: &Recorder, servers: ServerUsage, own: Usage) -> Report {
        let elapsed_seconds = recorder.elapsed().as_secs_f64();
        let answered = recorder.succeeded() + recorder.failed();
        Report {
            format: FORMAT,
            setup: setup(plan),
            elapsed_seconds,
            operations: recorder.succeeded(),
            throughput_per_second: per(recorder.succeeded() as f64, elapsed_seconds),
            failed: recorder.failed(),
            misses: recorder.misses(),
            redirects: recorder.redirects(),
            unverified: recorder.unverified(),
            unsent: recorder.unsent_count(),
            errors: errors(recorder),
            latency: latencies(recorder),
            send_lag: plan.open_loop.map(|_| Latency::of("send lag", recorder.send_lag())),
            server: server(servers, answered),
            generator: Generator {
                cpu_us_per_operation: per(own.cpu_micros as f64, answered as f64),
                cpu_seconds: own.cpu_micros as f64 / 1e6,
            },
            timeline: Timeline {
                step_seconds: TIMELINE_STEP.as_secs_f64(),
                operations: recorder.timeline().to_vec(),
            },
        }
    }

    /// As JSON, indented, ended by a newline.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only text keys and finite numbers") + "\n"
    }
}

impl Latency {
    fn of(kind: &str, nanos: &Histogram<u64>) -> Latency {
        let micros = |quantile| nanos.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            kind: kind.to_owned(),
            count: nanos.len(),
            mean_us: nanos.mean().round() / 1e3,
            p50_us: micros(0.5),
            p90_us: micros(0.9),
            p99_us: micros(0.99),
            p99_9_us: micros(0.999),
            p99_99_us: micros(0.9999),
            max_us: nanos.max() as f64 / 1e3,
        }
    }
}

fn setup(plan: &Plan) -> Setup {
    Setup {
        addresses: plan.addresses.clone(),
        cluster: plan.cluster,
        workload: plan.workload_name.clone(),
        distribution: plan.distribution,
        keys: plan.keys,
        key_bytes: plan.key_form.size(),
        value_bytes: plan.values.size(),
        connections: plan.connections,
        pipeline: plan.pipeline,
        threads: plan.threads,
        rate_per_second: plan.open_loop.map(|open_loop| open_loop.per_second),
        wait_replicas: plan.wait_replicas,
        prelude: plan.prelude.iter().map(|words| words.join(" ")).collect(),
        duration_seconds: match plan.extent {
            Extent::Duration(duration) => Some(duration.as_secs_f64()),
            Extent::Operations(_) => None,
        },
        warmup_seconds: plan.warmup.as_secs_f64(),
        seed: plan.seed,
    }
}

fn errors(recorder: &Recorder) -> Vec<ErrorLine> {
    let line = |(kind, error): (&String, &crate::recorder::ErrorCount)| ErrorLine {
        kind: kind.clone(),
        count: error.count,
        example: error.example.clone(),
    };
    let mut lines: Vec<ErrorLine> = recorder.errors().iter().map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.count));
    lines
}

fn latencies(recorder: &Recorder) -> Vec<Latency> {
    let seen = Kind::ALL.iter().filter(|kind| !recorder.histogram(**kind).is_empty());
    let mut lines: Vec<Latency> =
        seen.map(|kind| Latency::of(kind.name(), recorder.histogram(*kind))).collect();
    if lines.len() > 1 {
        lines.push(Latency::of("all", &all_kinds(recorder)));
    }
    lines
}

/// The latencies of all kinds together.
pub(crate) fn all_kinds(recorder: &Recorder) -> Histogram<u64> {
    let mut all = recorder.histogram(Kind::Read).clone();
    for kind in &Kind::ALL[1..] {
        all.add(recorder.histogram(*kind)).expect("all histograms are made with the same bounds");
    }
    all
}

fn server(servers: ServerUsage, answered: u64) -> Server {
    match servers {
        Err(not_measured) => Server::NotMeasured { not_measured },
        Ok((processes, usage)) => Server::Measured {
            processes,
            cpu_us_per_operation: per(usage.cpu_micros as f64, answered as f64),
            cpu_seconds: usage.cpu_micros as f64 / 1e6,
            resident_bytes: usage.resident_bytes,
            voluntary_switches_per_operation: per(usage.voluntary_switches as f64, answered as f64),
        },
    }
}

/// A quotient that is zero, not infinite, where nothing happened.
fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: crate::Args,
    }

    /// A run whose figures are known beforehand.
    pub(crate) fn example() -> (Report, Recorder) {
        let flags =
            ["bench", "--rate", "1000", "--wait", "1", "--r", "one", "--warmup", "0", "--ratio", "1:1"];
        let plan = Plan::from_args(&Program::try_parse_from(flags).unwrap().args).unwrap();
        let mut recorder = Recorder::new(0);
        for i in 1..=1_000_u64 {
            recorder.succeed(Kind::Read, i * 200_000, i * 200_000 + i * 1_000);
            recorder.succeed(Kind::Update, i * 200_000, i * 200_000 + i * 2_000);
        }
        recorder.miss(Kind::Read, 200_000_000, 200_001_000);
        recorder.fail(200_000_000, 200_002_000, "UNAVAILABLE needed 2 of 3, had 1");
        recorder.lag(1, 50_000);
        let processes = vec![Process { pid: 42, name: "henge".to_owned() }];
        let usage = Usage { cpu_micros: 20_020, resident_bytes: 1 << 20, voluntary_switches: 1_001 };
        let own = Usage { cpu_micros: 10_010, ..Usage::default() };
        (Report::new(&plan, &recorder, Ok((processes, usage)), own), recorder)
    }

    /// The JSON that scripts read; a change here is a change of the contract.
    #[test]
    fn the_json_is_as_documented() {
        assert_eq!(example().0.to_json(), include_str!("../testdata/report.json"));
    }

    #[test]
    fn servers_elsewhere_are_said_to_be_not_measured() {
        let server = server(Err("10.0.0.1:7001 is not on this machine".to_owned()), 5);
        let json = serde_json::to_string(&server).unwrap();
        assert_eq!(json, r#"{"not_measured":"10.0.0.1:7001 is not on this machine"}"#);
    }
}
