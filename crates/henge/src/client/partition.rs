//! `henge partition`: moves single partitions.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::change::{Ask, Method};
use super::watch::Goal;
use crate::cli::partition::PartitionCommand;

pub(crate) fn run(command: &PartitionCommand) -> Result<ExitCode> {
    let PartitionCommand::Move(asked) = command;
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
