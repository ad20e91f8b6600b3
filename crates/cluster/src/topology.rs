//! The topology: a cluster state and what one node sees of its peers, as a snapshot.
//!
//! What must hold: a request routes by one snapshot from its beginning to its end. What a node sees changes which owner
//! is asked first and never who is an owner (INVARIANTS E9).

use std::sync::Arc;

use quorum::DataCenter;
use types::{Incarnation, NodeId, PartitionId};

use crate::member::Member;
use crate::state::ClusterState;

/// What a node sees of another member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sight {
    reachable: bool,
    /// The incarnation it last introduced itself by.
    incarnation: Option<Incarnation>,
    /// Whether it takes deletes and no values, for want of room.
    is_full: bool,
}

/// The cluster as one node sees it at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Topology {
    /// Who is there and who keeps what.
    pub state: Arc<ClusterState>,
    /// The node that sees.
    pub here: NodeId,
    local: DataCenter,
    /// For each member, in the order of their ids.
    sights: Vec<Sight>,
}

impl Topology {
    /// What a node sees when it starts: itself, and nobody else yet. Nothing if it is no member.
    pub fn new(state: Arc<ClusterState>, here: NodeId, incarnation: Incarnation) -> Option<Topology> {
        let place = state.index_of(here)?;
        let mut sights = vec![Sight::default(); state.members().len()];
        sights[place] = Sight { reachable: true, incarnation: Some(incarnation), is_full: false };
        Some(Topology { local: state.data_center_of(here), state, here, sights })
    }

    /// The same in the state that follows; nothing if this node is no member of it. Who was seen is seen.
    pub fn with_state(&self, state: Arc<ClusterState>) -> Option<Topology> {
        state.index_of(self.here)?;
        let sight_of = |member: &Member| match self.state.index_of(member.id) {
            Some(place) => self.sights[place],
            None => Sight::default(),
        };
        let sights = state.members().iter().map(sight_of).collect();
        Some(Topology { local: state.data_center_of(self.here), state, here: self.here, sights })
    }

    /// The same with a peer that has introduced itself, and can be reached. Strangers change nothing.
    #[must_use]
    pub fn with_reachable(&self, node: NodeId, incarnation: Incarnation) -> Topology {
        self.with(node, |sight| (sight.reachable, sight.incarnation) = (true, Some(incarnation)))
    }

    /// The same with a peer that cannot be reached. Its incarnation stays known: what it wrote is still to be named.
    #[must_use]
    pub fn with_unreachable(&self, node: NodeId) -> Topology {
        self.with(node, |sight| sight.reachable = false)
    }

    /// The same with a peer that says that its disk is full, or that it is so no more.
    #[must_use]
    pub fn with_disk(&self, node: NodeId, is_full: bool) -> Topology {
        self.with(node, |sight| sight.is_full = is_full)
    }

    fn with(&self, node: NodeId, change: impl FnOnce(&mut Sight)) -> Topology {
        let mut seen = self.clone();
        if let Some(place) = self.state.index_of(node)
            && node != self.here
        {
            change(&mut seen.sights[place]);
        }
        seen
    }

    /// The node that sees.
    pub fn this_member(&self) -> &Member {
        self.state.member(self.here).expect("a topology is made only for a member")
    }

    /// The number of this node's data center.
    pub fn local_data_center(&self) -> DataCenter {
        self.local
    }

    /// Whether a member can be reached, as this node sees it; it always reaches itself.
    pub fn is_reachable(&self, node: NodeId) -> bool {
        self.state.index_of(node).is_some_and(|place| self.sights[place].reachable)
    }

    /// Whether a peer takes values, as far as this node has heard. What this node itself does it must be asked.
    pub fn has_room(&self, node: NodeId) -> bool {
        self.state.index_of(node).is_some_and(|place| !self.sights[place].is_full)
    }

    /// The first owner of a partition, by the N of `default`, that can be reached; the first of all if none can. Nothing
    /// if there is no such partition.
    pub fn primary(&self, partition: PartitionId) -> Option<NodeId> {
        self.first_reachable(self.state.default_owners(partition))
    }

    pub(crate) fn first_reachable(&self, owners: &[NodeId]) -> Option<NodeId> {
        owners.iter().find(|&&node| self.is_reachable(node)).or(owners.first()).copied()
    }

    /// The name of the member that last introduced itself by this incarnation.
    pub fn name_of_incarnation(&self, incarnation: Incarnation) -> Option<&str> {
        let place = self.sights.iter().position(|sight| sight.incarnation == Some(incarnation))?;
        Some(&self.state.members()[place].name)
    }
}
