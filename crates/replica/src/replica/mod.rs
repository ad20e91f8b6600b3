//! The machine: (now, request or completion) in, effects out, in the order in which they must happen.
//!
//! Every path to a record goes through `Replica::held`: a key whose record is in memory is served at once, else its
//! work waits, in order, behind one read from disk. So a write never meets a record older than the one that it should be
//! merged with, and equal reads of a cold key cost one.
//!
//! Here is the way of a request; [`reaching`] is its way to the record, [`arriving`] is what becomes of a record that another node made, [`making`] how this one
//! makes its own, [`collecting`] how deletes are dropped, [`healing`] what becomes of what was lost to damage.

mod arriving;
mod collecting;
mod healing;
mod making;
mod options;
mod reaching;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causality::HybridClock;
use cluster::{ClusterState, Durability, Keyspace, QuorumMode};
use quorum::{Level, Model};
use storage::{
    BackgroundJob, BackgroundKind, BackgroundOutcome, Damage, Db, Installed, Kind, LogError, Lookup,
    PutError, ReadJob, ReadOutcome, ScanJob, ScanOutcome, SequenceNumber, SyncJob, SyncOutcome,
};
use types::{Incarnation, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId, ShardId};
use wire::{ReplicaReply, ReplicaRequest, ScanAsk};

use self::healing::MISSING;
use crate::actors::Actors;
use crate::collection::mark::{Marks, MarksError};
use crate::collection::{self, Collection};
use crate::exchange::{self, Exchange};
use crate::founding::Founding;
use crate::granting::Granting;
use crate::handoff::{self, Handoff, Settled};
use crate::healing::Healing;
use crate::make::{Made, Make, MakeError};
use crate::patience::Refusals;
use crate::recent::Recent;
use crate::scan::Scans;
use crate::store_key::{self, store_key};
use crate::waiting::{Cold, Stalled, Task, Waiting};

pub use self::options::ReplicaOptions;

/// Whom to answer, and about what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The node that asked.
    pub from: NodeId,
    /// The shard of that node whose question it is.
    pub of: ShardId,
    /// The shard of this node by which the question came, and by which its answer leaves.
    pub via: ShardId,
    /// Its operation.
    pub operation: OperationId,
    /// Which of its rounds of questions.
    pub round: u32,
    /// The partition that it is about.
    pub partition: PartitionId,
    /// When nobody waits for the answer any more. What has had to wait longer is not done at all (INVARIANTS J1).
    pub until: Instant,
}

/// What the driver is to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Tell who asked.
    Reply(Ticket, ReplicaReply),
    /// Tell the local coordinator that its change was made (not yet that it is durable; that is a reply).
    Made(Ticket, Result<Made, MakeError>),
    /// Run on a read thread, and hand the outcome to [`Replica::read_done`].
    Read(u64, ReadJob),
    /// Run on a read thread, and hand the outcome to [`Replica::scan_done`].
    Scan(u64, ScanJob),
    /// Ask a peer's replica something that no client has asked. The reply goes to [`Replica::replied`], and that it could not
    /// be sent to [`Replica::not_sent`].
    Ask {
        /// Whom.
        to: NodeId,
        /// Under this name.
        operation: OperationId,
        /// About this partition.
        partition: PartitionId,
        /// How long the answer is waited for.
        patience: Duration,
        /// What.
        request: ReplicaRequest,
    },
    /// Run on the log thread, and hand the outcome to [`Replica::synced`].
    Sync(SyncJob),
    /// Run on the background thread, and hand the outcome to [`Replica::installed`].
    Background(BackgroundJob),
    /// Tell people.
    Noticed(crate::healing::News),
    /// Nothing can be promised any more: stop the node (INVARIANTS A4).
    Stop(String),
}

