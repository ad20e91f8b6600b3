//! A run from its arguments to its report: probe, load, measure, write.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use env::Rng;

use crate::args::Args;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::operations::Operations;
use crate::pacing::Window;
use crate::phase::Phase;
use crate::plan::{Extent, Plan};
use crate::plot;
use crate::probe::{Servers, probe};
use crate::process::{self, Usage};
use crate::progress::{Goal, Progress};
use crate::recorder::Recorder;
use crate::report::{Process, Report};
use crate::table;

/// Loading sends at least so many requests together: nobody measures it, so it may be quick.
const LOAD_PIPELINE_MIN: usize = 16;

/// Runs the load that `args` describes against running servers, and writes the report where they say.
///
/// # Errors
///
/// Where arguments contradict each other, no server answers, keys cannot be loaded, no operation succeeds, a read
/// fails its check, or a report cannot be written. A run in which only some operations failed is not an error: the
/// report counts them.
pub fn run(args: &Args) -> Result<(), Error> {
    run_to(args, &mut std::io::stdout())
}

/// As [`run`], with the table, or with `--json -` the JSON, going to `out`.
///
/// # Errors
///
/// As [`run`].
pub fn run_to(args: &Args, out: &mut dyn Write) -> Result<(), Error> {
    let plan = Arc::new(Plan::from_args(args)?);
    let servers = probe(&plan)?;
    if args.load || args.load_only {
        load(&plan, &servers, args.quiet)?;
    }
    if args.load_only {
        return Ok(());
    }
    let (report, recorder) = measure(&plan, &servers, args)?;
    write_report(&report, args, out)?;
    if let Some(path) = &args.plot {
        let svg = plot::draw(&recorder).map_err(|error| Error::Generator(format!("no plot: {error}")))?;
        std::fs::write(path, svg).map_err(|source| Error::Output { path: path.clone(), source })?;
    }
    verdict(&report, &recorder)
}

/// Stores every key once.
fn load(plan: &Arc<Plan>, servers: &Servers, quiet: bool) -> Result<(), Error> {
    let phase = Phase {
        plan: Arc::clone(plan),
        slots: servers.slots.clone(),
        frontier: Arc::new(Frontier::new(0)),
        operations: Operations::Load { next: Arc::new(AtomicU64::new(0)), keys: plan.keys },
        pipeline: plan.pipeline.max(LOAD_PIPELINE_MIN),
        open_loop: None,
        window: Window { measure_from: 0, end: u64::MAX, operations: u64::MAX },
    };
    let progress = Progress::new("loading", Goal::Operations(plan.keys), quiet);
    let result = phase.run(&progress, &mut || {});
    progress.finish();
    let recorder = result?;
    match recorder.errors().values().next() {
        Some(error) if recorder.failed() > 0 => {
            Err(Error::Load { keys: plan.keys, failed: recorder.failed(), example: error.example.clone() })
        }
        _ => Ok(()),
    }
}

fn measure(plan: &Arc<Plan>, servers: &Servers, args: &Args) -> Result<(Report, Recorder), Error> {
    let pids = server_pids(args, servers);
    let phase = Phase {
        plan: Arc::clone(plan),
        slots: servers.slots.clone(),
        frontier: Arc::new(Frontier::new(plan.keys)),
        // Each client gets a generator of its own.
        operations: Operations::Mixed { mix: plan.mix, chooser: plan.key_chooser(), rng: Rng::from_seed(0) },
        pipeline: plan.pipeline,
        open_loop: plan.open_loop,
        window: window(plan),
    };
    let goal = match plan.extent {
        Extent::Duration(duration) => Goal::Time(plan.warmup.saturating_add(duration)),
        Extent::Operations(operations) => Goal::Operations(operations),
    };
    let progress = Progress::new("running", goal, args.quiet);
    let (mut servers_before, mut own_before) = (Ok(Usage::default()), Usage::default());
    let result = phase.run(&progress, &mut || {
        servers_before = usage_of(&pids);
        own_before = own_usage();
    });
    let (servers_after, own_after) = (usage_of(&pids), own_usage());
    progress.finish();
    let recorder = result?;
    let servers = pids.and_then(|pids| Ok((processes(&pids), servers_after?.since(servers_before?))));
    let report = Report::new(plan, &recorder, servers, own_after.since(own_before));
    Ok((report, recorder))
}

fn window(plan: &Plan) -> Window {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let measure_from = nanos(plan.warmup);
    match plan.extent {
        Extent::Duration(duration) => {
            Window { measure_from, end: measure_from.saturating_add(nanos(duration)), operations: u64::MAX }
        }
        Extent::Operations(operations) => Window { measure_from, end: u64::MAX, operations },
    }
}

/// The processes whose CPU time counts, or why there are none.
fn server_pids(args: &Args, servers: &Servers) -> Result<Vec<u32>, String> {
    if !args.server_pid.is_empty() {
        return Ok(args.server_pid.clone());
    }
    let asked = !args.server_port.is_empty();
    if !asked && !servers.remote.is_empty() {
        return Err(format!("{} is not on this machine", servers.remote.join(", ")));
    }
    let ports = if asked { &args.server_port } else { &servers.local_ports };
    match process::listening_on(ports) {
        Ok(pids) if pids.is_empty() => {
            Err(format!("no process of this user was found listening on {ports:?}"))
        }
        Ok(pids) => Ok(pids),
        Err(error) => Err(format!("/proc cannot be read: {error}")),
    }
}

fn usage_of(pids: &Result<Vec<u32>, String>) -> Result<Usage, String> {
    let pids = pids.as_ref().map_err(Clone::clone)?;
    Usage::of(pids).map_err(|error| format!("a server process is gone or hidden: {error}"))
}

fn own_usage() -> Usage {
    Usage::of(&[std::process::id()]).unwrap_or_default()
}

fn processes(pids: &[u32]) -> Vec<Process> {
    pids.iter().map(|pid| Process { pid: *pid, name: process::name(*pid) }).collect()
}

fn write_report(report: &Report, args: &Args, out: &mut dyn Write) -> Result<(), Error> {
    let json_only = args.json.as_deref() == Some(Path::new("-"));
    let shown = if json_only { report.to_json() } else { table::render(report) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Output { path, source }
    };
    out.write_all(shown.as_bytes()).map_err(failed(Path::new("standard output")))?;
    match &args.json {
        Some(path) if !json_only => std::fs::write(path, report.to_json()).map_err(failed(path)),
        _ => Ok(()),
    }
}

/// Whether the figures may be used.
fn verdict(report: &Report, recorder: &Recorder) -> Result<(), Error> {
    if report.unverified > 0 {
        return Err(Error::Verify { count: report.unverified });
    }
    match recorder.errors().values().next() {
        Some(error) if report.operations == 0 => {
            Err(Error::NothingSucceeded { attempted: report.failed, example: error.example.clone() })
        }
        _ => Ok(()),
    }
}
