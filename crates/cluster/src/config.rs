//! The `[cluster]`, `[[cluster.members]]` and `[[keyspaces]]` sections of `henge.toml`, and what is founded from them.
//!
//! ```toml
//! [cluster]
//! name = "example"
//! partitions = 256
//!
//! [[cluster.members]]             # the same list on every node
//! id = "n1"
//! rack = "r1"
//! resp = "127.0.0.1:7001"
//! peer = "127.0.0.1:9001"         # needed where there is more than one member
//!
//! [[keyspaces]]
//! name = "carts"
//! policy = "siblings"
//! preset = "quorum"               # or r and w
//! n = 3                           # or n = { dc1 = 2, dc2 = 1 }
//! limits = { value_bytes_max = 4194304 }
//! ```
//!
//! What must hold: an error names the key, its value and what would be right; a key that is not known is an error too
//! (`deny_unknown_fields`), because a misspelt setting that is quietly ignored is worse than one that is refused. Text is
//! kept as text here and understood in one place, so that the message can be ours and not that of a parser.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use api::{NodePlan, Replaced};
use quorum::Level;
use ring::{Partitions, ReplicaCount};
use serde::Deserialize;
use types::KeyspaceId;

use crate::error::ConfigError;
use crate::keyspace::{DEFAULT_NAME, Keyspace};
use crate::limits::Limits;
use crate::member::{Addresses, MemberPlan};
use crate::preset::Preset;
use crate::state::FoundingPlan;

/// `[cluster]`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// The cluster's name.
    pub name: Option<String>,
    /// Whether this node founds the cluster, though it names seeds. Where members are listed all of them found the same one, and it
    /// says nothing.
    #[serde(default)]
    pub bootstrap: bool,
    /// Where peers of nodes that are members are reached: this node joins at one of them, when it starts for the first time.
    #[serde(default)]
    pub seeds: Vec<String>,
    /// The name of the member whose place this node takes when it joins.
    pub replaces: Option<String>,
    /// How many partitions the ring has.
    pub partitions: Option<u64>,
    /// A file with the secret that the nodes share. It is the node's to read, and no part of the cluster state.
    pub secret_file: Option<PathBuf>,
    /// `[[cluster.members]]`: the first membership. Without it, and without seeds, the node is a cluster of one.
    #[serde(default)]
    pub members: Vec<MemberConfig>,
}

/// One of `[[cluster.members]]`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// The node's name, as in its own `node.id`.
    pub id: String,
    /// Its data center; `dc1` if it is left out.
    pub datacenter: Option<String>,
    /// Its rack; if it is left out, one that is the node's own.
    pub rack: Option<String>,
    /// Its capacity beside the others'; 1 if it is left out.
    pub weight: Option<f64>,
    /// Where it speaks RESP as one store.
    pub resp: Option<String>,
    /// Where it speaks RESP as a Redis Cluster.
    pub cluster: Option<String>,
    /// Where it speaks HTTP.
    pub http: Option<String>,
    /// Where its peers reach it.
    pub peer: Option<String>,
}

/// One of `[[keyspaces]]`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyspaceConfig {
    /// What people call it. `default` changes the built-in keyspace 0.
    pub name: String,
    /// What `SELECT` takes; the next free one if it is left out.
    pub number: Option<u32>,
    /// N: a number, a table by data center, or a text like `dc1=2,dc2=1`; 3 if it is left out.
    pub n: Option<CountConfig>,
    /// R: a number or the name of a level.
    pub r: Option<LevelConfig>,
    /// W: a number or the name of a level.
    pub w: Option<LevelConfig>,
    /// R and W by a name, where they are not said themselves.
    pub preset: Option<String>,
    /// `siblings`, `lww` or `priority`.
    pub policy: Option<String>,
    /// `sloppy` or `strict`.
    pub quorum: Option<String>,
    /// `always` or `interval`.
    pub durability: Option<String>,
    /// How much it takes in.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Whether overwriting needs a context.
    #[serde(default)]
    pub require_context: bool,
    /// The classic size threshold of vector clocks.
    pub max_clock_entries: Option<u32>,
    /// Whether all its keys may be deleted at once.
    #[serde(default)]
    pub allow_flush: bool,
}

/// `limits` of a keyspace; what is left out follows from the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// The longest key, in bytes.
    pub key_bytes_max: Option<u64>,
    /// The longest value, in bytes.
    pub value_bytes_max: Option<u64>,
    /// The most siblings of a key.
    pub siblings_max: Option<u32>,
    /// The largest record, in bytes.
    pub record_bytes_max: Option<u64>,
    /// The most keys in one page of a scan.
    pub scan_keys_max: Option<u32>,
}

/// A level as TOML may write it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum LevelConfig {
    /// `r = 2`
    Number(i64),
    /// `r = "quorum"`
    Word(String),
}

