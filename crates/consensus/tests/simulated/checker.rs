//! What must hold at every step, whatever happens.

use std::collections::BTreeMap;

use consensus::message::Body;
use consensus::{Effect, Entry, MemberId, Payload, Role, Snapshot, Status};

use crate::member::State;

#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) violation: Option<String>,
    /// Who led in each term.
    leaders: BTreeMap<u64, MemberId>,
    /// For whom each member voted in each term, over all its lives.
    votes: BTreeMap<(MemberId, u64), MemberId>,
    /// What was agreed on, and what state that makes.
    agreed: BTreeMap<u64, (Entry, State)>,
    /// Up to where somebody was told that what he proposed is agreed on.
    pub(crate) acknowledged: u64,
    pub(crate) counts: Counts,
}

/// What happened, so that a run in which nothing did is not taken for a good one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) all: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.all.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Counts) {
        other.all.iter().for_each(|(what, count)| *self.all.entry(what).or_default() += count);
    }

    pub(crate) fn assert_nothing_is_missing(&self) {
        let wanted = [
            "acknowledged",
            "learner added",
            "learner promoted",
            "member removed",
            "leader removed",
            "snapshot made",
            "snapshot installed while running",
            "crash",
            "crash that lost writes",
            "pause",
            "cut",
            "one-way cut",
            "lost",
            "doubled",
            "election",
            "read",
            "read lost",
            "handed over",
            "proposal lost",
            "refused: was removed",
        ];
        let missing: Vec<_> = wanted.iter().filter(|what| !self.all.contains_key(**what)).collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}; these did: {:?}", self.all);
        assert!(self.all["acknowledged"] > 1000, "hardly anything was agreed on: {:?}", self.all);
    }
}

impl Checker {
    pub(crate) fn verdict(&self, seed: u64) {
        if let Some(violation) = &self.violation {
            panic!("seed {seed}: {violation}");
        }
    }

    pub(crate) fn must(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(otherwise());
        }
    }

    /// G3: one leader a term.
    pub(crate) fn see(&mut self, status: &Status) {
        if status.role == Role::Leader {
            let is_new = !self.leaders.contains_key(&status.term);
            let first = *self.leaders.entry(status.term).or_insert(status.id);
            if is_new {
                self.counts.note("election");
            }
            self.must(first == status.id, || {
                format!("{first} and {} lead in term {}", status.id, status.term)
            });
        }
    }

    /// G2: one vote a term, over all lives.
    pub(crate) fn sent(&mut self, from: MemberId, effect: &Effect) {
        let Effect::Send(to, message) = effect else { return };
        let choice = match message.body {
            Body::VoteAnswer { is_trial: false, refuses: false, .. } => *to,
            Body::Vote { is_trial: false, .. } => from,
            _ => return,
        };
        let first = *self.votes.entry((from, message.term)).or_insert(choice);
        self.must(first == choice, || {
            format!("{from} votes for {first} and {choice} in term {}", message.term)
        });
    }

    /// G5: in order, once, and the same everywhere.
    pub(crate) fn applied(&mut self, by: MemberId, before: State, entry: &Entry, after: State) {
        let index = entry.position.index;
        self.must(index == before.applied + 1, || format!("{by} applies {index} after {}", before.applied));
        let (first, state) = self.agreed.entry(index).or_insert_with(|| (entry.clone(), after)).clone();
        self.must(first == *entry, || format!("{by} applies {entry:?}, and {first:?} was agreed on"));
        self.must(state == after, || format!("{by} has another state at {index}"));
    }

    /// G5, of snapshots.
    pub(crate) fn installed(&mut self, by: MemberId, before: State, snapshot: &Snapshot) {
        let (index, state) = (snapshot.position.index, State::of(snapshot));
        self.must(index > before.applied, || format!("{by} goes back from {} to {index}", before.applied));
        let agreed = self.agreed.get(&index).map(|(_, state)| *state);
        let is_first = index == 1 && state == State::FOUNDING;
        self.must(is_first || agreed == Some(state), || format!("{by} installs another state at {index}"));
    }

    pub(crate) fn acknowledge(&mut self, index: u64) {
        self.acknowledged = self.acknowledged.max(index);
        self.counts.note("acknowledged");
    }

    /// Up to where anything was applied by anybody.
    pub(crate) fn last_agreed(&self) -> u64 {
        self.agreed.last_key_value().map_or(1, |(index, _)| *index)
    }

    pub(crate) fn note_change(&mut self, by: MemberId, entry: &Entry, was_leader: bool) {
        use consensus::Change;
        let Payload::Change(change) = entry.payload else { return };
        self.counts.note(match change {
            Change::AddLearner(_) => "learner added",
            Change::Promote(_) => "learner promoted",
            Change::Remove(id) if id == by && was_leader => "leader removed",
            Change::Remove(_) => "member removed",
        });
    }
}
