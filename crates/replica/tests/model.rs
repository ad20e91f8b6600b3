//! A replica against a naive model: for each key the list of all that arrived, in the order in which it was asked for.
//!
//! Whatever jobs are left waiting and however the disk loses what was not synced: an answer is what the model says, in the
//! model's order; what was acknowledged is there after a crash (INVARIANTS A4); what is hidden is not shown; a dot is
//! issued once (B1).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Dot, DottedVector, Payload, Record, Siblings, Stamp, Version};
use env::disk::CrashMode;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use replica::{Change, Make, ReplicaOptions};
use support::{LWW, RELAXED, Rig, SIBLINGS, Said, foreign_dot, lww};
use types::{KeyspaceId, OperationId, PartitionId, WallTime};
use wire::{ReplicaReply, WritePath};

const KEYS: [&[u8]; 12] = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j", b"k", b"l"];

#[derive(Clone, Debug)]
enum Step {
    Write { keyspace: KeyspaceId, key: usize, later_ms: u64, size: usize, repair: bool },
    Make { keyspace: KeyspaceId, key: usize, change: u8, size: usize, hide: bool },
    Read { keyspace: KeyspaceId, key: usize },
    Show(usize),
    EndTurn,
    RunRead(usize),
    RunSync,
    RunBackground,
    Crash(CrashMode),
}

fn step() -> impl Strategy<Value = Step> {
    let keyspace = || prop_oneof![3 => Just(LWW), 1 => Just(SIBLINGS), 1 => Just(RELAXED)];
    let key = || 0..KEYS.len();
    prop_oneof![
        6 => (keyspace(), key(), 0u64..200, 0usize..2000, any::<bool>()).prop_map(
            |(keyspace, key, later_ms, size, repair)| Step::Write { keyspace, key, later_ms, size, repair }
        ),
        6 => (keyspace(), key(), 0u8..4, 0usize..2000, any::<bool>()).prop_map(
            |(keyspace, key, change, size, hide)| Step::Make { keyspace, key, change, size, hide }
        ),
        6 => (keyspace(), key()).prop_map(|(keyspace, key)| Step::Read { keyspace, key }),
        1 => (0usize..4).prop_map(Step::Show),
        4 => Just(Step::EndTurn),
        3 => (0usize..4).prop_map(Step::RunRead),
        3 => Just(Step::RunSync),
        3 => Just(Step::RunBackground),
        2 => prop_oneof![
            Just(CrashMode::KeepAll),
            Just(CrashMode::LoseUnsynced),
            Just(CrashMode::KeepSome)
        ].prop_map(Step::Crash),
    ]
}

type Key = (KeyspaceId, usize);

/// All that is known of one key.
#[derive(Default)]
struct History {
    /// What was merged in so far, in order: the record, and the operation that hides it.
    arrived: Vec<(Record, Option<u64>)>,
    /// Asked for, and not known to have been done yet.
    asked: VecDeque<Asked>,
    /// How much of `arrived` must survive a crash of the machine.
    acknowledged: usize,
}

struct Asked {
    operation: u64,
    /// Nothing for a change that is yet to be made into a record.
    write: Option<(Record, WritePath)>,
    hide: bool,
}

/// What the model says of an operation.
#[derive(Clone, Debug)]
enum Verdict {
    /// Done, when so much had arrived.
    Stored(usize),
    Refused(Stamp),
}

fn merged<'a>(records: impl Iterator<Item = &'a Record>) -> Option<Record> {
    records.fold(None, |all, record| match all {
        None => Some(record.clone()),
        Some(all) => Some(all.merge(record).unwrap()),
    })
}

impl History {
    fn held(&self) -> Option<Record> {
        merged(self.arrived.iter().map(|(record, _)| record))
    }

    fn held_after(&self, count: usize) -> Option<Record> {
        merged(self.arrived[..count].iter().map(|(record, _)| record))
    }

    fn shown(&self) -> Option<Record> {
        let visible = self.arrived.iter().filter(|(_, hidden)| hidden.is_none());
        merged(visible.map(|(record, _)| record))
    }

    fn arrive(&mut self, record: Record, hidden_by: Option<u64>) -> usize {
        self.arrived.push((record, hidden_by));
        self.arrived.len()
    }

