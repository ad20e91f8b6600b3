//! The collection of deletes: when the record of one may be dropped, so that it never comes back.
//!
//! A delete must be kept for as long as anybody may still hold what it deleted, or have it on the way to somebody. So the
//! nodes agree, partition by partition, on which writes are *settled*: every owner has them, or what covers them. The first
//! owner leads: he goes through the steps of a [`round`], all nodes take part ([`fence`]), and in the end all owners keep the
//! same [`mark`]. Then each drops, in a [`sweep`], the deletes that the mark *before* had settled.
//!
//! What must hold (INVARIANTS D1, H6): with a mark, an owner takes in nothing that is settled and that it does not hold
//! ([`causality::Record::unsettled`]): so whatever turns up after a delete was dropped, from wherever and however late, does
//! not come back. A mark is of those lives of owners alone that agreed on it. Why the one before: see `causality::frontier`.
//!
//! Nobody has to run anything, and no time is waited for "to be sure": a node that is away holds the collection up, and
//! nothing else does. Ended values are deletes: what ends by the time that all clocks had passed is dropped too.

mod dead;
pub mod fence;
pub mod mark;
mod recutting;
pub mod round;
pub mod standing;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causality::{Dot, Record};
use cluster::ClusterState;
use storage::{Db, ScanOutcome};
use types::{Incarnation, Instant, Moment, NodeId, OperationId, PartitionId, WallTime};
use wire::{CollectAnswer, CollectAsk, ReplicaReply, ReplicaRequest};

use self::dead::{Dead, may_be_dead};
use self::fence::Fences;
use self::mark::Marks;
use self::round::{Blocked, Prior, Progress, Round};
use self::standing::Standing;
use self::sweep::Sweep;
use crate::handoff::OWN_ID;
use crate::replica::Effect;
use crate::store_key;

/// How many partitions are agreed on at once.
const ROUNDS_MAX: usize = 16;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer than a sweep took to wait until the next round of its partition: reading it all again is not to cost more.
const SWEEP_SHARE: u32 = 20;

/// How many incarnations that deletes know of are remembered for a partition.
const KNOWN_MAX: usize = 256;

/// What the collection asks by itself is named by ids with this bit beside that of all of a replica's own.
const COLLECTION_ID: u64 = 1 << 61;

/// In whose name a task is done that nobody has asked for.
pub(crate) const NOBODYS: u64 = OWN_ID | COLLECTION_ID;

/// Whether the collection has asked this.
pub fn is_its(operation: OperationId) -> bool {
    is_its_id(operation.0)
}

fn is_its_id(id: u64) -> bool {
    let bits = OWN_ID | COLLECTION_ID | crate::exchange::EXCHANGE_ID;
    id & bits == OWN_ID | COLLECTION_ID
}

/// Settings.
#[derive(Clone, Copy, Debug)]
pub struct CollectionOptions {
    /// How long after a delete a round of its partition begins: as many more as come meanwhile are in it.
    pub gather: Duration,
    /// The least time between two rounds of one partition.
    pub rest: Duration,
}

impl Default for CollectionOptions {
    fn default() -> CollectionOptions {
        CollectionOptions { gather: Duration::from_secs(10), rest: Duration::from_secs(30) }
    }
}

/// How far the collection is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Partitions that this node leads, with deletes that are not yet dropped.
    pub waiting: u64,
    /// Since when the oldest of those deletes is known.
    pub oldest: Option<WallTime>,
    /// Who holds up the oldest round under way, and why.
    pub blocked: Option<(NodeId, Blocked)>,
    /// Rounds that ended with a mark.
    pub agreed: u64,
    /// Rounds that came to nothing.
    pub void: u64,
    /// Records that were dropped.
    pub dropped: u64,
    /// Records that were not taken in, because all of them was settled.
    pub refused: u64,
}

