//! Clients at work, and the honest books that they keep: done, not done, or unknown.
//!
//! Each client asks one thing at a time and thinks in between. What it is told goes into the [`books`], which say at once
//! when an answer may not have been given: [`registers`] for keys of one value, [`siblings`] for keys that keep several,
//! [`scans`] for iterations. [`client`] decides what to do next. [`serving`] counts what a healthy core makes of what it is asked.

pub mod books;
pub mod client;
pub mod registers;
pub mod scans;
pub mod serving;
pub mod siblings;

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Command, Detail, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use env::Rng;
use quorum::Level;
use types::{Instant, KeyspaceId};

use crate::healthy_core::HealthyCore;
use crate::network::Place;
use crate::random::micros;
use crate::scenario::{RELAXED, SIBLINGS};
use crate::world::{Answer, AskId, World};
use books::Books;
use client::Client;
use serving::{Served, Watch};
use siblings::Shown;

/// What all clients together were told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Requests answered with what was asked for.
    pub done: u64,
    /// Requests that were not done.
    pub not_done: u64,
    /// Of those, reads that demanded what a stand-in may keep, which gives it to its owners in time.
    pub on_its_way: u64,
    /// Requests of which nobody knows.
    pub unknown: u64,
    /// Walks over a keyspace that did not come to their end in time.
    pub walks_ended_early: u64,
    /// Writes that were acknowledged.
    pub written: u64,
    /// Iterations that came to their end.
    pub scans: u64,
}

/// All clients and their books.
#[derive(Debug)]
pub struct Workload {
    clients: Vec<Client>,
    books: Books,
    /// Who asked, and when.
    by_ask: BTreeMap<AskId, (usize, Instant)>,
    rng: Rng,
    figures: Figures,
    resting: bool,
    watch: Option<Watch>,
}

impl Workload {
    /// The clients of this world's scenario, about to begin.
    pub fn start(world: &mut World, mut rng: Rng) -> Workload {
        let scenario = world.scenario().clone();
        let clients =
            (0..scenario.clients).map(|number| Client::new(number, &scenario, rng.fork())).collect();
        let books = Books::new(&scenario);
        let mut workload = Workload {
            clients,
            books,
            by_ask: BTreeMap::new(),
            rng,
            figures: Figures::default(),
            resting: false,
            watch: None,
        };
        for client in 0..workload.clients.len() {
            workload.think(world, client);
        }
        workload
    }

    /// What they were told so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether a client waits for an answer.
    pub fn is_busy(&self) -> bool {
        !self.by_ask.is_empty()
    }

    /// From now on nobody begins anything (or does again).
    pub fn rest(&mut self, world: &mut World, resting: bool) {
        self.resting = resting;
        if !resting {
            for client in 0..self.clients.len() {
                self.think(world, client);
            }
        }
    }

    /// From now on clients ask these nodes and no others.
    pub fn keep_to(&mut self, places: &[Place]) {
        self.clients.iter_mut().for_each(|client| client.keep_to(places));
    }

    /// From now on what becomes of requests to a healthy core is counted.
    pub fn watch(&mut self, core: HealthyCore) {
        self.watch = Some(Watch::new(core));
    }

    /// What became of them.
    pub fn end_watch(&mut self) -> Served {
        self.watch.take().map(Watch::into_served).unwrap_or_default()
    }

    /// A machine lost power: what was acknowledged without a sync may be gone, and no client can insist on it.
    pub fn power_was_cut(&mut self) {
        for ((keyspace, _), register) in &mut self.books.registers {
            if *keyspace == RELAXED {
                register.forget();
            }
        }
        self.clients.iter_mut().for_each(|client| client.forget_writes_to(RELAXED));
    }

    /// The client whose alarm this is begins something.
    pub fn alarm(&mut self, world: &mut World, client: usize) {
        if self.resting || self.clients[client].is_waiting() {
            return;
        }
        let ask = self.clients[client].begin(world, &mut self.books);
        self.by_ask.insert(ask, (client, world.now()));
    }

    /// A client has an answer, which is handed back if it is none of ours.
    pub fn answered(&mut self, world: &mut World, ask: AskId, answer: Answer) -> Option<Answer> {
        let Some((client, asked_at)) = self.by_ask.remove(&ask) else {
            return Some(answer);
        };
        if let Some(watch) = &mut self.watch {
            let demands = self.clients[client].demands(world, &watch.core);
            let times = (world.now().since(asked_at), world.scenario().timeout);
            watch.answered(demands, &answer, times);
        }
        self.count(&answer, self.clients[client].is_walking());
        let figures = &mut self.figures;
        let problems = self.clients[client].answered(world, &mut self.books, answer, figures);
        for (rule, what) in problems {
            world.violated(rule, what);
        }
        self.think(world, client);
        None
    }

    fn count(&mut self, answer: &Answer, walking: bool) {
        let figures = &mut self.figures;
        let single = match answer {
            Answer::Refused => return figures.not_done += 1,
            Answer::Lost => return figures.unknown += 1,
            Answer::Outcome(Err(_)) if walking => return figures.walks_ended_early += 1,
            Answer::Outcome(outcome) => std::slice::from_ref(outcome),
        };
        let outcomes = if let [Ok(Reply::Batch(outcomes))] = single { outcomes } else { single };
        for outcome in outcomes {
            match outcome {
                Ok(_) => figures.done += 1,
                Err(error) if error.fate() == api::Fate::Unknown => figures.unknown += 1,
                Err(_) => figures.not_done += 1,
            }
        }
    }

    fn think(&mut self, world: &mut World, client: usize) {
        let most = u64::try_from(world.scenario().think_max.as_micros()).unwrap_or(0);
        // Who was turned away does not come back at once.
        let patience = if self.clients[client].was_refused() { 50_000 } else { 100 };
        let pause: Duration = micros(&mut self.rng, patience, most.max(patience));
        world.set_alarm(pause, client as u64);
    }

    /// Every key that was ever written.
    pub fn keys(&self) -> Vec<(KeyspaceId, Bytes)> {
        let siblings = self.books.siblings.keys().map(|key| (SIBLINGS, key.clone()));
        self.books.registers.keys().cloned().chain(siblings).collect()
    }

    /// Checks what is left of a key in the end, when all its owners have answered.
    pub fn check_last(&mut self, world: &mut World, (keyspace, key): (KeyspaceId, &Bytes), answer: &Answer) {
        const RULE: &str = "no acknowledged write is lost (A1)";
        let Answer::Outcome(Ok(Reply::Found(found))) = answer else {
            let what = format!("a read of {} at all owners: {answer:?}", key.escape_ascii());
            return world.violated("a healed cluster serves (liveness)", what);
        };
        let latest = world.latest_wall_ms();
        let name = key.escape_ascii().to_string();
        let checked = if keyspace == SIBLINGS {
            let book = self.books.sibling_key(key);
            Shown::of(found).and_then(|shown| {
                book.read(&siblings::Begun::default(), &shown, None)?;
                book.check_last(&shown)
            })
        } else {
            self.books.register(keyspace, key).check_last(found, latest)
        };
        if let Err(what) = checked {
            world.violated(RULE, format!("{keyspace} {name}: {what}"));
        }
    }
}

/// A read of a key at all its owners.
pub fn read_all(keyspace: KeyspaceId, key: Bytes) -> Request {
    let operation = Operation::Get { read: Some(Level::All), context: None, detail: Detail::Values };
    Request::new(Command::Key(KeyRequest { keyspace, key, operation }))
}
