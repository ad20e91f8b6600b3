//! J1: whatever owners answer, or do not, or answer twice or nonsense, every request is answered exactly once and by its
//! deadline, and nothing is left under way.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Command, Detail, ExpiryChange, KeyRequest, Operation, Request, ScanRequest, Scope};
use bytes::Bytes;
use causality::{Actor, Dot, Lww, Payload, Policy, Record, Stamp, Version};
use cluster::{Addresses, ClusterState, FoundingPlan, Keyspace, MemberPlan, Topology};
use coordinator::{Beside, Effect, Ids, Operations, Options};
use proptest::prelude::*;
use proptest::sample::Index;
use quorum::Level;
use replica::{Made, MakeError};
use ring::{Partitions, ReplicaCount};
use types::{
    Epoch, Incarnation, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId, Stint, WallTime,
};
use wire::{Body, ReplicaReply, ReplicaRequest, ScanAnswer, WriteName, WritePath};

const KEYSPACE: KeyspaceId = KeyspaceId(0);

#[derive(Clone, Debug)]
enum Step {
    Ask {
        what: u8,
        key: u8,
        level: Option<u8>,
    },
    Batch(Vec<(u8, u8)>),
    Wait {
        operation: Index,
        replicas: u8,
    },
    Answer {
        which: Index,
        how: u8,
        stamp: u64,
    },
    NotSent(Index),
    Lost(u16),
    Up(u16),
    Time(u64),
    /// The cluster goes on, and this node hears of it.
    News(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..8, 0u8..4, proptest::option::of(1u8..5))
            .prop_map(|(what, key, level)| Step::Ask { what, key, level }),
        1 => proptest::collection::vec((0u8..4, 0u8..4), 0..4).prop_map(Step::Batch),
        1 => (any::<Index>(), 0u8..5).prop_map(|(operation, replicas)| Step::Wait { operation, replicas }),
        20 => (any::<Index>(), 0u8..18, 0u64..2000)
            .prop_map(|(which, how, stamp)| Step::Answer { which, how, stamp }),
        1 => any::<Index>().prop_map(Step::NotSent),
        1 => (2u16..4).prop_map(Step::Lost),
        1 => (2u16..4).prop_map(Step::Up),
        1 => (0u64..1000).prop_map(Step::Time),
        2 => (0u8..8).prop_map(Step::News),
    ]
}

struct Test {
    operations: Operations,
    topology: Topology,
    now: Moment,
    asked: Vec<(NodeId, OperationId, u32)>,
    answers: BTreeMap<u64, usize>,
    clients: u64,
}

fn record(stamp: u64) -> Record {
    let dot = Dot { actor: Actor { incarnation: Incarnation(5), stint: Stint(1) }, counter: stamp + 1 };
    let payload = Payload::Value(Bytes::from_static(b"v"));
    Record::Lww(Lww::new(Version::new(dot, Stamp::new(stamp, 0), payload, OperationId(1))))
}

fn made(stamp: u64) -> Made {
    let record = record(stamp);
    Made {
        record: record.to_bytes(),
        context: record.context(),
        dot: Some(record.versions()[0].dot),
        path: WritePath::Client,
    }
}

/// A replica that cannot make changes of one key, or of any.
struct Lacking {
    key: Option<&'static str>,
    why: &'static str,
    names: u64,
}

impl Beside for Lacking {
    fn cannot_make(&self, request: &KeyRequest) -> Option<String> {
        self.key.is_none_or(|key| request.key == key).then(|| self.why.to_owned())
    }

    fn name(&mut self, now: Moment, _: PartitionId) -> Option<WriteName> {
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        let dot = Dot { actor, counter: self.names + 1 };
        Some(WriteName { dot, stamp: Stamp::new(now.wall.0, 0) })
    }
}

impl Test {
    fn new() -> Test {
        Test::over(1)
    }

    /// Over so many data centers.
    fn over(data_centers: u16) -> Test {
        let member = |number: u16| MemberPlan {
            name: format!("n{number}"),
            data_center: format!("dc{}", number % data_centers + 1),
            rack: format!("r{number}"),
            weight: 1.0,
            addresses: Addresses::default(),
        };
        let state = ClusterState::found(FoundingPlan {
            name: "test".to_owned(),
            members: (1..=4).map(member).collect(),
            partitions: Partitions::new(16).unwrap(),
            keyspaces: vec![Keyspace { policy: Policy::Lww, ..Keyspace::new(0, "default") }],
        })
        .unwrap();
        let mut topology = Topology::new(Arc::new(state), NodeId(1), Incarnation(1)).unwrap();
        for number in 2..=4 {
            topology = topology.with_reachable(NodeId(number), Incarnation(u64::from(number)));
        }
        let options = Options { operations_max: 20, lingering_max: 4, ..Options::default() };
        Test {
            operations: Operations::new(Arc::new(topology.clone()), Ids::alone(0), options),
            topology,
            now: Moment { mono: Instant(1_000_000_000), wall: WallTime(1000) },
            asked: Vec::new(),
            answers: BTreeMap::new(),
            clients: 0,
        }
    }

