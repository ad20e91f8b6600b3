//! Connections between nodes: what is under way, what is cut, who has noticed.
//!
//! As in production there are two connections between two nodes. The one that a node made carries its requests and
//! brings their replies; the one that the peer made carries the peer's. Order is kept on a connection and direction, as
//! TCP keeps it, unless the scenario asks for worse. A connection that breaks takes with it what is under way, and the
//! node that made it notices later; a cut holds back what crosses it, until it heals or somebody loses patience.
//!
//! A node with several shards has here one pair of connections for all of them, where in production each has its own; what
//! one carries is still brought to the shard that would have met it.
//!
//! What must hold: nothing arrives by a connection of another generation than it was sent on.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use env::Rng;
use types::{Instant, ShardId};

use crate::queue::Queue;
use crate::random::{heavy_tailed, micros, millis};
use crate::scenario::NetworkOptions;
use crate::world::Event;

/// A node's place among the nodes of the scenario.
pub type Place = usize;

/// A connection, by who made it and with whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkId {
    /// Who made it: sends requests and is sent replies.
    pub caller: Place,
    /// With whom.
    pub called: Place,
}

/// Bytes under way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// By which connection.
    pub link: LinkId,
    generation: u64,
    /// Whether it goes back to who made the connection.
    pub reply: bool,
    /// For which shard a reply is; else which shard sent it.
    pub shard: ShardId,
    /// One frame.
    pub frame: Bytes,
}

/// What is to be known of a frame to carry it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Whether it goes back to who made the connection.
    pub reply: bool,
    /// Whether an unruly network may deliver it twice.
    pub may_come_twice: bool,
    /// For which shard a reply is; else which shard sends it.
    pub shard: ShardId,
}

impl Packet {
    /// Who sent it, and to whom it goes.
    pub fn ends(&self) -> (Place, Place) {
        let LinkId { caller, called } = self.link;
        if self.reply { (called, caller) } else { (caller, called) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Down,
    Up,
    /// Of no use any more, and its caller does not know yet.
    Broken,
}

#[derive(Clone, Debug, Default)]
struct Link {
    state: State,
    generation: u64,
    connecting: bool,
    /// When the last packet of each direction arrives.
    last: [Instant; 2],
    /// What a cut holds back.
    held: Vec<Packet>,
    /// When the last packet arrives that was sent while one of its ends was slow: others come after it.
    slow_until: Instant,
}

/// All connections.
#[derive(Debug)]
pub struct Network {
    options: NetworkOptions,
    places: usize,
    /// In which data center each node is.
    homes: Vec<usize>,
    /// By how much longer it takes from one to another.
    apart: Duration,
    links: Vec<Link>,
    /// (from, to): nothing gets through that way.
    cuts: BTreeSet<(Place, Place)>,
    slow: Vec<bool>,
    /// How many times as long as usual all takes that a node sends or is sent.
    slower: Vec<u32>,
    /// Who stands still and answers nothing.
    still: Vec<bool>,
    rng: Rng,
}

impl Network {
    /// No connections yet between nodes in these data centers, which are so far apart.
    pub fn new(homes: Vec<usize>, apart_micros: u64, options: NetworkOptions, rng: Rng) -> Network {
        let places = homes.len();
        let links = vec![Link::default(); places * places];
        let cuts = BTreeSet::new();
        let slow = vec![false; places];
        Network {
            options,
            places,
            homes,
            apart: Duration::from_micros(apart_micros),
            links,
            cuts,
            slow,
            slower: vec![1; places],
            still: vec![false; places],
            rng,
        }
    }

    /// A node is up, and begins to connect with all these.
    pub fn start(&mut self, now: Instant, place: Place, others: &[Place], queue: &mut Queue<Event>) {
        for called in others {
            self.retry(now, LinkId { caller: place, called: *called }, queue);
        }
    }

    /// A node is gone. The others notice soon if its machine still runs and says so.
    pub fn stop(&mut self, now: Instant, place: Place, says_so: bool, queue: &mut Queue<Event>) {
        for other in (0..self.places).filter(|other| *other != place) {
            let own = self.link_mut(LinkId { caller: place, called: other });
            own.state = State::Down;
            own.held.clear();
            let notice = if says_so { micros(&mut self.rng, 50, 5_000) } else { self.patience() };
            self.break_off(now, LinkId { caller: other, called: place }, notice, queue);
        }
    }

    /// Tries to connect. True if the caller now has a connection.
    pub fn connect(
        &mut self,
        now: Instant,
        link: LinkId,
        alive: (bool, bool),
        queue: &mut Queue<Event>,
    ) -> bool {
        self.link_mut(link).connecting = false;
        if !alive.0 || self.link_mut(link).state != State::Down {
            return false;
        }
        if !alive.1 || self.is_cut(link) {
            self.retry(now, link, queue);
            return false;
        }
        let one = self.link_mut(link);
        one.state = State::Up;
        one.generation += 1;
        one.last = [now; 2];
        one.slow_until = now;
        true
    }

    /// Nobody tries any more to make this connection.
    pub fn give_up(&mut self, link: LinkId) {
        self.link_mut(link).connecting = false;
    }

    /// The connection that was just made is ended: one of its ends wants nothing to do with the other. It is tried again.
    pub fn refuse(&mut self, now: Instant, link: LinkId, queue: &mut Queue<Event>) {
        self.link_mut(link).state = State::Down;
        self.retry(now, link, queue);
    }

    /// Puts a frame under way, or two of it where the network is unruly. False if the sender knows of no connection; a reply that has none is dropped instead.
    pub fn send(
        &mut self,
        now: Instant,
        (from, to): (Place, Place),
        Kind { reply, may_come_twice, shard }: Kind,
        frame: Bytes,
        queue: &mut Queue<Event>,
    ) -> bool {
        let link =
            if reply { LinkId { caller: to, called: from } } else { LinkId { caller: from, called: to } };
        let state = self.link_mut(link).state;
        if state != State::Up {
            return reply || state == State::Broken;
        }
        if self.options.lost_one_in > 0 && self.rng.chance(1, self.options.lost_one_in) {
            return true;
        }
        let generation = self.link_mut(link).generation;
        let packet = Packet { link, generation, reply, shard, frame };
        if self.options.unruly && may_come_twice && self.rng.chance(1, 50) {
            self.put_under_way(now, packet.clone(), queue);
        }
        self.put_under_way(now, packet, queue);
        true
    }

    /// When a datagram arrives: once, hardly ever twice or not at all, in any order. Nobody is told.
    pub fn datagram(&mut self, now: Instant, (from, to): (Place, Place)) -> Vec<Instant> {
        let lost_one_in = if self.options.unruly { 10 } else { 200 };
        if self.cuts.contains(&(from, to)) || self.rng.chance(1, lost_one_in) {
            return Vec::new();
        }
        let copies = if self.rng.chance(1, 100) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let takes = self.takes((from, to));
                let slow = self.slow[from] || self.slow[to];
                now + takes + if slow { millis(&mut self.rng, 1, 200) } else { Duration::ZERO }
            })
            .collect()
    }

