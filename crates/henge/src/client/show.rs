//! `henge status`, `ring` and `explain`: what a node knows, as tables.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use super::keys::clock_text;
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
        let columns =
            ["id", "state", "datacenter", "rack", "weight", "partitions", "resp", "cluster", "http"];
        nodes.add_row(columns.map(|column| text(&node[column])));
    }
    say!(out, "{nodes}\n");
    let mut shown = table(&["keyspace", "number", "policy", "N", "R", "W", "quorum", "durability", "model"]);
    for keyspace in keyspaces_of(&keyspaces) {
        let columns = ["name", "number", "policy", "replication", "r", "w", "quorum", "durability", "model"];
        shown.add_row(columns.map(|column| text(&keyspace[column])));
    }
    say!(out, "{shown}");
    for notice in list(&cluster["notices"]) {
        say!(out, "\nnote: {}", text(notice));
    }
    print(&out)
}

/// Which node owns which slots.
pub(crate) fn ring(at: &At) -> Result<ExitCode> {
    let mut out = String::new();
    let ring = Node::new(at.at).document("/v1/ring")?;
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
