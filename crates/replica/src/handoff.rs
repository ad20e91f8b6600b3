//! Hinted handoff: what a stand-in keeps for owners, and how it reaches them.
//!
//! A hint is a record under a key of its own ([`store_key::hint_key`]): for which owner, and which key. It is written and
//! synced like any record, so one that was counted toward W is a full copy, and nothing but its delivery ends it (INVARIANTS
//! A3): no time limit, no quota. A start finds the hints that there are by looking, not by traffic.
//!
//! For each owner there is a *line* of hints. While the owner can be reached it goes round: ask how much he takes in
//! ([`ReplicaRequest::Grant`]), of about as much as is sent at once, read so much of the line, send each record as an ordinary merge, and delete each hint that he
//! says he has on stable storage; then again, from where it stopped. What went wrong is tried again after a pause.
//!
//! What must hold: a hint is deleted only if it is still what was delivered. A write that came meanwhile marks it, and it
//! stays for the next round.
//!
//! This is "hinted handoff" of Dynamo (SOSP 2007, section 4.6), with the receiver setting the pace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use storage::{Db, KeyRange, ScanLimit, ScanOutcome};
use types::{Instant, Moment, NodeId, OperationId, PartitionId, WallTime};
use wire::{ReplicaReply, ReplicaRequest, WritePath};

use crate::replica::Effect;
use crate::store_key;

/// How long a line rests when nothing came of it.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to pause after a page of hints that was looked through for those that are for others now.
const PAUSE_READDRESSING: Duration = Duration::from_millis(5);

/// How much such a page reads, in bytes.
const PAGE_BYTES: usize = 512 * 1024;

/// How long an owner may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many hints are under way to one owner at most.
const UNDER_WAY_MAX: usize = 64;

/// What a hint may have, before any of its line was read, in bytes.
const HINT_BYTES_GUESSED: u64 = 1 << 10;

/// The ids of what a replica asks by itself have this bit, which those of clients' operations never have.
pub(crate) const OWN_ID: u64 = 1 << 63;

/// Whether a reply is to something that a replica asked by itself.
pub fn is_own(operation: OperationId) -> bool {
    operation.0 & OWN_ID != 0
}

/// Hints, and their way to their owners.
#[derive(Debug)]
pub struct Handoff {
    lines: BTreeMap<NodeId, Line>,
    reachable: BTreeSet<NodeId>,
    flights: BTreeMap<u64, Flight>,
    /// Of the hints under way, by their keys.
    by_key: HashMap<Bytes, u64>,
    /// Looking for lines after the start: where to look next, and when; nothing once it is done.
    looking: Option<(Bytes, Instant)>,
    scans: BTreeMap<u64, Looking>,
    /// Looking for hints whose owner does not own their key any more.
    readdressing: Option<Readdressing>,
    last: u64,
    step: u64,
    figures: Figures,
}

/// A pass over all hints, for whom they are.
#[derive(Debug)]
struct Readdressing {
    from: Bytes,
    due: Instant,
    /// Owners that have hints.
    seen: BTreeSet<NodeId>,
    /// Whether there was one to be readdressed: then it is looked once more.
    any: bool,
}

/// What was and is to be handed off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Hints that are kept: as the last round over them has counted, and what was stored since. A key that is written to
    /// several times is one hint, and counts more until the next round.
    pub waiting: u64,
    /// Since when the oldest of them may have been waiting; that they were there before the start counts from the start.
    pub oldest: Option<WallTime>,
    /// Hints that were stored since the start.
    pub stored: u64,
    /// Hints that their owners have taken in since the start.
    pub delivered: u64,
}

