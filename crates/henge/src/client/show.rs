//! `henge status`, `ring` and `explain`: what a node knows, as tables.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use super::keys::clock_text;
use super::plan::human;
use super::{Node, key_path};
use crate::cli::{At, Explain};

/// Adds a line to what will be printed.
macro_rules! say {
    ($out:ident, $($text:tt)*) => {{
        use std::fmt::Write;
        let _ = writeln!($out, $($text)*);
    }};
}

/// The cluster, its nodes and its keyspaces.
pub(crate) fn status(at: &At) -> Result<ExitCode> {
    let mut out = String::new();
    let node = Node::new(at.at);
    let (cluster, keyspaces) = (node.document("/v1/cluster")?, node.document("/v1/keyspaces")?);
    if at.json {
        say!(out, "{}", serde_json::json!({ "cluster": cluster, "keyspaces": keyspaces }));
        return print(&out);
    }
    say!(
        out,
        "Cluster {}, epoch {}, as {} sees it\n",
        text(&cluster["name"]),
        text(&cluster["epoch"]),
        at.at
    );
    let mut nodes =
        table(&["node", "state", "data center", "rack", "weight", "partitions", "redis", "cluster", "http"]);
    for node in list(&cluster["nodes"]) {
        let columns = ["datacenter", "rack", "weight", "partitions", "resp", "cluster", "http"];
        let row = [text(&node["id"]), state_of(node)].into_iter();
        nodes.add_row(row.chain(columns.map(|column| text(&node[column]))));
    }
    say!(out, "{nodes}\n");
    say!(out, "{}", keyspaces_table(&keyspaces));
    out.push_str(&keepers(&cluster));
    out.push_str(&movements(&cluster));
    for notice in list(&cluster["notices"]) {
        say!(out, "\nnote: {}", text(notice));
    }
    print(&out)
}

/// A member's state, and how it stands to the cluster where that says more.
fn state_of(node: &Value) -> String {
    let (state, standing) = (text(&node["state"]), text(&node["standing"]));
    let is_said = standing == state || standing == "settled" || standing == "-";
    if is_said { state } else { format!("{state}, {standing}") }
}

/// The keyspaces and what each promises in a word.
pub(super) fn keyspaces_table(keyspaces: &Value) -> Table {
    let mut shown = table(&["keyspace", "number", "policy", "N", "R", "W", "quorum", "durability", "model"]);
    for keyspace in keyspaces_of(keyspaces) {
        let columns = ["name", "number", "policy", "replication", "r", "w", "quorum", "durability", "model"];
        shown.add_row(columns.map(|column| text(&keyspace[column])));
    }
    shown
}

/// Who keeps the cluster state, where the node knows.
fn keepers(cluster: &Value) -> String {
    let voters: Vec<String> = list(&cluster["voters"]).iter().map(text).collect();
    if voters.is_empty() {
        return String::new();
    }
    let led = match cluster["leader"].as_str() {
        Some(leader) => format!("led by {leader}"),
        None => "which nobody leads, as far as this node knows: it cannot be changed".to_owned(),
    };
    let again = match cluster["generation"].as_u64() {
        None | Some(0) => String::new(),
        Some(generation) => format!(", begun again (generation {generation})"),
    };
    format!("\ncluster state kept by {}, {led} (term {}){again}\n", voters.join(" "), text(&cluster["term"]))
}

/// What moves, and how much waits; nothing where nothing does.
fn movements(cluster: &Value) -> String {
    let (moving, waiting) = (list(&cluster["movements"]), cluster["waiting"].as_u64().unwrap_or(0));
    if moving.is_empty() && waiting == 0 {
        return String::new();
    }
    let mut shown =
        table(&["partition", "stage", "from", "to", "keyspaces", "bytes", "of about", "waits for"]);
    for movement in moving {
        let names = |what: &str| list(&movement[what]).iter().map(text).collect::<Vec<_>>().join(" ");
        shown.add_row([
            text(&movement["partition"]),
            text(&movement["stage"]),
            names("from"),
            names("to"),
            names("keyspaces"),
            human(movement["bytes_done"].as_u64()),
            human(movement["bytes_total"].as_u64()),
            if movement["waits_for"].is_null() { "-".to_owned() } else { names("waits_for") },
        ]);
    }
    let moving = if moving.is_empty() { String::new() } else { format!("\n{shown}\n") };
    format!("{moving}\npartitions yet to begin to move: {waiting}\n")
}

