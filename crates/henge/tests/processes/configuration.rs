//! Configurations that cannot be served: each is refused before anything is touched, with exit code 1 and a text that
//! names the key, its value and what would be right.

use std::fs;

use crate::common::process::{Ended, run, run_in};
use crate::common::resp::Reply;
use crate::common::scratch::Scratch;
use crate::common::servers::Servers;

/// What `henge server` says of a configuration file.
fn server_with(text: &str) -> Ended {
    let scratch = Scratch::new();
    let path = scratch.join("henge.toml");
    fs::write(&path, text).expect("the target directory takes files");
    let ended = run(["server", "--config", path.to_str().expect("a plain name")]);
    assert!(!scratch.join("data").exists(), "a refusal touches nothing: {ended:?}");
    ended
}

/// The least that a node needs, with `[node]` still open.
const NODE: &str = "[node]\nid = \"n1\"\ndata_dir = \"data\"\n";

const MEMBERS: &str = "\
    [[cluster.members]]\nid = \"n1\"\npeer = \"127.0.0.1:9001\"\n\
    [[cluster.members]]\nid = \"n2\"\npeer = \"127.0.0.1:9002\"\n";

/// A misspelt setting that is quietly ignored is worse than one that is refused, in every section.
#[test]
fn an_unknown_key_is_refused_in_every_section() {
    for (text, key) in [
        (format!("{NODE}colour = \"red\"\n"), "colour"),
        (format!("{NODE}[listen]\nrespp = \"127.0.0.1:7001\"\n"), "respp"),
        (format!("{NODE}[cluster]\nnames = \"x\"\n"), "names"),
        (format!("{NODE}[[cluster.members]]\nid = \"n1\"\nport = 7\n"), "port"),
        (format!("{NODE}[[keyspaces]]\nname = \"k\"\ncopies = 3\n"), "copies"),
        (format!("{NODE}[[keyspaces]]\nname = \"k\"\nlimits = {{ keys = 3 }}\n"), "keys"),
        (format!("{NODE}[autoscaler]\nmaximum = 5\n"), "maximum"),
        (format!("{NODE}[autoscaler.local]\nroots = \"/tmp\"\n"), "roots"),
        (format!("{NODE}[stoorage]\n"), "stoorage"),
    ] {
        server_with(&text).refused_with(&["henge.toml", &format!("unknown field `{key}`"), "expected"]);
    }
}

/// Each value that makes no sense is named with its key and what would.
#[test]
fn a_wrong_value_is_named_with_its_key_and_what_would_be_right() {
    let keyspace = |line: &str| format!("{NODE}[[keyspaces]]\nname = \"carts\"\n{line}\n");
    for (text, words) in [
        (keyspace("r = \"most\""), ["keyspaces.carts.r", "most", "quorum"]),
        (keyspace("w = 4"), ["keyspaces.carts.w", "4", "at most that many"]),
        (keyspace("n = 0"), ["keyspaces.carts.n", "0", "1 to 15"]),
        (keyspace("n = \"dc9=2\""), ["keyspaces.carts.n", "dc9=2", "there are dc1"]),
        (keyspace("policy = \"newest\""), ["keyspaces.carts.policy", "newest", "lww"]),
        (keyspace("quorum = \"loose\""), ["keyspaces.carts.quorum", "loose", "sloppy"]),
        (keyspace("durability = \"never\""), ["keyspaces.carts.durability", "never", "interval"]),
        (keyspace("preset = \"fast\""), ["keyspaces.carts.preset", "fast", "fast-read"]),
        (format!("{NODE}[cluster]\npartitions = 100\n"), ["cluster.partitions", "100", "power of two"]),
        (format!("{NODE}memory = \"lots\"\n"), ["node.memory", "lots", "256MiB"]),
        (format!("{NODE}memory = 5\n"), ["node.memory", "5 bytes", "64MiB"]),
        (format!("{NODE}weight = -1.0\n"), ["weight", "-1", "0.001 to 1000"]),
        (format!("{NODE}[autoscaler]\nmin = 3\nmax = 2\n"), ["autoscaler.max", "2", "autoscaler.min"]),
        (
            format!("{NODE}[autoscaler]\nreplace_after = \"soon\"\n"),
            ["autoscaler.replace_after", "soon", "15m"],
        ),
        (
            format!("{NODE}[autoscaler]\nenabled = true\n[[autoscaler.pool]]\nrack = \"r4\"\n"),
            ["autoscaler.local.root", "nothing", "absolute path"],
        ),
        (format!("{NODE}[listen]\nhttp = \"localhost\"\n"), ["listen.http", "localhost", "127.0.0.1:"]),
    ] {
        server_with(&text).refused_with(&words);
    }
}

/// What must be said and is not: where the data is, who the node is, where peers reach it.
#[test]
fn what_is_missing_is_named_with_the_ways_to_give_it() {
    server_with("[node]\nid = \"n1\"\n").refused_with(&["node.data_dir", "--data-dir", "HENGE_DATA_DIR"]);
    server_with("[node]\ndata_dir = \"data\"\n").refused_with(&["node.id", "--node-id", "HENGE_NODE_ID"]);
    let without_peer = format!("{NODE}{MEMBERS}[[cluster.members]]\nid = \"n3\"\n");
    server_with(&without_peer).refused_with(&["cluster.members.n3.peer", "127.0.0.1:9001"]);
    run(["server", "--config", "/nowhere/henge.toml"]).refused_with(&["cannot read", "/nowhere/henge.toml"]);
}

