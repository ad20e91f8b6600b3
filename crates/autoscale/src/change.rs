//! The one change that is under way, what came of the last ones, and when the next may begin.
//!
//! A change that was decided waits for three things in turn: that whoever carries it out says that it began, that something
//! is seen of it in the cluster, and that the cluster is at rest again. The first two have a bound, `join_within`; the last
//! has none, because a movement that takes long is no reason to begin another. Cool-downs count from when the cluster was
//! last seen at work.
//!
//! What must hold: a kind of change that failed waits before it is tried again, twice as long each time, up to sixty-four
//! cool-downs; and failures of one kind do not hold up another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Epoch, Instant, NodeId};

use crate::action::{Action, Replacement};
use crate::policy::Policy;
use crate::text::time;
use crate::view::View;

/// How often a wait doubles.
const DOUBLINGS_MAX: u32 = 6;

/// What came of an attempt to carry out a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It has begun.
    Began {
        /// The name of the node that was started, where one was and its name is known.
        node: Option<String>,
    },
    /// It could not be begun.
    Refused {
        /// Why, in words.
        why: String,
    },
}

/// Changes that fail together, and wait for each other's pauses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A node more.
    Add,
    /// A node less.
    Retire,
    /// A dead one's place taken.
    Replace,
    /// What never joined, ended.
    End,
    /// A partition moved or halved, all of them halved or merged.
    Shift,
}

impl Kind {
    /// Of which kind an action is; nothing is of none.
    pub fn of(action: &Action) -> Option<Kind> {
        match action {
            Action::Nothing => None,
            Action::AddNode(_) => Some(Kind::Add),
            Action::RetireNode { .. } => Some(Kind::Retire),
            Action::ReplaceNode { .. } => Some(Kind::Replace),
            Action::EndRequested { .. } => Some(Kind::End),
            Action::MovePartition { .. }
            | Action::SplitPartition { .. }
            | Action::SplitAll
            | Action::MergePartitions => Some(Kind::Shift),
        }
    }
}

/// What was decided and not yet seen.
#[derive(Clone, Debug)]
struct Pending {
    action: Action,
    kind: Kind,
    at: Instant,
    epoch: Epoch,
    members: BTreeSet<NodeId>,
    /// Whether it has begun, and the node that was started.
    begun: Option<Option<String>>,
}

#[derive(Clone, Debug)]
struct Failure {
    attempts: u32,
    until: Instant,
    why: String,
}

/// Changes, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pending: Option<Pending>,
    /// When the cluster was last seen at work, or a change was last given up.
    last: Option<Instant>,
    failures: BTreeMap<Kind, Failure>,
}

impl Changes {
    /// Notes that an action was decided on this view.
    pub fn decided(&mut self, view: &View, action: &Action, is_dry: bool) {
        let Some(kind) = Kind::of(action) else { return };
        self.last = Some(view.now);
        if !is_dry {
            let members = view.nodes.iter().map(|node| node.id).collect();
            let (action, at, epoch) = (action.clone(), view.now, view.epoch);
            self.pending = Some(Pending { action, kind, at, epoch, members, begun: None });
        }
    }

    /// Notes what came of carrying the pending action out.
    pub fn outcome(&mut self, now: Instant, outcome: Outcome, policy: &Policy) {
        match outcome {
            Outcome::Began { node } => {
                if let Some(pending) = &mut self.pending {
                    pending.begun = Some(node);
                }
            }
            Outcome::Refused { why } => {
                if let Some(pending) = self.pending.take() {
                    let why = format!("{} was refused: {why}", pending.action);
                    self.failed(now, pending.kind, why, policy);
                }
            }
        }
    }

    fn failed(&mut self, now: Instant, kind: Kind, why: String, policy: &Policy) {
        let attempts = self.attempts(kind) + 1;
        let doublings = (attempts - 1).min(DOUBLINGS_MAX);
        let until = now + policy.cool_down_out * 2_u32.pow(doublings);
        self.failures.insert(kind, Failure { attempts, until, why });
        self.last = Some(now);
    }

    /// Looks for the pending change in a view, and gives it up where nothing is seen of it for too long.
    pub fn observe(&mut self, view: &View, policy: &Policy) {
        let Some(pending) = &self.pending else { return };
        if pending.is_seen(view) {
            self.failures.remove(&pending.kind);
            self.pending = None;
            self.last = Some(view.now);
        } else if view.now.since(pending.at) >= policy.join_within {
            let (kind, why) = (pending.kind, pending.in_vain(policy));
            self.pending = None;
            self.failed(view.now, kind, why, policy);
        }
    }

    /// Notes that the cluster is at work now, whoever began it.
    pub fn at_work(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// What is waited for, in words.
    pub fn waits_for(&self, now: Instant) -> Option<String> {
        let pending = self.pending.as_ref()?;
        let since = time(now.since(pending.at));
        Some(match &pending.begun {
            None => format!("waits to hear whether it began to {}, decided {since} ago", pending.action),
            Some(_) => format!("waits to see what comes of: {}, decided {since} ago", pending.action),
        })
    }

    /// How long a cool-down still lasts.
    pub fn left_of(&self, now: Instant, cool_down: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| cool_down.saturating_sub(now.since(last)))
    }

    /// How often a kind of change failed, one time after the other.
    pub fn attempts(&self, kind: Kind) -> u32 {
        self.failures.get(&kind).map_or(0, |failure| failure.attempts)
    }

    /// Why a kind of change is not tried now, if it failed a while ago.
    pub fn pause(&self, now: Instant, kind: Kind) -> Option<String> {
        let failure = self.failures.get(&kind).filter(|failure| now < failure.until)?;
        let left = time(failure.until.since(now));
        Some(format!("{}; attempt {} is made in {left} at the earliest", failure.why, failure.attempts + 1))
    }
}

impl Pending {
    fn is_seen(&self, view: &View) -> bool {
        let has_come = || {
            let name = self.begun.as_ref().and_then(Option::as_ref);
            let is_new = |id: &NodeId| !self.members.contains(id);
            view.nodes.iter().any(|node| is_new(&node.id) && name.is_none_or(|name| *name == node.name))
        };
        match &self.action {
            Action::Nothing => true,
            Action::AddNode(_) => has_come(),
            Action::RetireNode { node, .. } => view.node(*node).is_none_or(|node| !node.is_up()),
            Action::ReplaceNode { dead, by, .. } => {
                let is_taken_out = view.node(*dead).is_none_or(|node| !node.is_down());
                is_taken_out || (matches!(by, Replacement::New(_)) && has_come())
            }
            Action::EndRequested { name } => view.requested.iter().all(|one| one.name != *name),
            Action::MovePartition { .. }
            | Action::SplitPartition { .. }
            | Action::SplitAll
            | Action::MergePartitions => view.epoch > self.epoch,
        }
    }

    fn in_vain(&self, policy: &Policy) -> String {
        let within = time(policy.join_within);
        match (&self.action, &self.begun) {
            (action, None) => format!("nothing was heard of the attempt to {action} within {within}"),
            (Action::AddNode(_) | Action::ReplaceNode { by: Replacement::New(_), .. }, Some(name)) => {
                let name = name.as_deref().unwrap_or("the node that was asked for");
                format!("{name} did not join within {within}")
            }
            (action, Some(_)) => format!("nothing was seen of the attempt to {action} within {within}"),
        }
    }
}
