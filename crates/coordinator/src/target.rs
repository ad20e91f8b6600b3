//! A key and its owners, as one operation sees them from beginning to end, and the words that pass between an operation
//! and whoever runs it.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{ClusterState, Keyspace, QuorumMode, Topology};
use quorum::{DataCenter, Level, Owner, required};
use replica::{Made, Make, MakeError};
use types::{Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::{ReplicaReply, ReplicaRequest};

use crate::pace::Pace;
use crate::repairs::Repairs;

/// What one operation is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The cluster as it was when the operation began.
    pub topology: Arc<Topology>,
    /// This node: the coordinator, or the maker of a write that its coordinator passed on.
    pub here: NodeId,
    /// The data center that levels mean by *local*: the coordinator's, wherever the operation runs.
    pub local: DataCenter,
    /// The keyspace's id.
    pub keyspace_id: KeyspaceId,
    /// The key.
    pub key: Bytes,
    /// The partition that the key is in.
    pub partition: PartitionId,
    /// Who owns it, in the order of the preference list.
    pub owners: Vec<Owner>,
}

impl Target {
    /// What an operation on this key is about; nothing where there is no such keyspace.
    pub fn new(topology: &Arc<Topology>, keyspace_id: KeyspaceId, key: Bytes) -> Option<Target> {
        topology.state.keyspace(keyspace_id)?;
        let partition = topology.state.partition_of(&key);
        Some(Target {
            owners: owners_of(topology, keyspace_id, partition),
            topology: Arc::clone(topology),
            here: topology.here,
            local: topology.local_data_center(),
            keyspace_id,
            key,
            partition,
        })
    }

    /// The same for an operation that this coordinator passed on: levels mean its data center.
    #[must_use]
    pub fn asked_by(mut self, coordinator: NodeId) -> Target {
        self.local = self.state().data_center_of(coordinator);
        self
    }

    /// The cluster state that the operation was routed by.
    pub fn state(&self) -> &ClusterState {
        &self.topology.state
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &Keyspace {
        self.state()
            .keyspace(self.keyspace_id)
            .expect("looked up when the target was made; states never change")
    }

    /// Whether this node is an owner.
    pub fn is_owner(&self) -> bool {
        self.owners.iter().any(|(node, _)| *node == self.here)
    }

    /// Whether fallbacks may serve in place of owners that cannot be reached.
    pub fn is_sloppy(&self) -> bool {
        self.keyspace().quorum_mode == QuorumMode::Sloppy
    }

    /// Whether this node may make writes: as an owner, or as a fallback where fallbacks stand in.
    pub fn may_make(&self) -> bool {
        let stands_in = || self.state().fallbacks(self.keyspace_id, self.partition).contains(&self.here);
        self.is_owner() || (self.is_sloppy() && stands_in())
    }

    /// Whether every owner can be reached.
    pub fn all_reachable(&self, topology: &Topology) -> bool {
        self.owners.iter().all(|(node, _)| *node == self.here || topology.is_reachable(*node))
    }

    /// How many owners, as messages say it.
    pub fn owner_count(&self) -> u8 {
        u8::try_from(self.owners.len()).unwrap_or(u8::MAX)
    }

    /// Whether reads at these levels never go back in time (INVARIANTS C2): R and W both majorities. Strict quorums promise it
    /// whatever happens, sloppy ones keep it while all owners can be reached.
    pub fn never_goes_back(&self, read: Level, write: Level) -> bool {
        self.is_majority(read, self.local) && self.is_majority(write, self.local)
    }

    /// Whether it promises that to any reader over what is written here. Readers may be in another data center, where a
    /// local R can be a majority of all owners that it is not here.
    pub fn never_goes_back_for_anybody(&self, read: Level, write: Level) -> bool {
        let mut homes = self.owners.iter().map(|(_, home)| *home);
        self.is_majority(write, self.local) && homes.any(|home| self.is_majority(read, home))
    }

    fn is_majority(&self, level: Level, local: DataCenter) -> bool {
        required(level, &self.owners, local).total() > self.owners.len() / 2
    }

    /// The name of a node, for messages.
    pub fn name_of(&self, node: NodeId) -> &str {
        self.state().member(node).map_or("a node that is no member", |member| member.name.as_str())
    }
}

/// The owners of a partition with their data centers.
pub fn owners_of(topology: &Topology, keyspace: KeyspaceId, partition: PartitionId) -> Vec<Owner> {
    let state = &topology.state;
    state.owners(keyspace, partition).iter().map(|node| (*node, state.data_center_of(*node))).collect()
}

/// What an operation is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// An owner answered a question of this round.
    Reply {
        /// Who.
        from: NodeId,
        /// Of which round.
        round: u32,
        /// What.
        reply: ReplicaReply,
    },
    /// An owner will not answer.
    Failed {
        /// Who.
        from: NodeId,
        /// Whether it may have got the question.
        failure: Failure,
    },
    /// This node made the record, or could not.
    Made(Result<Made, MakeError>),
    /// The node that passed the write on, and named it, leaves it to this one to name.
    Unnamed,
    /// It is time for whatever the operation said it waits for.
    Timer,
}

/// How a peer failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The question provably never reached it.
    NotSent,
    /// The connection ended with the question under way.
    Lost,
}

/// What an operation wants done, in order.
#[derive(Debug)]
pub enum Step {
    /// Ask this owner, which may be this node.
    Send(NodeId, u32, ReplicaRequest),
    /// Make a record here, in this round.
    Make(u32, Box<Make>),
    /// Tell the node that passed the write on that it cannot be made as it is named, and wait for [`Event::Unnamed`].
    NotAsNamed,
    /// Show reads here what was hidden.
    Show,
    /// Answer whoever asked. The operation may live on.
    Answer(api::Outcome),
    /// Wake at this time.
    Wake(Instant),
    /// The operation is over.
    End,
}

/// What an operation has at hand while it runs.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Now.
    pub now: Moment,
    /// The operation's id.
    pub id: OperationId,
    /// The cluster, and who is reachable.
    pub topology: &'a Arc<Topology>,
    /// How fast nodes answer, and what may be asked twice.
    pub pace: &'a mut Pace,
    /// What is on its way to owners that were found behind.
    pub repairs: &'a mut Repairs,
    /// What it wants done.
    pub steps: &'a mut Vec<Step>,
}

impl Turn<'_> {
    /// Asks an owner in this round.
    pub fn send(&mut self, to: NodeId, round: u32, request: ReplicaRequest) {
        self.steps.push(Step::Send(to, round, request));
    }

    /// Answers whoever asked.
    pub fn answer(&mut self, outcome: api::Outcome) {
        self.steps.push(Step::Answer(outcome));
    }

    /// Answers, and ends.
    pub fn finish(&mut self, outcome: api::Outcome) {
        self.answer(outcome);
        self.steps.push(Step::End);
    }

    /// Asks to be woken.
    pub fn wake(&mut self, at: Instant) {
        self.steps.push(Step::Wake(at));
    }
}
