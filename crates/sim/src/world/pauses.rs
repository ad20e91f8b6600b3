//! Nodes that stand still: stopped by an operator, frozen by a hypervisor, starved of a processor.
//!
//! A node that stands still does nothing, and nothing is lost to it: what reaches it waits, and comes all at once when it
//! goes on, with its timers late. Its machine lives on meanwhile: its clocks run, and its kernel takes what is sent to it, so
//! that what it gets to read may come from peers that have long given up on it.
//!
//! What must hold: events keep their order while they wait, and no time in which a node stood still counts against it.

use std::time::Duration;

use types::Instant;

use super::asking::Answer;
use super::{Event, World};
use crate::network::Place;

/// Whether a node stands still, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    since: Option<Instant>,
    held: Vec<Event>,
    /// How long it stood still before that, in all its lives.
    before: Duration,
}

impl Standing {
    /// Whether it stands still now.
    pub(super) fn is_still(&self) -> bool {
        self.since.is_some()
    }

    /// How long it has stood still, in all its lives.
    pub(super) fn so_far(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }

    fn end(&mut self, now: Instant) -> Vec<Event> {
        self.before = self.so_far(now);
        self.since = None;
        std::mem::take(&mut self.held)
    }
}

impl World {
    /// A node stands still for so long, or until the next heal. False if it is down or does already.
    pub fn pause(&mut self, place: Place, time: Duration) -> bool {
        if !self.hosts[place].is_up() || self.standing[place].is_still() {
            return false;
        }
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! stands still for {time:?}"));
        self.standing[place].since = Some(self.now);
        self.network.stall(self.now, place, &mut self.queue);
        self.queue.put(self.now + time, Event::Resume { place, since: self.now });
        true
    }

    /// Whether a node stands still.
    pub fn is_still(&self, place: Place) -> bool {
        self.standing[place].is_still()
    }

    /// The end of a pause that began then, unless it ended before.
    pub(super) fn resume(&mut self, place: Place, since: Instant) {
        if self.standing[place].since != Some(since) {
            return;
        }
        let held = self.standing[place].end(self.now);
        let count = held.len();
        self.trace.line(self.now, &self.hosts[place].name, format_args!("goes on, {count} events late"));
        self.network.go_on(place);
        held.into_iter().for_each(|event| self.queue.put(self.now, event));
    }

    /// Every node goes on.
    pub(super) fn resume_all(&mut self) {
        for place in 0..self.hosts.len() {
            if let Some(since) = self.standing[place].since {
                self.resume(place, since);
            }
        }
    }

    /// A node that stood still is gone: what waited for it is lost, and whoever had asked does not learn what of.
    pub(super) fn end_pause(&mut self, place: Place) {
        self.network.go_on(place);
        for event in self.standing[place].end(self.now) {
            match event {
                Event::Request(ask) => self.answer(ask, Answer::Lost),
                Event::Deliver(_) | Event::Datagram { .. } => {}
                // The rest is about connections, or of the life that is over and comes to nothing.
                other => self.queue.put(self.now, other),
            }
        }
    }

    /// Puts an event by if the node that it is for stands still; else gives it back.
    pub(super) fn unless_held(&mut self, event: Event) -> Option<Event> {
        match self.reader(&event).filter(|place| self.standing[*place].is_still()) {
            Some(place) => {
                self.standing[place].held.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// The node that has to be awake for this to happen.
    fn reader(&self, event: &Event) -> Option<Place> {
        match event {
            Event::Deliver(packet) => Some(packet.ends().1),
            Event::Datagram { to, .. } => Some(*to),
            Event::Connect(link) | Event::Notice { link, .. } | Event::Silence { link, .. } => {
                Some(link.caller)
            }
            Event::Run(at, ..)
            | Event::Done(at, ..)
            | Event::TurnEnd(at, ..)
            | Event::Passed(at, ..)
            | Event::Timer(at, ..) => Some(at.place),
            Event::Request(ask) => self.place_asked(*ask),
            Event::Arrive(_)
            | Event::Answer(..)
            | Event::Start(_)
            | Event::CloneLeaves(_)
            | Event::Resume { .. }
            | Event::Alarm(_) => None,
        }
    }
}
