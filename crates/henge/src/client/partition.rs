//! `henge partition`: halves all partitions, merges them again, or moves single ones.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::Node;
use super::change::{Ask, Method};
use super::show::{list, print, text};
use super::watch::{Goal, Until};
use crate::cli::At;
use crate::cli::partition::{Halve, Merge, Move, PartitionCommand};

pub(crate) fn run(command: &PartitionCommand) -> Result<ExitCode> {
    match command {
        PartitionCommand::Halve(halve) => run_halve(halve),
        PartitionCommand::Merge(merge) => run_merge(merge),
        PartitionCommand::Move(asked) => run_move(asked),
    }
}

fn run_move(asked: &Move) -> Result<ExitCode> {
    let (partition, to) = (asked.partition, &asked.to);
    let back = match &asked.from {
        Some(from) => format!("`henge partition move {partition} --to {from} --from {to}` turns it round"),
        None => format!("`henge partition move {partition} --from {to} --to` with who had it turns it round"),
    };
    let goal = Goal { done: format!("{to} owns partition {partition}"), until: Until::AllIsThere, back };
    let body = json!({ "to": to, "from": asked.from });
    let path = format!("/v1/partitions/{partition}/move");
    Ask { method: Method::Post, path, body: Some(body) }.go(&asked.how, &goal)
}

/// The same of merging.
fn run_merge(merge: &Merge) -> Result<ExitCode> {
    let path = "/v1/partitions/merge".to_owned();
    let at = &merge.how.at;
    if merge.cancel {
        let back = "`henge partition merge` begins it again".to_owned();
        let goal = Goal {
            done: "the halves stay, and all is where it is to be".to_owned(),
            until: Until::AllIsThere,
            back,
        };
        return Ask { method: Method::Delete, path, body: None }.go(&merge.how, &goal);
    }
    let partitions = how_many(at)?;
    let goal = Goal {
        done: format!("{partitions} partitions are {} now", partitions / 2),
        until: Until::HalvesAreJoined { from: partitions },
        back: "`henge partition merge --cancel` calls it off".to_owned(),
    };
    Ask { method: Method::Post, path, body: Some(json!({ "partitions": partitions })) }.go(&merge.how, &goal)
}

fn how_many(at: &At) -> Result<u64> {
    let partitions = Node::new(at.at).document("/v1/cluster")?["partitions"].as_u64();
    let Some(partitions) = partitions else {
        bail!("the node at {} does not say how many partitions there are", at.at);
    };
    Ok(partitions)
}

/// For as many partitions as there are now: who is overtaken halves none a second time.
fn run_halve(halve: &Halve) -> Result<ExitCode> {
    let node = Node::new(halve.at.at);
    let partitions = how_many(&halve.at)?;
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