/// The hints for one owner.
#[derive(Debug)]
struct Line {
    phase: Phase,
    /// Where the next part begins; at the beginning, if nowhere.
    cursor: Option<Bytes>,
    /// A partition of which there are hints, by which the owner's shard is found.
    partition: PartitionId,
    since: WallTime,
    /// As the last whole round counted, and what came since.
    waiting: u64,
    counted: u64,
    /// Stored since the round over the line began: what was read meanwhile may not have shown it.
    newer: u64,
    /// Hints that were written to since the page that is read was begun: it has them as they were before.
    rewritten: BTreeSet<Bytes>,
    failed: bool,
    /// How many hints were sent, and their bytes.
    sent: u64,
    sent_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Resting(Instant),
    Asking,
    Reading,
    Sending,
}

#[derive(Debug)]
struct Flight {
    to: NodeId,
    until: Instant,
    /// The hint; nothing where it is asked how much may be sent.
    hint: Option<Bytes>,
    /// Whether it was written to since it was read.
    changed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Looking {
    ForLines,
    Along(NodeId),
    ForWhomElse,
}

/// What has come of a hint that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Its owner has it: this key may be deleted.
    Delivered(Bytes),
    /// Nothing to be done.
    Nothing,
}

impl Handoff {
    /// Other partitions have the slots of each from now on.
    pub fn recut<I: Iterator<Item = PartitionId>>(&mut self, now: impl Fn(PartitionId) -> I) {
        for line in self.lines.values_mut() {
            line.partition = now(line.partition).next().unwrap_or(line.partition);
        }
    }

    /// Of the shard with this number, of so many, of this node. What is kept for the node itself, since it has become an owner, it
    /// reaches at any time.
    pub fn new(here: NodeId, shard: u64, shards: u64) -> Handoff {
        Handoff {
            lines: BTreeMap::new(),
            reachable: BTreeSet::from([here]),
            flights: BTreeMap::new(),
            by_key: HashMap::new(),
            looking: Some((store_key::hints(), Instant::default())),
            scans: BTreeMap::new(),
            readdressing: None,
            last: OWN_ID + shard,
            step: shards,
            figures: Figures::default(),
        }
    }

    /// What was and is to be handed off.
    pub fn figures(&self) -> Figures {
        let waiting = self.lines.values().map(|line| line.waiting.max(line.counted)).sum();
        Figures { waiting, oldest: self.lines.values().map(|line| line.since).min(), ..self.figures }
    }

    /// Whether any hint is kept, or may be: those of before the start are looked for first.
    pub fn keeps_any(&self) -> bool {
        self.looking.is_some() || !self.lines.is_empty()
    }

    /// A hint was stored.
    pub fn stored(&mut self, now: Moment, owner: NodeId, key: &Bytes, partition: PartitionId) {
        if let Some(pass) = &mut self.readdressing {
            pass.seen.insert(owner);
        }
        let line = self.lines.entry(owner).or_insert_with(|| Line::new(now, partition));
        line.waiting += 1;
        line.newer += 1;
        if line.phase == Phase::Reading {
            line.rewritten.insert(key.clone());
        }
        self.figures.stored += 1;
        if let Some(flight) = self.by_key.get(key).and_then(|number| self.flights.get_mut(number)) {
            flight.changed = true;
        }
    }

    /// Owners have changed: all hints are looked through for those that are for others now.
    pub fn owners_changed(&mut self, now: Moment) {
        // A page that is being read is of a pass that is over.
        self.scans.retain(|_, looking| !matches!(looking, Looking::ForWhomElse));
        if self.keeps_any() {
            self.readdressing = Some(Readdressing::new(now.mono));
        }
    }

