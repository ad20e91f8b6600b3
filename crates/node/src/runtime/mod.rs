//! A node on a thread of its own, with real clocks, disks and sockets.
//!
//! `async` carries connections and nothing else: every task calls into the [`driver`] and never awaits while it does.
//! [`start`] opens the node and returns once it can serve; the front ends that should run on the node's own thread are
//! handed in as a function of its [`LocalHandle`].

mod driver;
mod handle;
mod jobs;
mod links;
mod peers;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cluster::ClusterState;
use env::{Clock, Disk, RealDisk, Rng, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

pub use handle::{LocalHandle, LocalPending, RemoteHandle, RemotePending};

use self::driver::Driver;
use self::handle::Asked;
use self::jobs::{Ended, JobThreads};
use self::links::Links;
use self::peers::Peer;
use crate::core::{Input, Node, NodeOptions, OpenError};
use crate::status::{self, Facts};

/// How many requests of other threads may wait for the node's.
const REMOTE_REQUESTS_MAX: usize = 1024;

/// How long a turn may go on taking in what keeps coming: about what a sync takes, so that it is never the larger part of
/// what a write waits for.
const TURN_MAX: Duration = Duration::from_micros(300);

/// How long services may take to end what is under way when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often a node shows other threads its figures.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// What a node is started with.
pub struct Start {
    /// Which member it is.
    pub name: String,
    /// The cluster.
    pub state: Arc<ClusterState>,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Where its peers reach it; bound already.
    pub peer_listener: std::net::TcpListener,
    /// Its settings.
    pub options: NodeOptions,
    /// How many threads read what memory does not hold.
    pub readers: usize,
    /// What else runs on the node's thread: front ends that want to call it without a hop.
    pub services: Services,
}

/// Builds what runs on the node's thread, from its handle. Each is to end of itself when it is told that the node stops.
pub type Services = Box<dyn FnOnce(LocalHandle, Stopping) -> Vec<Pin<Box<dyn Future<Output = ()>>>> + Send>;

/// Tells a service that the node is about to stop.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Returns when the node is about to stop: what is under way should be ended, and nothing new begun.
    pub async fn begun(mut self) {
        // An error means that the node is gone already.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
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
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<Option<String>>,
}

impl Running {
    /// Asks it to stop in good order.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Whether it has stopped.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has stopped; why, where it was not asked to.
    pub fn join(self) -> Option<String> {
        self.thread.join().unwrap_or_else(|_| Some("the node's thread panicked".to_owned()))
    }
}

/// What the node's thread says once it can serve.
struct Ready {
    handle: RemoteHandle,
    recovered: String,
}

/// Starts a node; returns once it can serve.
///
/// # Errors
/// As [`StartError`] says.
pub fn start(start: Start) -> Result<Running, StartError> {
    let (ready, readiness) = sync_channel(1);
    let (stop, stopping) = oneshot::channel();
    let name = start.name.clone();
    let system = |error| StartError::System { name: name.clone(), error };
    let thread = thread::Builder::new()
        .name(format!("node-{name}"))
        .spawn(move || {
            let name = start.name.clone();
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(StartError::System { name, error }));
                    return None;
                }
            };
            LocalSet::new().block_on(&runtime, run(start, stopping, ready))
        })
        .map_err(system)?;
    match readiness.recv() {
        Ok(Ok(Ready { handle, recovered })) => Ok(Running { handle, recovered, stop: Some(stop), thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(system(std::io::Error::other("its thread ended before it was ready"))),
    }
}

async fn run(
    start: Start,
    stopping: oneshot::Receiver<()>,
    ready: std::sync::mpsc::SyncSender<Result<Ready, StartError>>,
) -> Option<String> {
    let name = start.name.clone();
    let opened = match open(start) {
        Ok(opened) => opened,
        Err(error) => {
            let _ = ready.send(Err(error));
            return None;
        }
    };
    let Opened { driver, listener, ended, services, recovered, _lock } = opened;
    let (requests, asked) = mpsc::channel(REMOTE_REQUESTS_MAX);
    let handle = RemoteHandle { requests, published: driver.published().clone() };
    let (tell, told) = watch::channel(false);
    let mut served = tokio::task::JoinSet::new();
    for service in services(LocalHandle { driver: Rc::clone(&driver) }, Stopping(told)) {
        served.spawn_local(service);
    }
    tokio::task::spawn_local(peers::take_connections(Rc::clone(&driver), listener));
    for peer in peers_of(&driver) {
        tokio::task::spawn_local(peers::keep_connected(Rc::clone(&driver), peer));
    }
    tokio::task::spawn_local(end_turns(Rc::clone(&driver)));
    tokio::task::spawn_local(wait_for_timers(Rc::clone(&driver)));
    tokio::task::spawn_local(take_completions(Rc::clone(&driver), ended));
    tokio::task::spawn_local(serve_other_threads(Rc::clone(&driver), asked));
    tokio::task::spawn_local(publish(Rc::clone(&driver)));
    let _ = ready.send(Ok(Ready { handle, recovered }));
    tokio::select! {
        _ = stopping => {
            let _ = tell.send(true);
            let ended = async { while served.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(STOP_GRACE, ended).await;
            driver.finish();
            tracing::info!(node = %name, "stopped");
            None
        }
        () = driver.stop.notified() => {
            let why = driver.stopped().unwrap_or_default();
            tracing::error!(node = %name, %why, "stopped: nothing can be promised any more");
            Some(why)
        }
    }
}

struct Opened {
    driver: Rc<Driver>,
    listener: TcpListener,
    ended: mpsc::UnboundedReceiver<Ended>,
    services: Services,
    recovered: String,
    _lock: Box<dyn env::disk::DirLock>,
}

fn open(start: Start) -> Result<Opened, StartError> {
    let name = start.name.clone();
    let system = |error| StartError::System { name: name.clone(), error };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    disk.create_dir_all(&start.data_dir).map_err(StartError::Locked)?;
    let lock = disk.lock_dir(&start.data_dir).map_err(StartError::Locked)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let node = Node::open(
        &disk,
        &start.data_dir,
        &name,
        start.state,
        &start.options,
        clock.now(),
        &mut Rng::from_entropy(),
    )?;
    let recovered = status::recovered(&node);
    start.peer_listener.set_nonblocking(true).map_err(system)?;
    let listener = TcpListener::from_std(start.peer_listener).map_err(system)?;
    let (ended_sender, ended) = mpsc::unbounded_channel();
    let jobs = JobThreads::start(&name, start.readers, &ended_sender).map_err(system)?;
    let facts = Facts { data_dir: start.data_dir };
    let driver = Driver::new(node, clock, jobs, Links::default(), facts);
    Ok(Opened { driver, listener, ended, services: start.services, recovered, _lock: lock })
}

fn peers_of(driver: &Driver) -> Vec<Peer> {
    let topology = driver.topology();
    let others = topology.state.members().iter().filter(|member| member.id != topology.here);
    others
        .filter_map(|member| {
            let address: SocketAddr = member.addresses.peer?;
            Some(Peer { id: member.id, name: member.name.clone(), address })
        })
        .collect()
}

/// Ends a turn when nothing more is ready to be taken in, so that one write to the log and one sync serve as many requests
/// as possible; but not so late that the first would wait long for the last.
async fn end_turns(driver: Rc<Driver>) {
    loop {
        driver.turn.notified().await;
        let latest = driver.now().mono + TURN_MAX;
        loop {
            // Yielding lets the runtime look for what has come on sockets, and run the tasks that it is for.
            driver.turn_due.set(false);
            tokio::task::yield_now().await;
            if !driver.turn_due.get() || driver.now().mono >= latest {
                break;
            }
        }
        driver.end_turn();
    }
}

async fn wait_for_timers(driver: Rc<Driver>) {
    loop {
        match driver.next_timer() {
            None => {
                driver.armed.set(types::Instant(u64::MAX));
                driver.rearm.notified().await;
            }
            Some(at) => {
                driver.armed.set(at);
                let wait = at.since(driver.now().mono);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {
                        driver.feed(Input::Timer);
                        driver.end_turn();
                    }
                    () = driver.rearm.notified() => {}
                }
            }
        }
    }
}

async fn take_completions(driver: Rc<Driver>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    while let Some(ended) = ended.recv().await {
        match ended {
            Ended::Completed(completion) => driver.feed(Input::Completed(completion)),
            Ended::Panicked(kind) => driver.halt(&format!("a {kind} job panicked")),
        }
    }
}

async fn serve_other_threads(driver: Rc<Driver>, mut asked: mpsc::Receiver<Asked>) {
    while let Some((request, answer)) = asked.recv().await {
        match driver.ask(request) {
            Ok(outcome) => {
                let _ = answer.send(outcome);
            }
            Err(client) => {
                let driver = Rc::clone(&driver);
                tokio::task::spawn_local(async move {
                    let outcome = std::future::poll_fn(|context| driver.poll_answer(client, context)).await;
                    let _ = answer.send(outcome);
                });
            }
        }
    }
}

async fn publish(driver: Rc<Driver>) {
    loop {
        driver.publish();
        tokio::time::sleep(PUBLISH_EVERY).await;
    }
}
