//! INVARIANTS D1, D2: what is collected is missed by nobody. Two worlds live through the same steps, one of which drops
//! records once all that they know is settled; after every step all replicas show the same values in both.
//!
//! Records are held back and delivered late, by any time: what a replica takes in again, it would show again. And what is
//! dropped was settled by one agreement when a second one is reached: a write may be outranked by a delete that was
//! settled before the write was heard of, and only the second makes sure that it is settled too.

use causality::{Context, Dot, Frontier, Lww, Payload, Policy, Record, Stamp, Version};
use proptest::prelude::*;
use types::{OperationId, WallTime};

use crate::given::{actor, value};

const REPLICAS: usize = 3;
const CLIENTS: usize = 2;
const CLOCKS: [u64; REPLICAS] = [9, 0, 4];

#[derive(Clone, Debug)]
enum Step {
    Put {
        client: usize,
        replica: usize,
    },
    Delete {
        client: usize,
        replica: usize,
    },
    Read {
        client: usize,
        replica: usize,
    },
    Copy {
        from: usize,
        to: usize,
    },
    /// A record is taken from a replica, to be delivered later.
    Hold {
        replica: usize,
    },
    Deliver {
        held: prop::sample::Index,
        to: usize,
    },
    /// It is noted how far everybody has written.
    Fence,
    /// All replicas come to hold what any of them holds, and agree that what was written before the fence is settled.
    Settle,
    /// A replica drops what it may.
    Collect {
        replica: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let (client, replica) = (|| 0..CLIENTS, || 0..REPLICAS);
    prop_oneof![
        3 => (client(), replica()).prop_map(|(client, replica)| Step::Put { client, replica }),
        3 => (client(), replica()).prop_map(|(client, replica)| Step::Delete { client, replica }),
        2 => (client(), replica()).prop_map(|(client, replica)| Step::Read { client, replica }),
        2 => (replica(), replica()).prop_map(|(from, to)| Step::Copy { from, to }),
        2 => replica().prop_map(|replica| Step::Hold { replica }),
        2 => (any::<prop::sample::Index>(), replica()).prop_map(|(held, to)| Step::Deliver { held, to }),
        1 => Just(Step::Fence),
        2 => Just(Step::Settle),
        2 => replica().prop_map(|replica| Step::Collect { replica }),
    ]
}

struct World {
    policy: Policy,
    collects: bool,
    replicas: [Option<Record>; REPLICAS],
    counters: [u64; REPLICAS],
    fence: Option<[u64; REPLICAS]>,
    clients: [Context; CLIENTS],
    /// As many in both worlds, whether there was anything to take or not.
    held_back: Vec<Option<Record>>,
    frontier: Frontier,
    /// What the agreement before the last one settled: only that is dropped.
    droppable: Frontier,
    /// The highest stamp that each replica has dropped: its clock is above that.
    dropped: [u64; REPLICAS],
    now: u64,
    collected: usize,
}

impl World {
    fn new(policy: Policy, collects: bool) -> World {
        World {
            policy,
            collects,
            replicas: [None, None, None],
            counters: [0; REPLICAS],
            fence: None,
            clients: [Context::Empty, Context::Empty],
            held_back: Vec::new(),
            frontier: Frontier::new(),
            droppable: Frontier::new(),
            dropped: [0; REPLICAS],
            now: 0,
            collected: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        self.now += 1;
        match step {
            Step::Put { client, replica } => self.write(*client, *replica, value(&format!("{}", self.now))),
            Step::Delete { client, replica } => self.write(*client, *replica, Payload::Tombstone),
            Step::Read { client, replica } => {
                let read = self.replicas[*replica].as_ref().map_or(Context::Empty, Record::context);
                self.clients[*client] = self.clients[*client].merge(&read).expect("of one policy");
            }
            Step::Copy { from, to } => {
                if let Some(record) = self.replicas[*from].clone() {
                    self.merge(*to, record);
                }
            }
            Step::Hold { replica } => self.held_back.push(self.replicas[*replica].clone()),
            Step::Deliver { held, to } => {
                if !self.held_back.is_empty()
                    && let Some(record) = self.held_back[held.index(self.held_back.len())].clone()
                {
                    self.merge(*to, record);
                }
            }
            Step::Fence => self.fence = Some(self.counters),
            Step::Settle => self.settle(),
            Step::Collect { replica } => {
                let held = self.replicas[*replica].take();
                self.replicas[*replica] = self.standing(*replica, held);
            }
        }
    }

    /// What a replica holds as far as it may not be dropped.
    fn standing(&mut self, replica: usize, held: Option<Record>) -> Option<Record> {
        let held = held?;
        if !self.collects || !held.is_collectable(&self.droppable, WallTime(0)) {
            return Some(held);
        }
        self.collected += 1;
        if let Record::Lww(held) = held {
            self.dropped[replica] = self.dropped[replica].max(held.version().stamp.0);
        }
        None
    }

    fn write(&mut self, client: usize, replica: usize, payload: Payload) {
        self.counters[replica] += 1;
        let maker = actor(replica as u64);
        let dot = Dot { actor: maker, counter: self.counters[replica] };
        // Clocks are apart: a write may be outranked by a delete that its maker has not heard of.
        let held = self.replicas[replica].take();
        let held = self.standing(replica, held);
        let above = match &held {
            Some(Record::Lww(held)) => held.version().stamp.0,
            _ => self.dropped[replica],
        };
        let stamp = Stamp(((self.now + CLOCKS[replica]) * 100 + replica as u64).max(above + 1));
        let version = Version::new(dot, stamp, payload, OperationId(self.now));
        let on = Record::claiming(held, self.policy, maker, self.frontier.counter_of(maker));
        let context =
            if self.policy.keeps_siblings() { self.clients[client].clone() } else { Context::Empty };
        let made = Record::put(on.as_ref(), self.policy, &context, version).expect("nobody has forgotten");
        self.clients[client] = made.context_after(&self.clients[client], dot).expect("of one policy");
        self.replicas[replica] = Some(made);
    }

    fn merge(&mut self, to: usize, arrived: Record) {
        let held = self.replicas[to].take();
        let held = self.standing(to, held);
        self.replicas[to] = match (arrived.unsettled(held.as_ref(), &self.frontier), held) {
            (None, held) => held,
            (Some(arrived), None) => Some(arrived),
            (Some(arrived), Some(held)) => Some(held.merge(&arrived).expect("of one policy")),
        };
    }

    fn settle(&mut self) {
        let Some(counters) = self.fence.take() else { return };
        self.droppable = self.frontier.clone();
        for from in 0..REPLICAS {
            for to in 0..REPLICAS {
                if let Some(record) = self.replicas[from].clone() {
                    self.merge(to, record);
                }
            }
        }
        if self.collects {
            for (replica, counter) in counters.into_iter().enumerate() {
                self.frontier.raise(actor(replica as u64), counter);
            }
        }
    }

    fn shown(&self) -> Vec<Vec<Version>> {
        let shown = |record: &Option<Record>| match record {
            Some(record) => record
                .versions()
                .iter()
                .filter(|version| version.payload.value().is_some())
                .map(|version| Version { past: Default::default(), ..version.clone() })
                .collect(),
            None => Vec::new(),
        };
        self.replicas.iter().map(shown).collect()
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::Siblings), Just(Policy::Lww)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn nobody_misses_what_was_collected(policy in policies(), steps in prop::collection::vec(any_step(), 0..60)) {
        let (mut kept, mut collected) = (World::new(policy, false), World::new(policy, true));
        for step in &steps {
            kept.take(step);
            collected.take(step);
            prop_assert_eq!(kept.shown(), collected.shown(), "after {:?}", step);
        }
    }

    /// A frontier is the set of dots that it covers: raised in any order it comes to the same.
    #[test]
    fn a_frontier_is_a_join(entries in prop::collection::vec((crate::given::any_actor(), 0..6_u64), 0..8), dot in crate::given::any_dot()) {
        let forwards: Frontier = entries.iter().copied().collect();
        let backwards: Frontier = entries.iter().rev().copied().collect();
        prop_assert_eq!(&forwards, &backwards);
        let by_definition = entries.iter().any(|(actor, counter)| {
            actor.incarnation == dot.actor.incarnation && (dot.actor.stint, dot.counter) <= (actor.stint, *counter)
        });
        prop_assert_eq!(forwards.covers(&dot), by_definition);
        prop_assert_eq!(forwards.counter_of(dot.actor) >= dot.counter, by_definition);
        let mut twice = forwards.clone();
        twice.absorb(&backwards);
        prop_assert_eq!(twice, forwards);
    }
}

/// The test above is not empty: without the frontier at the receiver a delete is undone.
#[test]
fn a_copy_held_back_revives_what_was_collected_without_a_frontier() {
    let steps = [
        Step::Put { client: 0, replica: 0 },
        Step::Hold { replica: 0 },
        Step::Read { client: 0, replica: 0 },
        Step::Delete { client: 0, replica: 0 },
        Step::Fence,
        Step::Settle,
        Step::Fence,
        Step::Settle,
        Step::Collect { replica: 1 },
    ];
    for policy in [Policy::Siblings, Policy::Lww] {
        let mut world = World::new(policy, true);
        steps.iter().for_each(|step| world.take(step));
        assert!(world.collected > 0 && world.replicas[1].is_none());
        let old = world.held_back[0].clone().expect("it had been written");
        world.merge(1, old.clone());
        assert_eq!(world.replicas[1], None, "the frontier keeps it out");
        world.frontier = Frontier::new();
        world.merge(1, old);
        assert_eq!(world.shown()[1].len(), 1, "without it, the value is back");
    }
}

/// A retired incarnation's writes are settled whatever their stint, and nobody else's.
#[test]
fn a_retired_incarnation_is_settled_whole() {
    let mut frontier = Frontier::new();
    frontier.retire(actor(1).incarnation);
    let dot = |incarnation, counter| Dot { actor: actor(incarnation), counter };
    assert!(frontier.covers(&dot(1, u64::MAX)) && !frontier.covers(&dot(2, 1)));
    assert_eq!((frontier.counter_of(actor(1)), frontier.counter_of(actor(2))), (u64::MAX, 0));
}

/// A single version that was overwritten is not taken in again; the one held is, for its expiry may have changed.
#[test]
fn of_a_single_version_only_the_one_held_is_taken_in_again() {
    let version = |counter, stamp| {
        let dot = Dot { actor: actor(1), counter };
        Record::Lww(Lww::new(Version::new(dot, Stamp(stamp), value("x"), OperationId(counter))))
    };
    let frontier: Frontier = [(actor(1), 5)].into_iter().collect();
    let held = version(4, 40);
    assert_eq!(version(4, 40).unsettled(Some(&held), &frontier), Some(version(4, 40)));
    assert_eq!(version(3, 90).unsettled(Some(&held), &frontier), None);
    assert_eq!(version(6, 60).unsettled(Some(&held), &frontier), Some(version(6, 60)));
}
