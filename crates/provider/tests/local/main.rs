//! The provider `local`, with real processes: this program is also the node that it starts.
//!
//! It has no harness, because a node is started as `PROGRAM server --node-id ...`, which a harness would take for itself.
//! A test is run by its name, or all are.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod node;
#[cfg(target_os = "linux")]
mod rules;

use std::process::{Command, ExitCode};

/// Given to the program that tests, so that what it has in its environment is known.
const RUN: &str = "run-with-environment";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("server") => node::run(&words),
        #[cfg(target_os = "linux")]
        Some(RUN) => rules::run(words.get(1).map(String::as_str)),
        _ => {
            let filter = words.iter().find(|word| !word.starts_with('-'));
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg(RUN).args(filter).env("HENGE_BOOTSTRAP", "true").env("HENGE_CLUSTER_SECRET", "s");
            let passed = cfg!(not(target_os = "linux")) || command.status().unwrap().success();
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
