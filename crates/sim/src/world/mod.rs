//! The cluster and its virtual time: one queue of events, each carried out to its end before the next.
//!
//! The world knows nothing of workloads and faults. Whoever drives it asks on behalf of clients ([`World::ask`]), sets
//! alarms, pulls plugs, and takes what happens from [`World::step`]. Everything that passes between a node and the rest
//! of the world is shown to the [`Witness`] on its way.
//!
//! What must hold: nothing here depends on anything but the scenario and the calls of the driver.

mod ailments;
mod asking;
mod between;
mod carrying;
mod clones;
mod damage;
mod gossiping;
mod lies;
mod losses;
mod machines;
mod pauses;
mod shown;

pub use self::between::{Crossed, Kind};
pub use self::clones::Clones;
pub use self::losses::Loss;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterState;
use env::Rng;
use node::{Completion, Input, Job, NodeOptions, Passed};
use types::{Epoch, Instant, NodeId, ShardId};

pub use asking::{Answer, AskId};

use crate::clock::{NodeClock, WALL_START_MS};
use crate::faults::FaultKind;
use crate::host::{At, Host, Life};
use crate::network::{LinkId, Network, Packet, Place};
use crate::queue::Queue;
use crate::random::{micros, millis};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::witness::{Violation, Witness};
use asking::Waiting;
use pauses::Standing;

/// No moment has so many events, unless somebody never rests.
const AT_ONCE_MAX: u64 = 100_000;

/// What is to happen.
#[derive(Debug)]
pub enum Event {
    /// A packet comes to the end of its way.
    Arrive(Packet),
    /// What came to the end of its way is read by its node.
    Deliver(Packet),
    /// A datagram of gossip reaches a node.
    Datagram {
        /// Who sent it.
        from: Place,
        /// For whom it is.
        to: Place,
        /// Sealed.
        bytes: Vec<u8>,
    },
    /// A node tries to connect.
    Connect(LinkId),
    /// The caller notices that a connection is over.
    Notice {
        /// Which.
        link: LinkId,
        /// As it was then.
        generation: u64,
    },
    /// The caller has heard nothing for long.
    Silence {
        /// By which connection.
        link: LinkId,
        /// As it was then.
        generation: u64,
    },
    /// A job reaches the disk.
    Run(At, Life, Box<Job>),
    /// What came of a job is handed back.
    Done(At, Life, Box<Completion>),
    /// A shard ends its turn.
    TurnEnd(At, Life),
    /// What a shard passed on, at this time, reaches another of its node.
    Passed(At, Life, ShardId, Instant, Box<Passed>),
    /// A shard's timer, set for this time of its clock.
    Timer(At, Life, Instant),
    /// A client's request reaches the node.
    Request(AskId),
    /// An answer reaches its client.
    Answer(AskId, Answer),
    /// A machine is switched on again.
    Start(Place),
    /// The clone of this number is gone.
    CloneLeaves(u64),
    /// A node that stands still goes on.
    Resume {
        /// Which.
        place: Place,
        /// Since when it stood still.
        since: Instant,
    },
    /// The driver's.
    Alarm(u64),
}

/// What the driver is told.
#[derive(Debug)]
pub enum Happening {
    /// A client has its answer.
    Answered(AskId, Answer),
    /// An alarm that the driver set.
    Alarm(u64),
    /// An event that concerns the world alone.
    Internal,
}

