//! Lies that nodes are told, where a scenario asks for one ([`Sabotage`]).
//!
//! What must hold: the production code is not touched. A lie is a message that says what is not true, or one that does not
//! arrive; so what it breaks is what such a fault in the code would break.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::{ClusterState, Command, Stage};
use gossip::{Change, Verdict};
use node::{Input, Sender};
use types::{Epoch, NodeId, OperationId, PartitionId};
use wire::{Body, Envelope, FetchAnswer, Govern, ReplicaReply, ReplicaRequest, WritePath};

use super::World;
use crate::host::{At, Outgoing};
use crate::network;
use crate::sabotage::Sabotage;
use crate::witness::Place;

/// What is remembered to be lied about.
#[derive(Debug, Default)]
pub(super) struct Lies {
    /// What each owner said when it was first asked.
    first: BTreeMap<(NodeId, Place), ReplicaReply>,
    /// Which key a question was about: by who asked whom.
    asked: BTreeMap<(NodeId, NodeId, OperationId, u32), Place>,
    /// For which movement a page was asked: by who asked whom.
    pages_asked: BTreeMap<(NodeId, NodeId, OperationId), (PartitionId, Epoch)>,
    /// The first page that each new owner was given of a partition, and for which movement.
    first_pages: BTreeMap<(NodeId, PartitionId), (Epoch, FetchAnswer)>,
    /// Whether a history was forged already.
    has_forged: bool,
    /// To whom a relay was to pass a write on: by who asked whom.
    unreached: BTreeMap<(NodeId, NodeId, OperationId, u32), Vec<NodeId>>,
}

