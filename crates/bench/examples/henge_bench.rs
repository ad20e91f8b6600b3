//! The load generator as a program of its own, to measure other servers without building the store.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "henge_bench")]
struct Program {
    #[command(flatten)]
    args: bench::Args,
}

fn main() -> ExitCode {
    match bench::run(&Program::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
