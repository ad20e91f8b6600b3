//! What the cluster does next by itself: which movements begin, which go on to their next stage, and who is let go.
//!
//! Nodes [report](Report) how far they are, again and again, and whoever leads the cluster-state group proposes what follows from it.
//! So he needs to remember nothing, and another one who takes over goes on with the next reports.
//!
//! What must hold (INVARIANTS E2, E4): a stage is left only on reports of the nodes concerned, each of which is about what is on
//! its disk. A node that is down holds up the movements that it has a part in; whether it is up decides only about beginning new ones.

use std::collections::{BTreeMap, BTreeSet};

use quorum::{Owner, required};
use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, PartitionId};

use crate::command::{Command, STEPS_MAX};
use crate::member::Standing;
use crate::movement::{Movement, Stage, Step};
use crate::state::ClusterState;

/// How many partitions a node fills, or hands over, at once.
pub const MOVEMENTS_OF_A_NODE_MAX: usize = 4;

/// How far a node is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The state that it goes by, and that is on its disk: what was routed by an earlier one it refuses.
    pub adopted: Epoch,
    /// Movements whose stage is done as far as it is concerned: it has all that old owners had, or has handed over what it had.
    pub done: Vec<Step>,
    /// Among how many shards it divides the partitions: there are never fewer of these.
    pub shards: u8,
    /// With what it is not done, and whom it waits for there: who is yet to be compared with, or is the only
    /// source and has failed.
    pub waits_for: Vec<(PartitionId, NodeId)>,
}

/// What nodes have reported, to whoever leads.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    reports: BTreeMap<NodeId, Reported>,
}

#[derive(Clone, Debug)]
struct Reported {
    adopted: Epoch,
    done: BTreeSet<Step>,
    shards: u8,
    waits_for: BTreeMap<PartitionId, NodeId>,
}

impl Progress {
    /// A node has reported. What it said before does not count any more.
    pub fn report(&mut self, node: NodeId, report: Report) {
        let Report { adopted, done, shards, waits_for } = report;
        let (done, waits_for) = (done.into_iter().collect(), waits_for.into_iter().collect());
        self.reports.insert(node, Reported { adopted, done, shards, waits_for });
    }

    /// All that was reported is forgotten, and will be reported again.
    pub fn forget(&mut self) {
        self.reports.clear();
    }

    /// What is to be proposed now. `is_up` says whether a node seems to be able to take part, and `is_needed` whether it is to stay
    /// for now though it has nothing any more: who votes on the state is let go when another votes in his place, or those that are
    /// left might be no majority.
    pub fn next(
        &self,
        state: &ClusterState,
        is_up: impl Fn(NodeId) -> bool,
        is_needed: impl Fn(NodeId) -> bool,
    ) -> Vec<Command> {
        let steps: Vec<Step> = state
            .movements()
            .iter()
            .filter(|(partition, movement)| self.is_done(state, **partition, movement))
            .map(|(partition, movement)| step_of(*partition, movement))
            .take(STEPS_MAX)
            .collect();
        let mut commands = Vec::new();
        if !steps.is_empty() {
            commands.push(Command::Advance { steps, of: state.partitions().count() });
        }
        if state.may_join_halves() && self.hinders_joining(state, &is_up).is_empty() {
            commands.push(Command::JoinHalves { partitions: state.partitions().count() });
        }
        let partitions = to_begin(state, is_up);
        if !partitions.is_empty() {
            commands.push(Command::Begin { partitions });
        }
        let free = state.members().iter().filter(|one| state.parts.is_free(one) && !is_needed(one.id));
        let nodes: Vec<NodeId> = free.map(|one| one.id).collect();
        if !nodes.is_empty() {
            commands.push(Command::Dismiss { nodes });
        }
        commands
    }

    /// Who keeps halves from being joined when all of them are together: members that are not heard of, for they might have more shards
    /// than there would be partitions, and those that have.
    pub fn hinders_joining(&self, state: &ClusterState, is_up: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let partitions = state.partitions().count() / 2;
        let may = |node: NodeId| {
            let shards = self.reports.get(&node).map(|report| u16::from(report.shards));
            is_up(node) && shards.is_some_and(|shards| shards <= partitions)
        };
        let members = state.members().iter().filter(|member| member.standing != Standing::Gone);
        members.map(|member| member.id).filter(|node| !may(*node)).collect()
    }

    /// Whom a movement waits for, if it does: those who are not done with its stage; and in the place of one that is up, and waits itself for
    /// one that is not, that one. `is_up` says whether a node seems to be able to take part.
    pub fn waits_for(
        &self,
        state: &ClusterState,
        partition: PartitionId,
        is_up: impl Fn(NodeId) -> bool,
    ) -> Vec<NodeId> {
        let Some(movement) = state.movement(partition) else { return Vec::new() };
        if self.is_done(state, partition, movement) {
            return Vec::new();
        }
        match movement.stage {
            Stage::Filling | Stage::Clearing => {
                let hindered_by =
                    |node: NodeId| self.whom(state, partition, node).filter(|whom| !is_up(*whom));
                let whom = |node: NodeId| if is_up(node) { hindered_by(node).unwrap_or(node) } else { node };
                let not_done = self.not_done(state, partition, movement).into_iter();
                let late: BTreeSet<NodeId> = not_done.map(whom).collect();
                late.into_iter().collect()
            }
            Stage::Switched => {
                let old = state.keyspaces().iter().flat_map(|keyspace| {
                    state.all_owners(keyspace.id, partition).also_written.iter().copied()
                });
                let since = state.since(partition);
                let late: BTreeSet<NodeId> = old.filter(|node| !self.refuses(state, *node, since)).collect();
                late.into_iter().collect()
            }
        }
    }