/// One node's share of the data.
#[derive(Debug)]
pub struct Replica {
    here: NodeId,
    state: Arc<ClusterState>,
    options: ReplicaOptions,
    db: Db,
    clock: HybridClock,
    actors: Actors,
    /// In whose place this node last made a write, by partition.
    stood_in_for: BTreeMap<PartitionId, NodeId>,
    recent: Recent,
    cold: Cold,
    scans: Scans,
    stalled: Stalled,
    handoff: Handoff,
    granting: Granting,
    exchange: Exchange,
    collection: Collection,
    healing: Healing,
    /// Until it is known whether this node had anything to forget.
    founding: Option<Founding>,
    /// Whether it had not, and that is being written down.
    is_being_founded: bool,
    /// The last of the marks that were written again because some may be missing.
    marks_kept: Option<SequenceNumber>,
    /// When to try that again.
    marks_again_at: Instant,
    /// Replies that wait until their sequence number is synced.
    unsynced: VecDeque<(SequenceNumber, Ticket, ReplicaReply)>,
    /// Replies that wait until the log is handed to the operating system, at the end of the turn.
    unwritten: Vec<(Ticket, ReplicaReply)>,
    /// When the log must be synced at the latest, where relaxed writes wait for it.
    sync_due: Option<Instant>,
    syncing: bool,
    /// Kinds of background work whose last job came to nothing, and until when each is left alone. The others go on:
    /// a compaction that cannot read its tables must not hold up the flush that writes wait for.
    left_alone: BTreeMap<BackgroundKind, Instant>,
    /// When the first of what waits for the disk or for storage may have no time left.
    give_up_at: Option<Instant>,
    refusals: Refusals,
}

/// How long a kind of background work is left alone that came to nothing.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(1);

