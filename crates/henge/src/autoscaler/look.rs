//! The view: the cluster as the leader sees it, for the decider.
//!
//! What must hold: who is a member and how he stands is what the cluster state says; that he is down is what observers agree on by
//! gossip, not what this node alone has seen; and since when is the time since anybody heard of him, or since this node began to lead
//! where nobody ever did.

use std::collections::BTreeMap;

use api::{MemberStatus, MovementStatus, NodeLoad, NodeStanding, NodeStatus, Status};
use autoscale::{DataCenterNeeds, HotPartition, MovementView, NodeState, NodeView, View};
use provider::Provided;
use ring::SLOTS;
use types::{Instant, NodeId, PartitionId};

use super::capacity::Capacities;

/// All that a view is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) now: Instant,
    pub(super) status: &'a Status,
    pub(super) members: &'a [MemberStatus],
    pub(super) provided: &'a [Provided],
}

/// Up to how many partitions for each member all are halved because one is hot.
const PARTITIONS_FOR_EACH_MAX: u32 = 256;

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since when members that were never heard of are taken for down.
    unheard_since: BTreeMap<NodeId, Instant>,
    /// What nodes are good for.
    capacities: Capacities,
}

/// What the decider is shown.
pub(super) fn view(seen: Seen<'_>, memory: &mut Memory) -> View {
    let Seen { now, status, provided, .. } = seen;
    memory.unheard_since.retain(|id, _| status.nodes.iter().any(|node| node.id == *id));
    memory.capacities.retain(|id| status.nodes.iter().any(|node| node.id == id));
    let mut nodes: Vec<NodeView> = status.nodes.iter().map(|node| node_view(seen, node, memory)).collect();
    let weights: Vec<(NodeId, u32)> = nodes.iter().map(|node| (node.id, node.weight_thousandths)).collect();
    for node in &mut nodes {
        let others = weights.iter().copied();
        node.operations_per_second_max = memory.capacities.of(node.id, node.weight_thousandths, others);
    }
    let is_member = |name: &str| status.nodes.iter().any(|node| node.name == name);
    View {
        now,
        epoch: status.epoch,
        needs: needs(status),
        movements: status.movements.iter().filter_map(|one| movement(status, &nodes, one)).collect(),
        waiting: usize::try_from(status.waiting).unwrap_or(usize::MAX),
        partitions: status.partitions,
        is_splittable: may_be_halved(status),
        is_merging: status.is_merging,
        requested: provided.iter().filter(|one| !is_member(&one.name)).map(Provided::requested).collect(),
        nodes,
    }
}

fn node_view(seen: Seen<'_>, node: &NodeStatus, memory: &mut Memory) -> NodeView {
    let heard = seen.members.iter().find(|member| member.name == node.name);
    let load = heard.and_then(|member| member.load.clone()).unwrap_or_default();
    let provided = seen.provided.iter().find(|one| one.name == node.name);
    memory.capacities.observe(node.id, &load);
    NodeView {
        id: node.id,
        name: node.name.clone(),
        state: state(seen.now, node, heard, memory),
        data_center: node.data_center.clone(),
        rack: node.rack.clone(),
        weight_thousandths: thousandths(node.weight),
        cpu_permille: u32::from(load.cpu_permille),
        operations_per_second: u64::from(load.operations_per_second),
        operations_per_second_max: None,
        disk_used_bytes: load.disk_used_bytes,
        disk_bytes: load.disk_bytes,
        partitions: node.replicas,
        hottest: hottest(seen, node, &load),
        is_provided: provided.is_some(),
        is_retirable: provided.is_some_and(|one| one.is_retirable),
    }
}

/// The partitions on which a node does most, of those that it owns now.
///
/// Rates of partitions follow a change within a minute only. So one that the node has given away since is passed over; and of one that
/// it has just got, the others who own it know better how hot it is. Whoever took it for cooler would move it on and on.
fn hottest(seen: Seen<'_>, node: &NodeStatus, load: &NodeLoad) -> Vec<HotPartition> {
    let rate_of = |owner: &NodeId, partition: PartitionId| {
        let name = seen.status.nodes.iter().find(|node| node.id == *owner).map(|node| &node.name);
        let heard = seen.members.iter().find(|member| Some(&member.name) == name);
        let hottest = heard.and_then(|member| member.load.as_ref()).map(|load| load.hottest.as_slice());
        let rates = hottest.unwrap_or_default().iter().filter(move |hot| hot.partition == partition);
        rates.map(|hot| hot.operations_per_second).max().unwrap_or(0)
    };
    let hot = |partition: PartitionId| {
        let owners = owners(seen.status, partition, &node.data_center);
        let rate = owners.iter().map(|owner| rate_of(owner, partition)).max().unwrap_or(0);
        owners.contains(&node.id).then(|| HotPartition {
            partition,
            operations_per_second: u64::from(rate),
            owners,
            is_splittable: may_be_halved(seen.status),
        })
    };
    load.hottest.iter().filter_map(|one| hot(one.partition)).collect()
}

