//! About how much there is of partitions, and how much of those that move has come.
//!
//! Each shard looks at a few of its partitions a second and tells the shard that speaks for the node; that one tells whoever leads,
//! a few with each report, one after the other. So what is said does not grow with the number of partitions, what was lost on the way
//! is said again, and a leader knows nothing that another one would not soon know. What must hold: nothing follows from these figures
//! but what people are shown; and what nobody has told is not known, and is not zero.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{ClusterState, Stage};
use replica::Replica;
use serde::{Deserialize, Serialize};
use types::{Epoch, Instant, NodeId, PartitionId};

/// How often a shard looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// At how many of its partitions.
const LOOKS_AT: usize = 32;

/// Of how many a report tells.
const TELLS_OF: usize = 32;

/// What a shard, or a node, says of its partitions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// About how many bytes of keys and values it holds of some.
    held: Vec<(PartitionId, u64)>,
    /// How many it has fetched so far of each that it is to get, by the name of the movement.
    got: Vec<(PartitionId, Epoch, u64)>,
}

/// A shard's looking.
#[derive(Debug, Default)]
pub(super) struct Looking {
    next: usize,
    at: Instant,
}

impl Looking {
    /// What there is to be told, if it is time.
    pub(super) fn look(&mut self, now: Instant, replica: &Replica) -> Option<Amounts> {
        if self.at > now {
            return None;
        }
        self.at = now + LOOK_EVERY;
        let (held, next) = replica.amounts(self.next, LOOKS_AT);
        self.next = next;
        Some(Amounts { held, got: replica.fetched() })
    }
}

/// What a node knows of its own.
#[derive(Debug, Default)]
pub(super) struct Own {
    held: BTreeMap<PartitionId, u64>,
    got: BTreeMap<PartitionId, (Epoch, u64)>,
    /// The last that was told of.
    told: Option<PartitionId>,
}

impl Own {
    /// One of its shards has looked. `is_its` says which partitions are that shard's.
    pub(super) fn take(&mut self, amounts: Amounts, is_its: impl Fn(PartitionId) -> bool) {
        self.held.extend(amounts.held);
        self.got.retain(|partition, _| !is_its(*partition));
        self.got
            .extend(amounts.got.into_iter().map(|(partition, session, bytes)| (partition, (session, bytes))));
    }

    /// What the next report tells.
    pub(super) fn tell_of_some(&mut self) -> Amounts {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.told.map_or(Unbounded, Excluded);
        let held: Vec<(PartitionId, u64)> =
            self.held.range((from, Unbounded)).take(TELLS_OF).map(|(one, bytes)| (*one, *bytes)).collect();
        self.told = held.last().filter(|_| held.len() == TELLS_OF).map(|(one, _)| *one);
        Amounts {
            held,
            got: self.got.iter().map(|(one, (session, bytes))| (*one, *session, *bytes)).collect(),
        }
    }

    /// About how many bytes this node has of a partition that it answers for; nothing where it does not know.
    pub(super) fn of(&self, state: &ClusterState, here: NodeId, partition: PartitionId) -> Option<u64> {
        is_read_at(state, here, partition).then(|| self.held.get(&partition).copied()).flatten()
    }
}

/// What all nodes have told whoever leads.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_node: BTreeMap<NodeId, Has>,
}

/// What one of them has.
#[derive(Debug, Default)]
struct Has {
    held: BTreeMap<PartitionId, u64>,
    got: Vec<(PartitionId, Epoch, u64)>,
}

impl Told {
    /// A node tells. What it says of partitions that there are not is left out, and so is what nodes said that are members no more.
    pub(super) fn take(&mut self, state: &ClusterState, node: NodeId, amounts: Amounts) {
        let has = self.by_node.entry(node).or_default();
        let is_there = |(partition, _): &(PartitionId, u64)| u32::from(partition.0) < state.partition_count();
        has.held.extend(amounts.held.into_iter().filter(is_there));
        has.got = amounts.got;
        self.by_node.retain(|node, _| state.member(*node).is_some());
    }

    /// About how many bytes there are of a partition: as many as that one of those has who answer for it that has most.
    pub(super) fn of(&self, state: &ClusterState, partition: PartitionId) -> Option<u64> {
        let owners = state.keyspaces().iter().flat_map(|keyspace| state.owners(keyspace.id, partition));
        owners.filter_map(|owner| self.by_node.get(owner)?.held.get(&partition).copied()).max()
    }

    /// About how many bytes all who get a partition are to be sent, and how many of those they have.
    pub(super) fn of_movement(&self, state: &ClusterState, partition: PartitionId) -> Option<(u64, u64)> {
        let movement = state.movement(partition)?;
        let each = self.of(state, partition)?;
        let gaining = state.gaining(partition);
        let total = each * gaining.len() as u64;
        if movement.stage != Stage::Filling {
            return Some((total, total));
        }
        let got = |node: &NodeId| {
            let mut of_node = self.by_node.get(node).into_iter().flat_map(|has| &has.got);
            let of_it = of_node.find(|(one, session, _)| (*one, *session) == (partition, movement.session.0));
            of_it.map_or(0, |(_, _, bytes)| (*bytes).min(each))
        };
        Some((total, gaining.iter().map(got).sum()))
    }
}

