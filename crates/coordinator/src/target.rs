//! A key and its owners, as one operation sees them until it hears of other ones, and the words that pass between an operation and
//! whoever runs it.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{ClusterState, Keyspace, QuorumMode, Topology};
use quorum::{DataCenter, Joint, Level, Owner, Tracker, required};
use replica::{Made, Make, MakeError};
use types::{Epoch, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::{ReplicaReply, ReplicaRequest};

use crate::pace::Pace;
use crate::repairs::Repairs;

/// What one operation is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The cluster as it was when the operation began, or when it last heard that the owners are others.
    pub topology: Arc<Topology>,
    /// This node: the coordinator, or the maker of a write that its coordinator passed on.
    pub here: NodeId,
    /// The node that the client asked.
    coordinator: NodeId,
    /// The data center that levels mean by *local*: the coordinator's, wherever the operation runs.
    pub local: DataCenter,
    /// The keyspace's id.
    pub keyspace_id: KeyspaceId,
    /// The key.
    pub key: Bytes,
    /// The partition that the key is in.
    pub partition: PartitionId,
    /// Who owns it and answers reads, in the order of the preference list.
    pub owners: Vec<Owner>,
    /// Who is to hold a write as well, by a quorum of their own, because the partition moves: the owners that it goes to, or those
    /// that it has just left. Some may be among the owners that answer reads too. None where nothing moves.
    pub also_written: Vec<Owner>,
}

impl Target {
    /// What an operation on this key is about; nothing where there is no such keyspace.
    pub fn new(topology: &Arc<Topology>, keyspace_id: KeyspaceId, key: Bytes) -> Option<Target> {
        let partition = topology.state.partition_of(&key);
        Target::of(topology, topology.here, keyspace_id, key, partition)
    }

    /// What an operation on a whole partition is about; nothing where there is no such keyspace.
    pub fn of_partition(
        topology: &Arc<Topology>,
        keyspace_id: KeyspaceId,
        partition: PartitionId,
    ) -> Option<Target> {
        Target::of(topology, topology.here, keyspace_id, Bytes::new(), partition)
    }

    fn of(
        topology: &Arc<Topology>,
        coordinator: NodeId,
        keyspace_id: KeyspaceId,
        key: Bytes,
        partition: PartitionId,
    ) -> Option<Target> {
        let state = &topology.state;
        state.keyspace(keyspace_id)?;
        let at_home =
            |nodes: &[NodeId]| nodes.iter().map(|node| (*node, state.data_center_of(*node))).collect();
        let owners = state.all_owners(keyspace_id, partition);
        Some(Target {
            owners: at_home(owners.read),
            also_written: at_home(owners.also_written),
            topology: Arc::clone(topology),
            here: topology.here,
            coordinator,
            local: state.data_center_of(coordinator),
            keyspace_id,
            key,
            partition,
        })
    }

    /// The same for an operation that this coordinator passed on: levels mean its data center.
    #[must_use]
    pub fn asked_by(mut self, coordinator: NodeId) -> Target {
        self.coordinator = coordinator;
        self.local = self.state().data_center_of(coordinator);
        self
    }

    /// The same by a later state, in which the key may be in a partition of another number; nothing where the keyspace is no more.
    pub fn by(&self, topology: &Arc<Topology>) -> Option<Target> {
        let partition = topology.state.partition_of(&self.key);
        Target::of(topology, self.coordinator, self.keyspace_id, self.key.clone(), partition)
    }

    /// Since which epoch its owners and settings are what they are: what it is routed by.
    pub fn since(&self) -> Epoch {
        self.state().since_in(self.keyspace_id, self.partition)
    }

    /// Whether its owners or settings are others by this topology, or its keyspace is no more.
    pub fn is_overtaken_by(&self, topology: &Topology) -> bool {
        topology.state.since_in(self.keyspace_id, self.partition) != self.since()
    }

    /// The sets of owners of which each is to hold a write by a quorum; one where nothing moves.
    pub fn sets(&self) -> impl Iterator<Item = &[Owner]> {
        let other = (!self.also_written.is_empty()).then_some(&self.also_written[..]);
        std::iter::once(&self.owners[..]).chain(other)
    }

    /// Counts who holds a write, in each set that is to.
    pub fn joint(&self, level: Level) -> Joint {
        let tracker = |owners: &[Owner]| Tracker::new(level, owners, self.local);
        let other = (!self.also_written.is_empty()).then(|| tracker(&self.also_written));
        Joint::new(tracker(&self.owners), other)
    }

