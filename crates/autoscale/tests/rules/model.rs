//! A cluster as simple as it can be: load is shared by weight, joining and leaving take a while, nodes fail at set times,
//! and the provider delivers or does not.

use std::time::Duration;

use autoscale::{
    Action, DataCenterNeeds, Decider, Decision, MovementView, NodeState, NodeView, Outcome, Policy,
    PoolEntry, Replacement, Requested, View, Wanted,
};
use types::{Epoch, Instant, NodeId, PartitionId};

/// How often it is decided.
pub(crate) const STEP: Duration = Duration::from_secs(5);
/// How long a node takes to join or to leave, in steps.
const MOVING_STEPS: u64 = 8;
/// From being asked for to joining, in steps.
const STARTING_STEPS: u64 = 4;
/// What a node of the model is good for.
pub(crate) const OPERATIONS_MAX: u64 = 10_000;

/// Operations per second of the whole cluster, over time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Curve {
    /// Always the same.
    Flat(u64),
    /// From one to another, and there it stays.
    Ramp { from: u64, to: u64, steps: u64 },
    /// Up, and suddenly down again.
    Saw { low: u64, high: u64, period_steps: u64 },
    /// Any value beside a mean, a hundredth of it at the most so many times.
    Noise { mean: u64, percent: u64, seed: u64 },
}

impl Curve {
    pub(crate) fn at(self, step: u64) -> u64 {
        match self {
            Curve::Flat(value) => value,
            Curve::Ramp { from, to, steps } => {
                let done = step.min(steps);
                (from * (steps - done) + to * done) / steps
            }
            Curve::Saw { low, high, period_steps } => {
                low + (high - low) * (step % period_steps) / period_steps
            }
            Curve::Noise { mean, percent, seed } => {
                let random = (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
                let random = (random ^ (random >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
                mean - mean * percent / 100 + random % (mean * percent / 50 + 1)
            }
        }
    }
}

/// A node that is away for some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) node: u16,
    pub(crate) from_step: u64,
    pub(crate) steps: u64,
}

/// What the provider does with each request in turn, the last one over and over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivers {
    Yes,
    Refuses,
    /// It says that it began, and the node never joins.
    Never,
    /// It never answers.
    Silent,
}

/// The model.
pub(crate) struct Model {
    pub(crate) curve: Curve,
    failures: Vec<Failure>,
    delivers: Vec<Delivers>,
    data_bytes: u64,
    replicas: u32,
    step: u64,
    nodes: Vec<Node>,
    starting: Vec<Starting>,
    epoch: u64,
    asked: usize,
    last_id: u16,
}

struct Node {
    id: u16,
    name: String,
    rack: String,
    is_provided: bool,
    joining_until: u64,
    leaving_until: Option<u64>,
    failed_since: Option<u64>,
}

struct Starting {
    name: String,
    rack: String,
    joins_at: Option<u64>,
}

/// One step: what was shown, and what was decided.
pub(crate) struct Seen {
    pub(crate) view: View,
    pub(crate) decision: Decision,
}

pub(crate) fn policy() -> Policy {
    let entry = |rack: &str| PoolEntry {
        data_center: "dc1".to_owned(),
        rack: rack.to_owned(),
        nodes: 4,
        weight_thousandths: 1_000,
        name: "auto".to_owned(),
    };
    Policy {
        enabled: true,
        min: 3,
        max: 8,
        max_per_rack: Some(3),
        operations_per_second: Some(OPERATIONS_MAX),
        pool: ["r1", "r2", "r3"].map(entry).into(),
        ..Policy::default()
    }
}

impl Model {
    /// With so many nodes, in three racks.
    pub(crate) fn new(nodes: u16, curve: Curve) -> Model {
        let mut model = Model {
            curve,
            failures: Vec::new(),
            delivers: vec![Delivers::Yes],
            data_bytes: 0,
            replicas: 3,
            step: 0,
            nodes: Vec::new(),
            starting: Vec::new(),
            epoch: 1,
            asked: 0,
            last_id: 0,
        };
        for number in 0..nodes {
            // The first three were there before the provider.
            model.join(format!("n{}", number + 1), format!("r{}", number % 3 + 1), number >= 3, 0);
        }
        model
    }

    pub(crate) fn failing(self, failures: Vec<Failure>) -> Model {
        Model { failures, ..self }
    }

    pub(crate) fn delivering(self, delivers: Vec<Delivers>) -> Model {
        Model { delivers, ..self }
    }

    /// So many bytes on all disks together.
    pub(crate) fn holding(self, data_bytes: u64) -> Model {
        Model { data_bytes, ..self }
    }

    /// With keyspaces of this N.
    pub(crate) fn needing(self, replicas: u32) -> Model {
        Model { replicas, ..self }
    }

    /// Of the nodes that there are, the provider has started all but so many.
    pub(crate) fn provided_but(mut self, others: usize) -> Model {
        self.nodes.iter_mut().enumerate().for_each(|(number, node)| node.is_provided = number >= others);
        self
    }

    fn join(&mut self, name: String, rack: String, is_provided: bool, joining_until: u64) {
        self.last_id += 1;
        self.epoch += 1;
        self.nodes.push(Node {
            id: self.last_id,
            name,
            rack,
            is_provided,
            joining_until,
            leaving_until: None,
            failed_since: None,
        });
    }

