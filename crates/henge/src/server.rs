//! `henge server`: one node, until it is asked to stop or cannot go on.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use http_front::HttpOptions;

use crate::cli::Server;
use crate::config::NodeConfig;
use crate::launch::{Surroundings, launch, serve_http};
use crate::{autoscaler, config, joining, signals};

/// How often a node is looked at for having stopped by itself.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// How many lives of its data directory a process goes through: two that run under one name take them from each other.
const LIVES_MAX: u32 = 4;

/// Runs one node.
pub(crate) fn run(arguments: &Server) -> Result<ExitCode> {
    start_logging("info");
    let config = config::load(arguments)?;
    if arguments.dry_run {
        return joining::preview(config, arguments.json);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..LIVES_MAX {
        match serve(&runtime, config.clone())? {
            Ended::Asked => return Ok(ExitCode::SUCCESS),
            Ended::Failed => return Ok(ExitCode::FAILURE),
            Ended::Renounced => {}
        }
    }
    eprintln!(
        "henge: its data directory was given up {LIVES_MAX} times: is there another process under this node.id?"
    );
    Ok(ExitCode::FAILURE)
}

/// How a node ended.
enum Ended {
    /// It was asked to.
    Asked,
    /// It could not go on; people were told why.
    Failed,
    /// It has given up the life of its data directory and is to begin another.
    Renounced,
}

/// Runs the node through one life of its data directory.
fn serve(runtime: &tokio::runtime::Runtime, config: NodeConfig) -> Result<Ended> {
    let (listen, autoscaler) = (config.listen, config.autoscaler.clone());
    let mut launched = launch(config, Surroundings::of_the_machine())?;
    let address = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    };
    tracing::info!(
        node = %launched.name,
        resp = %address(listen.resp),
        cluster = %address(listen.cluster),
        http = %address(listen.http),
        peer = %listen.peer,
        "serving"
    );
    let autoscaler = autoscaler.map(|settings| autoscaler::start(&settings, launched.running.handle.clone()));
    let autoscaler = autoscaler.transpose()?;
    let shown = autoscaler.as_ref().map(autoscaler::Running::shown);
    let options = HttpOptions { autoscaler: shown, ..HttpOptions::default() };
    runtime.block_on(async {
        let (stop_http, http_stopped) = tokio::sync::oneshot::channel::<()>();
        let http = launched.http.take().map(|listener| {
            let handle = launched.running.handle.clone();
            tokio::spawn(serve_http(listener, handle, options, async {
                let _ = http_stopped.await;
            }))
        });
        tokio::select! {
            () = signals::asked_to_stop() => {}
            () = async {
                while !launched.running.is_finished() {
                    tokio::time::sleep(WATCH_EVERY).await;
                }
            } => {}
        }
        let _ = stop_http.send(());
        if let Some(http) = http {
            let _ = http.await;
        }
    });
    if let Some(autoscaler) = autoscaler {
        autoscaler.stop();
    }
    launched.running.stop();
    let renounced = launched.running.has_renounced();
    match launched.running.join() {
        None => Ok(Ended::Asked),
        Some(_) if renounced => Ok(Ended::Renounced),
        Some(why) => {
            eprintln!("henge: node {} stopped: {why}", launched.name);
            Ok(Ended::Failed)
        }
    }
}

/// Logs go to standard error; `HENGE_LOG` says how much, as in `debug` or `node=debug,info`.
pub(crate) fn start_logging(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HENGE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
