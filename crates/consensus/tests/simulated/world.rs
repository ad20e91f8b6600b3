//! Members, time, and what happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use consensus::{Effect, Group, MemberId, Membership, Message, Options, ReadToken, Role, Stored, Unfit};
use env::Rng;
use types::Instant;

use crate::checker::Checker;
use crate::member::{Member, State, fold};
use crate::network::Network;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Breakage {
    None,
    /// Its driver says that a write is durable when it has only begun.
    AcknowledgesEarly,
    /// After a crash it has its log, and not for whom it voted.
    ForgetsItsVote,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) voters: u64,
    pub(crate) breakage: Breakage,
    /// Whether the state survives a crash together with how far it is, or is made anew from the log.
    pub(crate) keeps_state: bool,
}

pub(crate) enum Event {
    Arrive { from: MemberId, to: MemberId, bytes: Vec<u8> },
    Timer { of: MemberId, life: u64 },
    Written { of: MemberId, life: u64 },
    Durable { of: MemberId, life: u64, number: u64 },
    Crash { of: MemberId },
    Start { of: MemberId },
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) network: Network,
    pub(crate) checker: Checker,
    /// A sum of all that happened, after each thing that did.
    pub(crate) trace: Vec<u64>,
    pub(crate) next_id: u64,
    setting: Setting,
    options: Options,
    pub(crate) rng: Rng,
    queue: BTreeMap<(Instant, u64), Event>,
    queued: u64,
    pub(crate) proposals: u64,
    /// By who proposed it and at which index: its term.
    pub(crate) proposed: BTreeMap<(MemberId, u64), u64>,
    /// By who reads, in which life: what the read must see.
    pub(crate) reads: BTreeMap<(MemberId, u64, ReadToken), u64>,
}

pub(crate) fn options(setting: Setting) -> Options {
    Options {
        tick: Duration::from_millis(10),
        entry_bytes_max: 1024,
        append_bytes: 256,
        appends_in_flight: 4,
        uncommitted_bytes_max: 2048,
        snapshot_patience: Duration::from_millis(300),
        entries_kept: setting.seed % 9,
        snapshot_after_entries: 12,
        voters_max: 7,
        promote_within_entries: 8,
        remembers_commits: !setting.keeps_state,
        ..Options::default()
    }
}

impl World {
    pub(crate) fn new(setting: Setting) -> World {
        let ids = (1..=setting.voters).map(MemberId);
        let founding = Stored::founding(ids.clone(), State::FOUNDING.to_bytes()).expect("these are members");
        let mut world = World {
            now: Instant(0),
            members: ids.map(|id| (id, Member::new(founding.clone()))).collect(),
            network: Network::default(),
            checker: Checker::default(),
            trace: Vec::new(),
            next_id: setting.voters + 1,
            setting,
            options: options(setting),
            rng: Rng::from_seed(setting.seed),
            queue: BTreeMap::new(),
            queued: 0,
            proposals: 0,
            proposed: BTreeMap::new(),
            reads: BTreeMap::new(),
        };
        world.network.heal();
        for id in world.members.keys().copied().collect::<Vec<_>>() {
            world.start(id);
        }
        world
    }

