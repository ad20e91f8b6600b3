//! Storing a record, and saying so once it is as durable as its keyspace promises.
//!
//! What must hold: *stored* is said after the sync that covers the record, or, where writes are relaxed, after the log was handed
//! to the operating system (INVARIANTS A4).

use bytes::Bytes;
use cluster::Durability;
use storage::{Kind, LogError, PutError, SequenceNumber, SyncOutcome};
use types::{KeyspaceId, Moment};
use wire::ReplicaReply;

use super::{Effect, Replica, Ticket};
use crate::store_key;

impl Replica {
    pub(super) fn store(
        &mut self,
        now: Moment,
        key: &Bytes,
        record: &Bytes,
        held: Option<&Bytes>,
        relaxed: bool,
    ) -> Result<SequenceNumber, PutError> {
        self.room_for_record(record, held)?;
        let sequence = self.db.put(key, record.clone(), Kind::Full)?;
        self.exchange.changed(key, held, Some(record));
        self.notice_delete(now, key, record);
        if let Some((owner, place)) = store_key::parse_hint(key) {
            let (partition, _) = self.state.partition_of_slot(place.slot);
            self.handoff.stored(now, owner, key, partition);
        }
        if relaxed {
            self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        } else {
            self.recent.written(key.clone(), sequence);
        }
        Ok(sequence)
    }

    pub(super) fn is_relaxed(&self, keyspace: KeyspaceId) -> bool {
        self.state.keyspace(keyspace).is_some_and(|keyspace| keyspace.durability == Durability::Interval)
    }

    /// Promises *stored* for when it is true.
    pub(super) fn acknowledge(&mut self, ticket: Ticket, sequence: SequenceNumber, relaxed: bool) {
        // What is synced already waits for no sync: there may be none to come.
        if relaxed || sequence <= self.db.synced_through() {
            self.unwritten.push((ticket, ReplicaReply::Stored));
        } else {
            self.unsynced.push_back((sequence, ticket, ReplicaReply::Stored));
        }
    }

    /// A sync of the commit log has ended: what waited for it may be said.
    pub fn synced(&mut self, outcome: SyncOutcome, out: &mut Vec<Effect>) {
        self.syncing = false;
        match self.db.synced(outcome) {
            Ok(up_to) => {
                self.recent.synced(up_to);
                while self.unsynced.front().is_some_and(|(sequence, _, _)| *sequence <= up_to) {
                    if let Some((_, ticket, reply)) = self.unsynced.pop_front() {
                        out.push(Effect::Reply(ticket, reply));
                    }
                }
            }
            Err(error) => out.push(Effect::Stop(error.to_string())),
        }
    }

    /// Writes the log, and what was kept as far as that made room.
    pub(super) fn write_all(&mut self, now: Moment, out: &mut Vec<Effect>) -> Result<(), LogError> {
        loop {
            self.db.write_log()?;
            let kept = self.stalled.len();
            if kept == 0 {
                return Ok(());
            }
            self.take_up_stalled(now, out);
            if self.stalled.len() == kept {
                return Ok(());
            }
        }
    }
}
