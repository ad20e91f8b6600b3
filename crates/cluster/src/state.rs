//! The cluster state: one immutable value that says who is there and who keeps what.
//!
//! What must hold: nodes that found a cluster from the same configuration hold equal states, so founding depends on
//! nothing else: members are sorted by name and numbered from 1, keyspaces by number, rings are placed by a pure
//! function. A cluster is told from others by what it was founded from ([`ClusterState::founding`]), and two states of it with the
//! same epoch are the same, which their [fingerprints](ClusterState::fingerprint) prove.
//!
//! Why the rings are part of the state, when they follow from the members: placement depends on where partitions were
//! before, and a later version may place differently. What has been decided is kept, not worked out again.

use std::collections::{BTreeMap, BTreeSet};

use quorum::DataCenter;
use ring::{Partitions, PlacementMember, PreferenceList, Rings, SLOTS, Slot, place};
use types::{Epoch, KeyspaceId, NodeId, PartitionId};

use crate::error::ConfigError;
use crate::keyspace::{DEFAULT_NAME, Keyspace};
use crate::layout::LayoutId;
use crate::member::{Member, MemberPlan, Standing, check_name};
use crate::movement::Movement;
use crate::owners::{OwnerTable, Owners};
use crate::parts::Parts;

/// The most members of a cluster.
pub const MEMBERS_MAX: usize = 1_000;

/// The most data centers of a cluster: a coordinator counts answers in each.
pub const DATA_CENTERS_MAX: usize = 16;

/// The most keyspaces of a cluster: each has a table of owners, and trees for anti-entropy on every owner.
pub const KEYSPACES_MAX: usize = 1_000;

/// What a cluster is founded from.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundingPlan {
    /// The cluster's name.
    pub name: String,
    /// Its first members, in any order.
    pub members: Vec<MemberPlan>,
    /// How the slots are cut.
    pub partitions: Partitions,
    /// Its first keyspaces, in any order. `default` is added if it is not among them.
    pub keyspaces: Vec<Keyspace>,
}

/// A run of slots with the same owners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotRun {
    /// The first slot.
    pub first: u16,
    /// The last slot, included.
    pub last: u16,
    /// The owners, in the order of the preference list.
    pub owners: Vec<NodeId>,
}

/// Who is there and who keeps what, as of one epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterState {
    pub(crate) parts: Parts,
    // What follows from the above, worked out once.
    /// Sorted; a data center's number is its place here.
    data_centers: Vec<String>,
    /// For each member the number of its data center.
    data_center_of: Vec<DataCenter>,
    /// For each keyspace, in the order of `keyspaces`.
    owners: Vec<OwnerTable>,
    /// The place of `default` in `keyspaces`.
    default: usize,
    fingerprint: u64,
}

impl ClusterState {
    /// The first state of a cluster, the same on every node that has the same plan.
    ///
    /// # Errors
    /// The first setting that cannot be served.
    pub fn found(plan: FoundingPlan) -> Result<ClusterState, ConfigError> {
        check_name("cluster.name", &plan.name)?;
        let members = number_members(plan.members)?;
        let placed: Vec<PlacementMember> = members.iter().map(Member::to_placement).collect();
        let rings = place(&Rings::empty(plan.partitions), &placed)
            .map_err(|error| ConfigError::new("cluster.members", members.len(), error.to_string()))?;
        let mut keyspaces = plan.keyspaces;
        if keyspaces.iter().all(|keyspace| keyspace.name != DEFAULT_NAME) {
            keyspaces.push(Keyspace::built_in());
        }
        let mut state = ClusterState::assemble(Parts::first(plan.name, members, rings, keyspaces))?;
        state.parts.founding = state.first_fingerprint();
        state.fingerprint = state.checksum();
        Ok(state)
    }