impl World {
    /// A message as it arrives where the scenario breaks a rule; nothing where it does not.
    pub(super) fn lie(&mut self, from: Sender, at: At, mut envelope: Envelope) -> Option<Envelope> {
        let Some(sabotage) = self.scenario.sabotage else { return Some(envelope) };
        let is_write = matches!(envelope.body, Body::Request(ReplicaRequest::Write { .. }));
        let by_itself = replica::handoff::is_own(envelope.operation);
        match (sabotage, &mut envelope.body) {
            (Sabotage::AcknowledgeTwice, Body::Reply(ReplicaReply::Stored)) => {
                self.say_of_others(from, at, &envelope);
            }
            (Sabotage::AcknowledgeForOthers, Body::Request(ReplicaRequest::Relay(relay))) => {
                let asked = (from.node, self.hosts[at.place].id, envelope.operation, envelope.round);
                let others = std::mem::take(&mut relay.others);
                self.lies.unreached.insert(asked, others.into_iter().map(|other| other.node).collect());
            }
            (Sabotage::AcknowledgeForOthers, Body::Reply(ReplicaReply::Stored)) => {
                let asked = (self.hosts[at.place].id, from.node, envelope.operation, envelope.round);
                for other in self.lies.unreached.remove(&asked).unwrap_or_default() {
                    self.feed(at, Input::Message(Sender { node: other, ..from }, envelope.clone()));
                }
            }
            (Sabotage::LoseHints, _)
                if is_write && by_itself && !replica::exchange::is_its(envelope.operation) =>
            {
                // The owner has said nothing; whoever kept the hint takes it for handed off.
                let owner = Sender { node: self.hosts[at.place].id, shard: at.shard };
                let envelope = Envelope { body: Body::Reply(ReplicaReply::Stored), ..envelope };
                let holder = At { place: self.place_of_id(from.node)?, shard: from.shard };
                self.feed(holder, Input::Message(owner, envelope));
                return None;
            }
            (Sabotage::CompareNothing, Body::Request(ReplicaRequest::Compare(_))) => {
                let nothing = merkle::Answer::Same { doubted: false };
                self.say_instead(at, from, &envelope, ReplicaReply::Compared(Box::new(nothing)));
                return None;
            }
            (Sabotage::AcknowledgeBeforeSync, _) if is_write => {
                self.say_instead(at, from, &envelope, ReplicaReply::Stored);
            }
            (Sabotage::CollectEarly, Body::Request(ReplicaRequest::Collect(ask))) => {
                if let wire::CollectStep::Adopt(mark) = &mut ask.step {
                    mark.droppable.clone_from(&mark.settled);
                    mark.droppable.iter_mut().for_each(|written| written.counter = u64::MAX);
                }
            }
            (
                Sabotage::DenyRecords,
                Body::Request(ReplicaRequest::Read { .. } | ReplicaRequest::ReadCovering { .. }),
            ) => {
                self.say_instead(at, from, &envelope, ReplicaReply::Absent);
                return None;
            }
            (
                Sabotage::KeepOwnSide,
                Body::Request(ReplicaRequest::Write { path: WritePath::Merge, in_place_of: None, .. }),
            ) => {
                self.say_instead(at, from, &envelope, ReplicaReply::Stored);
                return None;
            }
            (
                Sabotage::WaitForAll,
                Body::Reply(ReplicaReply::Stored | ReplicaReply::Found { .. } | ReplicaReply::Absent),
            ) if !by_itself && !self.reaches_everybody(at.place) => return None,
            (Sabotage::TakeDamageForAbsence, Body::Reply(reply @ ReplicaReply::CannotSay { .. })) => {
                *reply = ReplicaReply::Absent;
            }
            (Sabotage::NameAnew, Body::Request(ReplicaRequest::Forward(passed))) => passed.name = None,
            (
                Sabotage::DropTheLast | Sabotage::SwitchUnfilled,
                Body::Request(ReplicaRequest::Fetch(_) | ReplicaRequest::Compare(_)),
            ) if self.lies_about_movement(sabotage, at, envelope.partition) => {
                let reply = if matches!(envelope.body, Body::Request(ReplicaRequest::Fetch(_))) {
                    let nothing = FetchAnswer { entries: Vec::new(), next: None, mark: None };
                    ReplicaReply::Fetched(Box::new(nothing))
                } else {
                    ReplicaReply::Compared(Box::new(merkle::Answer::Same { doubted: false }))
                };
                self.say_instead(at, from, &envelope, reply);
                return None;
            }
            (Sabotage::TakeOldRoutes, Body::Request(request)) => {
                if let (Some(keyspace), Some(state)) = (request.keyspace(), self.state_at(at)) {
                    envelope.epoch = envelope.epoch.max(state.since_in(keyspace, envelope.partition));
                }
            }
            (Sabotage::TakeLatePages, _) => return self.hand_over_late(from, at, envelope),
            (Sabotage::ForgeHistory, Body::Govern(govern)) => self.forge(at, govern),
            (Sabotage::LoseReports, Body::Govern(govern)) if matches!(**govern, Govern::Report(_)) => {
                return None;
            }
            (Sabotage::AnswerFromMemory, _) => return self.answer_from_memory(from, at, envelope),
            _ => {}
        }
        Some(envelope)
    }

    /// Whether what a shard says of a partition is a lie: while it moves, to the end or until it is switched.
    fn lies_about_movement(&self, sabotage: Sabotage, at: At, partition: PartitionId) -> bool {
        let state = self.state_at(at);
        let stage = state.as_ref().and_then(|state| state.movement(partition)).map(|movement| movement.stage);
        match sabotage {
            Sabotage::SwitchUnfilled => stage == Some(Stage::Filling),
            _ => stage.is_some(),
        }
    }

    /// What a shard goes by.
    fn state_at(&self, at: At) -> Option<Arc<ClusterState>> {
        let running = self.hosts[at.place].shards.get(usize::from(at.shard.0))?;
        Some(Arc::clone(&running.shard.topology().state))
    }

    /// Whom a node takes another for, as it acts on it.
    pub(super) fn jump_to_conclusions(&self, change: Change) -> Change {
        let rash = self.sabotage(Sabotage::DownByOneWitness) && change.to == Verdict::Suspected;
        if rash { Change { to: Verdict::Down, ..change } } else { change }
    }

    fn reaches_everybody(&self, place: network::Place) -> bool {
        self.hosts().iter().all(|other| self.hosts[place].reaches(other.id))
    }

    /// Has everybody else say the same.
    fn say_of_others(&mut self, from: Sender, at: At, envelope: &Envelope) {
        let ids = self.hosts().iter().map(|host| host.id);
        let others: Vec<NodeId> =
            ids.filter(|id| *id != from.node && *id != self.hosts[at.place].id).collect();
        for other in others {
            self.feed(at, Input::Message(Sender { node: other, ..from }, envelope.clone()));
        }
    }

