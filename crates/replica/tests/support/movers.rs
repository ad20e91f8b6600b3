//! A cluster whose partitions move: what its leader does, and what a coordinator does, by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Record};
use cluster::{Addresses, Command, MemberPlan, Progress, Report, Standing};
use replica::Change;
use storage::{KeyRange, ScanLimit, ScanOutcome};
use types::{KeyspaceId, NodeId, PartitionId};
use wire::{ReplicaReply, ReplicaRequest, WritePath};

use super::owners::{KEYSPACES, Owners};

const STEP: Duration = Duration::from_millis(100);

/// Nothing that a test waits for takes longer.
const PATIENCE: u32 = 2_000;

pub(crate) fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

pub(crate) fn keyspace_of(number: u32) -> KeyspaceId {
    KEYSPACES[number as usize % 2]
}

pub(crate) fn value(number: u32) -> Bytes {
    Bytes::from(vec![u8::try_from(number % 251).unwrap(); 200])
}

/// A member to be.
pub(crate) fn plan(name: &str) -> Box<MemberPlan> {
    Box::new(MemberPlan {
        name: name.to_owned(),
        data_center: "dc1".to_owned(),
        rack: name.to_owned(),
        weight: 1.0,
        addresses: Addresses::default(),
    })
}

impl Owners {
    /// Commits a command. Nobody goes by it yet.
    pub(crate) fn commit(&mut self, command: &Command) {
        self.state = Arc::new(self.state.apply(command).unwrap());
    }

    /// All go by the last state, one after the other, and `between` is called after each.
    pub(crate) fn adopt_all(&mut self, mut between: impl FnMut(&mut Owners, usize)) {
        for node in 0..self.nodes.len() {
            if self.silent != Some(node) && self.states[node].epoch() < self.state.epoch() {
                self.adopt(node);
                between(self, node);
            }
        }
    }