    /// A packet has come to the end of its way: true if it gets out there.
    pub fn arrives(&mut self, packet: &Packet) -> bool {
        let cut = self.cuts.contains(&packet.ends());
        let link = self.link_mut(packet.link);
        if link.state != State::Up || link.generation != packet.generation {
            return false;
        }
        if cut {
            link.held.push(packet.clone());
        }
        !cut
    }

    /// Nothing gets through from any of these to any of those.
    pub fn cut(&mut self, now: Instant, from: &[Place], to: &[Place], queue: &mut Queue<Event>) {
        for (&from, &to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
            self.cuts.insert((from, to));
            for link in [LinkId { caller: from, called: to }, LinkId { caller: to, called: from }] {
                let generation = self.link_mut(link).generation;
                let at = now + self.patience();
                queue.put(at, Event::Silence { link, generation });
            }
        }
    }

    /// A node stands still: whoever called it hears nothing from now on.
    pub fn stall(&mut self, now: Instant, place: Place, queue: &mut Queue<Event>) {
        self.still[place] = true;
        for caller in (0..self.places).filter(|caller| *caller != place) {
            let link = LinkId { caller, called: place };
            let generation = self.link_mut(link).generation;
            let at = now + self.patience();
            queue.put(at, Event::Silence { link, generation });
        }
    }

    /// It stands still no more.
    pub fn go_on(&mut self, place: Place) {
        self.still[place] = false;
    }

    /// A caller has heard nothing for long: true if its connection is over.
    pub fn silence(&mut self, now: Instant, link: LinkId, generation: u64, queue: &mut Queue<Event>) -> bool {
        let silent = self.is_cut(link) || self.still[link.called];
        let over = silent && self.is_up(link, generation);
        if over {
            self.break_off(now, link, Duration::ZERO, queue);
        }
        over
    }

    /// All cuts heal; what they held back goes on its way.
    pub fn heal(&mut self, now: Instant, queue: &mut Queue<Event>) {
        self.cuts.clear();
        for index in 0..self.links.len() {
            for packet in std::mem::take(&mut self.links[index].held) {
                self.put_under_way(now, packet, queue);
            }
        }
        self.slow.fill(false);
        self.slower.fill(1);
    }

    /// Whether anything is cut.
    pub fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Whether a connection stands, or its caller does not know yet that it is over.
    pub fn stands(&self, caller: Place, called: Place) -> bool {
        self.links[caller * self.places + called].state != State::Down
    }

    /// Whether a connection stands, and is of use.
    pub fn carries(&self, caller: Place, called: Place) -> bool {
        self.links[caller * self.places + called].state == State::Up
    }

