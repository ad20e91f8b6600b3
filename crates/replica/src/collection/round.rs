//! A round: how the first owner of a partition has all nodes agree that what was written to it until now is settled.
//!
//! What must hold for every write made before the round's fence and acknowledged at any time: when the round is done, every
//! owner has merged it, or something that covers it, and has that on stable storage. The steps, each asked of everybody
//! before the next is asked of anybody:
//!
//! 1. *Fence.* Every node says how far it has written: what it makes later is not the round's business.
//! 2. *Operations.* No node makes a write any more under a name that another minted before the fence and that reaches it only
//!    now; and those that were under way have ended on every node: from here on nobody counts acknowledgements of what
//!    was written before, so each acknowledged write is with as many nodes as it needs, as a record or as a hint.
//! 3. *Hints.* No node keeps any: each write is with an owner.
//! 4. *Comparing.* Each owner has compared what it holds with each other one, and both have what either had: each write is
//!    with all owners.
//! 5. *Keep*, then *adopt.* The asker, and then the other owners, keep the mark.
//!
//! A node that cannot be reached holds the round up for as long as that takes: it may have what nobody else has heard of. One
//! that was started anew, or another node's round of the same partition, ends it; the next begins from the fence.
//!
//! Sans-I/O. What is sent and what comes back is named by node; see [`super`] for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causality::{Frontier, Stamp};
use types::{Incarnation, Instant, NodeId, WallTime};
use wire::{CollectAnswer, CollectStep, CollectWait, Mark, Written};

use super::standing::{self, Standing};

/// How long after *not yet* it is asked again.
const POLL: Duration = Duration::from_millis(500);

/// How long after a question that was not answered, or could not be sent, it is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// One round of one partition.
#[derive(Debug)]
pub struct Round {
    number: u64,
    here: NodeId,
    owners: Vec<NodeId>,
    nodes: Vec<NodeId>,
    stage: Stage,
    /// Who has yet to say that this stage is done.
    pending: BTreeMap<NodeId, Pending>,
    written: Vec<Written>,
    owner_lives: Vec<Incarnation>,
    /// Incarnations that deletes know of.
    known: BTreeSet<Incarnation>,
    /// The earliest that any node's clock showed at the fence.
    settled_by: Option<WallTime>,
    /// The newest stamp of any owner's deletes.
    newest: Stamp,
    prior: Prior,
    mark: Option<Mark>,
}

/// What was agreed on before, by the marks that the asker keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prior {
    /// Behind which every write is settled that was made before this round's fence, once the round is done: what was settled anywhere in
    /// the partition. Who has written so far there has written no further before the fence.
    pub settled: Frontier,
    /// What was settled in all of the partition by then, and may be dropped now.
    pub droppable: Frontier,
    /// When that was begun, by the earliest clock.
    pub droppable_by: WallTime,
    /// The newest stamp of what was dropped, or was settled.
    pub newest: Stamp,
}

impl From<&Standing> for Prior {
    fn from(mark: &Standing) -> Prior {
        Prior {
            settled: mark.settled.clone(),
            droppable: mark.settled.clone(),
            droppable_by: mark.settled_by,
            newest: mark.newest,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Fence,
    Operations,
    Hints,
    Comparing,
    Keep,
    Adopt,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    ask_at: Instant,
    why: Blocked,
}

/// Why a round has not gone on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// It has not answered yet.
    Silent,
    /// It cannot be reached.
    Unreachable,
    /// It waits for something.
    Waiting(CollectWait),
}

impl std::fmt::Display for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Blocked::Silent => f.write_str("it has not answered"),
            Blocked::Unreachable => f.write_str("it cannot be reached"),
            Blocked::Waiting(CollectWait::Operations) => f.write_str("operations are under way there"),
            Blocked::Waiting(CollectWait::Hints) => f.write_str("it keeps hints"),
            Blocked::Waiting(CollectWait::Comparing(with)) => write!(f, "it has yet to compare with {with}"),
            Blocked::Waiting(CollectWait::Sync) => f.write_str("its disk has yet to confirm"),
        }
    }
}

/// What an answer has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It goes on.
    Going,
    /// All owners keep the mark.
    Done,
    /// It came to nothing, and another may be begun.
    Void,
}

