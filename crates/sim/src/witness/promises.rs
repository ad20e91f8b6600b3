//! What each node has said it has stored, merged by key: a floor below which no later state of its disk may be.
//!
//! But for what all owners have agreed to be settled: that need not be held, if all of it was deleted or overwritten.

use std::collections::BTreeMap;

use bytes::Bytes;
use causality::Record;
use cluster::ClusterState;
use replica::collection::mark::Standing;
use replica::store_key::{own_slot, parse, parse_mark, store_key};
use types::{NodeId, OperationId, PartitionId};

use super::Place;

/// Whom a write was sent to, by whom, for which operation and round.
type Asked = (NodeId, NodeId, OperationId, u32);

/// What was promised.
#[derive(Debug, Default)]
pub struct Promises {
    under_way: BTreeMap<Asked, (Place, Record)>,
    kept: BTreeMap<NodeId, BTreeMap<Bytes, Record>>,
}

impl Promises {
    /// A node is asked to store this.
    pub fn asked(&mut self, asked: Asked, place: Place, record: Record) {
        self.under_way.insert(asked, (place, record));
    }

    /// It says that it has. By this state, which it may yet have to hear of: it may have stored what it is to drop when it does.
    pub fn stored(&mut self, state: &ClusterState, asked: Asked) {
        if let Some((place, record)) = self.under_way.remove(&asked)
            && holds(state, asked.0, &store_key(place.0, &place.1))
        {
            self.keep(asked.0, place, record);
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

    /// Who is no holder of a key any more, by this state, has promised nothing of it.
    pub fn release(&mut self, state: &ClusterState) {
        for (node, promised) in &mut self.kept {
            promised.retain(|key, _| holds(state, *node, key));
        }
    }

    /// What of it a store with these contents (in the order of keys) does not hold, in words.
    pub fn broken(&self, state: &ClusterState, node: NodeId, contents: &[(Bytes, Bytes)]) -> Vec<String> {
        let Some(promised) = self.kept.get(&node) else {
            return Vec::new();
        };
        let marks: BTreeMap<PartitionId, Standing> = contents
            .iter()
            .filter_map(|(key, mark)| Some((parse_mark(key)?, Standing::decode(mark)?)))
            .collect();
        let holds = |key: &Bytes, record: &Record| {
            let place = contents.binary_search_by(|(held, _)| held.cmp(key)).ok();
            let held = place.map(|place| Record::decode(contents[place].1.clone())).transpose().ok()?;
            let (partition, _) = state.partition_of_slot(own_slot(key)?);
            let settled = marks.get(&partition).map(|mark| mark.settled.clone()).unwrap_or_default();
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
                let mark = own_slot(key).and_then(|slot| marks.get(&state.partition_of_slot(slot).0));
                let name = key.escape_ascii();
                format!("{node} has lost {name} {record:?}, and holds {held:?}, with {mark:?}")
            })
            .collect()
    }
}

/// Whether a node is to hold a key of the store.
fn holds(state: &ClusterState, node: NodeId, key: &Bytes) -> bool {
    parse(key).is_some_and(|place| {
        let (partition, _) = state.partition_of_slot(place.slot);
        let owners = state.all_owners(place.keyspace, partition);
        owners.read.contains(&node) || owners.also_written.contains(&node)
    })
}
