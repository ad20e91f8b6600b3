//! Where a key lives, and what each of its owners holds of it: asks all, and says what each said.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Explanation, OwnerAnswer, Reply};
use causality::Record;
use types::{Instant, NodeId};
use wire::{ReplicaReply, ReplicaRequest};

use crate::answer;
use crate::target::{Event, Failure, Step, Target, Turn};

/// How long an owner may take before it is called unreachable.
const PATIENCE: Duration = Duration::from_millis(500);

/// An explanation being collected.
#[derive(Debug)]
pub struct Explain {
    said: BTreeMap<NodeId, OwnerAnswer>,
    until: Instant,
}

impl Explain {
    /// Begins: asks every owner.
    pub fn start(target: &Target, turn: &mut Turn<'_>) -> Explain {
        let until = turn.now.mono + PATIENCE;
        turn.wake(until);
        Explain::ask(target, until, turn)
    }

    /// The owners are others: asks those.
    pub fn overtaken(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if turn.is_dropped(target) {
            turn.finish(Err(target.dropped()));
            return;
        }
        turn.steps.push(Step::Anew);
        *self = Explain::ask(target, self.until, turn);
    }

    fn ask(target: &Target, until: Instant, turn: &mut Turn<'_>) -> Explain {
        for (node, _) in &target.owners {
            let (keyspace, key) = (target.keyspace_id, target.key.clone());
            let request = ReplicaRequest::Read { keyspace, key, in_place_of: None };
            turn.send(*node, 0, request);
        }
        Explain { said: BTreeMap::new(), until }
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        match event {
            // It is asked anew once this node has heard of it as well.
            Event::Reply { reply: ReplicaReply::StaleEpoch { newest }, .. } if turn.awaits(newest) => {}
            Event::Reply { from, reply, .. } => {
                self.said.insert(from, describe(target, &reply, turn));
            }
            Event::Failed { from, failure } => {
                let state = match failure {
                    Failure::NotSent => "unreachable",
                    Failure::Lost => "connection lost",
                };
                self.said
                    .entry(from)
                    .or_insert_with(|| OwnerAnswer { state: state.to_owned(), ..OwnerAnswer::default() });
            }
            Event::Made(_) | Event::Unnamed | Event::Timer => {}
        }
        let complete = target.owners.iter().all(|(node, _)| self.said.contains_key(node));
        if complete || turn.now.mono >= self.until {
            turn.finish(Ok(Reply::Explain(Box::new(self.explanation(target)))));
        }
    }

    /// What there is to say so far.
    pub fn explanation(&self, target: &Target) -> Explanation {
        let keyspace = target.keyspace();
        let state = target.state();
        let owners = target.owners.iter().map(|(node, _)| {
            let said = self.said.get(node).cloned();
            let silent = || OwnerAnswer { state: "no answer".to_owned(), ..OwnerAnswer::default() };
            OwnerAnswer { node: target.name_of(*node).to_owned(), ..said.unwrap_or_else(silent) }
        });
        Explanation {
            slot: ring::Slot::of_key(&target.key).number(),
            partition: target.partition.0,
            partitions: state.partition_count(),
            fallbacks: state
                .fallbacks(target.keyspace_id, target.partition)
                .iter()
                .map(|node| target.name_of(*node).to_owned())
                .collect(),
            owners: owners.collect(),
            quorum: format!(
                "N={} R={} W={}, {}: {}{}",
                target.owners.len(),
                keyspace.r,
                keyspace.w,
                keyspace.model(),
                keyspace.model_sentence(),
                also_written(target)
            ),
        }
    }
}

/// Who else is to hold a write, as people are told.
fn also_written(target: &Target) -> String {
    if target.also_written.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = target.also_written.iter().map(|(node, _)| target.name_of(*node)).collect();
    format!(" The partition moves: W of {} must hold a write as well.", names.join(", "))
}

fn describe(target: &Target, reply: &ReplicaReply, turn: &Turn<'_>) -> OwnerAnswer {
    let state = |text: &str| OwnerAnswer { state: text.to_owned(), ..OwnerAnswer::default() };
    match reply {
        ReplicaReply::Absent => state("absent"),
        ReplicaReply::CannotSay { why } | ReplicaReply::Failed { why } => {
            state(&format!("cannot say: {why}"))
        }
        ReplicaReply::Found { record, .. } => match Record::decode(record.clone()) {
            Ok(decoded) => describe_record(target, &decoded, record.len(), turn),
            Err(error) => state(&format!("cannot say: {error}")),
        },
        _ => state("cannot say: it answered something else than what was asked"),
    }
}

fn describe_record(target: &Target, record: &Record, bytes: usize, turn: &Turn<'_>) -> OwnerAnswer {
    let versions = record.versions();
    let live = versions.iter().any(|version| version.is_live(turn.now.wall));
    let value = versions.iter().any(|version| version.payload.value().is_some());
    let state = match (live, value) {
        (true, _) => "found",
        (false, true) => "expired",
        (false, false) => "deleted",
    };
    OwnerAnswer {
        node: String::new(),
        state: state.to_owned(),
        clocks: answer::clocks(target, versions.iter()),
        stamp: versions.iter().map(|version| version.stamp).max(),
        bytes,
    }
}