    /// A state of these parts, each of which is sound by itself: checks what must hold between them.
    pub(crate) fn assemble(mut parts: Parts) -> Result<ClusterState, ConfigError> {
        let data_centers = data_centers(&parts.members)?;
        let data_center_of =
            parts.members.iter().map(|member| number_of(&data_centers, &member.data_center)).collect();
        parts.keyspaces.sort_by_key(|keyspace| keyspace.id);
        check_keyspaces(&parts.keyspaces, &data_centers)?;
        parts.check()?;
        for keyspace in &mut parts.keyspaces {
            keyspace.copies = copies(keyspace, &data_centers, &parts.members);
        }
        let default = parts.keyspaces.iter().position(|keyspace| keyspace.name == DEFAULT_NAME);
        let default = default
            .ok_or_else(|| ConfigError::new("keyspaces", parts.keyspaces.len(), "`default` is missing"))?;
        let owners = parts.keyspaces.iter().map(|keyspace| parts.owners(keyspace.id)).collect();
        let mut state = ClusterState { parts, data_centers, data_center_of, owners, default, fingerprint: 0 };
        state.fingerprint = state.checksum();
        Ok(state)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// By what the cluster is told from others of the same name: what its first state came to.
    pub fn founding(&self) -> u64 {
        self.parts.founding
    }

    /// How often its history was begun again, because the majority of those who keep it was lost for good.
    pub fn generation(&self) -> u32 {
        self.parts.generation
    }

    /// The number of its history, by which two that were begun again at once are told apart; 0 of the first.
    pub fn history(&self) -> u64 {
        self.parts.history
    }

    /// The number of this state among the cluster's states.
    pub fn epoch(&self) -> Epoch {
        self.parts.epoch
    }

    /// What the state comes to: equal states have equal fingerprints, and others, but for one in 2^64, do not.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The members, ascending by id.
    pub fn members(&self) -> &[Member] {
        &self.parts.members
    }

    /// The member with this id.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.index_of(node).map(|index| &self.parts.members[index])
    }

    /// The member with this name.
    pub fn member_by_name(&self, name: &str) -> Option<&Member> {
        self.parts.members.iter().find(|member| member.name == name)
    }

    /// Whether this was a member once and is none any more, or is gone for good.
    pub fn was_removed(&self, node: NodeId) -> bool {
        match self.member(node) {
            Some(member) => member.standing == Standing::Gone,
            None => node < self.parts.next_node,
        }
    }

    /// The place of a member among [`ClusterState::members`].
    pub(crate) fn index_of(&self, node: NodeId) -> Option<usize> {
        self.parts.members.binary_search_by_key(&node, |member| member.id).ok()
    }

    /// The names of the data centers; the number of one is its place here.
    pub fn data_centers(&self) -> &[String] {
        &self.data_centers
    }

    /// The number of a member's data center; of a node that is no member, a number that no data center has.
    pub fn data_center_of(&self, node: NodeId) -> DataCenter {
        self.index_of(node).map_or(DataCenter::MAX, |index| self.data_center_of[index])
    }

    /// The keyspaces, ascending by id.
    pub fn keyspaces(&self) -> &[Keyspace] {
        &self.parts.keyspaces
    }

    /// The keyspace with this id.
    pub fn keyspace(&self, id: KeyspaceId) -> Option<&Keyspace> {
        self.keyspace_index(id).map(|index| &self.parts.keyspaces[index])
    }

    /// The keyspace with this name.
    pub fn keyspace_by_name(&self, name: &str) -> Option<&Keyspace> {
        self.parts.keyspaces.iter().find(|keyspace| keyspace.name == name)
    }

    /// The keyspace with this number, the one that `SELECT` takes.
    pub fn keyspace_by_number(&self, number: u32) -> Option<&Keyspace> {
        self.parts.keyspaces.iter().find(|keyspace| keyspace.number == number)
    }

    /// Whether there was a keyspace with this id and it was dropped.
    pub fn was_dropped(&self, id: KeyspaceId) -> bool {
        id < self.parts.next_keyspace && self.keyspace(id).is_none()
    }

    /// Keyspace `default`, which every state has.
    pub fn default_keyspace(&self) -> &Keyspace {
        &self.parts.keyspaces[self.default]
    }

    fn keyspace_index(&self, id: KeyspaceId) -> Option<usize> {
        self.parts.keyspaces.binary_search_by_key(&id, |keyspace| keyspace.id).ok()
    }

    /// The rings of all data centers, as they are to be when all partitions have arrived.
    pub fn rings(&self) -> &Rings {
        &self.parts.target().rings
    }

    /// How the slots are cut.
    pub fn partitions(&self) -> Partitions {
        self.rings().partitions()
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> u32 {
        u32::from(self.partitions().count())
    }

    /// The partition that a key is in.
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        self.partitions().of_key(key)
    }

    /// The partition that holds slot `slot`, and the last slot that it holds. Numbers past the last slot count as it.
    pub fn partition_of_slot(&self, slot: u16) -> (PartitionId, u16) {
        let slot = Slot::new(slot.min(SLOTS - 1)).expect("the number is below SLOTS");
        let partition = self.partitions().of_slot(slot);
        let slots = self.partitions().slots_of(partition).expect("every slot is in a partition that exists");
        (partition, *slots.end())
    }

