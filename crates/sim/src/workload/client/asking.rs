//! What a client asks of keys, entered into the books as it is asked.

use std::collections::BTreeSet;

use api::{Detail, ExpiryChange, KeyRequest, Operation};
use bytes::Bytes;
use causality::Context;
use quorum::Level;
use types::WallTime;

use super::{Client, Kind, Known, Task};
use crate::scenario::{EVENTUAL, FAST_READ, FAST_WRITE, LOCAL, REGISTERS, RELAXED, SIBLINGS, SLOPPY};
use crate::workload::books::Books;
use crate::workload::registers::rank_of;
use crate::workload::siblings::value_bytes;
use crate::world::World;

/// After so many writes to a key of siblings its clients go on to the next, so that its values stay small.
const WRITES_PER_KEY: usize = 40;

impl Client {
    pub(super) fn register_task(&mut self, world: &World, books: &mut Books) -> (Task, KeyRequest) {
        let keyspaces =
            [REGISTERS, REGISTERS, REGISTERS, SLOPPY, SLOPPY, EVENTUAL, FAST_READ, FAST_WRITE, RELAXED];
        let mut keyspace = *self.rng.pick(&keyspaces).unwrap_or(&REGISTERS);
        let scenario = world.scenario();
        if scenario.data_centers > 1 && self.rng.chance(1, 3) {
            keyspace = LOCAL[scenario.data_center_of(self.home)];
        }
        let number = self.rng.below(2 * self.keys);
        let key = Bytes::from(format!("r{number}"));
        // Keys of even numbers may be deleted and expire; the others live for ever.
        let mortal = number.is_multiple_of(2);
        let level = if keyspace == REGISTERS { self.level() } else { None };
        let task = |kind| Task { keyspace, key: key.clone(), level, kind };
        let begun = books.register(keyspace, &key).begin();
        let wall = world.hosts()[self.home].moment(world.now()).wall.0;
        let (task, operation) = match self.rng.below(100) {
            0..45 => {
                let known =
                    self.last_write.as_ref().filter(|(id, known, _)| *id == keyspace && *known == key);
                let context = known.map(|(.., context)| context.clone()).filter(|_| self.rng.chance(1, 2));
                let demanded = context.as_ref().and_then(rank_of);
                let read = if demanded.is_some() && keyspace == REGISTERS { Some(Level::One) } else { level };
                let task =
                    Task { level: read, ..task(Kind::RegisterGet { begun, demanded, at: world.now() }) };
                (task, Operation::Get { read, context, detail: Detail::Values })
            }
            45..54 if mortal => {
                books.register(keyspace, &key).delete_begins();
                (
                    task(Kind::RegisterDelete { begun }),
                    Operation::Delete { context: None, write: level, read: None },
                )
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
                let mut expiry = expires.map_or(ExpiryChange::Clear, |at| ExpiryChange::At(WallTime(at)));
                if number.is_multiple_of(4) && expires.is_none() && self.rng.chance(1, 4) {
                    books.register(keyspace, &key).expiry_change_begins();
                    expiry = ExpiryChange::Keep;
                }
                let rests_on_a_read = expiry == ExpiryChange::Keep;
                let put =
                    Operation::Put { value: value.clone(), context: None, write: level, expiry, priority: 0 };
                (task(Kind::RegisterPut { begun, value, rests_on_a_read }), put)
            }
        };
        (task, KeyRequest { keyspace, key, operation })
    }

    pub(super) fn siblings_task(&mut self, books: &mut Books) -> (Task, KeyRequest) {
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
        let operation =
            Operation::Put { value, context, write: level, expiry: ExpiryChange::Clear, priority: 0 };
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
}

fn key_request(key: Bytes, operation: Operation) -> KeyRequest {
    KeyRequest { keyspace: SIBLINGS, key, operation }
}
