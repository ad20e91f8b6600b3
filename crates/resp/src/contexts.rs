//! The contexts that a connection remembers, so that plain GET and SET are causal (DESIGN 5).
//!
//! A client of Redis has no place for a context, so its connection keeps one for it: that of the last reply about each
//! key. A SET after a GET then replaces what the GET showed, and SET after SET makes no siblings.
//!
//! What must hold: a context is used only by commands *received after* the reply that carried it was *sent*. A client
//! that pipelines GET, SET has not seen what the GET found when it writes; to use that context would discard, in its
//! name, a value that it never saw (INVARIANTS B2). Both sides are measured on one scale, the number of reply bytes
//! that have left: a reply ends at an [`Offset`], a command carries how far the replies had left when its first byte
//! came in, and a context is usable if its reply had left by then. Numbering commands or reads instead would have to
//! guess which replies a partial write contained.
//!
//! Forgetting is always safe (the next write is blind and makes a sibling), so the memory is bounded: the keys used
//! longest ago go first.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use causality::Context;
use types::KeyspaceId;

/// A place in the stream of reply bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Offset(pub u64);

/// The most keys remembered.
pub const KEYS_MAX: usize = 1024;

/// The most memory for them, in bytes: keys, contexts and an estimate of what surrounds them.
pub const BYTES_MAX: usize = 128 << 10;

/// What an entry takes beside its key and contexts: two map nodes, about.
const ENTRY_BYTES: usize = 160;

/// Actors and counters, as a version vector keeps them.
const CLOCK_ENTRY_BYTES: usize = 24;

type Key = (KeyspaceId, Bytes);

/// The contexts of one connection.
#[derive(Debug)]
pub struct Contexts {
    is_on: bool,
    entries: HashMap<Key, Entry>,
    /// The same keys by when they were last used.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    last_use: u64,
    /// The newest context whose reply had left when the newest of all was remembered.
    settled: Option<Context>,
    /// The newest of all, and where its reply ends.
    newest: (Offset, Context),
}

impl Default for Contexts {
    fn default() -> Contexts {
        Contexts { is_on: true, entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0 }
    }
}

impl Contexts {
    /// Whether anything is remembered (`KV.CONTEXT`).
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Turns remembering on or off; off forgets everything.
    pub fn turn(&mut self, on: bool) {
        *self = Contexts { is_on: on, ..Contexts::default() };
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The context for a command about `key` that was received when the replies had left up to `received`.
    pub fn usable(&mut self, keyspace: KeyspaceId, key: &Bytes, received: Offset) -> Option<Context> {
        if self.entries.is_empty() {
            return None;
        }
        let key = (keyspace, key.clone());
        let entry = self.entries.get_mut(&key)?;
        let (reply_end, newest) = &entry.newest;
        let usable = if *reply_end <= received { Some(newest.clone()) } else { entry.settled.clone() };
        self.uses += 1;
        self.by_use.remove(&entry.last_use);
        entry.last_use = self.uses;
        self.by_use.insert(self.uses, key);
        usable
    }

    /// Remembers what a reply ending at `reply_end` says of `key`. Commands still to be run were received when the
    /// replies had left up to `received`, or later.
    pub fn remember(
        &mut self,
        keyspace: KeyspaceId,
        key: &Bytes,
        context: Context,
        reply_end: Offset,
        received: Offset,
    ) {
        if !self.is_on {
            return;
        }
        let key = (keyspace, key.clone());
        let settled = match self.forget(&key) {
            Some(Entry { newest: (earlier, context), .. }) if earlier <= received => Some(context),
            // The middle one of three is dropped: a command that could use it uses an older one.
            Some(Entry { settled, .. }) => settled,
            None => None,
        };
        self.uses += 1;
        let entry = Entry { last_use: self.uses, settled, newest: (reply_end, context) };
        self.bytes += entry_bytes(&key, &entry);
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, entry);
        self.make_room();
    }

