//! `henge dev`: a whole cluster on this machine, in one process, to try things out.
//!
//! Real nodes over real sockets and files, each on its own thread; what works here works with `henge server`. A node that
//! fails stops alone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use cluster::{ClusterConfig, ClusterState, KeyspaceConfig, MemberConfig, founding_plan};
use env::Rng;
use node::Secret;

use crate::cli::Dev;
use crate::config::{self, Listen, NodeConfig};
use crate::launch::{Launched, Surroundings, launch, serve_http};
use crate::{server, signals};

/// Runs the cluster until it is asked to stop.
pub(crate) fn run(arguments: &Dev) -> Result<ExitCode> {
    server::start_logging("error");
    let began = Instant::now();
    let members = members(arguments)?;
    let state = found(arguments, &members)?;
    let secret = Secret::new(Rng::from_entropy().next_u64().to_le_bytes().repeat(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let network = node::runtime::Network::new();
    let mut nodes = Vec::new();
    for member in &members {
        let config = node_config(arguments, member, &state)?;
        let surroundings = Surroundings { network: Some(network.clone()), ..Surroundings::of_the_machine() };
        nodes.push(launch(NodeConfig { secret: Some(secret.clone()), ..config }, surroundings)?);
    }
    runtime.block_on(async {
        let (stop_http, stopped) = tokio::sync::watch::channel(false);
        for node in &mut nodes {
            if let Some(listener) = node.http.take() {
                let mut stopped = stopped.clone();
                tokio::spawn(serve_http(listener, node.running.handle.clone(), async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                }));
            }
        }
        wait_until_connected(&nodes).await;
        print_welcome(arguments, &members, &state, began.elapsed());
        tokio::select! {
            () = signals::asked_to_stop() => {}
            () = watch(&nodes) => {}
        }
        let _ = stop_http.send(true);
    });
    Ok(stop(nodes))
}

fn stop(mut nodes: Vec<Launched>) -> ExitCode {
    for node in &mut nodes {
        node.running.stop();
    }
    let mut code = ExitCode::SUCCESS;
    for node in nodes {
        if let Some(why) = node.running.join() {
            eprintln!("henge: node {} stopped: {why}", node.name);
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Says of each node once that it has stopped by itself; ends when none is left.
async fn watch(nodes: &[Launched]) {
    let mut said = vec![false; nodes.len()];
    while said.iter().any(|said| !said) {
        for (node, said) in nodes.iter().zip(&mut said) {
            if !*said && node.running.is_finished() {
                *said = true;
                eprintln!("henge: node {} has stopped; the others go on", node.name);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every node reaches every other, so that the first write finds its owners; a little while at the most.
async fn wait_until_connected(nodes: &[Launched]) {
    use api::{NodeState, Store};
    for _ in 0..200 {
        let all_up = nodes
            .iter()
            .all(|node| node.running.handle.status().nodes.iter().all(|seen| seen.state == NodeState::Up));
        if all_up {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn members(arguments: &Dev) -> Result<Vec<MemberConfig>> {
    (0..arguments.nodes)
        .map(|place| {
            let address = |first: u16| {
                let port = first.checked_add(place).ok_or_else(|| {
                    anyhow!("port {first} leaves no room for {} nodes: use a lower one", arguments.nodes)
                })?;
                Ok::<_, anyhow::Error>(Some(format!("127.0.0.1:{port}")))
            };
            Ok(MemberConfig {
                id: format!("n{}", place + 1),
                resp: address(arguments.resp_port)?,
                cluster: address(arguments.cluster_port)?,
                http: address(arguments.http_port)?,
                peer: address(arguments.peer_port)?,
                ..MemberConfig::default()
            })
        })
        .collect()
}

fn found(arguments: &Dev, members: &[MemberConfig]) -> Result<Arc<ClusterState>> {
    let keyspace = |name: &str, policy: &str| KeyspaceConfig {
        name: name.to_owned(),
        policy: Some(policy.to_owned()),
        durability: Some(arguments.durability.as_str().to_owned()),
        allow_flush: true,
        ..KeyspaceConfig::default()
    };
    let keyspaces = [keyspace("default", "lww"), keyspace("siblings", "siblings")];
    let cluster = ClusterConfig {
        name: Some("dev".to_owned()),
        partitions: Some(arguments.partitions),
        members: members.to_vec(),
        ..ClusterConfig::default()
    };
    let plan = founding_plan(&cluster, &keyspaces, &members[0])?;
    Ok(Arc::new(ClusterState::found(plan)?))
}

fn node_config(arguments: &Dev, member: &MemberConfig, state: &Arc<ClusterState>) -> Result<NodeConfig> {
    let address = |text: &Option<String>| -> Result<Option<SocketAddr>> {
        text.as_deref().map(|text| text.parse().context("an address made here")).transpose()
    };
    let memory_bytes = arguments.memory.max(64 << 20);
    Ok(NodeConfig {
        name: member.id.clone(),
        data_dir: arguments.data.join(&member.id),
        memory_bytes,
        disk_reserve_bytes: None,
        shards: config::shards(Some(arguments.shards), memory_bytes, state)?,
        listen: Listen {
            resp: address(&member.resp)?,
            cluster: address(&member.cluster)?,
            http: address(&member.http)?,
            peer: address(&member.peer)?.context("every member here has a peer address")?,
        },
        resp_keyspace: None,
        cluster_keyspace: None,
        gossip: gossip::Options::default(),
        secret: None,
        state: Arc::clone(state),
    })
}

fn print_welcome(arguments: &Dev, members: &[MemberConfig], state: &ClusterState, took: Duration) {
    let count = match members.len() {
        1 => "one node".to_owned(),
        more => format!("a ring of {more} nodes"),
    };
    println!("Henge {}: {count}, ready in {:.1} s\n", env!("CARGO_PKG_VERSION"), took.as_secs_f64());
    println!("  node   Redis clients    Redis Cluster clients   HTTP");
    for member in members {
        let text = |address: &Option<String>| address.clone().unwrap_or_default();
        println!(
            "  {:<6} {:<16} {:<23} http://{}",
            member.id,
            text(&member.resp),
            text(&member.cluster),
            text(&member.http)
        );
    }
    let last = u16::try_from(members.len() - 1).unwrap_or(0);
    let (first_port, last_port, http) =
        (arguments.resp_port, arguments.resp_port + last, arguments.http_port + last / 2);
    println!("\nAny node serves any key. Try:");
    println!("  redis-cli -p {first_port} set greeting hello");
    println!("  redis-cli -p {last_port} get greeting");
    println!("  curl http://127.0.0.1:{http}/v1/keyspaces/default/keys/greeting");
    println!("  {} get greeting{}", program(), at_option(arguments));
    println!("\nKeyspaces:");
    for keyspace in state.keyspaces() {
        println!(
            "  {} {:<9} {}, N={} R={} W={}, durability {}: {}",
            keyspace.number,
            keyspace.name,
            keyspace.policy,
            keyspace.n_text(),
            keyspace.r,
            keyspace.w,
            keyspace.durability,
            keyspace.model()
        );
    }
    let data = std::path::absolute(&arguments.data).unwrap_or_else(|_| arguments.data.clone());
    println!("\nThe data is in {} and is there again at the next start. Stop with Ctrl-C.", data.display());
}

fn at_option(arguments: &Dev) -> String {
    if arguments.http_port == 8001 {
        String::new()
    } else {
        format!(" --at 127.0.0.1:{}", arguments.http_port)
    }
}

/// How the user calls this program: by name if it is on the path, else as it was called.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "henge".to_owned());
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| Path::new(&dir).join("henge").is_file()));
    if on_path { "henge".to_owned() } else { called }
}
