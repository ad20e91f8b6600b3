//! The cluster that `henge dev` makes: its members, its keyspaces, and what each node is started with.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use cluster::{ClusterConfig, ClusterState, KeyspaceConfig, MemberConfig, founding_plan};
use node::Secret;

use crate::cli::Dev;
use crate::config::{self, First, Listen, NodeConfig};
use crate::machine;

/// Members on loopback, their ports one after the other.
pub(super) fn members(arguments: &Dev) -> Result<Vec<MemberConfig>> {
    (0..arguments.nodes)
        .map(|place| {
            let address = |first: u16| {
                let port = first.checked_add(place).ok_or_else(|| {
                    anyhow!("port {first} leaves no room for {} nodes: use a lower one", arguments.nodes)
                })?;
                Ok::<_, anyhow::Error>(Some(format!("127.0.0.1:{port}")))
            };
            Ok(MemberConfig {
                id: format!("n{}", place + 1),
                resp: address(arguments.resp_port)?,
                cluster: address(arguments.cluster_port)?,
                http: address(arguments.http_port)?,
                peer: address(arguments.peer_port)?,
                ..MemberConfig::default()
            })
        })
        .collect()
}

/// The cluster's first state.
pub(super) fn found(arguments: &Dev, members: &[MemberConfig]) -> Result<Arc<ClusterState>> {
    let keyspace = |name: &str, policy: &str| KeyspaceConfig {
        name: name.to_owned(),
        policy: Some(policy.to_owned()),
        durability: Some(arguments.durability.as_str().to_owned()),
        allow_flush: true,
        ..KeyspaceConfig::default()
    };
    let keyspaces = [keyspace("default", "lww"), keyspace("siblings", "siblings")];
    let cluster = ClusterConfig {
        name: Some("dev".to_owned()),
        partitions: Some(arguments.partitions),
        members: members.to_vec(),
        ..ClusterConfig::default()
    };
    let plan = founding_plan(&cluster, &keyspaces, &members[0])?;
    Ok(Arc::new(ClusterState::found(plan)?))
}

/// What a node is started with.
pub(super) fn node_config(
    arguments: &Dev,
    member: &MemberConfig,
    state: &Arc<ClusterState>,
    secret: &Secret,
) -> Result<NodeConfig> {
    let address = |text: &Option<String>| -> Result<Option<SocketAddr>> {
        text.as_deref().map(|text| text.parse().context("an address made here")).transpose()
    };
    let memory_bytes = arguments.memory.max(64 << 20);
    Ok(NodeConfig {
        name: member.id.clone(),
        data_dir: arguments.data.join(&member.id),
        memory_bytes,
        disk_reserve_bytes: None,
        shards: config::shards(Some(arguments.shards), memory_bytes, Some(state))?,
        capacity: machine::capacity(&arguments.data),
        listen: Listen {
            resp: address(&member.resp)?,
            cluster: address(&member.cluster)?,
            http: address(&member.http)?,
            peer: address(&member.peer)?.context("every member here has a peer address")?,
        },
        resp_keyspace: None,
        cluster_keyspace: None,
        gossip: gossip::Options::default(),
        limits: node::CoordinatorOptions::default(),
        secret: Some(secret.clone()),
        autoscaler: None,
        first: First::Founds(Arc::clone(state)),
    })
}