/// Whether partitions may be halved once more. No halving parts one key from itself: where a single one is what is hot, it must end
/// before there are so many partitions that they cost more than they help.
fn may_be_halved(status: &Status) -> bool {
    let members = u32::try_from(status.nodes.len()).unwrap_or(u32::MAX);
    status.partitions < u32::from(SLOTS).min(members.saturating_mul(PARTITIONS_FOR_EACH_MAX))
}

/// How a member is. One that is down counts so whether it joins, leaves or neither: it does none of them by itself.
fn state(now: Instant, node: &NodeStatus, heard: Option<&MemberStatus>, memory: &mut Memory) -> NodeState {
    if node.standing == NodeStanding::Gone {
        return NodeState::Leaving;
    }
    let is_unheard = heard.is_none_or(|member| member.age.is_none());
    let is_down = match heard {
        Some(member) if !is_unheard => member.verdict == "down",
        // Nobody accuses one that was never heard; that it cannot be reached either is all that there is to go by.
        _ => node.state == api::NodeState::Down,
    };
    if !is_down {
        memory.unheard_since.remove(&node.id);
        return match node.standing {
            NodeStanding::Joining => NodeState::Joining,
            NodeStanding::Leaving => NodeState::Leaving,
            NodeStanding::Settled | NodeStanding::Gone => NodeState::Up,
        };
    }
    let silent = heard.and_then(|member| member.age);
    let since = match silent {
        Some(age) => Instant(now.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))),
        None => *memory.unheard_since.entry(node.id).or_insert(now),
    };
    NodeState::Down { since }
}

/// Who owns a partition in a data center.
fn owners(status: &Status, partition: PartitionId, data_center: &str) -> Vec<NodeId> {
    let slots = u32::from(SLOTS) / status.partitions.max(1);
    let first = u32::from(partition.0) * slots;
    let run = status.slots.iter().find(|run| u32::from(run.first) <= first && first <= u32::from(run.last));
    let places = run.into_iter().flat_map(|run| &run.owners);
    let nodes = places.filter_map(|place| status.nodes.get(*place));
    nodes.filter(|node| node.data_center == data_center).map(|node| node.id).collect()
}

/// The greatest N that a keyspace has in each data center.
fn needs(status: &Status) -> Vec<DataCenterNeeds> {
    let mut data_centers: Vec<&str> = status.nodes.iter().map(|node| node.data_center.as_str()).collect();
    data_centers.sort_unstable();
    data_centers.dedup();
    let replicas = |data_center: &str| {
        let each = status.keyspaces.iter().map(|keyspace| replicas(&keyspace.n_text, data_center));
        each.max().unwrap_or(0)
    };
    data_centers
        .into_iter()
        .map(|name| DataCenterNeeds { data_center: name.to_owned(), replicas: replicas(name) })
        .collect()
}

/// An N as it is shown, `3` or `dc1=2,dc2=1`, in a data center.
fn replicas(n: &str, data_center: &str) -> u32 {
    if let Ok(everywhere) = n.parse() {
        return everywhere;
    }
    let here = n.split(',').filter_map(|one| one.split_once('=')).find(|(name, _)| *name == data_center);
    here.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
}

/// A movement by the numbers of its nodes; nothing where it has none.
fn movement(status: &Status, nodes: &[NodeView], movement: &MovementStatus) -> Option<MovementView> {
    let id = |name: &String| status.nodes.iter().find(|node| node.name == *name).map(|node| node.id);
    let (from, to) = (movement.from.first().and_then(id), movement.to.first().and_then(id));
    let is_down = |id: &NodeId| nodes.iter().any(|node| node.id == *id && node.is_down());
    let waits_for: Vec<NodeId> = movement.waits_for.iter().flatten().filter_map(id).collect();
    // One that also waits for somebody who works is not held up.
    let held_up = !waits_for.is_empty() && waits_for.iter().all(is_down);
    Some(MovementView {
        partition: PartitionId(movement.partition),
        from: from.or(to)?,
        to: to.or(from)?,
        held_up_by: waits_for.first().copied().filter(|_| held_up),
    })
}