    /// The owners of a partition in a keyspace, who answer reads, in the order of the preference list; none if there is no such
    /// keyspace or partition. A look-up in a table.
    pub fn owners(&self, keyspace: KeyspaceId, partition: PartitionId) -> &[NodeId] {
        self.keyspace_index(keyspace).map_or(&[], |index| self.owners[index].of(partition))
    }

    /// The same with those who have to do with it because it moves.
    pub fn all_owners(&self, keyspace: KeyspaceId, partition: PartitionId) -> Owners<'_> {
        let nobody = Owners { read: &[], also_written: &[], clearing: &[] };
        self.keyspace_index(keyspace).map_or(nobody, |index| self.owners[index].all_of(partition))
    }

    /// Whether a node may hold something of a partition, in any keyspace.
    pub fn holds(&self, node: NodeId, partition: PartitionId) -> bool {
        self.owners.iter().any(|table| table.all_of(partition).holders().any(|holder| holder == node))
    }

    /// Since when the owners of a partition are who they are: what was routed by an earlier state is refused (INVARIANTS E1). All
    /// that was routed by another number of partitions is: by fewer or more of before, or by those of a state that is yet to come.
    pub fn since(&self, partition: PartitionId) -> Epoch {
        let since = &self.parts.since;
        let earliest = || since.iter().min().copied().unwrap_or_default();
        since.get(usize::from(partition.0)).copied().unwrap_or_else(earliest)
    }

    /// The same owners and movements, of so many partitions, where that is more than there are: each part of one goes by what the
    /// whole went by. Nothing where it is fewer.
    pub fn cut_finer(&self, partitions: Partitions) -> Option<ClusterState> {
        let mut parts = self.parts.clone();
        while parts.target().rings.partitions().count() < partitions.count() {
            parts.cut_in_halves().ok()?;
        }
        let is_cut = parts.target().rings.partitions() == partitions;
        if is_cut { ClusterState::assemble(parts).ok() } else { None }
    }

    /// The same for a keyspace: since its last settings too.
    pub fn since_in(&self, keyspace: KeyspaceId, partition: PartitionId) -> Epoch {
        self.keyspace(keyspace).map_or(self.epoch(), |keyspace| keyspace.since).max(self.since(partition))
    }

    /// The partitions that move, and how far each is.
    pub fn movements(&self) -> &BTreeMap<PartitionId, Movement> {
        &self.parts.movements
    }

    /// How a partition moves; nothing where it is at rest.
    pub fn movement(&self, partition: PartitionId) -> Option<&Movement> {
        self.parts.movements.get(&partition)
    }

    /// The layout that a partition is at, or was until it began to move.
    pub fn layout_of(&self, partition: PartitionId) -> Option<LayoutId> {
        self.parts.at.get(usize::from(partition.0)).copied()
    }

    /// Whether each two halves are to become one, and go to where they can.
    pub fn is_merging(&self) -> bool {
        self.parts.is_merging
    }

    /// Whether all are there.
    pub fn may_join_halves(&self) -> bool {
        self.parts.may_join_halves()
    }

    /// The partitions that are yet to go to the last layout and do not move.
    pub fn waiting_to_move(&self) -> impl Iterator<Item = PartitionId> + '_ {
        let target = self.parts.target().id;
        let partitions = self.partitions().iter().zip(&self.parts.at);
        partitions
            .filter(move |(partition, at)| **at != target && !self.parts.movements.contains_key(partition))
            .map(|(partition, _)| partition)
    }

    /// The owners of a partition by the N of `default`: what a Redis Cluster client is shown.
    pub fn default_owners(&self, partition: PartitionId) -> &[NodeId] {
        self.owners[self.default].of(partition)
    }

    /// The owners and all fallbacks of a partition in a keyspace. Worked out when asked: for failures, not for every
    /// request.
    pub fn preference_list(&self, keyspace: KeyspaceId, partition: PartitionId) -> PreferenceList {
        let Some(at) = self.parts.read_layout(partition) else {
            return PreferenceList::default();
        };
        let mut list = at.preference_list(keyspace, partition);
        // Who is among the owners of either set counts there, and stands in for nobody.
        let owners = self.all_owners(keyspace, partition);
        list.fallbacks
            .retain(|node| owners.holders().all(|holder| holder != *node) && self.may_stand_in(*node));
        list
    }

    /// Whether a node may keep anything for others (INVARIANTS A3). One that leaves is gone as soon as it has handed over what it had,
    /// and one that joins as soon as somebody has changed his mind, though nobody else has what it keeps.
    pub fn may_stand_in(&self, node: NodeId) -> bool {
        self.member(node).is_some_and(|member| member.standing == Standing::Settled)
    }

    /// The fallbacks of a partition in a keyspace, first the one that stands in first.
    pub fn fallbacks(&self, keyspace: KeyspaceId, partition: PartitionId) -> Vec<NodeId> {
        self.preference_list(keyspace, partition).fallbacks
    }

    /// All slots in order, as runs with the same owners in `default`; neighbouring partitions with the same owners are
    /// one run.
    pub fn slot_runs(&self) -> Vec<SlotRun> {
        let mut runs: Vec<SlotRun> = Vec::new();
        for partition in self.partitions().iter() {
            let slots =
                self.partitions().slots_of(partition).expect("the partition comes from the ring itself");
            let owners = self.default_owners(partition);
            match runs.last_mut() {
                Some(run) if run.owners == owners => run.last = *slots.end(),
                _ => {
                    runs.push(SlotRun { first: *slots.start(), last: *slots.end(), owners: owners.to_vec() });
                }
            }
        }
        runs
    }
}