    /// Whether a connection is over, and its caller does not know yet.
    pub fn is_dead(&self, caller: Place, called: Place) -> bool {
        self.links[caller * self.places + called].state == State::Broken
    }

    /// Whether something is cut between two nodes, in either direction.
    pub fn is_cut_between(&self, one: Place, other: Place) -> bool {
        self.is_cut(LinkId { caller: one, called: other })
    }

    /// A connection breaks; its caller notices after a while. True if there was one.
    pub fn reset(&mut self, now: Instant, link: LinkId, queue: &mut Queue<Event>) -> bool {
        let notice = micros(&mut self.rng, 10, 50_000);
        self.break_off(now, link, notice, queue)
    }

    /// The caller notices that its connection is over: true if that is news.
    pub fn notice(&mut self, now: Instant, link: LinkId, generation: u64, queue: &mut Queue<Event>) -> bool {
        let one = self.link_mut(link);
        if one.generation != generation || one.state != State::Broken {
            return false;
        }
        one.state = State::Down;
        self.retry(now, link, queue);
        true
    }

    /// From now on all that this node sends or is sent takes long.
    pub fn slow_down(&mut self, place: Place) {
        self.slow[place] = true;
    }

    /// From now on all that this node sends or is sent takes so many times as long.
    pub fn make_slower(&mut self, place: Place, factor: u32) {
        self.slower[place] = factor;
    }

    /// How long a message is under way, unless its ends are slow.
    fn takes(&mut self, (from, to): (Place, Place)) -> Duration {
        let near = heavy_tailed(&mut self.rng, self.options.usual_micros) * self.slower((from, to));
        near + if self.is_between((from, to)) { self.apart } else { Duration::ZERO }
    }

    /// Whether they are in different data centers.
    pub fn is_between(&self, (from, to): (Place, Place)) -> bool {
        self.homes[from] != self.homes[to]
    }

    fn slower(&self, (from, to): (Place, Place)) -> u32 {
        self.slower[from].max(self.slower[to])
    }

    /// Whether each of these nodes has a connection with each other one of them, on which nothing slow is under way from before.
    pub fn is_whole_among(&self, now: Instant, places: &[Place]) -> bool {
        let is_up = |caller: Place, called: Place| {
            let link = &self.links[caller * self.places + called];
            link.state == State::Up && link.slow_until <= now
        };
        let others = |caller: Place| places.iter().filter(move |called| **called != caller);
        places.iter().all(|caller| others(*caller).all(|called| is_up(*caller, *called)))
    }

    /// Whether all that is under way on connections arrives by then. What a slow node has sent may be long under way after it
    /// is slow no more, and holds up all that is sent behind it.
    pub fn arrives_by(&self, time: Instant) -> bool {
        self.links
            .iter()
            .filter(|link| link.state == State::Up)
            .flat_map(|link| link.last)
            .all(|last| last <= time)
    }

    fn is_up(&mut self, link: LinkId, generation: u64) -> bool {
        let one = self.link_mut(link);
        one.state == State::Up && one.generation == generation
    }

    fn break_off(&mut self, now: Instant, link: LinkId, notice: Duration, queue: &mut Queue<Event>) -> bool {
        let one = self.link_mut(link);
        if one.state != State::Up {
            return false;
        }
        one.state = State::Broken;
        one.held.clear();
        queue.put(now + notice, Event::Notice { link, generation: one.generation });
        true
    }

    fn retry(&mut self, now: Instant, link: LinkId, queue: &mut Queue<Event>) {
        if self.link_mut(link).connecting {
            return;
        }
        self.link_mut(link).connecting = true;
        let at = now + millis(&mut self.rng, 2, 400);
        queue.put(at, Event::Connect(link));
    }

    fn put_under_way(&mut self, now: Instant, packet: Packet, queue: &mut Queue<Event>) {
        let (from, to) = packet.ends();
        let mut takes = self.takes((from, to));
        let is_slow = self.slow[from] || self.slow[to];
        if is_slow {
            takes += millis(&mut self.rng, 1, 200);
        }
        let is_slow = is_slow || self.slower((from, to)) > 1;
        let unruly = self.options.unruly;
        let link = self.link_mut(packet.link);
        if is_slow {
            link.slow_until = link.slow_until.max(now + takes);
        }
        let last = &mut link.last[usize::from(packet.reply)];
        let at = if unruly { now + takes } else { (now + takes).max(*last + Duration::from_nanos(1)) };
        *last = (*last).max(at);
        queue.put(at, Event::Arrive(packet));
    }

    /// How long it takes until silence is taken for the end.
    fn patience(&mut self) -> Duration {
        millis(&mut self.rng, 300, 6_000)
    }

    fn is_cut(&self, LinkId { caller, called }: LinkId) -> bool {
        self.cuts.contains(&(caller, called)) || self.cuts.contains(&(called, caller))
    }

    fn link_mut(&mut self, LinkId { caller, called }: LinkId) -> &mut Link {
        &mut self.links[caller * self.places + called]
    }
}
