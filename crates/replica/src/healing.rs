//! Healing: what this node has lost, to damage or with a data directory, comes back from the other owners.
//!
//! Storage says of which keys something is missing. Of those this replica says nothing to anybody, until each partition that
//! they are in has been compared with every other owner, in rounds begun after its trees were built from what is left
//! ([`crate::exchange`]): then it holds all that any of them holds, and the keys are whole again. Why every owner and not just
//! enough of them to meet W: which W a write was acknowledged under is its client's to choose, and nobody keeps it.
//!
//! What must hold (INVARIANTS A1, C3): nothing is whole before that, and what is found lost later begins anew.
//!
//! Of a keyspace with one owner there is nobody to ask. What is missing of such a partition stays missing, and is said to. A
//! node whose keyspaces are not all kept by others too gives nothing up by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::ClusterState;
use storage::{Damage, KeyRange};
use types::{Instant, NodeId, PartitionId};

use crate::store_key;

/// How many partitions are looked at in one turn.
const LOOKS_MAX: usize = 8;

/// What is missing of the partitions of one shard.
#[derive(Debug)]
pub(crate) struct Healing {
    here: NodeId,
    state: Arc<ClusterState>,
    /// The shard's partitions that this node owns, is about to own, or has yet to hand over.
    owned: Vec<PartitionId>,
    stages: BTreeMap<PartitionId, Stage>,
    /// Whether what is missing was never damaged here: this life of the node began without it. Then what nobody else has is
    /// not to be had, and not waited for.
    began_without: bool,
    /// The state of the exchange when the partitions were last gone through, or when that began.
    looked_at: Option<(u64, u64)>,
    /// Partitions that are still to be looked at, this one next.
    to_look_at: usize,
    next: PartitionId,
    figures: Figures,
    news: Vec<News>,
}

/// How far a partition is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Its trees are to be built from what is left.
    Building,
    /// It is compared, in rounds begun at this time or later; still to be compared with this owner.
    Comparing(Instant, Option<NodeId>),
    /// Some of it is in a keyspace that nobody else has.
    Alone,
}

/// What people should hear of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// This is damaged, and given up: something of so many partitions is missing until it has come from other owners.
    Lost {
        /// What was found.
        damages: Vec<Damage>,
        /// How many partitions it is of.
        partitions: usize,
    },
    /// A partition has come back, and so many are still to.
    Healed {
        /// Which.
        partition: PartitionId,
        /// Of how many something is missing still.
        left: u64,
    },
}

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Partitions of which something is missing.
    pub partitions: u64,
    /// Those of them that have a keyspace which nobody else has: it stays missing.
    pub alone: u64,
    /// Partitions that were healed, since the start.
    pub healed: u64,
    /// Blocks and files that were found damaged, since the start.
    pub found: u64,
    /// Whether this life of the node began without what is missing, and it was not damaged.
    pub began_without: bool,
    /// With whom one of them is yet to be compared, if its trees are built.
    pub waits_for: Option<NodeId>,
}

/// What the exchange can tell.
pub(crate) trait Compared {
    /// Rounds that ended, or that were wanted and could not be begun, and states that were adopted; and partitions that were built.
    /// Where neither has changed, nothing has.
    fn moment(&self) -> (u64, u64);
    /// Whether the trees of a partition are true.
    fn is_built(&mut self, partition: PartitionId) -> bool;
    /// With whom it is still to be compared in a round begun at this time or later.
    fn want(&mut self, partition: PartitionId, since: Instant) -> Option<NodeId>;
}

impl Healing {
    pub(crate) fn new(here: NodeId, state: Arc<ClusterState>, partitions: &[PartitionId]) -> Healing {
        let owned = partitions.iter().copied().filter(|partition| state.holds(here, *partition)).collect();
        Healing {
            here,
            state,
            owned,
            stages: BTreeMap::new(),
            began_without: false,
            looked_at: None,
            to_look_at: 0,
            next: PartitionId(0),
            figures: Figures::default(),
            news: Vec::new(),
        }
    }

