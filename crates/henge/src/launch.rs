//! Starts one node of a configuration: its sockets, its own threads with the RESP front ends, and its HTTP front end.

use std::future::Future;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use cluster::ClusterState;
use env::{Disk, RealDisk, SystemClock};
use http_front::{ConnectionLimits, HttpOptions};
use node::NodeOptions;
use node::Shards;
use node::runtime::{self, LocalHandle, Network, RemoteHandle, Running, ShardServices, Start, Stopping};
use resp::{Clients, Dealer, Door, ListenerKind, Listening, Server, Settings};

use crate::config::{First, NodeConfig};
use crate::lab::Brake;

/// Of the memory that a node may use, what is left to the program itself: code, threads, connections, buffers and what
/// allocators keep back. The store has the rest.
const PROGRAM_BYTES: u64 = 32 << 20;

/// A node that may use less than this does without huge pages. They save about an eighth of the CPU time of a hot read, and
/// cost some 40 MiB of resident memory: the allocator touches a little of many 2 MiB pages, and each is there whole.
const HUGE_PAGES_FROM_BYTES: u64 = 512 << 20;

/// How long a node that wants to join waits for its seeds.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// How many threads of each shard read what memory does not hold.
const READERS: usize = 2;

/// A node that was started, and its HTTP listener, to be served by [`serve_http`].
pub(crate) struct Launched {
    pub(crate) name: String,
    pub(crate) running: Running,
    pub(crate) http: Option<TcpListener>,
}

/// What a node meets the world through.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) network: Option<Network>,
    /// What makes its threads stand still.
    pub(crate) brake: Option<Brake>,
}

impl Surroundings {
    /// The machine's own.
    pub(crate) fn of_the_machine() -> Surroundings {
        Surroundings { disk: Arc::new(RealDisk), network: None, brake: None }
    }
}

/// Starts a node. Returns once it can serve.
pub(crate) fn launch(config: NodeConfig, surroundings: Surroundings) -> Result<Launched> {
    let NodeConfig {
        name, data_dir, memory_bytes, disk_reserve_bytes, shards, capacity, listen, first, ..
    } = config;
    let NodeConfig { resp_keyspace, cluster_keyspace, gossip, limits, secret, .. } = config;
    let bound = [resp_keyspace, cluster_keyspace];
    let brake = surroundings.brake;
    if memory_bytes < HUGE_PAGES_FROM_BYTES {
        do_without_huge_pages();
    }
    let bind = |what: &str, address: SocketAddr| {
        let listener = TcpListener::bind(address).with_context(|| {
            format!(
                "node {name} cannot listen on {address} for {what}: is another node or another program there already?"
            )
        })?;
        listener.set_nonblocking(true)?;
        Ok::<_, anyhow::Error>(listener)
    };
    let resp = listen.resp.map(|address| bind("Redis clients", address)).transpose()?;
    let cluster = listen.cluster.map(|address| bind("Redis Cluster clients", address)).transpose()?;
    let http = listen.http.map(|address| bind("HTTP", address)).transpose()?;
    let peer_listener = bind("its peers", listen.peer)?;
    let has_peers = match &first {
        First::Founds(state) => state.members().len() > 1,
        First::Joins { .. } => true,
    };
    // A node that others cannot know the address of is never to have peers.
    let may_have_peers = has_peers || listen.peer.port() != 0;
    let gossip_socket = may_have_peers.then(|| bind_gossip(&name, listen.peer)).transpose()?;
    if has_peers && secret.is_none() {
        tracing::warn!(
            node = %name,
            "the cluster has no secret, so anybody who reaches {} can say who is alive: give all nodes the same cluster.secret_file",
            listen.peer
        );
    }
    let store_bytes = usize::try_from((memory_bytes - PROGRAM_BYTES) / 4 * 3).unwrap_or(usize::MAX);
    let (known, configured) = cluster_of(&name, first, surroundings.disk.as_ref(), &data_dir)?;
    let record_bytes_max = usize::try_from(record_bytes_max(&known)).unwrap_or(usize::MAX);
    let running = runtime::start(Start {
        disk: surroundings.disk,
        network: surroundings.network,
        name: name.clone(),
        state: configured,
        data_dir: data_dir.clone(),
        capacity,
        peer_listener,
        gossip_socket,
        options: NodeOptions {
            shards,
            coordinator: limits,
            gossip,
            secret,
            storage: storage::Options {
                disk_reserve_bytes,
                ..storage::Options::with_memory(store_bytes).with_values(record_bytes_max)
            },
            ..NodeOptions::default()
        },
        readers: READERS,
        services: Box::new(move |shards| {
            let services = resp_services(shards, [resp, cluster], bound);
            match brake {
                Some(brake) => services.into_iter().map(|service| braked(service, brake.clone())).collect(),
                None => services,
            }
        }),
    })
    .with_context(|| format!("node {name} cannot start on {}", data_dir.display()))?;
    tracing::info!(node = %name, shards = running.shards().count(), found = %running.recovered, "ready");
    Ok(Launched { name, running, http })
}

