//! The exchange: owners of a partition compare what they hold, and give each other what one has and the other has not.
//!
//! For each partition and keyspace that it owns a node keeps a hash tree ([`trees`]), true with each write and built from
//! stored bytes ([`building`]). It goes round: one tree and one other owner after the other, all of them about once in a
//! cycle, one [`round`] at a time. A round walks both trees, then has the records that differ fetched and sent
//! ([`mending`]). Both owners of a pair ask each other until each knows by itself that they agree; from then on one of them
//! does, and the other only where it was not asked for a cycle. Across data centers only a few pairs compare ([`far`]). What others
//! ask is answered by [`answering`].
//!
//! What must hold (INVARIANTS F1, F2): while owners can be reached, all come to hold the same within a cycle or two, without
//! any client; what crosses the network grows with what differs; and nothing waits for it.
//!
//! This is anti-entropy by Merkle trees as in Dynamo (SOSP 2007, section 4.7), but continuous, and with trees that follow
//! the writes. `docs/protocols/exchange.md` draws it.

mod answering;
mod building;
mod far;
mod mending;
mod pairs;
mod reading;
mod round;
pub(crate) mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::ClusterState;
use merkle::{Answer, Ask, Refusal, Short, Standing};
use storage::{Db, ScanOutcome};
use types::{Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::ReplicaReply;

use self::answering::Answers;
use self::building::Building;
use self::mending::Settled;
use self::pairs::{Pairs, Turn};
use self::round::{Ended, Round, Todo};
use self::trees::{TreeId, Trees};
use crate::granting::Granting;
use crate::healing::Compared;
use crate::replica::{Effect, Ticket};

pub use self::pairs::Figures;

/// How long an owner may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a round waits where nothing is granted.
const REST: Duration = Duration::from_millis(100);

/// How much longer than a round to wait after it, if it found only what was on its way; a cycle at the most.
const BUSY_SHARE: u32 = 20;

/// By how much the pauses are shorter while this node answers for nothing before it has compared.
const URGENT_SHARE: u32 = 10;

/// How long from one round to the next, at the most, where a partition that moves or heals waits for a pair to be compared.
const WANTED_PAUSE: Duration = Duration::from_millis(10);

/// What an exchange asks by itself is named by ids with this bit beside that of all of a replica's own.
pub(crate) const EXCHANGE_ID: u64 = 1 << 62;

/// Whether the exchange has asked this.
pub fn is_its(operation: OperationId) -> bool {
    is_its_id(operation.0)
}

/// Whether an id, of a question or of a page that is read, is one of the exchange's.
pub(crate) fn is_its_id(id: u64) -> bool {
    id & (crate::handoff::OWN_ID | EXCHANGE_ID) == crate::handoff::OWN_ID | EXCHANGE_ID
}

/// Settings.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeOptions {
    /// How long it takes to compare each tree with each other owner once, where nothing differs.
    pub cycle: Duration,
    /// How often each tree is built anew from stored bytes.
    pub rebuild_every: Duration,
}

impl Default for ExchangeOptions {
    fn default() -> ExchangeOptions {
        ExchangeOptions { cycle: Duration::from_secs(10), rebuild_every: Duration::from_secs(24 * 3600) }
    }
}

/// The exchange of one shard.
#[derive(Debug)]
pub(crate) struct Exchange {
    here: NodeId,
    state: Arc<ClusterState>,
    options: ExchangeOptions,
    trees: Trees,
    building: Building,
    /// When all trees are to be built anew; from the first time on that all are.
    rebuild_at: Option<Instant>,
    answers: Answers,
    pairs: Pairs,
    next_at: Option<Instant>,
    /// When the last round was begun.
    begun_at: Instant,
    /// Who can be reached, since when.
    reachable: BTreeMap<NodeId, Instant>,
    round: Option<Round>,
    /// Of the page that the round waits for.
    round_token: Option<u64>,
    /// How many bytes may be fetched before more is to be granted.
    fetchable: usize,
    last_id: u64,
    id_step: u64,
    /// How many pairs are still to be compared without a pause, because somebody asked for it.
    hurried: usize,
    /// Whether the round under way is one of them.
    is_hurried: bool,
    /// When that was.
    asked_at: Instant,
    repairs: u64,
    /// What the other owner of a round would not take in.
    settled: Vec<Settled>,
}

