//! `henge`: the one binary. It parses what was said, reads the configuration, and starts or asks nodes; it holds no logic
//! of the store.
//!
//! In reading order: [`cli`] is all that can be said, [`config`] what a node is started with, [`launch`] starts one,
//! [`dev`] several, in a [`lab`] that a [`drill`] goes through, and [`server`] one for good; [`client`] asks.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;

mod autoscaler;
mod cli;
mod client;
mod config;
mod dev;
mod drill;
mod gossip;
mod joining;
mod lab;
mod launch;
mod limits;
mod machine;
mod server;
mod signals;

use cli::{Cli, Command};

/// The allocator that the figures in the README are measured with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("henge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Server(arguments) => server::run(&arguments),
        Command::Get(get) => client::keys::get(&get),
        Command::Put(put) => client::keys::put(&put),
        Command::Del(del) => client::keys::del(&del),
        Command::Status(at) => client::show::status(&at),
        Command::Members(at) => client::members::run(&at),
        Command::Top(at) => client::top::run(&at),
        Command::Ring(at) => client::show::ring(&at),
        Command::Watch(at) => client::watch::all(&at),
        Command::Explain(explain) => client::show::explain(&explain),
        Command::Repair(at) => client::repair::run(&at),
        Command::Keyspace(command) => client::keyspace::run(&command),
        Command::Node(command) => client::node::run(&command),
        Command::Partition(command) => client::partition::run(&command),
        Command::Autoscaler(at) => client::autoscaler::run(&at),
        Command::Recover(recover) => client::recover::run(&recover),
        Command::Bench(arguments) => {
            bench::run(&arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "henge", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir: None } => {
            clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
            std::io::stdout().flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir: Some(dir) } => {
            std::fs::create_dir_all(&dir)?;
            clap_mangen::generate_to(Cli::command(), &dir)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
