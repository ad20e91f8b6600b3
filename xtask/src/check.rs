//! `cargo xtask check`: what must hold before a change lands, in the order in which failures are cheapest. `.ci/run` runs
//! this and what only it has the time and the tools for, so that no step is written down twice.

use std::time::Instant;

use crate::tool::cargo;

/// How hard to work.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to run at once, each in one thread.
    #[arg(long, default_value_t = 2)]
    jobs: u16,
}

/// What autoscales StatefulSets, which few need.
const KUBERNETES: &str = "henge/kubernetes";

/// Seeds that every change runs; new ones are run apart.
const SEEDS: &str = "0..440";

/// Runs all checks, and stops at the first that fails.
///
/// # Errors
/// Which check failed; its own output says why.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let step = |name: &str, words: &[&str], environment: &[(&str, &str)]| {
        println!("\n=== {name} ({} s)", began.elapsed().as_secs());
        cargo(words, environment)
    };
    step("format", &["fmt", "--all", "--check"], &[])?;
    // With everything that is built on demand.
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        KUBERNETES,
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    step("lints", &lints, &[])?;
    step("the README's test command", &["test", "--locked"], &[])?;
    let strict = [("RUSTDOCFLAGS", "-D warnings")];
    let documentation =
        ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
    step("documentation", &documentation, &strict)?;
    let jobs = arguments.jobs.to_string();
    step("simulator", &["xtask", "sim", "--seeds", SEEDS, "--jobs", &jobs], &[])
}
