//! Whether all that was acknowledged is there, through every node and from all owners.
//!
//! What must hold: what cannot be read does not count as there. Reads ask all owners, so one that lacks something cannot be
//! hidden by another that answers first, and is refused if one cannot say.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::load::{Written, key_of, set_of, union, value_of};
use super::resp::{Connection, Reply};
use super::ring::{Ring, SETS};

/// How many questions are under way at a node at once.
const TOGETHER: usize = 32;

/// How long something may be impossible to read.
const PATIENCE: Duration = Duration::from_secs(60);

const REPLY_PATIENCE: Duration = Duration::from_secs(10);

/// At how many keys owners are asked what exactly each has; the comparison of hash trees before was of all.
const EXPLAINED_MAX: usize = 3000;

/// What is not as it should be.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Acknowledged writes that are not there, and through whom.
    pub(super) lost: BTreeSet<String>,
    /// Those that could not be read.
    pub(super) unread: BTreeSet<String>,
    /// Writes that were said not to be done, and that show.
    pub(super) risen: BTreeSet<String>,
    /// Keys of which owners do not hold the same.
    pub(super) unequal: BTreeSet<String>,
    /// How many keys were read through each node.
    pub(super) keys: usize,
    /// Of how many of them owners were compared.
    pub(super) explained: usize,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.lost.is_empty() && self.unread.is_empty() && self.risen.is_empty() && self.unequal.is_empty()
    }

    fn merge(&mut self, other: Verdict) {
        self.lost.extend(other.lost);
        self.unread.extend(other.unread);
        self.risen.extend(other.risen);
        self.unequal.extend(other.unequal);
        self.keys = self.keys.max(other.keys);
        self.explained = self.explained.max(other.explained);
    }
}

/// A key, and what it must be.
struct Expected {
    keyspace: &'static str,
    key: String,
    what: What,
}

enum What {
    /// This client's write of this turn.
    Value(usize, u32),
    Absent,
    /// With these elements, and without those.
    Elements(BTreeSet<String>, BTreeSet<String>),
}

/// Looks for all of it.
pub(super) fn judge(ring: &Ring, written: &[Written]) -> Result<Verdict> {
    let expected = expected(written);
    let mut verdict = Verdict { keys: expected.len(), ..Verdict::default() };
    let each: Vec<Result<Verdict>> = thread::scope(|scope| {
        let lookers: Vec<_> = (0..ring.nodes())
            .map(|node| {
                scope.spawn({
                    let expected = &expected;
                    move || through(ring, node, expected)
                })
            })
            .collect();
        let join = |looker: thread::ScopedJoinHandle<'_, Result<Verdict>>| {
            looker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        lookers.into_iter().map(join).collect()
    });
    for of_node in each {
        verdict.merge(of_node?);
    }
    Ok(verdict)
}

fn expected(written: &[Written]) -> Vec<Expected> {
    let (mut all, mut sets) = (Vec::new(), BTreeMap::<String, (BTreeSet<String>, BTreeSet<String>)>::new());
    for of_client in written {
        let (client, keyspace) = (of_client.client, of_client.keyspace);
        for (turns, is_there) in [(&of_client.acknowledged, true), (&of_client.refused, false)] {
            for &turn in turns {
                let key = key_of(client, turn);
                if keyspace == SETS {
                    let (there, nowhere) = sets.entry(set_of(turn)).or_default();
                    if is_there {
                        there.insert(key)
                    } else {
                        nowhere.insert(key)
                    };
                } else {
                    let what = if is_there { What::Value(client, turn) } else { What::Absent };
                    all.push(Expected { keyspace, key, what });
                }
            }
        }
    }
    let set =
        |(key, (there, nowhere))| Expected { keyspace: SETS, key, what: What::Elements(there, nowhere) };
    all.extend(sets.into_iter().map(set));
    // Connections are bound to keyspaces.
    all.sort_by_key(|one| one.keyspace);
    all
}

/// Reads everything through one node, and compares what owners hold of a part.
fn through(ring: &Ring, node: usize, expected: &[Expected]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for of_keyspace in expected.chunk_by(|one, other| one.keyspace == other.keyspace) {
        for some in of_keyspace.chunks(TOGETHER) {
            read(ring, node, some, &mut verdict)
                .with_context(|| format!("reading through n{} at the end", node + 1))?;
        }
    }
    let door = ring.door(node);
    let step = (expected.len() / EXPLAINED_MAX).max(1) * ring.nodes();
    for one in expected.iter().skip(node).step_by(step) {
        if matches!(one.what, What::Absent) {
            continue;
        }
        verdict.explained += 1;
        if !door.owners_are_equal(one.keyspace, &one.key)? {
            verdict.unequal.insert(format!("{} in {}", one.key, one.keyspace));
        }
    }
    Ok(verdict)
}

/// Some keys of one keyspace.
fn read(ring: &Ring, node: usize, some: &[Expected], verdict: &mut Verdict) -> Result<()> {
    let Some(first) = some.first() else { return Ok(()) };
    let mut connection = Connection::open(ring.resp(node), first.keyspace, REPLY_PATIENCE)?;
    for one in some {
        connection.send(&[b"KV.GET", one.key.as_bytes(), b"R", b"all"])?;
    }
    let replies = some.iter().map(|_| connection.receive()).collect::<std::io::Result<Vec<Reply>>>()?;
    for (one, reply) in some.iter().zip(replies) {
        let (began, mut reply) = (Instant::now(), reply);
        while matches!(reply, Reply::Error(_)) && began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(200));
            reply = connection.ask(&[b"KV.GET", one.key.as_bytes(), b"R", b"all"])?;
        }
        let place = |what: &str| format!("{what} in {} through n{}", one.keyspace, node + 1);
        if let Reply::Error(text) = &reply {
            verdict.unread.insert(format!("{}: {text}", place(&one.key)));
            continue;
        }
        match &one.what {
            What::Value(client, turn) => {
                if !reply.values().any(|value| value == value_of(*client, *turn)) {
                    verdict.lost.insert(place(&one.key));
                }
            }
            What::Absent => {
                if reply.values().next().is_some() {
                    verdict.risen.insert(place(&one.key));
                }
            }
            What::Elements(there, nowhere) => {
                let found = union(reply.values());
                verdict.lost.extend(there.difference(&found).map(|element| place(element)));
                verdict.risen.extend(nowhere.intersection(&found).map(|element| place(element)));
            }
        }
    }
    Ok(())
}
