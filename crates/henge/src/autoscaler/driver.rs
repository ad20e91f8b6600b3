//! The loop: looks, decides, has it carried out, and notes what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use api::{
    Answer, Autoscaling, Change, Changed, Command, DecisionOutcome, Error, NodeStanding, Reply, Request,
    Status, Store,
};
use autoscale::{Decider, Decision, Outcome};
use env::{Clock, SystemClock};
use node::runtime::RemoteHandle;
use provider::{Provided, ProviderError};
use types::{Instant, Moment};

use super::board::{Board, DecisionNumber};
use super::carry::{Deed, deed};
use super::look::{Memory, Seen, view};
use super::settings::Settings;
use super::worker::{Done, Task, Worker};

/// How often it looks: several times within a window, but no more often and no less than this.
const LOOKS_IN_A_WINDOW: u32 = 8;
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// For how long the provider's list stands. While a node is started there is no newer one.
const LIST_STANDS: Duration = Duration::from_secs(120);

/// How long to wait before the provider is asked again to end a node.
const END_AGAIN: Duration = Duration::from_secs(10);

/// An autoscaler that runs.
#[derive(Debug)]
pub(crate) struct Running {
    board: Arc<Board>,
    /// Dropped to end it.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// What is shown of it.
    pub(crate) fn shown(&self) -> Arc<dyn Autoscaling> {
        Arc::clone(&self.board) as Arc<dyn Autoscaling>
    }

    /// Ends it. A call of the provider that is under way goes on until it is over, or the process ends.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // It ends by itself, within the time that a change may take; a panic of it was told by the thread.
        let _ = self.thread.join();
    }
}

/// Starts the autoscaler of a node.
///
/// # Errors
/// If a thread cannot be had, or the provider not be made.
pub(crate) fn start(settings: &Settings, handle: RemoteHandle) -> Result<Running> {
    let worker =
        settings.provider()?.map(Worker::start).transpose().context("cannot start the provider's thread")?;
    let board = Arc::new(Board::new(settings));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = sync_channel(0);
    let mut autoscaler = Autoscaler {
        handle,
        runtime,
        clock: SystemClock::new(),
        decider: Decider::new(settings.policy.clone()),
        memory: Memory::default(),
        list: if worker.is_some() { List::default() } else { List::of_nobody() },
        worker,
        board: Arc::clone(&board),
        leads: false,
        under_way: None,
        leaving: BTreeSet::new(),
        ending: BTreeMap::new(),
    };
    let [least, most] = LOOK_EVERY;
    let every = (settings.policy.window / LOOKS_IN_A_WINDOW).clamp(least, most);
    let thread = std::thread::Builder::new().name("autoscaler".to_owned());
    let thread = thread.spawn(move || autoscaler.run(&stopped, every));
    Ok(Running { board, stop, thread: thread.context("cannot start the autoscaler's thread")? })
}

/// What the provider has started, as it said last.
#[derive(Debug, Default)]
struct List {
    nodes: Vec<Provided>,
    /// When it said so.
    at: Option<Instant>,
    /// Why it did not the last time.
    failed: Option<String>,
    /// Whether there is nobody who could say.
    is_nobodys: bool,
}

impl List {
    fn of_nobody() -> List {
        List { is_nobodys: true, ..List::default() }
    }

    /// Whether anything has been said, if only that it cannot be.
    fn is_known(&self) -> bool {
        self.is_nobodys || self.at.is_some() || self.failed.is_some()
    }

    /// Why nothing is to be asked of the provider now.
    fn why_not(&self, now: Instant) -> Option<String> {
        if self.is_nobodys {
            return Some("there is no provider: say who starts nodes, and where, in [autoscaler]".to_owned());
        }
        let stands = self.at.is_some_and(|at| now.since(at) < LIST_STANDS);
        let why = || self.failed.clone().unwrap_or_else(|| "it has not said so for too long".to_owned());
        (!stands).then(|| format!("what the provider has started is not known: {}", why()))
    }
}

