//! `henge dev`: a whole cluster on this machine, in one process, to try things out.
//!
//! Real nodes over real sockets and files, each on its own threads; what works here works with `henge server`. A node that
//! fails stops alone. The cluster is a [laboratory](crate::lab): `henge dev kill 2` and its like, given in another terminal,
//! make nodes and network fail while it serves.

mod cluster;
mod welcome;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use anyhow::Result;
use env::Rng;
use node::Secret;

use crate::cli::{Dev, DevCommand};
use crate::lab::Lab;
use crate::lab::control::{self, Control};
use crate::lab::order::Order;
use crate::{drill, server, signals};

/// How often the nodes are looked at for having stopped by themselves.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// Runs a cluster until it is asked to stop, or gives an order to the one that runs, or runs a drill.
pub(crate) fn run(arguments: &Dev) -> Result<ExitCode> {
    match &arguments.command {
        None => serve(arguments),
        Some(command) => give(&arguments.data, command),
    }
}

fn give(data: &Path, command: &DevCommand) -> Result<ExitCode> {
    let order = match command {
        DevCommand::Kill(which) => Order::Kill { nodes: which.nodes.clone() },
        DevCommand::Pause(which) => Order::Pause { nodes: which.nodes.clone() },
        DevCommand::Resume(which) => Order::Resume { nodes: which.nodes.clone() },
        DevCommand::Restart(which) => Order::Restart { nodes: which.nodes.clone() },
        DevCommand::Cut { sides } => Order::Cut { sides: sides.0.clone() },
        DevCommand::Heal => Order::Heal {},
        DevCommand::Slow { node, by } => {
            let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            Order::Slow { nodes: vec![node.clone()], by_ms }
        }
        DevCommand::Show => Order::Show {},
        DevCommand::Drill => return drill::run(),
    };
    for line in control::give(data, &order)? {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(arguments: &Dev) -> Result<ExitCode> {
    server::start_logging("error");
    let began = Instant::now();
    let members = cluster::members(arguments)?;
    let state = cluster::found(arguments, &members)?;
    let secret = Secret::new(Rng::from_entropy().next_u64().to_le_bytes().repeat(2));
    let configs = members.iter().map(|member| cluster::node_config(arguments, member, &state, &secret));
    let lab = Arc::new(Mutex::new(Lab::start(configs)?));
    let control = Control::open(&arguments.data, Arc::clone(&lab));
    if let Err(error) = &control {
        // It serves all the same, as it did before there were orders.
        eprintln!("henge: this cluster takes no orders: {error:#}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        wait_until_connected(&lab).await;
        welcome::print_welcome(arguments, &members, &state, began.elapsed());
        tokio::select! {
            () = signals::asked_to_stop() => {}
            () = watch(&lab) => {}
        }
    });
    drop(control);
    let stopped = lab.lock().unwrap_or_else(PoisonError::into_inner).stop();
    for (name, why) in &stopped {
        eprintln!("henge: node {name} stopped: {why}");
    }
    Ok(if stopped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says of each node that has stopped by itself that it has; ends when none is left.
async fn watch(lab: &Mutex<Lab>) {
    loop {
        // While an order is carried out there will be another time.
        let lab = match lab.try_lock() {
            Ok(lab) => Some(lab),
            Err(TryLockError::Poisoned(lab)) => Some(lab.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut lab) = lab {
            for name in lab.newly_ended() {
                eprintln!("henge: node {name} has stopped; the others go on");
            }
            if lab.is_over() {
                return;
            }
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// Waits until every node reaches every other and answers for its keys, so that the first request finds its owners; a little
/// while at the most.
async fn wait_until_connected(lab: &Mutex<Lab>) {
    use api::{NodeState, Store};
    let handles = lab.lock().unwrap_or_else(PoisonError::into_inner).handles();
    let lacks = |counter: &api::Counter| counter.name == "missing_partitions" && counter.value > 0.0;
    for _ in 0..1000 {
        let all_up = handles.iter().all(|handle| {
            handle.status().nodes.iter().all(|seen| seen.state == NodeState::Up)
                && !handle.counters().iter().any(lacks)
        });
        if all_up {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
