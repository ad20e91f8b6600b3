//! A client's read.
//!
//! R owners answer; the merge of what they say is what the client is told, once it is certain to stay found ([`Settling`]).

use api::{Action, Detail, Error, Reply};
use causality::Context;
use quorum::{Decision, Level};

use crate::answer;
use crate::read::{Merged, Progress, Read};
use crate::settle::Settling;
use crate::target::{Event, Step, Target, Turn};

/// A read under way.
#[derive(Debug)]
pub struct Get {
    detail: Detail,
    /// As it was asked for; else it is the keyspace's.
    asked: Option<Level>,
    level: Level,
    demanded: Option<Context>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Reading(Read),
    Settling(Settling, Merged),
}

impl Get {
    /// Begins a read at this level, to be answered only by what covers the context demanded.
    ///
    /// # Errors
    /// It can never be answered. Then nobody is asked.
    pub fn start(
        target: &Target,
        asked: Option<Level>,
        demanded: Option<Context>,
        detail: Detail,
        turn: &mut Turn<'_>,
    ) -> Result<Get, Error> {
        let level = asked.unwrap_or(target.keyspace().r);
        let demanded = demanded.filter(|context| !context.is_empty());
        let phase = Phase::Reading(Read::start(target, level, demanded.clone(), turn)?);
        Ok(Get { detail, asked, level, demanded, phase })
    }

    /// The owners or settings are others: what was answered until now does not count.
    pub fn overtaken(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if turn.is_dropped(target) {
            turn.finish(Err(target.dropped()));
            return;
        }
        turn.steps.push(Step::Anew);
        match Get::start(target, self.asked, self.demanded.take(), self.detail, turn) {
            Ok(anew) => *self = anew,
            Err(error) => turn.finish(Err(error)),
        }
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        match &mut self.phase {
            Phase::Reading(read) => match read.step(target, event, turn) {
                Progress::Waiting => {}
                Progress::Failed(error) => turn.finish(Err(error)),
                Progress::Enough => self.read_enough(target, turn),
            },
            Phase::Settling(settling, _) => match settling.step(&event, turn) {
                Decision::Waiting => {}
                Decision::Impossible if !settling.tells_anyway(target) => {
                    turn.finish(Err(settling.error()));
                }
                Decision::Impossible | Decision::Met => {
                    if let Phase::Settling(_, merged) = &self.phase {
                        self.answer(target, merged, turn);
                    }
                }
            },
        }
    }

    /// The time is up.
    pub fn timed_out(&self, target: &Target) -> Error {
        match &self.phase {
            Phase::Reading(read) => self.timed_out_reading(target, read),
            Phase::Settling(settling, _) => settling.error(),
        }
    }

    fn timed_out_reading(&self, target: &Target, read: &Read) -> Error {
        if read.covers_demanded() {
            return read.timed_out(target);
        }
        Error::Unavailable {
            action: Action::Read,
            level: self.level,
            needed: 1,
            got: 0,
            owners: target.owner_count(),
            detail: "no owner that answered in time holds all that the context names; read without it to see what there is".to_owned(),
        }
    }

    fn read_enough(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Reading(read) = &mut self.phase else {
            return;
        };
        if !read.covers_demanded() {
            if !read.widen(target, turn) {
                let error = self.not_covered(target);
                turn.finish(Err(error));
            }
            return;
        }
        match read.merged() {
            Ok(merged) => self.merged(target, merged, turn),
            Err(error) => turn.finish(Err(error)),
        }
    }

    fn not_covered(&self, target: &Target) -> Error {
        Error::Unavailable {
            action: Action::Read,
            level: self.level,
            needed: 1,
            got: 0,
            owners: target.owner_count(),
            detail: "no owner that answered holds all that the context names; it may be on its way"
                .to_owned(),
        }
    }

    fn merged(&mut self, target: &Target, merged: Merged, turn: &mut Turn<'_>) {
        match Settling::begin(target, self.level, &merged, turn) {
            None => self.answer(target, &merged, turn),
            Some(settling) => self.phase = Phase::Settling(settling, merged),
        }
    }

    fn answer(&self, target: &Target, merged: &Merged, turn: &mut Turn<'_>) {
        let mut found = answer::found(target, merged.record.as_ref(), turn.now.wall, self.detail);
        found.marks.stand_in = merged.stand_in;
        turn.finish(Ok(Reply::Found(found)));
    }
}