struct Autoscaler {
    handle: RemoteHandle,
    runtime: tokio::runtime::Runtime,
    clock: SystemClock,
    decider: Decider,
    memory: Memory,
    worker: Option<Worker>,
    list: List,
    board: Arc<Board>,
    leads: bool,
    /// The decision that the provider is at work on.
    under_way: Option<DecisionNumber>,
    /// The provider's nodes that leave, or are gone for good: they are ended when they are members no more.
    leaving: BTreeSet<String>,
    /// Those that were asked to be ended, when they may be asked again, and where that is shown.
    ending: BTreeMap<String, (Instant, DecisionNumber)>,
}

impl Autoscaler {
    fn run(&mut self, stopped: &Receiver<()>, every: Duration) {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        let status = self.handle.status();
        let leads = status.group.leader.as_deref() == Some(status.this_node().name.as_str());
        if leads != self.leads {
            self.leads = leads;
            self.begin_anew();
            self.board.decides(leads);
            let what = if leads {
                "this node leads: it decides here"
            } else {
                "this node leads no more: another decides"
            };
            tracing::info!("autoscaler: {what}");
        }
        self.hear(now);
        if !leads {
            return;
        }
        if let Some(worker) = &mut self.worker {
            worker.list();
        }
        if !self.list.is_known() {
            return;
        }
        let trouble = self.worker.as_ref().and_then(|_| self.list.failed.clone());
        self.board.trouble(trouble);
        let members = self.handle.members();
        let seen = Seen { now: now.mono, status: &status, members: &members, provided: &self.list.nodes };
        let view = view(seen, &mut self.memory);
        let decision = self.decider.decide(&view);
        let number = self.board.decided(now.wall, &decision);
        match number {
            None => tracing::debug!("autoscaler: {decision}"),
            Some(_) => tracing::info!("autoscaler: {decision}"),
        }
        if let Some(number) = number.filter(|_| !decision.is_dry) {
            self.carry_out(now, number, &decision, &status);
        }
        if !self.decider.policy().dry_run {
            self.end_who_has_left(now, &status);
        }
    }

    fn begin_anew(&mut self) {
        self.decider = Decider::new(self.decider.policy().clone());
        self.memory = Memory::default();
        self.under_way = None;
        self.leaving.clear();
        self.ending.clear();
        if !self.list.is_nobodys {
            self.list = List::default();
        }
    }

    /// What the provider's thread has to say.
    fn hear(&mut self, now: Moment) {
        let done = self.worker.as_mut().map(Worker::done).unwrap_or_default();
        for done in done {
            match done {
                Done::Listed(Ok(nodes)) => {
                    self.list = List { nodes, at: Some(now.mono), ..List::default() };
                }
                Done::Listed(Err(error)) => {
                    if self.list.failed.is_none() {
                        tracing::warn!(%error, "autoscaler: the provider does not say what it has started");
                    }
                    self.list.failed = Some(error.to_string());
                }
                Done::Added(outcome) => self.heard(now, begun(outcome.map(Some))),
                Done::Ended(name, outcome) => self.ended(now, &name, outcome),
            }
        }
    }

    fn ended(&mut self, now: Moment, name: &str, outcome: Result<(), ProviderError>) {
        match self.ending.get(name) {
            None => self.heard(now, begun(outcome.map(|()| None))),
            Some((_, number)) => {
                let outcome = match outcome {
                    Ok(()) => DecisionOutcome::Began(String::new()),
                    Err(error) => {
                        tracing::warn!(node = %name, %error, "autoscaler: a node that has left was not ended");
                        DecisionOutcome::Refused(error.to_string())
                    }
                };
                self.board.outcome(*number, outcome);
            }
        }
    }

    /// What came of the decision that the provider was asked to carry out, if it is still this leader's.
    fn heard(&mut self, now: Moment, outcome: Outcome) {
        if let Some(number) = self.under_way.take() {
            self.came(now, number, outcome);
        }
    }

