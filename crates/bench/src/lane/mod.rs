//! One client: takes its turn, sends a batch, waits until all of it is answered, and says how long each part took.
//!
//! A client holds at most one link to each node and one batch under way, so everything here is bounded by the
//! pipeline. It runs as one task of a single-threaded runtime; what clients of a thread share is therefore plain
//! cells. All links are polled from one place: a reply is timed when it arrives, also if another node is slower.

mod exchange;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::Error;
use crate::frontier::Frontier;
use crate::link::{Link, Outcome, Pending, Step};
use crate::operations::Operations;
use crate::pacing::{Pacing, Turn};
use crate::plan::Plan;
use crate::recorder::Recorder;
use crate::slots::{SlotMap, slot_of};
use crate::value::ValueSource;
use crate::workload::Kind;

/// Between two attempts to open a lost link.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// What the clients of one thread have in common.
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) pacing: Pacing,
    /// With `--cluster`.
    pub(crate) slots: Option<RefCell<SlotMap>>,
    /// Operations answered so far, for the progress bar.
    pub(crate) answered: Arc<AtomicU64>,
}

/// One client.
pub(crate) struct Lane {
    shared: Rc<Shared>,
    operations: Operations,
    values: ValueSource,
    /// By node number; without `--cluster` only the one at `home` is used.
    links: Vec<Option<Link>>,
    home: usize,
    starts: Vec<u64>,
    retries: Vec<Pending>,
    key: Vec<u8>,
    watchdog: Pin<Box<Sleep>>,
    batch_sent: Instant,
    settled: Cell<u64>,
}

impl Lane {
    /// Connects as a client of the server at `home`, or with `--cluster` to every node. The links are by node number.
    pub(crate) async fn connect(
        plan: &Plan,
        slots: Option<&SlotMap>,
        home: usize,
    ) -> Result<Vec<Option<Link>>, Error> {
        let mut links = Vec::new();
        match slots {
            None => {
                links.resize_with(home, || None);
                links.push(Some(Link::open(&plan.addresses[home], &plan.prelude, plan.timeout).await?));
            }
            Some(slots) => {
                for address in slots.primaries() {
                    links.push(Some(Link::open(address, &plan.prelude, plan.timeout).await?));
                }
            }
        }
        Ok(links)
    }

    /// A client with these links, to be run inside the thread's runtime.
    pub(crate) fn new(
        shared: Rc<Shared>,
        home: usize,
        links: Vec<Option<Link>>,
        operations: Operations,
        values: ValueSource,
    ) -> Lane {
        Lane {
            watchdog: Box::pin(sleep(shared.plan.timeout)),
            shared,
            operations,
            values,
            links,
            home,
            starts: Vec::new(),
            retries: Vec::new(),
            key: Vec::new(),
            batch_sent: Instant::now(),
            settled: Cell::new(0),
        }
    }

    /// Works until the pacing says that it is over.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        loop {
            let free_since = self.now();
            let mut starts = std::mem::take(&mut self.starts);
            let turn = self.shared.pacing.turn(&mut starts).await;
            let more = match turn {
                Turn::Over => false,
                Turn::Unsent => self.give_up(&starts),
                Turn::Send => self.send(&starts, free_since).await?,
            };
            self.starts = starts;
            if !more {
                return Ok(());
            }
            self.exchange().await?;
            self.shared.answered.fetch_add(self.settled.take(), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        self.shared.pacing.clock().now()
    }

    /// Counts arrivals that the end of the run overtook.
    fn give_up(&mut self, starts: &[u64]) -> bool {
        let end = self.shared.pacing.end();
        for intended in starts {
            let Some((kind, key)) = self.operations.next(&self.shared.frontier) else {
                return false;
            };
            self.shared.recorder.borrow_mut().unsent(kind, *intended, end);
            if kind == Kind::Insert {
                self.shared.frontier.settle(key);
            }
        }
        true
    }