/// The collection of one shard.
#[derive(Debug)]
pub(crate) struct Collection {
    here: NodeId,
    incarnation: Incarnation,
    state: Arc<ClusterState>,
    options: CollectionOptions,
    /// The owners of each partition that this node owns, the leader first.
    owners: BTreeMap<PartitionId, Vec<NodeId>>,
    marks: Marks,
    dead: BTreeMap<PartitionId, Dead>,
    /// Lives that are over: what they wrote is as settled as all the rest, though no record may name them any more.
    past: BTreeSet<Incarnation>,
    not_before: BTreeMap<PartitionId, Instant>,
    rounds: BTreeMap<PartitionId, Round>,
    /// Marks of which it is not known whether other owners keep them.
    to_bring: BTreeSet<PartitionId>,
    fences: Fences,
    asked: BTreeMap<u64, Asked>,
    to_sweep: VecDeque<PartitionId>,
    /// Partitions of which something could not be read when they were swept, and when to sweep them again.
    sweep_again: BTreeMap<PartitionId, Instant>,
    sweep: Option<Sweep>,
    last_id: u64,
    id_step: u64,
    next_round: u64,
    figures: Figures,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    partition: PartitionId,
    round: u64,
    to: NodeId,
    until: Instant,
}

/// Who a node is, and which of its shards this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) here: NodeId,
    pub(crate) incarnation: Incarnation,
    /// The first stint of this run: with it, no round's number is used twice.
    pub(crate) first_stint: u32,
    pub(crate) shard: u8,
    pub(crate) shards: u8,
}

impl Collection {
    /// Over what this node owns of these partitions, with the marks that it keeps.
    pub(crate) fn new(
        who: Who,
        state: Arc<ClusterState>,
        partitions: &[PartitionId],
        marks: Marks,
        options: CollectionOptions,
    ) -> Collection {
        let owners = owned(who.here, &state, partitions);
        let leads = |partition: &PartitionId| {
            let leader = owners.get(partition).and_then(|owners| owners.first());
            leader == Some(&who.here) && state.movement(*partition).is_none()
        };
        let to_bring = marks.partitions().filter(|one| leads(one)).collect();
        Collection {
            here: who.here,
            incarnation: who.incarnation,
            state,
            options,
            to_sweep: marks.partitions().filter(|one| owners.contains_key(one)).collect(),
            owners,
            marks,
            dead: BTreeMap::new(),
            past: BTreeSet::new(),
            not_before: BTreeMap::new(),
            rounds: BTreeMap::new(),
            to_bring,
            fences: Fences::default(),
            asked: BTreeMap::new(),
            sweep_again: BTreeMap::new(),
            sweep: None,
            last_id: (OWN_ID | COLLECTION_ID) + u64::from(who.shard),
            id_step: u64::from(who.shards),
            next_round: u64::from(who.first_stint) << 32 | u64::from(who.shard) << 24,
            figures: Figures::default(),
        }
    }

    /// From now on it is as this state says. What comes back are the partitions whose marks are not to be kept any more, for this
    /// node has nothing of them, and the keys under which they are stored.
    ///
    /// A round over a partition whose owners have changed, or that moves, comes to nothing, and so do all where members come or
    /// go: whom a round has asked must be all that there are. Where a partition has arrived its first owner brings his mark to the
    /// others, for a round may have ended while it was brought.
    pub(crate) fn adopt(
        &mut self,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
        holds: impl Fn(PartitionId) -> bool,
    ) -> Vec<Bytes> {
        let before = std::mem::replace(&mut self.state, Arc::clone(state));
        let has_changed = |partition: PartitionId| {
            before.since(partition) != state.since(partition) || state.movement(partition).is_some()
        };
        let are_the_same = nodes_of(&before) == nodes_of(state);
        self.rounds.retain(|partition, _| are_the_same && !has_changed(*partition));
        self.fences.forget(has_changed);
        self.owners = owned(self.here, state, partitions);
        let arrived = |partition: &PartitionId| {
            before.since(*partition) != state.since(*partition) && state.movement(*partition).is_none()
        };
        let to_bring = self.marks.partitions().filter(|one| arrived(one) && self.leads(*one));
        let to_bring: Vec<PartitionId> = to_bring.collect();
        self.to_bring.retain(|one| !has_changed(*one));
        self.to_bring.extend(to_bring);
        let gone: Vec<PartitionId> = self.marks.partitions().filter(|one| !holds(*one)).collect();
        let gone = gone.into_iter().flat_map(|partition| self.marks.forget(partition)).collect();
        self.dead.retain(|partition, _| self.owners.contains_key(partition));
        self.not_before.retain(|partition, _| self.owners.contains_key(partition));
        self.to_sweep.retain(|partition| self.owners.contains_key(partition));
        self.sweep_again.retain(|partition, _| self.owners.contains_key(partition));
        self.sweep.take_if(|sweep| !self.owners.contains_key(&sweep.partition));
        gone
    }

