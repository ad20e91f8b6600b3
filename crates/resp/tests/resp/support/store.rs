//! A store in memory: one node that keeps real records, answers at once or when told to, and fails when told to.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use api::{
    Answer, Change, Changed, Command, Counter, Deleted, Error, ExpiryChange, Explanation, Found, KeyRequest,
    Marks, Operation, Outcome, OwnerAnswer, Reply, Request, ScanPage, ScanRequest, Scope, ShownValue, Status,
    Store, Touched, Written,
};
use bytes::Bytes;
use causality::{Actor, Context, Dot, Expiry, Payload, Policy, Record, Stamp, Version, View};
use types::{Epoch, Incarnation, KeyspaceId, OperationId, Stint, WallTime};

use super::status::{keyspace, status};

#[derive(Clone)]
pub(crate) struct FakeStore {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    status: Arc<Status>,
    records: BTreeMap<(KeyspaceId, Bytes), Record>,
    now: WallTime,
    writes: u64,
    /// Questions are left pending until released.
    is_deferring: bool,
    gates: VecDeque<Rc<RefCell<Gate>>>,
    /// What was asked, in order.
    asked: Vec<String>,
    /// Operations on this key fail with this.
    failing: BTreeMap<Bytes, Error>,
    panics_on: Option<Bytes>,
    marks: Marks,
}

#[derive(Default)]
struct Gate {
    is_open: bool,
    waker: Option<Waker>,
}

/// An answer that waits for its gate.
pub(crate) struct Later {
    outcome: Option<Outcome>,
    gate: Rc<RefCell<Gate>>,
}

impl Future for Later {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Outcome> {
        let is_open = self.gate.borrow().is_open;
        if is_open {
            return Poll::Ready(self.outcome.take().expect("polled once after it is ready"));
        }
        self.gate.borrow_mut().waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl FakeStore {
    pub(crate) fn new() -> FakeStore {
        FakeStore {
            inner: Rc::new(RefCell::new(Inner {
                status: Arc::new(status()),
                records: BTreeMap::new(),
                now: WallTime(1_000_000),
                writes: 0,
                is_deferring: false,
                gates: VecDeque::new(),
                asked: Vec::new(),
                failing: BTreeMap::new(),
                panics_on: None,
                marks: Marks::default(),
            })),
        }
    }

    pub(crate) fn now(&self) -> WallTime {
        self.inner.borrow().now
    }

    pub(crate) fn advance(&self, millis: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.now = inner.now.plus_millis(millis);
    }

    pub(crate) fn defer(&self) {
        self.inner.borrow_mut().is_deferring = true;
    }

    /// Answers the pending question number `index`, counted from the oldest one still pending.
    pub(crate) fn release(&self, index: usize) {
        let gate = self.inner.borrow_mut().gates.remove(index).expect("so many questions are pending");
        let mut gate = gate.borrow_mut();
        gate.is_open = true;
        if let Some(waker) = gate.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.inner.borrow().gates.len()
    }

    pub(crate) fn fail(&self, key: &str, error: Error) {
        self.inner.borrow_mut().failing.insert(Bytes::copy_from_slice(key.as_bytes()), error);
    }

    /// All answers are weaker in this way.
    pub(crate) fn mark(&self, marks: Marks) {
        self.inner.borrow_mut().marks = marks;
    }

    pub(crate) fn panic_on(&self, key: &str) {
        self.inner.borrow_mut().panics_on = Some(Bytes::copy_from_slice(key.as_bytes()));
    }

    pub(crate) fn change_status(&self, change: impl FnOnce(&mut Status)) {
        change(Arc::make_mut(&mut self.inner.borrow_mut().status));
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.borrow_mut().asked)
    }
}

impl Store for FakeStore {
    type Pending = Later;

    fn call(&self, request: Request) -> Answer<Later> {
        let mut inner = self.inner.borrow_mut();
        let outcome = inner.command(request.command);
        if !inner.is_deferring {
            return Answer::Ready(outcome);
        }
        let gate = Rc::new(RefCell::new(Gate::default()));
        inner.gates.push_back(gate.clone());
        Answer::Pending(Later { outcome: Some(outcome), gate })
    }

    fn status(&self) -> Arc<Status> {
        self.inner.borrow().status.clone()
    }

    fn counters(&self) -> Vec<Counter> {
        vec![Counter { name: "memory_used_bytes", help: "Memory in use.", value: 12345.0 }]
    }

    fn members(&self) -> Arc<[api::MemberStatus]> {
        Arc::new([])
    }