    /// Lives for so many steps with a decider.
    pub(crate) fn live(&mut self, decider: &mut Decider, steps: u64) -> Vec<Seen> {
        (0..steps)
            .map(|_| {
                self.pass();
                let view = self.view();
                let decision = decider.decide(&view);
                if !decision.is_dry
                    && let Some(outcome) = self.carry_out(&decision.action)
                {
                    decider.outcome(view.now, outcome);
                }
                Seen { view, decision }
            })
            .collect()
    }

    fn now(step: u64) -> Instant {
        Instant::default() + STEP * u32::try_from(step).unwrap()
    }

    /// Time goes on by a step.
    fn pass(&mut self) {
        self.step += 1;
        let step = self.step;
        let (joining, starting) = std::mem::take(&mut self.starting)
            .into_iter()
            .partition(|one: &Starting| one.joins_at.is_some_and(|at| at <= step));
        self.starting = starting;
        let joining: Vec<Starting> = joining;
        for one in joining {
            self.join(one.name, one.rack, true, step + MOVING_STEPS);
        }
        for node in &mut self.nodes {
            let is_away = |failure: &&Failure| {
                failure.node == node.id
                    && (failure.from_step..failure.from_step + failure.steps).contains(&step)
            };
            let away = self.failures.iter().find(is_away).map(|failure| failure.from_step);
            node.failed_since = away;
        }
        let before = self.nodes.len();
        self.nodes.retain(|node| node.leaving_until.is_none_or(|until| step < until));
        self.epoch += u64::from(before != self.nodes.len());
    }

    fn view(&self) -> View {
        let state = |node: &Node| match (node.leaving_until, node.failed_since) {
            (Some(_), _) => NodeState::Leaving,
            (None, Some(since)) => NodeState::Down { since: Model::now(since) },
            (None, None) if self.step < node.joining_until => NodeState::Joining,
            (None, None) => NodeState::Up,
        };
        let up = self.nodes.iter().filter(|node| state(node) == NodeState::Up).count();
        let up = u64::try_from(up.max(1)).unwrap();
        let operations = self.curve.at(self.step) / up;
        let nodes: Vec<NodeView> = self
            .nodes
            .iter()
            .map(|node| {
                let state = state(node);
                let works = u64::from(state == NodeState::Up);
                NodeView {
                    id: NodeId(node.id),
                    name: node.name.clone(),
                    state,
                    data_center: "dc1".to_owned(),
                    rack: node.rack.clone(),
                    weight_thousandths: 1_000,
                    cpu_permille: 100,
                    operations_per_second: operations * works,
                    operations_per_second_max: None,
                    disk_used_bytes: self.data_bytes / up * works,
                    disk_bytes: 1_000,
                    partitions: 64,
                    hottest: Vec::new(),
                    is_provided: node.is_provided,
                    is_retirable: node.is_provided,
                }
            })
            .collect();
        let moves = |node: &&NodeView| matches!(node.state, NodeState::Joining | NodeState::Leaving);
        let movement = |node: &NodeView| MovementView {
            partition: PartitionId(0),
            from: node.id,
            to: node.id,
            held_up_by: None,
        };
        let requested = |one: &Starting| Requested {
            name: one.name.clone(),
            data_center: "dc1".to_owned(),
            rack: one.rack.clone(),
        };
        View {
            now: Model::now(self.step),
            epoch: Epoch(self.epoch),
            movements: nodes.iter().filter(moves).map(movement).collect(),
            nodes,
            needs: vec![DataCenterNeeds { data_center: "dc1".to_owned(), replicas: self.replicas }],
            waiting: 0,
            partitions: 64,
            is_splittable: true,
            is_merging: false,
            requested: self.starting.iter().map(requested).collect(),
        }
    }

    fn carry_out(&mut self, action: &Action) -> Option<Outcome> {
        let began = |node: Option<String>| Some(Outcome::Began { node });
        let leave = |model: &mut Model, id: NodeId| {
            let until = model.step + MOVING_STEPS;
            model.nodes.iter_mut().filter(|node| node.id == id.0).for_each(|node| {
                node.leaving_until = Some(until);
            });
            model.epoch += 1;
        };
        match action {
            Action::Nothing => None,
            Action::AddNode(wanted) => self.start(wanted),
            Action::RetireNode { node, .. } => {
                leave(self, *node);
                began(None)
            }
            Action::ReplaceNode { dead, by: Replacement::Remaining, .. } => {
                leave(self, *dead);
                began(None)
            }
            Action::ReplaceNode { dead, by: Replacement::New(wanted), .. } => {
                let outcome = self.start(wanted);
                if self.starting.iter().any(|one| one.joins_at.is_some()) {
                    leave(self, *dead);
                }
                outcome
            }
            Action::EndRequested { name } => {
                self.starting.retain(|one| one.name != *name);
                began(None)
            }
            Action::MovePartition { .. }
            | Action::SplitPartition { .. }
            | Action::SplitAll
            | Action::MergePartitions => {
                self.epoch += 1;
                began(None)
            }
        }
    }

    fn start(&mut self, wanted: &Wanted) -> Option<Outcome> {
        let delivers = self.delivers[self.asked.min(self.delivers.len() - 1)];
        self.asked += 1;
        let name = format!("{}-{}", wanted.name, self.asked);
        let joins_at = match delivers {
            Delivers::Yes => Some(self.step + STARTING_STEPS),
            Delivers::Never => None,
            Delivers::Refuses => return Some(Outcome::Refused { why: "no room".to_owned() }),
            Delivers::Silent => return None,
        };
        self.starting.push(Starting { name: name.clone(), rack: wanted.rack.clone(), joins_at });
        Some(Outcome::Began { node: Some(name) })
    }
}
