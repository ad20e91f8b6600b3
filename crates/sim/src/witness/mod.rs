//! Checks that watch every message, answer and start, whoever asked for them.
//!
//! [`dots`]: no dot is issued twice (INVARIANTS B1). [`acknowledgers`]: an acknowledgement counts distinct owners (A2).
//! [`promises`]: what a node said it has stored, it holds when it starts again (A4). [`verdicts`]: a node is taken for down
//! only when two observers agree (E9). [`placement`]: every partition has its owners, apart from each other (E5).

pub mod acknowledgers;
pub mod dots;
pub mod placement;
pub mod promises;
pub mod verdicts;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Outcome, Reply, Written};
use bytes::Bytes;
use causality::Record;
use cluster::{ClusterState, Durability};
use types::{Instant, KeyspaceId, NodeId, OperationId};
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

use acknowledgers::Acknowledgers;
use dots::Dots;
use promises::Promises;
use verdicts::Verdicts;

/// A rule that was seen broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// Which.
    pub rule: &'static str,
    /// By what.
    pub what: String,
}

/// A key of a keyspace.
pub type Place = (KeyspaceId, Bytes);

/// What somebody is asked to hold.
struct Asked<'a> {
    keyspace: KeyspaceId,
    key: &'a Bytes,
    record: &'a Bytes,
    in_place_of: Option<NodeId>,
}

impl<'a> Asked<'a> {
    fn of(write: &'a wire::Write, in_place_of: Option<NodeId>) -> Asked<'a> {
        Asked { keyspace: write.keyspace, key: &write.key, record: &write.record, in_place_of }
    }
}

/// All that is watched.
#[derive(Debug)]
pub struct Witness {
    state: Arc<ClusterState>,
    dots: Dots,
    acknowledgers: Acknowledgers,
    promises: Promises,
    /// Writes that nodes passed on to be made elsewhere.
    passed_on: BTreeSet<(NodeId, OperationId)>,
    /// Of what nodes take each other for.
    pub verdicts: Verdicts,
}

impl Witness {
    /// Nothing seen yet.
    pub fn new(state: Arc<ClusterState>) -> Witness {
        Witness {
            state,
            dots: Dots::default(),
            acknowledgers: Acknowledgers::default(),
            promises: Promises::default(),
            passed_on: BTreeSet::new(),
            verdicts: Verdicts::default(),
        }
    }

    /// The cluster has gone on: nodes that are no holders of a partition any more, or of a keyspace that is no more, need not hold
    /// what they have promised of it.
    pub fn follow(&mut self, state: &Arc<ClusterState>) {
        self.promises.release(&self.state, state);
        self.state = Arc::clone(state);
    }

    /// How many dots were seen.
    pub fn dots_seen(&self) -> usize {
        self.dots.len()
    }

    /// A message leaves a node.
    pub fn sent(
        &mut self,
        from: NodeId,
        to: NodeId,
        envelope: &Envelope,
        found: &mut Vec<Violation>,
        now: Instant,
    ) {
        let (operation, round) = (envelope.operation, envelope.round);
        match &envelope.body {
            Body::Request(ReplicaRequest::Write { keyspace, key, record, in_place_of, .. }) => {
                let asked = Asked { keyspace: *keyspace, key, record, in_place_of: *in_place_of };
                self.asked((to, from), envelope, &asked, found, now);
            }
            Body::Request(ReplicaRequest::Relay(relay)) => {
                let asked = Asked::of(&relay.write, relay.in_place_of);
                self.asked((to, from), envelope, &asked, found, now);
            }
            // It is who asked first that counts whoever says that he holds it.
            Body::Request(ReplicaRequest::Relayed(relayed)) => {
                let asked = Asked::of(&relayed.write, relayed.in_place_of);
                self.asked((to, relayed.asker), envelope, &asked, found, now);
            }
            Body::Request(ReplicaRequest::Forward(_)) => {
                self.passed_on.insert((from, operation));
            }
            Body::Reply(ReplicaReply::Stored) => {
                self.promises.stored(&self.state, (from, to, operation, round));
            }
            Body::Reply(ReplicaReply::Forwarded(outcome)) => {
                self.check_written(from, outcome, found, now);
            }
            _ => {}
        }
    }

