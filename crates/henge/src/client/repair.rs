//! `henge repair`: has every node compare what it owns with the other owners, watches, and says what came of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::Node;
use super::show::{list, print, table, text};
use crate::cli::At;

/// How often the nodes are asked how far they have come.
const POLL: Duration = Duration::from_millis(250);

/// How long to wait for nodes that get no further.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node that repairs.
struct Repairing {
    name: String,
    node: Node,
    before: Value,
    now: Value,
}

impl Repairing {
    fn figure(&self, name: &str) -> u64 {
        self.now[name].as_u64().unwrap_or(0)
    }

    /// How much of a count came with this repair.
    fn since(&self, name: &str) -> u64 {
        self.figure(name).saturating_sub(self.before[name].as_u64().unwrap_or(0))
    }

    fn has_begun(&self) -> bool {
        self.since("repairs") > 0
    }

    fn left(&self) -> u64 {
        if self.has_begun() { self.figure("left") } else { self.figure("pairs") }
    }
}

pub(crate) fn run(at: &At) -> Result<ExitCode> {
    let cluster = Node::new(at.at).document("/v1/cluster")?;
    let (mut repairing, mut away) = (Vec::new(), Vec::new());
    for member in list(&cluster["nodes"]) {
        let name = text(&member["id"]);
        let address = member["http"].as_str().and_then(|address| address.parse().ok());
        match address {
            Some(address) if member["state"] == "up" => {
                let node = Node::new(address);
                let before = node.document("/v1/repair")?;
                repairing.push(Repairing { name, node, now: before.clone(), before });
            }
            _ => away.push(name),
        }
    }
    for one in &repairing {
        one.node.post("/v1/repair")?.check()?;
    }
    watch(&mut repairing, at.json)?;
    report(at, &repairing, &away)
}

fn watch(repairing: &mut [Repairing], quiet: bool) -> Result<()> {
    let all: u64 = repairing.iter().map(|one| one.figure("pairs")).sum();
    // Only a terminal is drawn on; what is piped stays clean.
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(all) };
    bar.set_style(
        ProgressStyle::with_template("comparing {wide_bar} {pos}/{len} trees with other owners")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut last = (u64::MAX, Instant::now());
    loop {
        let left: u64 = repairing.iter().map(Repairing::left).sum();
        bar.set_position(all.saturating_sub(left));
        if left == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        if left != last.0 {
            last = (left, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            bar.abandon();
            let slow = repairing.iter().filter(|one| one.left() > 0);
            let slow: Vec<String> = slow.map(|one| format!("{} ({} left)", one.name, one.left())).collect();
            bail!(
                "no progress for {} s; still comparing: {}. They go on without being watched; `henge repair` again asks them anew",
                PATIENCE.as_secs(),
                slow.join(", ")
            );
        }
        std::thread::sleep(POLL);
        for one in repairing.iter_mut() {
            one.now = one.node.document("/v1/repair")?;
        }
    }
}

/// What came of it. It fails where something could not be compared, or differs still.
fn report(at: &At, repairing: &[Repairing], away: &[String]) -> Result<ExitCode> {
    let whole = away.is_empty()
        && repairing.iter().all(|one| {
            ["uncompared", "unreachable", "unbuilt", "differing", "stuck"]
                .iter()
                .all(|what| one.figure(what) == 0)
        });
    let code = if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if at.json {
        let nodes: Vec<&Value> = repairing.iter().map(|one| &one.now).collect();
        print(&format!("{}\n", json!({ "whole": whole, "away": away, "nodes": nodes })))?;
        return Ok(code);
    }
    let mut shown = table(&["node", "compared", "differed", "fetched", "sent", "bytes", "differ still"]);
    for one in repairing {
        shown.add_row([
            one.name.clone(),
            one.figure("pairs").saturating_sub(one.figure("uncompared")).to_string(),
            one.since("found").to_string(),
            one.since("fetched").to_string(),
            one.since("sent").to_string(),
            one.since("moved_bytes").to_string(),
            one.figure("differing").to_string(),
        ]);
    }
    print(&format!("{shown}\n"))?;
    for name in away {
        eprintln!("{name} cannot be reached: what it owns was not compared with it");
    }
    for one in repairing {
        let uncompared = one.figure("uncompared").saturating_sub(one.figure("unreachable"));
        if uncompared > 0 {
            eprintln!(
                "{}: {uncompared} trees could not be compared with another owner to the end; ask again",
                one.name
            );
        }
        let (unbuilt, stuck) = (one.figure("unbuilt"), one.figure("stuck"));
        if unbuilt > 0 {
            eprintln!(
                "{}: {unbuilt} hash trees are still being built, or hold something that cannot be read; they were not compared",
                one.name
            );
        }
        if stuck > 0 {
            eprintln!(
                "{}: {stuck} trees differ from another owner's by the same each time; see the node's log",
                one.name
            );
        }
    }
    Ok(code)
}