/// A node that is none of the members would serve a ring that it is not in.
#[test]
fn a_node_that_is_not_among_the_members_is_refused_with_who_they_are() {
    let text = format!("[node]\nid = \"n7\"\ndata_dir = \"data\"\n{MEMBERS}");
    server_with(&text).refused_with(&["node.id", "n7", "n1, n2"]);
}

/// Placement follows from the list that all nodes share. What one node says of itself beside it must not be passed over in
/// silence.
#[test]
fn a_node_that_contradicts_the_list_of_members_is_refused() {
    let members = format!("{MEMBERS}rack = \"r2\"\n");
    for (line, listed) in
        [("rack = \"r9\"", "none"), ("weight = 4.0", "none"), ("datacenter = \"dc7\"", "none")]
    {
        let key = line.split(' ').next().expect("a key");
        let words = [&format!("node.{key}"), "[[cluster.members]]", listed, "n1"];
        server_with(&format!("{NODE}{line}\n{members}")).refused_with(&words);
    }
    let n2 = "[node]\nid = \"n2\"\ndata_dir = \"data\"\nrack = \"r9\"\n";
    server_with(&format!("{n2}{members}")).refused_with(&["node.rack = \"r9\"", "\"r2\"", "n2"]);
}

/// INVARIANTS K1: nothing is opened to other machines by accident, the peer port included, by file, by flag or as a member.
#[test]
fn an_address_that_other_machines_reach_is_refused_without_insecure() {
    for listener in ["resp", "cluster", "http", "peer"] {
        let (key, flag) = (format!("listen.{listener}"), format!("--{listener}"));
        for address in ["0.0.0.0:7001", "192.0.2.1:7001", "[::]:7001"] {
            let text = format!("{NODE}[listen]\n{listener} = \"{address}\"\n");
            server_with(&text).refused_with(&[&key, address, "--insecure", "127.0.0.1:7001"]);
            let by_flag = run(["server", "--node-id=n1", "--data-dir=data", &flag, address]);
            by_flag.refused_with(&[&key, address, "--insecure"]);
        }
        let members = format!("{NODE}[[cluster.members]]\nid = \"n1\"\n{listener} = \"0.0.0.0:7001\"\n");
        server_with(&members).refused_with(&[&key, "0.0.0.0:7001", "--insecure"]);
    }
}

/// Two processes on one directory would each overwrite what the other acknowledged.
#[test]
fn a_second_process_on_the_same_data_directory_is_refused() {
    let servers = Servers::start(1, "");
    let directory = servers.data(1);
    let refused = run(["server", "--node-id", "n1", "--data-dir", directory.to_str().expect("a plain name")]);
    refused
        .refused_with(&[directory.to_str().expect("a plain name"), "another node running on this directory"]);
    assert_eq!(servers.resp(1, "default").ask(&["SET", "key", "value"]), Reply::ok());
}

/// A port that is taken is named with what it was wanted for.
#[test]
fn a_port_that_is_taken_is_named() {
    let servers = Servers::start(1, "");
    let (scratch, taken) = (Scratch::new(), servers.resp_address(1).to_string());
    let data = scratch.join("data");
    let refused = run([
        "server",
        "--node-id",
        "n1",
        "--data-dir",
        data.to_str().expect("a plain name"),
        "--resp",
        &taken,
    ]);
    refused.refused_with(&[&taken, "Redis clients", "another"]);
}

/// A node on another's directory would speak with its actors and lose its own.
#[test]
fn another_nodes_directory_is_refused() {
    let mut servers = Servers::start(1, "");
    let directory = servers.data(1);
    servers.stop(1);
    let refused = run(["server", "--node-id", "n2", "--data-dir", directory.to_str().expect("a plain name")]);
    refused.refused_with(&[directory.to_str().expect("a plain name"), "`n1`", "`n2`", "node.data_dir"]);
}

/// Members and keyspaces are read at the first start; who changes them later is told what is and what would be, and
/// the data is as it was once the change is taken back.
#[test]
fn a_changed_configuration_is_refused_at_the_second_start_with_both_values() {
    let keyspace =
        |r: u8, policy: &str| format!("[[keyspaces]]\nname = \"carts\"\nr = {r}\npolicy = \"{policy}\"\n");
    let original = keyspace(1, "siblings");
    let mut servers = Servers::start(1, &original);
    assert_eq!(servers.resp(1, "carts").ask(&["SET", "key", "value"]), Reply::ok());
    servers.stop(1);

    for (changed, words) in [
        (keyspace(2, "siblings"), "keyspace carts: r is 1, would be 2"),
        (keyspace(1, "lww"), "keyspace carts: policy is siblings, would be lww"),
        (String::new(), "keyspace carts would be gone"),
        (format!("{original}[[keyspaces]]\nname = \"more\"\n"), "keyspace more would be new"),
    ] {
        servers.configure(1, &changed);
        servers.run(1).refused_with(&[
            servers.data(1).to_str().expect("a plain name"),
            words,
            "first start only",
        ]);
    }
    servers.configure(1, &original);
    servers.launch(1);
    assert_eq!(servers.resp(1, "carts").ask(&["GET", "key"]), Reply::value("value"));
}

/// A flag wins over a variable, and that over the file, so that one file can serve several nodes.
#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let servers = Servers::prepare(2, "");
    let config = servers.config_path(1);
    let words = ["server", "--config", config.to_str().expect("a plain name")];
    let by_variable = run_in(&[("HENGE_NODE_ID", "n8")], words);
    by_variable.refused_with(&["node.id = \"n8\"", "n1, n2"]);
    let by_flag = run_in(&[("HENGE_NODE_ID", "n8")], words.into_iter().chain(["--node-id", "n9"]));
    by_flag.refused_with(&["node.id = \"n9\"", "n1, n2"]);
}