    fn request(what: u8, key: u8, level: Option<u8>) -> KeyRequest {
        let level = level.map(Level::Count);
        let operation = match what {
            0 => Operation::Get { read: level, context: None, detail: Detail::Clocks },
            1 => Operation::Delete { context: None, write: level, read: None },
            2 => Operation::Expire { change: ExpiryChange::At(WallTime(9000)), read: level, write: None },
            _ => Operation::Put {
                value: Bytes::from_static(b"value"),
                context: None,
                write: level,
                expiry: if what == 3 { ExpiryChange::Keep } else { ExpiryChange::Clear },
                priority: 0,
            },
        };
        KeyRequest { keyspace: KEYSPACE, key: Bytes::from(vec![b'a' + key]), operation }
    }

    fn step(&mut self, step: &Step) {
        let mut out = Vec::new();
        match step {
            Step::Ask { what, key, level } => {
                let command = match what {
                    5 => Command::Scan(ScanRequest {
                        keyspace: KEYSPACE,
                        cursor: 0,
                        count: 10,
                        scope: Scope::Cluster,
                    }),
                    6 => Command::Count { keyspace: KEYSPACE, scope: Scope::Cluster },
                    7 => Command::Explain { keyspace: KEYSPACE, key: Bytes::from(vec![b'a' + key]) },
                    _ => Command::Key(Test::request(*what, *key, *level)),
                };
                self.ask(command, &mut out);
            }
            Step::Batch(parts) => {
                let parts = parts.iter().map(|&(what, key)| Test::request(what, key, None)).collect();
                self.ask(Command::Batch(parts), &mut out);
            }
            Step::Wait { operation, replicas } => {
                let operation = OperationId(operation.index(200) as u64);
                let replicas = *replicas;
                self.ask(Command::AwaitAcknowledgements { operation, replicas }, &mut out);
            }
            Step::Answer { which, how, stamp } => self.answer(which, *how, *stamp, &mut out),
            Step::NotSent(which) => {
                if !self.asked.is_empty() {
                    let (node, operation, _) = self.asked[which.index(self.asked.len())];
                    self.operations.not_sent(self.now, node, operation, &mut out);
                }
            }
            Step::Lost(node) => {
                self.see(self.topology.with_unreachable(NodeId(*node)), &mut out);
                self.operations.peer_lost(self.now, NodeId(*node), &mut out);
            }
            Step::Up(node) => {
                self.see(self.topology.with_reachable(NodeId(*node), Incarnation(9)), &mut out);
            }
            Step::Time(millis) => self.wait(*millis, &mut out),
            Step::News(what) => self.news(*what, &mut out),
        }
        self.note(out);
    }

    fn ask(&mut self, command: Command, out: &mut Vec<Effect>) {
        self.clients += 1;
        let mut beside = Lacking { key: Some("d"), why: "it is lost", names: self.clients };
        self.operations.ask_beside(self.now, self.clients, Request::new(command), &mut beside, out);
    }

    fn see(&mut self, topology: Topology, out: &mut Vec<Effect>) {
        self.topology = topology;
        self.operations.set_topology(self.now, Arc::new(self.topology.clone()), out);
    }

    /// Movements begin or go on, or something else changes, if it can.
    fn news(&mut self, what: u8, out: &mut Vec<Effect>) {
        let state = &self.topology.state;
        let keyspace = state.default_keyspace();
        let command = match what {
            0 => cluster::Command::Drain { names: vec!["n1".to_owned()], below_n: true },
            1 => cluster::Command::Cancel { name: "n1".to_owned() },
            2 => cluster::Command::AlterKeyspace {
                keyspace: Box::new(Keyspace {
                    n: if keyspace.since.0.is_multiple_of(2) {
                        ReplicaCount::Everywhere(1)
                    } else {
                        ReplicaCount::Everywhere(3)
                    },
                    ..keyspace.clone()
                }),
                since: keyspace.since,
            },
            3 | 4 => cluster::Command::Begin { partitions: state.waiting_to_move().collect() },
            _ => {
                let steps = state.movements().iter().map(|(partition, movement)| cluster::Step {
                    partition: *partition,
                    session: movement.session,
                    stage: movement.stage,
                });
                cluster::Command::Advance { steps: steps.collect(), of: state.partitions().count() }
            }
        };
        let Ok(next) = state.apply(&command) else { return };
        let Some(mut topology) = Topology::new(Arc::new(next), NodeId(1), Incarnation(1)) else { return };
        for number in (2..=4).filter(|number| self.topology.is_reachable(NodeId(*number))) {
            topology = topology.with_reachable(NodeId(number), Incarnation(u64::from(number)));
        }
        self.see(topology, out);
    }

    fn wait(&mut self, millis: u64, out: &mut Vec<Effect>) {
        self.now.mono = self.now.mono + Duration::from_millis(millis);
        self.now.wall = self.now.wall.plus_millis(millis);
        self.operations.timer(self.now, out);
    }

