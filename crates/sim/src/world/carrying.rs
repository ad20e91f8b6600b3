//! What passes between a node and the world: inputs in, outputs carried out.

use bytes::BytesMut;
use node::{Input, Job, Output};
use types::{Instant, NodeId};
use wire::{Body, Envelope, ReplicaReply};

use super::shown::Said;
use super::{Event, World};
use crate::host::Life;
use crate::network::{LinkId, Packet, Place};
use crate::random::{heavy_tailed, micros};
use crate::sabotage::Sabotage;

impl World {
    /// Gives a node an input and carries out what comes of it; the turn will end a little later.
    pub(super) fn feed(&mut self, place: Place, input: Input) {
        if !self.hosts[place].is_up() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.hosts[place].handle(self.now, input, &mut outputs);
        self.carry_out(place, &mut outputs);
        while let Some(input) = self.feedback.pop_front() {
            self.hosts[place].handle(self.now, input, &mut outputs);
            self.carry_out(place, &mut outputs);
        }
        self.outputs = outputs;
        if !self.stop_if_down(place) {
            self.turn_will_end(place);
        }
    }

    fn turn_will_end(&mut self, place: Place) {
        if !self.hosts[place].is_up() || self.hosts[place].turn_due {
            return;
        }
        self.hosts[place].turn_due = true;
        let at = self.now + self.turn_takes();
        self.queue.put(at, Event::TurnEnd(place, self.hosts[place].life));
    }