    /// Something of these keys is missing from now on. What comes back are the partitions concerned.
    pub(crate) fn lost(&mut self, missing: &[KeyRange]) -> Vec<PartitionId> {
        let touched = |partition: &PartitionId| {
            self.range_of(*partition).is_some_and(|range| missing.iter().any(|one| overlap(one, &range)))
        };
        let concerned: Vec<PartitionId> = self.owned.iter().copied().filter(touched).collect();
        self.stages.extend(concerned.iter().map(|partition| (*partition, Stage::Building)));
        (self.looked_at, self.to_look_at) = (None, 0);
        concerned
    }

    /// From now on it is as this state says. What comes back are keys that nobody misses here any more.
    pub(crate) fn adopt(&mut self, state: &Arc<ClusterState>, partitions: &[PartitionId]) -> Vec<KeyRange> {
        self.state = Arc::clone(state);
        let held = partitions.iter().copied().filter(|partition| state.holds(self.here, *partition));
        self.owned = held.collect();
        (self.looked_at, self.to_look_at) = (None, 0);
        let is_gone = |partition: &PartitionId| !self.owned.contains(partition);
        let gone: Vec<PartitionId> = self.stages.keys().copied().filter(is_gone).collect();
        self.stages.retain(|partition, _| !gone.contains(partition));
        gone.into_iter().filter_map(|partition| self.range_of(partition)).collect()
    }

    /// Other partitions have the slots of each from now on, and where something of one may be missing it may of each of those. They are
    /// compared by trees that are yet to be built.
    pub(crate) fn recut<I: Iterator<Item = PartitionId>>(
        &mut self,
        state: &Arc<ClusterState>,
        partitions: &[PartitionId],
        now: impl Fn(PartitionId) -> I,
    ) {
        self.state = Arc::clone(state);
        self.owned = partitions.iter().copied().filter(|one| state.holds(self.here, *one)).collect();
        for (one, stage) in std::mem::take(&mut self.stages) {
            // Nobody else has what is alone here: it stays missing, whatever half of a partition it is in.
            let again = match stage {
                Stage::Building | Stage::Comparing(..) => Stage::Building,
                Stage::Alone => Stage::Alone,
            };
            for it in now(one) {
                let of_another_half = self.stages.get(&it).filter(|stage| matches!(stage, Stage::Alone));
                let stage = of_another_half.copied().unwrap_or(again);
                self.stages.insert(it, stage);
            }
        }
        (self.looked_at, self.to_look_at, self.next) = (None, 0, PartitionId(0));
    }

    /// This life of the node began without what is missing.
    pub(crate) fn began_without(&mut self, it_did: bool) {
        self.began_without = it_did;
    }

    /// The partitions that this node owns, of this shard's.
    pub(crate) fn owned(&self) -> &[PartitionId] {
        &self.owned
    }

    /// Whether nothing of what this node owns is whole.
    pub(crate) fn lacks_all(&self) -> bool {
        self.owned.iter().all(|partition| self.stages.contains_key(partition))
    }

    /// There was nothing to forget. What comes back is whole.
    pub(crate) fn founded(&mut self) -> Vec<KeyRange> {
        let stages = std::mem::take(&mut self.stages);
        stages.into_keys().filter_map(|partition| self.range_of(partition)).collect()
    }

    /// Something of this partition is let go of, which is left here and was deleted long ago: what was lost had hidden it. If it
    /// is healing it is whole no sooner than that is gone, and a later round finds nothing of the kind.
    pub(crate) fn compare_again(&mut self, now: Instant, partition: PartitionId) {
        if let Some(stage @ Stage::Comparing(..)) = self.stages.get_mut(&partition) {
            *stage = Stage::Comparing(now, None);
        }
    }

    /// So much was found damaged, and is of so many partitions.
    pub(crate) fn found(&mut self, damages: Vec<Damage>, partitions: usize) {
        self.figures.found += damages.len() as u64;
        if !damages.is_empty() {
            self.news.push(News::Lost { damages, partitions });
        }
    }

