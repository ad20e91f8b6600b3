//! What a change would come to, as tables: each partition that would move, and what that is for each node.

use std::collections::BTreeMap;

use indicatif::HumanBytes;
use serde_json::Value;

use super::show::{list, table, text};

/// What a node would give away and get.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Totals {
    gives: u64,
    gets: u64,
    /// How many bytes it would get; nothing where those of a partition are not known.
    bytes: Option<u64>,
}

/// About how many bytes would move; nothing where those of a partition are not known.
pub(super) fn bytes(planned: &Value) -> Option<u64> {
    totals(planned).values().map(|node| node.bytes).sum()
}

fn totals(planned: &Value) -> BTreeMap<String, Totals> {
    let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
    let nobody = Totals { bytes: Some(0), ..Totals::default() };
    for one in list(&planned["moves"]) {
        for node in list(&one["from"]) {
            totals.entry(text(node)).or_insert(nobody).gives += 1;
        }
        for node in list(&one["to"]) {
            let node = totals.entry(text(node)).or_insert(nobody);
            node.gets += 1;
            let known = node.bytes.zip(one["bytes"].as_u64());
            node.bytes = known.map(|(sum, bytes)| sum.saturating_add(bytes));
        }
    }
    totals
}

/// The plan, for people.
pub(crate) fn shown(planned: &Value) -> String {
    let moves = list(&planned["moves"]);
    let mut out = String::new();
    if moves.is_empty() {
        out.push_str("nothing would move\n");
    } else {
        let mut each = table(&["partition", "from", "to", "keyspaces", "bytes", "why"]);
        for one in moves {
            let names = |what: &str| list(&one[what]).iter().map(text).collect::<Vec<_>>().join(" ");
            let bytes = human(one["bytes"].as_u64());
            let (partition, why) = (text(&one["partition"]), text(&one["why"]));
            each.add_row([partition, names("from"), names("to"), names("keyspaces"), bytes, why]);
        }
        let mut nodes = table(&["node", "gives", "gets", "bytes to get"]);
        for (name, node) in totals(planned) {
            nodes.add_row([name, node.gives.to_string(), node.gets.to_string(), human(node.bytes)]);
        }
        out.push_str(&format!("{each}\n\n{nodes}\n\n"));
        let all = human(bytes(planned));
        out.push_str(&format!("{} partitions would move, and about so many bytes: {all}\n", moves.len()));
    }
    for note in list(&planned["notes"]) {
        out.push_str(&format!("note: {}\n", text(note)));
    }
    out.push_str(&format!("Worked out from epoch {}; nothing was changed.\n", text(&planned["epoch"])));
    out
}

/// A number of bytes that people read at a glance; a dash where it is not known.
pub(super) fn human(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| HumanBytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(bytes: Option<u64>) -> Value {
        json!({"epoch": 7, "notes": ["n4 gets most"], "moves": [
            {"partition": 17, "keyspaces": ["default"], "from": ["n1"], "to": ["n4"], "bytes": 4096, "why": "n4 joins"},
            {"partition": 18, "keyspaces": ["default", "carts"], "from": ["n1", "n2"], "to": ["n3", "n4"], "bytes": bytes},
        ]})
    }

    #[test]
    fn a_node_gets_the_bytes_of_each_partition_that_it_gets() {
        let totals = totals(&planned(Some(100)));
        let of = |name: &str| totals[name];
        assert_eq!(of("n1"), Totals { gives: 2, gets: 0, bytes: Some(0) });
        assert_eq!(of("n4"), Totals { gives: 0, gets: 2, bytes: Some(4196) });
        assert_eq!(bytes(&planned(Some(100))), Some(4296));
    }

    /// What is not known is not taken for nothing.
    #[test]
    fn a_sum_of_which_a_part_is_not_known_is_not_known() {
        assert_eq!(totals(&planned(None))["n3"].bytes, None);
        assert_eq!(bytes(&planned(None)), None);
        let shown = shown(&planned(None));
        assert!(shown.contains("2 partitions would move, and about so many bytes: -"), "{shown}");
    }

    #[test]
    fn a_plan_ends_with_what_it_is_for_each_node() {
        let shown = shown(&planned(Some(4096)));
        let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["17", "n1", "n4", "default", "4.00", "KiB", "n4", "joins"]), "{shown}");
        assert!(rows.contains(&vec!["n4", "0", "2", "8.00", "KiB"]), "{shown}");
        assert!(shown.contains("note: n4 gets most") && shown.contains("nothing was changed"), "{shown}");
    }
}
