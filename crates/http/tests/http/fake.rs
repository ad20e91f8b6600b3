//! A node of one replica in memory: real records and contexts, without a network, a disk or a quorum.

use std::collections::BTreeMap;
use std::future::Ready;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::{
    Answer, Change, Changed, Command, Counter, Deleted, Detail, Error, ExpiryChange, Explanation, Found,
    GroupStatus, HeatStatus, HotKey, KeyRequest, KeyspaceStatus, Marks, MemberStatus, NodeLoad, NodeStanding,
    NodeState, NodeStatus, Operation, Outcome, OwnerAnswer, PartitionHeat, PartitionRate, Planned,
    PlannedMove, Reply, Request, ShownValue, SlotRange, Status, Store, Written,
};
use bytes::Bytes;
use causality::{Actor, Context, Dot, Payload, Policy, Record, Stamp, Version, View, clock_entries};
use quorum::Level;
use types::{Epoch, Incarnation, KeyspaceId, NodeId, OperationId, PartitionId, Stint, WallTime};

/// The node's clock, which stands still.
pub(crate) const NOW: WallTime = WallTime(1_767_225_600_000);

/// A request for this key finds a defect.
pub(crate) const KEY_THAT_PANICS: &str = "key-that-panics";

#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

struct Inner {
    status: Arc<Status>,
    records: BTreeMap<(KeyspaceId, Bytes), Record>,
    writes: u64,
    marks: Marks,
    scripted: Option<Outcome>,
    asked: Vec<Request>,
    answers_later: bool,
}

impl Fake {
    pub(crate) fn new() -> Fake {
        Fake(Arc::new(Mutex::new(Inner {
            status: Arc::new(status()),
            records: BTreeMap::new(),
            writes: 0,
            marks: Marks::default(),
            scripted: None,
            asked: Vec::new(),
            answers_later: false,
        })))
    }

    /// The next request is answered with this.
    pub(crate) fn answer_next(&self, outcome: Outcome) {
        self.0.lock().unwrap().scripted = Some(outcome);
    }

    /// Every answer from now on carries these marks.
    pub(crate) fn mark(&self, marks: Marks) {
        self.0.lock().unwrap().marks = marks;
    }

    /// Answers from now on have to be awaited.
    pub(crate) fn answer_later(&self) {
        self.0.lock().unwrap().answers_later = true;
    }

    /// The cluster looks like this from now on.
    pub(crate) fn change_status(&self, change: impl FnOnce(&mut Status)) {
        let mut inner = self.0.lock().unwrap();
        let mut status = (*inner.status).clone();
        change(&mut status);
        inner.status = Arc::new(status);
    }

    /// What was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// The one operation that was asked since the last time.
    pub(crate) fn operation(&self) -> Operation {
        match self.take_asked().pop().expect("something was asked").command {
            Command::Key(KeyRequest { operation, .. }) => operation,
            other => panic!("not about one key: {other:?}"),
        }
    }

    /// The one change that was asked for since the last time, and whether it was only to be planned.
    pub(crate) fn change(&self) -> (Change, bool) {
        match self.take_asked().pop().expect("something was asked").command {
            Command::Change(change) => (*change, false),
            Command::Plan(change) => (*change, true),
            other => panic!("no change: {other:?}"),
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().records.len()
    }
}

impl Store for Fake {
    type Pending = Ready<Outcome>;

    fn call(&self, request: Request) -> Answer<Ready<Outcome>> {
        assert!(!format!("{request:?}").contains(KEY_THAT_PANICS), "as the test wants it");
        let mut inner = self.0.lock().unwrap();
        inner.asked.push(request.clone());
        let outcome = inner.scripted.take().unwrap_or_else(|| inner.answer(request.command));
        if inner.answers_later {
            Answer::Pending(std::future::ready(outcome))
        } else {
            Answer::Ready(outcome)
        }
    }

    fn status(&self) -> Arc<Status> {
        self.0.lock().unwrap().status.clone()
    }

    fn counters(&self) -> Vec<Counter> {
        let value = f64::from(u32::try_from(self.0.lock().unwrap().writes).unwrap());
        vec![Counter { name: "writes_total", help: "Writes made.", value }]
    }

    fn members(&self) -> Arc<[MemberStatus]> {
        let member = |node: &NodeStatus| MemberStatus {
            name: node.name.clone(),
            verdict: "up",
            generation: Some(1),
            heartbeat: 7,
            age: Some(std::time::Duration::from_millis(250)),
            phi: 0.125,
            suspected_by: Vec::new(),
            load: Some(NodeLoad {
                cpu_permille: 340,
                operations_per_second: 1_200,
                disk_used_bytes: 5,
                disk_bytes: 50,
                hottest: vec![PartitionRate { partition: PartitionId(17), operations_per_second: 410 }],
            }),
            disk_is_full: true,
        };
        self.status().nodes.iter().map(member).collect()
    }