/// The cluster as far as it is known before the node starts, and what its configuration or a seed says of it; a node that knows
/// no cluster and is to join one does so here.
fn cluster_of(
    name: &str,
    first: First,
    disk: &dyn Disk,
    data_dir: &Path,
) -> Result<(Arc<ClusterState>, Option<Arc<ClusterState>>)> {
    let known = node::known_state(disk, data_dir).map_err(|why| {
        anyhow!("{}: the cluster state kept here cannot be read: {why}", data_dir.display())
    })?;
    match (known, first) {
        (Some(known), First::Founds(founded)) => Ok((Arc::new(known), Some(founded))),
        (Some(known), First::Joins { .. }) => Ok((Arc::new(known), None)),
        (None, First::Founds(founded)) => Ok((Arc::clone(&founded), Some(founded))),
        (None, First::Joins { seeds, plan }) => {
            let say = |what: &str| tracing::info!(node = %name, waits = %what, "wants to join the cluster");
            let joined = runtime::join(&seeds, &plan, JOIN_PATIENCE, say)?;
            tracing::info!(node = %name, cluster = %joined.name(), epoch = %joined.epoch(), "has joined the cluster");
            let joined = Arc::new(joined);
            Ok((Arc::clone(&joined), Some(joined)))
        }
    }
}

/// Gossip comes to the address of the peers, as datagrams.
fn bind_gossip(name: &str, address: SocketAddr) -> Result<UdpSocket> {
    UdpSocket::bind(address).with_context(|| {
        format!("node {name} cannot listen on {address} (UDP) for gossip: is another program there already?")
    })
}

/// The largest record that any keyspace allows: the store must be able to take it in.
pub(crate) fn record_bytes_max(state: &ClusterState) -> u64 {
    let each = state.keyspaces().iter().map(|keyspace| keyspace.limits.record_bytes_max);
    each.max().unwrap_or_default()
}

/// For the whole process, from here on. Where the kernel refuses, a little more memory is resident than was asked for,
/// which is no reason not to start.
fn do_without_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the kernel keeps huge pages on");
    }
}

type Service = Pin<Box<dyn Future<Output = ()>>>;

/// The RESP front ends of each shard. One shard accepts for all.
fn resp_services(
    shards: Shards,
    listeners: [Option<TcpListener>; 2],
    keyspaces: [Option<String>; 2],
) -> Vec<ShardServices> {
    let count = usize::from(shards.count());
    let mut of_shards: Vec<Vec<Front>> = (0..count).map(|_| Vec::new()).collect();
    let kinds = [ListenerKind::OneStore, ListenerKind::RedisCluster];
    for (listener, (kind, keyspace)) in listeners.into_iter().zip(kinds.into_iter().zip(keyspaces)) {
        let Some(listener) = listener else { continue };
        let listening = Listening { kind, keyspace };
        if count == 1 {
            of_shards[0].push(Front::Alone(listener, listening));
            continue;
        }
        let (dealer, doors) = Dealer::new(count);
        for (fronts, door) in of_shards.iter_mut().zip(doors) {
            fronts.push(Front::Dealt(door, listening.clone()));
        }
        of_shards[0].push(Front::Dealer(dealer, listener));
    }
    let services = of_shards.into_iter().zip(Clients::of_shards(count)).map(|(fronts, clients)| {
        let service: ShardServices = Box::new(move |handle, stopping| {
            let server = Server::new(handle, clients, Settings::default(), Arc::new(SystemClock::new()));
            fronts.into_iter().map(|front| front.into_service(&server, &stopping)).collect()
        });
        service
    });
    services.collect()
}

/// The same on a thread that can be made to stand still.
fn braked(service: ShardServices, brake: Brake) -> ShardServices {
    Box::new(move |handle, stopping| {
        let mut running = service(handle, stopping.clone());
        running.push(Box::pin(async move {
            tokio::select! {
                () = brake.obey() => {}
                () = stopping.begun() => {}
            }
        }));
        running
    })
}

/// What a shard's thread does for RESP clients of one kind.
enum Front {
    /// Accepts and serves; there is no other shard.
    Alone(TcpListener, Listening),
    /// Serves what it is dealt.
    Dealt(Door, Listening),
    /// Accepts for all.
    Dealer(Dealer, TcpListener),
}

impl Front {
    fn into_service(self, server: &Server<LocalHandle>, stopping: &Stopping) -> Service {
        let (server, stopping) = (server.clone(), stopping.clone());
        Box::pin(async move {
            if let Err(error) = self.run(&server, stopping).await {
                tracing::error!(%error, "a RESP listener ended");
            }
        })
    }

    async fn run(self, server: &Server<LocalHandle>, stopping: Stopping) -> Result<()> {
        let from_std = tokio::net::TcpListener::from_std;
        match self {
            Front::Alone(listener, listening) => {
                let door = Door::Listener(from_std(listener)?);
                server.serve(door, listening, stopping.begun()).await?;
            }
            Front::Dealt(door, listening) => server.serve(door, listening, stopping.begun()).await?,
            Front::Dealer(dealer, listener) => {
                dealer.deal(from_std(listener)?, server.clients(), stopping.begun()).await;
            }
        }
        Ok(())
    }
}

/// Serves a node's HTTP until the future given is done.
pub(crate) async fn serve_http(
    listener: TcpListener,
    handle: RemoteHandle,
    options: HttpOptions,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = http_front::router(handle, options);
    http_front::serve(listener, router, ConnectionLimits::default(), shutdown).await;
    Ok(())
}
