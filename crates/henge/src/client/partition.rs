//! `henge partition`: halves all partitions, or moves single ones.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::Node;
use super::change::{Ask, Method};
use super::show::{list, print, text};
use super::watch::Goal;
use crate::cli::partition::{Halve, Move, PartitionCommand};

pub(crate) fn run(command: &PartitionCommand) -> Result<ExitCode> {
    match command {
        PartitionCommand::Halve(halve) => run_halve(halve),
        PartitionCommand::Move(asked) => run_move(asked),
    }
}

fn run_move(asked: &Move) -> Result<ExitCode> {
    let (partition, to) = (asked.partition, &asked.to);
    let back = match &asked.from {
        Some(from) => format!("`henge partition move {partition} --to {from} --from {to}` turns it round"),
        None => format!("`henge partition move {partition} --from {to} --to` with who had it turns it round"),
    };
    let goal = Goal { done: format!("{to} owns partition {partition}"), leaving: Vec::new(), back };
    let body = json!({ "to": to, "from": asked.from });
    let path = format!("/v1/partitions/{partition}/move");
    Ask { method: Method::Post, path, body: Some(body) }.go(&asked.how, &goal)
}

/// For as many partitions as there are now: who is overtaken halves none a second time.
fn run_halve(halve: &Halve) -> Result<ExitCode> {
    let node = Node::new(halve.at.at);
    let Some(partitions) = node.document("/v1/cluster")?["partitions"].as_u64() else {
        bail!("the node at {} does not say how many partitions there are", halve.at.at);
    };
    let path = if halve.dry_run { "/v1/partitions/halve?dry-run=true" } else { "/v1/partitions/halve" };
    let ask =
        Ask { method: Method::Post, path: path.to_owned(), body: Some(json!({ "partitions": partitions })) };
    let answer = ask.make(&node)?;
    if halve.at.json {
        return print(&format!("{answer}\n"));
    }
    let mut said = if halve.dry_run {
        format!("{partitions} partitions would become {}\n", 2 * partitions)
    } else {
        format!("agreed on in epoch {}: {} partitions\n", text(&answer["epoch"]), 2 * partitions)
    };
    for note in list(&answer["notes"]) {
        said.push_str(&format!("note: {}\n", text(note)));
    }
    print(&said)
}