    /// What this mark of a partition, of other owners, is for this node, and what is to be stored of it. This life of the node is one of
    /// those that have what is settled, once it has compared with them all.
    pub(crate) fn joining(
        &self,
        partition: PartitionId,
        mark: &wire::Mark,
    ) -> (wire::Mark, Vec<(Bytes, Bytes)>) {
        let mut mark = mark.clone();
        if !mark.owners.contains(&self.incarnation) {
            mark.owners.push(self.incarnation);
        }
        let stored = self.marks.joined(partition, &mark);
        (mark, stored)
    }

    /// What is agreed on of a slot, if anything.
    pub(crate) fn mark(&self, slot: u16) -> Option<&Standing> {
        self.marks.of_slot(slot)
    }

    /// What is agreed on of all slots of a partition, if anything.
    pub(crate) fn mark_of_all(&self, partition: PartitionId) -> Option<Standing> {
        self.marks.of_all(partition)
    }

    /// Whether what is held of a key of this slot may be dropped, and so counts as nothing already.
    pub(crate) fn is_droppable(&self, slot: u16, record: &Record) -> bool {
        self.mark(slot).is_some_and(|mark| record.is_collectable(&mark.droppable, mark.droppable_by))
    }

    /// Of what arrived for a key of this slot, what may be merged into what is held; nothing where all of it is settled.
    pub(crate) fn unsettled(&mut self, slot: u16, arrived: Record, held: Option<&Record>) -> Option<Record> {
        let Some(mark) = self.marks.of_slot(slot) else { return Some(arrived) };
        let left = arrived.unsettled(held, &mark.settled);
        self.figures.refused += u64::from(left.is_none());
        left
    }

    /// Records were dropped.
    pub(crate) fn dropped(&mut self) {
        self.figures.dropped += 1;
    }

    /// How far it is.
    pub(crate) fn figures(&self, now: WallTime) -> Figures {
        let led = || self.dead.iter().filter(|(partition, dead)| self.leads(**partition) && dead.from <= now);
        let oldest_round = self.rounds.values().min_by_key(|round| round.number());
        Figures {
            waiting: led().count() as u64,
            oldest: led().map(|(_, dead)| dead.from).min(),
            blocked: oldest_round.and_then(Round::blocked),
            ..self.figures.clone()
        }
    }

    fn leads(&self, partition: PartitionId) -> bool {
        let leader = self.owners.get(&partition).and_then(|owners| owners.first());
        leader == Some(&self.here) && self.state.movement(partition).is_none()
    }

    /// Whether a node may ask about a partition: its leader, while it does not move.
    pub(crate) fn may_ask(&self, partition: PartitionId, from: NodeId) -> bool {
        if self.state.movement(partition).is_some() {
            return false;
        }
        match self.owners.get(&partition) {
            Some(owners) => owners.first() == Some(&from),
            None => owners_of(&self.state, partition).first() == Some(&from),
        }
    }

