//! Going by a [`Plan`](crate::Plan): its acts, and a power cut at each border of the movements that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::{Change, Command, KeyspaceSettings, Replaced, Request};
use cluster::{ClusterState, Stage, Standing};
use env::disk::CrashMode;
use types::{Epoch, Instant, KeyspaceId, NodeId, PartitionId};

use super::Run;
use super::changes::Asked;
use crate::network::Place;
use crate::plan::{Act, Border, Borders, Victim};

/// Within this time all that a plan asks for has come about, whoever stops.
const PLANNED_WITHIN: Duration = Duration::from_secs(300);

/// How long an answer to an act is waited for before it is asked for again, at another node.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the cluster is let be before the first act.
const FOUNDED_AFTER: Duration = Duration::from_secs(10);

/// How long who sleeps does so.
const ASLEEP: Duration = Duration::from_secs(8);

/// How often the plan is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a shard does for each movement that it has a part in.
type Steps = Vec<(PartitionId, Stage, &'static str)>;

/// What was seen of movements while a plan is gone by.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The borders that each node has come to, in each movement.
    seen: BTreeSet<(Place, PartitionId, Epoch, Border)>,
    /// The state that each shard of each node went by when it was last looked at, and its steps.
    last: BTreeMap<(Place, usize), (Epoch, Steps)>,
    /// At which of them the victim has stopped; each once for each kind, so that a run ends.
    pub(super) stopped_at: Borders,
    /// How many machines had joined when the present act was begun.
    joined: usize,
    /// Whether a partition has begun to go to whom the present act names.
    is_moved: bool,
    /// How many partitions there were when the present act was begun.
    partitions: u32,
    /// Who owned each partition before it began to move.
    before: BTreeMap<(PartitionId, Epoch), BTreeSet<(KeyspaceId, NodeId)>>,
}

impl Run {
    /// Goes by the plan of the scenario, if it has one.
    pub(super) fn go_by_plan(&mut self) {
        let Some(plan) = self.world.scenario().plan.clone() else { return };
        // Those who keep the cluster state found their group when each has heard of all others; who is lost before leaves it unfounded.
        let settled = self.world.now() + FOUNDED_AFTER;
        self.go_on(settled);
        let latest = self.world.now() + PLANNED_WITHIN;
        for act in plan.acts {
            let mut asked: Option<Instant> = None;
            self.watched.joined = self.world.hosts().len();
            self.watched.is_moved = false;
            self.watched.partitions = self.world.cluster().partition_count();
            self.begin(act);
            while !self.has_come_about(act) || plan.one_by_one && self.moves() {
                if self.is_over(latest, || format!("{act:?} has not come about")) {
                    return;
                }
                let is_due = asked.is_none_or(|at| self.world.now() >= at + AGAIN);
                if is_due && !self.has_come_about(act) {
                    asked = Some(self.world.now());
                    self.ask_for(act);
                }
                self.go_on(self.world.now() + LOOK_EVERY);
            }
        }
        while self.moves() {
            if self.is_over(latest, || "not all that is to move has moved".to_owned()) {
                return;
            }
            self.go_on(self.world.now() + LOOK_EVERY);
        }
    }

    fn is_over(&mut self, latest: Instant, what: impl Fn() -> String) -> bool {
        if self.world.violations().is_empty() && self.world.now() >= latest {
            let what = format!("not after {PLANNED_WITHIN:?}: {}; {}", what(), self.movements());
            self.world.violated("every change ends, and all know of it (E6, I1, liveness)", what);
        }
        !self.world.violations().is_empty()
    }

    /// Whether anything moves, or is to. While something is cut off until the heal, that is not waited for.
    fn moves(&self) -> bool {
        let state = self.world.cluster();
        !self.world.has_cuts() && (!state.movements().is_empty() || state.waiting_to_move().next().is_some())
    }

    /// What is done to machines.
    fn begin(&mut self, act: Act) {
        match act {
            Act::Lose(place) | Act::Replace(place) => self.world.switch_off(place, CrashMode::LoseUnsynced),
            Act::Bury(place) | Act::Pause(place) => {
                self.world.pause(place, ASLEEP);
            }
            Act::Cut(data_center) => {
                let is_there = |place: &Place| self.world.scenario().data_center_of(*place) == data_center;
                let (these, those): (Vec<Place>, Vec<Place>) = self.world.members().partition(is_there);
                self.world.cut(&these, &those);
                self.world.cut(&those, &these);
            }
            _ => {}
        }
    }

