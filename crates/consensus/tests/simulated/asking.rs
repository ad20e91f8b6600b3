//! What is asked of the members, and the end of the faults.

use std::time::Duration;

use bytes::Bytes;
use consensus::{Change, MemberId, Position, Status, Stored};
use types::Instant;

use crate::member::Member;
use crate::world::{Event, World};

impl World {
    pub(crate) fn propose(&mut self, by: MemberId) {
        self.proposals += 1;
        let size = 1 + usize::try_from(self.rng.below(60)).expect("below 60");
        let data = Bytes::from(format!("{:0>size$}", self.proposals));
        let mut proposed = None;
        self.with(by, None, |group, now, out| proposed = group.propose(now, data, out).ok());
        self.note_proposed(by, proposed);
    }

    fn note_proposed(&mut self, by: MemberId, proposed: Option<Position>) {
        let Some(at) = proposed else { return };
        // The only voter may have applied it before we heard where it stands; its disk takes time, so it has not.
        self.proposed.insert((by, at.index), at.term);
    }

    pub(crate) fn change(&mut self, by: MemberId, change: Change) -> bool {
        let mut proposed = None;
        self.with(by, None, |group, now, out| proposed = group.change(now, change, out).ok());
        self.note_proposed(by, proposed);
        if let (Change::AddLearner(id), Some(_)) = (change, proposed) {
            self.next_id = id.0 + 1;
            self.members.insert(id, Member::new(Stored::joining()));
            self.start(id);
        }
        proposed.is_some()
    }

    pub(crate) fn read(&mut self, by: MemberId) {
        let sees = self.checker.acknowledged;
        let Some(life) = self.members.get(&by).map(|member| member.life) else { return };
        let (reads, setting) = (&mut self.reads, by);
        let mut token = None;
        let mut effects = Vec::new();
        let now = self.now;
        if let Some(group) = self.members.get_mut(&by).and_then(|member| member.group.as_mut()) {
            token = group.read(now, &mut effects).ok();
        }
        if let Some(token) = token {
            reads.insert((setting, life, token), sees);
        }
        self.carry_out(by, effects);
    }

    pub(crate) fn hand_over(&mut self, by: MemberId, to: MemberId) {
        let mut done = false;
        self.with(by, None, |group, now, out| done = group.hand_over(now, to, out).is_ok());
        if done {
            self.checker.counts.note("handed over");
        }
    }

    /// The faults end: something new is agreed on within bounded time, and then everybody has all of it.
    pub(crate) fn settle_down(&mut self, seed: u64) {
        self.network.heal();
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.members.get_mut(&id).expect("it exists").stands_still_until = Instant(0);
            self.queue(Duration::ZERO, Event::Start { of: id });
        }
        self.agree_within(Duration::from_secs(3), seed);
        self.run_for(Duration::from_secs(2));
        let (membership, agreed) = (self.membership(), self.checker.last_agreed());
        for id in membership.voters().iter().chain(membership.learners()) {
            let applied = self.members[id].state.applied;
            assert_eq!(applied, agreed, "seed {seed}: {id} has not caught up; {:#?}", self.statuses());
        }
    }

    fn statuses(&self) -> Vec<Status> {
        self.members.values().filter_map(|member| Some(member.group.as_ref()?.status(self.now))).collect()
    }

    /// Somebody's proposal is agreed on within this time.
    pub(crate) fn agree_within(&mut self, limit: Duration, seed: u64) {
        let (end, before) = (self.now + limit, self.checker.acknowledged.max(self.checker.last_agreed()));
        while self.checker.acknowledged <= before {
            assert!(
                self.now < end,
                "seed {seed}: nothing was agreed on in {limit:?} by {:?}",
                self.membership()
            );
            for leader in self.leaders() {
                self.propose(leader);
            }
            self.run_for(Duration::from_millis(20));
        }
    }
}
