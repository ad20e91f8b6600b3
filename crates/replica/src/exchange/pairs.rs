//! Whom to compare which tree with, in turns; what has come of it; and the figures that say how far owners agree.

use std::collections::{BTreeMap, VecDeque};

use cluster::{ClusterState, Standing};
use types::{Instant, KeyspaceId, Moment, NodeId, PartitionId, WallTime};

use super::round::Ended;
use super::trees::TreeId;

/// How many rounds in a row may find and move the same before that is called stuck.
const STUCK_AFTER: u32 = 5;

/// One tree and one other owner.
#[derive(Debug)]
struct Pair {
    id: TreeId,
    peer: NodeId,
    /// When the last round began that ended with both holding what either had.
    complete: Option<Instant>,
    /// Whether this node asks in any case, and not only where the other one has not.
    leads: bool,
    /// When the other one last asked and was told that it is the same here.
    met: Option<Instant>,
    /// When he last asked anything.
    asked: Option<Instant>,
    /// Keys that were found to differ and are not known to be mended.
    differing: u64,
    since: Option<WallTime>,
    /// How many rounds in a row found and moved the same, and what that was.
    repeated: u32,
    signature: u64,
}

impl Pair {
    /// Whether no round that began at this time or later has left both with the same.
    fn is_uncompared(&self, since: Instant) -> bool {
        self.complete.is_none_or(|at| at < since)
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: TreeId,
    pub(crate) peer: NodeId,
    /// Whether this node asks in any case.
    pub(crate) leads: bool,
    /// When the last round began that ended with both holding what either had.
    pub(crate) complete: Option<Instant>,
    /// When the other one last asked anything.
    pub(crate) asked: Option<Instant>,
    /// Whether all were to be compared, and this pair has not been since.
    pub(crate) is_asked_for: bool,
    /// Whether it is out of the order in which all have theirs, because somebody waits for it.
    pub(crate) is_wanted: bool,
    /// Whether both hold the same by a round that began since all were asked to be compared.
    pub(crate) agrees: bool,
    /// Whether it need not be compared now.
    pub(crate) is_spared: bool,
}

/// All pairs of one shard.
#[derive(Debug)]
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    next: usize,
    /// Places of pairs that somebody waits for. They have every other turn.
    wanted: VecDeque<usize>,
    is_wanted_next: bool,
    /// Whether they have all of the turns, because this node answers for nothing before that.
    is_urgent: bool,
    /// How often it was said who the owners are.
    adopted: u64,
    /// How often a turn came to nothing that somebody waits for.
    passed_over: u64,
    figures: Figures,
}

/// How far owners agree, and what was done for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Pairs of a tree and another owner.
    pub pairs: u64,
    /// Of those, the ones whose last round left nothing that is known to differ.
    pub agreeing: u64,
    /// Keys that are known to differ from some other owner's.
    pub differing: u64,
    /// Since when the oldest of them is known.
    pub oldest: Option<WallTime>,
    /// Pairs of which one round after the other finds and moves the same: a defect, or damage.
    pub stuck: u64,
    /// Rounds that ended, since the start.
    pub rounds: u64,
    /// Those of them that could not be completed.
    pub incomplete: u64,
    /// Keys that were found to differ, since the start.
    pub found: u64,
    /// Records that were fetched from other owners.
    pub fetched: u64,
    /// Records that were sent to other owners and taken in.
    pub sent: u64,
    /// Of either, in bytes.
    pub bytes: u64,
    /// Trees of which is not known what is stored, or that are in doubt.
    pub unbuilt: u64,
    /// Partitions whose trees were built from stored bytes.
    pub built: u64,
    /// Leaves that were wrong though nobody had doubted them: defects.
    pub corrected: u64,
    /// Times that building came to something which cannot be read.
    pub unreadable: u64,
    /// Memory for trees.
    pub memory_bytes: u64,
    /// Pairs whose other owner cannot be reached.
    pub unreachable: u64,
    /// Times that somebody asked for all to be compared at once.
    pub repairs: u64,
    /// Pairs that have not been compared completely since somebody last asked for it, or not at all if nobody has.
    pub uncompared: u64,
    /// Pairs still to be compared because somebody asked for it.
    pub hurried: u64,
}