    fn ask_for(&mut self, act: Act) {
        let name = |run: &Run, place: Place| run.world.hosts()[place].name.clone();
        let drain = |run: &Run, place| Change::Drain { nodes: vec![name(run, place)], below_n: false };
        match act {
            Act::Join | Act::Replace(_) | Act::TakeOver(_) => {
                let Some(spare) = self.world.next_spare() else { return };
                let replaces = match act {
                    Act::Replace(place) => Some(Replaced { name: name(self, place), hands_over: false }),
                    Act::TakeOver(place) => Some(Replaced { name: name(self, place), hands_over: true }),
                    _ => None,
                };
                self.ask_somebody(self.join_of(spare, replaces));
            }
            Act::Drain(place) => self.ask_somebody(drain(self, place)),
            Act::Race(one, other) => {
                self.ask_somebody(drain(self, one));
                self.ask_somebody(drain(self, other));
            }
            Act::Lose(place) | Act::Bury(place) => {
                self.ask_somebody(Change::Remove {
                    node: name(self, place),
                    below_n: false,
                    lose_data: false,
                });
            }
            Act::Weigh(place) => self.ask_somebody(Change::Weigh { node: name(self, place), weight: 3.0 }),
            Act::Cancel(place) | Act::Stay(place) => {
                self.ask_somebody(Change::Cancel { node: name(self, place) });
            }
            Act::Alter(n) => {
                let name = self.world.cluster().keyspaces()[0].name.clone();
                let settings = KeyspaceSettings { n: Some(n.to_string()), ..KeyspaceSettings::default() };
                self.ask_somebody(Change::AlterKeyspace { name, settings: Box::new(settings) });
            }
            Act::Move(place) => {
                if let Some(partition) = self.not_of(place) {
                    let (partition, to) = (partition.0, name(self, place));
                    self.ask_somebody(Change::MovePartition { partition, from: None, to });
                }
            }
            Act::Halve => self.ask_somebody(Change::Halve { partitions: None }),
            Act::Merge => self.ask_somebody(Change::Merge { partitions: None }),
            Act::Pause(_) | Act::Cut(_) | Act::AwaitMoving => {}
        }
    }

    /// The first partition that a node has no part in, and is not to have.
    fn not_of(&self, place: Place) -> Option<PartitionId> {
        let (state, node) = (self.world.cluster(), self.world.hosts()[place].id);
        let is_not = |one: &PartitionId| !state.holds(node, *one) && !state.gaining(*one).contains(&node);
        state.partitions().iter().find(is_not)
    }

    /// Asks any node that is up, which keeps to what the plan is about.
    fn ask_somebody(&mut self, change: Change) {
        let is_up = |place: &Place| self.world.hosts()[*place].is_up() && !self.world.is_still(*place);
        let up: Vec<Place> = self.world.members().filter(is_up).collect();
        let Some(at) = self.changes.pick(&up) else { return };
        let asked = if matches!(change, Change::Join(_)) { Asked::Join(at) } else { Asked::Other };
        let timeout = Some(self.world.scenario().timeout);
        let ask = self.world.ask(at, Request { command: Command::Change(Box::new(change)), timeout });
        self.changes.asked(ask, asked);
    }

    /// Whether the cluster is as this act asks for it to be, whatever is yet to move.
    fn has_come_about(&mut self, act: Act) -> bool {
        while self.world.joins_at_last() {}
        let state = self.world.cluster().clone();
        let is_to_go = |place: Place| {
            let member = state.member(self.world.hosts()[place].id);
            member.is_none_or(|one| matches!(one.standing, Standing::Leaving | Standing::Gone))
        };
        match act {
            Act::Join => self.world.hosts().len() > self.watched.joined,
            Act::Replace(place)
            | Act::TakeOver(place)
            | Act::Lose(place)
            | Act::Bury(place)
            | Act::Drain(place) => is_to_go(place),
            Act::Alter(n) => {
                let (one, place) = (&state.keyspaces()[0], state.data_centers());
                place.iter().all(|name| u64::try_from(one.n.in_data_center(name)) == Ok(n))
            }
            Act::Move(place) => {
                self.watched.is_moved || {
                    let is_to_get = |one| state.gaining(one).contains(&self.world.hosts()[place].id);
                    self.watched.is_moved = state.partitions().iter().any(is_to_get);
                    self.watched.is_moved
                }
            }
            Act::Halve => state.partition_count() > self.watched.partitions,
            Act::Merge => state.partition_count() < self.watched.partitions,
            Act::Race(one, other) => is_to_go(one) && is_to_go(other),
            Act::Weigh(place) => {
                state.member(self.world.hosts()[place].id).is_none_or(|one| one.weight > 2.0)
            }
            Act::Cancel(place) => self.world.hosts().get(place).is_some_and(|host| {
                state.member(host.id).is_none_or(|one| one.standing != Standing::Joining)
            }),
            Act::Stay(place) => self.world.hosts().get(place).is_some_and(|host| {
                state.member(host.id).is_none_or(|one| one.standing != Standing::Leaving)
            }),
            Act::Pause(_) | Act::Cut(_) => true,
            Act::AwaitMoving => !state.movements().is_empty(),
        }
    }

