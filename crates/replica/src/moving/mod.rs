//! What this node has to do while partitions move: get what it is to own, hand over what it has owned, drop what it does not keep.
//!
//! ```text
//!   to be filled, and no old owner     Emptying -> Fetching -> Comparing -> Filled
//!   to be filled, and an old owner                             Comparing -> Filled
//!   to be cleared                                              Comparing -> Dropping -> Cleared
//! ```
//!
//! Emptying: what is left of an earlier time goes first, and nothing is taken in before. [`fetching`]: all that one old owner has,
//! page by page. Comparing: with every old owner, or new one, in rounds of the exchange begun after this node went by the stage. What
//! follows the last of these is [noted](note) in the store, and is said to whoever leads the cluster once that is on stable storage.
//! What is dropped is found by [`sweeping`].
//!
//! What must hold (INVARIANTS E2 to E4): a step is done only when every node that it is to be compared with was compared since the
//! stage was adopted by both; nothing is dropped that this node holds by its state, and nothing before what was handed over is on
//! stable storage elsewhere; and what is under way for a movement that is over has no effect.

pub(crate) mod fetching;
pub(crate) mod note;
pub(crate) mod serving;
pub(crate) mod sweeping;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::{ClusterState, Session, Stage, Standing, Step};
use ring::Partitions;
use storage::SequenceNumber;
use types::{Epoch, Instant, KeyspaceId, NodeId, OperationId, PartitionId};

use self::fetching::Fetching;
use self::note::{Done, Notes};
use crate::handoff::OWN_ID;
use crate::store_key::{self, Slots};

/// What it asks by itself, and reads, is named by ids with this bit beside that of all of a replica's own.
const MOVING_ID: u64 = 1 << 60;

/// How often a step that waits for others is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether it has asked this.
pub fn is_its(operation: OperationId) -> bool {
    is_its_id(operation.0)
}

/// Whether an id, of a question or of a page that is read, is one of these.
pub(crate) fn is_its_id(id: u64) -> bool {
    id >> 60 == (OWN_ID | MOVING_ID) >> 60
}

/// How far the movements are that this node has a part in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Partitions that are being got.
    pub filling: u64,
    /// Partitions that are being handed over.
    pub clearing: u64,
    /// Records that were fetched in whole runs, since the start.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Records that were dropped one by one because they are not kept here, since the start.
    pub dropped: u64,
    /// Partitions that were dropped whole.
    pub dropped_whole: u64,
    /// Bytes of pages that were given to new owners, since the start.
    pub given_bytes: u64,
    /// Partitions that are yet to be compared with somebody.
    pub uncompared: u64,
    /// With whom one of the partitions is yet to be compared.
    pub waits_for: Option<NodeId>,
}

/// The steps of one shard's partitions.
#[derive(Debug)]
pub(crate) struct Moving {
    here: NodeId,
    state: Arc<ClusterState>,
    steps: BTreeMap<PartitionId, Local>,
    last_id: u64,
    id_step: u64,
    pub(crate) figures: Figures,
}

/// What this node has to do for a movement at a stage.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) session: Session,
    pub(crate) stage: Stage,
    pub(crate) phase: Phase,
    /// About how many bytes of keys and records were fetched.
    pub(crate) fetched_bytes: u64,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// What is left of an earlier time goes.
    Emptying,
    /// All that an old owner has comes.
    Fetching(Fetching),
    /// It is compared.
    Comparing(Comparing),
    /// It is handed over, and goes.
    Dropping,
    /// It is done once this is on stable storage.
    Done(SequenceNumber),
}

/// How far the comparing is.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    /// Since when trees are true: rounds that began later count.
    pub(crate) since: Option<Instant>,
    /// When to look again; and where this is the moment of the exchange still, there is nothing to be seen.
    pub(crate) look_at: Instant,
    pub(crate) looked_at: Option<(u64, u64)>,
    pub(crate) waits_for: Option<NodeId>,
}

