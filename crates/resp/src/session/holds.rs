//! Which keys the unfinished commands of a connection touch, so that it sees its own order.
//!
//! Keys are held by hash, not by name: two keys that share one only cost each other some concurrency.

use std::collections::HashMap;

use ring::key_hash;
use types::KeyspaceId;

use crate::command::row::Row;
use crate::frame::Arguments;

/// The keys of one command.
#[derive(Debug)]
pub(crate) struct Held {
    keys: KeyHashes,
    writes: bool,
}

/// One key is the common case and needs no allocation.
#[derive(Debug)]
enum KeyHashes {
    None,
    One(u64),
    Many(Vec<u64>),
}

/// How many unfinished commands touch a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Hold {
    readers: usize,
    writers: usize,
}

/// The keys of all unfinished commands.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// One hold, kept beside the table: where a client waits for each answer it is the only one. The key, and whether it is
    /// written.
    first: Option<(u64, bool)>,
    by_key: HashMap<u64, Hold>,
}

impl Held {
    /// The keys that a command touches.
    pub(crate) fn new(row: &Row, arguments: Arguments<'_>, keyspace: KeyspaceId) -> Held {
        let spread = u64::from(keyspace.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut places = row.keys.places(arguments.len());
        let mut hash = |place: usize| key_hash(&arguments[place]) ^ spread;
        let keys = match (places.next(), places.next()) {
            (None, _) => KeyHashes::None,
            (Some(one), None) => KeyHashes::One(hash(one)),
            (Some(_), Some(_)) => KeyHashes::Many(row.keys.places(arguments.len()).map(&mut hash).collect()),
        };
        Held { keys, writes: row.writes() }
    }

    fn keys(&self) -> &[u64] {
        match &self.keys {
            KeyHashes::None => &[],
            KeyHashes::One(key) => std::slice::from_ref(key),
            KeyHashes::Many(keys) => keys,
        }
    }
}

impl Holds {
    /// Whether a command may run now: nothing unfinished touches one of its keys, unless both only read.
    pub(crate) fn allow(&self, held: &Held) -> bool {
        let is_free = |key: &u64| {
            let first = self.first.is_none_or(|(other, writes)| other != *key || !(writes || held.writes));
            first && self.by_key.get(key).is_none_or(|hold| hold.writers == 0 && !held.writes)
        };
        held.keys().iter().all(is_free)
    }

    /// A command is unfinished.
    pub(crate) fn add(&mut self, held: &Held) {
        for &key in held.keys() {
            if self.first.is_none() {
                self.first = Some((key, held.writes));
            } else {
                *self.by_key.entry(key).or_default().count(held.writes) += 1;
            }
        }
    }

    /// It is finished.
    pub(crate) fn remove(&mut self, held: &Held) {
        for key in held.keys() {
            if self.first == Some((*key, held.writes)) {
                self.first = None;
            } else if let Some(hold) = self.by_key.get_mut(key) {
                *hold.count(held.writes) -= 1;
                if *hold == Hold::default() {
                    self.by_key.remove(key);
                }
            }
        }
        if self.by_key.is_empty() {
            self.by_key.shrink_to(KEYS_KEPT);
        }
    }
}

/// Room for so many keys stays with an idle connection.
const KEYS_KEPT: usize = 16;

impl Hold {
    fn count(&mut self, writes: bool) -> &mut usize {
        if writes { &mut self.writers } else { &mut self.readers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(keys: &[u64], writes: bool) -> Held {
        Held { keys: KeyHashes::Many(keys.to_vec()), writes }
    }

    #[test]
    fn readers_share_a_key_and_writers_do_not() {
        let mut holds = Holds::default();
        holds.add(&held(&[1, 2], false));
        assert!(holds.allow(&held(&[2, 3], false)));
        assert!(!holds.allow(&held(&[3, 2], true)));
        assert!(holds.allow(&held(&[3], true)));
        holds.add(&held(&[3], true));
        assert!(!holds.allow(&held(&[3], false)));
    }

    /// A key given twice in one command is held twice and given back twice.
    #[test]
    fn what_is_held_is_given_back() {
        let mut holds = Holds::default();
        let (read, write) = (held(&[1, 1], false), held(&[1, 2], true));
        holds.add(&read);
        holds.add(&write);
        holds.remove(&read);
        assert!(!holds.allow(&held(&[1], false)));
        holds.remove(&write);
        assert!(holds.by_key.is_empty() && holds.first.is_none());
    }

    proptest::proptest! {
        /// Whatever is added and removed, a command may run if none that is left touches its keys, or all only read.
        #[test]
        fn what_is_left_decides(steps in proptest::collection::vec((proptest::collection::vec(0u64..4, 0..3), proptest::bool::ANY, 0usize..8), 0..60)) {
            let (mut holds, mut left) = (Holds::default(), Vec::new());
            for (keys, writes, place) in steps {
                let free = |other: &Held| {
                    (!other.writes && !writes) || other.keys().iter().all(|key| !keys.contains(key))
                };
                proptest::prop_assert_eq!(holds.allow(&held(&keys, writes)), left.iter().all(free));
                if place < left.len() {
                    holds.remove(&left.remove(place));
                } else {
                    holds.add(&held(&keys, writes));
                    left.push(held(&keys, writes));
                }
            }
        }
    }
}