    /// Does the oldest write that was asked for. Nothing where that is a change that has not been made yet.
    fn advance(&mut self) -> Option<(u64, Verdict)> {
        let next = self.asked.front()?;
        let (record, path) = next.write.clone()?;
        let next = self.asked.pop_front().unwrap();
        let refused_with = match (self.held(), &record) {
            (Some(Record::Lww(held)), Record::Lww(offered)) if path == WritePath::Client => {
                let (held, offered) = (held.version(), offered.version());
                (offered.dot != held.dot && offered.stamp <= held.stamp).then_some(held.stamp)
            }
            _ => None,
        };
        let verdict = match refused_with {
            Some(stamp) => Verdict::Refused(stamp),
            None => Verdict::Stored(self.arrive(record, None)),
        };
        Some((next.operation, verdict))
    }
}

struct Reading {
    key: Key,
    /// What it may be answered with: all that was shown since it was asked.
    acceptable: Vec<Option<Record>>,
}

struct Test {
    rig: Rig,
    histories: BTreeMap<Key, History>,
    verdicts: BTreeMap<u64, Verdict>,
    readings: BTreeMap<u64, Reading>,
    key_of: BTreeMap<u64, Key>,
    hidden: Vec<(u64, Key)>,
    /// Dots, by partition.
    issued: BTreeSet<(PartitionId, Dot)>,
    operations: u64,
}

impl Test {
    fn new() -> Test {
        let options = ReplicaOptions::default();
        Test {
            rig: Rig::new(options),
            histories: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            readings: BTreeMap::new(),
            key_of: BTreeMap::new(),
            hidden: Vec::new(),
            issued: BTreeSet::new(),
            operations: 0,
        }
    }

    fn history(&mut self, key: Key) -> &mut History {
        self.histories.entry(key).or_default()
    }

    fn ask(&mut self, key: Key, write: Option<(Record, WritePath)>, hide: bool) -> u64 {
        self.operations += 1;
        let operation = self.operations;
        self.key_of.insert(operation, key);
        self.history(key).asked.push_back(Asked { operation, write, hide });
        operation
    }

    fn step(&mut self, step: &Step) {
        self.rig.now.mono = self.rig.now.mono + std::time::Duration::from_millis(10);
        self.rig.now.wall = self.rig.now.wall.plus_millis(10);
        let said = match *step {
            Step::Write { keyspace, key, later_ms, size, repair } => {
                self.write((keyspace, key), later_ms, size, repair)
            }
            Step::Make { keyspace, key, change, size, hide } => {
                self.make((keyspace, key), change, size, hide)
            }
            Step::Read { keyspace, key } => {
                self.operations += 1;
                let acceptable = vec![self.history((keyspace, key)).shown()];
                let reading = Reading { key: (keyspace, key), acceptable };
                self.readings.insert(self.operations, reading);
                self.rig.read(self.operations, keyspace, KEYS[key])
            }
            Step::Show(place) => {
                self.show(place);
                Vec::new()
            }
            Step::EndTurn => self.rig.end_turn(),
            Step::RunRead(place) => self.rig.run_read(place),
            Step::RunSync => self.rig.run_sync(),
            Step::RunBackground => self.rig.run_background(),
            Step::Crash(mode) => {
                self.crash(mode);
                Vec::new()
            }
        };
        self.hear(said);
    }

    fn write(&mut self, key: Key, later_ms: u64, size: usize, repair: bool) -> Vec<Said> {
        let counter = self.operations + 1;
        let stamp = Stamp::new(self.rig.now.wall.0 - 100 + later_ms, 0);
        let record = if key.0 == SIBLINGS {
            let payload = Payload::Value(Bytes::from(vec![b's'; size % 20]));
            let version = Version::new(foreign_dot(counter), stamp, payload, OperationId(counter));
            // As another node would send it: this one write, with nothing claimed before it.
            let mut seen = DottedVector::new();
            seen.add(foreign_dot(counter));
            let alone = Siblings::new().put(&Context::Empty, version).unwrap();
            Record::Siblings(alone)
        } else {
            lww(counter, stamp, &vec![b'v'; size])
        };
        let path = if repair { WritePath::Merge } else { WritePath::Client };
        let operation = self.ask(key, Some((record.clone(), path)), false);
        self.rig.write(operation, key.0, KEYS[key.1], &record, path)
    }