impl Moving {
    /// Of the shard with this number, of so many, as the store's notes say.
    pub(crate) fn new(
        here: NodeId,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
        notes: &Notes,
        (shard, shards): (u8, u8),
    ) -> Moving {
        let mut moving = Moving {
            here,
            state: Arc::clone(state),
            steps: BTreeMap::new(),
            last_id: (OWN_ID | MOVING_ID) + u64::from(shard),
            id_step: u64::from(shards),
            figures: Figures::default(),
        };
        moving.adopt(state, partitions);
        let of = state.partitions();
        for (partition, local) in &mut moving.steps {
            let Some(note) = notes.of(Slots::of(*partition, of), local.session) else { continue };
            // What is found on the disk at the start is on stable storage.
            let on_disk = Phase::Done(SequenceNumber::default());
            local.phase = match (local.stage, &note.done) {
                (Stage::Filling, Done::FetchedTo(from)) => {
                    Phase::Fetching(Fetching::from(within(state, *partition, from)))
                }
                (Stage::Filling, Done::Fetched) => Phase::Comparing(Comparing::default()),
                (Stage::Filling, Done::Filled) | (Stage::Clearing, Done::Cleared) => on_disk,
                (Stage::Clearing, Done::HandedOver) => Phase::Dropping,
                _ => continue,
            };
        }
        moving
    }

    /// Other partitions have the slots of each from now on, and each goes on where that was. What was compared is compared again, by
    /// trees that are yet to be built; a page that is under way is asked for again.
    pub(crate) fn recut(&mut self, state: &Arc<ClusterState>, was: Partitions) {
        self.state = Arc::clone(state);
        let of = state.partitions();
        let parts = u64::from(of.count() / was.count());
        if parts == 0 {
            return self.join(was);
        }
        for (whole, local) in std::mem::take(&mut self.steps) {
            // About; it is shown to people.
            let fetched_bytes = local.fetched_bytes / parts.max(1);
            for partition in of.with_slots_of(whole, was) {
                let phase = match &local.phase {
                    Phase::Emptying => Phase::Emptying,
                    Phase::Fetching(fetching) => {
                        Phase::Fetching(Fetching::from(within(state, partition, fetching.place())))
                    }
                    Phase::Comparing(_) => Phase::Comparing(Comparing::default()),
                    Phase::Dropping => Phase::Dropping,
                    Phase::Done(sequence) => Phase::Done(*sequence),
                };
                let (session, stage) = (local.session, local.stage);
                self.steps.insert(partition, Local { session, stage, phase, fetched_bytes });
            }
        }
    }

    /// Halves become one whose movement is at the same stage, since after they could be joined: at that one's beginning, or this node
    /// has only heard of both.
    fn join(&mut self, was: Partitions) {
        let of = self.state.partitions();
        let mut halves: BTreeMap<PartitionId, Vec<Local>> = BTreeMap::new();
        for (half, local) in std::mem::take(&mut self.steps) {
            let whole = of.with_slots_of(half, was).next().expect("it is a half of one");
            halves.entry(whole).or_default().push(local);
        }
        for (whole, halves) in halves {
            let are_to_be_emptied = halves.iter().all(|local| matches!(local.phase, Phase::Emptying));
            let phase =
                if are_to_be_emptied { Phase::Emptying } else { Phase::Comparing(Comparing::default()) };
            let of_both = halves.into_iter().next().map(|local| Local { phase, fetched_bytes: 0, ..local });
            self.steps.extend(of_both.map(|local| (whole, local)));
        }
    }