    fn heat(&self) -> api::HeatStatus {
        api::HeatStatus::default()
    }
}

impl Inner {
    fn command(&mut self, command: Command) -> Outcome {
        match command {
            Command::Key(request) => self.key(request),
            Command::Batch(requests) => Ok(Reply::Batch(requests.into_iter().map(|r| self.key(r)).collect())),
            Command::Scan(request) => Ok(Reply::Scan(self.scan(&request))),
            Command::Count { keyspace, scope } => {
                self.asked.push(format!("count {scope:?}"));
                Ok(Reply::Count(self.live(keyspace).len() as u64))
            }
            Command::RandomKey { keyspace, .. } => {
                Ok(Reply::RandomKey(self.live(keyspace).into_iter().next()))
            }
            Command::Explain { key, .. } => Ok(Reply::Explain(Box::new(explanation(&key)))),
            Command::AwaitAcknowledgements { operation, replicas } => {
                self.asked.push(format!("await {operation} {replicas}"));
                Ok(Reply::Acknowledged(3))
            }
            Command::Change(change) => self.change(*change).map(Reply::Changed),
            Command::Repair | Command::Plan(_) => panic!("no command asks for this"),
        }
    }

    /// Names and numbers are taken as they come; what a setting means is nothing of a front end's.
    fn change(&mut self, change: Change) -> Result<Changed, Error> {
        self.asked.push(format!("{change:?}"));
        if let Some(error) = self.failing.get(&b"the cluster"[..]) {
            return Err(error.clone());
        }
        let status = Arc::make_mut(&mut self.status);
        let epoch = Epoch(status.epoch.0 + 1);
        let mut changed = Changed { epoch, ..Changed::default() };
        let place = |status: &Status, name: &str| {
            let place = status.keyspaces.iter().position(|keyspace| keyspace.name == name);
            place.ok_or_else(|| Error::NoSuchKeyspace(name.to_owned()))
        };
        match change {
            Change::CreateKeyspace { name, settings } => {
                let number = settings.number.unwrap_or(7);
                let id = KeyspaceId(100 + u32::try_from(epoch.0).unwrap());
                status.keyspaces.push(keyspace(id, number, &name, Policy::Siblings));
                changed.number = Some(number);
            }
            Change::AlterKeyspace { name, settings } => {
                let place = place(status, &name)?;
                if let Some(n) = settings.n {
                    status.keyspaces[place].n_text = n;
                    changed.partitions = 256;
                    changed.notes = vec!["n3 has little room".to_owned()];
                }
            }
            Change::DropKeyspace { name } => {
                let place = place(status, &name)?;
                status.keyspaces.remove(place);
            }
            other => panic!("no command asks for this: {other:?}"),
        }
        status.epoch = epoch;
        Ok(changed)
    }

    fn key(&mut self, request: KeyRequest) -> Outcome {
        let KeyRequest { keyspace, key, operation } = request;
        assert_ne!(self.panics_on.as_ref(), Some(&key), "told to panic");
        self.asked.push(format!("{} {}{}", name(&operation), key.escape_ascii(), detail(&operation)));
        if let Some(error) = self.failing.get(&key) {
            return Err(error.clone());
        }
        let slot = (keyspace, key);
        match operation {
            Operation::Get { .. } => Ok(Reply::Found(self.found(&slot))),
            Operation::Put { value, context, expiry, priority, .. } => {
                let at = match expiry {
                    ExpiryChange::Clear => None,
                    ExpiryChange::Keep => self.found(&slot).values.first().and_then(|value| value.expires),
                    ExpiryChange::At(at) => Some(at),
                };
                Ok(Reply::Written(self.write(slot, Payload::Value(value), context, at, priority)))
            }
            Operation::Delete { context, .. } => {
                let found = self.found(&slot);
                if found.values.is_empty() {
                    return Ok(Reply::Deleted(Deleted::default()));
                }
                let context = context.unwrap_or(found.context);
                let written = self.write(slot, Payload::Tombstone, Some(context), None, 0);
                Ok(Reply::Deleted(Deleted { existed: true, written }))
            }
            Operation::Expire { change, .. } => Ok(Reply::Touched(self.touch(&slot, change))),
        }
    }

    fn policy(&self, keyspace: KeyspaceId) -> Policy {
        self.status.keyspace_by_id(keyspace).expect("a keyspace of the status").policy.parse().unwrap()
    }

    fn found(&self, slot: &(KeyspaceId, Bytes)) -> Found {
        let Some(record) = self.records.get(slot) else {
            return Found { marks: self.marks, ..Found::default() };
        };
        let view = View::of(record, self.policy(slot.0), self.now);
        let shown = |version: &&Version| ShownValue {
            value: version.payload.value().cloned().unwrap_or_default(),
            expires: version.expiry.at,
            stamp: version.stamp,
            priority: version.priority,
            clock: vec![("n1".to_owned(), version.dot.counter)],
        };
        let values = view.versions().iter().map(shown).collect();
        Found { context: record.context(), values, marks: self.marks }
    }