    /// All that are to be sent a write, each once; those that answer reads first.
    pub fn written(&self) -> impl Iterator<Item = NodeId> + Clone + '_ {
        let others = self.also_written.iter().filter(|other| !self.owners.contains(other));
        self.owners.iter().chain(others).map(|(node, _)| *node)
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

    /// Whether this node is an owner that answers reads.
    pub fn is_owner(&self) -> bool {
        self.owners.iter().any(|(node, _)| *node == self.here)
    }

    /// Whether fallbacks may serve in place of owners that cannot be reached.
    pub fn is_sloppy(&self) -> bool {
        self.keyspace().quorum_mode == QuorumMode::Sloppy
    }

    /// Whether this node may make writes: as an owner that answers reads, or as a fallback where fallbacks stand in. One that is
    /// still being filled may lack what the write is to be made on top of, and one that the partition has left what came since.
    /// Which fallback is asked first is its coordinator's choice: he may go by rings that differ where nobody owns anything else.
    pub fn may_make(&self) -> bool {
        let home = self.state().data_center_of(self.here);
        let stands_in = || {
            self.owners.iter().any(|(_, data_center)| *data_center == home)
                && self.also_written.iter().all(|(node, _)| *node != self.here)
        };
        self.is_owner() || (self.is_sloppy() && stands_in())
    }

    /// Whether every owner can be reached, of each set.
    pub fn all_reachable(&self, topology: &Topology) -> bool {
        self.written().all(|node| node == self.here || topology.is_reachable(node))
    }

    /// How many owners, as messages say it.
    pub fn owner_count(&self) -> u8 {
        u8::try_from(self.owners.len()).unwrap_or(u8::MAX)
    }

    /// Whether reads at these levels never go back in time (INVARIANTS C2): R and W both majorities. Strict quorums promise it
    /// whatever happens, sloppy ones keep it while all owners can be reached. While the partition moves to a set of another size
    /// it is promised if it is in either, since what is read before must be found afterwards.
    pub fn never_goes_back(&self, read: Level, write: Level) -> bool {
        self.sets()
            .any(|owners| is_majority(read, owners, self.local) && is_majority(write, owners, self.local))
    }

    /// Whether it promises that to any reader over what is written here. Readers may be in another data center, where a
    /// local R can be a majority of all owners that it is not here.
    pub fn never_goes_back_for_anybody(&self, read: Level, write: Level) -> bool {
        self.sets().any(|owners| {
            let mut homes = owners.iter().map(|(_, home)| *home);
            is_majority(write, owners, self.local) && homes.any(|home| is_majority(read, owners, home))
        })
    }

    /// What a client is told where the keyspace was dropped before anything was done.
    pub fn dropped(&self) -> api::Error {
        api::Error::NoSuchKeyspace(self.keyspace().name.clone())
    }

    /// The name of a node, for messages.
    pub fn name_of(&self, node: NodeId) -> &str {
        self.state().member(node).map_or("a node that is no member", |member| member.name.as_str())
    }
}

fn is_majority(level: Level, owners: &[Owner], local: DataCenter) -> bool {
    required(level, owners, local).total() > owners.len() / 2
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
    /// What was asked until now was asked for nothing: answers to it are none to what is asked from here on.
    Anew,
    /// Ask this owner, which may be this node.
    Send(NodeId, u32, ReplicaRequest),
    /// Make a record here, in this round.
    Make(u32, Box<Make>),
    /// Tell the node that passed the write on that it cannot be made as it is named, and wait for [`Event::Unnamed`].
    NotAsNamed,
    /// Show reads here what was hidden.
    Show,
    /// The owners are others, and this node may not make this write any more. It has not made it: another is to.
    PassOn(Box<api::Operation>),
    /// Nobody but this node may make this write, which it passed on before, and nobody has made it.
    MakeHere(Box<api::Operation>),
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
    /// Whether it will be told when the owners are others; it is, only so often.
    pub is_told_of_news: bool,
    /// What it wants done.
    pub steps: &'a mut Vec<Step>,
}

impl Turn<'_> {
    /// Whether a node that refuses what was routed by an earlier state knows what this node is yet to hear, and what was asked is to
    /// wait for that. What is refused after the news has come, again and again, is refused for good.
    pub fn awaits(&self, newest: Epoch) -> bool {
        self.is_told_of_news && newest > self.topology.state.epoch()
    }

    /// Whether the keyspace is no more.
    pub fn is_dropped(&self, target: &Target) -> bool {
        self.topology.state.keyspace(target.keyspace_id).is_none()
    }

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