    /// A page of hints, if this is one that was read to find out for whom they are. `is_for_another` says which are.
    pub fn readdressed(
        &mut self,
        now: Moment,
        token: u64,
        outcome: &ScanOutcome,
        is_for_another: impl Fn(NodeId, &store_key::StoreKey) -> bool,
    ) -> Option<Vec<Bytes>> {
        self.scans.get(&token).filter(|looking| matches!(looking, Looking::ForWhomElse))?;
        self.scans.remove(&token);
        let Some(mut pass) = self.readdressing.take() else { return Some(Vec::new()) };
        let ScanOutcome::Page { entries, next } = outcome else {
            pass.due = now.mono + PAUSE;
            self.readdressing = Some(pass);
            return Some(Vec::new());
        };
        let mut others = Vec::new();
        for (key, _) in entries {
            let Some((owner, place)) = store_key::parse_hint(key) else { continue };
            if is_for_another(owner, &place) {
                others.push(key.clone());
            } else {
                pass.seen.insert(owner);
            }
        }
        pass.any |= !others.is_empty();
        match next {
            Some(next) => {
                pass.from = next.clone();
                pass.due = now.mono + PAUSE_READDRESSING;
                self.readdressing = Some(pass);
            }
            None if pass.any => self.readdressing = Some(Readdressing::new(now.mono + PAUSE)),
            None => {
                let is_at_rest = |line: &Line| matches!(line.phase, Phase::Resting(_));
                self.lines.retain(|owner, line| {
                    pass.seen.contains(owner) || self.reachable.contains(owner) || !is_at_rest(line)
                });
                // One that is empty and has something under way may be that of a node that is no member any more: it is never asked
                // again, so whether the line is of use is looked at when what is under way has ended.
                if self.lines.keys().any(|owner| !pass.seen.contains(owner)) {
                    self.readdressing = Some(Readdressing::new(now.mono + PAUSE));
                }
            }
        }
        Some(others)
    }

    /// An owner can be reached.
    pub fn peer_up(&mut self, now: Moment, node: NodeId) {
        self.reachable.insert(node);
        if let Some(line) = self.lines.get_mut(&node).filter(|line| matches!(line.phase, Phase::Resting(_))) {
            line.phase = Phase::Resting(now.mono);
        }
    }

