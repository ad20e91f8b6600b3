//! What is shown of partitions that move, and of who keeps the cluster state.
//!
//! A state says which partitions move, and from whom to whom. How many bytes that takes, whom it waits for and who leads is known
//! to some nodes only; they fill in a [`MovementFigures`] for each movement and the [`Keepers`], and others leave them empty. So
//! nothing is shown as zero that is not known.

use std::collections::{BTreeMap, BTreeSet};

use api::{GroupStatus, MovementStatus, PlannedMove};
use types::{NodeId, PartitionId};

use crate::layout::LayoutId;
use crate::member::Standing;
use crate::movement::Movement;
use crate::state::ClusterState;

/// What one node knows of a movement beside the state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MovementFigures {
    /// About how many bytes all who get the partition are to be sent.
    pub bytes_total: Option<u64>,
    /// How many of them they have.
    pub bytes_done: Option<u64>,
    /// Whom it waits for ([`Progress::waits_for`](crate::Progress::waits_for)).
    pub waits_for: Option<Vec<NodeId>>,
}

/// Who keeps the cluster state, as far as one node knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keepers {
    /// Those whose majority decides.
    pub voters: Vec<NodeId>,
    /// Who leads them.
    pub leader: Option<NodeId>,
    /// The number of his term.
    pub term: u64,
}

impl ClusterState {
    /// The partitions that move, in order, with what is known of each beside that.
    pub fn movement_statuses(&self, figures: &BTreeMap<PartitionId, MovementFigures>) -> Vec<MovementStatus> {
        let unknown = MovementFigures::default();
        let status = |(partition, movement): (&PartitionId, &Movement)| {
            let PlannedMove { partition: number, keyspaces, from, to, .. } =
                self.planned_move(*partition, movement.to);
            let known = figures.get(partition).unwrap_or(&unknown);
            MovementStatus {
                partition: number,
                session: movement.session.0,
                stage: movement.stage.word(),
                from,
                to,
                keyspaces,
                bytes_total: known.bytes_total,
                bytes_done: known.bytes_done,
                waits_for: known.waits_for.as_ref().map(|nodes| self.names(nodes.iter().copied())),
            }
        };
        self.movements().iter().map(status).collect()
    }

    /// How many partitions are to move and do not yet.
    pub fn waiting_count(&self) -> u32 {
        let count = self.waiting_to_move().count();
        u32::try_from(count).expect("there are at most 16384 partitions")
    }

    /// The partitions that are to move and do not yet, in order, each with who gives it to whom. How many bytes that takes the
    /// state does not know.
    pub fn planned_moves(&self) -> Vec<PlannedMove> {
        let to = self.parts.target().id();
        self.waiting_to_move().map(|partition| self.planned_move(partition, to)).collect()
    }

    /// Who keeps the state, by name.
    pub fn group_status(&self, keepers: &Keepers) -> GroupStatus {
        GroupStatus {
            voters: self.names(keepers.voters.iter().copied()),
            leader: keepers.leader.map(|node| self.name_of(node)),
            term: keepers.term,
            generation: self.generation(),
        }
    }

    fn planned_move(&self, partition: PartitionId, to: LayoutId) -> PlannedMove {
        let (mut from, mut gains, mut keyspaces) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        if let (Some(old), Some(new)) = (self.parts.layout_of(partition), self.parts.layout(to)) {
            for keyspace in self.keyspaces() {
                let (had, has) = (old.owners(keyspace.id, partition), new.owners(keyspace.id, partition));
                let (before, after): (BTreeSet<_>, BTreeSet<_>) =
                    (had.into_iter().collect(), has.into_iter().collect());
                if before != after {
                    from.extend(before.difference(&after));
                    gains.extend(after.difference(&before));
                    keyspaces.push(keyspace.name.clone());
                }
            }
        }
        let why = self.why(&from, &gains);
        PlannedMove {
            partition: partition.0,
            keyspaces,
            from: self.names(from.into_iter()),
            to: self.names(gains.into_iter()),
            why,
            bytes: None,
        }
    }

    /// Because of what a partition moves from these to those. What is plain from who they are is told, the gravest first; else it is
    /// for the sake of what each is to own by its weight, and of racks.
    fn why(&self, from: &BTreeSet<NodeId>, to: &BTreeSet<NodeId>) -> String {
        let of = |nodes: &BTreeSet<NodeId>, standing: Standing| -> Vec<NodeId> {
            let stands = |node: &NodeId| self.member(*node).is_some_and(|one| one.standing == standing);
            nodes.iter().copied().filter(stands).collect()
        };
        let causes = [(from, Standing::Gone), (from, Standing::Leaving), (to, Standing::Joining)];
        let plain = causes.into_iter().map(|(nodes, standing)| (of(nodes, standing), standing));
        let Some((nodes, standing)) = plain.into_iter().find(|(nodes, _)| !nodes.is_empty()) else {
            let why = match (from.is_empty(), to.is_empty()) {
                (true, _) => "there are to be more copies",
                (_, true) => "there are to be fewer copies",
                _ => "weights and racks",
            };
            return why.to_owned();
        };
        let names = self.names(nodes.iter().copied()).join(" ");
        match (standing, nodes.len()) {
            (Standing::Gone, _) => format!("{names} gone for good"),
            (Standing::Leaving, 1) => format!("{names} leaves"),
            (Standing::Leaving, _) => format!("{names} leave"),
            (_, 1) => format!("{names} joins"),
            _ => format!("{names} join"),
        }
    }

    fn names(&self, nodes: impl Iterator<Item = NodeId>) -> Vec<String> {
        nodes.map(|node| self.name_of(node)).collect()
    }
}