    fn make(&mut self, key: Key, change: u8, size: usize, hide: bool) -> Vec<Said> {
        let shown = self.history(key).shown();
        let now = self.rig.now.wall;
        let known = shown.as_ref().map(Record::context).unwrap_or_default();
        let lives =
            shown.as_ref().is_some_and(|record| record.versions().iter().any(|version| version.is_live(now)));
        let size = if key.0 == SIBLINGS { size % 20 } else { size };
        let change = match change {
            0 => Change::Delete { context: known },
            1 if lives => Change::Expire { context: known, at: Some(WallTime(now.0 + 1_000_000)) },
            _ => Change::Put {
                value: Bytes::from(vec![b'm'; size]),
                context: known,
                expiry: ExpiryChange::Clear,
                priority: 0,
            },
        };
        let expires = matches!(change, Change::Expire { .. });
        let hide = hide && key.0 == LWW && !expires;
        let operation = self.ask(key, None, hide);
        let ask = Make {
            keyspace: key.0,
            key: Bytes::from_static(KEYS[key.1]),
            operation: OperationId(operation),
            change,
            base: if expires { shown.map(Box::new) } else { None },
            named: None,
            again: None,
            hide,
            in_place_of: None,
        };
        self.rig.make(operation, ask)
    }

    fn show(&mut self, place: usize) {
        if self.hidden.is_empty() {
            return;
        }
        let place = place % self.hidden.len();
        let (operation, key) = self.hidden.remove(place);
        self.rig.replica().show(key.0, KEYS[key.1], None, OperationId(operation));
        for (_, hidden_by) in &mut self.history(key).arrived {
            if *hidden_by == Some(operation) {
                *hidden_by = None;
            }
        }
        self.note_shown(key);
    }

    /// Whatever is being read of this key may be answered with what is shown now.
    fn note_shown(&mut self, key: Key) {
        let shown = self.history(key).shown();
        for reading in self.readings.values_mut().filter(|reading| reading.key == key) {
            reading.acceptable.push(shown.clone());
        }
    }

    fn advance(&mut self, key: Key) -> bool {
        match self.history(key).advance() {
            Some((operation, verdict)) => {
                self.verdicts.insert(operation, verdict);
                self.note_shown(key);
                true
            }
            None => false,
        }
    }

    fn hear(&mut self, said: Vec<Said>) {
        for one in said {
            match one {
                Said::Made(operation, made) => self.hear_made(operation, &made.unwrap()),
                Said::Reply(operation, reply) if self.readings.contains_key(&operation) => {
                    self.hear_read(operation, &reply);
                }
                Said::Reply(operation, reply) => self.hear_written(operation, &reply),
            }
        }
    }

    /// Everything that was asked of the key before is done before this is made.
    fn hear_made(&mut self, operation: u64, made: &replica::Made) {
        let key = self.key_of[&operation];
        while self.history(key).asked.front().unwrap().operation != operation {
            assert!(self.advance(key), "made before an earlier change was");
        }
        let asked = self.history(key).asked.pop_front().unwrap();
        let record = Record::decode(made.record.clone()).unwrap();
        if let Some(dot) = made.dot {
            let partition = self.rig.partition(KEYS[key.1]);
            assert!(self.issued.insert((partition, dot)), "dot {dot} was issued before");
            let held = self.history(key).held();
            if let (Some(held), LWW | RELAXED) = (&held, key.0) {
                let (held, new) = (held.versions()[0].stamp, record.versions()[0].stamp);
                assert!(new > held, "made below what is held");
            }
        } else {
            let hidden = &self.history(key).arrived;
            let carried = hidden
                .iter()
                .any(|(hidden, by)| by.is_some() && hidden.versions()[0].dot == record.versions()[0].dot);
            assert!(!carried, "a change of expiry carries a hidden write to others");
        }
        let count = self.history(key).arrive(record, asked.hide.then_some(operation));
        self.verdicts.insert(operation, Verdict::Stored(count));
        if asked.hide {
            self.hidden.push((operation, key));
        }
        self.note_shown(key);
    }

