//! The decider: a view in, a decision out.
//!
//! The order in which it looks is the order of urgency: whether anything may be decided at all; a dead node; what is still
//! under way; too few nodes; a hot partition; too much load; too little. The first that calls for something decides, and
//! what was looked at before and could not be done is in the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use types::Instant;

use crate::action::{Action, Replacement};
use crate::change::{Changes, Kind, Outcome};
use crate::decision::{Decision, Figures};
use crate::hot;
use crate::load::{Load, Pressure, Use};
use crate::policy::Policy;
use crate::room;
use crate::text::{count, percent, time};
use crate::view::{NodeState, NodeView, View};

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
        if let Some(verdict) = self.leftover(view, &mut obstacles) {
            return verdict;
        }
        let left = self.changes.left_of(now, self.policy.cool_down_out);
        if left > Duration::ZERO {
            return nothing(format!("the last change was a short while ago: waits {} more", time(left)));
        }
        let verdict = self
            .too_few(view, &mut obstacles)
            .or_else(|| self.too_hot(view, &mut obstacles))
            .or_else(|| self.too_much(view, &mut obstacles))
            .or_else(|| self.too_little(view, watched, &mut obstacles));
        verdict.unwrap_or_else(|| nothing(obstacles.told()))
    }

    /// What the cluster is at work on, in words.
    fn under_way(&self, view: &View) -> Option<String> {
        let of = |wanted: NodeState, what: &str| {
            let found = view.nodes.iter().find(|node| node.state == wanted);
            found.map(|node| format!("{} is {what}", node.name))
        };
        let moving = || {
            let moving = u64::try_from(view.movements.len()).unwrap_or(u64::MAX);
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
            .or_else(requested)
    }

    /// A node that has been down for too long is replaced, even where movements wait for it.
    fn dead(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let now = view.now;
        let silent = |node: &NodeView| match node.state {
            NodeState::Down { since } => Some(now.since(since)),
            _ => None,
        };
        let (node, silent) = view
            .nodes
            .iter()
            .filter_map(|node| Some((node, silent(node)?)))
            .filter(|(_, silent)| *silent >= self.policy.replace_after)
            .max_by_key(|(node, silent)| (*silent, std::cmp::Reverse(node.id)))?;
        let DownCount { down, all } = DownCount::of(view, &node.data_center);
        if down * 2 >= all {
            let data_center = &node.data_center;
            obstacles.add(format!("{down} of {all} nodes of {data_center} are down: it may be cut off, so nobody there is replaced by itself"));
            return None;
        }
        let others_work =
            view.nodes.iter().any(|other| matches!(other.state, NodeState::Joining | NodeState::Leaving))
                || view.movements.iter().any(|movement| movement.from != node.id && movement.to != node.id)
                || self.requested_since.values().any(|since| now.since(*since) < self.policy.join_within);
        // Movements from or to the dead would never end by themselves, and have no cool-down.
        let waits_for_it = !view.movements.is_empty();
        let left = self.changes.left_of(now, self.policy.cool_down_out);
        if others_work || (left > Duration::ZERO && !waits_for_it) {
            return None;
        }
        if let Some(pause) = self.changes.pause(now, Kind::Replace) {
            obstacles.add(pause);
            return None;
        }
        let told = format!(
            "{} has been down for {} (replace_after {})",
            node.name,
            time(silent),
            time(self.policy.replace_after)
        );
        let replace = |by: Replacement, reason: String| {
            Some((Action::ReplaceNode { dead: node.id, name: node.name.clone(), by }, reason))
        };
        let demand = self.load.demand(view, &node.data_center);
        let Err(why) = room::can_do_without(view, &self.policy, node, demand, true) else {
            return replace(Replacement::Remaining, format!("{told}; those that remain hold all copies"));
        };
        let why_no_place = match room::place(view, &self.policy, &node.data_center, Some(node.id)) {
            Ok(entry) => {
                let wanted = room::wanted(view, entry, self.changes.attempts(Kind::Replace) + 1);
                return replace(Replacement::New(wanted), format!("{told}; {why}"));
            }
            Err(no) => no,
        };
        // Copies in few racks are better than few copies.
        if room::can_do_without(view, &self.policy, node, demand, false).is_ok() {
            return replace(Replacement::Remaining, format!("{told}; {why}, but {why_no_place}"));
        }
        obstacles.add(format!("{told}, and cannot be replaced: {why}, and {why_no_place}"));
        None
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

    fn too_few(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let up = |data_center: &str| view.within(data_center).filter(|node| node.is_up()).count();
        let members = |data_center: &str| view.within(data_center).count();
        // Those that are down come back or are replaced: only members that are lacking are added.
        let lacking = view.needs.iter().find(|needs| {
            let members = u32::try_from(members(&needs.data_center)).unwrap_or(u32::MAX);
            members > 0 && members < needs.replicas
        });
        if let Some(needs) = lacking {
            let there_are = count(wide(members(&needs.data_center)), "node");
            let why = format!("{} has {there_are}, and N is {}", needs.data_center, needs.replicas);
            if let Some(verdict) = self.add(view, &needs.data_center, &why, obstacles) {
                return Some(verdict);
            }
        }
        if view.nodes.len() >= usize::try_from(self.policy.min).unwrap_or(usize::MAX) {
            return None;
        }
        let there_are = count(wide(view.nodes.len()), "node");
        let why = format!("there are {there_are}, and min is {}", self.policy.min);
        let names = self.by_pressure(view);
        names
            .iter()
            .rev()
            .filter(|(_, name)| up(name) > 0)
            .find_map(|(_, name)| self.add(view, name, &why, obstacles))
    }

    fn too_hot(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let verdict = hot::relief(view, &self.policy, &self.load)?;
        match self.changes.pause(view.now, Kind::Shift) {
            Some(pause) => {
                obstacles.add(pause);
                None
            }
            None => Some(verdict),
        }
    }

    fn too_much(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let names = self.by_pressure(view);
        names.iter().rev().take_while(|(permille, _)| *permille > 1_000).find_map(|(_, name)| {
            let pressure = self.pressure(view, name);
            self.add(view, name, &format!("{name} is at {pressure}"), obstacles)
        })
    }

    fn too_little(&self, view: &View, watched: Duration, obstacles: &mut Obstacles) -> Option<Verdict> {
        if let Some(node) = view.nodes.iter().find(|node| !node.is_up()) {
            obstacles.add(format!("no node is retired while {} is down", node.name));
            return None;
        }
        let names = self.by_pressure(view);
        if let Some((permille, name)) = names.iter().rev().find(|(permille, _)| *permille > 1_000) {
            obstacles.add(format!("{name} is at {} of its targets", percent(*permille)));
            return None;
        }
        if watched < self.policy.calm {
            let (watched, calm) = (time(watched), time(self.policy.calm));
            obstacles.add(format!("load is within its targets; no node is retired before all has been calm for {calm}, watched for {watched}"));
            return None;
        }
        let left = self.changes.left_of(view.now, self.policy.cool_down_in);
        if left > Duration::ZERO {
            obstacles.add(format!(
                "load is within its targets; no node is retired within {} of the last change",
                time(left)
            ));
            return None;
        }
        let pause = self.changes.pause(view.now, Kind::Retire);
        for (_, name) in &names {
            let demand = self.load.peak_demand(view, name);
            match (room::spare(view, &self.policy, name, demand), &pause) {
                (Ok(_), Some(pause)) => obstacles.add(pause.clone()),
                (Ok((node, after)), None) => {
                    let (after, low) = (percent(after), percent(u64::from(self.policy.low_percent) * 10));
                    let calm = time(self.policy.calm);
                    let reason = format!(
                        "without {} {name} is at {after} of its targets by the most of the last {calm}, below {low}",
                        node.name
                    );
                    return Some((Action::RetireNode { node: node.id, name: node.name.clone() }, reason));
                }
                (Err(why), _) => obstacles.add(format!("load is within its targets; {why}")),
            }
        }
        None
    }

    /// Adds a node to a data center, where there is room and no pause.
    fn add(&self, view: &View, data_center: &str, why: &str, obstacles: &mut Obstacles) -> Option<Verdict> {
        let DownCount { down, all } = DownCount::of(view, data_center);
        if down > 0 && down * 2 >= all {
            obstacles.add(format!(
                "{why}, but {down} of {all} nodes of {data_center} are down: it may be cut off"
            ));
            return None;
        }
        if let Some(pause) = self.changes.pause(view.now, Kind::Add) {
            obstacles.add(format!("{why}, but {pause}"));
            return None;
        }
        match room::place(view, &self.policy, data_center, None) {
            Ok(entry) => {
                let wanted = room::wanted(view, entry, self.changes.attempts(Kind::Add) + 1);
                Some((Action::AddNode(wanted), why.to_owned()))
            }
            Err(no) => {
                obstacles.add(format!("{why}, but {no}"));
                None
            }
        }
    }

    /// Data centers in which somebody serves, with their pressure in thousandths, the lowest first.
    fn by_pressure<'a>(&self, view: &'a View) -> Vec<(u64, &'a str)> {
        let mut names: Vec<&str> =
            view.nodes.iter().filter(|node| node.is_up()).map(|node| node.data_center.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut by_pressure: Vec<(u64, &str)> =
            names.into_iter().map(|name| (self.pressure(view, name).permille, name)).collect();
        by_pressure.sort_unstable();
        by_pressure
    }

    fn pressure(&self, view: &View, data_center: &str) -> Pressure {
        let demand = self.load.demand(view, data_center);
        Use::now(view, data_center, demand, &self.policy).pressure(self.policy.target)
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