/// The cluster.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    options: NodeOptions,
    /// The state that the cluster was founded with.
    founded: Arc<ClusterState>,
    /// The latest state that any node has gone by.
    latest: Arc<ClusterState>,
    /// What the state of each epoch comes to that any shard has gone by.
    histories: BTreeMap<Epoch, u64>,
    now: Instant,
    queue: Queue<Event>,
    rng: Rng,
    /// The machines of the founding members, those that may join, and behind them one for the clone of any member, where there
    /// are clones.
    hosts: Vec<Host>,
    /// How many of them are, or were, members.
    joined: usize,
    network: Network,
    trace: Trace,
    witness: Witness,
    asked: BTreeMap<AskId, Waiting>,
    next_ask: u64,
    power_losses: u64,
    /// Events since the time last moved on.
    at_once: u64,
    violations: Vec<Violation>,
    outputs: Vec<node::Output>,
    /// Inputs that a shard is given before anything else: what it could not send.
    feedback: VecDeque<Input>,
    /// Identity files as they were at the first start, where they are to be put back.
    identities: Vec<Option<Vec<u8>>>,
    /// What is remembered to be lied about.
    lies: lies::Lies,
    /// What each disk was rolled back from, where its node has not noticed yet.
    relapsed: Vec<bool>,
    /// Which machines stay off.
    kept_off: Vec<bool>,
    /// What each disk held at some time.
    images: Vec<Option<losses::Earlier>>,
    /// Which nodes stand still.
    standing: Vec<Standing>,
    /// How many shards each node is to have at its next start.
    divisions: Vec<u8>,
    clones: Clones,
    between: between::Between,
}

impl World {
    /// The cluster of this scenario, with all nodes switched on.
    pub fn new(scenario: Scenario, trace: Trace) -> World {
        let mut rng = Rng::from_seed(scenario.seed);
        let state = Arc::new(scenario.cluster());
        let mut clocks = rng.fork();
        let mut hosts: Vec<Host> = state
            .members()
            .iter()
            .map(|member| Host::new(member.id, &member.name, random_clock(&mut clocks, scenario.skew_ms_max)))
            .collect();
        hosts.iter_mut().for_each(|host| host.first = Some(Arc::clone(&state)));
        let joined = hosts.len();
        for number in 0..scenario.spares {
            let id = NodeId(u16::MAX - 1 - u16::try_from(number).unwrap_or(0));
            let clock = random_clock(&mut clocks, scenario.skew_ms_max);
            hosts.push(Host::new(id, &scenario.spare(number), clock));
        }
        if scenario.faults.contains(&FaultKind::Clone) {
            hosts.push(Host::new(hosts[0].id, "clone", random_clock(&mut clocks, scenario.skew_ms_max)));
        }
        let homes = (0..hosts.len()).map(|place| scenario.data_center_of(place)).collect();
        let network = Network::new(homes, scenario.apart_micros, scenario.network, rng.fork());
        let mut world = World {
            options: scenario.node_options(),
            witness: Witness::new(Arc::clone(&state)),
            identities: vec![None; hosts.len()],
            lies: lies::Lies::default(),
            relapsed: vec![false; hosts.len()],
            kept_off: vec![false; hosts.len()],
            images: vec![None; hosts.len()],
            standing: hosts.iter().map(|_| Standing::default()).collect(),
            divisions: (0..hosts.len()).map(|place| scenario.shards_of(place)).collect(),
            clones: Clones::default(),
            between: between::Between::default(),
            scenario,
            founded: Arc::clone(&state),
            latest: state,
            histories: BTreeMap::new(),
            joined,
            now: Instant::default(),
            queue: Queue::default(),
            rng,
            hosts,
            network,
            trace,
            asked: BTreeMap::new(),
            next_ask: 0,
            power_losses: 0,
            at_once: 0,
            violations: Vec::new(),
            outputs: Vec::new(),
            feedback: VecDeque::new(),
        };
        if let Some(place) = world.clone_place() {
            world.kept_off[place] = true;
        }
        for place in 0..world.hosts().len() {
            world.start(place);
        }
        world
    }

    /// The scenario that this is.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The latest state that any node has gone by.
    pub fn cluster(&self) -> &Arc<ClusterState> {
        &self.latest
    }

    /// The state that the cluster was founded with.
    pub fn founded(&self) -> &Arc<ClusterState> {
        &self.founded
    }

    /// Virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A time, in milliseconds since 1970, that no machine's wall clock has been past so far.
    pub fn latest_wall_ms(&self) -> u64 {
        let elapsed_ms = self.now.0 / 1_000_000;
        // A clock gains far less than one part in a thousand.
        WALL_START_MS + elapsed_ms + elapsed_ms / 1000 + 1 + self.scenario.skew_ms_max
    }

