//! The decider: a view in, a decision out.
//!
//! The order in which it looks is the order of urgency: whether anything may be decided at all; a dead node; what is still
//! under way; too few nodes; a hot partition; partitions that are too large; too much load; too little; partitions that are too many. The first that calls for something decides, and
//! what was looked at before and could not be done is in the reason.
//!
//! Here are the order and what is waited for; [`dead`] is about nodes that are replaced, [`sizing`] about nodes more or less.

mod dead;
mod sizing;

use std::collections::BTreeMap;
use std::time::Duration;

use types::Instant;

use crate::action::Action;
use crate::change::{Changes, Kind, Outcome};
use crate::decision::{Decision, Figures};
use crate::load::Load;
use crate::policy::Policy;
use crate::text::{count, time};
use crate::view::{NodeState, View};

/// Decides, one change at a time. See the crate's header.
#[derive(Clone, Debug)]
pub struct Decider {
    policy: Policy,
    load: Load,
    changes: Changes,
    /// Since when it watches without a gap.
    watches_since: Option<Instant>,
    last_view: Instant,
    /// Since when the provider's nodes that are no members are known.
    requested_since: BTreeMap<String, Instant>,
}

/// An action and why.
type Verdict = (Action, String);

/// What stood in the way of changes that were called for.
#[derive(Default)]
struct Obstacles(Vec<String>);

impl Obstacles {
    fn add(&mut self, why: String) {
        if !self.0.contains(&why) {
            self.0.push(why);
        }
    }

    /// All of them, in words.
    fn told(&self) -> String {
        if self.0.is_empty() { "no node serves".to_owned() } else { self.0.join("; ") }
    }
}

impl Decider {
    /// One that has seen nothing, by a policy that was checked.
    pub fn new(policy: Policy) -> Decider {
        Decider {
            policy,
            load: Load::default(),
            changes: Changes::default(),
            watches_since: None,
            last_view: Instant::default(),
            requested_since: BTreeMap::new(),
        }
    }

    /// By what it decides.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides on a view. To be called every few seconds, several times within a window at least: after a pause that is as
    /// long as a window it begins to watch anew.
    pub fn decide(&mut self, view: &View) -> Decision {
        self.observe(view);
        let (action, reason) = self.verdict(view);
        let figures = Figures {
            cool_down_out_left_ms: millis(self.changes.left_of(view.now, self.policy.cool_down_out)),
            cool_down_in_left_ms: millis(self.changes.left_of(view.now, self.policy.cool_down_in)),
            ..Figures::of(view, &self.load, &self.policy)
        };
        let is_dry = self.policy.dry_run;
        self.changes.decided(view, &action, is_dry);
        Decision { action, reason, is_dry, epoch: view.epoch, at: view.now, figures }
    }

    /// Takes in what came of carrying out the last decision that was not dry.
    pub fn outcome(&mut self, now: Instant, outcome: Outcome) {
        self.changes.outcome(now, outcome, &self.policy);
    }

    fn observe(&mut self, view: &View) {
        if self.watches_since.is_some() && view.now.since(self.last_view) >= self.policy.window {
            self.watches_since = None;
            self.load = Load::default();
        }
        self.watches_since.get_or_insert(view.now);
        self.last_view = view.now;
        self.load.observe(view, &self.policy);
        self.changes.observe(view, &self.policy);
        self.requested_since.retain(|name, _| view.requested.iter().any(|one| one.name == *name));
        for one in &view.requested {
            self.requested_since.entry(one.name.clone()).or_insert(view.now);
        }
        if self.under_way(view).is_some() {
            self.changes.at_work(view.now);
        }
    }

    fn verdict(&self, view: &View) -> Verdict {
        let now = view.now;
        let nothing = |reason: String| (Action::Nothing, reason);
        if !self.policy.enabled {
            return nothing("the autoscaler is turned off".to_owned());
        }
        let watched = self.watches_since.map_or(Duration::ZERO, |since| now.since(since));
        if watched < self.policy.window {
            let (watched, window) = (time(watched), time(self.policy.window));
            return nothing(format!("has watched for {watched}, and decides after {window}"));
        }
        if let Some(waits) = self.changes.waits_for(now) {
            return nothing(waits);
        }
        let mut obstacles = Obstacles::default();
        if let Some(verdict) = self.dead(view, &mut obstacles) {
            return verdict;
        }
        if let Some(what) = self.under_way(view) {
            return nothing(format!("waits until this is over: {what}"));
        }
        let left = self.changes.left_of(now, self.policy.cool_down_out);
        if left > Duration::ZERO {
            return nothing(format!("the last change was a short while ago: waits {} more", time(left)));
        }
        let verdict = self
            .leftover(view, &mut obstacles)
            .or_else(|| self.too_few(view, &mut obstacles))
            .or_else(|| self.too_hot(view, &mut obstacles))
            .or_else(|| self.too_coarse(view, &mut obstacles))
            .or_else(|| self.too_much(view, &mut obstacles))
            .or_else(|| self.too_little(view, watched, &mut obstacles))
            .or_else(|| self.too_fine(view, watched, &mut obstacles));
        verdict.unwrap_or_else(|| nothing(obstacles.told()))
    }

    /// What the cluster is at work on, in words.
    fn under_way(&self, view: &View) -> Option<String> {
        let of = |wanted: NodeState, what: &str| {
            let found = view.nodes.iter().find(|node| node.state == wanted);
            found.map(|node| format!("{} is {what}", node.name))
        };
        let moving = || {
            let moving = wide(view.movements.len().saturating_add(view.waiting));
            (moving > 0).then(|| count(moving, "movement"))
        };
        let requested = || {
            let young = view.requested.iter().find(|one| {
                let since = self.requested_since.get(&one.name);
                since.is_none_or(|since| view.now.since(*since) < self.policy.join_within)
            });
            young.map(|one| format!("{} has been started and is no member", one.name))
        };
        of(NodeState::Joining, "joining")
            .or_else(|| of(NodeState::Leaving, "leaving"))
            .or_else(moving)
            .or_else(|| view.is_merging.then(|| "partitions are being merged".to_owned()))
            .or_else(requested)
    }

    /// What the provider started, and did not become a member in time, is ended.
    fn leftover(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let one = view.requested.first()?;
        let all = view.nodes.len() + view.requested.len();
        if all <= usize::try_from(self.policy.min).unwrap_or(usize::MAX) {
            let there_are = count(wide(all), "node");
            obstacles.add(format!(
                "{} is no member, and is left alone: with it there are {there_are}, and min is {}",
                one.name, self.policy.min
            ));
            return None;
        }
        if let Some(pause) = self.changes.pause(view.now, Kind::End) {
            obstacles.add(pause);
            return None;
        }
        let within = time(self.policy.join_within);
        let reason = format!("{} runs and has not been a member for {within}", one.name);
        Some((Action::EndRequested { name: one.name.clone() }, reason))
    }
}

/// How many nodes of a data center are down.
struct DownCount {
    down: usize,
    all: usize,
}

impl DownCount {
    fn of(view: &View, data_center: &str) -> DownCount {
        let nodes = || view.within(data_center);
        DownCount { down: nodes().filter(|node| node.is_down()).count(), all: nodes().count() }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