    fn hear_read(&mut self, operation: u64, reply: &ReplicaReply) {
        let found = match reply {
            ReplicaReply::Found { record, .. } => Some(Record::decode(record.clone()).unwrap()),
            ReplicaReply::Absent => None,
            other => panic!("a healthy replica answered a read with {other:?}"),
        };
        let key = self.readings[&operation].key;
        while !self.readings[&operation].acceptable.contains(&found) {
            assert!(
                self.advance(key),
                "read {found:?}, and the model never showed that: {:?}",
                self.readings[&operation].acceptable
            );
        }
        self.readings.remove(&operation);
    }

    fn hear_written(&mut self, operation: u64, reply: &ReplicaReply) {
        let key = self.key_of[&operation];
        while !self.verdicts.contains_key(&operation) {
            assert!(self.advance(key), "answered before what was asked earlier");
        }
        match (&self.verdicts[&operation], reply) {
            (Verdict::Stored(count), ReplicaReply::Stored) => {
                let count = *count;
                let history = self.history(key);
                history.acknowledged = history.acknowledged.max(count);
            }
            (Verdict::Refused(expected), ReplicaReply::Refused { held }) => assert_eq!(expected, held),
            (expected, said) => panic!("the model says {expected:?}, the replica {said:?}"),
        }
    }

    /// Whatever was acknowledged is there, nothing is there that did not arrive, and what is there arrived in order.
    fn crash(&mut self, mode: CrashMode) {
        self.rig.crash(mode);
        self.readings.clear();
        self.hidden.clear();
        self.verdicts.clear();
        let keys: Vec<Key> = self.histories.keys().copied().collect();
        for key in keys {
            self.operations += 1;
            let operation = self.operations;
            let mut said = self.rig.read(operation, key.0, KEYS[key.1]);
            while said.is_empty() {
                said = self.rig.run_read(0);
            }
            let found = match &said[..] {
                [Said::Reply(_, ReplicaReply::Found { record, .. })] => {
                    Some(Record::decode(record.clone()).unwrap())
                }
                [Said::Reply(_, ReplicaReply::Absent)] => None,
                other => panic!("{other:?}"),
            };
            // What was asked and not yet heard of may have been done.
            while self.advance(key) {}
            let history = self.history(key);
            let promised = key.0 != RELAXED || mode == CrashMode::KeepAll;
            let least = if promised { history.acknowledged } else { 0 };
            let survived = (least..=history.arrived.len()).any(|count| history.held_after(count) == found);
            let unmade = history.asked.front().is_some_and(|asked| asked.write.is_none());
            assert!(survived || unmade, "{key:?}: {found:?} after {mode:?}");
            let arrived: Vec<_> = found.into_iter().map(|record| (record, None)).collect();
            *history = History {
                acknowledged: if key.0 == RELAXED { 0 } else { arrived.len() },
                arrived,
                asked: VecDeque::new(),
            };
        }
        // Looking has brought all into memory; what comes next is to find it on disk.
        self.rig.crash(CrashMode::KeepAll);
    }

    /// Everything that was asked is answered in the end.
    fn finish(&mut self) {
        let said = self.rig.settle();
        self.hear(said);
        assert!(self.readings.is_empty(), "reads without an answer");
        for (key, history) in &self.histories {
            assert!(history.asked.is_empty(), "{key:?}: writes without an answer were asked");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_answers_as_the_model_does(steps in proptest::collection::vec(step(), 0..250)) {
        let mut test = Test::new();
        for step in &steps {
            test.step(step);
        }
        test.finish();
    }
}

/// The property means something: its steps send reads to the disk, stall writes and write tables.
#[test]
fn the_steps_reach_cold_reads_stalls_and_tables() {
    let (mut cold, mut stalls, mut tables) = (0, 0, 0);
    let mut runner = TestRunner::deterministic();
    for _ in 0..20 {
        let steps = proptest::collection::vec(step(), 200..250).new_tree(&mut runner).unwrap().current();
        let (mut test, mut before) = (Test::new(), 0);
        for step in &steps {
            test.step(step);
            cold += test.rig.reads.len();
            // Counted since the last crash.
            let counted = test.rig.replica().db().stats().counters.stalls;
            stalls += counted.saturating_sub(before);
            before = counted;
        }
        tables += test.rig.tables().len();
        test.finish();
    }
    assert!(cold > 50, "reads waited for the disk at {cold} steps");
    assert!(stalls > 20, "{stalls} writes stalled");
    assert!(tables > 20, "{tables} tables");
}
