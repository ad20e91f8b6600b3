//! What movements of partitions mean for this replica: the state that it goes by, what it takes in and drops, and what it reports.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{ClusterState, Stage, Step};
use storage::{KeyRange, Kind, ScanOutcome, SequenceNumber};
use types::{Epoch, KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::{FetchAsk, ReplicaReply, ReplicaRequest, WritePath};

use super::{Effect, Replica, Ticket};
use crate::collection::standing::Standing;
use crate::healing::Compared;
use crate::moving::fetching::{Fetching, PATIENCE, Stored};
use crate::moving::note::{Done, Note};
use crate::moving::{self, Comparing, Next, Phase, start_of};
use crate::store_key;
use crate::waiting::{Task, Waiting};

/// At how many partitions is looked at once, whether this node holds them or not.
const LOOKED_AT_MAX: usize = 1024;

impl Replica {
    /// The node goes by this state from now on, which is on its disk already.
    ///
    /// What waits here and was routed by the owners or settings of before is refused when its turn comes. What this node does not
    /// keep any more it drops, in pieces, and what it is to get it begins to fetch.
    pub fn set_state(&mut self, now: Moment, state: Arc<ClusterState>, out: &mut Vec<Effect>) {
        if state.partitions() < self.state.partitions() {
            if let Some(cut) = state.cut_finer(self.state.partitions()) {
                self.adopt(now, Arc::new(cut), out);
            }
            self.recut(now, Arc::clone(&state), out);
        } else if state.partitions() > self.state.partitions()
            && let Some(cut) = self.state.cut_finer(state.partitions())
        {
            self.recut(now, Arc::new(cut), out);
        }
        self.adopt(now, state, out);
        self.move_on(now, out);
    }

    /// The same where there are as many partitions as there were.
    fn adopt(&mut self, now: Moment, state: Arc<ClusterState>, out: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.state, state);
        let state = Arc::clone(&self.state);
        let fresh = self.moving.adopt(&state, &self.partitions);
        for partition in &fresh {
            // It may have made writes there when it was an owner before, or stood in for one.
            if self.actors.issued(*partition) > 0 {
                self.forget(*partition);
            }
            self.sweeping.add(*partition);
        }
        let gone = |partition: &&PartitionId| {
            let holds = |state: &ClusterState, keyspace| {
                state.all_owners(keyspace, **partition).holders().any(|node| node == self.here)
            };
            before.keyspaces().iter().any(|one| holds(&before, one.id) && !holds(&state, one.id))
        };
        let gone: Vec<PartitionId> = self.partitions.iter().filter(gone).copied().collect();
        gone.iter().for_each(|partition| self.sweeping.add(*partition));
        self.keep_trees(now);
        let here = self.here;
        let marks = self.collection.adopt(&state, &self.partitions, |one| state.holds(here, one));
        let left = gone.into_iter().filter(|partition| !state.holds(here, *partition));
        let notes = left.map(|partition| store_key::note_key(self.slots(partition)));
        let of_no_use: Vec<Bytes> = marks.into_iter().chain(notes).collect();
        self.rewriting.drop_keys(of_no_use);
        self.healing.adopt(&state, &self.partitions).into_iter().for_each(|range| self.db.is_whole(range));
        self.lose_what_was_filled_before(&before, out);
        if let Some(founding) = &mut self.founding {
            founding.adopt(&state);
        }
        self.handoff.owners_changed(now);
    }

    /// This node is an owner now of partitions that it did not hold in the state before, or was about to drop. It was filled, and said so,
    /// in a life that its directory does not know of any more: a disk was rolled back beyond that. Or the history in which it handed them
    /// over was given up for another. So all that they have is missing here.
    fn lose_what_was_filled_before(&mut self, before: &ClusterState, out: &mut Vec<Effect>) {
        let lives_anew = self.healing.figures().began_without;
        let is_owner = |partition: PartitionId| {
            // What was made meanwhile began with nothing, which is what is here, unless this life began with less than there was.
            let may_have_had = |keyspace| lives_anew || before.keyspace(keyspace).is_some();
            let mut keyspaces = self.state.keyspaces().iter().filter(|one| may_have_had(one.id));
            keyspaces.any(|one| self.state.owners(one.id, partition).contains(&self.here))
        };
        let jumped = self.partitions.iter().copied();
        let may_have_dropped = |partition: PartitionId| {
            let was_cleared = |keyspace| before.is_cleared(self.here, keyspace, partition);
            let is_owner = |keyspace| self.state.owners(keyspace, partition).contains(&self.here);
            self.state.keyspaces().iter().any(|one| was_cleared(one.id) && is_owner(one.id))
        };
        let jumped = jumped.filter(|partition| {
            !before.holds(self.here, *partition) && is_owner(*partition) || may_have_dropped(*partition)
        });
        let ranges: Vec<KeyRange> = jumped.filter_map(|partition| self.healing.range_of(partition)).collect();
        if ranges.is_empty() {
            return;
        }
        for range in &ranges {
            if let Err(error) = self.db.lose(range.clone()) {
                return out.push(Effect::Stop(error.to_string()));
            }
        }
        self.lost(&ranges, Vec::new());
    }

    /// The steps of movements that are done as far as this shard is concerned, by what is on its disk.
    pub fn report(&self) -> Vec<Step> {
        self.moving.report(self.db.synced_through())
    }

    /// With whom the steps that are not done are to be compared yet, or who has failed as the only source.
    pub fn waits_for(&self) -> Vec<(PartitionId, NodeId)> {
        self.moving.whom()
    }

    /// How far the movements are that this shard has a part in.
    pub fn moving(&self) -> moving::Figures {
        self.moving.figures()
    }

    /// What this shard is doing for each movement that it has a part in: at which stage, and what.
    pub fn steps(&self) -> Vec<(PartitionId, Stage, &'static str)> {
        self.moving.steps()
    }

    /// What was fetched so far of each partition that this shard is to get: by which movement, and about how many bytes of keys and
    /// records.
    pub fn fetched(&self) -> Vec<(PartitionId, Epoch, u64)> {
        self.moving.fetched()
    }

    /// About how many bytes of keys and records there are of each of so many partitions of those that this shard holds, from the one at
    /// this place on; and where to go on.
    pub fn amounts(&self, from: usize, count_max: usize) -> (Vec<(PartitionId, u64)>, usize) {
        let mut amounts = Vec::new();
        let looked_at = self.partitions.iter().enumerate().skip(from).take(LOOKED_AT_MAX);
        for (place, partition) in looked_at {
            if amounts.len() >= count_max {
                return (amounts, place);
            }
            if self.state.holds(self.here, *partition)
                && let Some(range) = store_key::range_of(&self.state, *partition)
            {
                amounts.push((*partition, self.db.bytes_of(&range).bytes));
            }
        }
        let next = from + LOOKED_AT_MAX;
        (amounts, if next < self.partitions.len() { next } else { 0 })
    }

    /// What was fetched before the start counts as it is found.
    pub(super) fn count_what_was_fetched(&mut self) {
        for (partition, place) in self.moving.fetched_to() {
            let Some(start) = start_of(&self.state, partition) else { continue };
            let bytes = self.db.bytes_of(&KeyRange { start, end: Some(place) }).bytes;
            if let Some(local) = self.moving.get(partition) {
                local.fetched_bytes = bytes;
            }
        }
    }

    /// There are trees of what is compared, and of nothing else.
    fn keep_trees(&mut self, now: Moment) {
        let moving = &self.moving;
        let compares = |keyspace, partition| moving.compares(keyspace, partition);
        self.exchange.adopt(now, &self.state, &self.partitions, compares);
    }

    /// Goes on with what is to be done for movements, as far as it is due.
    pub(super) fn move_on(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.rewrite(now);
        self.drop_what_is_waited_for(now);
        for partition in self.moving.partitions() {
            let Some(local) = self.moving.get(partition) else { continue };
            let (stage, moment) = (local.stage, self.exchange.moment());
            let is_clean = self.sweeping.is_clean(partition);
            match local.next(now.mono, moment) {
                Some(Next::Emptied) if is_clean => self.begin_to_fetch(now, partition),
                Some(Next::Fetch) => self.fetch(now, partition, out),
                Some(Next::Compare) => self.compare(now, partition, stage),
                Some(Next::Dropped) if is_clean => self.note(now, partition, Done::Cleared, Phase::Done),
                _ => {}
            }
        }
        self.take_up_emptied(now, out);
        let token = self.moving.next_id();
        let partitions = self.state.partitions();
        let slots_of = |one| partitions.slots_of(one).map(|slots| (*slots.start(), *slots.end()));
        let is_waited_for = |one| self.moving.waits_for_sweep(one);
        if !self
            .sweeping
            .to_drop_whole(now.mono, |one| is_waited_for(one) && !self.moving.keeps_any(one))
            .is_empty()
        {
            // At the next turn, which is now: nothing of it need be read.
            return;
        }
        if let Some(job) = self.sweeping.turn(now.mono, token, slots_of, is_waited_for, &self.db) {
            out.push(Effect::Scan(token, job));
        }
    }

    /// Notes in the store how far it is with a partition, and goes on to what follows. Where there is no room it is tried again.
    fn note(
        &mut self,
        now: Moment,
        partition: PartitionId,
        done: Done,
        next: impl FnOnce(SequenceNumber) -> Phase,
    ) {
        let Some(local) = self.moving.get(partition) else { return };
        if !self.rewriting.is_done() {
            // What is to be dropped may be under this key.
            return;
        }
        let note = Note::new(local.session, done).encode();
        let key = store_key::note_key(self.slots(partition));
        if let Ok(sequence) = self.db.put(&key, note, Kind::Full)
            && let Some(local) = self.moving.get(partition)
        {
            local.phase = next(sequence);
            self.sync_due = Some(now.mono);
        }
    }

    fn begin_to_fetch(&mut self, now: Moment, partition: PartitionId) {
        let Some(from) = start_of(&self.state, partition) else { return };
        let phase = Phase::Fetching(Fetching::from(from.clone()));
        self.note(now, partition, Done::FetchedTo(from), |_| phase);
    }

    fn fetch(&mut self, now: Moment, partition: PartitionId, out: &mut Vec<Effect>) {
        let sources = self.moving.sources(partition);
        let id = self.moving.next_id();
        let Some(local) = self.moving.get(partition) else { return };
        let session = local.session.0;
        let Phase::Fetching(fetching) = &mut local.phase else { return };
        let Some(source) = fetching.source(&sources) else {
            // All who had it are gone for good.
            return self.has_fetched(now, partition);
        };
        let limit_bytes = self.granting.grant_to_move(now.mono);
        if limit_bytes == 0 {
            return fetching.rest(now.mono);
        }
        let from = fetching.asked(now.mono, id, source);
        out.push(Effect::Ask {
            to: source,
            operation: OperationId(id),
            partition,
            patience: PATIENCE,
            request: ReplicaRequest::Fetch(FetchAsk { session, from, limit_bytes }),
        });
    }

    /// A page was asked of this node by a new owner.
    pub(super) fn give_page(&mut self, ticket: Ticket, ask: &FetchAsk, out: &mut Vec<Effect>) {
        let token = self.moving.next_id();
        self.pages.ask(ticket, ask, token, (self.here, &self.state, &self.db), out);
    }

    /// What was asked for a movement could not be sent.
    pub(super) fn fetch_not_sent(&mut self, now: Moment, operation: OperationId) {
        if let Some((_, fetching)) = self.moving.fetching(operation.0)
            && let Some(source) = fetching.asks()
        {
            fetching.fail(now.mono, source);
        }
    }

    /// What was asked for a movement was answered: a page came, or a record of one was stored.
    pub(super) fn fetch_replied(
        &mut self,
        now: Moment,
        from: NodeId,
        operation: OperationId,
        reply: ReplicaReply,
        out: &mut Vec<Effect>,
    ) {
        let (here, state) = (self.here, Arc::clone(&self.state));
        let Some((partition, fetching)) = self.moving.fetching(operation.0) else { return };
        let answer = match reply {
            ReplicaReply::Stored | ReplicaReply::Settled if from == here => {
                let stored = fetching.stored(now.mono, Some(true));
                return self.page_stored(now, partition, stored);
            }
            _ if from == here => {
                let stored = fetching.stored(now.mono, Some(false));
                return self.page_stored(now, partition, stored);
            }
            ReplicaReply::Fetched(answer) => Some(*answer),
            _ => None,
        };
        let belongs = |key: &Bytes| is_of(&state, key, partition);
        if let Some(entries) = fetching.answered(now.mono, from, answer, belongs) {
            self.take_page(now, operation, partition, entries, out);
        }
    }

    fn take_page(
        &mut self,
        now: Moment,
        operation: OperationId,
        partition: PartitionId,
        entries: Vec<(Bytes, Bytes)>,
        out: &mut Vec<Effect>,
    ) {
        if entries.is_empty()
            && let Some((_, fetching)) = self.moving.fetching(operation.0)
        {
            let stored = fetching.stored(now.mono, None);
            return self.page_stored(now, partition, stored);
        }
        let bytes: usize = entries.iter().map(|(key, record)| key.len() + record.len()).sum();
        self.moving.figures.fetched_bytes += bytes as u64;
        if let Some(local) = self.moving.get(partition) {
            local.fetched_bytes += bytes as u64;
        }
        for (key, record) in entries {
            self.moving.figures.fetched += 1;
            let keyspace = store_key::keyspace_of(&key).expect("looked at when the page came");
            let epoch = self.state.since_in(keyspace, partition);
            let until = now.mono + PATIENCE;
            let ticket = Ticket { operation, partition, epoch, until, ..self.for_itself() };
            let task = Task::Write { keyspace, record, path: WritePath::Merge };
            self.with_held(now, key, Waiting::new(now, ticket, task), out);
        }
    }

    fn page_stored(&mut self, now: Moment, partition: PartitionId, stored: Stored) {
        let Some(local) = self.moving.get(partition) else { return };
        match stored {
            Stored::NotYet => {}
            Stored::To(place) => {
                // Where there is no room for the note, or something is yet to be dropped under its key, the next one says as much and more.
                if !self.rewriting.is_done() {
                    return;
                }
                let note = Note::new(local.session, Done::FetchedTo(place)).encode();
                let _ = self.db.put(&store_key::note_key(self.slots(partition)), note, Kind::Full);
                self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
            }
            Stored::All(mark) => {
                // All that these agreed on they had when it came, and this node has it once it has compared with all of them.
                if let Some(mark) = mark {
                    let (mark, stored) = self.collection.joining(partition, &mark);
                    if self.store_marks(stored).is_ok() {
                        let are_gone = self.collection.keep(partition, &mark);
                        self.rewriting.drop_keys(are_gone);
                    }
                }
                self.has_fetched(now, partition);
            }
        }
    }

    fn has_fetched(&mut self, now: Moment, partition: PartitionId) {
        self.note(now, partition, Done::Fetched, |_| Phase::Comparing(Comparing::default()));
        self.keep_trees(now);
    }

    /// Looks whether a partition was compared with all that it is to be compared with, and goes on if so.
    fn compare(&mut self, now: Moment, partition: PartitionId, stage: Stage) {
        let is_true = self.exchange.is_built(partition);
        let lacks = self.missing_of(partition);
        let Some(local) = self.moving.get(partition) else { return };
        let Phase::Comparing(comparing) = &mut local.phase else { return };
        if comparing.since.is_none() && !is_true {
            return;
        }
        let since = *comparing.since.get_or_insert(now.mono);
        let moving = &self.moving;
        let is_to_compare = |keyspace, peer| moving.is_to_compare(partition, keyspace, peer);
        let uncompared = self.exchange.want_with(partition, since, is_to_compare);
        let waits_for = uncompared.or(lacks);
        if let Some(local) = self.moving.get(partition)
            && let Phase::Comparing(comparing) = &mut local.phase
        {
            comparing.waits_for = waits_for;
            if uncompared.is_none() {
                // What else it waits for the exchange does not tell.
                comparing.looked_at = None;
            }
        }
        if waits_for.is_some() {
            return;
        }
        match stage {
            Stage::Clearing if self.has_hints_to_hand_over() => {}
            Stage::Clearing => {
                self.note(now, partition, Done::HandedOver, |_| Phase::Dropping);
                self.sweeping.add(partition);
                self.keep_trees(now);
            }
            Stage::Filling | Stage::Switched => self.note(now, partition, Done::Filled, Phase::Done),
        }
    }

    /// Whether this node is about to leave, and keeps hints: nobody else may have them (INVARIANTS A3).
    fn has_hints_to_hand_over(&self) -> bool {
        let leaves =
            self.state.member(self.here).is_some_and(|member| member.standing == cluster::Standing::Leaving);
        leaves && self.handoff.keeps_any()
    }

    /// A page that was read for movements.
    pub(super) fn moving_read(
        &mut self,
        now: Moment,
        token: u64,
        outcome: ScanOutcome,
        out: &mut Vec<Effect>,
    ) {
        if self.pages.is_reading(token) {
            let (recent, collection) = (&self.recent, &self.collection);
            let mark = |partition| collection.mark_of_all(partition).as_ref().map(Standing::to_mark);
            let is_hidden = |key: &Bytes| recent.is_hidden(key);
            let given = self.pages.read(token, outcome, &self.state, is_hidden, mark, out);
            self.moving.figures.given_bytes += given as u64;
            return;
        }
        if self.is_dropped_whole(now, token, &outcome) {
            return;
        }
        let (state, moving, db) = (&self.state, &mut self.moving, &mut self.db);
        let recent = &mut self.recent;
        self.sweeping.page(now.mono, token, outcome, |key| {
            let place = store_key::own_slot(key).zip(store_key::keyspace_of(key));
            let Some((slot, keyspace)) = place else { return Ok(false) };
            if moving.keeps(keyspace, state.partition_of_slot(slot).0) {
                return Ok(false);
            }
            db.delete(key)?;
            recent.show_all(key);
            moving.figures.dropped += 1;
            Ok::<bool, storage::PutError>(true)
        });
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
    }

    /// Something is stored of this key. Where it is not kept here, its partition is to be swept.
    pub(super) fn notice_not_kept(&mut self, key: &Bytes) {
        let Some((slot, keyspace)) = store_key::own_slot(key).zip(store_key::keyspace_of(key)) else {
            return;
        };
        let (partition, _) = self.state.partition_of_slot(slot);
        if !self.moving.keeps(keyspace, partition) && self.sweeping.is_clean(partition) {
            self.sweeping.add(partition);
        }
    }

    /// Since when the owners are who they are of what a task is about, if it was routed by those of before; or if there is no such
    /// keyspace any more.
    pub(super) fn newer_epoch(&self, keyspace: KeyspaceId, ticket: &Ticket) -> Option<Epoch> {
        let newest = self.state.since_in(keyspace, ticket.partition);
        let is_own = ticket.epoch == Epoch(u64::MAX);
        let is_stale = if is_own { self.state.keyspace(keyspace).is_none() } else { ticket.epoch < newest };
        is_stale.then_some(newest)
    }

    /// Whether what is hidden of a key was made before the present owners were: it is yet to be decided whether it counts, and who
    /// compares for a movement is to see it if it does.
    pub(super) fn hides_from_before(
        &self,
        key: &Bytes,
        keyspace: KeyspaceId,
        partition: PartitionId,
    ) -> bool {
        self.state.movement(partition).is_some()
            && self.recent.hides_from_before(key, self.state.since_in(keyspace, partition))
    }

    /// Lets answers to comparisons of a partition that moves wait until all that is stored here is on stable storage: what is found
    /// to be the same may be dropped by who asked.
    pub(super) fn answer_when_synced(&mut self, first: usize, out: &mut Vec<Effect>) {
        let written = self.db.last_sequence();
        if written <= self.db.synced_through() {
            return;
        }
        let mut rest = out.split_off(first);
        for effect in rest.drain(..) {
            match effect {
                Effect::Reply(ticket, reply @ ReplicaReply::Compared(_))
                    if self.state.movement(ticket.partition).is_some() =>
                {
                    self.unsynced.push_back((written, ticket, reply));
                }
                other => out.push(other),
            }
        }
    }

    /// Says what is held to who compares: of a partition that moves once all of it is on stable storage.
    pub(super) fn say_what_is_held(&mut self, ticket: Ticket, reply: ReplicaReply, out: &mut Vec<Effect>) {
        let written = self.db.last_sequence();
        if self.state.movement(ticket.partition).is_some() && written > self.db.synced_through() {
            self.unsynced.push_back((written, ticket, reply));
        } else {
            out.push(Effect::Reply(ticket, reply));
        }
    }
}

/// Whether a key of the store is one of a partition's records, in a keyspace that there is.
fn is_of(state: &ClusterState, key: &Bytes, partition: PartitionId) -> bool {
    store_key::parse(key).is_some_and(|place| {
        state.keyspace(place.keyspace).is_some()
            && state.partition_of_slot(place.slot.min(ring::SLOTS - 1)).0 == partition
            && store_key::store_key(place.keyspace, &place.key) == *key
    })
}