impl Pairs {
    /// Each of these trees with each other node that may hold something of it, but those that are gone for good. Nodes that start
    /// together begin at different places.
    pub(crate) fn new(here: NodeId, state: &ClusterState, ids: impl Iterator<Item = TreeId>) -> Pairs {
        let pairs = pairs_of(here, state, ids);
        let next = usize::from(here.0).wrapping_mul(0x9e37) % pairs.len().max(1);
        Pairs {
            pairs,
            next,
            wanted: VecDeque::new(),
            is_wanted_next: false,
            is_urgent: false,
            adopted: 0,
            passed_over: 0,
            figures: Figures::default(),
        }
    }

    /// From now on these are compared with whoever holds something of them by this state. What is known of pairs that stay is
    /// kept.
    pub(crate) fn adopt(&mut self, here: NodeId, state: &ClusterState, ids: impl Iterator<Item = TreeId>) {
        let before = std::mem::take(&mut self.pairs).into_iter().map(|pair| ((pair.id, pair.peer), pair));
        let mut before: BTreeMap<(TreeId, NodeId), Pair> = before.collect();
        let pairs = pairs_of(here, state, ids).into_iter();
        self.pairs = pairs.map(|pair| before.remove(&(pair.id, pair.peer)).unwrap_or(pair)).collect();
        // They are asked for again by whoever wants them, who looks again when this has changed.
        self.wanted.clear();
        self.adopted += 1;
        self.next = self.next.min(self.pairs.len().saturating_sub(1));
    }

