//! `cargo xtask sim`: builds the simulator with optimisation and all assertions, and runs seeds in it.

use crate::tool::cargo;

/// Which seeds, and how.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One seed; its trace can be printed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// A range of seeds: the first, and the first that is left out, as in 0..1000.
    #[arg(long)]
    seeds: Option<String>,
    /// Print every event.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Only these kinds of fault strike, as in Pause,Ring; else what each seed stands for.
    #[arg(long)]
    faults: Option<String>,
    /// Nobody changes the cluster: nodes neither join nor leave, and keyspaces stay as they are.
    #[arg(long)]
    without_changes: bool,
    /// How many seeds to run at once, each in one thread.
    #[arg(long, default_value_t = 1)]
    jobs: u16,
}

/// Runs them.
///
/// # Errors
/// If a rule was broken.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let jobs = arguments.jobs.to_string();
    let mut words = vec!["run", "--quiet", "--profile", "sim", "-p", "henge-sim", "--example", "seeds", "--"];
    let seed = arguments.seed.map(|seed| seed.to_string());
    if let Some(seed) = &seed {
        words.extend(["--seed", seed]);
    }
    if let Some(seeds) = &arguments.seeds {
        words.extend(["--seeds", seeds]);
    }
    if let Some(faults) = &arguments.faults {
        words.extend(["--faults", faults]);
    }
    if arguments.without_changes {
        words.push("--without-changes");
    }
    if arguments.trace {
        words.push("--trace");
    }
    words.extend(["--jobs", &jobs]);
    cargo(&words, &[])
}
