//! What the collection of deletes means for records: what may be dropped counts as nothing, and goes; what comes on top of it
//! begins anew, and still outranks it.

use bytes::Bytes;
use causality::{Context, Policy, Record, Stamp};
use storage::ScanOutcome;
use types::{Epoch, Instant, Moment, OperationId, PartitionId, ShardId, WallTime};
use wire::{CollectAnswer, CollectAsk, CollectStep, CollectWait, ReplicaReply};

use super::{Afterwards, Effect, Replica, Ticket};
use crate::collection;
use crate::collection::fence::{Here, UnderWay};
use crate::make::{self, Make};
use crate::store_key;
use crate::waiting::{Task, Waiting};

impl Replica {
    /// A question of a round of the collection, from the leader of its partition. `under_way` are the operations of this shard.
    pub fn collect(
        &mut self,
        now: Moment,
        ticket: Ticket,
        ask: &CollectAsk,
        under_way: UnderWay,
        out: &mut Vec<Effect>,
    ) {
        let partition = ticket.partition;
        let answer = match &ask.step {
            _ if !self.collection.may_ask(partition, ticket.from) => CollectAnswer::NotAnOwner,
            CollectStep::Adopt(mark) => return self.adopt_mark(ticket, mark, out),
            CollectStep::Fence if !self.actors.is_confirmed() => {
                let why = "no peer has let this node in yet".to_owned();
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
                return;
            }
            CollectStep::Fence => {
                let known = self.collection.fence(now, partition, ask.round);
                let (actor, counter) = (self.actors.actor(partition), self.actors.issued(partition));
                let written = wire::Written { incarnation: actor.incarnation, stint: actor.stint, counter };
                CollectAnswer::Fenced { written, now: now.wall, known }
            }
            CollectStep::Operations(_) | CollectStep::Hints | CollectStep::Comparing => {
                let missing = self.missing_of(partition);
                let exchange = &mut self.exchange;
                let mut here = Here {
                    now: now.mono,
                    under_way,
                    keeps_hints: self.handoff.keeps_any(),
                    // What was lost here may be what is to be settled.
                    to_compare: &mut |since: Instant| missing.or_else(|| exchange.want(partition, since)),
                    newest: self.collection.newest(partition),
                    written: self.db.last_sequence(),
                    synced: self.db.synced_through(),
                };
                self.collection.step(partition, ask, &mut here)
            }
        };
        if answer == CollectAnswer::NotYet(CollectWait::Sync) {
            self.sync_due = Some(now.mono);
        }
        out.push(Effect::Reply(ticket, ReplicaReply::Collected(Box::new(answer))));
    }

