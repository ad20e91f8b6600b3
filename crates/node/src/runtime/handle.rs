//! The doors to a running node: one for tasks of its own thread, one for all others.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

use api::{Answer, Counter, Error, HeatStatus, MemberStatus, Outcome, Request, Status, Store};
use cluster::Topology;
use env::Clock;
use tokio::sync::{mpsc, oneshot};
use types::{Instant, ShardId, WallTime};

use super::driver::Driver;
use super::meter::ShardLoad;
use crate::core::Governed;
use crate::heat;
use crate::shards::{Home, Shards};
use crate::status::{self, Facts};

/// What people should know of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices {
    /// Of deletes that cannot be dropped: since when, and why.
    pub(super) deletes: Option<(WallTime, String)>,
    /// Of damage on its disk.
    pub(super) damage: Option<String>,
}

/// What other threads may see of a node without asking it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    status: Arc<RwLock<Arc<Status>>>,
    /// As the shard that speaks for all knows it.
    governed: Arc<Mutex<Governed>>,
    /// As each shard sees the cluster, in the same order as `counters`.
    topologies: Arc<Mutex<Vec<Arc<Topology>>>>,
    /// Each shard's, in the same order.
    counters: Arc<RwLock<Vec<Vec<Counter>>>>,
    /// Of each shard, in the same order.
    notices: Arc<Mutex<Vec<Notices>>>,
    /// Of each shard, in the same order.
    heats: Arc<Mutex<Vec<HeatStatus>>>,
    /// Of each shard, in the same order.
    loads: Arc<Mutex<Vec<ShardLoad>>>,
    /// As the shard that gossips knows them.
    members: Arc<RwLock<Arc<[MemberStatus]>>>,
    /// Requests of other threads that no shard has seen: too many waited for its thread.
    refused: Arc<AtomicU64>,
}

impl Published {
    pub(super) fn new(topology: &Arc<Topology>, facts: &Facts, shards: usize) -> Published {
        let governed = Governed::default();
        let status = status::status(topology, &governed, facts);
        Published {
            governed: Arc::new(Mutex::new(governed)),
            status: Arc::new(RwLock::new(Arc::new(status))),
            topologies: Arc::new(Mutex::new(vec![Arc::clone(topology); shards])),
            counters: Arc::new(RwLock::new(vec![Vec::new(); shards])),
            notices: Arc::new(Mutex::new(vec![Notices::default(); shards])),
            heats: Arc::new(Mutex::new(vec![HeatStatus::default(); shards])),
            loads: Arc::new(Mutex::new(vec![ShardLoad::default(); shards])),
            members: Arc::new(RwLock::new(status::members_alone(topology))),
            refused: Arc::default(),
        }
    }

    /// A request was refused because too many waited.
    pub(super) fn refused_one(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn members(&self) -> Arc<[MemberStatus]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_members(&self, members: Arc<[MemberStatus]>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
    }

    pub(super) fn set_load(&self, of: ShardId, load: ShardLoad) {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(of.0)] = load;
    }

    /// What each shard has done and holds.
    pub(super) fn loads(&self) -> Vec<ShardLoad> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_heat(&self, of: ShardId, heat: HeatStatus) {
        self.heats.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(of.0)] = heat;
    }

    pub(super) fn heat(&self) -> HeatStatus {
        let heats = self.heats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        heat::together(heats)
    }

    pub(super) fn status(&self) -> Arc<Status> {
        let status = Arc::clone(&self.status.read().unwrap_or_else(PoisonError::into_inner));
        // Shards tell of the same trouble with deletes, each of its own partitions: the oldest stands for all. Damage is each
        // shard's own.
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = notices.iter().filter_map(|of| of.deletes.as_ref()).min().map(|(_, what)| what);
        let all: Vec<String> =
            oldest.into_iter().chain(notices.iter().filter_map(|of| of.damage.as_ref())).cloned().collect();
        if all.is_empty() {
            return status;
        }
        let mut status = Status::clone(&status);
        status.notices.extend(all);
        Arc::new(status)
    }

    pub(super) fn set_notices(&self, of: ShardId, notices: Notices) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(of.0)] = notices;
    }

    /// Shows how a shard sees the cluster now. A peer counts as reachable where every shard reaches it.
    pub(super) fn set_topology(&self, of: ShardId, topology: &Arc<Topology>, facts: &Facts) {
        let governed = self.governed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut topologies = self.topologies.lock().unwrap_or_else(PoisonError::into_inner);
        topologies[usize::from(of.0)] = Arc::clone(topology);
        let mut seen = Topology::clone(topology);
        for other in topologies.iter() {
            let members = other.state.members().iter();
            let unreachable = members.filter(|member| !other.is_reachable(member.id));
            seen = unreachable.fold(seen, |seen, member| seen.with_unreachable(member.id));
        }
        let status = Arc::new(status::status(&seen, &governed, facts));
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Shows what the shard that speaks for all knows of movements and of who keeps the cluster state; whether it is news.
    pub(super) fn set_governed(&self, governed: Governed) -> bool {
        let mut shown = self.governed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *shown != governed;
        *shown = governed;
        is_news
    }

    pub(super) fn set_counters(&self, of: ShardId, counters: Vec<Counter>) {
        self.counters.write().unwrap_or_else(PoisonError::into_inner)[usize::from(of.0)] = counters;
    }

    /// What all shards' figures come to.
    pub(super) fn counters(&self) -> Vec<Counter> {
        let each = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let mut sums: Vec<Counter> = Vec::new();
        for counters in each.iter() {
            if sums.is_empty() {
                sums.clone_from(counters);
                continue;
            }
            for (sum, counter) in sums.iter_mut().zip(counters) {
                // Counts and sizes add up; of ages, and of what is hottest, the greatest is the node's.
                let is_greatest = sum.name.ends_with("_seconds") || sum.name.starts_with("hottest_");
                sum.value =
                    if is_greatest { sum.value.max(counter.value) } else { sum.value + counter.value };
            }
        }
        sums.push(status::refused_waiting(self.refused.load(Ordering::Relaxed)));
        sums
    }
}

