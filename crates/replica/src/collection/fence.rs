//! Taking part in a round: what a node says to the questions of a partition's first owner.
//!
//! What must hold: *done* is said only of what has happened since the step was first asked of this run of this node. What a
//! round was told is kept in memory alone; a node that is started anew knows nothing of it, says so, and the round is void.

use std::collections::BTreeMap;

use causality::{Dot, Frontier, Stamp};
use storage::SequenceNumber;
use types::{Instant, NodeId, OperationId, PartitionId};
use wire::{CollectAnswer, CollectStep, CollectWait};

use super::standing;

/// Which operations are under way on this shard, that may ask about its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnderWay {
    /// The id of the next one: those that there are have lower ones.
    pub next: OperationId,
    /// The lowest id of those that there are.
    pub oldest: Option<OperationId>,
}

/// How things stand here, as far as a round asks.
#[derive(Debug)]
pub struct Here<'a, F: FnMut(Instant) -> Option<NodeId>> {
    /// The time.
    pub now: Instant,
    /// Operations.
    pub under_way: UnderWay,
    /// Whether any hint is kept, or may be.
    pub keeps_hints: bool,
    /// With whom this node has yet to compare the partition, if with anybody, in a round of the exchange begun after a time.
    /// Asking has it done sooner.
    pub to_compare: &'a mut F,
    /// The newest stamp of the partition's deletes, dropped ones too.
    pub newest: Stamp,
    /// The last entry of the log.
    pub written: SequenceNumber,
    /// The last that is on stable storage.
    pub synced: SequenceNumber,
}

/// The rounds that this node takes part in: at most one for each partition.
#[derive(Debug, Default)]
pub struct Fences {
    by_partition: BTreeMap<PartitionId, Fence>,
    /// What rounds have begun to settle. A write that another node has named may still be on its way here when the operation
    /// that it is of is over; it must not be made any more. In memory alone: what is on its way to this run reaches no other.
    closed: BTreeMap<PartitionId, Frontier>,
}

#[derive(Debug)]
struct Fence {
    round: u64,
    step: Step,
    /// When this step was first asked.
    since: Instant,
    /// Which operations must have ended.
    before: OperationId,
    /// Up to where the log must be on stable storage, once all has been compared.
    up_to: Option<SequenceNumber>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Fence,
    Operations,
    Hints,
    Comparing,
}

impl Fences {
    /// A round begins; one that was under way is forgotten.
    pub fn begin(&mut self, now: Instant, partition: PartitionId, round: u64) {
        let fence =
            Fence { round, step: Step::Fence, since: now, before: OperationId::default(), up_to: None };
        self.by_partition.insert(partition, fence);
    }

    /// What is under way about these partitions is forgotten; whoever asks about it is told so.
    pub fn forget(&mut self, is_to_go: impl Fn(PartitionId) -> bool) {
        self.by_partition.retain(|partition, _| !is_to_go(*partition));
    }

    /// Other partitions have the slots of each from now on. No round goes on; what one has begun to settle it has of each part, and what
    /// it has of a half no write that is named for the whole from now on is among.
    pub fn recut<I: Iterator<Item = PartitionId>>(&mut self, now: impl Fn(PartitionId) -> I) {
        self.by_partition.clear();
        for (one, closed) in std::mem::take(&mut self.closed) {
            now(one).for_each(|it| self.closed.entry(it).or_default().absorb(&closed));
        }
    }

    /// Whether a step of a round is done here. Those of [`CollectStep::Fence`] and [`CollectStep::Adopt`] are no questions of
    /// this kind.
    pub fn ask<F: FnMut(Instant) -> Option<NodeId>>(
        &mut self,
        partition: PartitionId,
        round: u64,
        step: &CollectStep,
        here: &mut Here<'_, F>,
    ) -> CollectAnswer {
        let asked = step;
        let step = match step {
            CollectStep::Operations(_) => Step::Operations,
            CollectStep::Hints => Step::Hints,
            CollectStep::Comparing => Step::Comparing,
            CollectStep::Fence | CollectStep::Adopt(_) => Step::Fence,
        };
        let fence = self.by_partition.get_mut(&partition).filter(|fence| fence.round == round);
        let Some(fence) = fence.filter(|fence| fence.step <= step) else {
            return CollectAnswer::NoSuchRound;
        };
        if fence.step < step {
            (fence.step, fence.since, fence.before) = (step, here.now, here.under_way.next);
            if let CollectStep::Operations(settling) = asked {
                let closed = self.closed.entry(partition).or_default();
                settling.iter().for_each(|one| closed.raise(standing::actor_of(one), one.counter));
            }
        }
        let done = match step {
            Step::Comparing => CollectAnswer::Compared { newest: here.newest },
            Step::Fence | Step::Operations | Step::Hints => CollectAnswer::Done,
        };
        fence.wait(here).map_or(done, CollectAnswer::NotYet)
    }

    /// Whether a write under this dot must not be made any more.
    pub fn is_closed(&self, partition: PartitionId, dot: &Dot) -> bool {
        self.closed.get(&partition).is_some_and(|closed| closed.covers(dot))
    }
}

