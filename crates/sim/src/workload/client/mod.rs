//! A client: what it does next (`asking` says what of keys), what is to come of that whatever ails others
//! (`demanding`), and what it makes of the answer (`judging`).

mod asking;
mod demanding;
mod judging;

use std::collections::BTreeSet;

use api::{Command, KeyRequest, Request, Scope};
use bytes::Bytes;
use causality::Context;
use env::Rng;
use quorum::Level;
use types::{Instant, KeyspaceId, OperationId};

use super::books::Books;
use super::registers::{self, Rank};
use super::scans::Scan;
use super::siblings::{self, ValueId};
use crate::network::Place;
use crate::scenario::{REGISTERS, SIBLINGS, Scenario};
use crate::world::{AskId, World};

/// A broken rule and what broke it.
pub type Problem = (&'static str, String);

/// One client.
#[derive(Debug)]
pub struct Client {
    number: usize,
    home: Place,
    /// The nodes that it may ask.
    places: Vec<Place>,
    rng: Rng,
    keys: u64,
    pending: Option<Pending>,
    refused: bool,
    /// What it last read or wrote of a key of siblings, to be replaced by its next write.
    known: Option<Known>,
    /// Its last write to a register: the key, the level, and what it knows since.
    last_write: Option<(KeyspaceId, Bytes, Context)>,
    /// A write whose acknowledgements it may wait for, at the node that made it.
    acknowledging: Option<OperationId>,
    scan: Option<Scan>,
}

/// A key of siblings as a client knows it.
#[derive(Clone, Debug)]
struct Known {
    key: Bytes,
    context: Context,
    ids: BTreeSet<ValueId>,
    elements: BTreeSet<ValueId>,
}

#[derive(Debug)]
enum Pending {
    /// One outcome for each, in order.
    Tasks(Vec<Task>),
    Scan,
    Count,
    RandomKey(KeyspaceId),
    Explanation,
    Acknowledgements,
}

/// One key of a request.
#[derive(Debug)]
struct Task {
    keyspace: KeyspaceId,
    key: Bytes,
    level: Option<Level>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    RegisterGet { begun: registers::Begun, demanded: Rank, at: Instant },
    RegisterPut { begun: registers::Begun, value: Bytes, rests_on_a_read: bool },
    RegisterDelete { begun: registers::Begun },
    RegisterExpire,
    SiblingsGet { begun: siblings::Begun, demanded: Option<(ValueId, BTreeSet<ValueId>)> },
    SiblingsPut { id: ValueId, known: BTreeSet<ValueId>, elements: BTreeSet<ValueId> },
    SiblingsDelete { covers: BTreeSet<ValueId>, wide: bool },
}

impl Client {
    /// A client that knows nothing yet.
    pub fn new(number: usize, scenario: &Scenario, mut rng: Rng) -> Client {
        let places: Vec<Place> = (0..scenario.nodes.len()).collect();
        Client {
            number,
            home: pick_place(&mut rng, &places),
            places,
            rng,
            keys: scenario.keys,
            pending: None,
            refused: false,
            known: None,
            last_write: None,
            acknowledging: None,
            scan: None,
        }
    }

    /// Whether it waits for an answer.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// It knows no more of what it has written to a keyspace.
    pub fn forget_writes_to(&mut self, keyspace: KeyspaceId) {
        self.last_write.take_if(|(written, ..)| *written == keyspace);
    }

    /// Whether what it waits for is a walk over a keyspace.
    pub fn is_walking(&self) -> bool {
        matches!(self.pending, Some(Pending::Scan | Pending::Count | Pending::RandomKey(_)))
    }

    /// Whether its last request was turned away.
    pub fn was_refused(&self) -> bool {
        self.refused
    }

    /// From now on it asks these nodes and no others.
    pub fn keep_to(&mut self, places: &[Place]) {
        self.places = places.to_vec();
        if !self.places.contains(&self.home) {
            self.home = pick_place(&mut self.rng, &self.places);
            self.acknowledging = None;
        }
    }

    /// Asks something.
    pub fn begin(&mut self, world: &mut World, books: &mut Books) -> AskId {
        if self.rng.chance(1, 12) && self.acknowledging.is_none() {
            self.home = pick_place(&mut self.rng, &self.places);
        }
        let (pending, request) = self.choose(world, books);
        self.pending = Some(pending);
        world.ask(self.home, request)
    }

    fn choose(&mut self, world: &World, books: &mut Books) -> (Pending, Request) {
        if let Some(operation) = self.acknowledging.take() {
            let command = Command::AwaitAcknowledgements { operation, replicas: 3 };
            let timeout = Some(std::time::Duration::from_millis(200));
            return (Pending::Acknowledgements, Request { command, timeout });
        }
        match self.rng.below(100) {
            _ if self.scan.is_some() => self.scan_on(books),
            0..45 => single(self.siblings_task(books)),
            45..82 => single(self.register_task(world, books)),
            82..92 => {
                let tasks = (0..2 + self.rng.below(4)).map(|_| self.register_task(world, books));
                let (tasks, requests) = tasks.unzip();
                (Pending::Tasks(tasks), Request::new(Command::Batch(requests)))
            }
            92..96 => {
                let keyspace = self.scanned_keyspace();
                self.scan = Some(Scan::begin(keyspace, books.certain(keyspace)));
                self.scan_on(books)
            }
            96..98 => {
                let keyspace = self.scanned_keyspace();
                (Pending::Count, Request::new(Command::Count { keyspace, scope: Scope::Cluster }))
            }
            98 => {
                let (keyspace, key) = (REGISTERS, Bytes::from(format!("r{}", self.rng.below(self.keys))));
                (Pending::Explanation, Request::new(Command::Explain { keyspace, key }))
            }
            _ => {
                let keyspace = self.scanned_keyspace();
                (
                    Pending::RandomKey(keyspace),
                    Request::new(Command::RandomKey { keyspace, scope: Scope::Cluster }),
                )
            }
        }
    }

    fn scanned_keyspace(&mut self) -> KeyspaceId {
        *self.rng.pick(&[REGISTERS, SIBLINGS]).unwrap_or(&REGISTERS)
    }

    fn scan_on(&mut self, books: &Books) -> (Pending, Request) {
        let scan = self.scan.get_or_insert_with(|| Scan::begin(REGISTERS, books.certain(REGISTERS)));
        let (keyspace, cursor) = (scan.keyspace, scan.cursor);
        let count = usize::try_from(1 + self.rng.below(20)).unwrap_or(1);
        let request = api::ScanRequest { keyspace, cursor, count, scope: Scope::Cluster };
        (Pending::Scan, Request::new(Command::Scan(request)))
    }

    fn level(&mut self) -> Option<Level> {
        match self.rng.below(20) {
            0 => Some(Level::One),
            1 => Some(Level::All),
            _ => None,
        }
    }
}

fn single((task, request): (Task, KeyRequest)) -> (Pending, Request) {
    (Pending::Tasks(vec![task]), Request::new(Command::Key(request)))
}

fn pick_place(rng: &mut Rng, places: &[Place]) -> Place {
    rng.pick(places).copied().unwrap_or(0)
}