impl Exchange {
    /// Over what this node keeps of these partitions, those of the shard with this number, of so many.
    pub(crate) fn new(
        here: NodeId,
        state: Arc<ClusterState>,
        partitions: &[PartitionId],
        keeps: impl Fn(KeyspaceId, PartitionId) -> bool,
        (shard, shards): (u8, u8),
        options: ExchangeOptions,
    ) -> Exchange {
        let mut trees = Trees::none(&state);
        trees.adopt(&state, partitions, keeps);
        let owned: BTreeSet<PartitionId> = trees.ids().map(|id| id.partition).collect();
        let pairs = Pairs::new(here, &state, trees.ids());
        Exchange {
            here,
            options,
            building: Building::of(owned),
            rebuild_at: None,
            trees,
            answers: Answers::default(),
            pairs,
            next_at: None,
            begun_at: Instant::default(),
            reachable: BTreeMap::new(),
            round: None,
            round_token: None,
            fetchable: 0,
            last_id: crate::handoff::OWN_ID | EXCHANGE_ID | u64::from(shard),
            id_step: u64::from(shards),
            hurried: 0,
            is_hurried: false,
            asked_at: Instant::default(),
            repairs: 0,
            settled: Vec::new(),
            state,
        }
    }

    /// From now on it is as this state says, and this node keeps this of these partitions. Trees of what it has kept stay. A round
    /// over what has other owners now counts for nothing.
    pub(crate) fn adopt(
        &mut self,
        now: Moment,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
        keeps: impl Fn(KeyspaceId, PartitionId) -> bool,
    ) {
        let since = |state: &ClusterState, id: TreeId| state.since_in(id.keyspace, id.partition);
        let is_over = |round: &mut Round| {
            since(&self.state, round.id) != since(state, round.id)
                || !keeps(round.id.keyspace, round.id.partition)
        };
        if let Some(round) = self.round.take_if(is_over) {
            self.round_token = None;
            self.ended(now, &round, round.given_up());
        }
        self.state = Arc::clone(state);
        let unknown = self.trees.adopt(state, partitions, keeps);
        let kept: BTreeSet<PartitionId> = self.trees.ids().map(|id| id.partition).collect();
        self.building.retain(|partition| kept.contains(&partition));
        unknown.into_iter().for_each(|partition| self.building.hurry(partition));
        self.pairs.adopt(self.here, state, self.trees.ids());
        // What is compared by no pair any more is not waited for.
        self.hurried = self.hurried.min(self.pairs.len());
    }

    /// Partitions are others from now on. Nothing is known of their trees yet, with nobody were they compared, and what is under way of
    /// those of before comes to nothing.
    pub(crate) fn begin_anew(
        &mut self,
        now: Moment,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
        keeps: impl Fn(KeyspaceId, PartitionId) -> bool,
        out: &mut Vec<Effect>,
    ) {
        if let Some(round) = self.round.take() {
            self.round_token = None;
            self.ended(now, &round, round.given_up());
        }
        for ticket in self.answers.give_up() {
            let why = "the partitions were cut anew while it was compared".to_owned();
            out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
        }
        self.state = Arc::clone(state);
        self.trees = Trees::none(state);
        self.trees.adopt(state, partitions, keeps);
        let kept: BTreeSet<PartitionId> = self.trees.ids().map(|id| id.partition).collect();
        self.building.begin_anew(kept);
        self.pairs.begin_anew(self.here, state, self.trees.ids());
        if self.hurried > 0 {
            self.hurried = self.pairs.len();
        }
    }

    /// What is stored under a key was one thing and is another. Told in the step in which it takes effect.
    pub(crate) fn changed(&mut self, key: &[u8], before: Option<&Bytes>, after: Option<&Bytes>) {
        self.trees.changed(key, before.map(|record| &record[..]), after.map(|record| &record[..]));
    }

    /// By which digest owners tell each other of the record under this storage key; nothing of a hint's.
    pub(crate) fn digest_of(&self, key: &[u8], record: &[u8]) -> Option<Short> {
        self.trees.digest_of(key, record)
    }

    /// There is a reason to doubt what is stored in a partition: its trees are built anew.
    pub(crate) fn doubt(&mut self, partition: PartitionId) {
        let mut any = false;
        for (_, _, tree) in self.trees.of_partition(partition) {
            tree.doubt();
            any = true;
        }
        if any {
            self.building.hurry(partition);
        }
    }

