//! The cluster of a drill: three nodes on ports that are free, and a keyspace for each choice.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cluster::{ClusterConfig, ClusterState, KeyspaceConfig, LevelConfig, MemberConfig, founding_plan};
use env::Rng;
use node::Secret;

use crate::config::{self, First, Listen, NodeConfig};
use crate::machine;

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// The memory of each.
const MEMORY_BYTES: u64 = 64 << 20;

/// How often to look for free ports before giving up.
const PORT_TRIES: usize = 100;

/// A choice of the CAP theorem, as a keyspace makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Choice {
    /// Always writable: siblings, R = W = 1. Every side of a cut accepts.
    Always,
    /// Strict, majorities of both. The small side of a cut refuses.
    Majority,
    /// Strict, W = N. Every side of a cut refuses writes.
    Every,
}

impl Choice {
    pub(super) const ALL: [Choice; 3] = [Choice::Always, Choice::Majority, Choice::Every];

    /// The keyspace's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Choice::Always => "always",
            Choice::Majority => "majority",
            Choice::Every => "every",
        }
    }

    /// The keyspace in a few words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Choice::Always => "siblings, R=1 W=1, sloppy: always writable",
            Choice::Majority => "one value, R=quorum W=quorum, strict: a majority decides",
            Choice::Every => "one value, R=1 W=N, strict: every replica has every write",
        }
    }

    /// Whether a read never shows less than what was acknowledged before it began.
    pub(super) fn is_strict(self) -> bool {
        self != Choice::Always
    }

    fn keyspace(self) -> KeyspaceConfig {
        let named = |policy: &str, quorum: &str| KeyspaceConfig {
            name: self.name().to_owned(),
            policy: Some(policy.to_owned()),
            quorum: Some(quorum.to_owned()),
            ..KeyspaceConfig::default()
        };
        let one = || Some(LevelConfig::Word("one".to_owned()));
        match self {
            Choice::Always => KeyspaceConfig { r: one(), w: one(), ..named("siblings", "sloppy") },
            Choice::Majority => {
                KeyspaceConfig { preset: Some("quorum".to_owned()), ..named("lww", "strict") }
            }
            Choice::Every => {
                KeyspaceConfig { preset: Some("fast-read".to_owned()), ..named("lww", "strict") }
            }
        }
    }
}

/// What each node is started with.
pub(super) fn configs(data: &Path) -> Result<Vec<NodeConfig>> {
    let ports = free_ports(2 * NODES)?;
    let (http, peer) = ports.split_at(NODES);
    let members: Vec<MemberConfig> = (0..NODES)
        .map(|place| MemberConfig {
            id: format!("n{}", place + 1),
            http: Some(http[place].to_string()),
            peer: Some(peer[place].to_string()),
            ..MemberConfig::default()
        })
        .collect();
    let cluster = ClusterConfig {
        name: Some("drill".to_owned()),
        members: members.clone(),
        ..ClusterConfig::default()
    };
    let keyspaces = Choice::ALL.map(Choice::keyspace);
    let state = Arc::new(ClusterState::found(founding_plan(&cluster, &keyspaces, &members[0])?)?);
    let secret = Secret::new(Rng::from_entropy().next_u64().to_le_bytes().repeat(2));
    let config = |(place, member): (usize, &MemberConfig)| {
        Ok(NodeConfig {
            name: member.id.clone(),
            data_dir: data.join(&member.id),
            memory_bytes: MEMORY_BYTES,
            disk_reserve_bytes: None,
            shards: config::shards(Some(1), MEMORY_BYTES, Some(&state))?,
            capacity: machine::capacity(data),
            listen: Listen { resp: None, cluster: None, http: Some(http[place]), peer: peer[place] },
            resp_keyspace: None,
            cluster_keyspace: None,
            gossip: gossip::Options::default(),
            limits: node::CoordinatorOptions::default(),
            secret: Some(secret.clone()),
            autoscaler: None,
            first: First::Founds(Arc::clone(&state)),
        })
    };
    members.iter().enumerate().map(config).collect()
}

/// Ports of this machine that nobody has now, neither for connections nor for datagrams.
fn free_ports(count: usize) -> Result<Vec<SocketAddr>> {
    // Held until all are found, so that none is found twice.
    let mut held = Vec::new();
    for _ in 0..PORT_TRIES {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port of this machine is free")?;
        let address = listener.local_addr()?;
        if let Ok(socket) = UdpSocket::bind(address) {
            held.push((address, listener, socket));
        }
        if held.len() == count {
            return Ok(held.iter().map(|(address, ..)| *address).collect());
        }
    }
    bail!("not {count} ports of this machine are free for connections and datagrams")
}