    /// These are compared, of which nothing is known yet, instead of all others.
    pub(crate) fn begin_anew(
        &mut self,
        here: NodeId,
        state: &ClusterState,
        ids: impl Iterator<Item = TreeId>,
    ) {
        self.pairs.clear();
        self.adopt(here, state, ids);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Where this has not changed no round has ended, and nothing that was [wanted](Self::want) was forgotten.
    pub(crate) fn moment(&self) -> u64 {
        self.figures.rounds + self.adopted + self.passed_over
    }

    /// A turn came to nothing, because the other one cannot be reached or a tree is not true.
    pub(crate) fn passed_over(&mut self, turn: &Turn) {
        self.passed_over += u64::from(turn.is_wanted);
    }

    /// The next in turn. It can be spared where the other one has asked since that time and all was the same. What somebody waits
    /// for is never spared, and neither is what was not compared since all was asked to be.
    pub(crate) fn next(&mut self, asked_at: Instant, since: impl Fn(Instant) -> bool) -> Option<Turn> {
        self.is_urgent &= !self.wanted.is_empty();
        self.is_wanted_next = self.is_urgent || !self.is_wanted_next;
        let wanted = if self.is_wanted_next { self.wanted.pop_front() } else { None };
        let at = wanted.unwrap_or(self.next);
        if wanted.is_none() {
            self.next = if at + 1 < self.pairs.len() { at + 1 } else { 0 };
        }
        let pair = self.pairs.get(at)?;
        let agrees = !pair.is_uncompared(asked_at) && pair.differing == 0 && pair.repeated == 0;
        let is_met = agrees && pair.met.is_some_and(since);
        let is_wanted = wanted.is_some();
        let is_spared = !is_wanted && !pair.leads && is_met;
        let Pair { id, peer, leads, complete, asked, .. } = *pair;
        let is_asked_for = asked_at > Instant::default() && pair.is_uncompared(asked_at);
        Some(Turn { id, peer, leads, complete, asked, is_asked_for, is_wanted, agrees, is_spared })
    }

    /// Another owner asks.
    pub(crate) fn asked(&mut self, now: Instant, of: (TreeId, NodeId)) {
        if let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.id, pair.peer) == of) {
            pair.asked = Some(now);
        }
    }

    /// Another owner has asked and was told that it is the same here.
    pub(crate) fn met(&mut self, now: Instant, of: (TreeId, NodeId)) {
        if let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.id, pair.peer) == of) {
            pair.met = Some(now);
        }
    }

    /// A round that began at this time has ended.
    pub(crate) fn ended(&mut self, now: Moment, of: (TreeId, NodeId), began: Instant, ended: &Ended) {
        self.figures.rounds += 1;
        self.figures.incomplete += u64::from(!ended.complete);
        self.figures.found += ended.found;
        self.figures.fetched += ended.mended.fetched;
        self.figures.sent += ended.mended.sent;
        self.figures.bytes += ended.mended.bytes;
        let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.id, pair.peer) == of) else { return };
        if ended.complete {
            pair.complete = Some(began);
        }
        let same = ended.found > 0 && ended.mended.signature == pair.signature;
        pair.repeated = if same { pair.repeated + 1 } else { 0 };
        pair.signature = ended.mended.signature;
        pair.differing = ended.left;
        pair.since = (ended.left > 0).then(|| pair.since.unwrap_or(now.wall));
    }

    /// With which other owner a partition has yet to be compared, if with any of these, in a round begun at this time or later
    /// that left nothing to differ. Those get their turn sooner.
    pub(crate) fn want(
        &mut self,
        partition: PartitionId,
        since: Instant,
        with: impl Fn(KeyspaceId, NodeId) -> bool,
    ) -> Option<NodeId> {
        let is_missing = |pair: &Pair| {
            pair.id.partition == partition && pair.is_uncompared(since) && with(pair.id.keyspace, pair.peer)
        };
        let mut first = None;
        for (place, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| is_missing(pair)) {
            first.get_or_insert(pair.peer);
            if !self.wanted.contains(&place) {
                self.wanted.push_back(place);
            }
        }
        first
    }

    /// Whether there are any that somebody waits for.
    pub(crate) fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether those that are wanted have all of the turns.
    pub(crate) fn are_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Those that are wanted now have all of the turns.
    pub(crate) fn hasten(&mut self) {
        self.is_urgent = true;
    }

    /// How far owners agree.
    pub(crate) fn figures(&self, asked_at: Instant, is_reachable: impl Fn(NodeId) -> bool) -> Figures {
        let count = |is: &dyn Fn(&Pair) -> bool| self.pairs.iter().filter(|pair| is(pair)).count() as u64;
        Figures {
            pairs: self.pairs.len() as u64,
            agreeing: count(&|pair| pair.complete.is_some() && pair.differing == 0),
            differing: self.pairs.iter().map(|pair| pair.differing).sum(),
            oldest: self.pairs.iter().filter_map(|pair| pair.since).min(),
            stuck: count(&|pair| pair.repeated >= STUCK_AFTER),
            uncompared: count(&|pair| pair.is_uncompared(asked_at)),
            unreachable: count(&|pair| !is_reachable(pair.peer)),
            ..self.figures
        }
    }
}