/// Which node owns which slots, and what moves.
pub(crate) fn ring(at: &At) -> Result<ExitCode> {
    let mut out = String::new();
    let node = Node::new(at.at);
    let ring = node.document("/v1/ring")?;
    if at.json {
        say!(out, "{ring}");
        return print(&out);
    }
    say!(out, "{} partitions over 16384 slots\n", text(&ring["partitions"]));
    let mut shown = table(&["slots", "owners, first to last"]);
    for range in list(&ring["slots"]) {
        let owners: Vec<String> = list(&range["owners"]).iter().map(text).collect();
        shown.add_row([format!("{}-{}", text(&range["first"]), text(&range["last"])), owners.join(" ")]);
    }
    say!(out, "{shown}");
    out.push_str(&movements(&node.document("/v1/cluster")?));
    print(&out)
}

/// Where a key lives and what each owner holds of it.
pub(crate) fn explain(arguments: &Explain) -> Result<ExitCode> {
    let mut out = String::new();
    let path = key_path("/v1/explain/{ks}/", &arguments.place.keyspace, &arguments.place.key);
    let found = Node::new(arguments.at.at).document(&path)?;
    if arguments.at.json {
        say!(out, "{found}");
        return print(&out);
    }
    say!(
        out,
        "{} hashes to slot {}, in partition {} of {}",
        arguments.place.key,
        text(&found["slot"]),
        text(&found["partition"]),
        text(&found["partitions"])
    );
    say!(out, "{}\n", text(&found["quorum"]));
    let mut owners = table(&["owner", "state", "bytes", "stamp", "clocks"]);
    for owner in list(&found["owners"]) {
        let clocks: Vec<String> = list(&owner["clocks"]).iter().map(clock_text).collect();
        owners.add_row([
            text(&owner["node"]),
            text(&owner["state"]),
            text(&owner["bytes"]),
            text(&owner["stamp"]),
            clocks.join(" "),
        ]);
    }
    say!(out, "{owners}");
    let fallbacks: Vec<String> = list(&found["fallbacks"]).iter().map(text).collect();
    if !fallbacks.is_empty() {
        say!(out, "\nafter the owners: {}", fallbacks.join(" "));
    }
    print(&out)
}

/// Prints all at once. Who has read enough and closed the pipe, as `head` does, is no error.
pub(super) fn print(text: &str) -> Result<ExitCode> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().copied());
    table
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn keyspaces_of(document: &Value) -> &[Value] {
    if document.is_array() { list(document) } else { list(&document["keyspaces"]) }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Who is down may be leaving as well; who leaves is not told so twice.
    #[test]
    fn a_state_says_how_a_member_stands_where_that_says_more() {
        let of = |state, standing| state_of(&json!({"state": state, "standing": standing}));
        assert_eq!(of("up", "settled"), "up");
        assert_eq!(of("leaving", "leaving"), "leaving");
        assert_eq!(of("down", "leaving"), "down, leaving");
        assert_eq!(state_of(&json!({"state": "up"})), "up");
    }

    #[test]
    fn what_moves_is_shown_only_where_something_does() {
        assert_eq!(movements(&json!({"movements": [], "waiting": 0})), "");
        let movement = json!({
            "partition": 17, "session": 5, "stage": "filling", "from": ["n1"], "to": ["n4"], "keyspaces": ["default"],
            "bytes_total": 4096, "bytes_done": null, "waits_for": ["n4"]
        });
        let shown = movements(&json!({"movements": [movement], "waiting": 42}));
        let row: Vec<&str> = shown.lines().nth(2).unwrap_or_default().split_whitespace().collect();
        assert_eq!(row, ["17", "filling", "n1", "n4", "default", "-", "4.00", "KiB", "n4"], "{shown}");
        assert!(shown.ends_with("partitions yet to begin to move: 42\n"), "{shown}");
    }

    #[test]
    fn a_state_that_nobody_leads_is_told() {
        let led = json!({"voters": ["n1", "n2"], "leader": "n2", "term": 3});
        assert_eq!(keepers(&led), "\ncluster state kept by n1 n2, led by n2 (term 3)\n");
        assert!(keepers(&json!({"voters": ["n1"], "leader": null, "term": 3})).contains("nobody leads"));
        assert_eq!(keepers(&json!({})), "");
        let again = keepers(&json!({"voters": ["n1"], "leader": "n1", "term": 1, "generation": 2}));
        assert!(again.contains("(term 1), begun again (generation 2)"), "{again}");
    }
}