    /// These lives are over.
    pub(crate) fn add_past_lives(&mut self, lives: impl Iterator<Item = Incarnation>) {
        self.past.extend(lives.take(KNOWN_MAX));
    }

    /// A round begins, in which this node takes part.
    pub(crate) fn fence(&mut self, now: Moment, partition: PartitionId, round: u64) -> Vec<Incarnation> {
        self.fences.begin(now.mono, partition, round);
        let known = self.dead.get(&partition).into_iter().flat_map(|dead| dead.known.iter().copied());
        known.chain(self.past.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a step of a round is done here.
    pub(crate) fn step<F: FnMut(Instant) -> Option<NodeId>>(
        &mut self,
        partition: PartitionId,
        ask: &CollectAsk,
        here: &mut fence::Here<'_, F>,
    ) -> CollectAnswer {
        self.fences.ask(partition, ask.round, &ask.step, here)
    }

    /// Whether a write that another node has named must not be made any more: it is settled, or a round has begun to settle it.
    pub(crate) fn is_closed(&self, slot: u16, dot: &Dot) -> bool {
        let settled = self.mark(slot).is_some_and(|mark| mark.settled.covers(dot));
        settled || self.fences.is_closed(self.state.partition_of_slot(slot).0, dot)
    }

    /// A mark to keep: what is to be stored of it, under which keys. Nothing where it is not for this life of this node.
    pub(crate) fn to_keep(&self, partition: PartitionId, mark: &wire::Mark) -> Option<Vec<(Bytes, Bytes)>> {
        let is_owner = self.owners.contains_key(&partition);
        (is_owner && mark.owners.contains(&self.incarnation)).then(|| self.marks.joined(partition, mark))
    }

    /// It is stored. What comes back are keys that are of no use any more.
    #[must_use]
    pub(crate) fn keep(&mut self, partition: PartitionId, mark: &wire::Mark) -> Vec<Bytes> {
        let are_gone = self.marks.keep(partition, mark);
        if !mark.droppable.is_empty() && !self.to_sweep.contains(&partition) {
            self.to_sweep.push_back(partition);
        }
        are_gone
    }

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|asked| asked.until);
        let rounds = self.rounds.values().filter_map(Round::next_timer);
        let sweep = match &self.sweep {
            Some(sweep) => sweep.due(),
            None if self.to_sweep.is_empty() => self.sweep_again.values().min().copied(),
            None => Some(Instant::default()),
        };
        let room = self.rounds.len() < ROUNDS_MAX;
        let begin =
            self.dead.iter().filter(|_| room).filter_map(|(partition, dead)| self.due(*partition, dead));
        let bring = (room && !self.to_bring.is_empty()).then(Instant::default);
        asked.chain(rounds).chain(sweep).chain(begin).chain(bring).min()
    }

    /// When a round of a partition is to begin; nothing where this node does not lead it, or one is under way.
    fn due(&self, partition: PartitionId, dead: &Dead) -> Option<Instant> {
        let begins = self.leads(partition) && !self.rounds.contains_key(&partition);
        let rest = self.not_before.get(&partition).copied().unwrap_or_default();
        begins.then(|| dead.due.max(rest))
    }