    /// An owner cannot be reached any more; what was under way to him may or may not have arrived.
    pub fn peer_lost(&mut self, now: Moment, node: NodeId) {
        self.reachable.remove(&node);
        let under_way: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.to == node).map(|(number, _)| *number).collect();
        for number in under_way {
            self.fail(now, number);
        }
    }

    /// What was asked could not be sent.
    pub fn not_sent(&mut self, now: Moment, operation: OperationId) {
        self.fail(now, operation.0);
    }

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub fn next_timer(&self) -> Option<Instant> {
        let due = self.lines.iter().filter(|(owner, _)| self.reachable.contains(owner));
        let due = due.filter_map(|(_, line)| match line.phase {
            Phase::Resting(until) => Some(until),
            Phase::Asking | Phase::Reading | Phase::Sending => None,
        });
        let patience = self.flights.values().map(|flight| flight.until);
        let look = self.looking.as_ref().filter(|_| self.scans.is_empty()).map(|(_, at)| *at);
        let is_reading = self.scans.values().any(|looking| matches!(looking, Looking::ForWhomElse));
        let readdress = self.readdressing.as_ref().filter(|_| !is_reading).map(|pass| pass.due);
        due.chain(patience).chain(look).chain(readdress).min()
    }

    /// Goes on with what is due.
    pub fn turn(&mut self, now: Moment, db: &Db, out: &mut Vec<Effect>) {
        if let Some((from, at)) = &self.looking
            && *at <= now.mono
            && self.scans.is_empty()
        {
            let limit = ScanLimit { entries: 1, bytes: usize::MAX };
            let job = db.scan(KeyRange::new(from, None), limit);
            self.start_scan(job, Looking::ForLines, out);
        }
        if let Some(pass) = &self.readdressing
            && pass.due <= now.mono
            && !self.scans.values().any(|looking| matches!(looking, Looking::ForWhomElse))
        {
            let limit = ScanLimit { entries: UNDER_WAY_MAX, bytes: PAGE_BYTES };
            let job = db.scan(KeyRange::new(&pass.from, None), limit);
            self.start_scan(job, Looking::ForWhomElse, out);
        }
        let late: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.until <= now.mono).map(|(n, _)| *n).collect();
        for number in late {
            self.fail(now, number);
        }
        let due: Vec<NodeId> = self
            .lines
            .iter()
            .filter(|(owner, line)| {
                self.reachable.contains(owner)
                    && matches!(line.phase, Phase::Resting(until) if until <= now.mono)
            })
            .map(|(owner, _)| *owner)
            .collect();
        for owner in due {
            let Some(line) = self.lines.get_mut(&owner) else { continue };
            line.phase = Phase::Asking;
            line.failed = false;
            let (partition, wanted) = (line.partition, line.wanted());
            self.ask(now, owner, partition, None, ReplicaRequest::Grant { wanted }, out);
        }
    }

    /// Whether a walk is one of these.
    pub fn is_looking(&self, token: u64) -> bool {
        self.scans.contains_key(&token)
    }

    /// A part of a line was read. `partition_of` says which partition a key's slot is in, `is_held_back` which hints are
    /// not to be sent yet.
    pub fn scan_done(
        &mut self,
        now: Moment,
        token: u64,
        outcome: ScanOutcome,
        partition_of: impl Fn(u16) -> PartitionId,
        is_held_back: impl Fn(&Bytes) -> bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(looking) = self.scans.remove(&token) else { return };
        let found = match outcome {
            ScanOutcome::Page { entries, next } => Some((entries, next)),
            // Damage is somebody else's to mend; the line is tried again.
            ScanOutcome::Unreadable(_) => None,
        };
        match (looking, found) {
            (Looking::ForLines, Some((entries, next))) => {
                self.found_line(now, entries.first(), next, partition_of);
            }
            (Looking::ForLines, None) => {
                self.looking = self.looking.take().map(|(from, _)| (from, now.mono + PAUSE));
            }
            // Those are told apart before they come here.
            (Looking::ForWhomElse, _) => {}
            (Looking::Along(owner), None) => self.rest(now, owner, PAUSE),
            (Looking::Along(owner), Some((entries, next))) => {
                self.send(now, owner, entries, next, (partition_of, is_held_back), out);
            }
        }
    }

    /// A page ends at its first entry, or earlier where there are deleted ones.
    fn found_line(
        &mut self,
        now: Moment,
        first: Option<&(Bytes, Bytes)>,
        next: Option<Bytes>,
        partition_of: impl Fn(u16) -> PartitionId,
    ) {
        let found = first.and_then(|(key, _)| store_key::parse_hint(key));
        let next = match &found {
            Some((owner, _)) => store_key::hints_of(*owner).1,
            None => next,
        };
        self.looking = next.map(|next| (next, now.mono));
        if let Some((owner, place)) = found {
            self.lines.entry(owner).or_insert_with(|| Line::new(now, partition_of(place.slot)));
            // Owners may have changed before the start.
            self.readdressing.get_or_insert_with(|| Readdressing::new(now.mono));
        }
    }

    fn send(
        &mut self,
        now: Moment,
        owner: NodeId,
        entries: Vec<(Bytes, Bytes)>,
        next: Option<Bytes>,
        (partition_of, is_held_back): (impl Fn(u16) -> PartitionId, impl Fn(&Bytes) -> bool),
        out: &mut Vec<Effect>,
    ) {
        let (mut sent, mut sent_bytes) = (0, 0);
        let count = entries.len() as u64;
        let line = self.lines.get_mut(&owner);
        let rewritten = line.map(|line| std::mem::take(&mut line.rewritten)).unwrap_or_default();
        for (key, record) in entries {
            let Some((_, place)) = store_key::parse_hint(&key).filter(|_| !is_held_back(&key)) else {
                continue;
            };
            sent_bytes += record.len() as u64;
            let request = ReplicaRequest::Write {
                keyspace: place.keyspace,
                key: place.key,
                record,
                path: WritePath::Merge,
                in_place_of: None,
            };
            let changed = rewritten.contains(&key);
            self.ask(now, owner, partition_of(place.slot), Some(key), request, out);
            if let Some(flight) = self.flights.get_mut(&self.last) {
                flight.changed = changed;
            }
            sent += 1;
        }
        let Some(line) = self.lines.get_mut(&owner) else { return };
        line.counted += count;
        line.sent += sent;
        line.sent_bytes += sent_bytes;
        line.cursor = next;
        if line.cursor.is_none() {
            line.waiting = line.counted + line.newer;
            line.counted = 0;
        }
        if sent > 0 {
            line.phase = Phase::Sending;
        } else if line.cursor.is_none() && line.waiting == 0 {
            // A write that comes later begins a new line.
            self.lines.remove(&owner);
        } else {
            // Where all was deleted already it goes on at once.
            self.rest(now, owner, if count == 0 { Duration::ZERO } else { PAUSE });
        }
    }

    /// A reply to what was asked. What is to be deleted is said, for the store is not ours.
    pub fn replied(
        &mut self,
        now: Moment,
        from: NodeId,
        operation: OperationId,
        reply: &ReplicaReply,
        db: &Db,
        out: &mut Vec<Effect>,
    ) -> Settled {
        if self.flights.get(&operation.0).is_none_or(|flight| flight.to != from) {
            return Settled::Nothing;
        }
        match (reply, self.flights.get(&operation.0).map(|flight| flight.hint.is_some())) {
            (ReplicaReply::Granted { bytes }, Some(false)) => {
                self.flights.remove(&operation.0);
                self.granted(now, from, *bytes as usize, db, out);
                Settled::Nothing
            }
            // Where all of it is settled, its owner had it, and may have dropped it.
            (ReplicaReply::Stored | ReplicaReply::Settled, Some(true)) => self.delivered(now, operation.0),
            _ => {
                self.fail(now, operation.0);
                Settled::Nothing
            }
        }
    }

    fn granted(&mut self, now: Moment, owner: NodeId, bytes: usize, db: &Db, out: &mut Vec<Effect>) {
        let Some(line) = self.lines.get_mut(&owner) else { return };
        if bytes == 0 {
            return self.rest(now, owner, PAUSE);
        }
        line.phase = Phase::Reading;
        line.rewritten.clear();
        if line.cursor.is_none() {
            line.newer = 0;
        }
        let (start, end) = store_key::hints_of(owner);
        let start = line.cursor.clone().unwrap_or(start);
        let limit = ScanLimit { entries: UNDER_WAY_MAX, bytes };
        self.start_scan(db.scan(KeyRange::new(&start, end.as_deref()), limit), Looking::Along(owner), out);
    }

    fn delivered(&mut self, now: Moment, number: u64) -> Settled {
        let Some(flight) = self.land(number) else { return Settled::Nothing };
        self.figures.delivered += u64::from(!flight.changed);
        if let Some(line) = self.lines.get_mut(&flight.to) {
            line.waiting = line.waiting.saturating_sub(u64::from(!flight.changed));
        }
        self.all_landed(now, flight.to);
        match flight.hint {
            Some(key) if !flight.changed => Settled::Delivered(key),
            _ => Settled::Nothing,
        }
    }

    fn fail(&mut self, now: Moment, number: u64) {
        let Some(flight) = self.land(number) else { return };
        if let Some(line) = self.lines.get_mut(&flight.to) {
            line.failed = true;
        }
        match flight.hint {
            None => self.rest(now, flight.to, PAUSE),
            Some(_) => self.all_landed(now, flight.to),
        }
    }

    fn land(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        if let Some(key) = &flight.hint {
            self.by_key.remove(key);
        }
        Some(flight)
    }

    /// Goes on with a line once nothing is under way on it: at once, or after a pause where something failed.
    fn all_landed(&mut self, now: Moment, owner: NodeId) {
        if self.flights.values().any(|flight| flight.to == owner) {
            return;
        }
        let failed = self.lines.get(&owner).is_some_and(|line| line.failed);
        self.rest(now, owner, if failed { PAUSE } else { Duration::ZERO });
    }

    fn rest(&mut self, now: Moment, owner: NodeId, pause: Duration) {
        if let Some(line) = self.lines.get_mut(&owner) {
            line.phase = Phase::Resting(now.mono + pause);
        }
    }

    fn ask(
        &mut self,
        now: Moment,
        to: NodeId,
        partition: PartitionId,
        hint: Option<Bytes>,
        request: ReplicaRequest,
        out: &mut Vec<Effect>,
    ) {
        self.last += self.step;
        if let Some(key) = &hint {
            self.by_key.insert(key.clone(), self.last);
        }
        self.flights.insert(self.last, Flight { to, until: now.mono + PATIENCE, hint, changed: false });
        out.push(Effect::Ask {
            to,
            operation: OperationId(self.last),
            partition,
            patience: PATIENCE,
            request,
        });
    }

    fn start_scan(&mut self, job: storage::ScanJob, looking: Looking, out: &mut Vec<Effect>) {
        self.last += self.step;
        self.scans.insert(self.last, looking);
        out.push(Effect::Scan(self.last, job));
    }
}

