//! Stores that are sorted lists, and the exchange between two of them with its bytes counted; for tests and examples.
#![allow(dead_code, reason = "tests and examples use different parts")]
#![allow(clippy::unwrap_used, reason = "it is for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use merkle::{
    Answer, Answered, Ask, Asker, Difference, Digest, End, Entry, Held, Place, Seed, Shape, Step, Tree,
    answer,
};
use types::{Epoch, KeyspaceId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) const EPOCH: Epoch = Epoch(7);
pub(crate) const KEYSPACE: KeyspaceId = KeyspaceId(0);
pub(crate) const SEED: Seed = Seed(42);

/// The tree of one of 256 partitions.
pub(crate) fn usual_shape() -> Shape {
    Shape::new(64, 64).unwrap()
}

/// Where a test's key is: anywhere in the partition, evenly.
pub(crate) fn place_of(shape: Shape, key: &[u8]) -> Place {
    let slots = u64::from(shape.end().slot - shape.first().slot);
    let slot = shape.first().slot + u16::try_from(xxh3_64_with_seed(key, 1) % slots).unwrap();
    Place { slot, hash: xxh3_64_with_seed(key, 0) }
}

type Stored = (Place, Arc<[u8]>, Digest);

/// What an owner has stored of a partition and keyspace, in place order.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) shape: Shape,
    pub(crate) entries: Vec<Stored>,
}

impl Store {
    /// Keys at places of the caller's choice, with the bytes of their records.
    pub(crate) fn at<K: AsRef<[u8]>>(shape: Shape, keys: impl IntoIterator<Item = (Place, K, u64)>) -> Store {
        let stored = |(place, key, version): (Place, K, u64)| {
            let digest = SEED.digest(key.as_ref(), &version.to_le_bytes());
            (place, Arc::from(key.as_ref()), digest)
        };
        let mut entries: Vec<Stored> = keys.into_iter().map(stored).collect();
        entries.sort_unstable();
        Store { shape, entries }
    }

    /// Keys at the places that their bytes come to.
    pub(crate) fn of<K: AsRef<[u8]>>(shape: Shape, keys: impl IntoIterator<Item = (K, u64)>) -> Store {
        let placed = keys.into_iter().map(|(key, version)| (place_of(shape, key.as_ref()), key, version));
        Store::at(shape, placed)
    }

    pub(crate) fn tree(&self) -> Tree {
        let mut tree = Tree::empty(self.shape);
        for &(place, _, digest) in &self.entries {
            tree.change(place, None, Some(digest));
        }
        tree
    }

    /// Gives each of these keys another record.
    pub(crate) fn rewrite(&mut self, tree: &mut Tree, keys: impl IntoIterator<Item = usize>) {
        for nth in keys {
            self.rewrite_as(tree, nth, b"rewritten");
        }
    }

    /// Gives this key this record.
    pub(crate) fn rewrite_as(&mut self, tree: &mut Tree, nth: usize, record: &[u8]) {
        let (place, key, digest) = &mut self.entries[nth];
        let after = SEED.digest(key, record);
        tree.change(*place, Some(*digest), Some(after));
        *digest = after;
    }

    /// The entries of a span, a few more around them, in pages.
    fn pages(&self, span: merkle::Span) -> impl Iterator<Item = impl Iterator<Item = Entry<'_>>> {
        let places = self.shape.places(span).expect("only spans of the tree are read");
        let first = self.entries.partition_point(|entry| entry.0 < places.start);
        let last = self.entries.partition_point(|entry| entry.0 < places.end);
        let around = &self.entries[first.saturating_sub(1)..(last + 1).min(self.entries.len())];
        around
            .chunks(7)
            .map(|page| page.iter().map(|(place, key, digest)| Entry { place: *place, key, digest: *digest }))
    }
}

/// The naive answer: the symmetric difference of two maps.
pub(crate) fn naive(here: &Store, there: &Store) -> BTreeSet<Difference> {
    let map = |store: &Store| -> BTreeMap<Vec<u8>, Digest> {
        store.entries.iter().map(|(_, key, digest)| (key.to_vec(), *digest)).collect()
    };
    let (here, there) = (map(here), map(there));
    let keys: BTreeSet<&Vec<u8>> = here.keys().chain(there.keys()).collect();
    let judge = |key: &Vec<u8>| {
        let held = match (here.get(key), there.get(key)) {
            (Some(ours), Some(theirs)) => (ours != theirs).then_some(Held::Both),
            (Some(_), None) => Some(Held::Here),
            (None, _) => Some(Held::There),
        };
        held.map(|held| Difference { key: key.clone(), held })
    };
    keys.into_iter().filter_map(judge).collect()
}

/// What was said in an exchange, and what came of it.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) said: Vec<(Ask, Answer)>,
    pub(crate) asked_bytes: usize,
    pub(crate) answered_bytes: usize,
    pub(crate) differences: Vec<Difference>,
    pub(crate) end: End,
    /// How many stored entries the two sides read.
    pub(crate) read: usize,
}

impl Talk {
    pub(crate) fn bytes(&self) -> usize {
        self.asked_bytes + self.answered_bytes
    }
}

/// The answer of an owner with this store and tree.
pub(crate) fn answer_of(store: &Store, tree: &mut Tree, ask: Ask, read: &mut usize) -> Answer {
    let mut answered = answer(EPOCH, KEYSPACE, tree, ask);
    loop {
        let mut answering = match answered {
            Answered::Send(answer) => return answer,
            Answered::Read(answering) => answering,
        };
        for page in store.pages(answering.span()) {
            answering.entries(page.inspect(|_| *read += 1));
        }
        answered = answering.span_done();
    }
}

/// A whole exchange; every message goes through its encoding.
pub(crate) fn exchange(here: &Store, ours: &mut Tree, there: &Store, theirs: &mut Tree) -> Talk {
    exchange_with(here, ours, |ask, read| answer_of(there, theirs, ask, read))
}

/// An exchange with somebody who answers as he likes.
pub(crate) fn exchange_with(
    store: &Store,
    tree: &mut Tree,
    mut answer: impl FnMut(Ask, &mut usize) -> Answer,
) -> Talk {
    let (mut asker, first) = Asker::begin(EPOCH, KEYSPACE, tree).expect("the tree is known");
    let mut talk = Talk {
        said: Vec::new(),
        asked_bytes: 0,
        answered_bytes: 0,
        differences: Vec::new(),
        end: End::Same,
        read: 0,
    };
    let mut step = Step::Ask(first);
    loop {
        step = match step {
            Step::Ask(ask) => {
                let bytes = postcard::to_allocvec(&ask).unwrap();
                assert_eq!(postcard::from_bytes::<Ask>(&bytes).unwrap(), ask);
                talk.asked_bytes += bytes.len();
                let answer = answer(ask.clone(), &mut talk.read);
                let bytes = postcard::to_allocvec(&answer).unwrap();
                assert_eq!(postcard::from_bytes::<Answer>(&bytes).unwrap(), answer);
                talk.answered_bytes += bytes.len();
                talk.said.push((ask, answer.clone()));
                asker.answered(tree, answer, &mut talk.differences)
            }
            Step::Read(span) => {
                for page in store.pages(span) {
                    asker.entries(page.inspect(|_| talk.read += 1), &mut talk.differences);
                }
                asker.span_done(&mut talk.differences)
            }
            Step::Over(end) => {
                talk.end = end;
                return talk;
            }
        };
    }
}
