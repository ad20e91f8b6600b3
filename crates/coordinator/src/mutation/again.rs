//! A write that its owners refuse is stamped again, above what they hold; and where its maker does not name it, that is asked for first.
//!
//! What must hold: its dot and operation stay what they are (INVARIANTS A6); where readers are promised never to go back in time, nobody
//! can have seen it under its old stamp (C2, `docs/decisions/2026-11-20-stamping-again.md`); and as long as another node names it, no
//! other version of it is made (`docs/decisions/2026-11-30-named-writes.md`).

use replica::make::Again;

use super::{FIRST_ROUND, Mutation, Naming, Phase};
use crate::pace::RETRIES_SPENT;
use crate::target::{Step, Target, Turn};

/// How often a write is stamped again before the coordinator gives up.
const STAMPINGS_MAX: u32 = 16;

/// How often of these without the budget for what is asked again. Where many write one key, one in two is outranked once, and
/// few twice. To give up there would leave *unknown* what is stored here, and its client would write it anew, which is more to do
/// than to stamp it again. So contention at most doubles what writes cost, and only beyond that it spends what others may need.
const STAMPINGS_FREE: u32 = 1;

impl Mutation {
    /// W cannot be reached because owners hold greater stamps.
    pub(super) fn stamp_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let is_maker = self.is_still_maker(target);
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        // What was not hidden from the first may have been seen here, though nobody else has it.
        let seen_by_none = self.hidden && writing.may_have_it.is_empty();
        let may = writing.round < FIRST_ROUND + STAMPINGS_MAX && (!self.promised || seen_by_none);
        // All owners are sent it once more: but for the first time, that comes out of the budget for what is asked again
        // (INVARIANTS J2).
        let is_free = writing.round < FIRST_ROUND + STAMPINGS_FREE;
        let within_budget = may && (is_free || turn.pace.may_retry(turn.now.mono));
        if may && !within_budget {
            writing.problems.push((target.here, RETRIES_SPENT.to_owned()));
        }
        let can = is_maker && writing.dot.is_some() && writing.ingredients.is_some();
        if !within_budget || !can {
            let error = self.unknown_of(target);
            self.finish(Err(error), turn);
        } else if self.naming == Naming::Theirs {
            self.ask_for_the_name(turn);
        } else {
            self.make_again(target, turn);
        }
    }

    /// Asks the node that named the write to leave that to this one, for it cannot be made under the name, or not be done.
    pub(super) fn ask_for_the_name(&mut self, turn: &mut Turn<'_>) {
        self.naming = Naming::Asked;
        turn.steps.push(Step::NotAsNamed);
    }

    /// Whether it waits for an answer to that.
    pub fn asks_for_the_name(&self) -> bool {
        self.naming == Naming::Asked
    }

    /// No other maker has been asked to make the write, or will be. Where it was not made here it gets a name of this node's
    /// own; where it was, it keeps its dot.
    pub(super) fn unnamed(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if self.naming != Naming::Asked {
            return;
        }
        self.naming = Naming::Ours;
        match &self.phase {
            // What is named is a put that rests on nothing.
            Phase::Making(_) => {
                self.named = None;
                self.make_put(target, None, turn);
            }
            Phase::Writing(_) if self.is_still_maker(target) => self.make_again(target, turn),
            Phase::Writing(_) => {
                let error = self.unknown_of(target);
                self.finish(Err(error), turn);
            }
            Phase::Begun | Phase::Reading(_) | Phase::Settling(_) | Phase::Overtaken => {}
        }
    }

    /// Makes the write once more, above all that it was refused with.
    pub(super) fn make_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        let (Some(dot), Some(ingredients)) = (writing.dot, writing.ingredients.clone()) else {
            return;
        };
        let again = Again { dot, above: writing.refused_with };
        writing.round += 1;
        writing.is_sent = false;
        writing.holding = self.stand_ins.joint(self.level, target);
        writing.refused.clear();
        writing.ranking.begin_anew();
        writing.ahead.clear();
        writing.asked_before.clear();
        writing.awaits_news = false;
        writing.passing.clear();
        writing.problems.clear();
        let round = writing.round;
        let make = self.make_of(target, *ingredients, Some(again), turn);
        turn.steps.push(Step::Make(round, Box::new(make)));
    }
}