    fn forget(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.last_use);
        self.bytes -= entry_bytes(key, &entry);
        Some(entry)
    }

    fn make_room(&mut self) {
        while self.entries.len() > KEYS_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                return;
            };
            let oldest = oldest.clone();
            self.forget(&oldest);
        }
    }
}

fn entry_bytes(key: &Key, entry: &Entry) -> usize {
    let settled = entry.settled.as_ref().map_or(0, context_bytes);
    ENTRY_BYTES + key.1.len() + settled + context_bytes(&entry.newest.1)
}

fn context_bytes(context: &Context) -> usize {
    match context {
        Context::Causal(known) => (known.vector().len() + known.dots().len()) * CLOCK_ENTRY_BYTES,
        Context::Empty | Context::Stamp { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use causality::{Actor, Dot, DottedVector};
    use types::{Incarnation, Stint};

    use super::*;

    const KEYSPACE: KeyspaceId = KeyspaceId(1);

    fn context(counter: u64) -> Context {
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        let mut known = DottedVector::new();
        known.add(Dot { actor, counter });
        Context::from(known)
    }

    fn key(name: &str) -> Bytes {
        Bytes::copy_from_slice(name.as_bytes())
    }

    /// "A context is used only by commands received after the reply that carried it was sent."
    #[test]
    fn a_context_is_usable_once_its_reply_has_left() {
        let mut contexts = Contexts::default();
        contexts.remember(KEYSPACE, &key("k"), context(1), Offset(10), Offset(0));
        assert_eq!(contexts.usable(KEYSPACE, &key("k"), Offset(9)), None);
        assert_eq!(contexts.usable(KEYSPACE, &key("k"), Offset(10)), Some(context(1)));
        assert_eq!(contexts.usable(KeyspaceId(2), &key("k"), Offset(10)), None);
    }

    /// What a client saw before it sent a pipeline holds for all of the pipeline.
    #[test]
    fn an_earlier_context_serves_until_the_newer_has_left() {
        let mut contexts = Contexts::default();
        contexts.remember(KEYSPACE, &key("k"), context(1), Offset(10), Offset(0));
        contexts.remember(KEYSPACE, &key("k"), context(2), Offset(20), Offset(10));
        contexts.remember(KEYSPACE, &key("k"), context(3), Offset(30), Offset(10));
        assert_eq!(contexts.usable(KEYSPACE, &key("k"), Offset(10)), Some(context(1)));
        assert_eq!(contexts.usable(KEYSPACE, &key("k"), Offset(30)), Some(context(3)));
    }

    #[test]
    fn the_memory_is_bounded_and_the_longest_unused_goes_first() {
        let mut contexts = Contexts::default();
        for number in 0..KEYS_MAX * 3 {
            contexts.remember(KEYSPACE, &key(&number.to_string()), context(1), Offset(0), Offset(0));
            contexts.usable(KEYSPACE, &key("0"), Offset(0));
        }
        assert!(contexts.len() <= KEYS_MAX && contexts.bytes <= BYTES_MAX);
        assert_eq!(contexts.by_use.len(), contexts.len());
        assert!(contexts.usable(KEYSPACE, &key("0"), Offset(0)).is_some());
        assert!(contexts.usable(KEYSPACE, &key("1"), Offset(0)).is_none());
    }

    #[test]
    fn long_keys_count_by_their_bytes() {
        let mut contexts = Contexts::default();
        for number in 0..100 {
            let long = number.to_string().repeat(20_000);
            contexts.remember(KEYSPACE, &key(&long), context(1), Offset(0), Offset(0));
        }
        assert!(contexts.bytes <= BYTES_MAX);
        assert!(!contexts.is_empty());
    }

    #[test]
    fn turned_off_it_forgets_and_remembers_nothing() {
        let mut contexts = Contexts::default();
        contexts.remember(KEYSPACE, &key("k"), context(1), Offset(0), Offset(0));
        contexts.turn(false);
        contexts.remember(KEYSPACE, &key("k"), context(1), Offset(0), Offset(0));
        assert!(contexts.is_empty() && !contexts.is_on());
    }
}