impl Readdressing {
    fn new(due: Instant) -> Readdressing {
        Readdressing { from: store_key::hints(), due, seen: BTreeSet::new(), any: false }
    }
}

impl Line {
    fn new(now: Moment, partition: PartitionId) -> Line {
        Line {
            phase: Phase::Resting(now.mono),
            cursor: None,
            partition,
            since: now.wall,
            waiting: 0,
            counted: 0,
            newer: 0,
            rewritten: BTreeSet::new(),
            failed: false,
            sent: 0,
            sent_bytes: 0,
        }
    }

    /// About how many bytes are sent next, going by what was sent so far.
    fn wanted(&self) -> u32 {
        let each = self.sent_bytes.checked_div(self.sent).unwrap_or(HINT_BYTES_GUESSED);
        u32::try_from(each * UNDER_WAY_MAX as u64).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_that_is_stored_while_its_line_is_read_is_looked_for_again() {
        let (now, owner, partition) = (Moment::default(), NodeId(2), PartitionId(0));
        let mut handoff = Handoff::new(NodeId(1), 0, 1);
        handoff.lines.insert(owner, Line { phase: Phase::Reading, ..Line::new(now, partition) });
        handoff.scans.insert(1, Looking::Along(owner));
        // The read view was taken before this.
        handoff.stored(now, owner, &Bytes::from_static(b"hint"), partition);
        let nothing = ScanOutcome::Page { entries: Vec::new(), next: None };
        handoff.scan_done(now, 1, nothing, |_| partition, |_| false, &mut Vec::new());
        assert_eq!(handoff.figures().waiting, 1);
        assert_eq!(handoff.lines.get(&owner).map(|line| line.phase), Some(Phase::Resting(now.mono)));
    }

    /// Its owner says that he has what was read of it. What was written since is nowhere but here.
    #[test]
    fn a_hint_that_is_written_to_while_it_is_read_is_not_deleted_when_it_is_delivered() {
        let (now, owner, partition) = (Moment::default(), NodeId(2), PartitionId(0));
        let [before, after] = [b"written before", b"written later!"].map(|key| {
            let key = store_key::store_key(types::KeyspaceId(0), key);
            store_key::hint_key(owner, &key)
        });
        let mut handoff = Handoff::new(NodeId(1), 0, 1);
        handoff.lines.insert(owner, Line { phase: Phase::Reading, ..Line::new(now, partition) });
        handoff.scans.insert(1, Looking::Along(owner));
        handoff.stored(now, owner, &after, partition);
        let entries = vec![(before.clone(), Bytes::new()), (after, Bytes::new())];
        let page = ScanOutcome::Page { entries, next: None };
        handoff.scan_done(now, 1, page, |_| partition, |_| false, &mut Vec::new());
        let sent: Vec<u64> = handoff.flights.keys().copied().collect();
        assert_eq!(sent.len(), 2);
        let settled: Vec<Settled> = sent.iter().map(|number| handoff.delivered(now, *number)).collect();
        assert_eq!(settled, [Settled::Delivered(before), Settled::Nothing]);
        assert_eq!(handoff.figures().waiting, 2, "what was counted, until the next round");
    }
}