/// N as TOML may write it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum CountConfig {
    /// `n = 3`
    Number(i64),
    /// `n = "dc1=2,dc2=1"`
    Text(String),
    /// `n = { dc1 = 2, dc2 = 1 }`
    Table(BTreeMap<String, i64>),
}

/// Whether a node of this configuration joins a cluster that there is: it names seeds, and neither founds one nor is told who else
/// does.
pub fn joins(cluster: &ClusterConfig) -> bool {
    !cluster.seeds.is_empty() && cluster.members.is_empty() && !cluster.bootstrap
}

/// How a node of this configuration speaks of itself when it wants to join. `this` is that node; `capacity` is what it has measured
/// of its machine.
///
/// # Errors
/// The first key whose value cannot be served.
pub fn node_plan(
    cluster: &ClusterConfig,
    this: &MemberConfig,
    replaces: Option<String>,
    capacity: f64,
) -> Result<NodePlan, ConfigError> {
    let MemberPlan { name, data_center, rack, addresses, .. } = this.plan(true)?;
    Ok(NodePlan {
        cluster: cluster.name.clone(),
        name,
        data_center,
        rack,
        weight: this.weight,
        capacity,
        resp: addresses.resp,
        cluster_address: addresses.cluster,
        http: addresses.http,
        peer: addresses.peer,
        replaces: replaces.map(|name| Replaced { name, hands_over: false }),
    })
}

/// What the configuration of one node founds. `this` is that node, which must be among the members if any are listed.
///
/// # Errors
/// The first key whose value cannot be served.
pub fn founding_plan(
    cluster: &ClusterConfig,
    keyspaces: &[KeyspaceConfig],
    this: &MemberConfig,
) -> Result<FoundingPlan, ConfigError> {
    let partitions = cluster.partitions.unwrap_or_else(|| u64::from(Partitions::default().count()));
    let partitions = Partitions::new(partitions).map_err(|_| {
        ConfigError::new("cluster.partitions", partitions, "want a power of two from 1 to 16384, such as 256")
    })?;
    Ok(FoundingPlan {
        name: cluster.name.clone().unwrap_or_else(|| "henge".to_owned()),
        members: members(cluster, this)?,
        partitions,
        keyspaces: number_keyspaces(keyspaces)?,
    })
}

fn members(cluster: &ClusterConfig, this: &MemberConfig) -> Result<Vec<MemberPlan>, ConfigError> {
    if cluster.members.is_empty() {
        return Ok(vec![this.plan(false)?]);
    }
    if cluster.members.iter().all(|member| member.id != this.id) {
        let names: Vec<&str> = cluster.members.iter().map(|member| member.id.as_str()).collect();
        let wanted = format!("it is not among [[cluster.members]]: want one of {}", names.join(", "));
        return Err(ConfigError::new("node.id", format!("{:?}", this.id), wanted));
    }
    let has_peers = cluster.members.len() > 1;
    cluster.members.iter().map(|member| member.plan(has_peers)).collect()
}

impl MemberConfig {
    fn plan(&self, has_peers: bool) -> Result<MemberPlan, ConfigError> {
        let section = format!("cluster.members.{}", self.id);
        if has_peers && self.peer.is_none() {
            let wanted = "say where the other members reach this one, such as \"127.0.0.1:9001\"";
            return Err(ConfigError::new("peer", "nothing", wanted).within(&section));
        }
        Ok(MemberPlan {
            name: self.id.clone(),
            data_center: self.datacenter.clone().unwrap_or_else(|| "dc1".to_owned()),
            // Nodes of which nothing is said fail by themselves.
            rack: self.rack.clone().unwrap_or_else(|| self.id.clone()),
            weight: self.weight.unwrap_or(1.0),
            addresses: self.addresses().map_err(|error| error.within(&section))?,
        })
    }

    fn addresses(&self) -> Result<Addresses, ConfigError> {
        Ok(Addresses {
            resp: address("resp", self.resp.as_deref())?,
            cluster: address("cluster", self.cluster.as_deref())?,
            http: address("http", self.http.as_deref())?,
            peer: address("peer", self.peer.as_deref())?,
        })
    }
}

fn address(key: &str, text: Option<&str>) -> Result<Option<SocketAddr>, ConfigError> {
    let understand = |text: &str| {
        let wanted = "want an IP address and a port, such as \"127.0.0.1:7001\"";
        text.parse().map_err(|_| ConfigError::new(key, format!("{text:?}"), wanted))
    };
    text.map(understand).transpose()
}

/// Gives the keyspaces without a number the lowest free ones, in the order in which they are listed.
fn number_keyspaces(configs: &[KeyspaceConfig]) -> Result<Vec<Keyspace>, ConfigError> {
    let mut taken: BTreeSet<u32> = configs.iter().filter_map(|config| config.number).collect();
    let mut keyspaces = Vec::with_capacity(configs.len());
    for config in configs {
        let number = match config.number {
            Some(number) => number,
            None if config.name == DEFAULT_NAME => 0,
            None => {
                (1..).find(|number| !taken.contains(number)).expect("there are more numbers than keyspaces")
            }
        };
        taken.insert(number);
        let section = format!("keyspaces.{}", config.name);
        keyspaces.push(config.keyspace(number).map_err(|error| error.within(&section))?);
    }
    Ok(keyspaces)
}