    /// From now on it is as this state says. What comes back are partitions that this node is to get and did not own: it has
    /// forgotten what it may have made there before.
    pub(crate) fn adopt(
        &mut self,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
    ) -> Vec<PartitionId> {
        let was = std::mem::replace(&mut self.state, Arc::clone(state));
        // In a history that was begun again it may be about to get what it had already, and what it alone was given since is not to go.
        let had = |keyspace, partition| {
            was.generation() != state.generation() && was.owners(keyspace, partition).contains(&self.here)
        };
        let mut before = std::mem::take(&mut self.steps);
        let mut fresh = Vec::new();
        for (&partition, movement) in state.movements() {
            if partitions.binary_search(&partition).is_err() {
                continue;
            }
            let any = |is: &dyn Fn(KeyspaceId) -> bool| state.keyspaces().iter().any(|one| is(one.id));
            let is_filled = any(&|keyspace| state.is_filled(self.here, keyspace, partition));
            let is_cleared = any(&|keyspace| state.is_cleared(self.here, keyspace, partition));
            if !is_filled && !is_cleared {
                continue;
            }
            let local = match before.remove(&partition) {
                Some(local) if (local.session, local.stage) == (movement.session, movement.stage) => local,
                _ => {
                    let is_new = any(&|keyspace| {
                        state.is_filled(self.here, keyspace, partition)
                            && !state.owners(keyspace, partition).contains(&self.here)
                            && !had(keyspace, partition)
                    });
                    if is_new {
                        fresh.push(partition);
                    }
                    let phase = if is_new { Phase::Emptying } else { Phase::Comparing(Comparing::default()) };
                    Local { session: movement.session, stage: movement.stage, phase, fetched_bytes: 0 }
                }
            };
            self.steps.insert(partition, local);
        }
        fresh
    }

    /// Whether this node keeps what there is of a partition in a keyspace: takes it in, and drops nothing of it.
    pub(crate) fn keeps(&self, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let owners = self.state.all_owners(keyspace, partition);
        if owners.read.contains(&self.here) {
            return true;
        }
        let is_holder = owners.also_written.contains(&self.here) || owners.clearing.contains(&self.here);
        is_holder
            && self.steps.get(&partition).is_none_or(|local| match local.phase {
                Phase::Emptying | Phase::Dropping => false,
                Phase::Done(_) => local.stage != Stage::Clearing,
                Phase::Fetching(_) | Phase::Comparing(_) => true,
            })
    }

    /// Whether this node compares what it keeps with others. While a new owner fetches, what it lacks is what is on its way in pages: if
    /// it compared, owners would send it the same by the exchange.
    pub(crate) fn compares(&self, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let is_fetching = |local: &Local| matches!(local.phase, Phase::Fetching(_));
        let is_read = || self.state.owners(keyspace, partition).contains(&self.here);
        self.keeps(keyspace, partition) && (!self.steps.get(&partition).is_some_and(is_fetching) || is_read())
    }

    /// The same of any keyspace.
    pub(crate) fn keeps_any(&self, partition: PartitionId) -> bool {
        self.state.keyspaces().iter().any(|keyspace| self.keeps(keyspace.id, partition))
    }

    /// Whether this node is to get a partition in a keyspace, and takes nothing in before what is left there is dropped.
    pub(crate) fn is_emptying(&self, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let is_now = |local: &Local| matches!(local.phase, Phase::Emptying);
        self.steps.get(&partition).is_some_and(is_now)
            && self.state.is_filled(self.here, keyspace, partition)
            && !self.keeps(keyspace, partition)
    }

    /// Whether every owner of a partition has what this node had of it in a keyspace, and this node drops that or has.
    pub(crate) fn has_handed_over(&self, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let is_over = |local: &Local| matches!(local.phase, Phase::Dropping | Phase::Done(_));
        self.state.is_cleared(self.here, keyspace, partition)
            && self
                .steps
                .get(&partition)
                .is_some_and(|local| local.stage == Stage::Clearing && is_over(local))
    }

    /// Whether this node may lack what owners of a partition had before it became one, and what they agreed on.
    pub(crate) fn is_catching_up(&self, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let Some(local) = self.steps.get(&partition) else { return false };
        let is_done = local.stage != Stage::Filling || matches!(local.phase, Phase::Done(_));
        !is_done && !self.state.owners(keyspace, partition).contains(&self.here)
    }

    /// Whether a partition has something to be dropped before it can go on.
    pub(crate) fn waits_for_sweep(&self, partition: PartitionId) -> bool {
        self.steps
            .get(&partition)
            .is_some_and(|local| matches!(local.phase, Phase::Emptying | Phase::Dropping))
    }

