//! What passes between a node and the world: inputs in, outputs carried out.

use std::sync::Arc;

use bytes::BytesMut;
use node::{Input, Job, Noticed, Output, Sender};
use types::{Instant, NodeId, ShardId};
use wire::{Body, Envelope};

use super::shown::{Placed, Said};
use super::{Event, World};
use crate::host::{At, Life, Outgoing};
use crate::network::{Kind, LinkId, Packet, Place};
use crate::random::{heavy_tailed, micros};
use crate::witness::placement;

impl World {
    /// Gives a shard an input and carries out what comes of it; the turn will end a little later.
    pub(super) fn feed(&mut self, at: At, input: Input) {
        if !self.hosts[at.place].is_up() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.hosts[at.place].handle(self.now, at.shard, input, &mut outputs);
        self.carry_out(at, &mut outputs);
        while let Some(input) = self.feedback.pop_front() {
            self.hosts[at.place].handle(self.now, at.shard, input, &mut outputs);
            self.carry_out(at, &mut outputs);
        }
        self.outputs = outputs;
        self.follow(at);
        if !self.stop_if_down(at.place) {
            self.turn_will_end(at);
        }
    }

    /// Sees to it that the latest state that any shard goes by is known to whoever watches.
    fn follow(&mut self, at: At) {
        let Some(running) = self.hosts[at.place].running(at.shard) else { return };
        let state = &running.shard.topology().state;
        let known = *self.histories.entry(state.epoch()).or_insert(state.fingerprint());
        if known != state.fingerprint() {
            let epoch = state.epoch();
            let what = format!("{} goes by another state of epoch {epoch}", self.hosts[at.place].name);
            return self.violated("there is one history of cluster states (E1, I1)", what);
        }
        if state.epoch() > self.latest.epoch() {
            self.latest = Arc::clone(state);
            self.witness.follow(&self.latest);
            self.trace.line(self.now, "", format_args!("the cluster is at {}", Placed(&self.latest)));
            if let Some(fault) = placement::fault(&self.latest) {
                self.violated(placement::RULE, fault);
            }
        }
    }

    /// Gives all shards of a node the same input.
    pub(super) fn feed_all(&mut self, place: Place, input: impl Fn() -> Input) {
        for at in self.hosts[place].seats(place) {
            self.feed(at, input());
        }
    }

    pub(super) fn turn_will_end(&mut self, at: At) {
        let Some(running) = self.hosts[at.place].running(at.shard).filter(|running| !running.turn_due) else {
            return;
        };
        running.turn_due = true;
        let time = self.now + self.turn_takes(at.place);
        self.queue.put(time, Event::TurnEnd(at, self.hosts[at.place].life));
    }

