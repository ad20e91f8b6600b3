//! Iterations over keys: SCAN, DBSIZE and RANDOMKEY, a partition at a time.
//!
//! A step of a scan asks as many owners of one partition as a read would, and gives a key if the merge of what they say
//! of it lives: so a key whose write was acknowledged before the iteration began is given, and one whose delete was, is
//! not. A count asks one owner of each partition, the nearest, and says what it holds.
//!
//! A cursor is a place, (slot, prefix of the hash), and good on any node: nothing is remembered between steps. It is
//! below 2^53, so that every client can hold it; zero is both the beginning and the end.

use std::collections::BTreeMap;

use api::{Error, Reply, ScanPage, Scope};
use bytes::Bytes;
use causality::{Record, View};
use quorum::{Decision, Level, Tracker};
use replica::scan::HASH_BITS_BEYOND_CURSOR;
use ring::SLOTS;
use types::{KeyspaceId, NodeId, PartitionId};
use wire::{ReplicaReply, ReplicaRequest, ScanAnswer, ScanAsk};

use crate::target::{Event, Failure, Target, Turn};

const HASH_BITS_IN_CURSOR: u32 = 64 - HASH_BITS_BEYOND_CURSOR;

/// How many keys a count asks for at once.
const COUNT_STEP: u32 = 4096;

/// A place in the order of keys: a slot and a hash.
type Place = (u16, u64);

/// An iteration under way.
#[derive(Debug)]
pub struct Walk {
    keyspace: KeyspaceId,
    scope: Scope,
    purpose: Purpose,
    place: Place,
    round: u32,
    part: Option<Part>,
}

#[derive(Debug)]
enum Purpose {
    Scan {
        wanted: usize,
        keys: Vec<Bytes>,
    },
    Count {
        live: u64,
    },
    /// Any key from the place on; once around the ring if there is none before its end.
    Any {
        wrapped: bool,
    },
}

/// One partition's answers.
#[derive(Debug)]
struct Part {
    owners: Target,
    /// The last slot that they are asked about: partitions may be others when they have answered.
    last_slot: u16,
    level: Level,
    tracker: Tracker,
    unasked: Vec<NodeId>,
    answers: Vec<ScanAnswer>,
    counted: Option<(u64, Option<Place>)>,
    problems: Vec<String>,
}

impl Walk {
    /// A step of a scan.
    pub fn scan(keyspace: KeyspaceId, scope: Scope, cursor: u64, wanted: usize) -> Walk {
        let purpose = Purpose::Scan { wanted: wanted.clamp(1, 10_000), keys: Vec::new() };
        Walk::new(keyspace, scope, purpose, place_of(cursor))
    }

    /// A count of all.
    pub fn count(keyspace: KeyspaceId, scope: Scope) -> Walk {
        Walk::new(keyspace, scope, Purpose::Count { live: 0 }, (0, 0))
    }

    /// Any key, from this place on.
    pub fn any(keyspace: KeyspaceId, scope: Scope, from: u64) -> Walk {
        let slot = u16::try_from(from % u64::from(SLOTS)).unwrap_or(0);
        Walk::new(keyspace, scope, Purpose::Any { wrapped: false }, (slot, 0))
    }

    fn new(keyspace: KeyspaceId, scope: Scope, purpose: Purpose, place: Place) -> Walk {
        let place = match scope {
            Scope::Slot(slot) if place.0 < slot => (slot, 0),
            _ => place,
        };
        Walk { keyspace, scope, purpose, place, round: 0, part: None }
    }

    /// The partition being asked about, and its owners.
    pub fn target(&self) -> Option<&Target> {
        self.part.as_ref().map(|part| &part.owners)
    }

    /// The owners of the partition being asked about are others: they are asked, from the same place on.
    pub fn overtaken(&mut self, turn: &mut Turn<'_>) {
        let Some(part) = self.part.take() else { return };
        match self.partition_here(turn) {
            Some((partition, last_slot))
                if (partition, last_slot) == (part.owners.partition, part.last_slot) =>
            {
                self.ask(partition, last_slot, turn);
            }
            _ => self.next_partition(turn),
        }
    }

