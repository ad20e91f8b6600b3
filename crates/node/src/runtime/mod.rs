//! A node on threads of its own, one for each shard, with real clocks, disks and sockets.
//!
//! `async` carries connections and nothing else: every task calls into the [`driver`] and never awaits while it does.
//! [`start`] opens the node and returns once it can serve; the front ends that should run on its threads are handed in as
//! functions of each shard's [`LocalHandle`].

mod datagrams;
mod delayed;
mod driver;
mod handle;
mod jobs;
mod join;
mod links;
mod mail;
mod meter;
mod network;
mod news;
mod peers;
mod thread;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use cluster::ClusterState;
use env::disk::DirLock;
use env::{Clock, Disk, Rng, SystemClock};
use tokio::sync::{Barrier, mpsc, watch};
use types::ShardId;

pub use handle::{LocalHandle, LocalPending, RemoteHandle, RemotePending};
pub use join::{JoinError, join, preview};
pub use network::Network;

use self::handle::Published;
use self::mail::Mailboxes;
use self::thread::Seat;
use crate::core::{Directory, NodeOptions, OpenError};
use crate::shards::Shards;
use crate::status::Facts;

/// How many requests of other threads may wait for a shard's.
const REMOTE_REQUESTS_MAX: usize = 1024;

/// What a node is started with.
pub struct Start {
    /// Which member it is.
    pub name: String,
    /// The cluster that its configuration founds, or that it was told when it [joined](fn@join); nothing where its directory knows.
    pub state: Option<Arc<ClusterState>>,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// What it has measured of its machine, by which those that join are weighed that do not say what they weigh.
    pub capacity: f64,
    /// Where its peers reach it; bound already.
    pub peer_listener: std::net::TcpListener,
    /// Where their gossip reaches it, at the same address; nothing where it is never to have peers.
    pub gossip_socket: Option<std::net::UdpSocket>,
    /// Its settings.
    pub options: NodeOptions,
    /// What it keeps its data on.
    pub disk: Arc<dyn Disk>,
    /// What passes between it and its peers, where somebody decides that; else all that the machine's own network carries.
    pub network: Option<Network>,
    /// How many threads of each shard read what memory does not hold.
    pub readers: usize,
    /// What else runs on the node's threads: front ends that want to call it without a hop.
    pub services: Services,
}

/// Builds what runs on the threads of a node's shards, for each in their order.
pub type Services = Box<dyn FnOnce(Shards) -> Vec<ShardServices> + Send>;

/// Builds what runs on a shard's thread, from its handle. Each is to end of itself when it is told that the node stops.
pub type ShardServices =
    Box<dyn FnOnce(LocalHandle, Stopping) -> Vec<Pin<Box<dyn Future<Output = ()>>>> + Send>;

/// Tells a service that the node is about to stop.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<Phase>);

impl Stopping {
    /// Returns when the node is about to stop: what is under way should be ended, and nothing new begun.
    pub async fn begun(mut self) {
        // An error means that the node is gone already.
        let _ = self.0.wait_for(|phase| phase.is_over()).await;
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Its shards recover what their stores hold; nobody is served.
    Opening,
    Serving,
    /// It was asked to stop.
    Ending,
    /// A shard cannot go on, and so the node cannot.
    Failed,
}

impl Phase {
    fn is_over(self) -> bool {
        matches!(self, Phase::Ending | Phase::Failed)
    }
}

/// What a node's shards have in common.
#[derive(Clone, Debug)]
struct Common {
    published: Published,
    mailboxes: Mailboxes,
    phase: Arc<watch::Sender<Phase>>,
    /// Where shards wait for each other's front ends to have ended.
    drained: Arc<Barrier>,
    /// Whether the node has given up the life of its data directory, and is to begin another.
    renounced: Arc<AtomicBool>,
    network: Option<Network>,
    /// Held until the last thread is gone.
    _lock: Arc<dyn DirLock>,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start")
            .field("name", &self.name)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another process uses its data directory.
    #[error("{0}. Is another node running on this directory?")]
    Locked(env::DiskError),
    /// A thread or socket could not be had.
    #[error("node {name}: {error}")]
    System {
        /// Which node.
        name: String,
        /// The system's own words.
        error: std::io::Error,
    },
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// The door to it.
    pub handle: RemoteHandle,
    /// In words, what recovery found worth saying.
    pub recovered: String,
    phase: Arc<watch::Sender<Phase>>,
    renounced: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Option<String>>>,
}

impl Running {
    /// How it is divided.
    pub fn shards(&self) -> Shards {
        self.handle.shards
    }

    /// Asks it to stop in good order.
    pub fn stop(&mut self) {
        self.phase.send_if_modified(|phase| {
            let goes_on = !phase.is_over();
            if goes_on {
                *phase = Phase::Ending;
            }
            goes_on
        });
    }

