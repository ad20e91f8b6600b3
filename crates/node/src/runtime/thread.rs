//! One shard's thread: its event loop, the tasks on it, and how it ends.
//!
//! What must hold: a node serves when all its shards are open, so that no question waits for one that is not. And it ends whole. In good order, its front ends first, on all threads, so that no request of one shard's
//! client finds another shard gone; then the shards. Where one shard cannot go on, all stop at once.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use env::Clock;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use types::ShardId;

use super::datagrams::{self, Datagrams};
use super::driver::Driver;
use super::handle::{Asked, LocalHandle};
use super::jobs::{Ended, JobThreads};
use super::mail::{Incoming, Mail};
use super::meter;
use super::news;
use super::peers;
use super::{Common, Phase, ShardServices, StartError, Stopping};
use crate::core::{Directory, Input};
use crate::status::{self, Facts};

/// How long a turn may go on taking in what keeps coming: about what a sync takes, so that it is never the larger part of
/// what a write waits for.
const TURN_MAX: Duration = Duration::from_micros(300);

/// How long services may take to end what is under way when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often it is seen how long what is ready waits. Timers are rounded up to milliseconds, which is little enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often a shard shows other threads its figures.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// What a shard's thread is started with.
pub(super) struct Seat {
    pub(super) node: String,
    pub(super) index: ShardId,
    pub(super) directory: Arc<Directory>,
    pub(super) common: Common,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) facts: Facts,
    pub(super) readers: usize,
    /// Where peers connect; one shard has it for all.
    pub(super) door: Option<std::net::TcpListener>,
    /// Where gossip comes; the shard that gossips has it.
    pub(super) gossip_socket: Option<std::net::UdpSocket>,
    pub(super) incoming: Incoming,
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) services: ShardServices,
    /// Told, in words, what recovery found, once the shard can serve.
    pub(super) ready: SyncSender<(ShardId, Result<String, StartError>)>,
}

/// Runs a shard until the node ends. Why, where this shard is the cause.
pub(super) fn run(seat: Seat) -> Option<String> {
    let _departure = Departure(Arc::clone(&seat.common.phase));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, serve(seat)),
        Err(error) => {
            let _ = seat.ready.send((seat.index, Err(StartError::System { name: seat.node, error })));
            None
        }
    }
}

/// Whoever leaves in a panic takes the node along.
struct Departure(Arc<watch::Sender<Phase>>);

impl Drop for Departure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(Phase::Failed);
        }
    }
}

struct Opened {
    driver: Rc<Driver>,
    door: Option<TcpListener>,
    ended: mpsc::UnboundedReceiver<Ended>,
    recovered: String,
}

fn open(seat: &mut Seat) -> Result<Opened, StartError> {
    let system = |error| StartError::System { name: seat.node.clone(), error };
    let shard = seat.directory.open_shard(seat.index)?;
    news::say_at_start(&shard.recovery().given_up);
    let recovered = status::recovered(&shard);
    let door = seat.door.take().map(|door| {
        door.set_nonblocking(true)?;
        TcpListener::from_std(door)
    });
    let door = door.transpose().map_err(system)?;
    let (sender, ended) = mpsc::unbounded_channel();
    let threads = match seat.index {
        ShardId(0) => seat.node.clone(),
        ShardId(index) => format!("{}.{index}", seat.node),
    };
    let jobs = JobThreads::start(&threads, seat.readers, &sender).map_err(system)?;
    let datagrams = seat
        .gossip_socket
        .take()
        .map(|socket| Datagrams::new(socket, shard.topology(), seat.common.network.as_ref()));
    let datagrams = datagrams.transpose().map_err(system)?;
    let (clock, common, facts) = (Arc::clone(&seat.clock), seat.common.clone(), seat.facts.clone());
    let driver = Driver::new(shard, clock, jobs, datagrams, common, facts);
    Ok(Opened { driver, door, ended, recovered })
}

