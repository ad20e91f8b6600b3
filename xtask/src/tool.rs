//! Running cargo.

use std::process::Command;

use anyhow::{Context, bail};

/// Runs cargo with these arguments, in the workspace, and waits for it to succeed.
///
/// # Errors
/// If it does not.
pub(crate) fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let shown = format!("cargo {}", arguments.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .with_context(|| shown.clone())?;
    if !status.success() {
        bail!("`{shown}` failed");
    }
    Ok(())
}