    /// Ends it where it is, as a machine that stops does: nothing is answered, closed or written any more. Its threads for jobs
    /// may still write for a moment, unless its disk refuses that.
    pub fn kill(&mut self) {
        self.phase.send_replace(Phase::Failed);
    }

    /// Whether it has stopped, or is about to because a part of it has.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Whether it stops because its data directory had forgotten something. It begins another life when it is started again.
    pub fn has_renounced(&self) -> bool {
        self.renounced.load(Ordering::Acquire)
    }

    /// Waits until it has stopped; why, where it was not asked to.
    pub fn join(self) -> Option<String> {
        let panicked = |_| Some("a thread of the node panicked".to_owned());
        let causes = self.threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked));
        causes.collect::<Vec<_>>().into_iter().flatten().next()
    }
}

/// Starts a node; returns once all its shards can serve.
///
/// # Errors
/// As [`StartError`] says; then nothing of it runs any more.
pub fn start(start: Start) -> Result<Running, StartError> {
    let Start {
        name,
        state,
        data_dir,
        capacity,
        peer_listener,
        gossip_socket,
        options,
        readers,
        services,
        ..
    } = start;
    let (disk, network) = (start.disk, start.network);
    disk.create_dir_all(&data_dir).map_err(StartError::Locked)?;
    let lock = Arc::from(disk.lock_dir(&data_dir).map_err(StartError::Locked)?);
    let directory =
        Directory::open(&disk, &data_dir, &name, state.as_ref(), options, &mut Rng::from_entropy())?;
    let directory = Arc::new(directory);
    let shards = directory.shards();
    let count = usize::from(shards.count());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let facts = Facts { data_dir, capacity, started: clock.now().wall };
    let (mailboxes, incoming) = Mailboxes::new(count);
    let common = Common {
        published: Published::new(directory.topology(), &facts, count),
        mailboxes,
        phase: Arc::new(watch::Sender::new(Phase::Opening)),
        drained: Arc::new(Barrier::new(count)),
        renounced: Arc::default(),
        network,
        _lock: lock,
    };
    let (requests, asked): (Vec<_>, Vec<_>) =
        shards.iter().map(|_| mpsc::channel(REMOTE_REQUESTS_MAX)).unzip();
    let (ready, readiness) = sync_channel(count);
    let (mut door, mut gossip_socket) = (Some(peer_listener), gossip_socket);
    let mut threads = Vec::new();
    let parts = services(shards).into_iter().zip(incoming).zip(asked);
    for (index, ((services, incoming), asked)) in shards.iter().zip(parts) {
        let seat = Seat {
            node: name.clone(),
            index,
            directory: Arc::clone(&directory),
            common: common.clone(),
            clock: Arc::clone(&clock),
            facts: facts.clone(),
            readers,
            door: door.take(),
            gossip_socket: gossip_socket.take(),
            incoming,
            asked,
            services,
            ready: ready.clone(),
        };
        let thread = std::thread::Builder::new().name(thread_name(&name, index));
        match thread.spawn(move || thread::run(seat)) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                common.phase.send_replace(Phase::Failed);
                join_all(threads);
                return Err(StartError::System { name, error });
            }
        }
    }
    drop(ready);
    let published = common.published.clone();
    let handle = RemoteHandle { clock, requests: requests.into(), shards, published };
    let mut found = vec![String::new(); count];
    for _ in 0..count {
        let error = match readiness.recv() {
            Ok((index, Ok(recovered))) => {
                found[usize::from(index.0)] = recovered;
                continue;
            }
            Ok((_, Err(error))) => error,
            Err(_) => {
                let error = std::io::Error::other("a thread of it ended before it was ready");
                StartError::System { name, error }
            }
        };
        common.phase.send_replace(Phase::Failed);
        join_all(threads);
        return Err(error);
    }
    if let Err(error) = directory.opened() {
        common.phase.send_replace(Phase::Failed);
        join_all(threads);
        return Err(error.into());
    }
    if let Some(begins) = directory.begins() {
        tracing::warn!(node = %name, "{begins}");
    }
    common.phase.send_replace(Phase::Serving);
    Ok(Running {
        handle,
        recovered: all_found(&found),
        phase: common.phase,
        renounced: common.renounced,
        threads,
    })
}

fn thread_name(node: &str, index: ShardId) -> String {
    match index {
        ShardId(0) => format!("node-{node}"),
        ShardId(index) => format!("node-{node}.{index}"),
    }
}

fn join_all(threads: Vec<JoinHandle<Option<String>>>) {
    for thread in threads {
        // What it has to say has been said: the node does not start.
        let _ = thread.join();
    }
}

/// What recovery found, of all shards.
fn all_found(found: &[String]) -> String {
    match found {
        [one] => one.clone(),
        several => {
            let each = several.iter().enumerate();
            let each =
                each.map(|(index, found)| format!("{}: {found}", ShardId(u8::try_from(index).unwrap_or(0))));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}
