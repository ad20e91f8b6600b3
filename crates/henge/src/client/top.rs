//! `henge top`: which keys and partitions a node is asked for most.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use super::Node;
use super::show::{list, print, table, text};
use crate::cli::At;

/// As many as a screen has room for; `--json` has all.
const SHOWN_MAX: usize = 20;

pub(crate) fn run(at: &At) -> Result<ExitCode> {
    let document = Node::new(at.at).document("/v1/hot")?;
    if at.json {
        return print(&format!("{document}\n"));
    }
    let mut keys = table(&["key", "keyspace", "partition", "reads/s", "writes/s", "and up to"]);
    for key in list(&document["keys"]).iter().take(SHOWN_MAX) {
        keys.add_row([
            quoted(&key["key"]),
            text(&key["keyspace"]),
            text(&key["partition"]),
            rate(&key["reads_per_second"]),
            rate(&key["writes_per_second"]),
            rate(&key["missed_per_second"]),
        ]);
    }
    let mut partitions = table(&["partition", "reads/s", "writes/s", "bytes/s"]);
    for partition in list(&document["partitions"]).iter().take(SHOWN_MAX) {
        let columns = ["reads_per_second", "writes_per_second", "bytes_per_second"];
        let rates = columns.map(|column| rate(&partition[column]));
        partitions.add_row([vec![text(&partition["partition"])], rates.to_vec()].concat());
    }
    let of = text(&document["node"]);
    print(&format!("What {of} is asked for most, over about the last minute\n\n{keys}\n\n{partitions}\n"))
}

/// A key in one line, whatever is in it: a terminal must not take it for orders.
fn quoted(key: &Value) -> String {
    key.as_str().unwrap_or_default().escape_debug().to_string()
}

fn rate(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_speak_to_the_terminal() {
        assert_eq!(quoted(&Value::from("a\u{1b}[2J\nb")), "a\\u{1b}[2J\\nb");
    }
}
