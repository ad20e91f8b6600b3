//! What `henge.toml` may say, and what it is told when it says something else.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use cluster::{ClusterConfig, ClusterState, ConfigError, KeyspaceConfig, MemberConfig, founding_plan, joins};
use quorum::Level;
use serde::Deserialize;
use types::NodeId;

/// The sections of `henge.toml` that this crate reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    cluster: ClusterConfig,
    #[serde(default)]
    keyspaces: Vec<KeyspaceConfig>,
}

fn found_as(node: &str, text: &str) -> Result<ClusterState, ConfigError> {
    let file: File = toml::from_str(text).unwrap();
    let this = MemberConfig { id: node.to_owned(), ..MemberConfig::default() };
    ClusterState::found(founding_plan(&file.cluster, &file.keyspaces, &this)?)
}

fn refused(text: &str) -> String {
    found_as("n1", text).unwrap_err().to_string()
}

const THREE: &str = r#"
    [cluster]
    name = "example"
    bootstrap = true
    seeds = ["127.0.0.1:9001"]
    partitions = 64
    [[cluster.members]]
    id = "n1"
    weight = 2.0
    datacenter = "east"
    rack = "r1"
    resp = "127.0.0.1:7001"
    cluster = "127.0.0.1:7101"
    http = "127.0.0.1:8001"
    peer = "127.0.0.1:9001"
    [[cluster.members]]
    id = "n2"
    datacenter = "east"
    peer = "127.0.0.1:9002"
    [[cluster.members]]
    id = "n3"
    datacenter = "west"
    peer = "[::1]:9003"
    [[keyspaces]]
    name = "carts"
    policy = "siblings"
    preset = "fast-read"
    n = { east = 2, west = 1 }
    quorum = "strict"
    durability = "interval"
    require_context = true
    max_clock_entries = 50
    allow_flush = true
    limits = { value_bytes_max = 4194304, siblings_max = 10 }
    [[keyspaces]]
    name = "users"
    number = 1
    n = "east=1, west=1"
    r = 1
    w = "each-quorum"
    [[keyspaces]]
    name = "default"
    n = 1
    preset = "fast-write"
    r = "all"
"#;

#[test]
fn every_key_is_understood() {
    let state = found_as("n2", THREE).unwrap();
    assert_eq!((state.name(), state.partition_count()), ("example", 64));
    let first = state.member(NodeId(1)).unwrap();
    assert_eq!((first.weight, first.rack.as_str()), (2.0, "r1"));
    assert_eq!(first.addresses.cluster.unwrap().port(), 7101);
    assert_eq!(state.member_by_name("n3").unwrap().addresses.peer.unwrap().to_string(), "[::1]:9003");

    let carts = state.keyspace_by_name("carts").unwrap();
    assert_eq!((carts.r, carts.w, carts.n_text().as_str()), (Level::One, Level::All, "east=2,west=1"));
    assert_eq!((carts.require_context, carts.max_clock_entries, carts.allow_flush), (true, Some(50), true));
    assert_eq!((carts.limits.value_bytes_max, carts.limits.siblings_max), (4_194_304, 10));
    assert!(carts.limits.record_bytes_max > 4_194_304, "room for a value follows from its size");
    let users = state.keyspace_by_number(1).unwrap();
    assert_eq!((users.name.as_str(), users.r, users.w), ("users", Level::Count(1), Level::EachQuorum));
    assert_eq!(carts.number, 2, "the next number that nobody else asked for");
    let default = state.default_keyspace();
    assert_eq!((default.r, default.w), (Level::All, Level::One));
    assert_eq!(default.policy.to_string(), "lww", "what is left out stays as it is built in");
}

/// The same file on every node founds the same cluster.
#[test]
fn every_node_founds_the_same_state() {
    assert_eq!(found_as("n1", THREE).unwrap(), found_as("n3", THREE).unwrap());
}

#[test]
fn a_node_without_members_is_a_cluster_of_one() {
    let state = found_as("alone", "").unwrap();
    assert_eq!(state.members().len(), 1);
    assert_eq!((state.name(), state.members()[0].name.as_str()), ("henge", "alone"));
    assert_eq!(state.partition_count(), 256);
}

#[test]
fn a_node_that_is_no_member_is_refused() {
    assert_eq!(
        found_as("n4", THREE).unwrap_err().to_string(),
        "node.id = \"n4\": it is not among [[cluster.members]]: want one of n1, n2, n3"
    );
}

/// Who names seeds joins, unless he founds the cluster or is told who else does.
#[test]
fn seeds_alone_are_to_join_at() {
    let joins = |text: &str| joins(&toml::from_str::<File>(text).unwrap().cluster);
    assert!(joins("cluster.seeds = [\"10.0.0.1:9001\"]"));
    assert!(!joins("cluster.seeds = [\"10.0.0.1:9001\"]\ncluster.bootstrap = true"));
    assert!(!joins(THREE));
    assert!(!joins(""));
}

/// A configuration error names the key, the value and what would be right.
#[test]
fn errors_name_the_key_the_value_and_what_would_be_right() {
    assert_eq!(
        refused("cluster.partitions = 100"),
        "cluster.partitions = 100: want a power of two from 1 to 16384, such as 256"
    );
    assert_eq!(
        refused("cluster.name = \"my cluster\""),
        "cluster.name = \"my cluster\": a name is 1 to 64 letters, digits, dots, dashes and underscores"
    );
    assert_eq!(
        refused("[[cluster.members]]\nid = \"n1\"\nresp = \"localhost\""),
        "cluster.members.n1.resp = \"localhost\": want an IP address and a port, such as \"127.0.0.1:7001\""
    );
    assert_eq!(
        refused("[[cluster.members]]\nid = \"n1\"\n[[cluster.members]]\nid = \"n2\""),
        "cluster.members.n1.peer = nothing: say where the other members reach this one, such as \"127.0.0.1:9001\""
    );
    for (line, message) in [
        ("policy = \"newest\"", "policy = \"newest\": "),
        ("quorum = \"loose\"", "quorum = \"loose\": "),
        ("durability = \"never\"", "durability = \"never\": "),
        ("preset = \"fast\"", "preset = \"fast\": want fast-read, fast-write or quorum"),
        ("r = \"most\"", "r = \"most\": "),
        ("w = 0", "w = 0: "),
        ("w = 1000", "w = 1000: "),
        ("n = \"dc1\"", "n = \"dc1\": want a number of replicas such as 3, or one for each data center"),
        ("n = -1", "n = -1: want a number of replicas such as 3"),
        ("n = { dc1 = 300 }", "n = 300: want a number of replicas"),
        ("n = \"dc1=1,dc1=2\"", "n = \"dc1=1,dc1=2\": "),
        ("max_clock_entries = 0", "max_clock_entries = 0: want at least 1"),
        ("number = 70000", "number = 70000: want 0 to 65535"),
        ("limits = { siblings_max = 1 }", "limits.siblings_max = 1: want 2 to 10000"),
    ] {
        let error = refused(&format!("[[keyspaces]]\nname = \"carts\"\n{line}"));
        let expected = format!("keyspaces.carts.{message}");
        assert!(error.starts_with(&expected), "{line}: {error}");
    }
}

/// A misspelt setting that is quietly ignored is worse than one that is refused.
#[test]
fn keys_that_are_not_known_are_refused() {
    for text in [
        "cluster.nme = \"x\"",
        "[[keyspaces]]\nname = \"a\"\nreplicas = 3",
        "[[cluster.members]]\nid = \"a\"\nrak = \"r\"",
    ] {
        let error = toml::from_str::<File>(text).err().unwrap().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
}