    /// Begins.
    pub fn start(&mut self, turn: &mut Turn<'_>) {
        self.next_partition(turn);
    }

    /// Takes an event.
    pub fn step(&mut self, event: Event, turn: &mut Turn<'_>) {
        let Some(part) = &mut self.part else { return };
        match event {
            // The owners are others, and are asked once this node has heard of it.
            Event::Reply { reply: ReplicaReply::StaleEpoch { newest }, .. } if turn.awaits(newest) => return,
            Event::Reply { from, round, reply } if round == self.round => part.reply(from, reply),
            Event::Failed { from, failure } => part.failed(
                from,
                match failure {
                    Failure::NotSent => "it cannot be reached",
                    Failure::Lost => "the connection to it was lost",
                },
            ),
            Event::Reply { .. } | Event::Made(_) | Event::Unnamed | Event::Timer => return,
        }
        match part.tracker.decided() {
            Decision::Met => self.part_done(turn),
            Decision::Waiting => self.ask_another_if_needed(turn),
            Decision::Impossible => {
                let error = part.unavailable();
                turn.finish(Err(error));
            }
        }
    }

    /// The time is up: what a scan has so far is a page; a count or a search without result is an error.
    pub fn timed_out(&mut self) -> api::Outcome {
        match &mut self.purpose {
            Purpose::Scan { keys, .. } if !keys.is_empty() => {
                Ok(Reply::Scan(ScanPage { cursor: cursor_of(self.place), keys: std::mem::take(keys) }))
            }
            _ => Err(match &mut self.part {
                Some(part) => {
                    part.give_up();
                    part.unavailable()
                }
                None => Error::Overloaded("the walk over the keyspace did not end in time".to_owned()),
            }),
        }
    }

    fn next_partition(&mut self, turn: &mut Turn<'_>) {
        while let Some((partition, last_slot)) = self.partition_here(turn) {
            if self.is_in_scope(partition, turn) {
                self.ask(partition, last_slot, turn);
                return;
            }
            self.place = after_slot(last_slot);
            if self.place == (SLOTS, 0) {
                break;
            }
        }
        self.ended(turn);
    }

    /// The partition at the present place and the last slot to look at there; nothing beyond the end.
    fn partition_here(&self, turn: &Turn<'_>) -> Option<(PartitionId, u16)> {
        let (slot, _) = self.place;
        let last = match self.scope {
            Scope::Slot(only) => only,
            Scope::Cluster | Scope::Primaries => SLOTS - 1,
        };
        if slot > last {
            return None;
        }
        let (partition, last_of_partition) = turn.topology.state.partition_of_slot(slot);
        Some((partition, last_of_partition.min(last)))
    }

    fn is_in_scope(&self, partition: PartitionId, turn: &Turn<'_>) -> bool {
        match self.scope {
            Scope::Cluster | Scope::Slot(_) => true,
            Scope::Primaries => turn.topology.primary(partition) == Some(turn.topology.here),
        }
    }

    fn ask(&mut self, partition: PartitionId, last_slot: u16, turn: &mut Turn<'_>) {
        let Some(target) = Target::of_partition(turn.topology, self.keyspace, partition) else {
            turn.finish(Err(Error::NoSuchKeyspace(self.keyspace.0.to_string())));
            return;
        };
        let level = match self.purpose {
            Purpose::Count { .. } => Level::One,
            Purpose::Scan { .. } | Purpose::Any { .. } => target.keyspace().r,
        };
        let tracker = Tracker::new(level, &target.owners, target.local);
        let mut unasked: Vec<NodeId> = target.owners.iter().map(|(node, _)| *node).collect();
        let far = |node: &NodeId| {
            (!turn.topology.is_reachable(*node), turn.pace.class(*node), *node != target.here)
        };
        unasked.sort_by_key(|node| std::cmp::Reverse(far(node)));
        let needed = tracker.needed();
        self.round += 1;
        self.part = Some(Part {
            owners: target,
            last_slot,
            level,
            tracker,
            unasked,
            answers: Vec::new(),
            counted: None,
            problems: Vec::new(),
        });
        for _ in 0..needed {
            self.ask_one(last_slot, turn);
        }
    }

