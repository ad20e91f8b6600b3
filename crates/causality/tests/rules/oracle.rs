//! INVARIANTS B2, as a state machine against an oracle: whatever nodes do to each other's records, what was acknowledged
//! and not covered is never lost, and what an acknowledged write covered does not come back.
//!
//! Three nodes, each with memory and disk; a write is acknowledged once two disks know it. Nodes crash (memory falls back
//! to disk), forget the key altogether (a quarantined block), hold records back and deliver them late. Whoever may have
//! forgotten begins a fresh stint: that is the rule under test, and the last test shows that without it the loss is real.

use std::collections::{BTreeMap, BTreeSet};

use causality::{Actor, Context, Dot, Payload, PutError, Siblings, Version};
use proptest::prelude::*;
use types::{Incarnation, Stint};

use crate::given::{dot, standing, version};

const NODES: usize = 3;
const CLIENTS: usize = 3;
const ACKNOWLEDGING_DISKS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Put {
        node: usize,
        client: usize,
        blind: bool,
        delete: bool,
    },
    Read {
        node: usize,
        client: usize,
    },
    /// Replication, handoff, repair: a record goes from one node to another.
    Copy {
        from: usize,
        to: usize,
    },
    /// A record is taken from a node, to be delivered later.
    Hold {
        node: usize,
    },
    Deliver {
        held: prop::sample::Index,
        to: usize,
    },
    Sync {
        node: usize,
    },
    Crash {
        node: usize,
    },
    Forget {
        node: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    prop_oneof![
        4 => (node(), 0..CLIENTS, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(node, client, blind, delete)| Step::Put { node, client, blind, delete }),
        2 => (node(), 0..CLIENTS).prop_map(|(node, client)| Step::Read { node, client }),
        4 => (node(), node()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => node().prop_map(|node| Step::Hold { node }),
        1 => (any::<prop::sample::Index>(), node()).prop_map(|(held, to)| Step::Deliver { held, to }),
        4 => node().prop_map(|node| Step::Sync { node }),
        1 => node().prop_map(|node| Step::Crash { node }),
        1 => node().prop_map(|node| Step::Forget { node }),
    ]
}

#[derive(Default)]
struct Node {
    actor: Actor,
    issued: u64,
    memory: Siblings,
    disk: Siblings,
}

impl Node {
    fn begin_stint(&mut self) {
        self.actor.stint = Stint(self.actor.stint.0 + 1);
        self.issued = 0;
    }

    fn receive(&mut self, record: &Siblings) {
        if self.memory.is_behind(self.actor, record.seen()) {
            self.begin_stint();
        }
        self.memory = self.memory.merge(record);
    }

    fn put(&mut self, context: &Context, payload: &Payload) -> Dot {
        self.issued += 1;
        let dot = Dot { actor: self.actor, counter: self.issued };
        match self.memory.put(context, Version { payload: payload.clone(), ..version(dot) }) {
            Ok(record) => {
                self.memory = record;
                dot
            }
            Err(PutError::ActorHasForgotten { .. } | PutError::DotIsNotNew { .. }) => {
                self.begin_stint();
                self.put(context, payload)
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// One write, as the oracle remembers it.
struct Write {
    client: usize,
    /// The values that its client had been shown or had written, unless it was blind: what it may cover. Kept apart from
    /// the contexts, so that a context that claims too much is found out.
    covers: BTreeSet<Dot>,
    /// What its client knows once it is acknowledged.
    context: Context,
    is_value: bool,
    acknowledged: bool,
}

#[derive(Clone, Default)]
struct Client {
    context: Context,
    /// The values that it was shown, and its own.
    shown: BTreeSet<Dot>,
}

struct World {
    nodes: Vec<Node>,
    clients: Vec<Client>,
    held: Vec<Siblings>,
    writes: BTreeMap<Dot, Write>,
}

impl World {
    fn new() -> World {
        let node = |number: u64| Node {
            actor: Actor { incarnation: Incarnation(number), stint: Stint(1) },
            ..Node::default()
        };
        World {
            nodes: (0..).map(node).take(NODES).collect(),
            clients: vec![Client::default(); CLIENTS],
            held: Vec::new(),
            writes: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Put { node, client, blind, delete } => self.put(*node, *client, *blind, *delete),
            Step::Read { node, client } => self.read(*node, *client),
            Step::Copy { from, to } => {
                let record = self.nodes[*from].memory.clone();
                self.nodes[*to].receive(&record);
            }
            Step::Hold { node } => self.held.push(self.nodes[*node].memory.clone()),
            Step::Deliver { held, to } if !self.held.is_empty() => {
                self.nodes[*to].receive(held.get(&self.held));
            }
            Step::Deliver { .. } => {}
            Step::Sync { node } => self.nodes[*node].disk = self.nodes[*node].memory.clone(),
            Step::Crash { node } => self.crash(*node),
            Step::Forget { node } => self.forget(*node),
        }
        self.acknowledge();
    }

    fn put(&mut self, node: usize, client: usize, blind: bool, delete: bool) {
        let asker = if blind { Client::default() } else { self.clients[client].clone() };
        let payload = if delete { Payload::Tombstone } else { version(dot(0, 1)).payload };
        let dot = self.nodes[node].put(&asker.context, &payload);
        let context = self.nodes[node].memory.context_after(&asker.context, dot).expect("causal");
        let write = Write { client, covers: asker.shown, context, is_value: !delete, acknowledged: false };
        assert!(self.writes.insert(dot, write).is_none(), "a dot is never issued twice (INVARIANTS B1)");
    }

    fn read(&mut self, node: usize, client: usize) {
        let record = self.nodes[node].memory.clone();
        self.learn(client, &record.context(), record.versions().iter().map(|one| one.dot));
    }

    fn learn(&mut self, client: usize, context: &Context, shown: impl IntoIterator<Item = Dot>) {
        let client = &mut self.clients[client];
        client.context = client.context.merge(context).expect("causal");
        client.shown.extend(shown);
    }

    fn crash(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.memory = node.disk.clone();
        node.begin_stint();
    }

    /// A disk forgets the key, but only where the others still know all that was acknowledged: fewer nodes than
    /// acknowledge may lose their disks (INVARIANTS A1).
    fn forget(&mut self, node: usize) {
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != node);
        let rest = others.fold(Siblings::new(), |merged, (_, other)| merged.merge(&other.disk));
        let all_known = self.acknowledged().all(|(dot, _)| rest.seen().covers(dot));
        if all_known && self.owed().iter().all(|dot| rest.get(*dot).is_some()) {
            self.nodes[node].disk = Siblings::new();
            self.crash(node);
        }
    }

    /// Acknowledges what enough disks know; its client then has the context.
    fn acknowledge(&mut self) {
        let disks_that_know = |dot| self.nodes.iter().filter(|node| node.disk.seen().covers(dot)).count();
        let due: Vec<Dot> = self
            .writes
            .iter()
            .filter(|(dot, write)| !write.acknowledged && disks_that_know(dot) >= ACKNOWLEDGING_DISKS)
            .map(|(dot, _)| *dot)
            .collect();
        for dot in due {
            let write = self.writes.get_mut(&dot).expect("just found");
            write.acknowledged = true;
            let (client, context) = (write.client, write.context.clone());
            self.learn(client, &context, [dot]);
        }
    }

    fn acknowledged(&self) -> impl Iterator<Item = (&Dot, &Write)> {
        self.writes.iter().filter(|(_, write)| write.acknowledged)
    }

    /// The oracle: values acknowledged, minus all that the clients of other writes had been shown.
    fn owed(&self) -> BTreeSet<Dot> {
        let covered: BTreeSet<Dot> = self.writes.values().flat_map(|write| &write.covers).copied().collect();
        let values = self.acknowledged().filter(|(_, write)| write.is_value).map(|(dot, _)| *dot);
        values.filter(|dot| !covered.contains(dot)).collect()
    }

    /// What acknowledged writes have covered: it must not come back.
    fn gone(&self) -> BTreeSet<Dot> {
        self.acknowledged().flat_map(|(_, write)| &write.covers).copied().collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let disks = self.nodes.iter().fold(Siblings::new(), |merged, node| merged.merge(&node.disk));
        let late = self.held.iter().fold(Siblings::new(), |merged, record| merged.merge(record));
        let memories = self.nodes.iter().fold(late, |merged, node| merged.merge(&node.memory));
        for record in [&disks, &disks.merge(&memories)] {
            let found: BTreeSet<Dot> = record.versions().iter().map(|one| one.dot).collect();
            let (owed, gone) = (self.owed(), self.gone());
            prop_assert!(owed.is_subset(&found), "lost: {:?}", owed.difference(&found));
            prop_assert!(found.is_disjoint(&gone), "came back: {:?}", found.intersection(&gone));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn nothing_acknowledged_and_uncovered_is_ever_lost(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check()?;
        }
    }
}

/// Why stints: A sends (A, 57), crashes before its sync, B and C acknowledge, A restarts and mints (A, 58). Under the same
/// actor the acknowledged (A, 57) is covered in silence; under a fresh stint both stand.
#[test]
fn without_a_fresh_stint_an_acknowledged_write_would_be_lost() {
    let sent = Siblings::new().put(&Context::Empty, version(dot(1, 57))).expect("a fresh dot");
    let forgetful = Siblings::new().put(&Context::Empty, version(dot(1, 58))).expect("it cannot know");
    assert_eq!(
        standing(&sent.merge(&forgetful)),
        [(1, 58)],
        "the loss that fresh stints are there to prevent"
    );

    let fresh = Dot { actor: Actor { stint: Stint(1), ..dot(1, 1).actor }, counter: 1 };
    let careful = Siblings::new().put(&Context::Empty, version(fresh)).expect("a fresh dot");
    assert_eq!(standing(&sent.merge(&careful)), [(1, 57), (1, 1)]);
}