/// Numbers members from 1 in the order of their names.
fn number_members(mut plans: Vec<MemberPlan>) -> Result<Vec<Member>, ConfigError> {
    if !(1..=MEMBERS_MAX).contains(&plans.len()) {
        let wanted = format!("a cluster has 1 to {MEMBERS_MAX} members");
        return Err(ConfigError::new("cluster.members", plans.len(), wanted));
    }
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = plans.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let wanted = "two members have this id: give each its own";
        return Err(ConfigError::new("cluster.members.id", format!("{:?}", pair[0].name), wanted));
    }
    let members: Vec<Member> =
        (1..).map(NodeId).zip(plans).map(|(id, plan)| Member::new(id, plan, Standing::Settled)).collect();
    members.iter().try_for_each(Member::check)?;
    Ok(members)
}

fn data_centers(members: &[Member]) -> Result<Vec<String>, ConfigError> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.data_center.as_str()).collect();
    if names.len() > DATA_CENTERS_MAX {
        let wanted = format!("a cluster has at most {DATA_CENTERS_MAX} data centers");
        return Err(ConfigError::new("cluster.members.datacenter", names.len(), wanted));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn number_of(data_centers: &[String], name: &str) -> DataCenter {
    let place = data_centers.iter().position(|known| known == name).expect("the names come from the members");
    DataCenter::try_from(place).expect("there are at most DATA_CENTERS_MAX")
}

fn check_keyspaces(keyspaces: &[Keyspace], data_centers: &[String]) -> Result<(), ConfigError> {
    if keyspaces.len() > KEYSPACES_MAX {
        let wanted = format!("a cluster has at most {KEYSPACES_MAX} keyspaces");
        return Err(ConfigError::new("keyspaces", keyspaces.len(), wanted));
    }
    let (mut names, mut numbers, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for keyspace in keyspaces {
        keyspace.check(data_centers)?;
        if !names.insert(&keyspace.name) {
            let wanted = "two keyspaces have this name: give each its own";
            return Err(ConfigError::new("keyspaces.name", format!("{:?}", keyspace.name), wanted));
        }
        if !numbers.insert(keyspace.number) || !ids.insert(keyspace.id) {
            let wanted = "another keyspace has this number: give each its own, or leave it out";
            return Err(ConfigError::new(
                format!("keyspaces.{}.number", keyspace.name),
                keyspace.number,
                wanted,
            ));
        }
    }
    Ok(())
}

/// How many replicas each data center really keeps, or is to.
fn copies(keyspace: &Keyspace, data_centers: &[String], members: &[Member]) -> Vec<(DataCenter, u8)> {
    let copies_in = |name: &String| {
        let stays = |member: &&Member| member.data_center == *name && member.standing.stays();
        let nodes = members.iter().filter(stays).count();
        let count = keyspace.n.in_data_center(name).min(nodes);
        u8::try_from(count).expect("N is at most REPLICAS_MAX in a data center")
    };
    (0..).zip(data_centers.iter().map(copies_in)).filter(|&(_, count)| count > 0).collect()
}