    /// What the nodes report to the leader.
    pub(crate) fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for node in (0..self.nodes.len()).filter(|node| self.silent != Some(*node)) {
            let replica = &self.nodes[node];
            let report = Report {
                adopted: self.states[node].epoch(),
                done: replica.report(),
                shards: 1,
                waits_for: replica.waits_for(),
            };
            progress.report(self.id(node), report);
        }
        progress
    }

    /// What the leader would propose next by what the nodes report.
    pub(crate) fn next(&self) -> Option<Command> {
        self.progress().next(&self.state, |_| true, |_| false).into_iter().next()
    }

    /// Lets the cluster go on by one command. False where there is nothing left to be done.
    pub(crate) fn go_on(&mut self, mut meanwhile: impl FnMut(&mut Owners)) -> bool {
        for _ in 0..PATIENCE {
            if let Some(command) = self.next() {
                self.commit(&command);
                return true;
            }
            let moves = !self.state.movements().is_empty() || self.state.waiting_to_move().next().is_some();
            if !moves && !self.state.is_merging() {
                return false;
            }
            self.pass(STEP, STEP);
            meanwhile(self);
        }
        let moving: Vec<_> = self.nodes.iter().map(|node| (node.moving(), node.exchange())).collect();
        panic!("it does not go on: {:?} {moving:#?}", self.state.movements());
    }

    /// Until nothing moves any more.
    pub(crate) fn move_all(&mut self) {
        while self.go_on(|_| {}) {
            self.adopt_all(|_, _| {});
        }
    }

    /// Writes as a coordinator does that goes by what this node goes by: made by an owner, sent to all, acknowledged by a majority of
    /// each set. Whether it was.
    pub(crate) fn write(&mut self, by: usize, number: u32) -> bool {
        let (keyspace, key) = (keyspace_of(number), key(number));
        let state = Arc::clone(&self.states[by]);
        let partition = state.partition_of(&key);
        let epoch = state.since_in(keyspace, partition);
        let owners = state.all_owners(keyspace, partition);
        let change = Change::Put {
            value: value(number),
            context: Context::Empty,
            expiry: ExpiryChange::Clear,
            priority: 0,
        };
        let goes_by_the_same = |owners: &Owners, node: usize| {
            owners.silent != Some(node) && owners.states[node].since_in(keyspace, partition) == epoch
        };
        let maker = owners.read.iter().find(|owner| goes_by_the_same(self, self.place(**owner)));
        let Some(maker) = maker.copied() else { return false };
        let made = self.make(self.place(maker), keyspace, &key, change).unwrap();
        let mut stored = BTreeSet::from([maker]);
        for owner in owners.read.iter().chain(owners.also_written).copied() {
            let place = self.place(owner);
            if owner == maker || self.silent == Some(place) || self.states[place].epoch() < epoch {
                continue;
            }
            let request = ReplicaRequest::Write {
                keyspace,
                key: Bytes::copy_from_slice(&key),
                record: made.record.clone(),
                path: WritePath::Client,
                in_place_of: None,
            };
            if self.asks_by(place, epoch, partition, request) == ReplicaReply::Stored {
                stored.insert(owner);
            }
        }
        let is_quorum = |set: &[NodeId]| {
            set.is_empty() || set.iter().filter(|owner| stored.contains(owner)).count() > set.len() / 2
        };
        is_quorum(owners.read) && is_quorum(owners.also_written)
    }

    /// Reads from these owners, as a coordinator does. What it finds of the value; nothing if no majority answers.
    pub(crate) fn read(&mut self, by: usize, number: u32, leave_out: usize) -> Option<bool> {
        let (keyspace, key) = (keyspace_of(number), Bytes::from(key(number)));
        let state = Arc::clone(&self.states[by]);
        let partition = state.partition_of(&key);
        let epoch = state.since_in(keyspace, partition);
        let owners = state.owners(keyspace, partition).to_vec();
        let (mut answers, mut is_found) = (0, false);
        for (place, owner) in owners.iter().enumerate() {
            let node = self.place(*owner);
            let is_left_out = owners.len() > 2 && place == leave_out % owners.len();
            if is_left_out || self.silent == Some(node) || self.states[node].epoch() < epoch {
                continue;
            }
            let request = ReplicaRequest::Read { keyspace, key: key.clone(), in_place_of: None };
            match self.asks_by(node, epoch, partition, request) {
                ReplicaReply::Found { record, .. } => {
                    let record = Record::decode(record).unwrap();
                    is_found |= record.versions().iter().any(|one| one.payload.value().is_some());
                    answers += 1;
                }
                ReplicaReply::Absent => answers += 1,
                _ => {}
            }
        }
        (answers > owners.len() / 2).then_some(is_found)
    }

    /// How many records a node has stored of a partition in a keyspace, whoever may ask for them.
    pub(crate) fn stored(&self, node: usize, keyspace: KeyspaceId, partition: PartitionId) -> usize {
        let limit = ScanLimit { entries: usize::MAX, bytes: usize::MAX };
        let slots = self.state.partitions().slots_of(partition).unwrap();
        let start = replica::store_key::start_of_slot(*slots.start());
        let end = replica::store_key::end_of_slot(*slots.end());
        match self.nodes[node].db().scan(KeyRange::new(&start, end.as_deref()), limit).run() {
            ScanOutcome::Page { entries, .. } => {
                let is = |(key, _): &&(Bytes, Bytes)| replica::store_key::keyspace_of(key) == Some(keyspace);
                entries.iter().filter(is).count()
            }
            ScanOutcome::Unreadable(error) => panic!("{error}"),
        }
    }

    /// At rest every owner has every one of these keys, and nobody else has anything.
    #[track_caller]
    pub(crate) fn assert_at_rest(&mut self, keys: &BTreeSet<u32>) {
        self.pass(Duration::from_secs(30), STEP);
        for number in keys {
            let (keyspace, key) = (keyspace_of(*number), key(*number));
            let partition = self.state.partition_of(&key);
            for owner in self.state.owners(keyspace, partition).to_vec() {
                let held = self.held(self.place(owner), keyspace, &key);
                assert!(held.is_some(), "{number} is with {owner}");
            }
        }
        for node in 0..self.nodes.len() {
            let is_gone = self.state.member(self.id(node)).is_none_or(|one| one.standing == Standing::Gone);
            if is_gone || self.silent == Some(node) {
                continue;
            }
            for partition in self.state.partitions().iter() {
                for keyspace in KEYSPACES {
                    let owns = self.state.owners(keyspace, partition).contains(&self.id(node));
                    let stored = self.stored(node, keyspace, partition);
                    assert!(owns || stored == 0, "node {node} keeps {stored} of {partition:?} {keyspace:?}");
                }
            }
            assert_eq!(self.nodes[node].report(), [], "nothing is left to be reported");
        }
    }
}