    fn write(
        &mut self,
        slot: (KeyspaceId, Bytes),
        payload: Payload,
        context: Option<Context>,
        at: Option<WallTime>,
        priority: u8,
    ) -> Written {
        self.writes += 1;
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        let dot = Dot { actor, counter: self.writes };
        let stamp = Stamp::new(self.now.0, u16::try_from(self.writes).unwrap());
        let operation = OperationId(self.writes);
        let version = Version::new(dot, stamp, payload, operation).ending(at).with_priority(priority);
        let context = context.unwrap_or_default();
        let policy = self.policy(slot.0);
        let record = Record::put(self.records.get(&slot), policy, &context, version).unwrap();
        let context = record.context_after(&context, dot).unwrap();
        self.records.insert(slot, record);
        Written { context, operation, acknowledged: 2, marks: self.marks }
    }

    fn touch(&mut self, slot: &(KeyspaceId, Bytes), change: ExpiryChange) -> Touched {
        let found = self.found(slot);
        let at = match change {
            ExpiryChange::Keep => {
                return Touched { found, changed: false };
            }
            ExpiryChange::Clear => None,
            ExpiryChange::At(at) => Some(at),
        };
        let changed = found.values.iter().any(|value| value.expires != at);
        if let Some(record) = self.records.get(slot) {
            self.writes += 1;
            let expiry = Expiry { stamp: Stamp::new(self.now.0, u16::try_from(self.writes).unwrap()), at };
            let record = record.with_expiry(&record.context(), expiry).unwrap();
            self.records.insert(slot.clone(), record);
        }
        Touched { found, changed }
    }

    fn live(&self, keyspace: KeyspaceId) -> Vec<Bytes> {
        let in_keyspace = self.records.keys().filter(|(of, _)| *of == keyspace);
        in_keyspace.filter(|slot| !self.found(slot).values.is_empty()).map(|(_, key)| key.clone()).collect()
    }

    /// The cursor is how many keys have been looked at; good enough for a keyspace that only shrinks behind it when it
    /// is emptied, in which case the walk begins again.
    fn scan(&mut self, request: &ScanRequest) -> ScanPage {
        self.asked.push(format!("scan {} {} {:?}", request.cursor, request.count, request.scope));
        let all: Vec<Bytes> = self
            .records
            .keys()
            .filter(|(of, _)| *of == request.keyspace)
            .map(|(_, key)| key.clone())
            .collect();
        let start = usize::try_from(request.cursor).unwrap().min(all.len());
        let end = (start + request.count).min(all.len());
        let is_live = |key: &&Bytes| !self.found(&(request.keyspace, (*key).clone())).values.is_empty();
        let in_scope = |key: &&Bytes| match request.scope {
            Scope::Slot(slot) => ring::Slot::of_key(key).number() == slot,
            Scope::Cluster | Scope::Primaries => true,
        };
        let keys = all[start..end].iter().filter(is_live).filter(in_scope).cloned().collect();
        ScanPage { cursor: if end == all.len() { 0 } else { end as u64 }, keys }
    }
}

fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Get { .. } => "get",
        Operation::Put { .. } => "put",
        Operation::Delete { .. } => "delete",
        Operation::Expire { .. } => "expire",
    }
}

fn detail(operation: &Operation) -> String {
    let (read, write) = match operation {
        Operation::Get { read, .. } => (read, &None),
        Operation::Put { write, .. } => (&None, write),
        Operation::Delete { read, write, .. } | Operation::Expire { read, write, .. } => (read, write),
    };
    let shown = |name: &str, level: &Option<quorum::Level>| {
        level.map_or_else(String::new, |l| format!(" {name}={l}"))
    };
    shown("r", read) + &shown("w", write)
}

fn explanation(key: &[u8]) -> Explanation {
    let owner = |node: &str| OwnerAnswer {
        node: node.into(),
        state: "found".into(),
        clocks: vec![vec![("n1".into(), 1), ("n2".into(), 3)]],
        stamp: Some(Stamp::new(1_000_000, 1)),
        bytes: 42,
    };
    Explanation {
        slot: ring::Slot::of_key(key).number(),
        partition: 7,
        partitions: 256,
        fallbacks: vec!["n3".into()],
        owners: vec![owner("n1"), owner("n2")],
        quorum: "N=3 R=quorum W=quorum: eventual".into(),
    }
}