    /// What people should hear of, since this was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether something of this partition is missing, and with whom it is yet to be compared.
    pub(crate) fn waits_for(&self, partition: PartitionId) -> Option<NodeId> {
        self.stages.get(&partition).map(|stage| match stage {
            Stage::Comparing(_, Some(with)) => *with,
            Stage::Building | Stage::Comparing(..) | Stage::Alone => self.here,
        })
    }

    /// Goes on as far as the exchange has come, with a few partitions at a time. What comes back are keys that are whole again.
    pub(crate) fn turn(&mut self, now: Instant, exchange: &mut impl Compared) -> Vec<KeyRange> {
        let moment = exchange.moment();
        if self.to_look_at == 0 {
            if self.looked_at.replace(moment) == Some(moment) {
                return Vec::new();
            }
            self.to_look_at = self.stages.len();
        }
        let mut whole = Vec::new();
        for _ in 0..self.to_look_at.min(LOOKS_MAX) {
            self.to_look_at -= 1;
            let next = self.stages.range(self.next..).next().or_else(|| self.stages.first_key_value());
            let Some((&partition, &stage)) = next else { break };
            self.next = PartitionId(partition.0.wrapping_add(1));
            match self.go_on(now, partition, stage, exchange) {
                Some(stage) => drop(self.stages.insert(partition, stage)),
                None => {
                    self.stages.remove(&partition);
                    whole.extend(self.range_of(partition));
                    self.figures.healed += 1;
                    if !self.began_without {
                        self.news.push(News::Healed { partition, left: self.stages.len() as u64 });
                    }
                }
            }
        }
        whole
    }

    /// Where a partition is now; nothing where it is whole.
    fn go_on(
        &self,
        now: Instant,
        partition: PartitionId,
        stage: Stage,
        exchange: &mut impl Compared,
    ) -> Option<Stage> {
        let since = match stage {
            Stage::Comparing(since, _) => since,
            Stage::Building if !self.began_without && self.is_alone(partition) => return Some(Stage::Alone),
            Stage::Building if exchange.is_built(partition) => now,
            Stage::Building | Stage::Alone => return Some(stage),
        };
        exchange.want(partition, since).map(|with| Stage::Comparing(since, Some(with)))
    }

    /// Whether a keyspace has its only copy of this partition here.
    fn is_alone(&self, partition: PartitionId) -> bool {
        self.state.keyspaces().iter().any(|keyspace| self.state.owners(keyspace.id, partition) == [self.here])
    }

    /// Keys that nobody misses here: of partitions that are not this shard's, of no partition, and of hints, which are copies of
    /// what owners have or are told by others.
    pub(crate) fn nobodys(&self) -> Vec<KeyRange> {
        let others = self.state.partitions().iter().filter(|partition| !self.owned.contains(partition));
        let hints = KeyRange { start: store_key::hints(), end: None };
        let unused =
            KeyRange { start: store_key::start_of_slot(ring::SLOTS), end: Some(store_key::marks().0) };
        others.filter_map(|partition| self.range_of(partition)).chain([hints, unused]).collect()
    }

    pub(crate) fn figures(&self) -> Figures {
        let count =
            |is: &dyn Fn(&Stage) -> bool| self.stages.values().filter(|stage| is(stage)).count() as u64;
        let waits_for = self.stages.values().find_map(|stage| match stage {
            Stage::Comparing(_, with) => *with,
            Stage::Building | Stage::Alone => None,
        });
        Figures {
            partitions: count(&|_| true),
            alone: count(&|stage| matches!(stage, Stage::Alone)),
            waits_for,
            began_without: self.began_without,
            ..self.figures
        }
    }

    /// All keys of a partition.
    pub(crate) fn range_of(&self, partition: PartitionId) -> Option<KeyRange> {
        store_key::range_of(&self.state, partition)
    }
}

fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    let ends_after = |range: &KeyRange, start| range.end.as_ref().is_none_or(|end| end > start);
    ends_after(a, &b.start) && ends_after(b, &a.start)
}