/// For tasks of a shard's own thread: a request that memory can answer is a function call.
#[derive(Clone, Debug)]
pub struct LocalHandle {
    pub(super) driver: Rc<Driver>,
}

impl Store for LocalHandle {
    type Pending = LocalPending;

    fn call(&self, request: Request) -> Answer<LocalPending> {
        match self.driver.ask(request) {
            Ok(outcome) => Answer::Ready(outcome),
            Err(client) => Answer::Pending(LocalPending { driver: Rc::clone(&self.driver), client }),
        }
    }

    fn status(&self) -> Arc<Status> {
        self.driver.published().status()
    }

    fn counters(&self) -> Vec<Counter> {
        self.driver.counters()
    }

    fn members(&self) -> Arc<[MemberStatus]> {
        self.driver.published().members()
    }

    fn heat(&self) -> HeatStatus {
        self.driver.published().heat()
    }
}

/// An answer that is on its way to a task of the shard's own thread.
#[derive(Debug)]
pub struct LocalPending {
    driver: Rc<Driver>,
    client: u64,
}

impl Future for LocalPending {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.driver.poll_answer(self.client, context)
    }
}

impl Drop for LocalPending {
    fn drop(&mut self) {
        self.driver.forget(self.client);
    }
}

/// A request from another thread.
pub(super) struct Asked {
    pub(super) request: Request,
    /// When it was asked.
    pub(super) at: Instant,
    /// Where its answer goes.
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// For other threads.
#[derive(Clone)]
pub struct RemoteHandle {
    pub(super) clock: Arc<dyn Clock>,
    /// The way to each shard.
    pub(super) requests: Arc<[mpsc::Sender<Asked>]>,
    pub(super) shards: Shards,
    pub(super) published: Published,
}

impl std::fmt::Debug for RemoteHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteHandle").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Store for RemoteHandle {
    type Pending = RemotePending;

    fn call(&self, request: Request) -> Answer<RemotePending> {
        let (answer, pending) = oneshot::channel();
        let at = match self.shards.home(&request.command) {
            Home::One(shard) => shard,
            Home::Any | Home::Several => ShardId(0),
        };
        let asked = Asked { request, at: self.clock.now().mono, answer };
        match self.requests[usize::from(at.0)].try_send(asked) {
            Ok(()) => Answer::Pending(RemotePending(pending)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.published.refused_one();
                Answer::Ready(Err(Error::Overloaded(
                    "this node has as many requests waiting as it takes: try again later, more slowly"
                        .to_owned(),
                )))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Answer::Ready(Err(stopped())),
        }
    }

    fn status(&self) -> Arc<Status> {
        self.published.status()
    }

    fn counters(&self) -> Vec<Counter> {
        self.published.counters()
    }

    fn members(&self) -> Arc<[MemberStatus]> {
        self.published.members()
    }

    fn heat(&self) -> HeatStatus {
        self.published.heat()
    }
}

/// An answer that is on its way to another thread.
#[derive(Debug)]
pub struct RemotePending(oneshot::Receiver<Outcome>);

impl Future for RemotePending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(cut_off())))
    }
}

fn stopped() -> Error {
    Error::Overloaded("this node is stopping: use another".to_owned())
}

/// The node stopped with the request under way: a write may have been stored.
fn cut_off() -> Error {
    Error::Unknown {
        level: quorum::Level::One,
        needed: 1,
        got: 0,
        owners: 0,
        detail: "this node stopped before it answered".to_owned(),
    }
}