    /// Goes on with what is due.
    pub(crate) fn turn(&mut self, now: Moment, db: &Db, out: &mut Vec<Effect>) {
        let late: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| asked.until <= now.mono).map(|(id, _)| *id).collect();
        for id in late {
            self.unanswered(now, OperationId(id), Blocked::Silent);
        }
        self.begin_rounds(now);
        self.ask(now, out);
        self.go_on_sweeping(now, db, out);
    }

    fn begin_rounds(&mut self, now: Moment) {
        while self.rounds.len() < ROUNDS_MAX {
            let due = |(partition, dead): &(&PartitionId, &Dead)| {
                self.due(**partition, dead).is_some_and(|due| due <= now.mono)
            };
            let bring = self.to_bring.iter().find(|one| !self.rounds.contains_key(one)).copied();
            let begin = self.dead.iter().find(due).map(|(partition, _)| *partition);
            let Some(partition) = bring.or(begin) else { return };
            self.next_round += 1;
            let owners = self.owners.get(&partition).cloned().unwrap_or_default();
            let is_to_bring = self.to_bring.remove(&partition) && self.marks.is_one(partition);
            let of_all = self.marks.of_all(partition).unwrap_or_default();
            let round = if is_to_bring {
                Round::bring(now.mono, self.next_round, self.here, &owners, &of_all)
            } else {
                let prior = Prior { settled: self.marks.of_any(partition).settled, ..Prior::from(&of_all) };
                Round::begin(now.mono, self.next_round, self.here, owners, nodes_of(&self.state), prior)
            };
            self.rounds.insert(partition, round);
        }
    }

    fn ask(&mut self, now: Moment, out: &mut Vec<Effect>) {
        for (partition, round) in &mut self.rounds {
            for (to, step) in round.due(now.mono) {
                self.last_id += self.id_step;
                let until = now.mono + PATIENCE;
                let asked = Asked { partition: *partition, round: round.number(), to, until };
                self.asked.insert(self.last_id, asked);
                out.push(Effect::Ask {
                    to,
                    operation: OperationId(self.last_id),
                    partition: *partition,
                    patience: PATIENCE,
                    request: ReplicaRequest::Collect(Box::new(CollectAsk { round: round.number(), step })),
                });
            }
        }
    }

    /// A question was answered.
    pub(crate) fn replied(&mut self, now: Moment, from: NodeId, operation: OperationId, reply: ReplicaReply) {
        let ReplicaReply::Collected(answer) = reply else {
            return self.unanswered(now, operation, Blocked::Silent);
        };
        let Some(asked) = self.asked.get(&operation.0).copied().filter(|asked| asked.to == from) else {
            return;
        };
        self.asked.remove(&operation.0);
        let round = self.rounds.get_mut(&asked.partition).filter(|round| round.number() == asked.round);
        let Some(round) = round else { return };
        match round.answered(now.mono, from, *answer) {
            Progress::Going => return,
            Progress::Done => self.figures.agreed += 1,
            Progress::Void => self.figures.void += 1,
        }
        self.rounds.remove(&asked.partition);
        // A sweep that follows says itself how long to rest.
        let rest = self.not_before.entry(asked.partition).or_default();
        let will_sweep = self.to_sweep.contains(&asked.partition)
            || self.sweep.as_ref().is_some_and(|sweep| sweep.partition == asked.partition);
        if will_sweep {
            *rest = (*rest).max(now.mono + self.options.rest);
        }
    }

    /// A question could not be sent, or was not answered in time.
    pub(crate) fn unanswered(&mut self, now: Moment, operation: OperationId, why: Blocked) {
        let Some(asked) = self.asked.remove(&operation.0) else { return };
        let round = self.rounds.get_mut(&asked.partition).filter(|round| round.number() == asked.round);
        if let Some(round) = round {
            round.unanswered(now.mono, asked.to, why);
        }
    }

    /// The mark of these slots, with the key under which it is stored.
    pub(crate) fn stored_mark(&self, slots: store_key::Slots) -> Option<(Bytes, Bytes)> {
        self.marks.stored_of(slots)
    }

    /// Whether a mark that is kept is stored under this key.
    pub(crate) fn is_stored_under(&self, key: &[u8]) -> bool {
        self.marks.is_stored_under(key)
    }

    /// All marks that are kept, with the keys under which they are stored.
    pub(crate) fn kept_marks(&self) -> Vec<(Bytes, Bytes)> {
        self.marks.stored().collect()
    }

    /// Whether a page is one that a sweep has read.
    pub(crate) fn is_reading(&self, token: u64) -> bool {
        is_its_id(token)
    }

    fn go_on_sweeping(&mut self, now: Moment, db: &Db, out: &mut Vec<Effect>) {
        if self.sweep.is_none() {
            let again =
                self.sweep_again.iter().find(|(_, at)| **at <= now.mono).map(|(partition, _)| *partition);
            let Some(partition) = self.to_sweep.pop_front().or(again) else { return };
            self.sweep_again.remove(&partition);
            let Some(slots) = self.state.partitions().slots_of(partition) else { return };
            // What is still there when it is read is noticed again.
            self.dead.remove(&partition);
            self.sweep = Some(Sweep::begin(now.mono, partition, (*slots.start(), *slots.end())));
        }
        let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.due().is_some_and(|due| due <= now.mono))
        else {
            return;
        };
        self.last_id += self.id_step;
        out.push(Effect::Scan(self.last_id, sweep.read(self.last_id, db)));
    }

    /// A page was read. What comes back are the keys whose records may be dropped.
    pub(crate) fn page(&mut self, now: Moment, token: u64, outcome: ScanOutcome) -> Vec<Bytes> {
        let Some(mut sweep) = self.sweep.take_if(|sweep| sweep.is_reading(token)) else { return Vec::new() };
        let partition = sweep.partition;
        let ScanOutcome::Page { entries, next } = outcome else {
            // Damage is somebody else's to mend; what cannot be read is not dropped, and is looked at again.
            self.rest(now, &sweep);
            let again = self.not_before.get(&partition).copied().unwrap_or(now.mono + self.options.rest);
            self.sweep_again.insert(partition, again);
            return Vec::new();
        };
        let mut keys = Vec::new();
        for (key, record) in entries {
            let Some(place) = store_key::parse(&key) else { continue };
            let may_be_dropped = may_be_dead(&record)
                && Record::decode(record.clone()).is_ok_and(|record| self.is_droppable(place.slot, &record));
            if may_be_dropped {
                keys.push(key);
            } else {
                self.noticed(now, partition, &record);
            }
        }
        if sweep.go_on(now.mono, next) {
            self.sweep = Some(sweep);
        } else {
            self.rest(now, &sweep);
        }
        keys
    }

    fn rest(&mut self, now: Moment, sweep: &Sweep) {
        let took = now.mono.since(sweep.began) * SWEEP_SHARE;
        self.not_before.insert(sweep.partition, now.mono + took.max(self.options.rest));
    }
}

