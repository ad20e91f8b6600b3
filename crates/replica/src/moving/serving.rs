//! Giving a new owner what this node has of a partition that moves, a page for each question.
//!
//! What must hold (INVARIANTS E3): only for the movement that this node knows of itself, while it is being filled, and only what the
//! asker is to keep. What cannot be read is not passed over in silence: then the asker is refused, and goes to another owner.

use std::collections::BTreeMap;

use bytes::Bytes;
use cluster::{ClusterState, Stage};
use storage::{Db, KeyRange, ScanLimit, ScanOutcome};
use types::{Epoch, NodeId, PartitionId};
use wire::{FETCH_BYTES_MAX, FetchAnswer, FetchAsk, ReplicaReply};

use super::start_of;
use crate::replica::{Effect, Ticket};
use crate::store_key;

/// How many pages are read at once. Whoever is beyond that is refused, and asks again.
const READING_MAX: usize = 8;

/// How many records a page has at most.
const ENTRIES_MAX: usize = 1024;

/// Pages that are being read for others.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    by_token: BTreeMap<u64, (Ticket, Epoch)>,
}

impl Pages {
    /// Whether a page is read under this token.
    pub(crate) fn is_reading(&self, token: u64) -> bool {
        self.by_token.contains_key(&token)
    }

    /// What is read is of partitions that were halved. Whoever asked for it is to be told so.
    pub(crate) fn give_up(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.by_token).into_values().map(|(ticket, _)| ticket).collect()
    }

    /// A page is asked for, to be read under this token.
    pub(crate) fn ask(
        &mut self,
        ticket: Ticket,
        ask: &FetchAsk,
        token: u64,
        (here, state, db): (NodeId, &ClusterState, &Db),
        out: &mut Vec<Effect>,
    ) {
        let partition = ticket.partition;
        let mut refuse = |why: String| out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
        let slots = state.partitions().slots_of(partition);
        let (Some(slots), Some(start)) = (slots, start_of(state, partition)) else {
            return refuse(format!("there is no {partition}"));
        };
        if !is_open(state, partition, ask.session) || !state.holds(here, partition) {
            return refuse(format!("{partition} does not move any more as it did in epoch {}", ask.session));
        }
        if self.by_token.len() >= READING_MAX {
            return refuse(format!("{READING_MAX} pages are being read for new owners"));
        }
        let end = store_key::end_of_slot(*slots.end());
        let from = start.max(ask.from.clone());
        let from = end.as_ref().map_or_else(|| from.clone(), |end| from.clone().min(end.clone()));
        let bytes = ask.limit_bytes.min(FETCH_BYTES_MAX) as usize;
        let limit = ScanLimit { entries: ENTRIES_MAX, bytes };
        self.by_token.insert(token, (ticket, ask.session));
        out.push(Effect::Scan(token, db.scan(KeyRange::new(&from, end.as_deref()), limit)));
    }

    /// It was read. What comes back is how many bytes of keys and records are given. `is_hidden` says which records nobody is to be shown yet, and `mark` what the owners have agreed on.
    pub(crate) fn read(
        &mut self,
        token: u64,
        outcome: ScanOutcome,
        state: &ClusterState,
        is_hidden: impl Fn(&Bytes) -> bool,
        mark: impl FnOnce(PartitionId) -> Option<wire::Mark>,
        out: &mut Vec<Effect>,
    ) -> usize {
        let Some((ticket, session)) = self.by_token.remove(&token) else { return 0 };
        let partition = ticket.partition;
        let mut given = 0;
        let reply = match outcome {
            _ if !is_open(state, partition, session) => {
                ReplicaReply::StaleEpoch { newest: state.since(partition) }
            }
            ScanOutcome::Unreadable(error) => ReplicaReply::Failed { why: error.to_string() },
            ScanOutcome::Page { mut entries, next } => {
                entries.retain(|(key, _)| {
                    let is_for = |keyspace| {
                        let owners = state.all_owners(keyspace, partition);
                        owners.also_written.contains(&ticket.from)
                    };
                    store_key::keyspace_of(key).is_some_and(is_for) && !is_hidden(key)
                });
                given = entries.iter().map(|(key, record)| key.len() + record.len()).sum();
                let mark = if next.is_none() { mark(partition) } else { None };
                ReplicaReply::Fetched(Box::new(FetchAnswer { entries, next, mark }))
            }
        };
        out.push(Effect::Reply(ticket, reply));
        given
    }
}

/// Whether a partition is being filled in this movement.
fn is_open(state: &ClusterState, partition: PartitionId, session: Epoch) -> bool {
    let movement = state.movement(partition);
    movement.is_some_and(|movement| movement.session.0 == session && movement.stage == Stage::Filling)
}