    /// A node is asked to hold a record, by the maker of a write or whoever else has it.
    fn asked(
        &mut self,
        (to, from): (NodeId, NodeId),
        envelope: &Envelope,
        asked: &Asked<'_>,
        found: &mut Vec<Violation>,
        now: Instant,
    ) {
        let mut report = |rule, what| found.push(Violation { at: now, rule, what });
        let (operation, round) = (envelope.operation, envelope.round);
        let Ok(record) = Record::decode(asked.record.clone()) else {
            let what = format!("the record of {}", asked.key.escape_ascii());
            return report("what is sent can be read", what);
        };
        let place = (asked.keyspace, asked.key.clone());
        if let Err(what) = self.dots.saw(&place, &record) {
            report("no dot is issued twice (B1)", what);
        }
        // What a stand-in keeps it gives away again; whether it arrives is seen in the end.
        let binds = self.is_durable(asked.keyspace) && asked.in_place_of.is_none();
        self.acknowledgers.asked(from, operation, round, &place, &record);
        if binds {
            self.promises.asked((to, from, operation, round), place, record, envelope.epoch);
        }
    }

    /// A message reaches a node.
    pub fn arrived(&mut self, from: NodeId, to: NodeId, envelope: &Envelope) {
        if envelope.body == Body::Reply(ReplicaReply::Stored) {
            self.acknowledgers.stored(to, envelope.operation, envelope.round, from);
        }
    }

    /// A node answers a client about these keys.
    pub fn answered(
        &mut self,
        host: NodeId,
        keys: &[Place],
        outcome: &Outcome,
        found: &mut Vec<Violation>,
        now: Instant,
    ) {
        let single = std::slice::from_ref(outcome);
        let outcomes = if let Ok(Reply::Batch(outcomes)) = outcome { outcomes.as_slice() } else { single };
        for ((keyspace, key), outcome) in keys.iter().zip(outcomes) {
            let partition = self.state.partition_of(key);
            // Who is no owner passed the write on: its maker has been looked at, and its number is the maker's. An owner that
            // lacks something does so too.
            let made =
                written(outcome).is_none_or(|written| !self.passed_on.remove(&(host, written.operation)));
            if made && self.state.owners(*keyspace, partition).contains(&host) {
                self.check_written(host, outcome, found, now);
            }
        }
    }

    /// A node has lost its disk, or begins a new life.
    pub fn forget(&mut self, host: NodeId) {
        self.promises.forget(host);
        self.acknowledgers.forget(host);
        self.passed_on.retain(|(of, _)| *of != host);
    }

    /// A node begins a new life with all that it holds: its operations may have the numbers of earlier ones.
    pub fn begins_anew(&mut self, host: NodeId) {
        self.acknowledgers.forget(host);
        self.passed_on.retain(|(of, _)| *of != host);
    }

    /// A node has started on what its disk holds.
    pub fn started(
        &mut self,
        host: NodeId,
        contents: &[(Bytes, Bytes)],
        found: &mut Vec<Violation>,
        now: Instant,
    ) {
        for what in self.promises.broken(host, contents) {
            found.push(Violation { at: now, rule: "what was acknowledged is on stable storage (A4)", what });
        }
    }

    /// The maker of a write says that it is done: on so many distinct owners as really said so, and perhaps its own.
    fn check_written(&mut self, maker: NodeId, outcome: &Outcome, found: &mut Vec<Violation>, now: Instant) {
        let Some(written) = written(outcome) else { return };
        let others = self.acknowledgers.others(maker, written.operation);
        let counted = usize::from(written.acknowledged);
        if counted > others + 1 {
            let what = format!(
                "{maker} counts {counted} owners for {}, and {others} peers said so",
                written.operation
            );
            found.push(Violation { at: now, rule: "an acknowledgement counts distinct owners (A2)", what });
        }
        if counted > others
            && let Some((place, record)) = self.acknowledgers.made(maker, written.operation)
            && self.is_durable(place.0)
            && self.state.owners(place.0, self.state.partition_of(&place.1)).contains(&maker)
        {
            self.promises.keep(maker, place, record);
        }
    }

    fn is_durable(&self, keyspace: KeyspaceId) -> bool {
        self.state.keyspace(keyspace).is_some_and(|keyspace| keyspace.durability == Durability::Always)
    }
}

/// What an outcome says of a write, if it is of one that was made.
pub fn written(outcome: &Outcome) -> Option<&Written> {
    match outcome {
        Ok(Reply::Written(written)) => Some(written),
        Ok(Reply::Deleted(deleted)) if deleted.written.acknowledged > 0 => Some(&deleted.written),
        _ => None,
    }
}
