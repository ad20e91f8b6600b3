//! `cargo xtask drill`: real `henge server` processes under load, to which things happen from a seed, and whether all that was
//! acknowledged is there afterwards.
//!
//! What must hold: a drill that did not do what it was to do, or whose clients did not write enough, has shown nothing, and
//! fails. The seed decides what happens and to whom; what comes of it is up to the machine, as with all real processes. Runs
//! that are the same each time are the simulator's.
//!
//! Reading order: `faults` (what happens), `load` (who writes), `whole` (when owners have all), `verdict`.

mod damage;
mod door;
mod faults;
mod load;
mod net;
mod resp;
mod ring;
mod tally;
mod verdict;
mod whole;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use env::Rng;

use self::faults::{Fault, Striker};
use self::load::{Load, Shared};
use self::net::Net;
use self::ring::Ring;
use self::tally::Asked;
use self::verdict::Verdict;
use self::whole::Meanwhile;
use crate::tool::cargo;

/// How much, and what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long things happen, at least once each
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// What happens to whom
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=20))]
    nodes: u16,
    /// Writes per second, of all clients together
    #[arg(long, default_value_t = 400)]
    rate: u32,
    /// Each node in a network namespace of its own, so that single directions between two can be cut
    #[arg(long)]
    one_way: bool,
    /// Only these happen, by the names that are printed, as in "kill -9,SIGSTOP"
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Build and run with optimisation
    #[arg(long)]
    release: bool,
    /// Another program than the one that is built here
    #[arg(long)]
    program: Option<PathBuf>,
    /// Leave the directory with data and logs there; one that failed always does
    #[arg(long)]
    keep: bool,
}

/// With fewer acknowledged writes a drill shows nothing.
const WRITES_MIN: usize = 1000;

/// How often to try what cannot be done yet, such as damaging a table where there is none.
const ROUNDS_UNDONE_MAX: u32 = 4;

/// The most examples of one kind of trouble that are printed.
const EXAMPLES: usize = 5;

/// Runs a drill.
///
/// # Errors
/// If something was lost, or it could not be run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = program(arguments)?;
    let nodes = usize::from(arguments.nodes);
    let net = if arguments.one_way { Net::namespaces(nodes)? } else { Net::loopback(nodes)? };
    let seed = arguments.seed.unwrap_or_else(|| Rng::from_entropy().below(1 << 32));
    let dir = std::env::temp_dir().join(format!("henge-drill-{seed}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let said = drill(arguments, seed, net, &program, &dir);
    if said.is_ok() && !arguments.keep {
        std::fs::remove_dir_all(&dir)?;
    } else {
        println!("data and logs are in {}; the seed was {seed}", dir.display());
    }
    said
}

/// What is run: something given, or built here.
fn program(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(program) = &arguments.program {
        return program.canonicalize().with_context(|| program.display().to_string());
    }
    let mut words = vec!["build", "--locked", "--quiet", "--bin", "henge"];
    if arguments.release {
        words.push("--release");
    }
    cargo(&words, &[])?;
    // This program is in `target/debug`, or wherever else it was built.
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).context("this program is in no target directory")?;
    let built = target.join(if arguments.release { "release" } else { "debug" }).join("henge");
    ensure!(built.exists(), "cargo built no {}: name the program with --program", built.display());
    Ok(built)
}

fn drill(arguments: &Arguments, seed: u64, net: Net, program: &Path, dir: &Path) -> Result<()> {
    let mut rng = Rng::from_seed(seed);
    let faults = chosen(&arguments.only, net.can_cut())?;
    let mut ring = Ring::prepare(usize::from(arguments.nodes), net, program, dir)?;
    let began = Instant::now();
    for node in 0..ring.nodes() {
        ring.must_start(node)?;
    }
    whole::wait(&mut ring, Meanwhile::Nothing)?;
    println!("{:>7.1} s  {} nodes serve; the seed is {seed}", began.elapsed().as_secs_f64(), ring.nodes());

    let shared = Shared::new((0..ring.nodes()).map(|node| ring.resp(node)).collect());
    let load = Load::start(&shared, arguments.rate, &mut rng)?;
    let mut striker = Striker { ring: &mut ring, shared: &shared, rng: rng.fork(), began };
    let mut undone = faults.clone();
    let until = Duration::from_secs_f64((arguments.minutes * 60.0).clamp(0.0, 1e6));
    let is_over = |undone: &[Fault]| undone.is_empty() && began.elapsed() > until;
    for round in 0.. {
        ensure!(round < ROUNDS_UNDONE_MAX || undone.is_empty(), "could not be done: {undone:?}");
        let mut order = faults.clone();
        rng.shuffle(&mut order);
        for fault in order {
            // After a full round only what is still to be done is waited for.
            if is_over(&undone) || (began.elapsed() > until && !undone.contains(&fault)) {
                continue;
            }
            if striker.strike(fault)? {
                undone.retain(|other| *other != fault);
            }
        }
        if is_over(&undone) {
            break;
        }
    }
    let written = load.end();
    println!("{:>7.1} s  no more writes", began.elapsed().as_secs_f64());
    let took = whole::wait(&mut ring, Meanwhile::Nothing)?;
    println!("{:>7.1} s  all owners agree, after {:.1} s", began.elapsed().as_secs_f64(), took.as_secs_f64());
    let verdict = verdict::judge(&ring, &written)?;
    let acknowledged = written.iter().map(|of| of.acknowledged.len()).sum();
    report(&shared, acknowledged, &verdict)
}

fn chosen(only: &[String], can_cut: bool) -> Result<Vec<Fault>> {
    let all = Fault::all(can_cut);
    if only.is_empty() {
        return Ok(all);
    }
    for name in only {
        if !all.iter().any(|fault| fault.name() == name) {
            let names: Vec<&str> = all.iter().map(|fault| fault.name()).collect();
            bail!(
                "nothing is called {name:?}; there are {} (and with --one-way, one-way loss)",
                names.join(", ")
            );
        }
    }
    Ok(all.into_iter().filter(|fault| only.iter().any(|name| fault.name() == name)).collect())
}

/// What clients saw, and the verdict.
fn report(shared: &Shared, acknowledged: usize, verdict: &Verdict) -> Result<()> {
    let mut tally = shared.tally();
    println!("\n{}", tally.table());
    println!(
        "through nodes that live, while one of them is killed: {} errors",
        tally.errors_through_others("kill -9")
    );
    println!("most siblings of a set: {}", tally.siblings_max);
    println!(
        "{} keys read from all owners through every node, {} compared owner by owner through each",
        verdict.keys, verdict.explained
    );
    let stale = tally.stale.iter().cloned().collect();
    for (what, which) in [
        ("acknowledged writes lost", &verdict.lost),
        ("acknowledged writes that cannot be read", &verdict.unread),
        ("refused writes that show", &verdict.risen),
        ("keys of which owners differ", &verdict.unequal),
        ("reads that showed less than was acknowledged", &stale),
    ] {
        println!("{what}: {}", which.len());
        which.iter().take(EXAMPLES).for_each(|example| println!("    {example}"));
    }
    ensure!(verdict.is_good() && stale.is_empty(), "the drill has found something");
    ensure!(acknowledged >= WRITES_MIN, "only {acknowledged} writes were acknowledged: this shows nothing");
    println!("{acknowledged} acknowledged writes, and {} reads: all is there", tally.count(Asked::Read));
    Ok(())
}
