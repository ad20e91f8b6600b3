//! The record is made by the store here, and hidden there where it may have to be stamped again and readers are promised never to go
//! back in time over it (`docs/decisions/2026-11-20-stamping-again.md`).

use std::collections::{BTreeMap, BTreeSet};

use api::{Reply, Touched};
use causality::{Record, Stamp};
use quorum::Decision;
use replica::make::Again;
use replica::{Change, Made, Make, MakeError};

use super::ranking::Ranking;
use super::refusal::refusal;
use super::writing::Writing;
use super::{FIRST_ROUND, Ingredients, Mutation, Naming, Phase};
use crate::target::{Step, Target, Turn};

impl Mutation {
    pub(super) fn make(
        &mut self,
        target: &Target,
        change: Change,
        base: Option<Record>,
        turn: &mut Turn<'_>,
    ) {
        let base = base.map(Box::new);
        let has_others = target.written().nth(1).is_some();
        let may_stamp_again = has_others
            && !target.keyspace().policy.keeps_siblings()
            && !matches!(change, Change::Expire { .. });
        self.promised = self.readers_never_go_back(target);
        self.hidden = may_stamp_again && self.needs_others(target) && self.promised;
        let may_make_again = may_stamp_again || self.named.is_some();
        let kept =
            may_make_again.then(|| Box::new(Ingredients { change: change.clone(), base: base.clone() }));
        self.phase = Phase::Making(kept);
        self.made_for = self.stand_ins.owner_of(target.here);
        let make = self.make_of(target, Ingredients { change, base }, None, turn);
        turn.steps.push(Step::Make(FIRST_ROUND, Box::new(make)));
    }

    /// Whether this node alone is too few for the level, in one set of owners or the other.
    pub(super) fn needs_others(&self, target: &Target) -> bool {
        let mut alone = self.stand_ins.joint(self.level, target);
        alone.succeeded(target.here);
        alone.decided() != Decision::Met
    }

    /// Whether any of the keyspace's readers are promised never to go back in time over this write. It is their R that
    /// counts, not that of the read which the change rests on.
    pub(super) fn readers_never_go_back(&self, target: &Target) -> bool {
        target.never_goes_back_for_anybody(target.keyspace().r, self.level)
    }

    pub(super) fn make_of(
        &mut self,
        target: &Target,
        Ingredients { change, base }: Ingredients,
        again: Option<Again>,
        turn: &Turn<'_>,
    ) -> Make {
        self.made_by = target.since();
        Make {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            operation: turn.id,
            change,
            base,
            named: self.named,
            again,
            hide: self.hidden,
            in_place_of: self.made_for,
        }
    }

    pub(super) fn made(&mut self, target: &Target, made: Result<Made, MakeError>, turn: &mut Turn<'_>) {
        let made = match made {
            Ok(made) => made,
            Err(MakeError::NotAsNamed) if self.naming == Naming::Theirs => {
                self.ask_for_the_name(turn);
                return;
            }
            Err(MakeError::Stale { .. }) => {
                self.not_made_of_late(target, turn);
                return;
            }
            Err(MakeError::Gone) => {
                self.finish(Ok(Reply::Touched(Touched::default())), turn);
                return;
            }
            Err(error) => {
                let error = refusal(target, error, self.level);
                self.finish(Err(error), turn);
                return;
            }
        };
        let Phase::Making(ingredients) = std::mem::replace(&mut self.phase, Phase::Begun) else {
            return;
        };
        let mut writing = Writing {
            ingredients,
            round: FIRST_ROUND,
            dot: made.dot,
            made,
            is_sent: false,
            holding: self.stand_ins.joint(self.level, target),
            refused: BTreeSet::new(),
            refused_with: Stamp::default(),
            ranking: Ranking::default(),
            may_have_it: BTreeSet::new(),
            ahead: Vec::new(),
            asked_before: BTreeMap::new(),
            awaits_news: false,
            passing: Vec::new(),
            problems: Vec::new(),
        };
        if turn.is_dropped(target) {
            self.phase = Phase::Writing(Box::new(writing));
            self.is_dropped(target, turn);
            return;
        }
        writing.send_to_others(target, &self.stand_ins, turn);
        self.phase = Phase::Writing(Box::new(writing));
    }
}