    fn ask_another_if_needed(&mut self, turn: &mut Turn<'_>) {
        let Some(part) = &self.part else { return };
        let under_way = part.tracker.awaited().filter(|node| !part.unasked.contains(node)).count();
        if part.tracker.got() + under_way < part.tracker.needed() {
            self.ask_one(part.last_slot, turn);
        }
    }

    fn ask_one(&mut self, last_slot: u16, turn: &mut Turn<'_>) {
        let (from, keyspace, round) = (self.place, self.keyspace, self.round);
        let (limit, count) = match &self.purpose {
            Purpose::Scan { wanted, keys } => {
                (u32::try_from(wanted - keys.len()).unwrap_or(u32::MAX).max(1), false)
            }
            Purpose::Count { .. } => (COUNT_STEP, true),
            Purpose::Any { .. } => (16, false),
        };
        let Some(node) = self.part.as_mut().and_then(|part| part.unasked.pop()) else {
            return;
        };
        let ask = ScanAsk { keyspace, from, last_slot, limit };
        let request = if count { ReplicaRequest::Count(ask) } else { ReplicaRequest::Scan(ask) };
        turn.send(node, round, request);
    }

    fn part_done(&mut self, turn: &mut Turn<'_>) {
        let Some(part) = self.part.take() else { return };
        let last_slot = part.last_slot;
        let next = match &mut self.purpose {
            Purpose::Count { live } => {
                let (counted, next) = part.counted.unwrap_or_default();
                *live += counted;
                next
            }
            Purpose::Scan { keys, .. } => match part.live_keys(turn) {
                Ok((found, next)) => {
                    keys.extend(found);
                    next
                }
                Err(error) => return turn.finish(Err(error)),
            },
            Purpose::Any { .. } => match part.live_keys(turn) {
                Ok((found, next)) => match found.into_iter().next() {
                    Some(key) => return turn.finish(Ok(Reply::RandomKey(Some(key)))),
                    None => next,
                },
                Err(error) => return turn.finish(Err(error)),
            },
        };
        self.place = next.unwrap_or_else(|| after_slot(last_slot));
        if self.is_full() {
            self.page(turn);
        } else {
            self.next_partition(turn);
        }
    }

    fn is_full(&self) -> bool {
        matches!(&self.purpose, Purpose::Scan { wanted, keys } if keys.len() >= *wanted)
    }

    fn page(&mut self, turn: &mut Turn<'_>) {
        let Purpose::Scan { keys, .. } = &mut self.purpose else {
            return;
        };
        let at_end = self.place.0 >= SLOTS;
        let cursor = if at_end { 0 } else { cursor_of(self.place) };
        let page = ScanPage { cursor, keys: std::mem::take(keys) };
        turn.finish(Ok(Reply::Scan(page)));
    }

    fn ended(&mut self, turn: &mut Turn<'_>) {
        match &mut self.purpose {
            Purpose::Scan { keys, .. } => {
                let page = ScanPage { cursor: 0, keys: std::mem::take(keys) };
                turn.finish(Ok(Reply::Scan(page)));
            }
            Purpose::Count { live } => turn.finish(Ok(Reply::Count(*live))),
            Purpose::Any { wrapped: true } => turn.finish(Ok(Reply::RandomKey(None))),
            Purpose::Any { wrapped } => {
                *wrapped = true;
                self.place = match self.scope {
                    Scope::Slot(slot) => (slot, 0),
                    Scope::Cluster | Scope::Primaries => (0, 0),
                };
                self.next_partition(turn);
            }
        }
    }
}

impl Part {
    fn reply(&mut self, from: NodeId, reply: ReplicaReply) {
        match reply {
            ReplicaReply::Scanned(answer) => {
                self.tracker.succeeded(from);
                self.answers.push(answer);
            }
            ReplicaReply::Counted { live, next } => {
                self.tracker.succeeded(from);
                self.counted.get_or_insert((live, next));
            }
            ReplicaReply::CannotSay { why } | ReplicaReply::Failed { why } => self.failed(from, &why),
            ReplicaReply::StaleEpoch { .. } => self.failed(from, "it knows a newer epoch"),
            _ => self.failed(from, "it answered something else than what was asked"),
        }
    }

