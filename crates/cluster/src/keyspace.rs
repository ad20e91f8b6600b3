//! Keyspaces: named sets of keys, each with its own N, R, W, policy, quorum mode, durability and limits.
//!
//! What must hold: a keyspace in a cluster state can be served. Its N names data centers that exist, its R and W can be
//! met when every owner is there, and its limits are within what any node can bear; [`Keyspace::check`] says so before a
//! state is made of it. What its numbers promise is never for the reader to work out: [`Keyspace::model`] says it.

use causality::Policy;
use quorum::{DataCenter, Durability, Level, Model, QuorumMode};
use ring::ReplicaCount;
use serde::{Deserialize, Serialize};
use types::{Epoch, KeyspaceId};

use crate::error::ConfigError;
use crate::limits::Limits;
use crate::member::check_name;
use crate::stored::StoredKeyspace;

/// The name of keyspace 0, which is always there.
pub const DEFAULT_NAME: &str = "default";

/// The most replicas in one data center.
pub const REPLICAS_MAX: u8 = 15;

/// The highest number that a keyspace can have for `SELECT`.
pub const NUMBER_MAX: u32 = 65_535;

/// A keyspace and its settings.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "StoredKeyspace", try_from = "StoredKeyspace")]
pub struct Keyspace {
    /// Never used again for another.
    pub id: KeyspaceId,
    /// The epoch in which its settings became what they are.
    pub since: Epoch,
    /// What people call it; unique in the cluster.
    pub name: String,
    /// What `SELECT` takes; unique in the cluster.
    pub number: u32,
    /// N: how many replicas each data center keeps.
    pub n: ReplicaCount,
    /// How many owners answer a read.
    pub r: Level,
    /// How many owners hold a write before it is acknowledged.
    pub w: Level,
    /// How it deals with concurrent writes.
    pub policy: Policy,
    /// Who may answer for an owner that cannot be reached.
    pub quorum_mode: QuorumMode,
    /// What an acknowledgement means for the node that gives it.
    pub durability: Durability,
    /// How much it takes in.
    pub limits: Limits,
    /// Whether overwriting needs a context.
    pub require_context: bool,
    /// The classic size threshold of vector clocks: beyond it the oldest entry is dropped, and superseded values may
    /// come back as siblings. Off unless it is asked for.
    pub max_clock_entries: Option<u32>,
    /// Whether all its keys may be deleted at once.
    pub allow_flush: bool,
    /// How many replicas each data center really keeps, by the number of the data center: N, or all its nodes where
    /// they are fewer, once all partitions are where they are to be. A cluster state fills this in for the keyspaces that it is made of, whatever it said before.
    pub copies: Vec<(DataCenter, u8)>,
}

impl Keyspace {
    /// A keyspace with majorities and siblings, as Dynamo makes them. At the founding of a cluster a keyspace's id is
    /// its number.
    pub fn new(number: u32, name: &str) -> Keyspace {
        Keyspace {
            id: KeyspaceId(number),
            since: Epoch(1),
            name: name.to_owned(),
            number,
            n: ReplicaCount::Everywhere(3),
            r: Level::Quorum,
            w: Level::Quorum,
            policy: Policy::Siblings,
            quorum_mode: QuorumMode::Sloppy,
            durability: Durability::Always,
            limits: Limits::default(),
            require_context: false,
            max_clock_entries: None,
            allow_flush: false,
            copies: vec![(0, 3)],
        }
    }

    /// Keyspace 0: as [`Keyspace::new`], with one value per key, because that is what Redis clients expect.
    pub fn built_in() -> Keyspace {
        Keyspace { policy: Policy::Lww, ..Keyspace::new(0, DEFAULT_NAME) }
    }

    /// Replicas of each key over all data centers, as many as there are nodes for.
    pub fn replicas(&self) -> usize {
        self.copies.iter().map(|&(_, count)| usize::from(count)).sum()
    }

    /// What its clients may rely on.
    pub fn model(&self) -> Model {
        Model::of(self.r, self.w, &self.copies, self.quorum_mode, self.durability)
    }

    /// The same in one plain sentence.
    pub fn model_sentence(&self) -> &'static str {
        self.model().sentence()
    }

    /// N in words: `3`, or `dc1=2,dc2=1`.
    pub fn n_text(&self) -> String {
        match &self.n {
            ReplicaCount::Everywhere(count) => count.to_string(),
            ReplicaCount::PerDataCenter(counts) => {
                let each: Vec<String> =
                    counts.iter().map(|(name, count)| format!("{name}={count}")).collect();
                each.join(",")
            }
        }
    }

    /// Checks that the keyspace can be served in a cluster with these data centers.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self, data_centers: &[String]) -> Result<(), ConfigError> {
        let section = format!("keyspaces.{}", self.name);
        check_name("keyspaces.name", &self.name)?;
        self.check_settings(data_centers).map_err(|error| error.within(&section))
    }

    fn check_settings(&self, data_centers: &[String]) -> Result<(), ConfigError> {
        if self.number > NUMBER_MAX {
            return Err(ConfigError::new("number", self.number, format!("want 0 to {NUMBER_MAX}")));
        }
        if (self.number == 0) != (self.name == DEFAULT_NAME) {
            return Err(ConfigError::new(
                "number",
                self.number,
                "number 0 belongs to the keyspace `default`",
            ));
        }
        self.check_replicas(data_centers)?;
        let replicas: usize = data_centers.iter().map(|name| self.n.in_data_center(name)).sum();
        check_level("r", self.r, replicas)?;
        check_level("w", self.w, replicas)?;
        if self.max_clock_entries == Some(0) {
            return Err(ConfigError::new(
                "max_clock_entries",
                0,
                "want at least 1, or leave it out for no threshold",
            ));
        }
        self.limits.check().map_err(|error| error.within("limits"))
    }

    fn check_replicas(&self, data_centers: &[String]) -> Result<(), ConfigError> {
        let wanted = |wanted: String| Err(ConfigError::new("n", self.n_text(), wanted));
        let counts: Vec<u8> = match &self.n {
            ReplicaCount::Everywhere(count) => vec![*count],
            ReplicaCount::PerDataCenter(counts) => {
                if let Some(stranger) = counts.keys().find(|name| !data_centers.contains(name)) {
                    let known = data_centers.join(", ");
                    return wanted(format!("there is no data center {stranger}; there are {known}"));
                }
                counts.values().copied().collect()
            }
        };
        if counts.iter().any(|&count| count > REPLICAS_MAX) || counts.iter().all(|&count| count == 0) {
            return wanted(format!("want 1 to {REPLICAS_MAX} replicas in a data center"));
        }
        Ok(())
    }
}

/// A level by number is never lowered, so more than there are replicas could never be met.
fn check_level(key: &str, level: Level, replicas: usize) -> Result<(), ConfigError> {
    match level {
        Level::Count(count) if usize::from(count) > replicas => {
            Err(ConfigError::new(key, level, format!("n keeps {replicas} replicas: want at most that many")))
        }
        _ => Ok(()),
    }
}