    /// Has an owner answer each question about a key as it answered the first.
    fn answer_from_memory(&mut self, from: Sender, at: At, envelope: Envelope) -> Option<Envelope> {
        let here = self.hosts[at.place].id;
        let (operation, round) = (envelope.operation, envelope.round);
        match &envelope.body {
            Body::Request(ReplicaRequest::Read { keyspace, key, in_place_of: None }) => {
                let place = (*keyspace, key.clone());
                if let Some(first) = self.lies.first.get(&(here, place.clone())).cloned() {
                    self.say_instead(at, from, &envelope, first);
                    return None;
                }
                self.lies.asked.insert((from.node, here, operation, round), place);
            }
            Body::Reply(reply @ ReplicaReply::Found { .. }) => {
                if let Some(place) = self.lies.asked.remove(&(here, from.node, operation, round)) {
                    self.lies.first.entry((from.node, place)).or_insert_with(|| reply.clone());
                }
            }
            _ => {}
        }
        Some(envelope)
    }

    /// Has an old owner give a new one what it gave it for the movement before, and say then that both have the same.
    fn hand_over_late(&mut self, from: Sender, at: At, envelope: Envelope) -> Option<Envelope> {
        let (here, partition) = (self.hosts[at.place].id, envelope.partition);
        let earlier = |lies: &Lies, asker: NodeId, session: Epoch| {
            let first = lies.first_pages.get(&(asker, partition));
            first.filter(|(of, _)| *of < session).map(|(_, page)| page.clone())
        };
        match &envelope.body {
            Body::Request(ReplicaRequest::Fetch(ask)) => {
                if let Some(page) = earlier(&self.lies, from.node, ask.session) {
                    let late = ReplicaReply::Fetched(Box::new(FetchAnswer { next: None, ..page }));
                    self.say_instead(at, from, &envelope, late);
                    return None;
                }
                let asked = (from.node, here, envelope.operation);
                self.lies.pages_asked.insert(asked, (partition, ask.session));
            }
            Body::Reply(ReplicaReply::Fetched(page)) => {
                let asked = (here, from.node, envelope.operation);
                if let Some((partition, session)) = self.lies.pages_asked.remove(&asked) {
                    let page = (session, FetchAnswer::clone(page));
                    self.lies.first_pages.entry((here, partition)).or_insert(page);
                }
            }
            Body::Request(ReplicaRequest::Compare(_)) => {
                let movement = self.state_at(at).and_then(|state| state.movement(partition).copied());
                // Whichever of the two asks, to the end of it: else the old owner would hand over in the end what the new one lacks.
                let is_late = |session| {
                    let either = [from.node, here].into_iter();
                    either.map(|one| earlier(&self.lies, one, session)).any(|page| page.is_some())
                };
                if movement.is_some_and(|one| is_late(one.session.0)) {
                    let same = merkle::Answer::Same { doubted: false };
                    self.say_instead(at, from, &envelope, ReplicaReply::Compared(Box::new(same)));
                    return None;
                }
            }
            _ => {}
        }
        Some(envelope)
    }

    /// Puts another change into the place of one that was agreed on, once.
    fn forge(&mut self, at: At, govern: &mut Govern) {
        let Govern::Commands { after, commands, fingerprint } = govern else { return };
        let Some(state) = self.state_at(at).filter(|state| state.epoch() == *after) else { return };
        if self.lies.has_forged {
            return;
        }
        let forged = Command::Weigh { name: state.members()[0].name.clone(), weight: 7.5 };
        let Ok(other) = state.apply(&forged) else { return };
        *commands = vec![forged.encode().into()];
        *fingerprint = other.fingerprint();
        self.lies.has_forged = true;
    }

    /// Has a node reply to something that it was not even told.
    fn say_instead(&mut self, at: At, to: Sender, asked: &Envelope, reply: ReplicaReply) {
        let envelope = Envelope { body: Body::Reply(reply), ..asked.clone() };
        self.will_leave(at, Outgoing { to: to.node, shard: Some(to.shard), passed_on: false, envelope });
        self.turn_will_end(at);
    }
}