impl Replica {
    /// The replica over this store, which has these partitions as far as the node owns them, minting under these actors.
    /// Blocks: what was agreed on of deletes is read before anything is served.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn new(
        here: NodeId,
        state: Arc<ClusterState>,
        partitions: &[PartitionId],
        mut db: Db,
        actors: Actors,
        options: ReplicaOptions,
    ) -> Result<Replica, MarksError> {
        let who = collection::Who {
            here,
            incarnation: actors.incarnation(),
            first_stint: actors.first_stint(),
            shard: options.shard,
            shards: options.shards,
        };
        let marks = Marks::load(&mut db)?;
        let collection = Collection::new(who, Arc::clone(&state), partitions, marks, options.collection);
        let shard = (options.shard, options.shards);
        let exchange = Exchange::new(here, Arc::clone(&state), partitions, shard, options.exchange);
        let healing = Healing::new(here, Arc::clone(&state), partitions);
        let mut replica = Replica {
            here,
            state,
            options,
            db,
            clock: HybridClock::default(),
            actors,
            stood_in_for: BTreeMap::new(),
            recent: Recent::default(),
            cold: Cold::new(options.cold_waiting_max, options.waiting_bytes_max),
            scans: Scans::default(),
            stalled: Stalled::new(options.stalled_max, options.waiting_bytes_max),
            handoff: Handoff::new(u64::from(options.shard), u64::from(options.shards)),
            granting: Granting::default(),
            exchange,
            collection,
            healing,
            founding: None,
            is_being_founded: false,
            marks_kept: None,
            marks_again_at: Instant::default(),
            unsynced: VecDeque::new(),
            unwritten: Vec::new(),
            sync_due: None,
            syncing: false,
            left_alone: BTreeMap::new(),
            give_up_at: None,
            refusals: Refusals::default(),
        };
        let missing = replica.db.missing().to_vec();
        if !missing.is_empty() {
            let damages: Vec<Damage> = replica.db.damages().cloned().collect();
            replica.lost(&missing, damages);
        }
        Ok(replica)
    }

    /// Serves a request of a coordinator, this node's own or a peer's.
    pub fn serve(&mut self, now: Moment, ticket: Ticket, request: ReplicaRequest, out: &mut Vec<Effect>) {
        match request {
            ReplicaRequest::Read { keyspace, key, in_place_of } => {
                match self
                    .may_answer(keyspace)
                    .and_then(|()| self.place_of(keyspace, &key, ticket.partition, in_place_of))
                {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => self.with_held(now, key, Waiting::new(now, ticket, Task::Read), out),
                }
            }
            ReplicaRequest::ReadCovering { keyspace, key, context } => {
                match self
                    .may_answer(keyspace)
                    .and_then(|()| self.place_of(keyspace, &key, ticket.partition, None))
                {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => {
                        let task = Task::ReadCovering(context);
                        self.with_held(now, key, Waiting::new(now, ticket, task), out);
                    }
                }
            }
            ReplicaRequest::ReadHeld { keyspace, key } => {
                match self.place_of(keyspace, &key, ticket.partition, None) {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => self.with_held(now, key, Waiting::new(now, ticket, Task::ReadHeld), out),
                }
            }
            ReplicaRequest::Write { keyspace, key, record, path, in_place_of } => {
                match self.place_of(keyspace, &key, ticket.partition, in_place_of) {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::Failed { why })),
                    Ok(key) => {
                        let task = Task::Write { keyspace, record, path };
                        self.with_held(now, key, Waiting::new(now, ticket, task), out);
                    }
                }
            }
            ReplicaRequest::Grant => {
                let bytes = if self.stalled.is_empty() { self.granting.grant(now.mono) } else { 0 };
                out.push(Effect::Reply(ticket, ReplicaReply::Granted { bytes }));
            }
            ReplicaRequest::Compare(ask) => self.exchange.ask(now.mono, ticket, *ask, &self.db, out),
            ReplicaRequest::Scan(ask) => self.scan(ticket, ask, false, out),
            ReplicaRequest::Count(ask) => self.scan(ticket, ask, true, out),
            ReplicaRequest::Collect(_) => {
                let why = "a question of a round came without what is under way here".to_owned();
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
            }
            ReplicaRequest::Forward(_) => {
                let why = "a forwarded request reached a replica".to_owned();
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
            }
        }
    }

    /// What this replica holds of a key, where memory can say so at once. Nothing where it is no owner, where disk must be
    /// asked, or where others wait for the disk with the same key.
    pub fn read_at_once(
        &mut self,
        keyspace: KeyspaceId,
        partition: PartitionId,
        key: &[u8],
    ) -> Option<ReplicaReply> {
        if self.refusal(keyspace, partition).is_some() || self.may_answer(keyspace).is_err() {
            return None;
        }
        let key = store_key(keyspace, key);
        if self.cold.has(&key) {
            return None;
        }
        match self.db.get(&key) {
            Lookup::Found(record) => Some(self.read(&key, Some(record))),
            Lookup::Absent => Some(self.read(&key, None)),
            Lookup::Cold(_) | Lookup::Unreadable(_) => None,
        }
    }

    /// Makes a client's change into a record and stores it. Answered by [`Effect::Made`], and when it is durable by a
    /// reply [`ReplicaReply::Stored`].
    pub fn make(&mut self, now: Moment, ticket: Ticket, ask: Make, out: &mut Vec<Effect>) {
        let key = match self.place_of(ask.keyspace, &ask.key, ticket.partition, ask.in_place_of) {
            Ok(key) => key,
            Err(why) => {
                out.push(Effect::Made(ticket, Err(MakeError::CannotSay(why))));
                return;
            }
        };
        if self.db.is_missing(&key) {
            out.push(Effect::Made(ticket, Err(MakeError::CannotSay(MISSING.to_owned()))));
            return;
        }
        match self.held(&key, Some(ask.bytes())) {
            Ok(held) => {
                self.make_on(now, &key, ticket, ask, held, out);
            }
            Err(why) => {
                let one = Waiting::new(now, ticket, Task::Make(Box::new(ask)));
                self.put_off(now, why, key, one, out);
            }
        }
    }

    /// Shows reads what an operation wrote here, which was hidden so far.
    pub fn show(
        &mut self,
        keyspace: KeyspaceId,
        key: &[u8],
        in_place_of: Option<NodeId>,
        operation: OperationId,
    ) {
        let own = store_key(keyspace, key);
        let key = match in_place_of {
            Some(owner) => store_key::hint_key(owner, &own),
            None => own,
        };
        self.recent.show(&key, operation);
    }

    /// A peer has let this run of the node in: nobody has seen a later one. The incarnation that it minted under until now, if
    /// this is news.
    pub fn let_in(&mut self) -> Option<Incarnation> {
        self.actors.confirm()
    }

    /// Lives of nodes that are over, and incarnations under which nobody mints any more.
    pub fn add_past_lives(&mut self, lives: impl Iterator<Item = Incarnation>) {
        self.collection.add_past_lives(lives);
    }

    /// A peer can be reached: what is kept for it may go.
    pub fn peer_up(&mut self, now: Moment, node: NodeId) {
        self.handoff.peer_up(now, node);
        self.exchange.peer_up(node);
    }

    /// A peer cannot be reached any more.
    pub fn peer_lost(&mut self, now: Moment, node: NodeId) {
        self.handoff.peer_lost(now, node);
        self.exchange.peer_lost(now, node);
    }

    /// What this replica asked by itself ([`Effect::Ask`]) could not be sent.
    pub fn not_sent(&mut self, now: Moment, operation: OperationId, out: &mut Vec<Effect>) {
        if exchange::is_its(operation) {
            self.exchange.not_sent(now, operation, &self.db, &mut self.granting, out);
        } else if collection::is_its(operation) {
            self.collection.unanswered(now, operation, collection::round::Blocked::Unreachable);
        } else {
            self.handoff.not_sent(now, operation);
        }
    }

    /// What this replica asked by itself ([`Effect::Ask`]) was answered.
    pub fn replied(
        &mut self,
        now: Moment,
        from: NodeId,
        operation: OperationId,
        reply: ReplicaReply,
        out: &mut Vec<Effect>,
    ) {
        if exchange::is_its(operation) {
            let of = (from, operation);
            self.exchange.replied(now, of, reply, &self.db, &mut self.granting, out);
            return self.let_go_of_settled(now, out);
        }
        if collection::is_its(operation) {
            return self.collection.replied(now, from, operation, reply);
        }
        if let Settled::Delivered(key) = self.handoff.replied(now, from, operation, &reply, &self.db, out) {
            self.let_go_of_hint(now, &key);
        }
    }

    /// Deletes a hint that its owner has. What this node minted on it is now forgotten here: it goes on under a fresh stint
    /// (INVARIANTS B2). If the delete is refused the hint is handed off once more.
    fn let_go_of_hint(&mut self, now: Moment, key: &Bytes) {
        if self.db.delete(key).is_err() {
            return;
        }
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        if let Some(slot) = store_key::slot_of(key) {
            let (partition, _) = self.state.partition_of_slot(slot);
            if self.actors.issued(partition) > 0 {
                self.forget(partition);
            }
        }
    }

    /// How far other owners and this one agree.
    pub fn exchange(&self) -> exchange::Figures {
        self.exchange.figures()
    }

    /// Compares all with all other owners, without the usual pauses.
    pub fn repair(&mut self, now: Moment) {
        self.exchange.hurry(now.mono);
    }

    /// What was refused, and why.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// What was and is to be handed off to owners.
    pub fn handoff(&self) -> handoff::Figures {
        self.handoff.figures()
    }

    /// A read from disk has ended.
    pub fn read_done(&mut self, now: Moment, token: u64, outcome: ReadOutcome, out: &mut Vec<Effect>) {
        let Some(key) = self.cold.key_of(token) else {
            return;
        };
        let held = match self.db.complete(outcome) {
            Lookup::Found(record) => Some(record),
            Lookup::Absent => None,
            Lookup::Cold(job) => {
                out.push(Effect::Read(token, job));
                return;
            }
            Lookup::Unreadable(error) => {
                self.unreadable(&key);
                let waiting = self.cold.take(now, token);
                out.extend(waiting.into_iter().map(|one| one.fail(&error.to_string())));
                return;
            }
        };
        let waiting = self.cold.take(now, token);
        self.run_all(now, &key, waiting, held, out);
    }

    /// A walk over tables has ended.
    pub fn scan_done(&mut self, now: Moment, token: u64, outcome: ScanOutcome, out: &mut Vec<Effect>) {
        if exchange::is_its_id(token) {
            return self.exchange_read(now, token, outcome, out);
        }
        if self.collection.is_reading(token) {
            return self.swept(now, token, outcome, out);
        }
        if self.handoff.is_looking(token) {
            let (state, recent) = (&self.state, &self.recent);
            let partition_of = |slot| state.partition_of_slot(slot).0;
            self.handoff.scan_done(now, token, outcome, partition_of, |key| recent.is_hidden(key), out);
            return;
        }
        self.scans.done(&self.db, &self.state, now, token, outcome, out);
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

    /// A piece of background work has ended.
    pub fn installed(&mut self, now: Moment, outcome: BackgroundOutcome, out: &mut Vec<Effect>) {
        let kind = outcome.kind();
        match self.db.install(outcome) {
            Ok(Installed::Done) => {}
            Ok(Installed::Lost { keys, damages }) => self.lost(&keys, damages),
            Ok(Installed::Retry(_) | Installed::Unreadable(_)) => {
                self.left_alone.insert(kind, now.mono + BACKGROUND_PAUSE);
            }
            Err(error) => out.push(Effect::Stop(error.to_string())),
        }
    }

    /// Ends a turn of the event loop: hands the commit log to the operating system in one write, and says what is to be
    /// synced, flushed or compacted.
    pub fn end_turn(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if let Err(error) = self.write_all(now, out) {
            out.push(Effect::Stop(error.to_string()));
            return;
        }
        self.give_up_late(now, out);
        out.extend(self.unwritten.drain(..).map(|(ticket, reply)| Effect::Reply(ticket, reply)));
        self.heal(now, out);
        self.handoff.turn(now, &self.db, out);
        self.exchange.turn(now, &self.db, &mut self.granting, out);
        self.collection.turn(now, &self.db, out);
        let due = self.sync_due.is_some_and(|due| due <= now.mono);
        if !self.syncing && (due || !self.unsynced.is_empty() || self.db.needs_sync()) {
            // A sync covers all that was written; where there is none to do, nothing was.
            self.sync_due = None;
            if let Some(job) = self.db.sync_job() {
                self.syncing = true;
                out.push(Effect::Sync(job));
            }
        }
        // A pause that is over is gone, whether there is anything to do or not: a timer that stays in the past never rests.
        self.left_alone.retain(|_, until| *until > now.mono);
        for kind in BackgroundKind::ALL {
            if !self.left_alone.contains_key(&kind) {
                out.extend(self.db.background_job_of(kind).map(Effect::Background));
            }
        }
    }

    /// Writes the log, and what was kept as far as that made room.
    fn write_all(&mut self, now: Moment, out: &mut Vec<Effect>) -> Result<(), LogError> {
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

    /// When [`end_turn`](Self::end_turn) must be called at the latest, though nothing else happens.
    pub fn next_timer(&self) -> Option<Instant> {
        let sync = if self.syncing { None } else { self.sync_due };
        self.left_alone
            .values()
            .copied()
            .chain(sync)
            .chain(self.gives_up_at())
            .chain(self.handoff.next_timer())
            .chain(self.exchange.next_timer())
            .chain(self.collection.next_timer())
            .min()
    }

    /// The store, for its figures.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The store, to be closed.
    pub fn close(self) -> Db {
        self.db
    }

    /// Under which key a record is kept here: as an owner's own, or as a hint for the owner in whose place this node is asked;
    /// or why it has nothing to say.
    fn place_of(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        partition: PartitionId,
        in_place_of: Option<NodeId>,
    ) -> Result<Bytes, String> {
        let Some(owner) = in_place_of else {
            return self.refusal(keyspace, partition).map_or_else(|| Ok(store_key(keyspace, key)), Err);
        };
        let sloppy = self.state.keyspace(keyspace).is_some_and(|one| one.quorum_mode == QuorumMode::Sloppy);
        let owners = self.state.owners(keyspace, partition);
        if !sloppy || owners.contains(&self.here) || !owners.contains(&owner) {
            return Err(format!("this node does not stand in for {owner} in {partition}"));
        }
        Ok(store_key::hint_key(owner, &store_key(keyspace, key)))
    }

    /// Whether this run may answer for what is here. Until a peer has let it in, its disk may have been rolled back, and it
    /// would answer with what was replaced since: not where reads are promised not to.
    fn may_answer(&self, keyspace: KeyspaceId) -> Result<(), String> {
        if self.actors.is_confirmed() {
            return Ok(());
        }
        let keyspace = self.state.keyspace(keyspace);
        let promises = |one: &Keyspace| {
            one.model() == Model::Strong || matches!(one.r, Level::LocalQuorum | Level::LocalOne)
        };
        if keyspace.is_some_and(promises) {
            return Err(
                "no other node has let it in since it was started, so it may be out of date".to_owned()
            );
        }
        Ok(())
    }

    /// Why this replica has nothing to say about the keyspace and partition; nothing if it does.
    fn refusal(&self, keyspace: KeyspaceId, partition: PartitionId) -> Option<String> {
        if self.state.keyspace(keyspace).is_none() {
            return Some(format!("this node knows no keyspace with the id {}", keyspace.0));
        }
        let owns = self.state.owners(keyspace, partition).contains(&self.here);
        (!owns).then(|| format!("this node does not own {partition}"))
    }

    fn scan(&mut self, ticket: Ticket, ask: ScanAsk, count: bool, out: &mut Vec<Effect>) {
        match self.refusal(ask.keyspace, ticket.partition).or_else(|| self.may_answer(ask.keyspace).err()) {
            Some(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
            None => self.scans.begin(&self.db, ticket, ask, count, out),
        }
    }

    /// Runs one task on what is held, and says what has become of that.
    fn run(
        &mut self,
        now: Moment,
        key: &Bytes,
        one: Waiting,
        held: Option<Bytes>,
        out: &mut Vec<Effect>,
    ) -> Afterwards {
        if self.db.is_missing(key)
            && let Some(why) = Replica::why_not_on_what_is_left(&one.task)
        {
            out.push(one.fail(why));
            return Afterwards::Same;
        }
        let Waiting { ticket, task, .. } = one;
        let stored = match task {
            Task::ReadCovering(context) => {
                let reply = self.read(key, held);
                let reply = self.covering(ticket.partition, &context, reply);
                out.push(Effect::Reply(ticket, reply));
                None
            }
            Task::Read | Task::ReadHeld => {
                out.push(Effect::Reply(ticket, self.read(key, held)));
                None
            }
            Task::Write { keyspace, record, path } => {
                self.write(now, key, ticket, keyspace, &record, path, held.as_ref(), out)
            }
            Task::Make(ask) => self.make_on(now, key, ticket, *ask, held, out),
            Task::Drop => return self.drop_dead(now, key, held.as_ref()),
            Task::LetGo { record } => return self.let_go_of(now, key, &record, held.as_ref()),
        };
        stored.map_or(Afterwards::Same, Afterwards::Holds)
    }

    fn read(&self, key: &Bytes, held: Option<Bytes>) -> ReplicaReply {
        let held = match self.recent.shown_instead(key) {
            Some(before) => before,
            None => held,
        };
        match held {
            Some(record) => ReplicaReply::Found { record, synced: self.recent.unsynced(key).is_none() },
            // A stand-in has what it was given while it stood in, and knows of nothing else (INVARIANTS C3).
            None if store_key::parse_hint(key).is_some() => {
                ReplicaReply::CannotSay { why: "it stands in, and was told nothing of this key".to_owned() }
            }
            None => ReplicaReply::Absent,
        }
    }

    fn store(
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

    fn is_relaxed(&self, keyspace: KeyspaceId) -> bool {
        self.state.keyspace(keyspace).is_some_and(|keyspace| keyspace.durability == Durability::Interval)
    }

    /// Promises *stored* for when it is true.
    fn acknowledge(&mut self, ticket: Ticket, sequence: SequenceNumber, relaxed: bool) {
        if relaxed {
            self.unwritten.push((ticket, ReplicaReply::Stored));
        } else {
            self.unsynced.push_back((sequence, ticket, ReplicaReply::Stored));
        }
    }

    /// What is held of a key cannot be read. This node may have made writes that it now does not know: it goes on under a
    /// fresh stint (INVARIANTS B2).
    fn unreadable(&mut self, key: &Bytes) {
        if let Some(slot) = store_key::slot_of(key) {
            let (partition, _) = self.state.partition_of_slot(slot);
            self.forget(partition);
            self.exchange.doubt(partition);
        }
    }

    /// Begins a fresh stint. Where none is left, `Record::put` refuses what the old one may no longer claim, key by key.
    fn forget(&mut self, partition: PartitionId) {
        let _ = self.actors.begin_stint(partition);
    }
}

/// What has become of what was held of a key.
enum Afterwards {
    Same,
    Holds(Bytes),
    Nothing,
}
