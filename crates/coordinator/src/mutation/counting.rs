//! A write that was made, as owners answer: when its client is told, and when it is given up, or stamped again.
//!
//! What must hold: *done* is said once W distinct owners of each set hold it (INVARIANTS A2, E2); no owner is left out of account who
//! may have it yet.

use quorum::Decision;
use replica::MakeError;
use wire::ReplicaReply;

use super::{Mutation, Phase};
use crate::target::{Event, Step, Target, Turn};

impl Mutation {
    pub(super) fn write_step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        match event {
            Event::Made(Ok(made)) => {
                writing.made = made;
                writing.send_to_others(target, &self.stand_ins, turn);
                return;
            }
            Event::Made(Err(MakeError::Stale { .. }))
                if target.since() > self.made_by || turn.is_told_of_news =>
            {
                writing.awaits_news = true;
                self.make_again_by_the_news(target, turn);
                return;
            }
            Event::Made(Err(error)) => {
                // An earlier round has stored the write here, and this one has been sent to nobody.
                writing.holding.failed(target.here);
                let why =
                    format!("a concurrent write outranks it, and it could not be stamped again: {error}");
                writing.problems.push((target.here, why));
                let error = self.unknown_of(target);
                self.finish(Err(error), turn);
                return;
            }
            Event::Reply { from, round, reply: ReplicaReply::NotPassedOn { to } } => {
                if round == writing.round {
                    writing.not_passed_on(from, to, target, &self.stand_ins, turn);
                }
            }
            Event::Reply { from, round, reply } if round == writing.round => {
                // Once the client is answered nobody is asked again.
                let awaits = |newest| !self.answered && turn.awaits(newest);
                let is_to_be_asked = writing.reply(from, reply, target, awaits);
                if is_to_be_asked && self.answered {
                    writing.holding.failed(from);
                } else if is_to_be_asked {
                    writing.ask(&[from], target, &self.stand_ins, turn);
                }
            }
            Event::Failed { from, failure } => {
                writing.peer_failed(target, from, failure, &mut self.stand_ins, turn);
                writing.relay_failed(from, failure, target, &self.stand_ins, turn);
            }
            Event::Timer => {
                writing.look_for_late_relays(target, &self.stand_ins, turn);
                return;
            }
            Event::Reply { .. } | Event::Unnamed => return,
        }
        if self.hidden && writing.is_held_elsewhere(target) {
            self.hidden = false;
            turn.steps.push(Step::Show);
        }
        self.consider(target, turn);
    }

    pub(super) fn consider(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        writing.send_on(target, &self.stand_ins, turn);
        match writing.holding.decided() {
            Decision::Met if !self.answered => {
                self.answered = true;
                // Where the owners changed, this node may have come to suffice alone. What is acknowledged is shown.
                if std::mem::take(&mut self.hidden) {
                    turn.steps.push(Step::Show);
                }
                let reply = self.reply(target, turn);
                turn.answer(Ok(reply));
                self.let_go(target);
            }
            Decision::Impossible if !self.answered => {
                if writing.merge_where_refused(target, &self.stand_ins, turn) {
                    return;
                }
                if writing.refused.is_empty() {
                    let error = self.unknown_of(target);
                    self.finish(Err(error), turn);
                    return;
                }
                if writing.is_all_answered() {
                    self.stamp_again(target, turn);
                    return;
                }
            }
            Decision::Met | Decision::Impossible | Decision::Waiting => {}
        }
        let Phase::Writing(writing) = &self.phase else {
            return;
        };
        if self.answered && writing.holding.all_answered() {
            self.end(turn);
        }
    }
}