    fn is_done(&self, state: &ClusterState, partition: PartitionId, movement: &Movement) -> bool {
        match movement.stage {
            Stage::Filling | Stage::Clearing => self.not_done(state, partition, movement).is_empty(),
            Stage::Switched => self.no_old_quorum_is_left(state, partition),
        }
    }

    /// Whom a node waits for with a partition, by what it said last.
    fn whom(&self, state: &ClusterState, partition: PartitionId, node: NodeId) -> Option<NodeId> {
        let report = self.reports.get(&node).filter(|report| report.adopted >= state.since(partition))?;
        report.waits_for.get(&partition).copied().filter(|whom| !is_gone(state, *whom))
    }

    /// Who has yet to say that he is done with this stage.
    fn not_done(&self, state: &ClusterState, partition: PartitionId, movement: &Movement) -> Vec<NodeId> {
        let step = step_of(partition, movement);
        // Who has not gone by the stage says nothing of it; and partitions may have had other numbers then.
        let goes_by = state.since(partition)..=state.epoch();
        let has_said = |node: &NodeId| {
            let report = self.reports.get(node).filter(|report| goes_by.contains(&report.adopted));
            report.is_some_and(|report| report.done.contains(&step))
        };
        let mut concerned: BTreeSet<NodeId> = BTreeSet::new();
        for keyspace in state.keyspaces() {
            let owners = state.all_owners(keyspace.id, partition);
            concerned.extend(owners.holders().filter(|node| match movement.stage {
                Stage::Filling => state.is_filled(*node, keyspace.id, partition),
                Stage::Switched => false,
                Stage::Clearing => state.is_cleared(*node, keyspace.id, partition),
            }));
        }
        concerned.into_iter().filter(|node| !is_gone(state, *node) && !has_said(node)).collect()
    }

    /// Whether those of the old owners that may still answer what was routed before are too few for any quorum.
    fn no_old_quorum_is_left(&self, state: &ClusterState, partition: PartitionId) -> bool {
        let since = state.since(partition);
        state.keyspaces().iter().all(|keyspace| {
            let old = state.all_owners(keyspace.id, partition).also_written;
            let old: Vec<Owner> = old.iter().map(|node| (*node, state.data_center_of(*node))).collect();
            let may_answer = old.iter().copied().filter(|(node, _)| !self.refuses(state, *node, since));
            let levels = [keyspace.r, keyspace.w];
            old.iter().all(|(_, local)| {
                levels.iter().all(|level| !required(*level, &old, *local).is_met_by(may_answer.clone()))
            })
        })
    }

    fn refuses(&self, state: &ClusterState, node: NodeId, since: Epoch) -> bool {
        is_gone(state, node) || self.reports.get(&node).is_some_and(|report| report.adopted >= since)
    }
}

fn step_of(partition: PartitionId, movement: &Movement) -> Step {
    Step { partition, session: movement.session, stage: movement.stage }
}

fn is_gone(state: &ClusterState, node: NodeId) -> bool {
    state.member(node).is_none_or(|member| member.standing == Standing::Gone)
}

/// Which movements are to begin: as many as no node has too much to do by. Those go first that bring back a copy that was lost.
fn to_begin(state: &ClusterState, is_up: impl Fn(NodeId) -> bool) -> Vec<PartitionId> {
    let mut busy: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (partition, movement) in state.movements() {
        if movement.stage == Stage::Filling {
            for node in gains_and_loses(state, *partition).0 {
                *busy.entry(node).or_default() += 1;
            }
        }
    }
    let mut waiting: Vec<(bool, PartitionId, BTreeSet<NodeId>)> = state
        .waiting_to_move()
        .map(|partition| {
            let (gains, loses) = gains_and_loses(state, partition);
            (!loses.iter().any(|node| is_gone(state, *node)), partition, gains)
        })
        .collect();
    waiting.sort_by_key(|(is_safe, partition, _)| (*is_safe, *partition));
    let mut begun = Vec::new();
    for (_, partition, gains) in waiting {
        let has_time = |node: &NodeId| busy.get(node).copied().unwrap_or(0) < MOVEMENTS_OF_A_NODE_MAX;
        if begun.len() < STEPS_MAX && gains.iter().all(|node| is_up(*node) && has_time(node)) {
            for node in gains {
                *busy.entry(node).or_default() += 1;
            }
            begun.push(partition);
        }
    }
    begun
}

impl ClusterState {
    /// Who gets a partition by going to where it is to be.
    pub fn gaining(&self, partition: PartitionId) -> BTreeSet<NodeId> {
        gains_and_loses(self, partition).0
    }
}

/// Who gets a partition by going to where it is to be, and who gives it away.
fn gains_and_loses(state: &ClusterState, partition: PartitionId) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
    let parts = &state.parts;
    let to = parts.movements.get(&partition).map_or(parts.target().id, |movement| movement.to);
    let (Some(at), Some(to)) = (parts.layout_of(partition), parts.layout(to)) else {
        return (BTreeSet::new(), BTreeSet::new());
    };
    let (mut gains, mut loses) = (BTreeSet::new(), BTreeSet::new());
    for keyspace in at.counts.keys() {
        let (old, new) = (at.owners(*keyspace, partition), to.owners(*keyspace, partition));
        gains.extend(new.iter().filter(|node| !old.contains(node)));
        loses.extend(old.iter().filter(|node| !new.contains(node)));
    }
    (gains, loses)
}
