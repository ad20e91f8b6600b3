//! A client: what it does next, and what it makes of the answer.

use std::collections::BTreeSet;

use api::{Command, Detail, Error, ExpiryChange, Fate, KeyRequest, Operation, Reply, Request, Scope};
use bytes::Bytes;
use causality::Context;
use env::Rng;
use quorum::Level;
use types::{Instant, KeyspaceId, OperationId, WallTime};

use super::books::Books;
use super::registers::{self, Rank, rank_of};
use super::scans::Scan;
use super::siblings::{self, Shown, ValueId, value_bytes};
use super::Figures;
use crate::network::Place;
use crate::scenario::{EVENTUAL, FAST_READ, FAST_WRITE, REGISTERS, RELAXED, SIBLINGS, Scenario};
use crate::witness::written;
use crate::world::{Answer, AskId, World};

/// A broken rule and what broke it.
pub type Problem = (&'static str, String);

const READS: &str = "reads give what was acknowledged, and never go back (C1, C2)";
const WRITES: &str = "a later write outranks what was there (B6)";
const NOT_DONE: &str = "what is not done is never seen (A5)";
const SIBLINGS_SHOWN: &str = "siblings are the values that nobody replaced (B2, B3)";
const LEVELS: &str = "an acknowledgement means W owners (A2)";
const SCANS: &str = "a scan gives what lives";
const ERRORS: &str = "only what cannot be served is refused as invalid";

/// After so many writes to a key of siblings its clients go on to the next, so that its values stay small.
const WRITES_PER_KEY: usize = 40;

/// One client.
#[derive(Debug)]
pub struct Client {
    number: usize,
    home: Place,
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
    Single(Task),
    Batch(Vec<Task>),
    Scan,
    Count,
    RandomKey(KeyspaceId),
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
    RegisterPut { begun: registers::Begun, value: Bytes },
    RegisterDelete { begun: registers::Begun },
    RegisterExpire,
    SiblingsGet { begun: siblings::Begun, demanded: Option<(ValueId, BTreeSet<ValueId>)> },
    SiblingsPut { id: ValueId, known: BTreeSet<ValueId>, elements: BTreeSet<ValueId> },
    SiblingsDelete { covers: BTreeSet<ValueId>, wide: bool },
}

impl Client {
    /// A client that knows nothing yet.
    pub fn new(number: usize, scenario: &Scenario, mut rng: Rng) -> Client {
        Client {
            number,
            home: pick_place(&mut rng, scenario.nodes.len()),
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

    /// Whether what it waits for is a walk over a keyspace.
    pub fn is_walking(&self) -> bool {
        matches!(self.pending, Some(Pending::Scan | Pending::Count | Pending::RandomKey(_)))
    }

    /// Whether its last request was turned away.
    pub fn was_refused(&self) -> bool {
        self.refused
    }

    /// Asks something.
    pub fn begin(&mut self, world: &mut World, books: &mut Books) -> AskId {
        if self.rng.chance(1, 12) && self.acknowledging.is_none() {
            self.home = pick_place(&mut self.rng, world.hosts().len());
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
                (Pending::Batch(tasks), Request::new(Command::Batch(requests)))
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
            _ => {
                let keyspace = self.scanned_keyspace();
                (Pending::RandomKey(keyspace), Request::new(Command::RandomKey { keyspace, scope: Scope::Cluster }))
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

    // Registers.

    fn register_task(&mut self, world: &World, books: &mut Books) -> (Task, KeyRequest) {
        let keyspaces = [REGISTERS, REGISTERS, REGISTERS, REGISTERS, EVENTUAL, FAST_READ, FAST_WRITE, RELAXED];
        let keyspace = *self.rng.pick(&keyspaces).unwrap_or(&REGISTERS);
        let number = self.rng.below(2 * self.keys);
        let key = Bytes::from(format!("r{number}"));
        // Keys of even numbers may be deleted and expire; the others live for ever.
        let mortal = number % 2 == 0;
        let level = if keyspace == REGISTERS { self.level() } else { None };
        let task = |kind| Task { keyspace, key: key.clone(), level, kind };
        let begun = books.register(keyspace, &key).begin();
        let wall = world.hosts()[self.home].moment(world.now()).wall.0;
        let (task, operation) = match self.rng.below(100) {
            0..45 => {
                let known = self.last_write.as_ref().filter(|(id, known, _)| *id == keyspace && *known == key);
                let context = known.map(|(.., context)| context.clone()).filter(|_| self.rng.chance(1, 2));
                let demanded = context.as_ref().and_then(rank_of);
                let read = if demanded.is_some() && keyspace == REGISTERS { Some(Level::One) } else { level };
                let task = Task { level: read, ..task(Kind::RegisterGet { begun, demanded, at: world.now() }) };
                (task, Operation::Get { read, context, detail: Detail::Values })
            }
            45..54 if mortal => {
                books.register(keyspace, &key).delete_begins();
                (task(Kind::RegisterDelete { begun }), Operation::Delete { context: None, write: level, read: None })
            }
            54..58 if mortal && number.is_multiple_of(4) => {
                books.register(keyspace, &key).expiry_change_begins();
                let change = ExpiryChange::At(WallTime(wall + 500 + self.rng.below(5_000)));
                (task(Kind::RegisterExpire), Operation::Expire { change, read: None, write: level })
            }
            roll => {
                let filling = usize::try_from(self.rng.below(300)).unwrap_or(0);
                let value = Bytes::from(format!("v{}.{}", books.next_value(), "y".repeat(filling)));
                let expires = (mortal && roll < 70).then(|| wall + 50 + self.rng.below(3_000));
                books.register(keyspace, &key).put_begins(value.clone(), expires);
                let expiry = expires.map_or(ExpiryChange::Clear, |at| ExpiryChange::At(WallTime(at)));
                let put =
                    Operation::Put { value: value.clone(), context: None, write: level, expiry, priority: 0 };
                (task(Kind::RegisterPut { begun, value }), put)
            }
        };
        (task, KeyRequest { keyspace, key, operation })
    }

    // Siblings.

    fn siblings_task(&mut self, books: &mut Books) -> (Task, KeyRequest) {
        match (self.known.take(), self.rng.below(20)) {
            (Some(known), 0) => self.siblings_delete(books, Some(known)),
            (Some(known), 1..4) => self.siblings_reread(books, known),
            (Some(known), _) => self.siblings_put(books, Some(known)),
            (None, 0..2) => self.siblings_put(books, None),
            (None, 2) => self.siblings_delete(books, None),
            (None, _) => self.siblings_get(books),
        }
    }

    fn siblings_key(&mut self, books: &Books) -> Bytes {
        let number = self.rng.below(self.keys);
        (0..)
            .map(|generation| Bytes::from(format!("set{number}.{generation}")))
            .find(|key| books.siblings.get(key).is_none_or(|book| book.writes() < WRITES_PER_KEY))
            .expect("generations have no end")
    }

    fn siblings_get(&mut self, books: &mut Books) -> (Task, KeyRequest) {
        let key = self.siblings_key(books);
        let level = self.level();
        let meets = books.read_promise(SIBLINGS, level).meets;
        let begun = books.sibling_key(&key).begin(meets);
        let operation = Operation::Get { read: level, context: None, detail: Detail::Values };
        let kind = Kind::SiblingsGet { begun, demanded: None };
        (Task { keyspace: SIBLINGS, key: key.clone(), level, kind }, key_request(key, operation))
    }

    /// Reads at one owner, and insists on what it knows of the key.
    fn siblings_reread(&mut self, books: &mut Books, known: Known) -> (Task, KeyRequest) {
        let meets = books.read_promise(SIBLINGS, Some(Level::One)).meets;
        let begun = books.sibling_key(&known.key).begin(meets);
        let operation =
            Operation::Get { read: Some(Level::One), context: Some(known.context), detail: Detail::Values };
        let newest = known.ids.iter().max().copied();
        let kind = Kind::SiblingsGet { begun, demanded: newest.map(|newest| (newest, known.ids)) };
        let task = Task { keyspace: SIBLINGS, key: known.key.clone(), level: Some(Level::One), kind };
        (task, key_request(known.key, operation))
    }

    fn siblings_put(&mut self, books: &mut Books, known: Option<Known>) -> (Task, KeyRequest) {
        let id = books.next_value();
        let known = known.unwrap_or_else(|| Known {
            key: self.siblings_key(books),
            context: Context::Empty,
            ids: BTreeSet::new(),
            elements: BTreeSet::new(),
        });
        let mut elements = known.elements;
        elements.insert(id);
        let value = value_bytes(id, &elements, usize::try_from(self.rng.below(200)).unwrap_or(0));
        let level = self.level();
        books.sibling_key(&known.key).put_begins(id, self.number, known.ids.clone());
        let context = Some(known.context).filter(|context| !context.is_empty());
        let operation = Operation::Put { value, context, write: level, expiry: ExpiryChange::Clear, priority: 0 };
        let kind = Kind::SiblingsPut { id, known: known.ids, elements };
        (Task { keyspace: SIBLINGS, key: known.key.clone(), level, kind }, key_request(known.key, operation))
    }

    fn siblings_delete(&mut self, books: &mut Books, known: Option<Known>) -> (Task, KeyRequest) {
        let key = known.as_ref().map_or_else(|| self.siblings_key(books), |known| known.key.clone());
        // Without a context it covers whatever its own read finds.
        let known = known.filter(|known| !known.context.is_empty());
        let wide = known.is_none();
        let meets = books.read_promise(SIBLINGS, None).meets;
        let covers = books.sibling_key(&key).delete_begins(known.as_ref().map(|known| &known.ids), meets);
        let context = known.map(|known| known.context);
        let operation = Operation::Delete { context, write: None, read: None };
        let kind = Kind::SiblingsDelete { covers, wide };
        (Task { keyspace: SIBLINGS, key: key.clone(), level: None, kind }, key_request(key, operation))
    }

    // Answers.

    /// Takes an answer, and says which rules it breaks.
    pub fn answered(
        &mut self,
        world: &World,
        books: &mut Books,
        answer: Answer,
        figures: &mut Figures,
    ) -> Vec<Problem> {
        self.refused = is_not_done(&answer);
        if answer == Answer::Refused || answer == Answer::Lost {
            self.home = pick_place(&mut self.rng, world.hosts().len());
        }
        let mut problems = Vec::new();
        match (self.pending.take(), answer) {
            (Some(Pending::Single(task)), answer) => {
                self.task_answered(world, books, task, &answer, figures, &mut problems);
            }
            (Some(Pending::Batch(tasks)), Answer::Outcome(Ok(Reply::Batch(outcomes)))) => {
                for (task, outcome) in tasks.into_iter().zip(outcomes) {
                    let answer = Answer::Outcome(outcome);
                    self.task_answered(world, books, task, &answer, figures, &mut problems);
                }
            }
            (Some(Pending::Batch(tasks)), answer) => {
                for task in tasks {
                    self.task_answered(world, books, task, &answer, figures, &mut problems);
                }
            }
            (Some(Pending::Scan), answer) => self.scan_answered(books, answer, figures, &mut problems),
            (Some(Pending::RandomKey(keyspace)), Answer::Outcome(Ok(Reply::RandomKey(Some(key))))) => {
                if !books.put(keyspace).contains(&key) {
                    problems.push((SCANS, format!("{} is random and was never written", key.escape_ascii())));
                }
            }
            (Some(Pending::Acknowledgements), Answer::Outcome(Ok(Reply::Acknowledged(count)))) => {
                if usize::from(count) > world.scenario().owners() {
                    problems.push((LEVELS, format!("{count} owners are said to have acknowledged")));
                }
            }
            (Some(Pending::Count | Pending::RandomKey(_) | Pending::Acknowledgements) | None, _) => {}
        }
        problems
    }

    fn scan_answered(
        &mut self,
        books: &Books,
        answer: Answer,
        figures: &mut Figures,
        problems: &mut Vec<Problem>,
    ) {
        let Some(mut scan) = self.scan.take() else { return };
        let Answer::Outcome(Ok(Reply::Scan(page))) = answer else { return };
        match scan.page(&page) {
            Ok(false) => self.scan = Some(scan),
            Ok(true) => {
                figures.scans += 1;
                let checked = scan.check(&books.certain(scan.keyspace), &books.put(scan.keyspace));
                problems.extend(checked.err().map(|what| (SCANS, what)));
            }
            Err(what) => problems.push((SCANS, what)),
        }
    }

    fn task_answered(
        &mut self,
        world: &World,
        books: &mut Books,
        task: Task,
        answer: &Answer,
        figures: &mut Figures,
        problems: &mut Vec<Problem>,
    ) {
        let of = |what: String| format!("{} {}: {what}", task.keyspace, task.key.escape_ascii());
        if let Answer::Outcome(Err(Error::Invalid(why) | Error::NoSuchKeyspace(why))) = answer {
            problems.push((ERRORS, of(why.clone())));
        }
        if let Answer::Outcome(outcome) = answer
            && let Some(written) = written(outcome)
        {
            figures.written += 1;
            let (owners, needed) = (world.scenario().owners(), books.write_promise(task.keyspace, task.level).leaves);
            let counted = usize::from(written.acknowledged);
            if counted < needed || counted > owners {
                problems.push((LEVELS, of(format!("{counted} of {owners} owners, {needed} needed"))));
            }
            if self.rng.chance(1, 20) {
                self.acknowledging = Some(written.operation);
            }
        }
        let checked = self.judge(world, books, &task, answer);
        problems.extend(checked.err().map(|(rule, what)| (rule, of(what))));
    }

    fn judge(&mut self, world: &World, books: &mut Books, task: &Task, answer: &Answer) -> Result<(), Problem> {
        let (keyspace, key, level) = (task.keyspace, &task.key, task.level);
        let not_done = is_not_done(answer);
        match &task.kind {
            Kind::RegisterGet { begun, demanded, at } => {
                let Answer::Outcome(Ok(Reply::Found(found))) = answer else { return Ok(()) };
                if rank_of(&found.context) < *demanded {
                    return Err((READS, format!("{:?} was read, and {demanded:?} demanded", found.context)));
                }
                // What its coordinator took the time to be; nobody can say if its clock was set meanwhile.
                let host = &world.hosts()[self.home];
                let wall = |world| host.moment(world).wall.0;
                let steady = host.clock.is_steady_since(*at);
                let wall = steady.then(|| (wall(*at), wall(world.now())));
                let promise = books.read_promise(keyspace, level);
                books.register(keyspace, key).read(*begun, found, promise, wall).map_err(|what| (READS, what))
            }
            Kind::RegisterPut { value, .. } if not_done => {
                books.register(keyspace, key).put_failed(value).map_err(|what| (NOT_DONE, what))
            }
            Kind::RegisterPut { begun, value } => {
                self.register_written(books, task, *begun, Some(value), answer)
            }
            Kind::RegisterDelete { begun } => self.register_written(books, task, *begun, None, answer),
            Kind::RegisterExpire => Ok(()),
            Kind::SiblingsGet { begun, demanded } => {
                let Answer::Outcome(Ok(Reply::Found(found))) = answer else { return Ok(()) };
                let shown = Shown::of(found).map_err(|what| (SIBLINGS_SHOWN, what))?;
                let promise = books.read_promise(keyspace, level);
                let book = books.sibling_key(key);
                book.read(begun, &shown, promise.leaves).map_err(|what| (SIBLINGS_SHOWN, what))?;
                if let Some((newest, known)) = demanded {
                    book.check_demanded(*newest, known, &shown).map_err(|what| (READS, what))?;
                }
                let Shown { ids, elements } = shown;
                self.known = Some(Known { key: key.clone(), context: found.context.clone(), ids, elements });
                Ok(())
            }
            Kind::SiblingsPut { id, .. } if not_done => {
                books.sibling_key(key).put_failed(*id).map_err(|what| (NOT_DONE, what))
            }
            Kind::SiblingsPut { id, known, elements } => {
                let holders = books.write_promise(keyspace, level).leaves;
                let book = books.sibling_key(key);
                let Answer::Outcome(Ok(Reply::Written(written))) = answer else {
                    book.put_unknown();
                    return Ok(());
                };
                book.put_done(*id, holders);
                if self.rng.chance(1, 4) {
                    let mut ids = known.clone();
                    ids.insert(*id);
                    let (context, elements) = (written.context.clone(), elements.clone());
                    self.known = Some(Known { key: key.clone(), context, ids, elements });
                }
                Ok(())
            }
            Kind::SiblingsDelete { covers, wide } => {
                if let Answer::Outcome(Ok(Reply::Deleted(_))) = answer {
                    let holders = books.write_promise(keyspace, level).leaves;
                    books.sibling_key(key).delete_done(covers, *wide, holders);
                } else if not_done && *wide {
                    books.sibling_key(key).delete_done(covers, true, 0);
                }
                Ok(())
            }
        }
    }

    fn register_written(
        &mut self,
        books: &mut Books,
        task: &Task,
        begun: registers::Begun,
        value: Option<&Bytes>,
        answer: &Answer,
    ) -> Result<(), Problem> {
        let Answer::Outcome(outcome) = answer else { return Ok(()) };
        let Some(written) = written(outcome) else { return Ok(()) };
        let promise = books.write_promise(task.keyspace, task.level);
        self.last_write = Some((task.keyspace, task.key.clone(), written.context.clone()));
        let register = books.register(task.keyspace, &task.key);
        register.written(begun, value, &written.context, promise).map_err(|what| (WRITES, what))
    }
}

fn single((task, request): (Task, KeyRequest)) -> (Pending, Request) {
    (Pending::Single(task), Request::new(Command::Key(request)))
}

fn key_request(key: Bytes, operation: Operation) -> KeyRequest {
    KeyRequest { keyspace: SIBLINGS, key, operation }
}

fn pick_place(rng: &mut Rng, places: usize) -> Place {
    usize::try_from(rng.below(places as u64)).unwrap_or(0)
}

fn is_not_done(answer: &Answer) -> bool {
    match answer {
        Answer::Refused => true,
        Answer::Outcome(Err(error)) => error.fate() == Fate::NotDone,
        Answer::Outcome(Ok(_)) | Answer::Lost => false,
    }
}

