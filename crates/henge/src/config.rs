//! The configuration of one node: a TOML file, with environment variables over it, and flags over those.
//!
//! What must hold: an unknown key, a value out of range or a contradiction is an error that names the key, the value and
//! what would be right; nothing is guessed; and no socket is opened to the world by accident (INVARIANTS K1).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use api::NodePlan;
use autoscale::AutoscalerConfig;
use cluster::{ClusterConfig, ClusterState, KeyspaceConfig, MemberConfig, founding_plan, joins, node_plan};
use node::{CoordinatorOptions, Secret, Shards, Wanted};
use ring::Partitions;
use serde::Deserialize;

use crate::autoscaler;
use crate::cli::Server;
use crate::gossip::{self, GossipSection};
use crate::limits::LimitsSection;
use crate::machine;

/// A whole `henge.toml`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    node: NodeSection,
    #[serde(default)]
    listen: ListenSection,
    #[serde(default)]
    cluster: ClusterConfig,
    #[serde(default)]
    gossip: GossipSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    autoscaler: AutoscalerConfig,
    #[serde(default)]
    keyspaces: Vec<KeyspaceConfig>,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeSection {
    id: Option<String>,
    data_dir: Option<PathBuf>,
    memory: Option<Size>,
    disk_reserve: Option<Size>,
    shards: Option<u8>,
    weight: Option<f64>,
    datacenter: Option<String>,
    rack: Option<String>,
}

/// Bytes, as a number or a text with a unit.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Size {
    Bytes(u64),
    Text(String),
}

impl Size {
    /// How many; an error names the key.
    pub(crate) fn bytes(&self, key: &str) -> Result<u64> {
        match self {
            Size::Bytes(bytes) => Ok(*bytes),
            Size::Text(text) => parse_bytes(text).map_err(|why| anyhow!("{key}: {why}")),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenSection {
    resp: Option<String>,
    cluster: Option<String>,
    http: Option<String>,
    peer: Option<String>,
    resp_keyspace: Option<String>,
    cluster_keyspace: Option<String>,
}

/// What a node is started with, checked.
#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) memory_bytes: u64,
    /// Room on the disk that only deletes and background work may use; nothing where storage is to choose.
    pub(crate) disk_reserve_bytes: Option<u64>,
    pub(crate) shards: Wanted,
    /// What it has measured of its machine.
    pub(crate) capacity: f64,
    pub(crate) listen: Listen,
    /// The keyspace that connections for Redis clients begin in, and that Redis Cluster clients are bound to; number 0
    /// where nothing is said.
    pub(crate) resp_keyspace: Option<String>,
    pub(crate) cluster_keyspace: Option<String>,
    pub(crate) gossip: ::gossip::Options,
    /// How much it has under way, and may do twice.
    pub(crate) limits: CoordinatorOptions,
    /// What the cluster's nodes share, if they have anything.
    pub(crate) secret: Option<Secret>,
    /// How the node comes to know its cluster, when it starts for the first time.
    pub(crate) first: First,
    /// What decides how many nodes there are, where this node leads; nothing where it is turned off.
    pub(crate) autoscaler: Option<autoscaler::Settings>,
}

/// How a node comes to know its cluster.
#[derive(Clone, Debug)]
pub(crate) enum First {
    /// It founds it, alone or with the others that are listed.
    Founds(Arc<ClusterState>),
    /// It joins, at one of these.
    Joins {
        /// Where peers of members are reached.
        seeds: Vec<SocketAddr>,
        /// As what.
        plan: Box<NodePlan>,
    },
}

/// Where a node listens; what is left out is not served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    pub(crate) resp: Option<SocketAddr>,
    pub(crate) cluster: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) peer: SocketAddr,
}

/// The memory that a node uses where nothing is said: a quarter of the machine's, so that the page cache, other programs
/// and a second node have room, but no more than this; who has more to give says so.
const MEMORY_DEFAULT_MAX_BYTES: u64 = 4 << 30;
/// Less than this leaves no room for memtables and caches beside the program itself.
const MEMORY_MIN_BYTES: u64 = 64 << 20;
/// More shards than this are had only by saying so: each has logs, memtables and threads of its own.
const SHARDS_DEFAULT_MAX: u64 = 16;
/// What a shard needs of the node's memory: as much as the least node.
const SHARD_MEMORY_MIN_BYTES: u64 = MEMORY_MIN_BYTES;
/// How many of the largest records a shard must have memory for.
const RECORDS_IN_MEMORY: u64 = 4;

