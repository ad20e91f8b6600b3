//! `henge autoscaler`: what it is about to do, and what it has decided of late.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::Value;

use super::Node;
use super::show::{list, print, table, text};
use crate::cli::At;

/// As many as a screen has room for; `--json` has all.
const SHOWN_MAX: usize = 12;

pub(crate) fn run(at: &At) -> Result<ExitCode> {
    let mut document = Node::new(at.at).document("/v1/autoscaler")?;
    // What there is to see is seen where it decides.
    if document["decides"] != true
        && let Some(leader) = leader(at, &document)?
        && let Ok(of_leader) = Node::new(leader).document("/v1/autoscaler")
    {
        document = of_leader;
    }
    if at.json {
        return print(&format!("{document}\n"));
    }
    print(&shown(&document, now_ms()))
}

/// Where the node that leads is asked, if it is another than the one that answered.
fn leader(at: &At, document: &Value) -> Result<Option<SocketAddr>> {
    if document["leader"].is_null() || document["leader"] == document["node"] {
        return Ok(None);
    }
    let cluster = Node::new(at.at).document("/v1/cluster")?;
    let node = list(&cluster["nodes"]).iter().find(|node| node["id"] == document["leader"]);
    Ok(node.and_then(|node| node["http"].as_str()?.parse().ok()))
}

fn shown(document: &Value, now_ms: u64) -> String {
    let (node, leader) = (text(&document["node"]), &document["leader"]);
    if document["enabled"] != true {
        return format!(
            "{node} was started without an autoscaler: set `enabled = true` in [autoscaler] of its configuration file\n"
        );
    }
    let dry = if document["dry_run"] == true { ", and only tells what it would do" } else { "" };
    let decides = match (document["decides"] == true, leader.as_str()) {
        (true, _) => format!("decides on {node}{dry}"),
        (false, Some(leader)) if leader != node => {
            format!("decides on {leader}, which leads, and not on {node}")
        }
        (false, _) => format!("decides nowhere: {node} knows of nobody who leads"),
    };
    let mut out = format!(
        "The autoscaler {decides}\nnodes: {} to {}; provider: {}\n",
        text(&document["min"]),
        text(&document["max"]),
        text(&document["provider"])
    );
    if let Some(trouble) = document["trouble"].as_str() {
        out.push_str(&format!("trouble: {trouble}\n"));
    }
    let latest = &document["latest"];
    if !latest.is_null() {
        out.push_str(&format!("now: {}: {}\n", text(&latest["action"]), text(&latest["reason"])));
        let mut loads =
            table(&["data center", "up", "down", "op/s", "of", "cores", "disk", "of its targets", "of late"]);
        for load in list(&latest["figures"]["data_centers"]) {
            loads.add_row([
                text(&load["name"]),
                text(&load["up"]),
                text(&load["down"]),
                text(&load["operations_per_second"]),
                load["operations_per_second_max"]
                    .as_u64()
                    .map_or_else(|| "-".to_owned(), |most| most.to_string()),
                percent(&load["cpu_permille"]),
                percent(&load["disk_permille"]),
                percent(&load["pressure_permille"]),
                percent(&load["pressure_peak_permille"]),
            ]);
        }
        out.push_str(&format!("\n{loads}\n"));
    }
    let decisions = list(&document["decisions"]);
    if decisions.is_empty() {
        out.push_str("\nIt has decided nothing else since this node was started.\n");
        return out;
    }
    let mut each = table(&["ago", "decision", "why", "outcome"]);
    for decision in decisions.iter().rev().take(SHOWN_MAX) {
        let outcome = match (decision["dry_run"] == true, text(&decision["detail"])) {
            (true, _) => "only told".to_owned(),
            (false, detail) if detail.is_empty() => text(&decision["outcome"]),
            (false, detail) => format!("{}: {detail}", text(&decision["outcome"])),
        };
        each.add_row([
            ago(now_ms.saturating_sub(decision["at"].as_u64().unwrap_or(now_ms))),
            text(&decision["action"]),
            text(&decision["reason"]),
            outcome,
        ]);
    }
    out.push_str(&format!("\n{each}\n"));
    out
}

fn percent(permille: &Value) -> String {
    permille
        .as_u64()
        .map_or_else(|| "-".to_owned(), |permille| format!("{}.{} %", permille / 10, permille % 10))
}

/// A time that people read at a glance.
fn ago(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "node": "n1", "leader": "n1", "enabled": true, "decides": true, "dry_run": false, "provider": "local",
            "min": 3, "max": 5, "trouble": null,
            "latest": {"action": "nothing", "reason": "waits for it", "figures": {"data_centers": [{
                "name": "dc1", "up": 3, "down": 0, "operations_per_second": 5400, "operations_per_second_max": null,
                "cpu_permille": 905, "disk_permille": null, "pressure_permille": 1508, "pressure_peak_permille": 1508
            }]}},
            "decisions": [
                {"at": 1_000, "action": "add a node", "reason": "too much", "dry_run": false, "outcome": "begun", "detail": "auto-1"},
                {"at": 301_000, "action": "retire auto-1", "reason": "too little", "dry_run": false, "outcome": "refused", "detail": "no"}
            ]
        })
    }

    #[test]
    fn what_was_decided_last_comes_first() {
        let shown = shown(&document(), 361_000);
        assert!(
            shown.contains("decides on n1\n") && shown.contains("nodes: 3 to 5; provider: local"),
            "{shown}"
        );
        assert!(shown.contains("now: nothing: waits for it") && shown.contains("90.5 %"), "{shown}");
        let place = |word: &str| shown.find(word).unwrap_or_else(|| panic!("{word} in {shown}"));
        assert!(place("refused: no") < place("begun: auto-1"));
        assert!(place("60 s") < place("6 min"));
    }

    /// Who asks elsewhere is told where to ask.
    #[test]
    fn a_node_that_does_not_lead_says_who_does() {
        let mut elsewhere = document();
        (elsewhere["decides"], elsewhere["leader"]) = (json!(false), json!("n2"));
        assert!(shown(&elsewhere, 0).contains("decides on n2, which leads, and not on n1"));
        elsewhere["leader"] = Value::Null;
        assert!(shown(&elsewhere, 0).contains("knows of nobody who leads"));
        assert!(shown(&json!({"node": "n1", "enabled": false}), 0).contains("[autoscaler]"));
    }
}
