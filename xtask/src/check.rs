//! `cargo xtask check`: what CI runs, in the order in which failures are cheapest.

use crate::tool::cargo;

/// Seeds that every change runs; new ones are run apart.
const SEEDS: &str = "0..200";

/// Runs all checks, and stops at the first that fails.
///
/// # Errors
/// Which check failed; its own output says why.
pub(crate) fn run() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    cargo(&["test", "--workspace", "--locked"], &[])?;
    let strict = [("RUSTDOCFLAGS", "-D warnings")];
    cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"], &strict)?;
    cargo(&["xtask", "sim", "--seeds", SEEDS, "--jobs", "2"], &[])
}