    fn heat(&self) -> HeatStatus {
        let key = |key: &'static [u8], keyspace| HotKey {
            keyspace,
            partition: PartitionId(17),
            key: Bytes::from_static(key),
            reads_per_second: 812.44,
            writes_per_second: 31.0,
            missed_per_second: 0.06,
        };
        let partition = PartitionHeat {
            partition: PartitionId(17),
            reads_per_second: 900.0,
            writes_per_second: 77.5,
            bytes_per_second: 1e6,
        };
        let keys = vec![key(b"user:1", self.status().keyspaces[0].id), key(&[0xFF], KeyspaceId(999))];
        HeatStatus { keys, partitions: vec![partition] }
    }
}

impl Inner {
    fn answer(&mut self, command: Command) -> Outcome {
        match command {
            Command::Key(request) => self.answer_about_key(request),
            Command::Repair => Ok(Reply::Repairing),
            Command::Explain { keyspace, key } => Ok(Reply::Explain(Box::new(self.explain(keyspace, &key)))),
            Command::Change(change) => self.change(*change).map(Reply::Changed),
            Command::Plan(_) => Ok(Reply::Planned(planned())),
            other => panic!("no front end over HTTP asks {other:?}"),
        }
    }

    fn change(&mut self, change: Change) -> Result<Changed, Error> {
        let mut status = (*self.status).clone();
        status.epoch = Epoch(status.epoch.0 + 1);
        let mut changed = Changed { epoch: status.epoch, ..Changed::default() };
        let place = |status: &Status, name: &str| {
            let place = status.keyspaces.iter().position(|keyspace| keyspace.name == name);
            place.ok_or_else(|| Error::NoSuchKeyspace(name.to_owned()))
        };
        match change {
            Change::CreateKeyspace { name, settings } => {
                let number = settings.number.unwrap_or(3);
                status.keyspaces.push(keyspace(number, &name, "siblings"));
                changed.number = Some(number);
            }
            Change::AlterKeyspace { name, settings } => {
                let place = place(&status, &name)?;
                if let Some(n) = settings.n {
                    status.keyspaces[place].n_text = n;
                    changed.partitions = 256;
                }
            }
            Change::DropKeyspace { name } => {
                let place = place(&status, &name)?;
                status.keyspaces.remove(place);
            }
            _ => {
                changed.partitions = 64;
                changed.notes = vec!["n4 is slow".to_owned()];
            }
        }
        self.status = Arc::new(status);
        Ok(changed)
    }

    fn answer_about_key(&mut self, request: KeyRequest) -> Outcome {
        let KeyRequest { keyspace, key, operation } = request;
        match operation {
            Operation::Get { detail, .. } => Ok(Reply::Found(self.find(keyspace, &key, detail))),
            Operation::Put { value, context, expiry, priority, .. } => {
                let payload = Payload::Value(value);
                let written =
                    self.write(keyspace, key, payload, &context.unwrap_or_default(), expiry, priority);
                Ok(Reply::Written(written))
            }
            Operation::Delete { context, .. } => Ok(Reply::Deleted(self.delete(keyspace, key, context))),
            Operation::Expire { .. } => panic!("no front end over HTTP asks for this"),
        }
    }

    fn policy(&self, keyspace: KeyspaceId) -> Policy {
        self.status.keyspace_by_id(keyspace).unwrap().policy.parse().unwrap()
    }

    fn find(&self, keyspace: KeyspaceId, key: &Bytes, detail: Detail) -> Found {
        let Some(record) = self.records.get(&(keyspace, key.clone())) else {
            return Found::default();
        };
        let view = View::of(record, self.policy(keyspace), NOW);
        Found {
            context: record.context(),
            values: view.versions().iter().map(|version| shown(version, detail)).collect(),
            marks: self.marks,
        }
    }

    fn write(
        &mut self,
        keyspace: KeyspaceId,
        key: Bytes,
        payload: Payload,
        context: &Context,
        expiry: ExpiryChange,
        priority: u8,
    ) -> Written {
        self.writes += 1;
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        let dot = Dot { actor, counter: self.writes };
        let stamp = Stamp::new(NOW.0 + self.writes, 0);
        let ends = if let ExpiryChange::At(at) = expiry { Some(at) } else { None };
        let version =
            Version::new(dot, stamp, payload, OperationId(self.writes)).with_priority(priority).ending(ends);
        let held = self.records.get(&(keyspace, key.clone()));
        let record =
            Record::put(held, self.policy(keyspace), context, version).expect("the write can be made");
        let context = record.context_after(context, dot).unwrap();
        self.records.insert((keyspace, key), record);
        Written { context, operation: OperationId(self.writes), acknowledged: 3, marks: self.marks }
    }