/// The configuration that the command line asks for.
pub(crate) fn load(arguments: &Server) -> Result<NodeConfig> {
    let mut file = match &arguments.config {
        Some(path) => read(path)?,
        None => File::default(),
    };
    overlay(&mut file, arguments);
    let given = std::env::var("HENGE_CLUSTER_SECRET").ok();
    let secret = gossip::secret(given.as_deref(), file.cluster.secret_file.as_deref())?;
    Ok(NodeConfig { secret, ..resolve(&file, arguments.insecure)? })
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the configuration file {} is not right", path.display()))
}

fn overlay(file: &mut File, arguments: &Server) {
    fn set<T: Clone>(place: &mut Option<T>, value: Option<&T>) {
        if let Some(value) = value {
            *place = Some(value.clone());
        }
    }
    set(&mut file.node.id, arguments.node_id.as_ref());
    set(&mut file.node.data_dir, arguments.data_dir.as_ref());
    set(&mut file.node.memory, arguments.memory.map(Size::Bytes).as_ref());
    set(&mut file.node.disk_reserve, arguments.disk_reserve.map(Size::Bytes).as_ref());
    set(&mut file.node.shards, arguments.shards.as_ref());
    set(&mut file.node.weight, arguments.weight.as_ref());
    set(&mut file.node.datacenter, arguments.datacenter.as_ref());
    set(&mut file.node.rack, arguments.rack.as_ref());
    set(&mut file.listen.resp, arguments.resp.as_ref());
    set(&mut file.listen.cluster, arguments.cluster.as_ref());
    set(&mut file.listen.http, arguments.http.as_ref());
    set(&mut file.listen.peer, arguments.peer.as_ref());
    set(&mut file.cluster.name, arguments.cluster_name.as_ref());
    set(&mut file.cluster.partitions, arguments.partitions.as_ref());
    set(&mut file.cluster.secret_file, arguments.secret_file.as_ref());
    set(&mut file.gossip.interval_ms, arguments.gossip_interval_ms.as_ref());
    set(&mut file.gossip.fan_out, arguments.gossip_fan_out.as_ref());
    set(&mut file.gossip.phi, arguments.gossip_phi.as_ref());
    set(&mut file.gossip.phi_after_failures, arguments.gossip_phi_after_failures.as_ref());
    set(&mut file.limits.operations, arguments.limit_operations.as_ref());
    set(&mut file.limits.bytes, arguments.limit_bytes.map(Size::Bytes).as_ref());
    set(&mut file.limits.hedge_percent, arguments.hedge_percent.as_ref());
    set(&mut file.limits.retry_percent, arguments.retry_percent.as_ref());
    if let Some(bootstrap) = arguments.bootstrap {
        file.cluster.bootstrap = bootstrap;
    }
    set(&mut file.cluster.replaces, arguments.replaces.as_ref());
    if let Some(seeds) = &arguments.seeds {
        file.cluster.seeds.clone_from(seeds);
    }
}

