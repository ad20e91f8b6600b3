//! Counts replies, by who sent them.
//!
//! Always true: a node counts once, however often it answers and by whatever path (INVARIANTS A2); an answer of a node
//! that is no owner, and stands in for none, does not count; a node that succeeded stays counted if it fails later (it did what was asked), and
//! one that failed counts if it succeeds after all. So a decision of `Met` is final, and so is `Impossible` for those
//! who stop listening; who goes on listening, or asks one that failed once more, may still see a success. Both hold whatever the order of replies.

use types::NodeId;

use crate::Level;
use crate::owners::{DataCenter, Owner, Requirement, required};

/// Whether enough have answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Neither yet.
    Waiting,
    /// The requirement is met.
    Met,
    /// Too few owners are left that have not failed, or there never were enough.
    Impossible,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Awaited,
    Succeeded,
    Failed,
}

/// One request's replies, counted by distinct owner.
#[derive(Clone, Debug)]
pub struct Tracker {
    requirement: Requirement,
    answers: Vec<(Owner, Answer)>,
}

impl Tracker {
    /// A tracker that has heard nothing, for a coordinator in data center `local`. An owner listed twice counts once.
    pub fn new(level: Level, owners: &[Owner], local: DataCenter) -> Tracker {
        let mut answers: Vec<(Owner, Answer)> = Vec::with_capacity(owners.len());
        for &owner in owners {
            if answers.iter().all(|(known, _)| known.0 != owner.0) {
                answers.push((owner, Answer::Awaited));
            }
        }
        let requirement = if answers.len() == owners.len() {
            required(level, owners, local)
        } else {
            let distinct: Vec<Owner> = answers.iter().map(|(owner, _)| *owner).collect();
            required(level, &distinct, local)
        };
        Tracker { requirement, answers }
    }

    /// Takes note of a success of `node`; of no effect if it is no owner.
    pub fn succeeded(&mut self, node: NodeId) {
        if let Some(answer) = self.answer_of(node) {
            *answer = Answer::Succeeded;
        }
    }

    /// Takes note of a failure of `node`; of no effect if it is no owner, or has succeeded before.
    pub fn failed(&mut self, node: NodeId) {
        if let Some(answer) = self.answer_of(node).filter(|answer| **answer == Answer::Awaited) {
            *answer = Answer::Failed;
        }
    }

    /// A node that has failed is asked once more: it is one of those that have yet to answer.
    pub fn asked_again(&mut self, node: NodeId) {
        if let Some(answer) = self.answer_of(node).filter(|answer| **answer == Answer::Failed) {
            *answer = Answer::Awaited;
        }
    }

    /// Lets another node of the same data center stand in for one that has not succeeded; from here on that one's answers
    /// do not count, and the stand-in's do. False, and of no effect, where that one is none of those counted or has
    /// succeeded, or the other is counted already: no node counts twice (INVARIANTS A2).
    pub fn replace(&mut self, node: NodeId, by: NodeId) -> bool {
        if self.counts(by) {
            return false;
        }
        match self.answers.iter_mut().find(|(owner, _)| owner.0 == node) {
            Some((owner, answer)) if *answer != Answer::Succeeded => {
                owner.0 = by;
                *answer = Answer::Awaited;
                true
            }
            _ => false,
        }
    }

    /// Whether a node is one of those whose answers count.
    pub fn counts(&self, node: NodeId) -> bool {
        self.answers.iter().any(|(owner, _)| owner.0 == node)
    }

    /// How many they are.
    pub fn counted(&self) -> usize {
        self.answers.len()
    }

    /// Whether enough have answered.
    pub fn decided(&self) -> Decision {
        match &self.requirement {
            Requirement::Anywhere(count) => self.judge(*count, |_| true),
            Requirement::Within(home, count) => self.judge(*count, |owner| owner.1 == *home),
            Requirement::Each(counts) => {
                let of_each = counts.iter().map(|&(home, count)| self.judge(count, |owner| owner.1 == home));
                of_each.fold(Decision::Met, worse)
            }
        }
    }

    /// What is required, for messages too.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The answers needed in all.
    pub fn needed(&self) -> usize {
        self.requirement.total()
    }

    /// The distinct owners that have succeeded and are of use to the requirement: owners elsewhere are of none to a
    /// local level.
    pub fn got(&self) -> usize {
        match &self.requirement {
            Requirement::Within(home, _) => self.count(Answer::Succeeded, |owner| owner.1 == *home),
            Requirement::Anywhere(_) | Requirement::Each(_) => self.count(Answer::Succeeded, |_| true),
        }
    }

    /// The owners that have succeeded, in the order in which the owners were given.
    pub fn successes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.with(Answer::Succeeded)
    }

    /// The owners that have failed.
    pub fn failures(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.with(Answer::Failed)
    }

    /// The owners that have not answered.
    pub fn awaited(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.with(Answer::Awaited)
    }

    /// Whether every owner has answered.
    pub fn all_answered(&self) -> bool {
        self.awaited().next().is_none()
    }

    fn judge(&self, wanted: usize, counts: impl Fn(&Owner) -> bool) -> Decision {
        let got = self.count(Answer::Succeeded, &counts);
        if got >= wanted {
            Decision::Met
        } else if got + self.count(Answer::Awaited, &counts) < wanted {
            Decision::Impossible
        } else {
            Decision::Waiting
        }
    }

    fn count(&self, wanted: Answer, counts: impl Fn(&Owner) -> bool) -> usize {
        self.answers.iter().filter(|(owner, answer)| *answer == wanted && counts(owner)).count()
    }

    fn with(&self, wanted: Answer) -> impl Iterator<Item = NodeId> + '_ {
        self.answers.iter().filter(move |(_, answer)| *answer == wanted).map(|(owner, _)| owner.0)
    }

    /// A linear search: a partition has a handful of owners.
    fn answer_of(&mut self, node: NodeId) -> Option<&mut Answer> {
        self.answers.iter_mut().find(|(owner, _)| owner.0 == node).map(|(_, answer)| answer)
    }
}

/// The decision over two parts that must both be met.
pub(crate) fn worse(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::Impossible, _) | (_, Decision::Impossible) => Decision::Impossible,
        (Decision::Waiting, _) | (_, Decision::Waiting) => Decision::Waiting,
        (Decision::Met, Decision::Met) => Decision::Met,
    }
}