    /// Looks whether somebody has come to a border, and stops the victim there.
    pub(super) fn look_for_borders(&mut self) {
        let Some(victim) = self.world.scenario().plan.as_ref().map(|plan| plan.victim) else { return };
        if victim == Victim::Nobody || self.healed {
            return;
        }
        let mut met = None;
        for (place, host) in self.world.hosts().iter().enumerate() {
            for (number, running) in host.shards.iter().enumerate() {
                let (state, steps) = (&running.shard.topology().state, running.shard.replica().steps());
                let last = self.watched.last.entry((place, number)).or_default();
                if last.0 == state.epoch() && last.1 == steps {
                    continue;
                }
                let border = self.watched.border_met(victim, place, host.id, state, &steps);
                met = met.or(border.map(|border| (place, border)));
                self.watched.last.insert((place, number), (state.epoch(), steps));
            }
        }
        let Some((place, border)) = met else { return };
        let stops = if victim == Victim::Leader { self.leader() } else { Some(place) };
        if let Some(stops) = stops.filter(|stops| self.world.hosts()[*stops].is_up()) {
            self.watched.stopped_at.insert(border);
            self.world.note("", format_args!("! border {border:?}"));
            self.world.pull_plug(stops, CrashMode::LoseUnsynced);
        }
    }

    /// Who leads, as somebody knows who is up.
    fn leader(&self) -> Option<Place> {
        let knows = |place: Place| {
            let shard = &self.world.hosts()[place].shards.first()?.shard;
            let leader = shard.governed()?.keepers.leader?;
            self.world.hosts().iter().position(|host| host.id == leader)
        };
        self.world.members().find_map(knows)
    }
}

impl Watched {
    /// A node has come to other steps, or to another state: at which border somebody is to stop, if at any.
    fn border_met(
        &mut self,
        victim: Victim,
        place: Place,
        node: NodeId,
        state: &ClusterState,
        steps: &Steps,
    ) -> Option<Border> {
        let mut met = None;
        for (partition, movement) in state.movements() {
            let step = steps.iter().find(|(one, _, _)| one == partition);
            let border =
                Border { stage: movement.stage.word(), phase: step.map_or("", |(_, _, phase)| *phase) };
            let session = movement.session.0;
            if !self.seen.insert((place, *partition, session, border)) {
                continue;
            }
            if movement.stage == Stage::Filling {
                self.before.entry((*partition, session)).or_insert_with(|| owners_of(state, *partition));
            }
            let owned = self.before.get(&(*partition, session));
            // It may have been an owner for one keyspace, and become one for another.
            let holds =
                |one: KeyspaceId| state.all_owners(one, *partition).holders().any(|holder| holder == node);
            let is_old = owned.is_some_and(|owned| owned.iter().any(|(_, owner)| *owner == node));
            let is_new = owned.is_some_and(|owned| {
                state.keyspaces().iter().any(|one| holds(one.id) && !owned.contains(&(one.id, node)))
            });
            let is_met = match victim {
                Victim::Nobody => false,
                Victim::NewOwner => is_new,
                Victim::OldOwner => is_old && !is_new,
                Victim::Leader => is_old || is_new,
            };
            if is_met && !self.stopped_at.contains(&border) {
                met = met.or(Some(border));
            }
        }
        met
    }
}

fn owners_of(state: &ClusterState, partition: PartitionId) -> BTreeSet<(KeyspaceId, NodeId)> {
    let owners = |one: KeyspaceId| state.owners(one, partition).iter().map(move |node| (one, *node));
    state.keyspaces().iter().flat_map(|one| owners(one.id)).collect()
}
