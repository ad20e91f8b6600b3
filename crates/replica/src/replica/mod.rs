//! The machine: (now, request or completion) in, effects out, in the order in which they must happen.
//!
//! Every path to a record goes through `Replica::held`: a key whose record is in memory is served at once, else its
//! work waits, in order, behind one read from disk. So a write never meets a record older than the one that it should be
//! merged with, and equal reads of a cold key cost one.
//!
//! A request comes in by [`serving`]; [`reaching`] is its way to the record, [`arriving`] is what becomes of a record that another
//! node made, [`making`] how this one makes its own, [`storing`] how either is stored and acknowledged. [`asking`] is what this node
//! asks by itself, [`collecting`] how deletes are dropped, [`healing`] what becomes of what was lost to damage, [`moving`] what it
//! does while partitions move, [`dropping`] how those go that it does not keep, [`recutting`] what becomes of it all when they are
//! halved or their halves joined, [`readdressing`] of hints. [`turn`] ends it all: the log is written once, and what is to be done next
//! is said.

mod arriving;
mod asking;
mod collecting;
mod dropping;
mod healing;
mod making;
mod moving;
mod naming;
mod options;
mod reaching;
mod readdressing;
mod recutting;
mod room;
mod serving;
mod storing;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causality::HybridClock;
use cluster::ClusterState;
use storage::{
    BackgroundJob, BackgroundKind, Damage, Db, Lookup, ReadJob, ReadOutcome, ScanJob, ScanOutcome,
    SequenceNumber, SyncJob,
};
use types::{Epoch, Incarnation, Instant, Moment, NodeId, OperationId, PartitionId, ShardId};
use wire::{ReplicaReply, ReplicaRequest};

use self::healing::MISSING;
use crate::actors::Actors;
use crate::collection::mark::{Marks, MarksError};
use crate::collection::{self, Collection};
use crate::exchange::{self, Exchange};
use crate::founding::Founding;
use crate::granting::Granting;
use crate::handoff::{self, Handoff};
use crate::healing::Healing;
use crate::make::{Made, Make, MakeError};
use crate::moving::serving::Pages;
use crate::moving::sweeping::Sweeping;
use crate::moving::{self as movements, Moving, note};
use crate::patience::Refusals;
use crate::recent::Recent;
use crate::scan::Scans;
use crate::store_key;
use crate::waiting::{Cold, Stalled, Task, Waiting};

use self::recutting::Rewriting;

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
    /// Since when its owners are who whoever asked takes them to be. What takes its turn after they became others is refused.
    pub epoch: Epoch,
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
    /// This shard's, whoever owns them; ascending.
    partitions: Vec<PartitionId>,
    moving: Moving,
    /// Pages that are read for new owners.
    pages: Pages,
    sweeping: Sweeping,
    /// Writes to partitions that are being emptied.
    to_empty: Stalled,
    /// Marks and notes that are stored under the keys of other partitions than there are, or are of such as this node does not hold.
    rewriting: Rewriting,
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
        let (mut marks, outdated) = Marks::load(&mut db, state.partitions())?;
        let notes = note::load(&mut db)?;
        let shard = (options.shard, options.shards);
        let moving = Moving::new(here, &state, partitions, &notes, shard);
        let compares = |keyspace, partition| moving.compares(keyspace, partition);
        let exchange = Exchange::new(here, Arc::clone(&state), partitions, compares, shard, options.exchange);
        // Of what this node does not hold it may have something that it had no time to drop.
        let is_swept = |one: &PartitionId| !state.holds(here, *one) || moving.waits_for_sweep(*one);
        let sweeping = Sweeping::of(partitions.iter().copied().filter(is_swept));
        let slots = |one| store_key::Slots::of(one, state.partitions());
        let mut rewriting = Rewriting::new(outdated);
        rewriting.drop_keys(notes.outdated(&state));
        for partition in partitions.iter().copied().filter(|one| !state.holds(here, *one)) {
            rewriting.drop_keys(marks.forget(partition));
            let note = Some(slots(partition)).filter(|slots| notes.has(*slots));
            rewriting.drop_keys(note.map(store_key::note_key));
        }
        // Of other shards' there may be some in the store since it was divided.
        marks.retain(|one| state.holds(here, one));
        let collection = Collection::new(who, Arc::clone(&state), partitions, marks, options.collection);
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
            handoff: Handoff::new(here, u64::from(options.shard), u64::from(options.shards)),
            granting: Granting::default(),
            exchange,
            collection,
            healing,
            partitions: partitions.to_vec(),
            moving,
            pages: Pages::default(),
            sweeping,
            to_empty: Stalled::new(options.stalled_max, options.waiting_bytes_max),
            rewriting,
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
        replica.count_what_was_fetched();
        let missing = replica.db.missing().to_vec();
        if !missing.is_empty() {
            let damages: Vec<Damage> = replica.db.damages().cloned().collect();
            replica.lost(&missing, damages);
        }
        Ok(replica)
    }

    /// Makes a client's change into a record and stores it. Answered by [`Effect::Made`], and when it is durable by a
    /// reply [`ReplicaReply::Stored`].
    pub fn make(&mut self, now: Moment, ticket: Ticket, ask: Make, out: &mut Vec<Effect>) {
        if let Some(newest) = self.newer_epoch(ask.keyspace, &ticket) {
            out.push(Effect::Made(ticket, Err(MakeError::Stale { newest })));
            return;
        }
        // What is stamped again was made here when this node was read. It may do that for as long as it is written: others say whether
        // that outranks what they hold.
        let place = if ask.again.is_some() { Replica::place_to_keep } else { Replica::place_of };
        let key = match place(self, ask.keyspace, &ask.key, ticket.partition, ask.in_place_of) {
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

    /// A peer has let this run of the node in: nobody has seen a later one. The incarnation that it minted under until now, if
    /// this is news.
    pub fn let_in(&mut self) -> Option<Incarnation> {
        self.actors.confirm()
    }

    /// Lives of nodes that are over, and incarnations under which nobody mints any more.
    pub fn add_past_lives(&mut self, lives: impl Iterator<Item = Incarnation>) {
        self.collection.add_past_lives(lives);
    }

    /// How far other owners and this one agree.
    pub fn exchange(&self) -> exchange::Figures {
        self.exchange.figures()
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
        if movements::is_its_id(token) {
            return self.moving_read(now, token, outcome, out);
        }
        if self.hints_read(now, token, &outcome, out) {
            return;
        }
        if self.handoff.is_looking(token) {
            let (state, recent) = (&self.state, &self.recent);
            let partition_of = |slot| state.partition_of_slot(slot).0;
            // What is for another by now is not sent before it is kept for him.
            let is_for_another = |(owner, place): (NodeId, store_key::StoreKey)| {
                !readdressing::is_to_have(state, owner, &place)
            };
            let is_held_back =
                |key: &Bytes| recent.is_hidden(key) || store_key::parse_hint(key).is_some_and(is_for_another);
            self.handoff.scan_done(now, token, outcome, partition_of, is_held_back, out);
            return;
        }
        self.scans.done(&self.db, &self.state, now, token, outcome, out);
    }

    /// The store, for its figures.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The store, to be closed.
    pub fn close(self) -> Db {
        self.db
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