    fn failed(&mut self, from: NodeId, why: &str) {
        if self.tracker.awaited().any(|node| node == from) && !self.unasked.contains(&from) {
            self.tracker.failed(from);
            self.problems.push(format!("{}: {why}", self.owners.name_of(from)));
        }
    }

    /// The time is up for whoever was asked and has not answered.
    fn give_up(&mut self) {
        let asked = self.tracker.awaited().filter(|node| !self.unasked.contains(node));
        let names: Vec<&str> = asked.map(|node| self.owners.name_of(node)).collect();
        self.problems.push(format!("no answer in time from {}", names.join(", ")));
    }

    /// The keys that live by the merge of all answers, up to where the shortest answer ends, and that place.
    fn live_keys(&self, turn: &Turn<'_>) -> Result<(Vec<Bytes>, Option<Place>), Error> {
        let end = self.answers.iter().filter_map(|answer| answer.next).min();
        let mut merged: BTreeMap<(Place, &Bytes), Record> = BTreeMap::new();
        for entry in self.answers.iter().flat_map(|answer| &answer.entries) {
            let place = (entry.slot, entry.hash);
            if end.is_some_and(|end| place >= end) {
                continue;
            }
            let record = Record::decode(entry.record.clone())
                .map_err(|error| Error::Invalid(format!("a record cannot be read: {error}")))?;
            let joined = match merged.remove(&(place, &entry.key)) {
                None => record,
                Some(other) => other.merge(&record).map_err(|error| Error::Invalid(error.to_string()))?,
            };
            merged.insert((place, &entry.key), joined);
        }
        let policy = self.owners.keyspace().policy;
        let lives = |record: &Record| !View::of(record, policy, turn.now.wall).versions().is_empty();
        let live = merged.into_iter().filter(|(_, record)| lives(record));
        Ok((live.map(|((_, key), _)| key.clone()).collect(), end))
    }

    fn unavailable(&self) -> Error {
        Error::Unavailable {
            action: api::Action::Read,
            level: self.level,
            needed: u8::try_from(self.tracker.needed()).unwrap_or(u8::MAX),
            got: u8::try_from(self.tracker.got()).unwrap_or(u8::MAX),
            owners: self.owners.owner_count(),
            detail: format!("{}: {}", self.owners.partition, self.problems.join("; ")),
        }
    }
}

fn after_slot(slot: u16) -> Place {
    (slot + 1, 0)
}

/// A cursor names a place as slot and the first bits of the hash.
fn cursor_of((slot, hash): Place) -> u64 {
    (u64::from(slot) << HASH_BITS_IN_CURSOR) | (hash >> HASH_BITS_BEYOND_CURSOR)
}

/// The place that a cursor names; one that is out of range names the end.
fn place_of(cursor: u64) -> Place {
    let slot = u16::try_from(cursor >> HASH_BITS_IN_CURSOR).unwrap_or(SLOTS).min(SLOTS);
    let hash = (cursor & ((1 << HASH_BITS_IN_CURSOR) - 1)) << HASH_BITS_BEYOND_CURSOR;
    (slot, hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use replica::scan::prefix_of;

    use super::*;

    proptest! {
        /// A cursor brings back the place that it names, and every client can hold it.
        #[test]
        fn cursors_are_places(slot in 0..SLOTS, hash in any::<u64>()) {
            let place = (slot, prefix_of(hash));
            prop_assert!(cursor_of(place) < 1 << 53);
            prop_assert_eq!(place_of(cursor_of(place)), place);
        }

        /// No cursor, however absurd, names a place beyond the end.
        #[test]
        fn absurd_cursors_name_the_end_at_most(cursor in any::<u64>()) {
            prop_assert!(place_of(cursor).0 <= SLOTS);
        }
    }
}