fn pairs_of(here: NodeId, state: &ClusterState, ids: impl Iterator<Item = TreeId>) -> Vec<Pair> {
    let is_there = |peer: &NodeId| state.member(*peer).is_some_and(|one| one.standing != Standing::Gone);
    let pairs = ids.flat_map(|id| {
        let holders = state.all_owners(id.keyspace, id.partition).holders();
        let mut holders: Vec<NodeId> = holders.filter(|peer| *peer != here && is_there(peer)).collect();
        // What neighbours have need not come from afar.
        holders.sort_by_key(|peer| state.data_center_of(*peer) != state.data_center_of(here));
        holders.into_iter().map(move |peer| Pair {
            id,
            peer,
            complete: None,
            leads: (here < peer) == id.partition.0.is_multiple_of(2),
            met: None,
            asked: None,
            differing: 0,
            since: None,
            repeated: 0,
            signature: 0,
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cluster::{Addresses, FoundingPlan, MemberPlan};
    use ring::Partitions;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    /// The pairs of a shard that has one, which this node does not lead and has compared by a round that began then.
    fn one_pair(partition: PartitionId, complete: Instant) -> Pairs {
        let pair = Pair {
            id: TreeId { partition, keyspace: KeyspaceId(0) },
            peer: NodeId(2),
            leads: false,
            complete: Some(complete),
            met: None,
            asked: None,
            differing: 0,
            since: None,
            repeated: 0,
            signature: 0,
        };
        Pairs {
            pairs: vec![pair],
            next: 0,
            wanted: VecDeque::new(),
            is_wanted_next: false,
            is_urgent: false,
            adopted: 0,
            passed_over: 0,
            figures: Figures::default(),
        }
    }

    /// Of two owners that agree one asks. But a comparison that somebody asked for is this node's own to make, or it would wait
    /// for it for ever.
    #[test]
    fn a_turn_is_spared_where_both_agree_and_nobody_has_asked_since() {
        let mut pairs = one_pair(PartitionId(1), at(5));
        pairs.pairs[0].met = Some(at(6));
        let is_spared =
            |pairs: &mut Pairs, asked_at| pairs.next(asked_at, |_| true).is_some_and(|turn| turn.is_spared);
        assert!(is_spared(&mut pairs, at(0)) && is_spared(&mut pairs, at(5)));
        assert!(!is_spared(&mut pairs, at(7)), "it was not compared since all was asked to be");
        pairs.pairs[0].complete = Some(at(8));
        assert!(is_spared(&mut pairs, at(7)));
    }

    /// What somebody who waited for it has had compared since all were asked to be is not compared once more for that. Where
    /// everything is waited for, a repair would take twice as long.
    #[test]
    fn what_was_compared_out_of_order_counts_for_who_asked_for_all() {
        let mut pairs = one_pair(PartitionId(0), at(5));
        let of = |pairs: &mut Pairs, asked_at| pairs.next(asked_at, |_| false).map(|turn| turn.agrees);
        assert_eq!(of(&mut pairs, at(6)), Some(false), "it was compared before that");
        assert_eq!(of(&mut pairs, at(5)), Some(true));
        pairs.pairs[0].differing = 1;
        assert_eq!(of(&mut pairs, at(5)), Some(false), "something is known to differ since");
    }

    /// Who waits for a pair is to ask for it again when the owners have changed, or it may never get its turn: so he sees that
    /// something has.
    #[test]
    fn who_waits_sees_that_the_owners_have_changed() {
        let member = |number: u16| MemberPlan {
            name: format!("n{number}"),
            data_center: "dc1".to_owned(),
            rack: format!("r{number}"),
            weight: 1.0,
            addresses: Addresses::default(),
        };
        let plan = FoundingPlan {
            name: "test".to_owned(),
            members: vec![member(1), member(2)],
            partitions: Partitions::new(2).expect("two is a power of two"),
            keyspaces: Vec::new(),
        };
        let state = ClusterState::found(plan).expect("two members make a cluster");
        let id = TreeId { partition: PartitionId(0), keyspace: KeyspaceId(0) };
        let ids = || std::iter::once(id);
        let mut pairs = Pairs::new(NodeId(1), &state, ids());
        assert_eq!(pairs.want(PartitionId(0), at(1), |_, _| true), Some(NodeId(2)));
        let before = pairs.moment();
        pairs.adopt(NodeId(1), &state, ids());
        assert!(pairs.wanted.is_empty());
        assert_ne!(pairs.moment(), before);
    }

    /// So is he when the other owner could not be reached in the turn that they were given.
    #[test]
    fn who_waits_sees_that_a_turn_came_to_nothing() {
        let mut pairs = Pairs {
            pairs: Vec::new(),
            next: 0,
            wanted: VecDeque::new(),
            is_wanted_next: false,
            is_urgent: false,
            adopted: 0,
            passed_over: 0,
            figures: Figures::default(),
        };
        let id = TreeId { partition: PartitionId(0), keyspace: KeyspaceId(0) };
        let turn = |is_wanted| Turn {
            id,
            peer: NodeId(2),
            leads: true,
            complete: None,
            asked: None,
            is_asked_for: false,
            is_wanted,
            agrees: false,
            is_spared: false,
        };
        let before = pairs.moment();
        pairs.passed_over(&turn(false));
        assert_eq!(pairs.moment(), before, "nobody waits for it");
        pairs.passed_over(&turn(true));
        assert_ne!(pairs.moment(), before);
    }
}