async fn serve(mut seat: Seat) -> Option<String> {
    let Opened { driver, door, ended, recovered } = match open(&mut seat) {
        Ok(opened) => opened,
        Err(error) => {
            let _ = seat.ready.send((seat.index, Err(error)));
            return None;
        }
    };
    let Seat { node, index, common, incoming, asked, services, ready, .. } = seat;
    let mut phase = common.phase.subscribe();
    let _ = ready.send((index, Ok(recovered)));
    drop(ready);
    // An error means that nobody waits for the node any more.
    let opened = phase.wait_for(|phase| *phase != Phase::Opening).await.map(|phase| *phase);
    if !matches!(opened, Ok(Phase::Serving)) {
        return None;
    }
    let mut served = JoinSet::new();
    for service in services(LocalHandle { driver: Rc::clone(&driver) }, Stopping(phase.clone())) {
        served.spawn_local(service);
    }
    let mut own = JoinSet::new();
    if let Some(door) = door {
        own.spawn_local(peers::take_connections(Rc::clone(&driver), door));
    }
    own.spawn_local(peers::follow_members(Rc::clone(&driver)));
    if driver.datagrams().is_some() {
        own.spawn_local(datagrams::take_in(Rc::clone(&driver)));
    }
    own.spawn_local(end_turns(Rc::clone(&driver)));
    own.spawn_local(wait_for_timers(Rc::clone(&driver)));
    own.spawn_local(take_completions(Rc::clone(&driver), ended));
    own.spawn_local(take_mail(Rc::clone(&driver), incoming));
    own.spawn_local(serve_other_threads(Rc::clone(&driver), asked));
    own.spawn_local(publish(Rc::clone(&driver)));
    own.spawn_local(measure_delay(Rc::clone(&driver)));
    if index == ShardId(0) {
        own.spawn_local(meter::measure(Rc::clone(&driver)));
    }
    let cause = tokio::select! {
        biased;
        _ = phase.wait_for(|phase| phase.is_over()) => None,
        () = driver.stop.notified() => driver.stopped(),
        Some(ended) = own.join_next() => {
            // They go on for as long as the shard does; without one of them it would be deaf or dumb.
            Some(format!("a task that it cannot do without has ended: {ended:?}"))
        }
    };
    if let Some(why) = cause {
        tracing::error!(%node, shard = index.0, %why, "stopped: nothing can be promised any more");
        driver.halt(&why);
        common.phase.send_replace(Phase::Failed);
        return Some(why);
    }
    if *phase.borrow() == Phase::Failed {
        return None;
    }
    let ended = async { while served.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_GRACE, ended).await;
    let _ = tokio::time::timeout(STOP_GRACE, common.drained.wait()).await;
    driver.finish();
    tracing::info!(%node, shard = index.0, "stopped");
    None
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

async fn take_mail(driver: Rc<Driver>, mut incoming: Incoming) {
    while let Some(mail) = incoming.next().await {
        match mail {
            Mail::Passed(from, sent, passed) => {
                let waited = driver.now().mono.since(sent);
                for one in passed {
                    driver.feed(Input::Passed(from, waited, one));
                }
            }
            Mail::Taken(taken) => {
                tokio::task::spawn_local(peers::serve_taken(Rc::clone(&driver), *taken));
            }
        }
    }
}

async fn serve_other_threads(driver: Rc<Driver>, mut asked: mpsc::Receiver<Asked>) {
    while let Some(Asked { request, at, answer }) = asked.recv().await {
        match driver.ask_since(at, request) {
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

/// Sees again and again how long a task that is ready waits until this thread comes to it, as all that comes from sockets does.
async fn measure_delay(driver: Rc<Driver>) {
    loop {
        let due = driver.now().mono + LOOK_EVERY;
        tokio::time::sleep(LOOK_EVERY).await;
        let waited = driver.now().mono.since(due);
        driver.note_delay(waited);
    }
}
