//! Runs of keys: what SCAN, KEYS and DBSIZE walk over.
//!
//! A run is asked for from (slot, hash) on, and says where the next begins. What must hold: keys of equal slot and equal
//! *cursor prefix* of their hash are never parted, because a cursor (below 2^53, so that every client can hold it) has
//! room for that prefix only, and what begins at a cursor must leave out nothing.
//!
//! Records travel without their values: a coordinator merges what several owners say of a key, and needs only to know
//! whether it lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use causality::Record;
use cluster::ClusterState;
use storage::{Db, KeyRange, ScanLimit, ScanOutcome};
use types::Moment;
use wire::{ReplicaReply, ScanAnswer, ScanAsk, ScanEntry};

use crate::replica::{Effect, Ticket};
use crate::store_key::{self, StoreKey};

/// Bits of a key's hash that a cursor has no room for: 14 bits of slot and 39 of hash make 53.
pub const HASH_BITS_BEYOND_CURSOR: u32 = 25;

/// The most keys that one step looks at, whatever was asked.
const LIMIT_MAX: u32 = 4096;

/// The most bytes that one step reads; the keys of one cursor prefix may exceed it.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most walks under way at once.
const SCANS_MAX: usize = 256;

/// Walks under way.
#[derive(Debug, Default)]
pub struct Scans {
    by_token: BTreeMap<u64, Scan>,
    next_token: u64,
}

#[derive(Debug)]
struct Scan {
    ticket: Ticket,
    ask: ScanAsk,
    count: bool,
    limit: ScanLimit,
}

impl Scans {
    /// Begins a walk.
    pub fn begin(&mut self, db: &Db, ticket: Ticket, ask: ScanAsk, count: bool, out: &mut Vec<Effect>) {
        if self.by_token.len() >= SCANS_MAX {
            let why = "too many scans are under way".to_owned();
            out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why }));
            return;
        }
        let limit = ScanLimit { entries: ask.limit.clamp(1, LIMIT_MAX) as usize, bytes: PAGE_BYTES_MAX };
        self.start(db, Scan { ticket, ask, count, limit }, out);
    }

    fn start(&mut self, db: &Db, scan: Scan, out: &mut Vec<Effect>) {
        let (slot, hash) = scan.ask.from;
        let start = store_key::position(slot, scan.ask.keyspace, hash);
        let end = store_key::end_of_slot(scan.ask.last_slot);
        let job = db.scan(KeyRange::new(&start, end.as_deref()), scan.limit);
        self.next_token += 1;
        self.by_token.insert(self.next_token, scan);
        out.push(Effect::Scan(self.next_token, job));
    }

    /// A walk has ended.
    pub fn done(
        &mut self,
        db: &Db,
        state: &Arc<ClusterState>,
        now: Moment,
        token: u64,
        outcome: ScanOutcome,
        out: &mut Vec<Effect>,
    ) {
        let Some(scan) = self.by_token.remove(&token) else {
            return;
        };
        let (entries, next) = match outcome {
            ScanOutcome::Page { entries, next } => (entries, next),
            ScanOutcome::Unreadable(error) => {
                let why = error.to_string();
                out.push(Effect::Reply(scan.ticket, ReplicaReply::CannotSay { why }));
                return;
            }
        };
        let newest = state.since_in(scan.ask.keyspace, scan.ticket.partition);
        if scan.ticket.epoch < newest {
            out.push(Effect::Reply(scan.ticket, ReplicaReply::StaleEpoch { newest }));
            return;
        }
        let next = next.and_then(|key| next_place(&key, &scan.ask));
        if next == Some(scan.ask.from) {
            // More keys share this cursor prefix than were looked at: look at more, so that they stay together.
            let limit = ScanLimit {
                entries: scan.limit.entries.saturating_mul(2),
                bytes: scan.limit.bytes.saturating_mul(2),
            };
            return self.start(db, Scan { limit, ..scan }, out);
        }
        let reply = answer(&scan, &entries, next, now);
        out.push(Effect::Reply(scan.ticket, reply));
    }
}

/// Where the next run begins, as a place that a cursor can name; nothing where the run is over.
fn next_place(key: &Bytes, ask: &ScanAsk) -> Option<(u16, u64)> {
    let StoreKey { slot, keyspace, hash, .. } = store_key::parse(key)?;
    let place = match keyspace.cmp(&ask.keyspace) {
        std::cmp::Ordering::Less => (slot, 0),
        std::cmp::Ordering::Equal => (slot, prefix_of(hash)),
        std::cmp::Ordering::Greater => (slot.checked_add(1)?, 0),
    };
    (place.0 <= ask.last_slot).then_some(place)
}

/// The hash as far as a cursor can name it.
pub fn prefix_of(hash: u64) -> u64 {
    (hash >> HASH_BITS_BEYOND_CURSOR) << HASH_BITS_BEYOND_CURSOR
}

fn answer(scan: &Scan, entries: &[(Bytes, Bytes)], next: Option<(u16, u64)>, now: Moment) -> ReplicaReply {
    let mut answer = ScanAnswer { entries: Vec::new(), next };
    let mut live = 0;
    for (key, value) in entries {
        let Some(key) = store_key::parse(key) else {
            continue;
        };
        let here = key.keyspace == scan.ask.keyspace;
        let beyond = next.is_some_and(|next| (key.slot, prefix_of(key.hash)) >= next);
        if !here || beyond {
            continue;
        }
        let record = match Record::decode(value.clone()) {
            Ok(record) => record,
            Err(error) => {
                return ReplicaReply::CannotSay { why: format!("a record cannot be read: {error}") };
            }
        };
        if scan.count {
            live += u64::from(record.versions().iter().any(|version| version.is_live(now.wall)));
        } else {
            let record = record.strip_values().to_bytes();
            answer.entries.push(ScanEntry { slot: key.slot, hash: key.hash, key: key.key, record });
        }
    }
    if scan.count { ReplicaReply::Counted { live, next } } else { ReplicaReply::Scanned(answer) }
}
