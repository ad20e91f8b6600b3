//! `henge members`: what a node has heard of all members by gossip.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use super::Node;
use super::show::{list, print, table, text};
use crate::cli::At;

pub(crate) fn run(at: &At) -> Result<ExitCode> {
    let document = Node::new(at.at).document("/v1/members")?;
    if at.json {
        return print(&format!("{document}\n"));
    }
    let mut shown = table(&["member", "verdict", "heartbeat", "age", "phi", "suspected by", "disk"]);
    for member in list(&document["members"]) {
        let suspected_by: Vec<String> = list(&member["suspected_by"]).iter().map(text).collect();
        shown.add_row([
            text(&member["id"]),
            text(&member["verdict"]),
            text(&member["heartbeat"]),
            member["age_ms"].as_u64().map_or_else(|| "-".to_owned(), age),
            member["phi"].as_f64().map_or_else(|| "-".to_owned(), |phi| format!("{phi:.1}")),
            if suspected_by.is_empty() { "-".to_owned() } else { suspected_by.join(" ") },
            if member["disk_is_full"] == true { "full" } else { "-" }.to_owned(),
        ]);
    }
    let of = text(&document["node"]);
    print(&format!("What {of} has heard of the members of {}\n\n{shown}\n", text(&document["cluster"])))
}

/// A time that people read at a glance.
fn age(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{:.1} s", Value::from(ms).as_f64().unwrap_or_default() / 1000.0),
        10_000..600_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_fine_as_they_are_of_use() {
        assert_eq!([0, 1_240, 12_900, 601_000].map(age), ["0.0 s", "1.2 s", "12 s", "10 min"]);
    }
}