    /// Keeps a mark, and says so when it is on stable storage.
    fn adopt_mark(&mut self, ticket: Ticket, mark: &wire::Mark, out: &mut Vec<Effect>) {
        let partition = ticket.partition;
        let Some(stored) = self.collection.to_keep(partition, mark) else {
            let answer = Box::new(CollectAnswer::NotAnOwner);
            out.push(Effect::Reply(ticket, ReplicaReply::Collected(answer)));
            return;
        };
        match self.store_marks(stored) {
            Ok(sequence) => {
                let are_gone = self.collection.keep(partition, mark);
                self.rewriting.drop_keys(are_gone);
                let done = ReplicaReply::Collected(Box::new(CollectAnswer::Done));
                self.unsynced.push_back((sequence, ticket, done));
            }
            Err(error) => {
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why: error.to_string() }));
            }
        }
    }

    /// Stores marks under their keys. That one is stored and another is not does no harm: each says what was agreed on.
    pub(super) fn store_marks(
        &mut self,
        marks: Vec<(Bytes, Bytes)>,
    ) -> Result<storage::SequenceNumber, storage::PutError> {
        let mut last = storage::SequenceNumber::default();
        for (key, mark) in marks {
            last = self.db.put(&key, mark, storage::Kind::Full)?;
        }
        Ok(last)
    }

    /// What is said to a reader who knows this much, where `reply` is said to anybody else: if what is held does not cover
    /// that, and yet is not behind it.
    pub(super) fn covering(&self, key: &[u8], context: &Context, reply: ReplicaReply) -> ReplicaReply {
        let (record, synced) = match reply {
            ReplicaReply::Found { record, synced } => (Some(record), synced),
            ReplicaReply::Absent => (None, true),
            other => return other,
        };
        let held = record.clone().and_then(|record| Record::decode(record).ok());
        let mark = store_key::own_slot(key).and_then(|slot| self.collection.mark(slot));
        let mark = mark.filter(|_| !context.is_covered_by(held.as_ref()));
        match (mark, record) {
            (Some(mark), record) if Record::covers_but_for(held.as_ref(), context, &mark.settled) => {
                ReplicaReply::Covering { record, synced }
            }
            (_, Some(record)) => ReplicaReply::Found { record, synced },
            (_, None) => ReplicaReply::Absent,
        }
    }

    /// How far the collection of deletes is.
    pub fn collection(&self, now: WallTime) -> collection::Figures {
        self.collection.figures(now)
    }

    /// A record of this node's own is stored: where it is a delete, or ends, it is to be collected one day.
    pub(super) fn notice_delete(&mut self, now: Moment, key: &[u8], record: &Bytes) {
        if let Some(slot) = store_key::own_slot(key) {
            let (partition, _) = self.state.partition_of_slot(slot);
            self.collection.noticed(now, partition, record);
        }
    }

    /// What a change is made on, and with what, where deletes were collected: what may be dropped counts as nothing and is
    /// still outranked; what of this node's own is settled is not forgotten; and what has ended for everybody has ended.
    pub(super) fn since_collected(
        &mut self,
        now: Moment,
        (partition, slot): (PartitionId, u16),
        ask: Make,
        on: Option<Record>,
        policy: Policy,
    ) -> (Option<Record>, Make, Moment) {
        let Some(mark) = self.collection.mark(slot).filter(|_| ask.in_place_of.is_none()) else {
            return (on, ask, now);
        };
        let (actor, passed, newest) = (self.actors.actor(partition), mark.settled_by, mark.newest);
        let settled = mark.settled.counter_of(actor);
        let on = match on {
            Some(record) if self.collection.is_droppable(slot, &record) => {
                self.outrank(now, make::newest_stamp(&record));
                None
            }
            on => on,
        };
        if on.is_none() {
            self.outrank(now, newest);
        }
        let base = ask.base.and_then(|base| self.collection.unsettled(slot, *base, on.as_ref()));
        let on = Record::claiming(on, policy, actor, settled);
        let now = Moment { wall: now.wall.max(passed), ..now };
        (on, Make { base: base.map(Box::new), ..ask }, now)
    }

    /// Makes sure that what this node writes from here on has a greater stamp.
    fn outrank(&mut self, now: Moment, newest: Stamp) {
        // One that is far ahead moves no clock; other owners refuse what is below it for as long as they have it.
        let _ = self.clock.observe(newest, now.wall, self.options.clock_drift_ms_max);
    }

    /// The same for what is written on top of a record that is let go of: another owner may still hold it.
    pub(super) fn outrank_record(&mut self, now: Moment, record: &Bytes) {
        if let Ok(record) = Record::decode(record.clone()) {
            self.outrank(now, make::newest_stamp(&record));
        }
    }

    /// A page of a sweep was read: what may be dropped is, each in its turn.
    pub(super) fn swept(&mut self, now: Moment, token: u64, outcome: ScanOutcome, out: &mut Vec<Effect>) {
        for key in self.collection.page(now, token, outcome) {
            let one = Waiting::new(now, self.for_itself(), Task::Drop);
            self.with_held(now, key, one, out);
        }
    }

    /// A page that the exchange has read. Where it is one of all that is stored, deletes of before the start are found in it.
    pub(super) fn exchange_read(
        &mut self,
        now: Moment,
        token: u64,
        outcome: ScanOutcome,
        out: &mut Vec<Effect>,
    ) {
        if self.exchange.is_building(token)
            && let ScanOutcome::Page { entries, .. } = &outcome
        {
            for (key, record) in entries {
                self.notice_not_kept(key);
                self.notice_delete(now, key, record);
            }
        }
        let first = out.len();
        self.exchange.scan_done(now, token, outcome, &self.db, &mut self.granting, out);
        self.answer_when_synced(first, out);
    }

    /// Lets go of what another owner had, and has dropped.
    pub(super) fn let_go_of_settled(&mut self, now: Moment, out: &mut Vec<Effect>) {
        for (keyspace, key, record) in self.exchange.take_settled() {
            let one = Waiting::new(now, self.for_itself(), Task::LetGo { record });
            self.healing.compare_again(now.mono, self.state.partition_of(&key));
            self.with_held(now, store_key::store_key(keyspace, &key), one, out);
        }
    }

    /// Drops what is held of a key if it may be dropped.
    pub(super) fn drop_dead(&mut self, now: Moment, key: &Bytes, held: Option<&Bytes>) -> Afterwards {
        let (Some(held), Some(slot)) = (held, store_key::own_slot(key)) else { return Afterwards::Same };
        match Record::decode(held.clone()) {
            Ok(record) if self.collection.is_droppable(slot, &record) => {
                self.outrank(now, make::newest_stamp(&record));
                self.let_go_of(now, key, held, Some(held))
            }
            _ => Afterwards::Same,
        }
    }

    /// Drops what is held of a key if it is this record, and nobody is yet to be told or shown something of it.
    pub(super) fn let_go_of(
        &mut self,
        now: Moment,
        key: &Bytes,
        record: &Bytes,
        held: Option<&Bytes>,
    ) -> Afterwards {
        let at_rest = self.recent.unsynced(key).is_none() && !self.recent.is_hidden(key);
        if held != Some(record) || !at_rest || self.db.delete(key).is_err() {
            return Afterwards::Same;
        }
        self.exchange.changed(key, held, None);
        self.collection.dropped();
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        Afterwards::Nothing
    }

    /// The ticket of a task that nobody has asked for.
    pub(super) fn for_itself(&self) -> Ticket {
        let shard = ShardId(self.options.shard);
        Ticket {
            from: self.here,
            of: shard,
            via: shard,
            operation: OperationId(collection::NOBODYS),
            round: 0,
            partition: PartitionId(0),
            epoch: Epoch(u64::MAX),
            until: Instant(u64::MAX),
        }
    }
}