    /// Something that was stored in a partition is lost, and what is left of it can be read.
    pub(crate) fn lost(&mut self, partition: PartitionId) {
        self.doubt(partition);
        self.building.go_on_at_once();
    }

    /// A peer can be reached.
    pub(crate) fn peer_up(&mut self, now: Moment, node: NodeId) {
        self.reachable.entry(node).or_insert(now.mono);
    }

    /// A peer cannot be reached any more.
    pub(crate) fn peer_lost(&mut self, now: Moment, node: NodeId) {
        self.reachable.remove(&node);
        if let Some(round) = self.round.take_if(|round| round.peer == node) {
            self.ended(now, &round, round.given_up());
        }
    }

    /// Another owner asks, and this node may have handed over what is asked about.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        ticket: Ticket,
        (ask, is_handed_over): (Ask, bool),
        db: &Db,
        out: &mut Vec<Effect>,
    ) {
        let token = self.next_id();
        let id = TreeId { partition: ticket.partition, keyspace: ask.terms.keyspace };
        let epoch = self.state.since_in(id.keyspace, id.partition);
        self.pairs.asked(now, (id, ticket.from));
        if is_handed_over && ask.terms.epoch == epoch {
            return answering::reply(ticket, Answer::Refused(Refusal::HandedOver), out);
        }
        if self.answers.ask((ticket, epoch, ask), token, &mut self.trees, db, out) {
            self.pairs.met(now, (id, ticket.from));
        }
    }

    /// All pairs are to be compared at once, without a pause between them.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.asked_at = now;
        self.repairs += 1;
        self.hurried = self.pairs.len();
        self.next_at = self.next_at.map(|_| Instant::default());
    }

    /// With which other owner this node has yet to compare a partition, if with any, in a round begun at this time or later
    /// that left nothing to differ. What is missing gets its turn sooner than it would.
    pub(crate) fn want(&mut self, partition: PartitionId, since: Instant) -> Option<NodeId> {
        self.pairs.want(partition, since, |_, _| true)
    }

    /// The same of some of them: those owners that this says are to be compared with in a keyspace.
    pub(crate) fn want_with(
        &mut self,
        partition: PartitionId,
        since: Instant,
        with: impl Fn(KeyspaceId, NodeId) -> bool,
    ) -> Option<NodeId> {
        self.pairs.want(partition, since, with)
    }

    /// Whether all trees of a partition are true.
    fn is_true(&mut self, partition: PartitionId) -> bool {
        self.trees.of_partition(partition).all(|(_, _, tree)| tree.standing() == Standing::True)
    }

    /// Records of this node that another owner has no use for: all of them is settled there, and not held.
    pub(crate) fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// How far owners agree.
    pub(crate) fn figures(&self) -> Figures {
        let built = self.building.figures();
        let figures = self.pairs.figures(self.asked_at, |peer| self.reachable.contains_key(&peer));
        Figures {
            differing: figures.differing + self.round.as_ref().map_or(0, |round| round.left() as u64),
            unbuilt: self.trees.unbuilt() as u64,
            built: built.built,
            unreadable: built.unreadable,
            corrected: built.corrected,
            memory_bytes: self.trees.memory_bytes() as u64,
            hurried: self.hurried as u64 + u64::from(self.is_hurried && self.round.is_some()),
            repairs: self.repairs,
            ..figures
        }
    }

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let round = match &self.round {
            Some(round) => round.next_timer(),
            None => self.due_at().filter(|_| !self.reachable.is_empty()),
        };
        round.into_iter().chain(self.building.next_timer()).min()
    }

    /// Goes on with what is due.
    pub(crate) fn turn(&mut self, now: Moment, db: &Db, granting: &mut Granting, out: &mut Vec<Effect>) {
        self.build(now, db, out);
        let late = self.round.as_ref().map_or_else(Vec::new, |round| round.late(now.mono));
        for number in late {
            self.reply(now, (None, OperationId(number)), None, db, out);
        }
        self.go_on(now, granting, out);
        if self.round.is_none() {
            self.begin(now, granting, out);
        }
    }

    fn build(&mut self, now: Moment, db: &Db, out: &mut Vec<Effect>) {
        if self.building.waiting() == 0 {
            let again = now.mono + self.options.rebuild_every;
            if *self.rebuild_at.get_or_insert(again) <= now.mono {
                self.rebuild_at = Some(again);
                let owned: BTreeSet<PartitionId> = self.trees.ids().map(|id| id.partition).collect();
                owned.into_iter().for_each(|partition| self.building.add(partition));
            }
        }
        let token = self.last_id + self.id_step;
        let partitions = self.state.partitions();
        let slots_of = |partition| partitions.slots_of(partition).map(|slots| (*slots.start(), *slots.end()));
        if self.building.turn(now.mono, token, slots_of, &mut self.trees, db, out) {
            self.last_id = token;
        }
    }

    /// Begins the next round, if it is time for one.
    fn begin(&mut self, now: Moment, granting: &mut Granting, out: &mut Vec<Effect>) {
        let Some(due_at) = self.due_at() else {
            self.next_at = Some(now.mono + self.pause());
            return;
        };
        if due_at > now.mono {
            return;
        }
        self.begun_at = now.mono;
        for _ in 0..self.pairs.len() {
            let cycle = self.options.cycle;
            let turn = self.pairs.next(self.asked_at, |met| now.mono.since(met) <= cycle);
            let Some(turn @ Turn { id, peer, is_wanted, agrees, is_spared, .. }) = turn else { break };
            self.is_hurried = self.hurried > 0;
            if self.is_hurried && agrees && !is_wanted {
                // Somebody who waited for it has had it compared since all were asked to be.
                self.hurried -= 1;
                continue;
            }
            let who = (self.here, &turn);
            let is_left = far::is_left_to_others(now.mono, who, &self.state, &self.reachable, cycle);
            if (is_spared || is_left) && !self.is_hurried {
                break;
            }
            // Turns out of order are no part of those in which all are to be compared, or some would be left out.
            self.hurried = self.hurried.saturating_sub(usize::from(!is_wanted));
            if !self.reachable.contains_key(&peer) {
                self.pairs.passed_over(&turn);
                continue;
            }
            let mut todo = Vec::new();
            let who = (self.state.since_in(id.keyspace, id.partition), self.here, peer);
            let seed = self.trees.seed(id.keyspace);
            let Some(tree) = self.trees.get(id) else { continue };
            self.round = Round::begin(now.mono, who, (id, seed), tree, &mut todo);
            if self.round.is_some() {
                self.send(now, todo, out);
                self.go_on(now, granting, out);
                break;
            }
            self.pairs.passed_over(&turn);
        }
        let pause = match () {
            () if self.hurried > 0 => Duration::ZERO,
            () if self.pairs.are_urgent() => self.pause() / URGENT_SHARE,
            () => self.pause(),
        };
        self.next_at = Some(now.mono + pause);
    }

    /// When the next round is due: sooner where somebody waits for a pair to be compared.
    fn due_at(&self) -> Option<Instant> {
        let soon = self.begun_at + WANTED_PAUSE;
        self.next_at.map(|next_at| if self.pairs.has_wanted() { next_at.min(soon) } else { next_at })
    }

    /// How long from the beginning of one round to that of the next.
    fn pause(&self) -> Duration {
        let pairs = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX).max(1);
        (self.options.cycle / pairs).max(Duration::from_millis(1))
    }

    /// Whether a page is one of all that is stored, from which a tree is built.
    pub(crate) fn is_building(&self, token: u64) -> bool {
        self.building.is_reading(token)
    }

    /// A page was read.
    pub(crate) fn scan_done(
        &mut self,
        now: Moment,
        token: u64,
        outcome: ScanOutcome,
        db: &Db,
        granting: &mut Granting,
        out: &mut Vec<Effect>,
    ) {
        if self.building.is_reading(token) {
            self.building.page(now.mono, outcome, &mut self.trees);
        } else if self.answers.is_reading(token) {
            let next = self.next_id();
            let damaged = self.answers.page((token, next), outcome, &mut self.trees, db, out);
            damaged.into_iter().for_each(|partition| self.doubt(partition));
        } else if self.round_token == Some(token) {
            self.round_token = None;
            let Some(mut round) = self.round.take() else { return };
            let damaged = matches!(outcome, ScanOutcome::Unreadable(_));
            let seed = self.trees.seed(round.id.keyspace);
            let mut todo = Vec::new();
            if let Some(tree) = self.trees.get(round.id) {
                round.page(outcome, seed, tree, db, &mut todo);
            }
            let partition = round.id.partition;
            self.round = Some(round);
            if damaged {
                self.doubt(partition);
            }
            self.send(now, todo, out);
            self.go_on(now, granting, out);
        }
    }

    /// A reply to what the exchange has asked; nothing where there will be none.
    pub(crate) fn replied(
        &mut self,
        now: Moment,
        (from, operation): (NodeId, OperationId),
        reply: ReplicaReply,
        db: &Db,
        granting: &mut Granting,
        out: &mut Vec<Effect>,
    ) {
        self.reply(now, (Some(from), operation), Some(reply), db, out);
        self.go_on(now, granting, out);
    }

    /// What it asked could not be sent.
    pub(crate) fn not_sent(
        &mut self,
        now: Moment,
        operation: OperationId,
        db: &Db,
        granting: &mut Granting,
        out: &mut Vec<Effect>,
    ) {
        self.reply(now, (None, operation), None, db, out);
        self.go_on(now, granting, out);
    }

    fn reply(
        &mut self,
        now: Moment,
        (from, operation): (Option<NodeId>, OperationId),
        reply: Option<ReplicaReply>,
        db: &Db,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut round) = self.round.take() else { return };
        let mut todo = Vec::new();
        if let Some(tree) = self.trees.get(round.id) {
            let fetched = round.replied(now.mono, (from, operation.0), reply, tree, db, &mut todo);
            self.fetchable = self.fetchable.saturating_sub(fetched);
            self.settled.append(&mut round.take_settled());
        }
        self.round = Some(round);
        self.send(now, todo, out);
    }

    /// Goes on with the mending, and ends the round if it is over.
    fn go_on(&mut self, now: Moment, granting: &mut Granting, out: &mut Vec<Effect>) {
        let Some(mut round) = self.round.take() else { return };
        let mut todo = Vec::new();
        let (state, partition) = (&self.state, round.id.partition);
        let ended = round.go_on(
            now.mono,
            |key| state.partition_of(key) == partition,
            &mut self.fetchable,
            || granting.grant(now.mono),
            &mut todo,
        );
        match ended {
            Some(ended) => self.ended(now, &round, ended),
            None => {
                self.round = Some(round);
                self.send(now, todo, out);
            }
        }
    }

    fn ended(&mut self, now: Moment, round: &Round, ended: Ended) {
        let moved = ended.mended.fetched + ended.mended.sent;
        if ended.complete && ended.found > 0 && moved == 0 && self.hurried == 0 {
            // What differed was under way. Clients write faster than that can be of use: they have the rest of the time.
            // A round that took long because an answer was lost says nothing of how busy anybody is: it does not stop the
            // exchange for longer than a cycle.
            let rest = (now.mono.since(round.began) * BUSY_SHARE).min(self.options.cycle);
            self.next_at = self.next_at.max(Some(now.mono + rest));
        }
        self.pairs.ended(now, (round.id, round.peer), round.began, &ended);
    }

    fn send(&mut self, now: Moment, todo: Vec<Todo>, out: &mut Vec<Effect>) {
        for todo in todo {
            let number = self.next_id();
            let Some(round) = &mut self.round else { return };
            match todo {
                Todo::Scan(job) => {
                    self.round_token = Some(number);
                    out.push(Effect::Scan(number, job));
                }
                Todo::Ask(what, to, request) => {
                    round.asked(number, what, to, now.mono + PATIENCE);
                    out.push(Effect::Ask {
                        to,
                        operation: OperationId(number),
                        partition: round.id.partition,
                        patience: PATIENCE,
                        request,
                    });
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += self.id_step;
        self.last_id
    }
}

impl Compared for Exchange {
    fn moment(&self) -> (u64, u64) {
        (self.pairs.moment(), self.building.figures().built)
    }

    fn is_built(&mut self, partition: PartitionId) -> bool {
        self.is_true(partition)
    }

    fn want(&mut self, partition: PartitionId, since: Instant) -> Option<NodeId> {
        self.pairs.hasten();
        Exchange::want(self, partition, since)
    }
}