/// All nodes that have to do with rounds: those that are not gone for good.
fn nodes_of(state: &ClusterState) -> Vec<NodeId> {
    let there = state.members().iter().filter(|member| member.standing != cluster::Standing::Gone);
    there.map(|member| member.id).collect()
}

/// The owners of each of these partitions that this node owns, or is about to.
fn owned(
    here: NodeId,
    state: &ClusterState,
    partitions: &[PartitionId],
) -> BTreeMap<PartitionId, Vec<NodeId>> {
    let is_to_own = |partition: PartitionId| {
        state.keyspaces().iter().any(|keyspace| {
            let owners = state.all_owners(keyspace.id, partition);
            owners.read.contains(&here) || owners.also_written.contains(&here)
        })
    };
    let owned = partitions.iter().filter(|partition| is_to_own(**partition));
    owned.map(|partition| (*partition, owners_of(state, *partition))).collect()
}

/// All owners of a partition in any keyspace, in the order of the preference list: the first of them leads.
fn owners_of(state: &ClusterState, partition: PartitionId) -> Vec<NodeId> {
    let each = state.keyspaces().iter().map(|keyspace| state.owners(keyspace.id, partition));
    let mut owners = each.clone().max_by_key(|owners| owners.len()).map_or_else(Vec::new, <[NodeId]>::to_vec);
    for owner in each.flatten() {
        if !owners.contains(owner) {
            owners.push(*owner);
        }
    }
    owners
}