    pub(super) fn end_turn(&mut self, place: Place) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.hosts[place].end_turn(self.now, &mut outputs);
        self.carry_out(place, &mut outputs);
        self.outputs = outputs;
        if self.stop_if_down(place) || !self.hosts[place].is_up() {
            return;
        }
        self.flush(place);
        // What could not be sent is known now, and may have been answered with more.
        if !self.feedback.is_empty() {
            while let Some(input) = self.feedback.pop_front() {
                self.feed(place, input);
            }
        }
        self.set_timer(place);
    }

    fn set_timer(&mut self, place: Place) {
        let host = &mut self.hosts[place];
        let Some(due) = host.node.as_ref().and_then(node::Node::next_timer) else {
            return;
        };
        if host.timer.is_some_and(|set| set <= due) {
            return;
        }
        host.timer = Some(due);
        let at = host.clock.when(due).max(self.now);
        self.queue.put(at, Event::Timer(place, host.life, due));
    }

    pub(super) fn timer(&mut self, place: Place, life: Life, due: Instant) {
        if !self.lives(place, life) || self.hosts[place].timer != Some(due) {
            return;
        }
        self.hosts[place].timer = None;
        self.feed(place, Input::Timer);
    }

    fn carry_out(&mut self, place: Place, outputs: &mut Vec<Output>) {
        // A machine that stopped in the midst of this has said nothing of it.
        if self.hosts[place].disk.is_down() {
            outputs.clear();
            return;
        }
        for output in outputs.drain(..) {
            match output {
                Output::Answer(client, outcome) => self.node_answers(place, client, outcome),
                Output::Send(to, envelope) => self.hosts[place].outbox.push((to, envelope)),
                Output::Run(job) => self.start_job(place, job),
                Output::Stop(why) => {
                    self.violated(
                        "no node stops without a cause",
                        format!("{}: {why}", self.hosts[place].name),
                    );
                }
            }
        }
    }

    /// Sends what has gathered since the last turn.
    fn flush(&mut self, place: Place) {
        for (to, envelope) in std::mem::take(&mut self.hosts[place].outbox) {
            self.witness.sent(self.hosts[place].id, to, &envelope, &mut self.violations, self.now);
            let is_reply = matches!(envelope.body, Body::Reply(_) | Body::Pong);
            // A connection never delivers twice, and a forwarded write relies on it: it would be made twice.
            let may_come_twice = !matches!(envelope.body, Body::Request(wire::ReplicaRequest::Forward(_)));
            let mut frame = BytesMut::new();
            wire::encode_frame(&envelope, &mut frame);
            let ends = (place, self.place_of_id(to));
            let kind = (is_reply, may_come_twice);
            let sent = self.network.send(self.now, ends, kind, frame.freeze(), &mut self.queue);
            let (name, arrow) = (&self.hosts[place].name, if sent { "->" } else { "-|" });
            self.trace.line(self.now, name, format_args!("{arrow} {to} {}", Said(&envelope)));
            if !sent {
                self.feedback.push_back(Input::NotSent(to, envelope.operation));
            }
        }
    }

    pub(super) fn arrive(&mut self, packet: &Packet) {
        if !self.network.arrives(packet) {
            return;
        }
        let (from, to) = packet.ends();
        let mut bytes = BytesMut::from(&packet.frame[..]);
        let decoded = wire::decode_frame(&mut bytes)
            .map(|frame| frame.expect("a packet is a whole frame"))
            .and_then(wire::Frame::into_envelope);
        let envelope = match decoded {
            Ok(envelope) => envelope,
            Err(error) => return self.violated("what is sent can be read", error.to_string()),
        };
        let from_id = self.hosts[from].id;
        let name = &self.hosts[to].name;
        self.trace.line(self.now, name, format_args!("<- {from_id} {}", Said(&envelope)));
        self.witness.arrived(from_id, self.hosts[to].id, &envelope);
        self.break_rules(from_id, to, &envelope);
        self.feed(to, Input::Message(from_id, envelope));
    }

    /// Tells the receiver what is not true, where the scenario asks for it.
    fn break_rules(&mut self, from: NodeId, to: Place, envelope: &Envelope) {
        let stored = matches!(envelope.body, Body::Reply(ReplicaReply::Stored));
        if self.sabotage(Sabotage::AcknowledgeTwice) && stored {
            let others: Vec<NodeId> = self
                .hosts
                .iter()
                .map(|host| host.id)
                .filter(|id| *id != from && *id != self.hosts[to].id)
                .collect();
            for other in others {
                self.feed(to, Input::Message(other, envelope.clone()));
            }
        }
        if self.sabotage(Sabotage::AcknowledgeBeforeSync)
            && let Body::Request(wire::ReplicaRequest::Write { .. }) = envelope.body
        {
            let body = Body::Reply(ReplicaReply::Stored);
            self.hosts[to].outbox.push((from, Envelope { body, ..envelope.clone() }));
        }
    }

    pub(super) fn connect(&mut self, link: LinkId) {
        let LinkId { caller, called } = link;
        let alive = (self.hosts[caller].is_up(), self.hosts[called].is_up());
        if !self.network.connect(self.now, link, alive, &mut self.queue) {
            return;
        }
        let Some(hello) = self.hosts[called].node.as_ref().map(|node| node.hello().clone()) else {
            return;
        };
        let ours = self.hosts[caller].node.as_ref().map(|node| node.hello().clone());
        if let Some(Err(refusal)) = ours.map(|ours| hello.check(&ours)) {
            self.violated("nodes of one cluster belong together", refusal.why);
        }
        let (here, there) = (&self.hosts[caller].name, &self.hosts[called].name);
        self.trace.line(self.now, here, format_args!("connected with {there}"));
        self.feed(caller, Input::PeerUp(hello));
    }

    fn start_job(&mut self, place: Place, job: Job) {
        let host = &mut self.hosts[place];
        let at = match &job {
            Job::Sync(_) => self.now + host.sync_takes(&mut self.rng, self.scenario.sync_micros),
            Job::Read(..) | Job::Scan(..) => self.now + heavy_tailed(&mut self.rng, 200),
            Job::Background(_) => {
                let at = host.background_free.max(self.now) + heavy_tailed(&mut self.rng, 2_000);
                host.background_free = at;
                at
            }
        };
        self.queue.put(at, Event::Run(place, host.life, Box::new(job)));
    }

    pub(super) fn run_job(&mut self, place: Place, life: Life, job: Job) {
        if !self.lives(place, life) {
            return;
        }
        let what = match &job {
            Job::Sync(_) => "sync",
            Job::Read(..) => "cold read",
            Job::Scan(..) => "scan",
            Job::Background(job) => job.kind(),
        };
        self.trace.line(self.now, &self.hosts[place].name, format_args!("disk: {what}"));
        let completion = job.run();
        if self.stop_if_down(place) {
            return;
        }
        let at = self.now + micros(&mut self.rng, 1, 200);
        self.queue.put(at, Event::Done(place, life, Box::new(completion)));
    }
}
