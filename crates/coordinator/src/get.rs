//! A client's read.
//!
//! R owners answer; where they differ the merge is what the client is told, and those that are behind are repaired. Where
//! the keyspace promises never to go back in time, the repair comes first: what is told must be held, on stable storage, by
//! a write quorum, so that every later read quorum meets it (INVARIANTS C2). Elsewhere the repair is sent and not awaited.

use api::{Action, Detail, Error, Reply};
use causality::Context;
use quorum::{Decision, Level, Tracker};
use types::NodeId;
use wire::{ReplicaReply, ReplicaRequest, WritePath};

use crate::answer;
use crate::read::{Merged, Progress, Read};
use crate::target::{Event, Target, Turn};

/// A read under way.
#[derive(Debug)]
pub struct Get {
    demanded: Option<Context>,
    detail: Detail,
    level: Level,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Reading(Read),
    Repairing {
        merged: Merged,
        holding: Tracker,
        level: Level,
    },
}

/// The round of questions that repairs are sent in.
const REPAIR_ROUND: u32 = 1;

impl Get {
    /// Begins a read at this level, to be answered only by what covers the context demanded.
    pub fn start(
        target: &Target,
        level: Option<Level>,
        demanded: Option<Context>,
        detail: Detail,
        turn: &mut Turn<'_>,
    ) -> Get {
        let level = level.unwrap_or(target.keyspace().r);
        let read = Read::start(target, level, turn);
        Get {
            demanded: demanded.filter(|context| !context.is_empty()),
            detail,
            level,
            phase: Phase::Reading(read),
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
            Phase::Repairing { .. } => self.repair_step(target, &event, turn),
        }
    }

    /// The time is up.
    pub fn timed_out(&self, target: &Target) -> Error {
        match &self.phase {
            Phase::Reading(read) => self.timed_out_reading(target, read),
            Phase::Repairing { holding, level, .. } => unrepaired(target, holding, *level),
        }
    }

    fn timed_out_reading(&self, target: &Target, read: &Read) -> Error {
        match &self.demanded {
            Some(_) => Error::Unavailable {
                action: Action::Read,
                level: self.level,
                needed: 1,
                got: 0,
                owners: target.owner_count(),
                detail: "no owner that answered in time holds all that the context names; read without it to see what there is".to_owned(),
            },
            None => read.timed_out(target),
        }
    }

    fn read_enough(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Reading(read) = &mut self.phase else {
            return;
        };
        if let Some(context) = &self.demanded
            && !read.covers(context)
        {
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
        let write_level = target.keyspace().w;
        let clean = merged.behind.is_empty() && merged.unsynced.is_empty();
        if merged.record.is_none() || clean {
            self.answer(target, &merged, turn);
            return;
        }
        if !target.never_goes_back(self.level, write_level) {
            repair(target, &merged, &merged.behind, turn);
            self.answer(target, &merged, turn);
            return;
        }
        let mut holding = Tracker::new(write_level, &target.owners, target.local);
        for node in &merged.holders {
            holding.succeeded(*node);
        }
        if holding.decided() == Decision::Met {
            repair(target, &merged, &merged.behind, turn);
            self.answer(target, &merged, turn);
            return;
        }
        let lacking: Vec<NodeId> = holding.awaited().collect();
        repair(target, &merged, &lacking, turn);
        self.phase = Phase::Repairing {
            merged,
            holding,
            level: write_level,
        };
    }

    fn repair_step(&mut self, target: &Target, event: &Event, turn: &mut Turn<'_>) {
        let Phase::Repairing { holding, level, .. } = &mut self.phase else {
            return;
        };
        match *event {
            Event::Reply {
                from,
                round: REPAIR_ROUND,
                reply: ReplicaReply::Stored,
            } => holding.succeeded(from),
            Event::Reply {
                from,
                round: REPAIR_ROUND,
                ..
            }
            | Event::Failed { from, .. } => holding.failed(from),
            Event::Reply { .. } | Event::Made(_) | Event::Timer => return,
        }
        match holding.decided() {
            Decision::Waiting => {}
            Decision::Impossible => {
                let error = unrepaired(target, holding, *level);
                turn.finish(Err(error));
            }
            Decision::Met => {
                let Phase::Repairing { merged, .. } = &self.phase else {
                    return;
                };
                self.answer(target, merged, turn);
            }
        }
    }

    fn answer(&self, target: &Target, merged: &Merged, turn: &mut Turn<'_>) {
        let found = answer::found(target, merged.record.as_ref(), turn.now.wall, self.detail);
        turn.finish(Ok(Reply::Found(found)));
    }
}

/// Sends what all said together to those that have less.
fn repair(target: &Target, merged: &Merged, lacking: &[NodeId], turn: &mut Turn<'_>) {
    let Some(record) = &merged.encoded else { return };
    for node in lacking {
        let request = ReplicaRequest::Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: record.clone(),
            path: WritePath::Merge,
        };
        turn.send(*node, REPAIR_ROUND, request);
    }
}

fn unrepaired(target: &Target, holding: &Tracker, level: Level) -> Error {
    Error::Unavailable {
        action: Action::Read,
        level,
        needed: u8::try_from(holding.needed()).unwrap_or(u8::MAX),
        got: u8::try_from(holding.got()).unwrap_or(u8::MAX),
        owners: target.owner_count(),
        detail: "the owners differ, and too few could be brought to hold what was read, so that a later read might not find it; a read at level one makes no such promise".to_owned(),
    }
}