fn resolve(file: &File, insecure: bool) -> Result<NodeConfig> {
    let name = file.node.id.clone().ok_or_else(|| {
        anyhow!("node.id is not set: give the node a name, in the file, as --node-id or as HENGE_NODE_ID")
    })?;
    let data_dir = file.node.data_dir.clone().ok_or_else(|| {
        anyhow!(
            "node.data_dir is not set: say where node {name} keeps its data, in the file, as --data-dir or as HENGE_DATA_DIR"
        )
    })?;
    let memory_bytes = memory_bytes(file.node.memory.as_ref())?;
    let disk_reserve = file.node.disk_reserve.as_ref();
    let disk_reserve_bytes = disk_reserve.map(|size| size.bytes("node.disk_reserve")).transpose()?;
    let listed = file.cluster.members.iter().find(|member| member.id == name);
    let this = this_member(file, &name, listed);
    let listen = Listen {
        resp: address("listen.resp", this.resp.as_deref())?,
        cluster: address("listen.cluster", this.cluster.as_deref())?,
        http: address("listen.http", this.http.as_deref())?,
        peer: address("listen.peer", this.peer.as_deref())?
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
    };
    check_exposure(&listen, insecure)?;
    if let Some(listed) = listed {
        check_agreement(&file.node, listed)?;
    }
    let capacity = machine::capacity(&data_dir);
    let first = first(file, &this, capacity)?;
    let founded = match &first {
        First::Founds(state) => Some(&**state),
        First::Joins { .. } => None,
    };
    let shards = shards(file.node.shards, memory_bytes, founded)?;
    if let Some(state) = founded {
        check_records(memory_bytes, shards, state)?;
    }
    let bound = |key: &str, keyspace: &Option<String>| check_bound(key, keyspace.as_deref(), founded);
    Ok(NodeConfig {
        resp_keyspace: bound("listen.resp_keyspace", &file.listen.resp_keyspace)?,
        cluster_keyspace: bound("listen.cluster_keyspace", &file.listen.cluster_keyspace)?,
        gossip: file.gossip.options()?,
        limits: file.limits.options(memory_bytes)?,
        secret: None,
        autoscaler: autoscaler::Settings::of(&file.autoscaler)?,
        name,
        data_dir,
        memory_bytes,
        disk_reserve_bytes,
        shards,
        capacity,
        listen,
        first,
    })
}

/// Whether the node founds its cluster or joins one.
fn first(file: &File, this: &MemberConfig, capacity: f64) -> Result<First> {
    if !joins(&file.cluster) {
        let plan = founding_plan(&file.cluster, &file.keyspaces, this)?;
        return Ok(First::Founds(Arc::new(ClusterState::found(plan)?)));
    }
    if !file.keyspaces.is_empty() {
        bail!(
            "[[keyspaces]] are those that a cluster is founded with, and this node joins one (cluster.seeds): take them out, and make \
             keyspaces with `henge keyspace create`"
        );
    }
    let seeds = file.cluster.seeds.iter().map(|seed| {
        seed.parse().map_err(|_| anyhow!("cluster.seeds: {seed:?} is no address: want an IP address and a port, such as \"127.0.0.1:9001\""))
    });
    let plan = node_plan(&file.cluster, this, file.cluster.replaces.clone(), capacity)?;
    Ok(First::Joins { seeds: seeds.collect::<Result<_>>()?, plan: Box::new(plan) })
}

fn check_bound(key: &str, keyspace: Option<&str>, state: Option<&ClusterState>) -> Result<Option<String>> {
    let Some(text) = keyspace else { return Ok(None) };
    // What there is where the node joins is not known yet: clients are told when they come.
    let Some(state) = state else { return Ok(Some(text.to_owned())) };
    let number = text.parse().ok().and_then(|number| state.keyspace_by_number(number));
    if state.keyspace_by_name(text).or(number).is_none() {
        let names: Vec<&str> = state.keyspaces().iter().map(|keyspace| keyspace.name.as_str()).collect();
        bail!("{key} is `{text}`: there is no such keyspace; want one of {}", names.join(", "));
    }
    Ok(Some(text.to_owned()))
}

/// Placement follows from what `[[cluster.members]]` says, the same on every node; what a node says of itself beside it
/// would be passed over in silence if it differed.
fn check_agreement(node: &NodeSection, listed: &MemberConfig) -> Result<()> {
    let shown = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
    let number = |weight: Option<f64>| weight.map(|weight| weight.to_string());
    let pairs = [
        ("datacenter", shown(&node.datacenter), shown(&listed.datacenter)),
        ("rack", shown(&node.rack), shown(&listed.rack)),
        ("weight", number(node.weight), number(listed.weight)),
    ];
    for (key, own, listed_as) in pairs {
        if let Some(own) = own
            && listed_as.as_ref() != Some(&own)
        {
            bail!(
                "node.{key} = {own}: [[cluster.members]] gives {} for {}, and all nodes must know the same: say it there, on every node",
                listed_as.unwrap_or_else(|| "none".to_owned()),
                listed.id
            );
        }
    }
    Ok(())
}

