//! All books together, and what of them a keyspace's levels promise.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cluster::QuorumMode;
use quorum::Level;
use types::KeyspaceId;

use super::registers::{OWNERS_MAX, ReadPromise, Register, WritePromise};
use super::siblings::SiblingKey;
use crate::scenario::{LOCAL, SIBLINGS, Scenario};

/// The books.
#[derive(Debug)]
pub struct Books {
    /// The most owners that there come to be, and the fewest that there are.
    owners: usize,
    fewest: usize,
    /// The owners that levels count over, where these are not all. There, all owners are the fewest.
    counted: BTreeMap<KeyspaceId, usize>,
    levels: BTreeMap<KeyspaceId, (Level, Level)>,
    /// Keyspaces whose quorums need not overlap: nothing is promised of them but that what was acknowledged is there in the
    /// end.
    sloppy: BTreeSet<KeyspaceId>,
    /// Keys of one value.
    pub registers: BTreeMap<(KeyspaceId, Bytes), Register>,
    /// Keys of the keyspace of siblings.
    pub siblings: BTreeMap<Bytes, SiblingKey>,
    last_value: u64,
}

impl Books {
    /// Empty books for this cluster.
    pub fn new(scenario: &Scenario) -> Books {
        let state = scenario.cluster();
        let levels =
            state.keyspaces().iter().map(|keyspace| (keyspace.id, (keyspace.r, keyspace.w))).collect();
        Books {
            // What is promised where there are fewer, and nodes may join, may hold no longer once they have: one of two owners meets
            // a quorum, one of three does not.
            owners: scenario.owners_at_most(),
            // Where levels are local, there are as many whoever joins.
            counted: LOCAL.iter().enumerate().map(|(home, id)| (*id, scenario.owners_in(home))).collect(),
            fewest: scenario.owners_at_least(),
            levels,
            sloppy: state
                .keyspaces()
                .iter()
                .filter(|keyspace| keyspace.quorum_mode == QuorumMode::Sloppy)
                .map(|keyspace| keyspace.id)
                .collect(),
            registers: BTreeMap::new(),
            siblings: BTreeMap::new(),
            last_value: 0,
        }
    }

    /// Whether others may stand in for the owners of a keyspace.
    pub fn is_sloppy(&self, keyspace: KeyspaceId) -> bool {
        self.sloppy.contains(&keyspace)
    }

    /// A number that no value had before.
    pub fn next_value(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }

    /// The key's entry.
    pub fn register(&mut self, keyspace: KeyspaceId, key: &Bytes) -> &mut Register {
        self.registers.entry((keyspace, key.clone())).or_default()
    }

    /// The key's entry.
    pub fn sibling_key(&mut self, key: &Bytes) -> &mut SiblingKey {
        self.siblings.entry(key.clone()).or_default()
    }

    /// What reads of the keyspace at this level promise.
    pub fn read_promise(&self, keyspace: KeyspaceId, read: Option<Level>) -> ReadPromise {
        if self.sloppy.contains(&keyspace) {
            return ReadPromise { meets: OWNERS_MAX + 1, leaves: None };
        }
        let (r, w) = self.counts(keyspace, read, None);
        ReadPromise {
            meets: self.counted(keyspace) + 1 - r,
            leaves: self.are_majorities(keyspace, r, w).then_some(w),
        }
    }

    /// What writes of the keyspace at this level promise.
    pub fn write_promise(&self, keyspace: KeyspaceId, write: Option<Level>) -> WritePromise {
        let (r, w) = self.counts(keyspace, None, write);
        let is_strict = !self.sloppy.contains(&keyspace);
        let outranks =
            (is_strict && self.are_majorities(keyspace, r, w)).then_some(self.counted(keyspace) + 1 - w);
        WritePromise { leaves: w, outranks }
    }

    /// How many owners hold at least what is acknowledged at this level, however few there are.
    pub fn acknowledged_by(&self, keyspace: KeyspaceId, write: Option<Level>) -> usize {
        let owners = self.counted.get(&keyspace).copied().unwrap_or(self.fewest);
        count(write.unwrap_or(self.levels[&keyspace].1), owners)
    }

    fn counts(&self, keyspace: KeyspaceId, read: Option<Level>, write: Option<Level>) -> (usize, usize) {
        let (r, w) = self.levels[&keyspace];
        let owners = self.counted(keyspace);
        (count(read.unwrap_or(r), owners), count(write.unwrap_or(w), owners))
    }

    fn counted(&self, keyspace: KeyspaceId) -> usize {
        self.counted.get(&keyspace).copied().unwrap_or(self.owners)
    }

    fn are_majorities(&self, keyspace: KeyspaceId, r: usize, w: usize) -> bool {
        let owners = if self.counted.contains_key(&keyspace) { self.fewest } else { self.owners };
        r.min(w) > owners / 2
    }

    /// Keys of a keyspace that are certain to live now, for whoever reads at its own level.
    pub fn certain(&self, keyspace: KeyspaceId) -> BTreeSet<Bytes> {
        let meets = self.read_promise(keyspace, None).meets;
        if keyspace == SIBLINGS {
            let live = self.siblings.iter().filter(|(_, key)| key.is_certain_to_live(meets));
            return live.map(|(key, _)| key.clone()).collect();
        }
        self.of(keyspace, |register| register.is_certain_to_live(meets))
    }

    /// Keys of a keyspace that somebody ever tried to write.
    pub fn put(&self, keyspace: KeyspaceId) -> BTreeSet<Bytes> {
        if keyspace == SIBLINGS {
            return self.siblings.keys().cloned().collect();
        }
        self.of(keyspace, Register::was_ever_put)
    }

    fn of(&self, keyspace: KeyspaceId, is: impl Fn(&Register) -> bool) -> BTreeSet<Bytes> {
        let of_keyspace = self.registers.iter().filter(|((id, _), register)| *id == keyspace && is(register));
        of_keyspace.map(|((_, key), _)| key.clone()).collect()
    }
}

fn count(level: Level, owners: usize) -> usize {
    match level {
        Level::One => 1,
        Level::All => owners,
        _ => owners / 2 + 1,
    }
}