    /// The partitions with something to be done.
    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.steps.keys().copied().collect()
    }

    /// What is to be done for a partition, if anything.
    pub(crate) fn get(&mut self, partition: PartitionId) -> Option<&mut Local> {
        self.steps.get_mut(&partition)
    }

    /// Whose fetching waits for what has this number.
    pub(crate) fn fetching(&mut self, number: u64) -> Option<(PartitionId, &mut Fetching)> {
        self.steps.iter_mut().find_map(|(partition, local)| match &mut local.phase {
            Phase::Fetching(fetching) if fetching.waits_for(number) => Some((*partition, fetching)),
            _ => None,
        })
    }

    /// A peer cannot be reached any more.
    pub(crate) fn peer_lost(&mut self, now: Instant, node: NodeId) {
        for local in self.steps.values_mut() {
            if let Phase::Fetching(fetching) = &mut local.phase
                && fetching.asks() == Some(node)
            {
                fetching.fail(now, node);
            }
        }
    }

    /// From whom a partition may be fetched: its old owners that are not gone for good, those of this node's data center first.
    pub(crate) fn sources(&self, partition: PartitionId) -> Vec<NodeId> {
        let mut sources = Vec::new();
        for keyspace in self.state.keyspaces() {
            if self.state.is_filled(self.here, keyspace.id, partition) {
                for node in self.state.owners(keyspace.id, partition) {
                    if *node != self.here && !sources.contains(node) && is_there(&self.state, *node) {
                        sources.push(*node);
                    }
                }
            }
        }
        let near = self.state.data_center_of(self.here);
        sources.sort_by_key(|node| self.state.data_center_of(*node) != near);
        sources
    }

    /// Whether a partition is to be compared with this node in a keyspace before the step that it is at is done.
    pub(crate) fn is_to_compare(&self, partition: PartitionId, keyspace: KeyspaceId, peer: NodeId) -> bool {
        let is_concerned = self.state.is_filled(self.here, keyspace, partition)
            || self.state.is_cleared(self.here, keyspace, partition);
        is_concerned && self.state.owners(keyspace, partition).contains(&peer) && is_there(&self.state, peer)
    }

    /// What is done, and on stable storage up to here.
    pub(crate) fn report(&self, synced: SequenceNumber) -> Vec<Step> {
        let is_done = |local: &Local| matches!(local.phase, Phase::Done(sequence) if sequence <= synced);
        let done = self.steps.iter().filter(|(_, local)| is_done(local));
        done.map(|(partition, local)| Step {
            partition: *partition,
            session: local.session,
            stage: local.stage,
        })
        .collect()
    }

    /// Whom this node waits for, with each partition with which it is not done and waits for somebody.
    pub(crate) fn whom(&self) -> Vec<(PartitionId, NodeId)> {
        let whom = |partition: PartitionId, local: &Local| match &local.phase {
            // Where there is another source it is left for that one.
            Phase::Fetching(fetching) => {
                fetching.failed().filter(|failed| self.sources(partition) == [*failed])
            }
            _ => local.waits_for(),
        };
        let each = self.steps.iter();
        each.filter_map(|(partition, local)| Some((*partition, whom(*partition, local)?))).collect()
    }

    /// What this node is doing for each movement that it has a part in, in words.
    pub(crate) fn steps(&self) -> Vec<(PartitionId, Stage, &'static str)> {
        let word = |local: &Local| match &local.phase {
            Phase::Emptying => "emptying",
            Phase::Fetching(_) if local.fetched_bytes == 0 => "beginning to fetch",
            Phase::Fetching(_) => "fetching",
            Phase::Comparing(_) => "comparing",
            Phase::Dropping => "dropping",
            Phase::Done(_) => "done",
        };
        self.steps.iter().map(|(partition, local)| (*partition, local.stage, word(local))).collect()
    }

    /// What was fetched so far of each partition that this node is to get.
    pub(crate) fn fetched(&self) -> Vec<(PartitionId, Epoch, u64)> {
        let filled = self.steps.iter().filter(|(_, local)| local.stage == Stage::Filling);
        filled.map(|(partition, local)| (*partition, local.session.0, local.fetched_bytes)).collect()
    }

    /// Where a fetching goes on that was begun before the start.
    pub(crate) fn fetched_to(&self) -> Vec<(PartitionId, Bytes)> {
        let place = |local: &Local| match &local.phase {
            Phase::Fetching(fetching) => Some(fetching.place().clone()),
            _ => None,
        };
        self.steps.iter().filter_map(|(partition, local)| Some((*partition, place(local)?))).collect()
    }

    /// How far it is.
    pub(crate) fn figures(&self) -> Figures {
        let count = |stage| {
            let is = |local: &&Local| local.stage == stage && !matches!(local.phase, Phase::Done(_));
            self.steps.values().filter(is).count() as u64
        };
        let waits_for: Vec<NodeId> = self.steps.values().filter_map(Local::waits_for).collect();
        Figures {
            filling: count(Stage::Filling),
            clearing: count(Stage::Clearing),
            uncompared: waits_for.len() as u64,
            waits_for: waits_for.first().copied(),
            ..self.figures
        }
    }

    /// When there is something to be done.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let due = |local: &Local| match &local.phase {
            Phase::Fetching(fetching) => fetching.next_timer(),
            Phase::Comparing(comparing) => Some(comparing.look_at),
            // What these wait for has timers of its own.
            Phase::Emptying | Phase::Dropping | Phase::Done(_) => None,
        };
        self.steps.values().filter_map(due).min()
    }

    /// A number for what is asked, or read.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += self.id_step;
        self.last_id
    }
}