    /// What came of a decision.
    fn came(&mut self, now: Moment, number: DecisionNumber, outcome: Outcome) {
        let shown = match &outcome {
            Outcome::Began { node } => DecisionOutcome::Began(node.clone().unwrap_or_default()),
            Outcome::Refused { why } => {
                tracing::warn!(%why, "autoscaler: what was decided cannot be done");
                DecisionOutcome::Refused(why.clone())
            }
        };
        self.board.outcome(number, shown);
        self.decider.outcome(now.mono, outcome);
    }

    fn carry_out(&mut self, now: Moment, number: DecisionNumber, decision: &Decision, status: &Status) {
        self.board.outcome(number, DecisionOutcome::Asked);
        let outcome = match deed(&decision.action, status) {
            Deed::Nothing => return,
            Deed::Change(change) => match self.change(change) {
                // What may have been done shows in the cluster, or does not in time.
                Ok(_) | Err(Error::ChangeUnknown(_)) => Outcome::Began { node: None },
                Err(error) => Outcome::Refused { why: error.to_string() },
            },
            Deed::Add(order) => return self.ask(now, number, Task::Add(order)),
            Deed::End(name) => return self.ask(now, number, Task::End(name)),
        };
        self.came(self.clock.now(), number, outcome);
    }

    /// Asks the provider for what was decided.
    fn ask(&mut self, now: Moment, number: DecisionNumber, task: Task) {
        let asked = match (self.list.why_not(now.mono), &self.worker) {
            (Some(why), _) => Err(why),
            (None, Some(worker)) => worker.ask(task),
            (None, None) => Err("there is no provider".to_owned()),
        };
        match asked {
            Ok(()) => self.under_way = Some(number),
            Err(why) => self.came(now, number, Outcome::Refused { why }),
        }
    }

    /// Has a change agreed on, as it is for an operator. It is over in the time that the node gives any request.
    fn change(&self, change: Change) -> Result<Changed, Error> {
        let outcome = match self.handle.call(Request::new(Command::Change(Box::new(change)))) {
            Answer::Ready(outcome) => outcome,
            Answer::Pending(pending) => self.runtime.block_on(pending),
        };
        match outcome? {
            Reply::Changed(changed) => Ok(changed),
            other => Err(Error::Invalid(format!("the node's reply does not belong to a change: {other:?}"))),
        }
    }

    /// Nodes of the provider's that were leaving, and are members no more, are ended. One of which an earlier leader knew is ended when it
    /// has been no member for `join_within`.
    fn end_who_has_left(&mut self, now: Moment, status: &Status) {
        let is_listed = |name: &String| self.list.nodes.iter().any(|one| one.name == *name);
        self.leaving.retain(&is_listed);
        self.ending.retain(|name, _| is_listed(name));
        for node in &status.nodes {
            let leaves = matches!(node.standing, NodeStanding::Leaving | NodeStanding::Gone);
            if !leaves {
                // Somebody has let it stay.
                self.leaving.remove(&node.name);
            } else if is_listed(&node.name) {
                self.leaving.insert(node.name.clone());
            }
        }
        let Some(worker) = &self.worker else { return };
        for name in &self.leaving {
            let is_member = status.nodes.iter().any(|node| node.name == *name);
            let is_asked = self.ending.get(name).is_some_and(|(again, _)| now.mono < *again);
            if is_member || is_asked || worker.ask(Task::End(name.clone())).is_err() {
                continue;
            }
            tracing::info!(node = %name, "autoscaler: ends a node that has handed over what it had, and left");
            let number = match self.ending.get(name) {
                Some((_, number)) => *number,
                None => self.board.ends(now.wall, name),
            };
            self.ending.insert(name.clone(), (now.mono + END_AGAIN, number));
        }
    }
}

/// What is told of an outcome of the provider's: what may have been done shows in the cluster, or does not in time.
fn begun(outcome: Result<Option<String>, ProviderError>) -> Outcome {
    match outcome {
        Ok(node) => Outcome::Began { node },
        Err(ProviderError::Unknown { .. }) => Outcome::Began { node: None },
        Err(error @ ProviderError::NotDone { .. }) => Outcome::Refused { why: error.to_string() },
    }
}