/// A record is in memory several times over while it is merged, written and sent, and may be so in each shard.
fn check_records(memory_bytes: u64, shards: Wanted, state: &ClusterState) -> Result<()> {
    let (Wanted::Exactly(count) | Wanted::AsFound { new: count }) = shards;
    let parts = RECORDS_IN_MEMORY * u64::from(count);
    let limit = memory_bytes / parts;
    let too_large = |keyspace: &&cluster::Keyspace| keyspace.limits.record_bytes_max > limit;
    let Some(keyspace) = state.keyspaces().iter().find(too_large) else {
        return Ok(());
    };
    let bytes = keyspace.limits.record_bytes_max;
    bail!(
        "keyspaces.{}.limits.record_bytes_max = {bytes}: node.memory of {memory_bytes} bytes has room for records of up to {limit}: \
         give the node at least {} bytes, set a lower limit for records or values, or give it fewer shards than {count}",
        keyspace.name,
        bytes * parts
    )
}

/// The node itself, as a member: what the file says of it in `[node]` and `[listen]`, and else in `[[cluster.members]]`.
fn this_member(file: &File, name: &str, listed: Option<&MemberConfig>) -> MemberConfig {
    let or = |own: &Option<String>, of: fn(&MemberConfig) -> &Option<String>| {
        own.clone().or_else(|| listed.and_then(|member| of(member).clone()))
    };
    MemberConfig {
        id: name.to_owned(),
        datacenter: or(&file.node.datacenter, |member| &member.datacenter),
        rack: or(&file.node.rack, |member| &member.rack),
        weight: file.node.weight.or_else(|| listed.and_then(|member| member.weight)),
        resp: or(&file.listen.resp, |member| &member.resp),
        cluster: or(&file.listen.cluster, |member| &member.cluster),
        http: or(&file.listen.http, |member| &member.http),
        peer: or(&file.listen.peer, |member| &member.peer),
    }
}

fn memory_bytes(memory: Option<&Size>) -> Result<u64> {
    let bytes = match memory {
        None => {
            let there = machine::memory_bytes().unwrap_or_default();
            (there / 4).clamp(MEMORY_MIN_BYTES, MEMORY_DEFAULT_MAX_BYTES)
        }
        Some(size) => size.bytes("node.memory")?,
    };
    if bytes < MEMORY_MIN_BYTES {
        bail!("node.memory is {bytes} bytes: a node needs at least 64MiB");
    }
    Ok(bytes)
}

/// How many shards the node is to have. Where nothing is said, as many as its directory was made for; a new one is made for
/// half of the machine's cores, so that the threads beside them (syncs, compactions, cold reads, HTTP) have the others.
pub(crate) fn shards(asked: Option<u8>, memory_bytes: u64, state: Option<&ClusterState>) -> Result<Wanted> {
    let most_by_memory = memory_bytes / SHARD_MEMORY_MIN_BYTES;
    if let Some(count) = asked {
        // Where it joins, how the ring is cut is not known yet.
        Shards::new(count, state.map_or_else(Partitions::default, ClusterState::partitions))?;
        if u64::from(count) > most_by_memory {
            bail!(
                "node.shards is {count}: node.memory of {memory_bytes} bytes is enough for {most_by_memory}: \
                 give the node at least {} bytes, or fewer shards",
                u64::from(count) * SHARD_MEMORY_MIN_BYTES
            );
        }
        return Ok(Wanted::Exactly(count));
    }
    let cores = env::cpu::cores() as u64;
    let partitions =
        state.map_or_else(|| u32::from(Partitions::default().count()), ClusterState::partition_count);
    let limits = [cores / 2, SHARDS_DEFAULT_MAX, most_by_memory, u64::from(partitions)];
    let most = limits.into_iter().min().unwrap_or(1).max(1);
    Ok(Wanted::AsFound { new: 1 << most.ilog2() })
}

/// A number of bytes such as `256MiB`, `1GiB`, `500MB` or `1048576`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wanted = || format!("`{text}` is no number of bytes: write it as 268435456, 256MiB or 1GiB");
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text.trim()[digits.len()..];
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wanted()),
    };
    let count: u64 = digits.trim().parse().map_err(|_| wanted())?;
    count.checked_mul(scale).ok_or_else(wanted)
}