    /// Whoever was asked once may answer at any time, as often as it likes, and anything.
    fn answer(&mut self, which: &Index, how: u8, stamp: u64, out: &mut Vec<Effect>) {
        if self.asked.is_empty() {
            return;
        }
        let (node, operation, round) = self.asked[which.index(self.asked.len())];
        let why = || "for a test".to_owned();
        let reply = match how {
            0..=2 => ReplicaReply::Stored,
            3 | 4 => ReplicaReply::Found { record: record(stamp).to_bytes(), synced: how == 3 },
            5 => ReplicaReply::Absent,
            6 => ReplicaReply::CannotSay { why: why() },
            7 => ReplicaReply::Refused { held: Stamp::new(stamp, 0) },
            8 => ReplicaReply::Failed { why: why() },
            9 => ReplicaReply::Scanned(ScanAnswer::default()),
            10 => ReplicaReply::Counted { live: stamp, next: None },
            11 => ReplicaReply::Forwarded(Box::new(Ok(api::Reply::Written(api::Written::default())))),
            12 => ReplicaReply::NotAsNamed,
            13 => return self.operations.made(self.now, operation, Ok(made(stamp)), out),
            14 | 15 => {
                let newest = Epoch(self.topology.state.epoch().0 + stamp % 2);
                if how == 14 {
                    return self.operations.made(self.now, operation, Err(MakeError::Stale { newest }), out);
                }
                ReplicaReply::StaleEpoch { newest }
            }
            16 => ReplicaReply::NotPassedOn { to: NodeId(u16::try_from(stamp % 7).unwrap_or(0)) },
            _ => {
                let error = MakeError::Overloaded(why());
                return self.operations.made(self.now, operation, Err(error), out);
            }
        };
        self.operations.replied(self.now, node, (operation, round), reply, out);
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, envelope) => {
                    assert!(matches!(envelope.body, Body::Request(_)));
                    self.asked.push((to, envelope.operation, envelope.round));
                    if let Body::Request(ReplicaRequest::Relay(relay)) = envelope.body {
                        let others = relay.others.iter();
                        self.asked.extend(others.map(|one| (one.node, envelope.operation, envelope.round)));
                    }
                }
                Effect::Serve(ticket, _) | Effect::Make(ticket, _) => {
                    self.asked.push((ticket.from, ticket.operation, ticket.round));
                }
                Effect::Show { .. }
                | Effect::Forwarded(..)
                | Effect::NotAsNamed(_)
                | Effect::NotTaken(..)
                | Effect::News { .. } => {}
                Effect::Answer(client, _) => *self.answers.entry(client).or_default() += 1,
            }
        }
    }
}

proptest! {
    #[test]
    fn every_request_is_answered_once_and_by_its_deadline(
        steps in proptest::collection::vec(step(), 0..300),
        data_centers in 1_u16..=2,
    ) {
        let mut test = Test::over(data_centers);
        for step in &steps {
            test.step(step);
            prop_assert!(test.operations.len() <= 20 + 4 + 1, "more is under way than may be");
        }
        let mut out = Vec::new();
        test.wait(5000, &mut out);
        test.note(out);
        let once = (1..=test.clients).map(|client| (client, 1)).collect();
        prop_assert_eq!(&test.answers, &once);
        prop_assert!(test.operations.is_empty(), "{} still under way", test.operations.len());
        prop_assert_eq!(test.operations.next_timer(), None);
    }
}

/// C3: a change that is not to be made on what an owner has left goes to another owner, then to the next, and never to itself.
#[test]
fn what_an_owner_cannot_make_is_another_owners_to_make() {
    let mut test = Test::new();
    let owns = |key: &u8| {
        let partition = test.topology.state.partition_of(&[b'a' + key]);
        test.topology.state.owners(KEYSPACE, partition).contains(&NodeId(1))
    };
    let key = (0..20).find(owns).unwrap();
    let mut out = Vec::new();
    let request = Request::new(Command::Key(Test::request(4, key, None)));
    let mut full = Lacking { key: None, why: "its disk is full", names: 0 };
    test.operations.ask_beside(test.now, 1, request, &mut full, &mut out);
    let mut asked = Vec::new();
    loop {
        match &out[..] {
            [Effect::Send(to, envelope)] => {
                assert!(matches!(envelope.body, Body::Request(ReplicaRequest::Forward(_))), "{envelope:?}");
                assert!(*to != NodeId(1) && !asked.contains(to), "{to} after {asked:?}");
                asked.push(*to);
                let (from, of) = (*to, (envelope.operation, envelope.round));
                out.clear();
                let why = "it has lost it too".to_owned();
                test.operations.replied(test.now, from, of, ReplicaReply::Failed { why }, &mut out);
            }
            [Effect::Answer(1, Err(api::Error::Unavailable { detail, .. }))] => {
                assert!(detail.starts_with("n1: its disk is full; "), "{detail}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked.len(), 2, "both other owners were asked");
}