    /// Writes one request for each intended start into the links' buffers. False where there is nothing left to do.
    async fn send(&mut self, starts: &[u64], free_since: u64) -> Result<bool, Error> {
        let mut any = false;
        for intended in starts {
            let Some((kind, key)) = self.operations.next(&self.shared.frontier) else {
                break;
            };
            self.enqueue(Pending { kind, key, intended: *intended, step: Step::Last, hops: 0 }).await?;
            any = true;
        }
        self.batch_sent = Instant::now();
        if self.shared.pacing.is_open() {
            let now = self.now();
            let mut recorder = self.shared.recorder.borrow_mut();
            starts
                .iter()
                .for_each(|intended| recorder.lag(*intended, now - free_since.max(*intended).min(now)));
        }
        Ok(any)
    }

    /// Puts an operation's first request on the link of its key, which is opened if it must be.
    async fn enqueue(&mut self, pending: Pending) -> Result<(), Error> {
        let node = self.node_of(pending.key);
        if self.links.get(node).is_none_or(Option::is_none) {
            self.reopen(node).await?;
        }
        // While reopening, the home may have moved on to the next address.
        let node = self.node_of(pending.key);
        let Lane { shared, links, values, key, .. } = self;
        let Some(link) = links.get_mut(node).and_then(Option::as_mut) else {
            let lost = Outcome::Failed("connection lost: not open again before the run ended".to_owned());
            self.settle(pending, &lost, self.now());
            return Ok(());
        };
        let templates = &shared.plan.templates;
        match pending.kind {
            Kind::Read => {
                templates.get(pending.key, &mut link.outbound);
                link.pending.push_back(pending);
            }
            Kind::ReadModifyWrite => {
                templates.get(pending.key, &mut link.outbound);
                link.pending.push_back(Pending { step: Step::ReadToModify, ..pending });
            }
            Kind::Update | Kind::Insert => write(&shared.plan, link, values, key, pending),
        }
        Ok(())
    }

    fn node_of(&mut self, key: u64) -> usize {
        let Some(slots) = &self.shared.slots else {
            return self.home;
        };
        self.key.clear();
        self.shared.plan.key_form.write(key, &mut self.key);
        slots.borrow().owner(slot_of(&self.key))
    }

    async fn open(&mut self, node: usize) -> Result<(), Error> {
        let plan = &self.shared.plan;
        let address = match &self.shared.slots {
            Some(slots) => slots.borrow().primaries()[node].clone(),
            None => plan.addresses[node].clone(),
        };
        let link = Link::open(&address, &plan.prelude, plan.timeout).await?;
        if self.links.len() <= node {
            self.links.resize_with(node + 1, || None);
        }
        self.links[node] = Some(link);
        Ok(())
    }

    /// Opens a lost link again, without `--cluster` at the next address where one is down. Tries for as long as the
    /// timeout and the run last; the run then goes on, and counts what it cannot send.
    async fn reopen(&mut self, node: usize) -> Result<(), Error> {
        let mut node = node;
        let deadline = Instant::now() + self.shared.plan.timeout;
        while let Err(error) = self.open(node).await {
            if self.now() >= self.shared.pacing.end() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(error);
            }
            if self.shared.slots.is_none() {
                self.home = (self.home + 1) % self.shared.plan.addresses.len();
                node = self.home;
            }
            sleep_until(Instant::now() + RECONNECT_PAUSE).await;
        }
        Ok(())
    }
}

/// Appends a SET, and the WAIT of the run where there is one.
fn write(plan: &Plan, link: &mut Link, values: &mut ValueSource, key: &mut Vec<u8>, pending: Pending) {
    plan.templates.set(pending.key, values, key, &mut link.outbound);
    if plan.wait_replicas.is_none() {
        link.pending.push_back(Pending { step: Step::Last, ..pending });
        return;
    }
    plan.templates.wait(&mut link.outbound);
    link.pending.push_back(Pending { step: Step::SetBeforeWait, ..pending });
    link.pending.push_back(Pending { step: Step::Wait, ..pending });
}
