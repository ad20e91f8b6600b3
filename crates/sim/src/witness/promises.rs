//! What each node has said it has stored, merged by key: a floor below which no later state of its disk may be.
//!
//! But for what all owners have agreed to be settled: that need not be held, if all of it was deleted or overwritten. And nothing is
//! promised by who is none of the owners: one that clears a partition takes in what others send him to compare, and drops it; one
//! that is to be filled begins by dropping what is of an earlier movement.

use std::collections::BTreeMap;

use bytes::Bytes;
use causality::Record;
use cluster::{ClusterState, Stage};
use replica::collection::standing::Standing;
use replica::store_key::{Slots, own_slot, parse, parse_mark, store_key};
use types::{Epoch, KeyspaceId, NodeId, OperationId, PartitionId};

use super::Place;

/// Whom a write was sent to, by whom, for which operation and round.
type Asked = (NodeId, NodeId, OperationId, u32);

/// What was promised.
#[derive(Debug, Default)]
pub struct Promises {
    under_way: BTreeMap<Asked, (Place, Record, Epoch)>,
    kept: BTreeMap<NodeId, BTreeMap<Bytes, Record>>,
}

impl Promises {
    /// A node is asked to store this, as the owners of this epoch.
    pub fn asked(&mut self, asked: Asked, place: Place, record: Record, epoch: Epoch) {
        self.under_way.insert(asked, (place, record, epoch));
    }

    /// It says that it has, while the cluster is at this state.
    pub fn stored(&mut self, state: &ClusterState, asked: Asked) {
        if let Some((place, record, epoch)) = self.under_way.remove(&asked) {
            let partition = state.partition_of(&place.1);
            if is_bound(state, asked.0, place.0, partition, |session| epoch >= session) {
                self.keep(asked.0, place, record);
            }
        }
    }

    /// The node holds this from now on, or what covers it.
    pub fn keep(&mut self, node: NodeId, (keyspace, key): Place, record: Record) {
        let promised = self.kept.entry(node).or_default();
        let key = store_key(keyspace, &key);
        let merged = match promised.remove(&key) {
            Some(before) => before.merge(&record).unwrap_or(record),
            None => record,
        };
        promised.insert(key, merged);
    }

    /// The node has lost what it held: it may lack what it has promised so far, for others have it.
    pub fn forget(&mut self, node: NodeId) {
        self.kept.remove(&node);
        self.under_way.retain(|(asked, ..), _| *asked != node);
    }

    /// Who is no owner of a key any more, by this state that follows the one before, has promised nothing of it. Neither has who is
    /// to be one again: between the two states there may be others, by which he was none.
    pub fn release(&mut self, before: &ClusterState, state: &ClusterState) {
        let is_still_bound = |node: &NodeId, key: &Bytes| {
            parse(key).is_some_and(|place| {
                let (partition, _) = state.partition_of_slot(place.slot);
                let (was_in, _) = before.partition_of_slot(place.slot);
                let was_under_way =
                    |session| before.movement(was_in).is_some_and(|movement| movement.session.0 == session);
                is_bound(state, *node, place.keyspace, partition, was_under_way)
            })
        };
        for (node, promised) in &mut self.kept {
            promised.retain(|key, _| is_still_bound(node, key));
        }
    }

    /// What of it a store with these contents (in the order of keys) does not hold, in words.
    pub fn broken(&self, node: NodeId, contents: &[(Bytes, Bytes)]) -> Vec<String> {
        let Some(promised) = self.kept.get(&node) else {
            return Vec::new();
        };
        let marks: Vec<(Slots, Standing)> = contents
            .iter()
            .filter_map(|(key, mark)| Some((parse_mark(key)?, Standing::decode(mark)?)))
            .collect();
        // Where partitions were halved or joined, there may be that of the whole and that of a half.
        let mark_of = |slot: u16| {
            let of_it = marks.iter().filter(|(slots, _)| slots.contain(Slots { first: slot, count: 1 }));
            of_it.map(|(_, mark)| mark).fold(Standing::default(), |mut all, mark| {
                all.absorb(mark);
                all
            })
        };
        let holds = |key: &Bytes, record: &Record| -> Option<bool> {
            let place = contents.binary_search_by(|(held, _)| held.cmp(key)).ok();
            let held = place.map(|place| Record::decode(contents[place].1.clone())).transpose().ok()?;
            let settled = mark_of(own_slot(key)?).settled;
            match (&held, record.clone().unsettled(held.as_ref(), &settled)) {
                (_, None) => Some(true),
                (None, Some(_)) => Some(false),
                (Some(held), Some(left)) => {
                    let merged = held.merge(&left).ok()?;
                    // That it has seen what is settled, it need not remember.
                    let knows = Record::covers_but_for(Some(held), &left.context(), &settled);
                    let teaches = merged.versions() != held.versions() || !knows;
                    Some(!teaches || merged == *held)
                }
            }
        };
        promised
            .iter()
            .filter(|(key, record)| holds(key, record) != Some(true))
            .map(|(key, record)| {
                let place = contents.binary_search_by(|(held, _)| held.cmp(key)).ok();
                let held = place.map(|place| Record::decode(contents[place].1.clone()));
                let mark = own_slot(key).map(mark_of);
                let name = key.escape_ascii();
                format!("{node} has lost {name} {record:?}, and holds {held:?}, with {mark:?}")
            })
            .collect()
    }
}

/// Whether a node is bound by what it has promised: it is an owner. To who is yet to be filled that applies only if this says of the
/// movement's session that it was promised in it.
fn is_bound(
    state: &ClusterState,
    node: NodeId,
    keyspace: KeyspaceId,
    partition: PartitionId,
    in_session: impl Fn(Epoch) -> bool,
) -> bool {
    let owners = state.all_owners(keyspace, partition);
    let filling = state.movement(partition).filter(|movement| movement.stage == Stage::Filling);
    owners.read.contains(&node)
        || (owners.also_written.contains(&node)
            && filling.is_none_or(|movement| in_session(movement.session.0)))
}
