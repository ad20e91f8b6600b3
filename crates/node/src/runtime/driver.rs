//! Drives one [`Shard`] on one thread: feeds it inputs, carries out its outputs, ends its turns.
//!
//! Everything here is called from tasks of the shard's own thread, so cells suffice and nothing is ever contended. What must
//! hold: the shard is never entered while it is running (inputs that come of outputs wait in `feedback`), and no borrow is
//! held over an await.
//!
//! A turn ends when the tasks that were ready have run: the task that ends it is woken by the first input and so queues
//! behind them. All that they wrote is one write to the commit log, one sync, one write to each peer and
//! one letter to each other shard.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use api::{Counter, NodePlan, Outcome, Request};
use cluster::Topology;
use env::Clock;
use tokio::sync::Notify;
use types::{Instant, Moment, NodeId, ShardId};
use wire::{Body, Hello, Refusal};

use super::Common;
use super::Phase;
use super::datagrams::Datagrams;
use super::handle::{Notices, Published};
use super::jobs::JobThreads;
use super::links::Links;
use super::mail::Mailboxes;
use super::meter::ShardLoad;
use super::network::Way;
use super::news;
use crate::core::{Input, Noticed, Output, Passed, Shard};
use crate::shards::Shards;
use crate::status;

/// A shard and what it runs with.
pub(super) struct Driver {
    /// Gone once it has been closed.
    shard: RefCell<Option<Shard>>,
    index: ShardId,
    shards: Shards,
    clock: Arc<dyn Clock>,
    jobs: JobThreads,
    links: Links,
    datagrams: Option<Datagrams>,
    node: Common,
    /// What has gathered for each shard of the node in this turn.
    outgoing: RefCell<Vec<Vec<Passed>>>,
    facts: status::Facts,
    identity: Hello,
    topology: RefCell<Arc<Topology>>,
    clients: RefCell<Clients>,
    feedback: RefCell<Vec<Input>>,
    /// Reused from input to input.
    spare: Cell<Vec<Output>>,
    /// Whether something has been taken in since this was last cleared.
    pub(super) turn_due: Cell<bool>,
    /// Wakes the task that keeps connections with all members.
    pub(super) members_changed: Notify,
    /// Wakes the task that ends turns.
    pub(super) turn: Notify,
    /// Wakes the task that waits for timers, when one is due earlier than it thinks.
    pub(super) rearm: Notify,
    pub(super) armed: Cell<Instant>,
    stopped: RefCell<Option<String>>,
    /// Wakes whoever waits for the shard to stop.
    pub(super) stop: Notify,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("hello", &self.hello()).finish_non_exhaustive()
    }
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Clients {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    /// The request is being handled at this moment.
    Asking,
    /// To be woken.
    Parked(Waker),
    /// Nobody has asked for the answer yet.
    Unpolled,
    /// The answer is here.
    Answered(Outcome),
}

impl Driver {
    pub(super) fn new(
        shard: Shard,
        clock: Arc<dyn Clock>,
        jobs: JobThreads,
        datagrams: Option<Datagrams>,
        node: Common,
        facts: status::Facts,
    ) -> Rc<Driver> {
        let (identity, topology) = (shard.hello(), Arc::clone(shard.topology()));
        let (index, shards) = (shard.index(), shard.shards());
        let driver = Rc::new(Driver {
            identity,
            topology: RefCell::new(topology),
            shard: RefCell::new(Some(shard)),
            index,
            shards,
            clock,
            jobs,
            links: Links::default(),
            datagrams,
            node,
            outgoing: RefCell::new(shards.iter().map(|_| Vec::new()).collect()),
            facts,
            clients: RefCell::new(Clients::default()),
            feedback: RefCell::new(Vec::new()),
            spare: Cell::new(Vec::new()),
            turn_due: Cell::new(false),
            members_changed: Notify::new(),
            turn: Notify::new(),
            rearm: Notify::new(),
            armed: Cell::new(Instant(u64::MAX)),
            stopped: RefCell::new(None),
            stop: Notify::new(),
        });
        driver.show_peers();
        driver.publish();
        driver
    }

    pub(super) fn index(&self) -> ShardId {
        self.index
    }

    pub(super) fn shards(&self) -> Shards {
        self.shards
    }