    /// The machines of all that are or were members, in the order of their numbers.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts[..self.joined]
    }

    /// The machines of those that are members now.
    pub fn members(&self) -> impl Iterator<Item = Place> + Clone + '_ {
        self.hosts().iter().enumerate().filter(|(_, host)| !host.has_left).map(|(place, _)| place)
    }

    /// How many machines there are for members, with that of a clone.
    pub(crate) fn machines(&self) -> usize {
        self.joined.max(self.clone_place().map_or(0, |place| place + 1))
    }

    /// The place of the node of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn place_of(&self, name: &str) -> Place {
        self.hosts.iter().position(|host| host.name == name).expect("a node of the scenario")
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was watched on the way.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Rules that were seen broken.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How often a machine has stopped in a way that may lose what it had not synced.
    pub fn power_losses(&self) -> u64 {
        self.power_losses
    }

    /// Reports a broken rule.
    pub fn violated(&mut self, rule: &'static str, what: String) {
        self.trace.line(self.now, "", format_args!("VIOLATED {rule}: {what}"));
        self.violations.push(Violation { at: self.now, rule, what });
    }

    /// Writes a line of the driver's into the trace.
    pub fn note(&mut self, place: &str, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, place, what);
    }

    /// Tells the driver after this time.
    pub fn set_alarm(&mut self, after: Duration, token: u64) {
        self.queue.put(self.now + after, Event::Alarm(token));
    }

    /// Carries out the next event, if there is one before `until`; else the time is `until`.
    pub fn step(&mut self, until: Instant) -> Option<Happening> {
        if self.queue.next_at().is_none_or(|at| at > until) || self.at_once > AT_ONCE_MAX {
            self.now = self.now.max(until);
            return None;
        }
        let (at, event) = self.queue.take()?;
        self.at_once = if at == self.now { self.at_once + 1 } else { 0 };
        if self.at_once > AT_ONCE_MAX {
            self.violated("time goes on", format!("{AT_ONCE_MAX} events at once, the last {event:?}"));
            return None;
        }
        self.now = at;
        Some(self.happen(event))
    }

    /// Lets time pass, for drivers that wait for nothing in particular.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until).is_some() {}
    }

    /// Whether every node runs, has connections with all others, takes none of them for down, can read what it has, takes in
    /// more, and is done with what it began while it was slow.
    pub fn is_whole(&self) -> bool {
        let all: Vec<Place> = self.members().collect();
        self.is_whole_among(&all)
    }

    /// The same of these nodes alone, and of what they are to each other.
    pub fn is_whole_among(&self, places: &[Place]) -> bool {
        let hosts = || places.iter().map(|place| &self.hosts[*place]);
        hosts().all(Host::is_up)
            && !places.iter().any(|place| self.is_still(*place))
            && self.network.is_whole_among(self.now, places)
            && hosts().all(|host| hosts().all(|other| host.reaches(other.id)))
            && !hosts().any(Host::lacks_something)
            && !hosts().any(Host::refuses_values)
            && !hosts().any(|host| host.slow_until > self.now)
    }

    /// What is not as it is where all are whole, in words.
    pub fn why_not_whole(&self) -> String {
        let places: Vec<Place> = self.members().collect();
        let mut why = Vec::new();
        if !self.network.is_whole_among(self.now, &places) {
            why.push("connections do not stand".to_owned());
        }
        if !self.is_current() {
            why.push("messages are long under way".to_owned());
        }
        for place in &places {
            let host = &self.hosts[*place];
            let unreached =
                places.iter().map(|other| &self.hosts[*other]).filter(|other| !host.reaches(other.id));
            why.extend(unreached.map(|other| format!("{} does not reach {}", host.name, other.name)));
            for (is_so, what) in [
                (!host.is_up(), "is not up"),
                (host.lacks_something(), "lacks something"),
                (host.refuses_values(), "refuses values"),
                (host.slow_until > self.now, "has yet to end what it began while it was slow"),
            ] {
                if is_so {
                    why.push(format!("{} {what}", host.name));
                }
            }
        }
        why.join(", ")
    }

    /// Whether one node could connect with another, as far as that depends on what was done to the other and to the network.
    pub fn can_reach(&self, here: Place, there: Place) -> bool {
        !self.kept_off[there] && !self.is_still(there) && !self.network.is_cut_between(here, there)
    }

    /// Whether a node, if it runs, has no connection with another, and knows that.
    pub fn has_given_up(&self, here: Place, there: Place) -> bool {
        let is_up = self.hosts[here].is_up();
        !is_up || !self.network.stands(here, there) && !self.hosts[here].reaches_at_all(self.hosts[there].id)
    }

    /// Whether a node takes a connection with another to stand that is over.
    pub fn has_a_dead_connection(&self, here: Place, there: Place) -> bool {
        self.network.is_dead(here, there)
    }

    /// Whether messages that are under way are no longer so than half of the time that a request has.
    pub fn is_current(&self) -> bool {
        self.network.arrives_by(self.now + self.scenario.timeout / 2)
    }

    fn happen(&mut self, event: Event) -> Happening {
        let Some(event) = self.unless_held(event) else {
            return Happening::Internal;
        };
        match event {
            Event::Arrive(packet) => self.arrive(packet),
            Event::Deliver(packet) => self.deliver(&packet),
            Event::Datagram { from, to, bytes } => self.datagram_arrives(from, to, bytes),
            Event::Connect(link) => self.connect(link),
            Event::Notice { link, generation } => {
                if self.network.notice(self.now, link, generation, &mut self.queue) {
                    let called = self.hosts[link.called].id;
                    self.feed_all(link.caller, || Input::PeerLost(called));
                }
            }
            Event::Silence { link, generation } => {
                self.network.silence(self.now, link, generation, &mut self.queue);
            }
            Event::Run(at, life, job) => self.run_job(at, life, *job),
            Event::Done(at, life, completion) => {
                if self.lives(at.place, life) {
                    self.feed(at, Input::Completed(*completion));
                }
            }
            Event::TurnEnd(at, life) => {
                if self.lives(at.place, life) {
                    self.end_turn(at);
                }
            }
            Event::Passed(at, life, from, sent, passed) => {
                if self.lives(at.place, life) {
                    let waited = self.now.since(sent);
                    self.feed(at, Input::Passed(from, waited, *passed));
                }
            }
            Event::Timer(at, life, due) => self.timer(at, life, due),
            Event::Request(ask) => self.request_arrives(ask),
            Event::Answer(ask, answer) => {
                self.asked.remove(&ask);
                return Happening::Answered(ask, answer);
            }
            Event::Start(place) if self.kept_off[place] || self.hosts[place].has_left => {}
            Event::Start(place) => self.start(place),
            Event::CloneLeaves(number) => self.clone_leaves(number),
            Event::Resume { place, since } => self.resume(place, since),
            Event::Alarm(token) => return Happening::Alarm(token),
        }
        Happening::Internal
    }

    fn lives(&self, place: Place, life: Life) -> bool {
        self.hosts[place].life == life
    }

    /// Where a node is; nothing of one that has been told that it is a member, or is about to be, and has not started.
    fn place_of_id(&self, id: NodeId) -> Option<Place> {
        self.hosts.iter().position(|host| host.id == id)
    }

    fn sabotage(&self, kind: Sabotage) -> bool {
        self.scenario.sabotage == Some(kind)
    }
}

fn random_clock(rng: &mut Rng, skew_ms_max: u64) -> NodeClock {
    let start = rng.below(1 << 50);
    let drift = i64::try_from(rng.below(401)).unwrap_or(0) - 200;
    NodeClock::new(start, drift, random_skew(rng, skew_ms_max))
}

/// A skew between minus and plus the greatest.
pub(crate) fn random_skew(rng: &mut Rng, max: u64) -> i64 {
    i64::try_from(rng.below(2 * max + 1)).unwrap_or(0) - i64::try_from(max).unwrap_or(0)
}

impl World {
    fn turn_takes(&mut self, place: Place) -> Duration {
        let max = u64::try_from(self.scenario.turn_max.as_micros()).unwrap_or(0);
        self.hosts[place].takes(micros(&mut self.rng, 0, max))
    }

    fn pause_before_restart(&mut self) -> Duration {
        millis(&mut self.rng, 20, 3_000)
    }
}