impl Fence {
    fn wait<F: FnMut(Instant) -> Option<NodeId>>(&mut self, here: &mut Here<'_, F>) -> Option<CollectWait> {
        match self.step {
            Step::Fence => None,
            Step::Operations => {
                let oldest = here.under_way.oldest;
                oldest.is_some_and(|oldest| oldest < self.before).then_some(CollectWait::Operations)
            }
            Step::Hints => here.keeps_hints.then_some(CollectWait::Hints),
            Step::Comparing => {
                if self.up_to.is_none() {
                    if let Some(with) = (here.to_compare)(self.since) {
                        return Some(CollectWait::Comparing(with));
                    }
                    self.up_to = Some(here.written);
                }
                (self.up_to > Some(here.synced)).then_some(CollectWait::Sync)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use causality::Actor;
    use types::{Incarnation, Stint};
    use wire::Written;

    use super::*;

    const P: PartitionId = PartitionId(3);

    fn nobody(_: Instant) -> Option<NodeId> {
        None
    }

    fn here<F: FnMut(Instant) -> Option<NodeId>>(to_compare: &mut F) -> Here<'_, F> {
        Here {
            now: Instant(10),
            under_way: UnderWay { next: OperationId(100), oldest: None },
            keeps_hints: false,
            to_compare,
            newest: Stamp(7),
            written: SequenceNumber(0),
            synced: SequenceNumber(0),
        }
    }

    #[test]
    fn operations_that_came_later_are_not_waited_for() {
        let mut fences = Fences::default();
        fences.begin(Instant(1), P, 7);
        let mut ask = |oldest: Option<u64>, next: u64| {
            let under_way = UnderWay { next: OperationId(next), oldest: oldest.map(OperationId) };
            let step = CollectStep::Operations(Vec::new());
            fences.ask(P, 7, &step, &mut Here { under_way, ..here(&mut { nobody }) })
        };
        let not_yet = CollectAnswer::NotYet(CollectWait::Operations);
        assert_eq!(ask(Some(90), 100), not_yet);
        assert_eq!(ask(Some(99), 120), not_yet);
        assert_eq!(ask(Some(100), 130), CollectAnswer::Done, "begun after the question");
    }

    /// What was named before the fence and has not come by now is not made any more, whatever becomes of the round; what is
    /// named later is not the round's business.
    #[test]
    fn what_is_to_be_settled_is_closed_once_operations_are_asked_about() {
        let mut fences = Fences::default();
        let dot = |counter| Dot { actor: Actor { incarnation: Incarnation(5), stint: Stint(1) }, counter };
        let written = Written { incarnation: Incarnation(5), stint: Stint(1), counter: 8 };
        fences.begin(Instant(1), P, 7);
        assert!(!fences.is_closed(P, &dot(8)));
        fences.ask(P, 7, &CollectStep::Operations(vec![written]), &mut here(&mut { nobody }));
        fences.begin(Instant(2), P, 8);
        assert!(fences.is_closed(P, &dot(8)) && !fences.is_closed(P, &dot(9)));
        assert!(!fences.is_closed(PartitionId(4), &dot(8)));
    }

    #[test]
    fn what_was_compared_before_the_question_does_not_count_and_what_came_of_it_must_be_synced() {
        let mut fences = Fences::default();
        fences.begin(Instant(1), P, 7);
        let compared_at = std::cell::Cell::new(Instant(9));
        let mut to_compare = |since: Instant| (compared_at.get() < since).then_some(NodeId(2));
        let mut ask = |written, synced| {
            let (written, synced) = (SequenceNumber(written), SequenceNumber(synced));
            let mut here = Here { written, synced, ..here(&mut to_compare) };
            fences.ask(P, 7, &CollectStep::Comparing, &mut here)
        };
        assert_eq!(ask(5, 5), CollectAnswer::NotYet(CollectWait::Comparing(NodeId(2))));
        compared_at.set(Instant(11));
        assert_eq!(ask(8, 6), CollectAnswer::NotYet(CollectWait::Sync));
        assert_eq!(ask(20, 7), CollectAnswer::NotYet(CollectWait::Sync));
        assert_eq!(
            ask(20, 8),
            CollectAnswer::Compared { newest: Stamp(7) },
            "later writes are not waited for"
        );
    }

    #[test]
    fn another_round_and_an_earlier_step_are_unknown() {
        let mut fences = Fences::default();
        let mut ask = |round, step| fences.ask(P, round, &step, &mut here(&mut { nobody }));
        assert_eq!(ask(7, CollectStep::Hints), CollectAnswer::NoSuchRound, "none was begun");
        fences.begin(Instant(1), P, 8);
        let mut ask = |round, step| fences.ask(P, round, &step, &mut here(&mut { nobody }));
        assert_eq!(ask(7, CollectStep::Hints), CollectAnswer::NoSuchRound);
        assert_eq!(ask(8, CollectStep::Hints), CollectAnswer::Done);
        assert_eq!(
            ask(8, CollectStep::Operations(Vec::new())),
            CollectAnswer::NoSuchRound,
            "it has gone further"
        );
    }
}