    fn delete(&mut self, keyspace: KeyspaceId, key: Bytes, context: Option<Context>) -> Deleted {
        let found = self.find(keyspace, &key, Detail::Values);
        if found.values.is_empty() {
            return Deleted::default();
        }
        let context = context.unwrap_or(found.context);
        let written = self.write(keyspace, key, Payload::Tombstone, &context, ExpiryChange::Clear, 0);
        Deleted { existed: true, written }
    }

    fn explain(&self, keyspace: KeyspaceId, key: &Bytes) -> Explanation {
        let found = self.find(keyspace, key, Detail::Clocks);
        let owner = OwnerAnswer {
            node: "n1".to_owned(),
            state: if found.values.is_empty() { "absent" } else { "found" }.to_owned(),
            clocks: found.values.iter().map(|value| value.clock.clone()).collect(),
            stamp: found.values.first().map(|value| value.stamp),
            bytes: 72,
        };
        Explanation {
            slot: ring::Slot::of_key(key).number(),
            partition: 1,
            partitions: 256,
            fallbacks: vec!["n4".to_owned()],
            owners: vec![owner],
            quorum: "N=3 R=quorum W=quorum".to_owned(),
        }
    }
}

fn planned() -> Planned {
    let planned = PlannedMove {
        partition: 17,
        keyspaces: vec!["default".to_owned()],
        from: vec!["n1".to_owned()],
        to: vec!["n3".to_owned()],
        why: "n1 leaves".to_owned(),
        bytes: Some(4096),
    };
    Planned { epoch: Epoch(7), moves: vec![planned], notes: vec!["n3 gets most".to_owned()] }
}

fn shown(version: &Version, detail: Detail) -> ShownValue {
    let clock = clock_entries(&version.clock(), &version.clock(), |_| Some("n1"));
    ShownValue {
        value: version.payload.value().cloned().unwrap_or_default(),
        expires: version.expiry.at,
        stamp: version.stamp,
        priority: version.priority,
        clock: if detail == Detail::Clocks { clock } else { Vec::new() },
    }
}

/// Three nodes, the second of them in another data center, and a keyspace of each policy.
fn status() -> Status {
    Status {
        name: "test".to_owned(),
        epoch: Epoch(7),
        here: 0,
        nodes: vec![node(1, "dc1"), node(2, "dc2"), node(3, "dc1")],
        keyspaces: vec![
            keyspace(0, "default", "lww"),
            keyspace(1, "siblings", "siblings"),
            keyspace(2, "by priority", "priority"),
        ],
        partitions: 256,
        slots: vec![
            SlotRange { first: 0, last: 8191, primary: 0, owners: vec![0, 1, 2] },
            SlotRange { first: 8192, last: 16383, primary: 2, owners: vec![2, 0, 1] },
        ],
        movements: Vec::new(),
        waiting: 0,
        is_merging: false,
        group: GroupStatus {
            voters: vec!["n1".to_owned(), "n2".to_owned(), "n3".to_owned()],
            leader: Some("n2".to_owned()),
            term: 3,
            generation: 0,
        },
        data_dir: PathBuf::from("data"),
        version: "0.1.0".to_owned(),
        started: NOW,
        notices: vec!["durability is interval".to_owned()],
    }
}

fn node(number: u16, data_center: &str) -> NodeStatus {
    let address = |port: u16| Some(std::net::SocketAddr::from(([127, 0, 0, 1], port + number)));
    NodeStatus {
        id: NodeId(number),
        name: format!("n{number}"),
        state: NodeState::Up,
        standing: NodeStanding::Settled,
        data_center: data_center.to_owned(),
        rack: "r1".to_owned(),
        weight: 1.0,
        partitions: 85,
        replicas: 256,
        resp: address(7000),
        cluster: None,
        http: address(8000),
        peer: address(9000),
    }
}

fn keyspace(number: u32, name: &str, policy: &str) -> KeyspaceStatus {
    KeyspaceStatus {
        id: KeyspaceId(number + 10),
        number,
        name: name.to_owned(),
        n: 3,
        n_text: "3".to_owned(),
        r: Level::Quorum,
        w: Level::Quorum,
        policy: policy.to_owned(),
        quorum: "sloppy".to_owned(),
        durability: "always".to_owned(),
        model: "eventual".to_owned(),
        model_sentence: "Always writable.".to_owned(),
        key_bytes_max: 65536,
        value_bytes_max: 1024 * 1024,
        siblings_max: 100,
        require_context: false,
        allow_flush: false,
    }
}