    pub(super) fn end_turn(&mut self, at: At) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.hosts[at.place].end_turn(self.now, at.shard, &mut outputs);
        self.carry_out(at, &mut outputs);
        self.outputs = outputs;
        if self.stop_if_down(at.place) || !self.hosts[at.place].is_up() {
            return;
        }
        self.flush(at);
        self.pass_on(at);
        // What could not be sent is known now, and may have been answered with more.
        if !self.feedback.is_empty() {
            while let Some(input) = self.feedback.pop_front() {
                self.feed(at, input);
            }
        }
        self.set_timer(at);
    }

    fn set_timer(&mut self, at: At) {
        let host = &mut self.hosts[at.place];
        let Some(running) = host.shards.get_mut(usize::from(at.shard.0)) else {
            return;
        };
        let Some(due) = running.shard.next_timer() else {
            return;
        };
        if running.timer.is_some_and(|set| set <= due) {
            return;
        }
        running.timer = Some(due);
        let time = host.clock.when(due).max(self.now);
        self.queue.put(time, Event::Timer(at, host.life, due));
    }

    pub(super) fn timer(&mut self, at: At, life: Life, due: Instant) {
        if !self.lives(at.place, life) {
            return;
        }
        let Some(running) =
            self.hosts[at.place].running(at.shard).filter(|running| running.timer == Some(due))
        else {
            return;
        };
        running.timer = None;
        self.feed(at, Input::Timer);
    }

    fn carry_out(&mut self, at: At, outputs: &mut Vec<Output>) {
        // A machine that stopped in the midst of this has said nothing of it.
        if self.hosts[at.place].disk.is_down() {
            outputs.clear();
            return;
        }
        for output in outputs.drain(..) {
            match output {
                Output::Answer(client, outcome) => self.node_answers(at.place, client, outcome),
                Output::Send(to, envelope) => {
                    self.will_leave(at, Outgoing { to, shard: None, passed_on: false, envelope });
                }
                Output::PassOn(to, envelope) => {
                    self.will_leave(at, Outgoing { to, shard: None, passed_on: true, envelope });
                }
                Output::Reply(to, envelope) => {
                    let shard = Some(to.shard);
                    self.will_leave(at, Outgoing { to: to.node, shard, passed_on: false, envelope });
                }
                Output::Pass(to, passed) => {
                    if let Some(running) = self.hosts[at.place].running(at.shard) {
                        running.passed.push((to, passed));
                    }
                }
                Output::Datagram(to, bytes) => self.datagram_leaves(at, to, &bytes),
                Output::Noticed(Noticed::Peer(change)) => self.noticed(at.place, change),
                Output::Noticed(Noticed::Damage(_)) => {}
                Output::Run(job) => self.start_job(at, job),
                Output::Renounce(why) => self.renounces(at.place, &why),
                Output::Left(why) => return self.leaves(at.place, &why),
                Output::Stop(why) => {
                    // Nothing of what it wanted done after that is done.
                    return self.stops(at.place, &why);
                }
            }
        }
    }

    pub(super) fn will_leave(&mut self, at: At, outgoing: Outgoing) {
        if let Some(running) = self.hosts[at.place].running(at.shard) {
            running.outbox.push(outgoing);
        }
    }

    /// Sends what has gathered since the last turn.
    fn flush(&mut self, at: At) {
        let Some(running) = self.hosts[at.place].running(at.shard) else {
            return;
        };
        for Outgoing { to, shard, passed_on, envelope } in std::mem::take(&mut running.outbox) {
            let Some(to_place) = self.place_facing(at.place, to, shard.is_some()) else {
                self.not_sent(to, passed_on, envelope);
                continue;
            };
            let (sender, reader) = (self.witnessed_as(at.place), self.witnessed_as(to_place));
            self.witness.sent(sender, reader, &envelope, &mut self.violations, self.now);
            let kind = Kind {
                reply: shard.is_some(),
                may_come_twice: !is_made_once(&envelope.body),
                shard: shard.unwrap_or(at.shard),
            };
            let mut frame = BytesMut::new();
            wire::encode_frame(&envelope, &mut frame);
            let ends = (at.place, to_place);
            let sent = self.network.send(self.now, ends, kind, frame.freeze(), &mut self.queue);
            let (name, arrow) = (self.hosts[at.place].label(at.shard), if sent { "->" } else { "-|" });
            self.trace.line(self.now, &name, format_args!("{arrow} {to} {}", Said(&envelope)));
            if !sent {
                self.not_sent(to, passed_on, envelope);
            }
        }
    }

    fn not_sent(&mut self, to: NodeId, passed_on: bool, envelope: Envelope) {
        self.feedback.push_back(if passed_on {
            Input::NotPassedOn(to, Box::new(envelope))
        } else {
            Input::NotSent(to, envelope.operation)
        });
    }

    /// Passes on to other shards what has gathered since the last turn. Two shards keep the order between them.
    fn pass_on(&mut self, at: At) {
        let life = self.hosts[at.place].life;
        let Some(running) = self.hosts[at.place].running(at.shard) else {
            return;
        };
        for (to, passed) in std::mem::take(&mut running.passed) {
            let last = running.passed_last.entry(to).or_default();
            *last = (self.now + micros(&mut self.rng, 1, 100)).max(*last);
            let to = At { place: at.place, shard: to };
            let event = Event::Passed(to, life, at.shard, self.now, Box::new(passed));
            self.queue.put(*last, event);
        }
    }

    pub(super) fn arrive(&mut self, packet: Packet) {
        if !self.network.arrives(&packet) {
            return;
        }
        if let Some(Event::Deliver(packet)) = self.unless_held(Event::Deliver(packet)) {
            self.deliver(&packet);
        }
    }

    pub(super) fn deliver(&mut self, packet: &Packet) {
        let (from, to) = packet.ends();
        let mut bytes = BytesMut::from(&packet.frame[..]);
        let decoded = wire::decode_frame(&mut bytes)
            .map(|frame| frame.expect("a packet is a whole frame"))
            .and_then(wire::Frame::into_envelope);
        let envelope = match decoded {
            Ok(envelope) => envelope,
            Err(error) => return self.violated("what is sent can be read", error.to_string()),
        };
        let Some(running) = self.hosts[to].shards.first() else {
            return;
        };
        let shards = running.shard.shards();
        let shard = if packet.reply { packet.shard } else { shards.facing(packet.shard) };
        if shard.0 >= shards.count() {
            // It asked, and is no more: its node was divided anew since.
            return;
        }
        let at = At { place: to, shard };
        let from_id = self.hosts[from].id;
        let name = self.hosts[to].label(at.shard);
        self.trace.line(self.now, &name, format_args!("<- {from_id} {}", Said(&envelope)));
        self.envelope_crosses((from, to), &envelope, packet.frame.len());
        if self.relay_dies(to, &envelope) {
            return;
        }
        self.witness.arrived(self.witnessed_as(from), self.witnessed_as(to), &envelope);
        let sender = Sender { node: from_id, shard: packet.shard };
        if let Some(envelope) = self.lie(sender, at, envelope) {
            self.feed(at, Input::Message(sender, envelope));
        }
    }

    pub(super) fn connect(&mut self, link: LinkId) {
        let LinkId { caller, called } = link;
        if self.hosts[caller].id == self.hosts[called].id
            || self.hosts[called].has_left
            || called >= self.machines()
        {
            // What an earlier clone was about to do; or nobody is there any more, or yet.
            return self.network.give_up(link);
        }
        // Who stands still says no hello.
        let answers = self.hosts[called].is_up() && !self.standing[called].is_still();
        let alive = (self.hosts[caller].is_up(), answers);
        if !self.network.connect(self.now, link, alive, &mut self.queue) {
            return;
        }
        let first_of = |place: Place| self.hosts[place].shards.first().map(|running| &running.shard);
        let (Some(theirs), Some(ours)) = (first_of(called), first_of(caller)) else {
            return;
        };
        let our_hello = ours.hello();
        let hello = theirs.hello_to(&our_hello);
        if let Err(refusal) = hello.check(&our_hello) {
            self.violated("nodes of one cluster belong together", refusal.why);
            return;
        }
        let (by_them, by_us) = (theirs.admit(&our_hello), ours.admit(&hello));
        let (here, there) = (&self.hosts[caller].name, &self.hosts[called].name);
        if let Some(refusal) = by_them.clone().err().or(by_us.err()) {
            let why = refusal.why;
            self.trace.line(self.now, here, format_args!("not connected with {there}: {why}"));
            self.clones.refused += u64::from(self.clone_place() == Some(caller));
            self.network.refuse(self.now, link, &mut self.queue);
            let theirs = by_them.err();
            if theirs.as_ref().is_some_and(|refusal| refusal.superseded) {
                self.feed(At { place: caller, shard: ShardId(0) }, Input::Superseded(why));
            } else if theirs.is_some_and(|refusal| refusal.removed) {
                self.feed(At { place: caller, shard: ShardId(0) }, Input::Removed(why));
            }
            return;
        }
        self.trace.line(self.now, here, format_args!("connected with {there}"));
        self.one_of_two_is_in(link);
        self.feed_all(called, || Input::Introduced(our_hello.clone()));
        self.feed_all(caller, || Input::PeerUp(hello.clone()));
    }

    fn start_job(&mut self, at: At, job: Job) {
        let host = &mut self.hosts[at.place];
        let time = match &job {
            Job::Sync(_) | Job::Govern(_) => {
                self.now + host.sync_takes(&mut self.rng, self.scenario.sync_micros)
            }
            Job::Read(..) | Job::Scan(..) => self.now + host.takes(heavy_tailed(&mut self.rng, 200)),
            Job::Background(_) | Job::Remember(_) | Job::Rise(_) | Job::Settle(_) => {
                let takes = host.takes(heavy_tailed(&mut self.rng, 2_000));
                let time = host.background_free.max(self.now) + takes;
                host.background_free = time;
                time
            }
        };
        if host.slow_disk || host.ailments.slower.is_some() {
            host.slow_until = host.slow_until.max(time);
        }
        self.queue.put(time, Event::Run(at, host.life, Box::new(job)));
    }

    pub(super) fn run_job(&mut self, at: At, life: Life, job: Job) {
        if !self.lives(at.place, life) {
            return;
        }
        let what = match &job {
            Job::Sync(_) => "sync",
            Job::Read(..) => "cold read",
            Job::Scan(..) => "scan",
            Job::Background(job) => job.kind().name(),
            Job::Govern(_) => "cluster state",
            Job::Remember(_) => "lives",
            Job::Rise(_) | Job::Settle(_) => "identity",
        };
        let name = self.hosts[at.place].label(at.shard);
        self.trace.line(self.now, &name, format_args!("disk: {what}"));
        let completion = job.run();
        if self.stop_if_down(at.place) {
            return;
        }
        let time = self.now + micros(&mut self.rng, 1, 200);
        self.queue.put(time, Event::Done(at, life, Box::new(completion)));
    }
}

/// A connection never delivers twice, and what makes something relies on it: a forwarded write, or a change of the cluster, would be
/// made twice.
fn is_made_once(body: &Body) -> bool {
    match body {
        Body::Request(request) => {
            matches!(request, wire::ReplicaRequest::Forward(_) | wire::ReplicaRequest::Unname)
        }
        Body::Govern(govern) => {
            matches!(**govern, wire::Govern::Propose { .. } | wire::Govern::Proposed { .. })
        }
        Body::Reply(_) | Body::Ping | Body::Pong => false,
    }
}
