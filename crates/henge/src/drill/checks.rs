//! Whether all that was acknowledged is there, and the same at every replica.
//!
//! What must hold: what cannot be read is not counted as there. Reads ask every replica, so that one which lacks something
//! cannot be hidden by another that answers first; a write counts as lost only if none of them has it.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::door::{Door, Read};
use super::ring::Choice;
use super::tally::Ending;

/// How many clients look at once.
const LOOKERS: usize = 3;

/// How long a key may be impossible to read.
const READ_PATIENCE: Duration = Duration::from_secs(15);

/// The time between two looks at the same.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Acknowledged writes that are not there.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// No replica has them.
    pub(super) lost: Vec<String>,
    /// Not all replicas could be asked.
    pub(super) unread: Vec<String>,
}

/// Reads a key from every replica; nothing where they could not all be asked for a long time.
pub(super) fn from_all(door: &Door, of: Choice, key: &str) -> Option<Read> {
    let began = Instant::now();
    loop {
        let read = door.get(of, key, Some("all"));
        if read.ending == Ending::Good {
            return Some(read);
        }
        if began.elapsed() > READ_PATIENCE {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Reads each of these keys, of which each has its own name as its value, from every replica.
pub(super) fn missing(nodes: &[SocketAddr], of: Choice, keys: &[String]) -> Missing {
    let look = |door: &Door, key: &String| {
        (key.clone(), from_all(door, of, key).map(|read| read.values.contains(key)))
    };
    let mut missing = Missing::default();
    for (key, is_there) in for_each(nodes, keys, look) {
        match is_there {
            Some(true) => {}
            Some(false) => missing.lost.push(key),
            None => missing.unread.push(key),
        }
    }
    missing
}

/// The keys of which replicas do not hold the same within this time.
pub(super) fn unequal(nodes: &[SocketAddr], of: Choice, keys: &[String], patience: Duration) -> Vec<String> {
    let began = Instant::now();
    let mut left = keys.to_vec();
    loop {
        let look = |door: &Door, key: &String| {
            (!door.replicas_are_equal(of, key).unwrap_or(false)).then(|| key.clone())
        };
        left = for_each(nodes, &left, look).into_iter().flatten().collect();
        if left.is_empty() || began.elapsed() > patience {
            return left;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Several clients look at parts of the keys at the same time, each at another node.
fn for_each<T: Send>(
    nodes: &[SocketAddr],
    keys: &[String],
    look: impl Fn(&Door, &String) -> T + Sync,
) -> Vec<T> {
    let part = keys.len().div_ceil(LOOKERS).max(1);
    let look = &look;
    thread::scope(|scope| {
        let lookers: Vec<_> = keys
            .chunks(part)
            .zip(nodes.iter().cycle())
            .map(|(part, node)| {
                let door = Door::new(*node);
                scope.spawn(move || part.iter().map(|key| look(&door, key)).collect::<Vec<T>>())
            })
            .collect();
        // One that panics takes the drill along: what it has not seen must not count as seen.
        let seen = |looker: thread::ScopedJoinHandle<'_, Vec<T>>| {
            looker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        lookers.into_iter().flat_map(seen).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Scratch, ring};
    use super::*;
    use crate::lab::Lab;

    /// A drill that could not find a write missing would prove nothing.
    #[test]
    fn what_is_nowhere_is_lost_and_what_is_there_is_not() {
        let scratch = Scratch::new().expect("a directory");
        let configs = ring::configs(&scratch.0).expect("free ports");
        let nodes: Vec<SocketAddr> = configs.iter().filter_map(|config| config.listen.http).collect();
        let mut lab = Lab::start(configs.into_iter().map(Ok)).expect("the ring starts");
        let keys = ["there", "nowhere", "another"].map(str::to_owned);
        for choice in Choice::ALL {
            let (door, began) = (Door::new(nodes[1]), Instant::now());
            for (key, value) in [("there", "there"), ("another", "something else")] {
                while door.put(choice, key, value, None).ending != Ending::Good {
                    assert!(began.elapsed() < Duration::from_secs(90), "all nodes accept in the end");
                }
            }
            let missing = missing(&nodes, choice, &keys);
            assert_eq!(missing.lost, ["nowhere", "another"], "{choice:?}");
            assert!(missing.unread.is_empty());
            let equal = unequal(&nodes, choice, &keys[..1], Duration::from_secs(90));
            assert!(equal.is_empty(), "{equal:?}");
            assert_eq!(unequal(&nodes, choice, &keys[1..2], Duration::ZERO), ["nowhere"]);
        }
        lab.stop();
    }
}
