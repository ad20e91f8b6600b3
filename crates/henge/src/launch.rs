//! Starts one node of a configuration: its sockets, its own thread with the RESP front ends, and its HTTP front end.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use cluster::ClusterState;
use env::SystemClock;
use http_front::{ConnectionLimits, HttpOptions};
use node::NodeOptions;
use node::runtime::{self, LocalHandle, RemoteHandle, Running, Start, Stopping};
use resp::{ListenerKind, Listening, Server, Settings};

use crate::config::NodeConfig;

/// Of the memory that a node may use, what is left to the program itself: code, threads, connections, buffers and what
/// allocators keep back. The store has the rest.
const PROGRAM_BYTES: u64 = 32 << 20;

/// A node that may use less than this does without huge pages. They save about an eighth of the CPU time of a hot read, and
/// cost some 40 MiB of resident memory: the allocator touches a little of many 2 MiB pages, and each is there whole.
const HUGE_PAGES_FROM_BYTES: u64 = 512 << 20;

/// How many threads read what memory does not hold.
const READERS: usize = 2;

/// A node that was started, and its HTTP listener, to be served by [`serve_http`].
pub(crate) struct Launched {
    pub(crate) name: String,
    pub(crate) running: Running,
    pub(crate) http: Option<TcpListener>,
}

/// Starts a node. Returns once it can serve.
pub(crate) fn launch(config: NodeConfig) -> Result<Launched> {
    let NodeConfig { name, data_dir, memory_bytes, listen, state, resp_keyspace, cluster_keyspace } = config;
    let bound = [resp_keyspace, cluster_keyspace];
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
    let store_bytes = usize::try_from((memory_bytes - PROGRAM_BYTES) / 4 * 3).unwrap_or(usize::MAX);
    let record_bytes_max = usize::try_from(record_bytes_max(&state)).unwrap_or(usize::MAX);
    let running = runtime::start(Start {
        name: name.clone(),
        state,
        data_dir: data_dir.clone(),
        peer_listener,
        options: NodeOptions {
            storage: storage::Options::with_memory(store_bytes).with_values(record_bytes_max),
            ..NodeOptions::default()
        },
        readers: READERS,
        services: Box::new(move |handle, stopping| resp_services(&handle, &stopping, [resp, cluster], bound)),
    })
    .with_context(|| format!("node {name} cannot start on {}", data_dir.display()))?;
    tracing::info!(node = %name, found = %running.recovered, "ready");
    Ok(Launched { name, running, http })
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

fn resp_services(
    handle: &LocalHandle,
    stopping: &Stopping,
    listeners: [Option<TcpListener>; 2],
    keyspaces: [Option<String>; 2],
) -> Vec<Service> {
    let server = Server::new(handle.clone(), Settings::default(), Arc::new(SystemClock::new()));
    let kinds = [ListenerKind::OneStore, ListenerKind::RedisCluster];
    listeners
        .into_iter()
        .zip(kinds.into_iter().zip(keyspaces))
        .filter_map(|(listener, (kind, keyspace))| {
            let listening = Listening { kind, keyspace };
            let listener = listener?;
            let (server, stopping) = (server.clone(), stopping.clone());
            Some(Box::pin(async move {
                if let Err(error) = serve_resp(&server, listener, listening, stopping).await {
                    tracing::error!(%error, "a RESP listener ended");
                }
            }) as Service)
        })
        .collect()
}

async fn serve_resp(
    server: &Server<LocalHandle>,
    listener: TcpListener,
    listening: Listening,
    stopping: Stopping,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(server.serve(listener, listening, stopping.begun()).await?)
}

/// Serves a node's HTTP until the future given is done.
pub(crate) async fn serve_http(
    listener: TcpListener,
    handle: RemoteHandle,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = http_front::router(handle, HttpOptions::default());
    http_front::serve(listener, router, ConnectionLimits::default(), shutdown).await;
    Ok(())
}
