//! What is shown of the cluster: the parts of an [`api::Status`] that a topology knows.
//!
//! What must hold: nothing is shown stronger than it is. Relaxed durability and too few nodes for N are said in words wherever a keyspace is shown ([`Topology::notices`]).

use std::collections::BTreeMap;

use api::{KeyspaceStatus, NodeStanding, NodeState, NodeStatus, SlotRange};
use quorum::Durability;
use ring::ReplicaCount;
use types::NodeId;

use crate::keyspace::Keyspace;
use crate::member::{Member, Standing};
use crate::state::ClusterState;
use crate::topology::Topology;

impl Topology {
    /// All members in the order of their ids, as this node sees them.
    pub fn node_statuses(&self) -> Vec<NodeStatus> {
        let (mut first, mut replicas) = (BTreeMap::new(), BTreeMap::new());
        for partition in self.state.partitions().iter() {
            let owners = self.state.default_owners(partition);
            if let Some(&owner) = owners.first() {
                *first.entry(owner).or_insert(0) += 1;
            }
            for &owner in owners {
                *replicas.entry(owner).or_insert(0) += 1;
            }
        }
        let count = |counts: &BTreeMap<NodeId, u32>, node| counts.get(&node).copied().unwrap_or(0);
        let status =
            |member: &Member| self.node_status(member, count(&first, member.id), count(&replicas, member.id));
        self.state.members().iter().map(status).collect()
    }

    fn node_status(&self, member: &Member, partitions: u32, replicas: u32) -> NodeStatus {
        let standing = member.standing.shown();
        NodeStatus {
            id: member.id,
            name: member.name.clone(),
            state: NodeState::of(standing, self.is_reachable(member.id)),
            standing,
            data_center: member.data_center.clone(),
            rack: member.rack.clone(),
            weight: member.weight,
            partitions,
            replicas,
            resp: member.addresses.resp,
            cluster: member.addresses.cluster,
            http: member.addresses.http,
            peer: member.addresses.peer,
        }
    }

    /// All slots in order, as runs with the same owners in `default`; nodes are places among the members.
    pub fn slot_ranges(&self) -> Vec<SlotRange> {
        let place = |node: NodeId| self.state.index_of(node).expect("owners are members");
        let runs = self.state.slot_runs().into_iter();
        let range = |run: crate::SlotRun| {
            let primary = self.first_reachable(&run.owners)?;
            let owners = run.owners.iter().map(|&node| place(node)).collect();
            Some(SlotRange { first: run.first, last: run.last, primary: place(primary), owners })
        };
        runs.filter_map(range).collect()
    }

    /// What people should know of the keyspaces beyond their settings.
    pub fn notices(&self) -> Vec<String> {
        self.state.keyspaces().iter().flat_map(|keyspace| self.state.keyspace_notices(keyspace)).collect()
    }
}

impl ClusterState {
    /// All keyspaces, in the order of their numbers.
    pub fn keyspace_statuses(&self) -> Vec<KeyspaceStatus> {
        let mut statuses: Vec<KeyspaceStatus> = self.keyspaces().iter().map(Keyspace::status).collect();
        statuses.sort_by_key(|status| status.number);
        statuses
    }

    fn keyspace_notices(&self, keyspace: &Keyspace) -> Vec<String> {
        let name = &keyspace.name;
        let mut notices = Vec::new();
        if keyspace.durability == Durability::Interval {
            notices.push(format!(
                "keyspace {name}: durability is interval: a node that loses power forgets the last acknowledged writes"
            ));
        }
        for (data_center, wanted, kept) in self.under_replicated(keyspace) {
            notices.push(format!(
                "keyspace {name}: under-replicated: data center {data_center} keeps {kept} of {wanted} replicas, \
                 because it has no more nodes"
            ));
        }
        notices
    }

    /// The data centers that have fewer nodes than the keyspace's N: their names, N, and what they keep.
    fn under_replicated(&self, keyspace: &Keyspace) -> Vec<(&str, usize, usize)> {
        let kept = |number: usize| {
            let of_here = |&&(data_center, _): &&(u8, u8)| usize::from(data_center) == number;
            keyspace.copies.iter().find(of_here).map_or(0, |&(_, count)| usize::from(count))
        };
        let names = self.data_centers().iter().enumerate();
        names
            .map(|(number, name)| (name.as_str(), keyspace.n.in_data_center(name), kept(number)))
            .filter(|&(_, wanted, kept)| kept < wanted)
            .collect()
    }
}

impl Standing {
    fn shown(self) -> NodeStanding {
        match self {
            Standing::Joining => NodeStanding::Joining,
            Standing::Settled => NodeStanding::Settled,
            Standing::Leaving => NodeStanding::Leaving,
            Standing::Gone => NodeStanding::Gone,
        }
    }
}

impl Keyspace {
    /// The keyspace and what it promises.
    pub fn status(&self) -> KeyspaceStatus {
        KeyspaceStatus {
            id: self.id,
            number: self.number,
            name: self.name.clone(),
            n: u8::try_from(self.configured_replicas()).unwrap_or(u8::MAX),
            n_text: self.n_text(),
            r: self.r,
            w: self.w,
            policy: self.policy.to_string(),
            quorum: self.quorum_mode.to_string(),
            durability: self.durability.to_string(),
            model: self.model().to_string(),
            model_sentence: self.model_sentence().to_owned(),
            key_bytes_max: self.limits.key_bytes_max,
            value_bytes_max: self.limits.value_bytes_max,
            siblings_max: self.limits.siblings_max,
            require_context: self.require_context,
            allow_flush: self.allow_flush,
        }
    }

    /// N over all data centers, whether or not there are nodes for it.
    fn configured_replicas(&self) -> usize {
        match &self.n {
            ReplicaCount::Everywhere(count) => usize::from(*count) * self.copies.len(),
            ReplicaCount::PerDataCenter(counts) => counts.values().map(|&count| usize::from(count)).sum(),
        }
    }
}