impl Round {
    /// A round under this number, which no other of this node has, over these owners and all nodes.
    pub fn begin(
        now: Instant,
        number: u64,
        here: NodeId,
        owners: Vec<NodeId>,
        nodes: Vec<NodeId>,
        prior: Prior,
    ) -> Round {
        let mut round = Round::empty(number, here, owners, prior);
        round.enter(now, Stage::Fence, &nodes);
        round.nodes = nodes;
        round
    }

    /// The end of a round: the mark that the asker keeps is brought to the other owners, for nobody knows whether they have
    /// it.
    pub fn bring(now: Instant, number: u64, here: NodeId, owners: &[NodeId], kept: &Standing) -> Round {
        let mark = kept.to_mark();
        let mut round = Round::empty(number, here, owners.to_vec(), kept.into());
        round.mark = Some(mark);
        round.enter(now, Stage::Adopt, owners);
        round
    }

    fn empty(number: u64, here: NodeId, owners: Vec<NodeId>, prior: Prior) -> Round {
        Round {
            number,
            here,
            owners,
            nodes: Vec::new(),
            stage: Stage::Fence,
            pending: BTreeMap::new(),
            written: Vec::new(),
            owner_lives: Vec::new(),
            known: BTreeSet::new(),
            settled_by: None,
            newest: prior.newest,
            prior,
            mark: None,
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When [`due`](Self::due) has something to say.
    pub fn next_timer(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.ask_at).min()
    }

    /// Whom to ask what now. Each counts as asked.
    pub fn due(&mut self, now: Instant) -> Vec<(NodeId, CollectStep)> {
        let step = self.step();
        let due = self.pending.iter_mut().filter(|(_, pending)| pending.ask_at <= now);
        due.map(|(node, pending)| {
            pending.ask_at = now + AGAIN;
            (*node, step.clone())
        })
        .collect()
    }

    fn step(&self) -> CollectStep {
        match self.stage {
            Stage::Fence => CollectStep::Fence,
            Stage::Operations => CollectStep::Operations(standing::entries(&self.settling())),
            Stage::Hints => CollectStep::Hints,
            Stage::Comparing => CollectStep::Comparing,
            Stage::Keep | Stage::Adopt => {
                CollectStep::Adopt(self.mark.clone().expect("agreed on before it is kept"))
            }
        }
    }

    /// A question could not be sent, or was not answered in time.
    pub fn unanswered(&mut self, now: Instant, from: NodeId, why: Blocked) {
        if let Some(pending) = self.pending.get_mut(&from) {
            *pending = Pending { ask_at: now + AGAIN, why };
        }
    }

    /// An answer to a question of the present stage, from a node that was asked.
    pub fn answered(&mut self, now: Instant, from: NodeId, answer: CollectAnswer) -> Progress {
        if !self.pending.contains_key(&from) {
            return Progress::Going;
        }
        match (self.stage, answer) {
            (_, CollectAnswer::NotYet(wait)) => {
                self.pending.insert(from, Pending { ask_at: now + POLL, why: Blocked::Waiting(wait) });
                return Progress::Going;
            }
            (Stage::Fence, CollectAnswer::Fenced { written, now: wall, known }) => {
                self.written.push(written);
                if self.owners.contains(&from) {
                    self.owner_lives.push(written.incarnation);
                }
                self.settled_by = Some(self.settled_by.map_or(wall, |earliest| earliest.min(wall)));
                self.known.extend(known);
            }
            (Stage::Comparing, CollectAnswer::Compared { newest }) => self.newest = self.newest.max(newest),
            // Who is no owner in this life has to be in a round of its own first; this mark is not for it.
            (Stage::Operations | Stage::Hints | Stage::Keep | Stage::Adopt, CollectAnswer::Done)
            | (Stage::Adopt, CollectAnswer::NotAnOwner) => {}
            _ => return Progress::Void,
        }
        self.pending.remove(&from);
        if self.pending.is_empty() { self.go_on(now) } else { Progress::Going }
    }

    fn go_on(&mut self, now: Instant) -> Progress {
        let everybody = || self.nodes.clone();
        let (stage, whom) = match self.stage {
            Stage::Fence => (Stage::Operations, everybody()),
            Stage::Operations => (Stage::Hints, everybody()),
            Stage::Hints => (Stage::Comparing, self.owners.clone()),
            Stage::Comparing => {
                self.mark = Some(self.agreed());
                (Stage::Keep, vec![self.here])
            }
            Stage::Keep => {
                let others = self.owners.iter().copied().filter(|owner| *owner != self.here);
                (Stage::Adopt, others.collect())
            }
            Stage::Adopt => return Progress::Done,
        };
        self.enter(now, stage, &whom);
        if whom.is_empty() { Progress::Done } else { Progress::Going }
    }

    fn enter(&mut self, now: Instant, stage: Stage, whom: &[NodeId]) {
        self.stage = stage;
        let pending = Pending { ask_at: now, why: Blocked::Silent };
        self.pending = whom.iter().map(|node| (*node, pending)).collect();
    }

    /// What has been agreed on: all that the nodes had written at the fence is settled, and whatever incarnations there were
    /// before theirs have written. What the mark before this settled may now be dropped.
    fn agreed(&self) -> Mark {
        Standing {
            settled: self.settling(),
            settled_by: self.settled_by.unwrap_or_default(),
            droppable: self.prior.droppable.clone(),
            droppable_by: self.prior.droppable_by,
            newest: self.newest,
            owners: self.owner_lives.clone(),
        }
        .to_mark()
    }

    /// Behind which all is settled if this round is done. It is known from the fence on.
    fn settling(&self) -> Frontier {
        let mut settled = self.prior.settled.clone();
        for written in &self.written {
            settled.raise(standing::actor_of(written), written.counter);
        }
        let lives: BTreeSet<Incarnation> = self.written.iter().map(|written| written.incarnation).collect();
        for former in self.known.difference(&lives) {
            settled.retire(*former);
        }
        settled
    }

    /// Who holds it up, and why; the first of those, if there are several.
    pub fn blocked(&self) -> Option<(NodeId, Blocked)> {
        self.pending.iter().map(|(node, pending)| (*node, pending.why)).next()
    }
}

#[cfg(test)]
mod tests {
    use causality::{Actor, Dot};
    use types::Stint;

    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);
    const C: NodeId = NodeId(2);
    const OWNERS: [NodeId; 2] = [A, B];
    const NOW: Instant = Instant(1_000_000_000);

