//! What each node has said it has stored, merged by key: a floor below which no later state of its disk may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use causality::Record;
use replica::store_key::store_key;
use types::{NodeId, OperationId};

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

    /// It says that it has.
    pub fn stored(&mut self, asked: Asked) {
        if let Some((place, record)) = self.under_way.remove(&asked) {
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

    /// What of it a store with these contents (in the order of keys) does not hold, in words.
    pub fn broken(&self, node: NodeId, contents: &[(Bytes, Bytes)]) -> Vec<String> {
        let Some(promised) = self.kept.get(&node) else {
            return Vec::new();
        };
        let holds = |key: &Bytes, record: &Record| {
            let place = contents.binary_search_by(|(held, _)| held.cmp(key)).ok()?;
            let held = Record::decode(contents[place].1.clone()).ok()?;
            Some(held.merge(record).ok()? == held)
        };
        promised
            .iter()
            .filter(|(key, record)| holds(key, record) != Some(true))
            .map(|(key, record)| format!("{node} has lost {} {record:?}", key.escape_ascii()))
            .collect()
    }
}