fn is_read_at(state: &ClusterState, node: NodeId, partition: PartitionId) -> bool {
    state.keyspaces().iter().any(|keyspace| state.owners(keyspace.id, partition).contains(&node))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at surprises")]
mod tests {
    use cluster::{Addresses, Command, FoundingPlan, Keyspace, MemberPlan, Step};
    use ring::Partitions;

    use super::*;

    fn held(numbers: std::ops::Range<u16>) -> Amounts {
        let held = numbers.map(|number| (PartitionId(number), u64::from(number) * 10)).collect();
        Amounts { held, got: vec![(PartitionId(1), Epoch(7), 5)] }
    }

    /// However many partitions there are, a report tells of so many, and all have their turn.
    #[test]
    fn all_partitions_are_told_of_in_turn() {
        let mut own = Own::default();
        own.take(held(0..100), |_| true);
        let mut told: Vec<(PartitionId, u64)> = Vec::new();
        for turn in 0..4 {
            let amounts = own.tell_of_some();
            assert!(amounts.held.len() <= TELLS_OF);
            assert_eq!(amounts.got, [(PartitionId(1), Epoch(7), 5)], "what moves is told each time, {turn}");
            told.extend(amounts.held);
        }
        assert_eq!(told, held(0..100).held);
        assert_eq!(own.tell_of_some().held.first(), Some(&(PartitionId(0), 0)), "and again");
    }

    fn member(name: &str) -> MemberPlan {
        MemberPlan {
            name: name.to_owned(),
            data_center: "dc1".to_owned(),
            rack: name.to_owned(),
            weight: 1.0,
            addresses: Addresses::default(),
        }
    }

    /// A partition is as large as the largest of those who answer for it say; who gets it has what it says of this movement, and when
    /// it is read there it has all. What nobody has told of is not known.
    #[test]
    fn a_movement_is_of_as_many_bytes_as_those_who_give_it_away_hold() {
        let state = ClusterState::found(FoundingPlan {
            name: "test".to_owned(),
            members: ["n1", "n2", "n3"].map(member).into(),
            partitions: Partitions::new(4).unwrap(),
            keyspaces: vec![Keyspace::new(1, "k")],
        });
        let join = Command::Join { plan: Box::new(member("n4")), replaces: None };
        let state = state.unwrap().apply(&join).unwrap();
        let partition = state.waiting_to_move().next().unwrap();
        let state = state.apply(&Command::Begin { partitions: vec![partition] }).unwrap();
        let (fourth, session) = (state.members()[3].id, state.movement(partition).unwrap().session);
        let mut told = Told::default();
        assert_eq!((told.of(&state, partition), told.of_movement(&state, partition)), (None, None));
        for (member, bytes) in state.members().iter().zip([100, 120, 90, 999]) {
            told.take(&state, member.id, Amounts { held: vec![(partition, bytes)], got: Vec::new() });
        }
        assert_eq!(
            told.of(&state, partition),
            Some(120),
            "who is yet to get it does not say how much there is"
        );
        assert_eq!(told.of_movement(&state, partition), Some((120, 0)));
        let got = |session, bytes| Amounts { held: Vec::new(), got: vec![(partition, session, bytes)] };
        told.take(&state, fourth, got(Epoch(1), 50));
        assert_eq!(told.of_movement(&state, partition), Some((120, 0)), "of another movement");
        told.take(&state, fourth, got(session.0, 50));
        assert_eq!(told.of_movement(&state, partition), Some((120, 50)));
        let step = Step { partition, session, stage: Stage::Filling };
        let state =
            state.apply(&Command::Advance { steps: vec![step], of: state.partitions().count() }).unwrap();
        assert_eq!(told.of_movement(&state, partition), Some((999, 999)));
    }

    /// What a shard does not get any more is told no longer, and what another one gets is.
    #[test]
    fn a_shard_tells_of_its_own_partitions() {
        let mut own = Own::default();
        own.take(held(0..2), |one| one.0 < 10);
        own.take(Amounts { held: Vec::new(), got: vec![(PartitionId(11), Epoch(8), 6)] }, |one| one.0 >= 10);
        assert_eq!(own.tell_of_some().got, [(PartitionId(1), Epoch(7), 5), (PartitionId(11), Epoch(8), 6)]);
        own.take(Amounts::default(), |one| one.0 < 10);
        assert_eq!(own.tell_of_some().got, [(PartitionId(11), Epoch(8), 6)]);
    }
}