/// What is next for a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Where it is empty, to begin to fetch.
    Emptied,
    /// To ask for a page.
    Fetch,
    /// To look with whom it was compared.
    Compare,
    /// Where all of it is dropped, to be done.
    Dropped,
}

impl Local {
    /// With whom it is yet to be compared.
    fn waits_for(&self) -> Option<NodeId> {
        match &self.phase {
            Phase::Comparing(comparing) => comparing.waits_for,
            _ => None,
        }
    }

    /// What is next, if it is time for it. `moment` is that of the exchange.
    pub(crate) fn next(&mut self, now: Instant, moment: (u64, u64)) -> Option<Next> {
        match &mut self.phase {
            Phase::Emptying => Some(Next::Emptied),
            Phase::Fetching(fetching) => fetching.is_due(now).then_some(Next::Fetch),
            Phase::Comparing(comparing) => comparing.is_due(now, moment).then_some(Next::Compare),
            Phase::Dropping => Some(Next::Dropped),
            Phase::Done(_) => None,
        }
    }
}

impl Comparing {
    /// Whether there may be something new to be seen.
    pub(crate) fn is_due(&mut self, now: Instant, moment: (u64, u64)) -> bool {
        if self.look_at > now {
            return false;
        }
        self.look_at = now + LOOK_EVERY;
        self.since.is_none() || self.looked_at.replace(moment) != Some(moment)
    }
}

fn is_there(state: &ClusterState, node: NodeId) -> bool {
    state.member(node).is_some_and(|member| member.standing != Standing::Gone)
}

/// A place of the store, or the end of a partition that is nearer to it: where fetching the partition goes on.
fn within(state: &ClusterState, partition: PartitionId, place: &Bytes) -> Bytes {
    let Some(slots) = state.partitions().slots_of(partition) else { return place.clone() };
    let start = store_key::position(*slots.start(), KeyspaceId(0), 0);
    let place = start.max(place.clone());
    store_key::end_of_slot(*slots.end()).map_or(place.clone(), |end| end.min(place))
}

/// Where a partition begins in the store.
pub(crate) fn start_of(state: &ClusterState, partition: PartitionId) -> Option<Bytes> {
    let slots = state.partitions().slots_of(partition)?;
    Some(store_key::position(*slots.start(), KeyspaceId(0), 0))
}