/// A weight in thousandths, which is as fine as the ring weighs.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a weight is from 0.001 to 1000")]
fn thousandths(weight: f64) -> u32 {
    (weight * 1_000.0).round().max(0.0) as u32
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use api::{GroupStatus, KeyspaceStatus, PartitionRate, SlotRange};
    use quorum::Level;
    use types::{Epoch, KeyspaceId, WallTime};

    use super::*;

    fn node(id: u16) -> NodeStatus {
        NodeStatus {
            id: NodeId(id),
            name: format!("n{id}"),
            state: api::NodeState::Up,
            standing: NodeStanding::Settled,
            data_center: "dc1".to_owned(),
            rack: format!("r{id}"),
            weight: 1.5,
            partitions: 2,
            replicas: 4,
            resp: None,
            cluster: None,
            http: None,
            peer: None,
        }
    }

    fn keyspace(n_text: &str) -> KeyspaceStatus {
        KeyspaceStatus {
            id: KeyspaceId(0),
            number: 0,
            name: "default".to_owned(),
            n: 3,
            n_text: n_text.to_owned(),
            r: Level::Quorum,
            w: Level::Quorum,
            policy: "lww".to_owned(),
            quorum: "sloppy".to_owned(),
            durability: "always".to_owned(),
            model: "strong".to_owned(),
            model_sentence: String::new(),
            key_bytes_max: 1,
            value_bytes_max: 1,
            siblings_max: 1,
            require_context: false,
            allow_flush: false,
        }
    }

    /// Four nodes, `n1` to `n4`, and four partitions.
    pub(in crate::autoscaler) fn status() -> Status {
        let slots =
            |first, last, owners: &[usize]| SlotRange { first, last, primary: 0, owners: owners.to_vec() };
        Status {
            name: "example".to_owned(),
            epoch: Epoch(7),
            here: 0,
            nodes: (1..=4).map(node).collect(),
            keyspaces: vec![keyspace("2"), keyspace("dc1=3,dc2=1")],
            partitions: 4,
            slots: vec![slots(0, 8191, &[0, 1, 2]), slots(8192, 16383, &[1, 2, 3])],
            movements: Vec::new(),
            waiting: 0,
            is_merging: false,
            group: GroupStatus::default(),
            data_dir: "d".into(),
            version: String::new(),
            started: WallTime(0),
            notices: Vec::new(),
        }
    }

    fn member(id: u16, verdict: &'static str, age: Option<u64>) -> MemberStatus {
        MemberStatus {
            name: format!("n{id}"),
            verdict,
            generation: age.map(|_| 1),
            heartbeat: 1,
            age: age.map(Duration::from_secs),
            phi: 0.0,
            suspected_by: Vec::new(),
            disk_is_full: false,
            load: None,
        }
    }

    const NOW: Instant = Instant(100_000_000_000);

    fn second(second: u64) -> Instant {
        Instant(second * 1_000_000_000)
    }

    fn look(status: &Status, members: &[MemberStatus], provided: &[Provided], memory: &mut Memory) -> View {
        view(Seen { now: NOW, status, members, provided }, memory)
    }

    /// Down is what observers agree on; and it counts from when anybody heard of the node last.
    #[test]
    fn a_node_is_down_since_it_was_heard_last() {
        let mut status = status();
        status.nodes[1].state = api::NodeState::Down;
        let members =
            [member(1, "up", Some(0)), member(2, "suspected", Some(9)), member(3, "down", Some(30))];
        let view = look(&status, &members, &[], &mut Memory::default());
        let states: Vec<NodeState> = view.nodes.iter().map(|node| node.state).collect();
        assert_eq!(states[..2], [NodeState::Up, NodeState::Up]);
        assert_eq!(states[2], NodeState::Down { since: second(70) });
    }

    /// Who was never heard of, and cannot be reached, counts from when this node began to look.
    #[test]
    fn a_node_that_was_never_heard_is_down_since_it_is_looked_for() {
        let (mut status, mut memory) = (status(), Memory::default());
        status.nodes[3].state = api::NodeState::Down;
        let members = [member(4, "never heard", None)];
        let down = |since| NodeState::Down { since };
        assert_eq!(look(&status, &members, &[], &mut memory).nodes[3].state, down(NOW));
        let later = Seen { now: second(160), status: &status, members: &members, provided: &[] };
        assert_eq!(view(later, &mut memory).nodes[3].state, down(NOW));
        status.nodes[3].state = api::NodeState::Up;
        assert_eq!(look(&status, &members, &[], &mut memory).nodes[3].state, NodeState::Up);
        assert!(memory.unheard_since.is_empty());
    }

    /// One that joins or leaves and is down will do neither: it is down.
    #[test]
    fn who_joins_or_leaves_and_is_down_is_down() {
        let mut status = status();
        status.nodes[0].standing = NodeStanding::Joining;
        status.nodes[1].standing = NodeStanding::Leaving;
        status.nodes[2].standing = NodeStanding::Leaving;
        status.nodes[3].standing = NodeStanding::Gone;
        let members = [member(1, "up", Some(0)), member(2, "up", Some(0)), member(3, "down", Some(1))];
        let view = look(&status, &members, &[], &mut Memory::default());
        let states: Vec<NodeState> = view.nodes.iter().map(|node| node.state).collect();
        let down = NodeState::Down { since: second(99) };
        assert_eq!(states, [NodeState::Joining, NodeState::Leaving, down, NodeState::Leaving]);
    }

    #[test]
    fn a_load_is_what_the_node_says_of_itself() {
        let mut one = member(2, "up", Some(1));
        let hottest = vec![PartitionRate { partition: PartitionId(2), operations_per_second: 300 }];
        one.load = Some(NodeLoad {
            cpu_permille: 400,
            operations_per_second: 900,
            disk_used_bytes: 5,
            disk_bytes: 50,
            hottest,
        });
        let view = look(&status(), &[one], &[], &mut Memory::default());
        let node = &view.nodes[1];
        assert_eq!(
            (node.cpu_permille, node.operations_per_second, node.weight_thousandths),
            (400, 900, 1_500)
        );
        assert_eq!((node.disk_used_bytes, node.disk_bytes, node.partitions), (5, 50, 4));
        assert_eq!(node.hottest[0].owners, [2, 3, 4].map(NodeId));
        assert!(node.hottest[0].is_splittable);
        let replicas: Vec<(&str, u32)> =
            view.needs.iter().map(|needs| (needs.data_center.as_str(), needs.replicas)).collect();
        assert_eq!(replicas, [("dc1", 3)]);
    }

    /// A partition that has just come is as hot as its other owners say, and one that has been given away is none of the node's.
    #[test]
    fn a_partition_is_as_hot_as_its_owners_say() {
        let hot = |rates: &[(u16, u32)]| {
            let rate = |(partition, rate): &(u16, u32)| PartitionRate {
                partition: PartitionId(*partition),
                operations_per_second: *rate,
            };
            Some(NodeLoad { hottest: rates.iter().map(rate).collect(), ..NodeLoad::default() })
        };
        let mut members = [1, 2, 3, 4].map(|id| member(id, "up", Some(0)));
        // Of the four partitions the first two are of n1, n2 and n3, the others of n2, n3 and n4.
        members[0].load = hot(&[(0, 20), (2, 500)]);
        members[1].load = hot(&[(0, 90)]);
        members[3].load = hot(&[(0, 700), (3, 40)]);
        let view = look(&status(), &members, &[], &mut Memory::default());
        let of = |place: usize| -> Vec<(u16, u64)> {
            let hottest = view.nodes[place].hottest.iter();
            hottest.map(|hot| (hot.partition.0, hot.operations_per_second)).collect()
        };
        assert_eq!((of(0), of(1), of(3)), (vec![(0, 90)], vec![(0, 90)], vec![(3, 40)]));
    }

    #[test]
    fn an_n_is_read_as_it_is_shown() {
        assert_eq!(
            [("3", "dc2"), ("dc1=2,dc2=1", "dc2"), ("dc1=2", "dc2")].map(|(n, dc)| replicas(n, dc)),
            [3, 1, 0]
        );
    }

    /// What the provider has started is beside the members until it is one, and again when it has left.
    #[test]
    fn what_the_provider_started_and_is_no_member_is_listed() {
        let provided = |name: &str, is_retirable| Provided {
            name: name.to_owned(),
            data_center: "dc1".to_owned(),
            rack: "r9".to_owned(),
            is_running: true,
            is_retirable,
        };
        let provided = [provided("auto-7", true), provided("n3", true), provided("n4", false)];
        let view = look(&status(), &[], &provided, &mut Memory::default());
        let requested: Vec<&str> = view.requested.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(requested, ["auto-7"]);
        let of = |place: usize| (view.nodes[place].is_provided, view.nodes[place].is_retirable);
        assert_eq!([of(1), of(2), of(3)], [(false, false), (true, true), (true, false)]);
    }

    /// A movement that waits for nobody but a dead node is told from one that works.
    #[test]
    fn a_movement_may_be_held_up_by_a_dead_node() {
        let mut status = status();
        let movement = |partition, waits_for: &[&str]| MovementStatus {
            partition,
            session: Epoch(6),
            stage: "switched",
            from: vec!["n1".to_owned()],
            to: Vec::new(),
            keyspaces: Vec::new(),
            bytes_total: None,
            bytes_done: None,
            waits_for: Some(waits_for.iter().map(|&name| name.to_owned()).collect()),
        };
        status.movements = vec![movement(0, &["n3"]), movement(1, &["n3", "n2"]), movement(2, &[])];
        status.waiting = 5;
        let view = look(&status, &[member(3, "down", Some(1))], &[], &mut Memory::default());
        let held_up: Vec<Option<NodeId>> = view.movements.iter().map(|one| one.held_up_by).collect();
        assert_eq!(held_up, [Some(NodeId(3)), None, None]);
        assert_eq!((view.movements[0].from, view.movements[0].to, view.waiting), (NodeId(1), NodeId(1), 5));
    }
}