impl KeyspaceConfig {
    fn keyspace(&self, number: u32) -> Result<Keyspace, ConfigError> {
        let base =
            if self.name == DEFAULT_NAME { Keyspace::built_in() } else { Keyspace::new(number, &self.name) };
        let (r, w) = self.levels(&base)?;
        Ok(Keyspace {
            id: KeyspaceId(number),
            number,
            n: self.n.as_ref().map_or(Ok(base.n), CountConfig::understand)?,
            r,
            w,
            policy: word("policy", self.policy.as_deref(), base.policy)?,
            quorum_mode: word("quorum", self.quorum.as_deref(), base.quorum_mode)?,
            durability: word("durability", self.durability.as_deref(), base.durability)?,
            limits: self.limits.resolve(),
            require_context: self.require_context,
            max_clock_entries: self.max_clock_entries,
            allow_flush: self.allow_flush,
            ..base
        })
    }

    /// R and W: said themselves, or by the preset, or majorities.
    fn levels(&self, base: &Keyspace) -> Result<(Level, Level), ConfigError> {
        let (r, w) = match self.preset.as_deref() {
            Some(_) => word("preset", self.preset.as_deref(), Preset::default())?.levels(),
            None => (base.r, base.w),
        };
        let said = |key, level: &Option<LevelConfig>, otherwise| {
            level.as_ref().map_or(Ok(otherwise), |level| level.understand(key))
        };
        Ok((said("r", &self.r, r)?, said("w", &self.w, w)?))
    }
}

/// The meaning of a word; of one that is left out, the default.
pub(crate) fn word<T: FromStr<Err: Display>>(
    key: &str,
    text: Option<&str>,
    default: T,
) -> Result<T, ConfigError> {
    match text {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|error: T::Err| ConfigError::new(key, format!("{text:?}"), error.to_string())),
    }
}

impl LevelConfig {
    pub(crate) fn understand(&self, key: &str) -> Result<Level, ConfigError> {
        let (text, shown) = match self {
            LevelConfig::Number(number) => (number.to_string(), number.to_string()),
            LevelConfig::Word(word) => (word.clone(), format!("{word:?}")),
        };
        text.parse().map_err(|error: quorum::ParseLevelError| ConfigError::new(key, shown, error.to_string()))
    }
}

impl CountConfig {
    pub(crate) fn understand(&self) -> Result<ReplicaCount, ConfigError> {
        match self {
            CountConfig::Number(number) => Ok(ReplicaCount::Everywhere(count(&number.to_string())?)),
            CountConfig::Table(counts) => {
                let counts =
                    counts.iter().map(|(name, number)| Ok((name.clone(), count(&number.to_string())?)));
                Ok(ReplicaCount::PerDataCenter(counts.collect::<Result<_, _>>()?))
            }
            CountConfig::Text(text) => text
                .parse::<u8>()
                .map_or_else(|_| by_data_center(text), |count| Ok(ReplicaCount::Everywhere(count))),
        }
    }
}

/// Understands `dc1=2,dc2=1`.
fn by_data_center(text: &str) -> Result<ReplicaCount, ConfigError> {
    let mut counts = BTreeMap::new();
    for part in text.split(',') {
        let Some((name, number)) = part.split_once('=') else {
            return Err(not_a_count(&format!("{text:?}")));
        };
        if counts.insert(name.trim().to_owned(), count(number.trim())?).is_some() {
            return Err(not_a_count(&format!("{text:?}")));
        }
    }
    Ok(ReplicaCount::PerDataCenter(counts))
}

fn count(text: &str) -> Result<u8, ConfigError> {
    text.parse().map_err(|_| not_a_count(text))
}

fn not_a_count(shown: &str) -> ConfigError {
    ConfigError::new(
        "n",
        shown,
        "want a number of replicas such as 3, or one for each data center such as \"dc1=2,dc2=1\"",
    )
}

impl LimitsConfig {
    fn resolve(self) -> Limits {
        let base = self.value_bytes_max.map_or_else(Limits::default, Limits::for_values);
        Limits {
            key_bytes_max: self.key_bytes_max.unwrap_or(base.key_bytes_max),
            value_bytes_max: base.value_bytes_max,
            siblings_max: self.siblings_max.unwrap_or(base.siblings_max),
            record_bytes_max: self.record_bytes_max.unwrap_or(base.record_bytes_max),
            scan_keys_max: self.scan_keys_max.unwrap_or(base.scan_keys_max),
        }
    }
}
