//! The project's own commands: `cargo xtask --help`.
//!
//! They are the only script language of the project, so that whoever can build it can run them.

mod check;
mod drill;
mod sim;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Henge's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole cluster in the simulator, from a seed or a range of them.
    Sim(sim::Arguments),
    /// Real processes under load that are killed, held still, wiped and damaged: is what was acknowledged there?
    Drill(drill::Arguments),
    /// All that must hold before a change lands: format, lints, tests, documentation, seeds.
    Check(check::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Drill(arguments) => drill::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