    fn fenced(node: NodeId, counter: u64, wall: u64, known: &[u64]) -> CollectAnswer {
        let written = Written { incarnation: life(node), stint: Stint(1), counter };
        let known = known.iter().map(|known| Incarnation(*known)).collect();
        CollectAnswer::Fenced { written, now: WallTime(wall), known }
    }

    fn life(node: NodeId) -> Incarnation {
        Incarnation(100 + u64::from(node.0))
    }

    fn dot(incarnation: Incarnation, counter: u64) -> Dot {
        Dot { actor: Actor { incarnation, stint: Stint(1) }, counter }
    }

    fn begin(prior: Prior) -> Round {
        Round::begin(NOW, 7, A, OWNERS.to_vec(), vec![A, B, C], prior)
    }

    fn asked(round: &mut Round, now: Instant) -> Vec<NodeId> {
        round.due(now).into_iter().map(|(node, _)| node).collect()
    }

    /// Brings a round to the stage in which the mark is kept.
    fn up_to_keep(prior: Prior) -> (Round, Mark) {
        let mut round = begin(prior);
        for (node, counter) in [(A, 5), (B, 0), (C, 2)] {
            round.answered(NOW, node, fenced(node, counter, 1000 + counter, &[9, 100]));
        }
        for stage in [Stage::Operations, Stage::Hints] {
            let due = round.due(NOW);
            assert_eq!(due.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [A, B, C]);
            for (_, step) in due {
                match (stage, step) {
                    (Stage::Hints, CollectStep::Hints) => {}
                    (Stage::Operations, CollectStep::Operations(settling)) => {
                        let far = |node| Written { incarnation: life(node), stint: Stint(1), counter: 5 };
                        assert!(settling.contains(&far(A)), "what is to be settled is said: {settling:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            for node in [A, B, C] {
                round.answered(NOW, node, CollectAnswer::Done);
            }
        }
        assert_eq!(round.due(NOW), OWNERS.map(|node| (node, CollectStep::Comparing)));
        for (node, newest) in [(A, Stamp(8)), (B, Stamp(3))] {
            round.answered(NOW, node, CollectAnswer::Compared { newest });
        }
        let due = round.due(NOW);
        let [(A, CollectStep::Adopt(mark))] = &due[..] else { panic!("{due:?}") };
        let mark = mark.clone();
        (round, mark)
    }

    #[test]
    fn each_step_is_asked_of_all_before_the_next_and_the_asker_keeps_the_mark_first() {
        let (mut round, mark) = up_to_keep(Prior::default());
        assert_eq!((mark.owners, mark.newest), (vec![life(A), life(B)], Stamp(8)));
        assert_eq!(round.answered(NOW, A, CollectAnswer::Done), Progress::Going);
        assert_eq!(asked(&mut round, NOW), [B]);
        assert_eq!(round.answered(NOW, B, CollectAnswer::Done), Progress::Done);
    }

    #[test]
    fn what_was_written_before_the_fence_is_settled_and_what_the_mark_before_settled_may_be_dropped() {
        let before: Frontier = [(dot(life(A), 3).actor, 3)].into_iter().collect();
        let prior = Standing { settled: before, settled_by: WallTime(500), ..Standing::default() };
        let (_, mark) = up_to_keep((&prior).into());
        let standing = Standing::of_mark(&mark);
        for (incarnation, counter) in [(life(A), 5), (life(C), 2), (Incarnation(9), u64::MAX)] {
            assert!(standing.settled.covers(&dot(incarnation, counter)), "{incarnation:?}");
        }
        assert!(!standing.settled.covers(&dot(life(A), 6)), "made after the fence");
        assert!(!standing.settled.covers(&dot(life(B), 1)));
        assert!(standing.droppable.covers(&dot(life(A), 3)) && !standing.droppable.covers(&dot(life(A), 4)));
        assert_eq!((standing.settled_by, standing.droppable_by), (WallTime(1000), WallTime(500)));
    }

    #[test]
    fn whoever_is_not_done_is_asked_again_and_named() {
        let mut round = begin(Prior::default());
        assert_eq!(asked(&mut round, NOW), [A, B, C]);
        assert_eq!(asked(&mut round, NOW), [], "once");
        round.answered(NOW, A, fenced(A, 1, 1, &[]));
        round.answered(NOW, B, fenced(B, 1, 1, &[]));
        round.unanswered(NOW, C, Blocked::Unreachable);
        assert_eq!(round.blocked(), Some((C, Blocked::Unreachable)));
        assert_eq!(asked(&mut round, NOW + AGAIN), [C]);
        round.answered(NOW, C, fenced(C, 1, 1, &[]));
        round.answered(NOW, B, CollectAnswer::NotYet(CollectWait::Operations));
        round.answered(NOW, A, CollectAnswer::Done);
        round.answered(NOW, C, CollectAnswer::Done);
        assert_eq!(round.blocked(), Some((B, Blocked::Waiting(CollectWait::Operations))));
        assert_eq!(asked(&mut round, NOW + POLL), [B]);
    }

    #[test]
    fn a_node_that_knows_nothing_of_the_round_ends_it() {
        for stage in 0..3 {
            let mut round = begin(Prior::default());
            for node in [A, B, C] {
                round.answered(NOW, node, fenced(node, 1, 1, &[]));
            }
            for _ in 0..stage {
                for node in [A, B, C] {
                    round.answered(NOW, node, CollectAnswer::Done);
                }
            }
            assert_eq!(round.answered(NOW, B, CollectAnswer::NoSuchRound), Progress::Void);
        }
        let (mut round, _) = up_to_keep(Prior::default());
        assert_eq!(round.answered(NOW, A, CollectAnswer::NotAnOwner), Progress::Void);
    }

    #[test]
    fn a_mark_that_was_kept_is_brought_to_the_others() {
        let (_, mark) = up_to_keep(Prior::default());
        let mut round = Round::bring(NOW, 8, A, &OWNERS, &Standing::of_mark(&mark));
        assert_eq!(round.due(NOW), OWNERS.map(|node| (node, CollectStep::Adopt(mark.clone()))));
        assert_eq!(round.answered(NOW, A, CollectAnswer::Done), Progress::Going);
        assert_eq!(round.answered(NOW, B, CollectAnswer::NotAnOwner), Progress::Done, "of no use to it");
    }
}