    pub(super) fn mailboxes(&self) -> &Mailboxes {
        &self.node.mailboxes
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// The way to a peer.
    pub(super) fn way_to(&self, peer: NodeId) -> Way {
        Way::new(self.node.network.as_ref(), self.identity.node, peer)
    }

    /// The gossip socket, where this shard has it.
    pub(super) fn datagrams(&self) -> Option<&Datagrams> {
        self.datagrams.as_ref()
    }

    pub(super) fn published(&self) -> &Published {
        &self.node.published
    }

    pub(super) fn hello(&self) -> Hello {
        self.shard.borrow().as_ref().map_or_else(|| self.identity.clone(), Shard::hello)
    }

    /// The same, to a peer that has made a connection.
    pub(super) fn hello_to(&self, theirs: &Hello) -> Hello {
        self.shard.borrow().as_ref().map_or_else(|| self.identity.clone(), |shard| shard.hello_to(theirs))
    }

    pub(super) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.borrow())
    }

    /// What a node wants that would join, with what this one knows of it: what it weighs beside this one, if it does not say, and
    /// whether the member is up whose place it takes.
    pub(super) fn completed(&self, plan: NodePlan) -> NodePlan {
        let topology = self.topology();
        let plan = topology.state.weighed(plan, topology.here, self.facts.capacity);
        topology.state.replacing(plan, |node| node == topology.here || topology.is_reachable(node))
    }

    /// Whether who introduces himself may be let in.
    pub(super) fn admit(&self, theirs: &Hello) -> Result<(), Refusal> {
        match self.shard.borrow().as_ref() {
            Some(shard) => shard.admit(theirs),
            None => Err(Refusal::because("it is about to stop".to_owned())),
        }
    }

    /// Ends the shard in good order: what was acknowledged without a sync is synced.
    pub(super) fn finish(&self) {
        self.end_turn();
        self.halt("it was asked to stop");
        let shard = self.shard.borrow_mut().take();
        if let Some(Err(error)) = shard.map(Shard::close) {
            tracing::error!(%error, "the commit log could not be closed");
        }
    }

    /// The node's figures: this shard's as of now, the others' as they last showed them.
    pub(super) fn counters(&self) -> Vec<Counter> {
        self.publish();
        self.node.published.counters()
    }

    /// Shows other threads this shard's figures as they are now.
    pub(super) fn publish(&self) {
        if let Some(shard) = self.shard.borrow().as_ref() {
            let now = self.now();
            self.node.published.set_counters(self.index, status::counters(shard, now));
            let notices = Notices { deletes: status::notice(shard, now.wall), damage: status::damage(shard) };
            self.node.published.set_notices(self.index, notices);
            if let Some(governed) = shard.governed()
                && self.node.published.set_governed(governed)
            {
                self.node.published.set_topology(self.index, shard.topology(), &self.facts);
            }
            self.node.published.set_load(self.index, ShardLoad::of(shard));
            self.node.published.set_heat(self.index, shard.heat().status(now.mono));
            if let Some(liveness) = shard.liveness() {
                let members = status::members(shard.topology(), liveness, now.mono);
                self.node.published.set_members(members);
            }
        }
    }

    /// Asks on behalf of a client: the outcome, where it is there at once, else the number to poll for.
    pub(super) fn ask(&self, request: Request) -> Result<Outcome, u64> {
        self.ask_as(request, Input::Client)
    }

    /// The same for one whose request has waited since then for this thread.
    pub(super) fn ask_since(&self, asked: Instant, request: Request) -> Result<Outcome, u64> {
        let waited = self.now().mono.since(asked);
        self.ask_as(request, |client, request| Input::ClientWaited(client, waited, request))
    }

    fn ask_as(&self, request: Request, input: impl FnOnce(u64, Request) -> Input) -> Result<Outcome, u64> {
        if let Some(outcome) = self.answer_at_once(&request) {
            return Ok(outcome);
        }
        let client = {
            let mut clients = self.clients.borrow_mut();
            clients.last += 1;
            let client = clients.last;
            clients.waiting.insert(client, Waiting::Asking);
            client
        };
        self.feed(input(client, request));
        let mut clients = self.clients.borrow_mut();
        match clients.waiting.remove(&client) {
            Some(Waiting::Answered(outcome)) => Ok(outcome),
            _ => {
                clients.waiting.insert(client, Waiting::Unpolled);
                Err(client)
            }
        }
    }

    fn answer_at_once(&self, request: &Request) -> Option<Outcome> {
        if self.stopped.borrow().is_some() {
            return None;
        }
        self.shard.borrow_mut().as_mut()?.answer_at_once(self.now(), request)
    }

    pub(super) fn poll_answer(&self, client: u64, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut clients = self.clients.borrow_mut();
        match clients.waiting.remove(&client) {
            Some(Waiting::Answered(outcome)) => Poll::Ready(outcome),
            _ => {
                clients.waiting.insert(client, Waiting::Parked(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&self, client: u64) {
        self.clients.borrow_mut().waiting.remove(&client);
    }

    /// Gives the shard an input, and carries out what comes of it.
    pub(super) fn feed(&self, input: Input) {
        if self.stopped.borrow().is_some() {
            return;
        }
        let now = self.now();
        let mut outputs = self.spare.take();
        self.handle(now, input, &mut outputs);
        self.carry_out(now, outputs);
        self.show_peers_if_changed();
        if !self.turn_due.replace(true) {
            self.turn.notify_one();
        }
    }

    /// What is ready on this thread waits so long for its turn. Nothing comes of that, so no turn follows.
    pub(super) fn note_delay(&self, waited: Duration) {
        if self.stopped.borrow().is_none() {
            let mut outputs = self.spare.take();
            self.handle(self.now(), Input::Delayed(waited), &mut outputs);
            self.spare.set(outputs);
        }
    }

    /// Ends the turn: one write to the commit log, one to each peer.
    pub(super) fn end_turn(&self) {
        self.turn_due.set(false);
        if self.stopped.borrow().is_some() {
            return;
        }
        let now = self.now();
        let mut outputs = self.spare.take();
        if let Some(shard) = self.shard.borrow_mut().as_mut() {
            shard.end_turn(now, &mut outputs);
        }
        self.carry_out(now, outputs);
        self.links.flush();
        self.pass_on(now);
        let next = self.next_timer();
        if next.is_some_and(|next| next < self.armed.get()) {
            self.rearm.notify_one();
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.shard.borrow().as_ref().and_then(Shard::next_timer)
    }

    /// Stops the shard: nothing is promised from here on.
    pub(super) fn halt(&self, why: &str) {
        let mut stopped = self.stopped.borrow_mut();
        if stopped.is_none() {
            *stopped = Some(why.to_owned());
            self.stop.notify_one();
        }
    }

    /// Why it stopped; nothing while it runs.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.borrow().clone()
    }

    fn handle(&self, now: Moment, input: Input, outputs: &mut Vec<Output>) {
        if let Some(shard) = self.shard.borrow_mut().as_mut() {
            shard.handle(now, input, outputs);
        }
    }

    fn show_peers_if_changed(&self) {
        let shard = self.shard.borrow();
        let changed =
            shard.as_ref().is_some_and(|shard| !Arc::ptr_eq(shard.topology(), &self.topology.borrow()));
        drop(shard);
        if changed {
            self.show_peers();
        }
    }

    fn show_peers(&self) {
        if let Some(shard) = self.shard.borrow().as_ref() {
            let is_same = Arc::ptr_eq(&shard.topology().state, &self.topology.borrow().state);
            if !is_same {
                if let Some(datagrams) = &self.datagrams {
                    datagrams.set_peers(shard.topology(), self.node.network.as_ref());
                }
                self.members_changed.notify_one();
            }
            *self.topology.borrow_mut() = Arc::clone(shard.topology());
            self.node.published.set_topology(self.index, shard.topology(), &self.facts);
        }
    }

    /// Sends each other shard what has gathered for it.
    fn pass_on(&self, now: Moment) {
        if self.shards.count() == 1 {
            return;
        }
        for (to, passed) in self.shards.iter().zip(self.outgoing.borrow_mut().iter_mut()) {
            if !passed.is_empty() {
                self.node.mailboxes.pass(now.mono, self.index, to, std::mem::take(passed));
            }
        }
    }

    /// Puts something into the letter to another shard; a question only where that has not too much to take in.
    fn gather(&self, to: ShardId, passed: Passed) {
        let is_question = match &passed {
            Passed::Ask(..) | Passed::Turned(..) => true,
            Passed::Message(_, envelope) => matches!(envelope.body, Body::Request(_)),
            Passed::Answer(..)
            | Passed::Reply(..)
            | Passed::Repair
            | Passed::Evidence(..)
            | Passed::Found(..)
            | Passed::Whole(..)
            | Passed::Met(..)
            | Passed::PastLives(..)
            | Passed::Rose(..)
            | Passed::Disk(..)
            | Passed::State(..)
            | Passed::Progress(..)
            | Passed::Amounts(..)
            | Passed::Behind(..) => false,
        };
        if is_question && !self.node.mailboxes.has_room(to) {
            self.feedback.borrow_mut().push(Input::NotPassed(to, passed));
        } else {
            self.outgoing.borrow_mut()[usize::from(to.0)].push(passed);
        }
    }

    fn carry_out(&self, now: Moment, mut outputs: Vec<Output>) {
        loop {
            for output in outputs.drain(..) {
                match output {
                    Output::Answer(client, outcome) => self.answer(client, outcome),
                    Output::Send(to, envelope) => {
                        if !self.links.ask(to, &envelope) {
                            self.feedback.borrow_mut().push(Input::NotSent(to, envelope.operation));
                        }
                    }
                    Output::PassOn(to, envelope) => {
                        if !self.links.ask(to, &envelope) {
                            self.feedback.borrow_mut().push(Input::NotPassedOn(to, Box::new(envelope)));
                        }
                    }
                    Output::Reply(to, envelope) => self.links.reply(to, &envelope),
                    Output::Pass(to, passed) => self.gather(to, passed),
                    Output::Datagram(to, bytes) => {
                        if let Some(datagrams) = &self.datagrams {
                            datagrams.send(to, bytes);
                        }
                    }
                    Output::Noticed(Noticed::Peer(change)) => self.say(change),
                    Output::Noticed(Noticed::Damage(news)) => news::say(&news),
                    Output::Run(job) => self.jobs.run(job),
                    Output::Left(why) => self.leave(&why),
                    Output::Stop(why) => self.halt(&why),
                    Output::Renounce(why) => self.renounce(&why),
                }
            }
            let Some(input) = self.feedback.borrow_mut().pop() else {
                break;
            };
            self.handle(now, input, &mut outputs);
        }
        self.spare.set(outputs);
    }

    /// The node is no member any more: it stops in good order.
    fn leave(&self, why: &str) {
        tracing::warn!(%why, "stops: it has left the cluster");
        self.node.phase.send_if_modified(|phase| {
            let goes_on = !phase.is_over();
            if goes_on {
                *phase = Phase::Ending;
            }
            goes_on
        });
    }

    /// Gives up the life of the data directory, and stops.
    fn renounce(&self, why: &str) {
        let renounced = self.shard.borrow().as_ref().map(Shard::renounce);
        match renounced {
            Some(Err(error)) => {
                self.halt(&format!(
                    "{why}. It was to give up this life of its data directory, and could not: {error}"
                ));
            }
            _ => {
                self.node.renounced.store(true, Ordering::Release);
                self.halt(&format!("{why}. It begins a new life, and catches up with the others"));
            }
        }
    }

    /// Tells people what the node takes a peer for from now on.
    fn say(&self, change: gossip::Change) {
        let topology = self.topology();
        let peer = topology.state.member(change.node).map_or("?", |member| &member.name);
        let (from, to) = (change.from.name(), change.to.name());
        if change.to == gossip::Verdict::Down {
            tracing::warn!(%peer, %from, "peer is down: observers agree that it is silent");
        } else {
            tracing::info!(%peer, %from, %to, "peer is taken for something else than before");
        }
    }

    fn answer(&self, client: u64, outcome: Outcome) {
        let mut clients = self.clients.borrow_mut();
        let Some(waiting) = clients.waiting.get_mut(&client) else {
            return;
        };
        if let Waiting::Parked(waker) = std::mem::replace(waiting, Waiting::Answered(outcome)) {
            waker.wake();
        }
    }
}
