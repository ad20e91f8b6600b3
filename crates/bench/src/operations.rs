//! The stream of one client's operations: which kind, on which key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use env::Rng;

use crate::distribution::KeyChooser;
use crate::frontier::Frontier;
use crate::workload::{Kind, Mix};

/// Where a client's operations come from.
#[derive(Clone, Debug)]
pub(crate) enum Operations {
    /// Every key once, shared out among all clients as they get to it.
    Load {
        /// The next key to store.
        next: Arc<AtomicU64>,
        /// The number of keys.
        keys: u64,
    },
    /// Drawn from a mix and a distribution, without end.
    Mixed {
        /// The shares of the kinds.
        mix: Mix,
        /// The distribution of the keys.
        chooser: KeyChooser,
        /// The client's own, so that its stream does not depend on the others' speed.
        rng: Rng,
    },
}

impl Operations {
    /// The next operation; nothing when all keys are loaded.
    pub(crate) fn next(&mut self, frontier: &Frontier) -> Option<(Kind, u64)> {
        match self {
            Operations::Load { next, keys } => {
                let key = next.fetch_add(1, Ordering::Relaxed);
                (key < *keys).then_some((Kind::Update, key))
            }
            Operations::Mixed { mix, chooser, rng } => match mix.choose(rng) {
                Kind::Insert => Some((Kind::Insert, frontier.claim())),
                kind => Some((kind, chooser.choose(rng, frontier.existing()))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    /// However many clients load, each key is stored once.
    #[test]
    fn loading_covers_every_key_once() {
        let next = Arc::new(AtomicU64::new(0));
        let mut clients = vec![Operations::Load { next, keys: 10 }; 3];
        let frontier = Frontier::new(10);
        let mut keys = Vec::new();
        while let Some((_, key)) = clients[keys.len() % 3].next(&frontier) {
            keys.push(key);
        }
        assert_eq!(keys, (0..10).collect::<Vec<_>>());
    }

    /// Workload D reads only keys that exist, and its inserts are all new.
    #[test]
    fn inserts_are_new_and_reads_are_not() {
        let frontier = Frontier::new(100);
        let (mix, chooser) = (Workload::D.mix(), KeyChooser::latest(100));
        let mut client = Operations::Mixed { mix, chooser, rng: Rng::from_seed(1) };
        let mut inserted = 100;
        for _ in 0..10_000 {
            match client.next(&frontier) {
                Some((Kind::Insert, key)) => {
                    assert_eq!(key, inserted);
                    inserted += 1;
                    frontier.settle(key);
                }
                Some((_, key)) => assert!(key < inserted),
                None => panic!("a mixed stream has no end"),
            }
        }
        assert!(inserted > 400);
    }
}