fn address(key: &str, text: Option<&str>) -> Result<Option<SocketAddr>> {
    text.map(|text| {
        text.parse()
            .map_err(|_| anyhow!("{key} is `{text}`: want an IP address and a port, such as 127.0.0.1:7001"))
    })
    .transpose()
}

/// Nothing is encrypted and nobody logs in yet, so only this machine may connect unless somebody insists.
fn check_exposure(listen: &Listen, insecure: bool) -> Result<()> {
    let all = [
        ("listen.resp", listen.resp),
        ("listen.cluster", listen.cluster),
        ("listen.http", listen.http),
        ("listen.peer", Some(listen.peer)),
    ];
    for (key, address) in all {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback() && !insecure) {
            bail!(
                "{key} is {address}, which other machines can reach, and this version neither encrypts nor asks for a password: \
                 use a loopback address such as 127.0.0.1:{}, or give --insecure if the network is safe",
                address.port()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_text(text: &str, insecure: bool) -> Result<NodeConfig> {
        resolve(&toml::from_str(text)?, insecure)
    }

    fn error_of(text: &str) -> String {
        format!("{:#}", resolve_text(text, false).expect_err("not right"))
    }

    const LEAST: &str = "[node]\nid = \"n1\"\ndata_dir = \"d\"\n";

    #[test]
    fn the_least_configuration_is_a_cluster_of_one() {
        let config = resolve_text(LEAST, false).expect("enough");
        assert!(matches!(config.first, First::Founds(state) if state.members().len() == 1));
        assert!((MEMORY_MIN_BYTES..=MEMORY_DEFAULT_MAX_BYTES).contains(&config.memory_bytes));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = error_of(&format!("{LEAST}colour = 3\n"));
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_with_the_ways_to_give_it() {
        let error = error_of("[node]\nid = \"n1\"\n");
        assert!(error.contains("node.data_dir") && error.contains("HENGE_DATA_DIR"), "{error}");
    }

    #[test]
    fn an_address_of_the_world_is_refused_on_every_listener_unless_insisted_on() {
        for key in ["resp", "cluster", "http", "peer"] {
            let text = format!("{LEAST}[listen]\n{key} = \"0.0.0.0:7001\"\n");
            let error = error_of(&text);
            assert!(error.contains(&format!("listen.{key}")) && error.contains("--insecure"), "{error}");
            assert!(resolve_text(&text, true).is_ok());
        }
    }

    #[test]
    fn a_listener_is_bound_only_to_a_keyspace_that_there_is() {
        let text = format!("{LEAST}[listen]\ncluster_keyspace = \"carts\"\n");
        let error = error_of(&text);
        assert!(error.contains("listen.cluster_keyspace") && error.contains("default"), "{error}");
        let text = format!("{text}[[keyspaces]]\nname = \"carts\"\n");
        let config = resolve_text(&text, false).expect("there is one now");
        assert_eq!(config.cluster_keyspace.as_deref(), Some("carts"));
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("256MiB"), Ok(256 << 20));
        assert_eq!(parse_bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_bytes("5"), Ok(5));
        assert!(parse_bytes("much").is_err());
        assert!(parse_bytes("99999999999TiB").is_err());
    }

    #[test]
    fn shards_are_a_power_of_two_for_which_there_is_memory() {
        let text = |more: &str| format!("[node]\nid = \"n1\"\ndata_dir = \"d\"\n{more}");
        let error = error_of(&text("shards = 3\n"));
        assert!(error.contains("node.shards is 3") && error.contains("power of two from 1 to 64"), "{error}");
        let error = error_of(&text("shards = 4\nmemory = \"64MiB\"\n"));
        assert!(error.contains("node.shards is 4") && error.contains("268435456"), "{error}");
        let config = resolve_text(&text("shards = 2\nmemory = \"128MiB\"\n"), false).expect("enough");
        assert_eq!(config.shards, Wanted::Exactly(2));
    }

    #[test]
    fn too_little_memory_is_refused() {
        let error = error_of("[node]\nid = \"n1\"\ndata_dir = \"d\"\nmemory = \"1MiB\"\n");
        assert!(error.contains("64MiB"), "{error}");
    }
}