    pub(crate) fn queue(&mut self, after: Duration, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + after, self.queued), event);
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(((at, number), event)) = self.queue.pop_first() {
            if at > end {
                self.queue.insert((at, number), event);
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        let of = match &event {
            Event::Arrive { to, .. } => *to,
            Event::Timer { of, .. }
            | Event::Written { of, .. }
            | Event::Durable { of, .. }
            | Event::Crash { of }
            | Event::Start { of } => *of,
        };
        let Some(member) = self.members.get(&of) else { return };
        // What comes to one that stands still waits for it.
        if member.stands_still_until > self.now {
            let wait = member.stands_still_until.since(self.now);
            return self.queue(wait, event);
        }
        match event {
            Event::Arrive { from, to, bytes } => self.arrive(from, to, &bytes),
            Event::Timer { of, life } => {
                self.with(of, Some(life), Group::timer);
                self.wind(of, life);
            }
            Event::Written { of, life } if member.life == life => {
                let number = self.members.get_mut(&of).and_then(Member::write_one);
                if let Some(number) = number {
                    self.with(of, Some(life), |group, now, out| group.persisted(now, number, out));
                }
            }
            Event::Written { .. } => {}
            Event::Durable { of, life, number } => {
                self.with(of, Some(life), |group, now, out| group.persisted(now, number, out));
            }
            Event::Crash { of } => self.crash(of, Duration::from_millis(100)),
            Event::Start { of } => self.start(of),
        }
    }

    fn arrive(&mut self, from: MemberId, to: MemberId, bytes: &[u8]) {
        let message = Message::decode(bytes, self.options.message_bytes_max())
            .expect("a member writes what can be read");
        let mut refused = None;
        self.with(to, None, |group, now, out| refused = group.receive(now, from, message, out).err());
        match refused {
            None | Some(Unfit::NotNow | Unfit::Stranger(_)) => {}
            Some(Unfit::Gone(_)) => self.checker.counts.note("refused: was removed"),
            Some(other) => self.checker.must(false, || format!("{to} refuses what {from} says: {other}")),
        }
    }

    /// Does something with a member that runs, and all that follows.
    pub(crate) fn with(
        &mut self,
        id: MemberId,
        life: Option<u64>,
        act: impl FnOnce(&mut Group, Instant, &mut Vec<Effect>),
    ) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(group) = member.group.as_mut().filter(|_| life.is_none_or(|life| life == member.life))
        else {
            return;
        };
        let mut out = Vec::new();
        act(group, now, &mut out);
        self.carry_out(id, out);
        self.snapshot(id);
        let Some(group) = self.members.get(&id).and_then(|member| member.group.as_ref()) else { return };
        let status = group.status(now);
        self.checker.see(&status);
    }

    fn snapshot(&mut self, id: MemberId) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(group) = member.group.as_mut().filter(|group| group.wants_snapshot()) else { return };
        let mut out = Vec::new();
        group.compact(now, member.state.to_bytes(), &mut out).expect("a state is small");
        self.checker.counts.note("snapshot made");
        self.carry_out(id, out);
    }

    pub(crate) fn carry_out(&mut self, id: MemberId, effects: Vec<Effect>) {
        for effect in effects {
            let sum = self.trace.last().copied().unwrap_or_default();
            self.trace.push(fold(sum, format!("{:?} {id} {effect:?}", self.now).as_bytes()));
            self.checker.sent(id, &effect);
            match effect {
                Effect::Persist { number, write } => self.persist(id, number, write),
                Effect::Send(to, message) => self.send(id, to, &message),
                Effect::Apply(entry) => {
                    let was_leader = self.role(id) == Some(Role::Leader) || self.led(id);
                    let member = self.members.get_mut(&id).expect("it does this");
                    let before = member.state;
                    member.state.apply(entry.position.index, entry.position.term, &entry.payload);
                    let after = member.state;
                    self.checker.applied(id, before, &entry, after);
                    self.checker.note_change(id, &entry, was_leader);
                    match self.proposed.remove(&(id, entry.position.index)) {
                        Some(term) if term == entry.position.term => {
                            self.checker.acknowledge(entry.position.index);
                        }
                        Some(_) => self.checker.counts.note("proposal lost"),
                        None => {}
                    }
                }
                Effect::Install(snapshot) => {
                    let member = self.members.get_mut(&id).expect("it does this");
                    let before = member.state;
                    member.state = State::of(&snapshot);
                    self.checker.installed(id, before, &snapshot);
                    if member.group.is_some() {
                        self.checker.counts.note("snapshot installed while running");
                    }
                }
                Effect::Leader { .. } => {}
                Effect::Read(token) => self.read_done(id, token),
                Effect::ReadLost(token) => {
                    let life = self.members[&id].life;
                    self.reads.remove(&(id, life, token));
                    self.checker.counts.note("read lost");
                }
            }
        }
    }

    /// Whether it has proposals of its own under way.
    fn led(&self, id: MemberId) -> bool {
        self.proposed.keys().any(|(by, _)| *by == id)
    }

    fn persist(&mut self, id: MemberId, number: u64, write: consensus::Write) {
        let takes = Duration::from_micros(100 + self.rng.below(8000));
        let now = self.now;
        let member = self.members.get_mut(&id).expect("it does this");
        member.writing.push_back((number, write));
        member.writes_done_at = member.writes_done_at.max(now) + takes;
        let (life, after) = (member.life, member.writes_done_at.since(now));
        self.queue(after, Event::Written { of: id, life });
        if self.setting.breakage == Breakage::AcknowledgesEarly {
            self.queue(Duration::ZERO, Event::Durable { of: id, life, number });
        }
    }

    fn send(&mut self, from: MemberId, to: MemberId, message: &Message) {
        let bytes = message.encode();
        assert!(bytes.len() <= self.options.message_bytes_max());
        let arrivals = self.network.arrivals(from, to, &mut self.rng);
        match arrivals.len() {
            0 => self.checker.counts.note("lost"),
            1 => {}
            _ => self.checker.counts.note("doubled"),
        }
        for after in arrivals {
            self.queue(after, Event::Arrive { from, to, bytes: bytes.clone() });
        }
    }

    fn read_done(&mut self, id: MemberId, token: ReadToken) {
        let member = &self.members[&id];
        let Some(sees) = self.reads.remove(&(id, member.life, token)) else { return };
        let applied = member.state.applied;
        self.checker
            .must(applied >= sees, || format!("{id} reads at {applied} what was acknowledged at {sees}"));
        self.checker.counts.note("read");
    }

    pub(crate) fn start(&mut self, id: MemberId) {
        let now = self.now;
        let member = self.members.get_mut(&id).expect("it exists");
        if member.group.is_some() {
            return;
        }
        member.life += 1;
        member.writes_done_at = now;
        if !self.setting.keeps_state {
            member.state = State::default();
        }
        let rng = Rng::from_seed(self.setting.seed ^ (id.0 << 32) ^ member.life);
        let (disk, applied, life) = (member.disk.clone(), member.state.applied, member.life);
        let mut out = Vec::new();
        let opened = Group::open(now, id, self.options.clone(), disk, applied, rng, &mut out);
        let group = match opened {
            Ok(group) => group,
            Err(error) => return self.checker.must(false, || format!("{id} does not start: {error}")),
        };
        self.carry_out(id, out);
        self.members.get_mut(&id).expect("it exists").group = Some(group);
        self.wind(id, life);
    }

    fn wind(&mut self, id: MemberId, life: u64) {
        let Some(member) = self.members.get(&id).filter(|member| member.life == life) else { return };
        let Some(group) = &member.group else { return };
        let after = group.next_timer().since(self.now);
        self.queue(after, Event::Timer { of: id, life });
    }

    /// It stops, what was not durable is lost but for some of the first of it, and it starts again later.
    pub(crate) fn crash(&mut self, id: MemberId, down: Duration) {
        let Some(member) = self.members.get_mut(&id).filter(|member| member.group.is_some()) else { return };
        member.group = None;
        member.stands_still_until = Instant(0);
        self.checker.counts.note("crash");
        let survive = self.rng.below(member.writing.len() as u64 + 1);
        for _ in 0..survive {
            member.write_one();
        }
        if !member.writing.is_empty() {
            self.checker.counts.note("crash that lost writes");
        }
        member.writing.clear();
        if self.setting.breakage == Breakage::ForgetsItsVote {
            member.disk.hard_state.vote = 0;
        }
        // What the caller kept of its state is of the same time as the file, or earlier.
        self.proposed.retain(|(by, _), _| *by != id);
        self.queue(down, Event::Start { of: id });
    }

    pub(crate) fn crash_later(&mut self, id: MemberId, after: Duration) {
        self.queue(after, Event::Crash { of: id });
    }

    pub(crate) fn stand_still(&mut self, id: MemberId, duration: Duration) {
        let until = self.now + duration;
        self.members.get_mut(&id).expect("it exists").stands_still_until = until;
        self.checker.counts.note("pause");
    }

    pub(crate) fn role(&self, id: MemberId) -> Option<Role> {
        Some(self.members.get(&id)?.group.as_ref()?.status(self.now).role)
    }

    /// All that think that they lead and are not standing still.
    pub(crate) fn leaders(&self) -> Vec<MemberId> {
        let awake = self.members.iter().filter(|(_, member)| member.stands_still_until <= self.now);
        awake.map(|(id, _)| *id).filter(|id| self.role(*id) == Some(Role::Leader)).collect()
    }

    /// The latest membership that anybody has applied.
    pub(crate) fn membership(&self) -> Membership {
        let groups = self.members.values().filter_map(|member| member.group.as_ref());
        let latest = groups.max_by_key(|group| group.status(self.now).applied.index);
        latest.expect("somebody runs").membership().clone()
    }
}
