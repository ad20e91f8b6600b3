//! Watches what moves because of a change, until it is done.
//!
//! Nothing depends on the watcher: the cluster goes on without him, so Ctrl-C ends the watching only, and says so. Whom he asks
//! may be the very node that leaves, so he knows the others; he prefers the one that leads, which knows whom movements wait for.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Node;
use super::plan::human;
use super::show::{list, text};
use super::tally::{Progress, Tally};
use crate::cli::At;

/// How often the cluster is looked at.
const POLL: Duration = Duration::from_millis(500);

/// How long a node may take to tell how far it is.
const TIMEOUT: Duration = Duration::from_secs(5);

/// For how long no node need answer before the watcher gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// It is not done, and not watched to its end: what a shell says of whoever Ctrl-C ends.
const INTERRUPTED: u8 = 130;

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Goal {
    /// What to say when it is so.
    pub(crate) done: String,
    pub(crate) until: Until,
    /// How to turn it round.
    pub(crate) back: String,
}

/// What is to be so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// All partitions are where they are to be.
    AllIsThere,
    /// These nodes are members no more.
    TheyLeft(Vec<String>),
    /// There are no longer so many partitions, but half as many.
    HalvesAreJoined {
        /// How many there were.
        from: u64,
    },
}

impl Until {
    /// Whether something is to be so that takes its time though nothing moves.
    pub(super) fn may_take_time(&self) -> bool {
        *self != Until::AllIsThere
    }

    fn leaving(&self) -> &[String] {
        match self {
            Until::TheyLeft(nodes) => nodes,
            Until::AllIsThere | Until::HalvesAreJoined { .. } => &[],
        }
    }
}

/// How a goal stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Judged {
    Going,
    Done,
    /// Somebody has turned it round: what is so now.
    TurnedRound(String),
}

/// Watches whatever moves now, until nothing does.
pub(crate) fn all(at: &At) -> Result<ExitCode> {
    let cluster = Node::new(at.at).document("/v1/cluster")?;
    let partitions = list(&cluster["movements"]).len() as u64 + cluster["waiting"].as_u64().unwrap_or(0);
    if partitions == 0 {
        eprintln!("nothing moves");
        return Ok(ExitCode::SUCCESS);
    }
    let goal = Goal {
        done: "all is where it is to be".to_owned(),
        until: Until::AllIsThere,
        back: "`henge watch` watches on".to_owned(),
    };
    let underway = serde_json::json!({ "epoch": cluster["epoch"], "partitions": partitions });
    until_done(at, &goal, &underway, None)
}

/// Watches until it is done. `changed` is what came of the change, `predicted` about how many bytes are to be sent.
pub(super) fn until_done(at: &At, goal: &Goal, changed: &Value, predicted: Option<u64>) -> Result<ExitCode> {
    let epoch = changed["epoch"].as_u64().unwrap_or(0);
    let mut tally = Tally::new(changed["partitions"].as_u64().unwrap_or(0), predicted);
    let mut lookout = Lookout { at: at.at, others: Vec::new(), answered: Instant::now() };
    let (bar, stop, began) = (bar(at.json), asked_to_stop()?, Instant::now());
    loop {
        if let Some(cluster) = lookout.look(goal.until.leaving())? {
            let progress = tally.look(&cluster, began.elapsed());
            show(&bar, &progress);
            match judge(goal, epoch, &cluster) {
                Judged::Going => {}
                Judged::Done => {
                    bar.finish_and_clear();
                    eprintln!("{} ({})", goal.done, summary(&progress, began.elapsed()));
                    return Ok(ExitCode::SUCCESS);
                }
                Judged::TurnedRound(what) => {
                    bar.finish_and_clear();
                    bail!("{what}: somebody has turned it round");
                }
            }
        }
        if stop.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
            bar.abandon();
            eprintln!(
                "\nNobody watches any more, and it goes on: `henge status` shows how far it is; {}.",
                goal.back
            );
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
}

/// Whom to ask.
struct Lookout {
    at: SocketAddr,
    others: Vec<SocketAddr>,
    /// When somebody answered last.
    answered: Instant,
}

impl Lookout {
    /// The cluster as some node sees it; nothing where none answers now.
    fn look(&mut self, leaving: &[String]) -> Result<Option<Value>> {
        let others = self.others.iter().filter(|other| **other != self.at);
        for address in std::iter::once(&self.at).chain(others) {
            if let Ok(cluster) = Node::with_timeout(*address, TIMEOUT).document("/v1/cluster") {
                self.answered = Instant::now();
                let address = *address;
                self.others = addresses(&cluster);
                self.at = better(&cluster, leaving).unwrap_or(address);
                return Ok(Some(cluster));
            }
        }
        if self.answered.elapsed() > PATIENCE {
            bail!(
                "no node has answered for {} s: nobody watches any more, and whatever is agreed on goes on",
                PATIENCE.as_secs()
            );
        }
        Ok(None)
    }
}

fn addresses(cluster: &Value) -> Vec<SocketAddr> {
    list(&cluster["nodes"]).iter().filter_map(address).collect()
}

/// Where the node is asked that leads, if anybody does.
pub(super) fn leader(cluster: &Value) -> Option<SocketAddr> {
    let leads = |node: &&Value| node["id"] == cluster["leader"];
    list(&cluster["nodes"]).iter().find(leads).and_then(address)
}

fn address(node: &Value) -> Option<SocketAddr> {
    node["http"].as_str()?.parse().ok()
}

/// Whom to ask rather than the node that answered: the leader, if it stays; or whoever does, where the node itself is to leave and
/// will hear of nothing when it has left.
fn better(cluster: &Value, leaving: &[String]) -> Option<SocketAddr> {
    let stays = |name: &Value| !leaving.iter().any(|leaving| name == leaving.as_str());
    let others: Vec<&Value> = list(&cluster["nodes"]).iter().filter(|node| stays(&node["id"])).collect();
    let find =
        |is: &dyn Fn(&Value) -> bool| others.iter().find(|node| is(node)).and_then(|node| address(node));
    let leader = find(&|node| node["id"] == cluster["leader"]);
    leader.or_else(|| if stays(&cluster["node"]) { None } else { find(&|node| node["state"] == "up") })
}

/// How a goal stands that was agreed on in this epoch. A node that has not heard of that says nothing about it.
fn judge(goal: &Goal, epoch: u64, cluster: &Value) -> Judged {
    if cluster["epoch"].as_u64().is_none_or(|seen| seen < epoch) {
        return Judged::Going;
    }
    let moves = !list(&cluster["movements"]).is_empty() || cluster["waiting"].as_u64() != Some(0);
    let leaving = match &goal.until {
        Until::AllIsThere => return if moves { Judged::Going } else { Judged::Done },
        Until::HalvesAreJoined { from } => {
            return if cluster["partitions"].as_u64() != Some(*from) {
                Judged::Done
            } else if cluster["merging"] == true {
                Judged::Going
            } else {
                Judged::TurnedRound("partitions are not being merged any more".to_owned())
            };
        }
        Until::TheyLeft(leaving) => leaving,
    };
    let is_leaving = |node: &Value| leaving.iter().any(|name| node["id"] == name.as_str());
    let mut left = list(&cluster["nodes"]).iter().filter(|node| is_leaving(node)).peekable();
    if left.peek().is_none() {
        return Judged::Done;
    }
    let turned_round = left.find(|node| node["standing"] == "joining" || node["standing"] == "settled");
    let stays = |node: &Value| format!("{} is not leaving any more", text(&node["id"]));
    turned_round.map_or(Judged::Going, |node| Judged::TurnedRound(stays(node)))
}

/// Only a terminal is drawn on; what is piped stays clean.
fn bar(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.set_style(
        ProgressStyle::with_template("moving {wide_bar} {pos}/{len} partitions{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.all);
    bar.set_position(progress.moved);
    bar.set_message(message(progress));
}

/// What stands behind the bar.
fn message(progress: &Progress) -> String {
    let mut message = String::new();
    if progress.bytes.is_some() || progress.bytes_all.is_some() {
        message.push_str(&format!(", {} of about {}", human(progress.bytes), human(progress.bytes_all)));
    }
    if let Some(rate) = progress.bytes_per_second {
        message.push_str(&format!(", {}/s", human(Some(whole(rate)))));
    }
    if let Some(left) = progress.left {
        message.push_str(&format!(", {} left", HumanDuration(left)));
    }
    if !progress.waits_for.is_empty() {
        message.push_str(&format!(", waits for {}", progress.waits_for.join(" ")));
    }
    message
}

fn summary(progress: &Progress, since: Duration) -> String {
    let bytes = progress.bytes.map_or_else(String::new, |bytes| format!(", at least {}", human(Some(bytes))));
    let predicted =
        progress.bytes_all.map_or_else(String::new, |all| format!(" of about {} foretold", human(Some(all))));
    format!("{} partitions{bytes}{predicted}, in {}", progress.all, HumanDuration(since))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate, far below 2^53 and not negative"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// Tells when the process is asked to stop. What waits for that ends with the process.
fn asked_to_stop() -> Result<Receiver<()>> {
    let (tell, stop) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(crate::signals::asked_to_stop());
        // Whoever has seen the end already does not listen.
        let _ = tell.send(());
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn goal(leaving: &[&str]) -> Goal {
        let leaving: Vec<String> = leaving.iter().map(|&name| name.to_owned()).collect();
        let until = if leaving.is_empty() { Until::AllIsThere } else { Until::TheyLeft(leaving) };
        Goal { done: "done".to_owned(), until, back: "back".to_owned() }
    }

    fn cluster(epoch: u64, nodes: &[(&str, &str)], waiting: u64) -> Value {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|(id, standing)| json!({"id": id, "standing": standing, "http": null}))
            .collect();
        json!({"epoch": epoch, "nodes": nodes, "movements": [], "waiting": waiting})
    }

    /// Who has not heard of the change sees nothing move, and that means nothing.
    #[test]
    fn a_node_that_lags_behind_decides_nothing() {
        assert_eq!(judge(&goal(&[]), 8, &cluster(7, &[], 0)), Judged::Going);
        assert_eq!(judge(&goal(&["n4"]), 8, &cluster(7, &[("n1", "settled")], 0)), Judged::Going);
        assert_eq!(judge(&goal(&[]), 8, &json!({})), Judged::Going);
    }

    /// A drain is done when its nodes are members no more, whatever else moves.
    #[test]
    fn who_leaves_is_waited_for_until_he_has_left() {
        let drain = goal(&["n4", "n5"]);
        let here = [("n1", "settled"), ("n4", "leaving"), ("n5", "leaving")];
        assert_eq!(judge(&drain, 8, &cluster(9, &here, 0)), Judged::Going);
        assert_eq!(judge(&drain, 8, &cluster(9, &here[..2], 3)), Judged::Going);
        assert_eq!(judge(&drain, 8, &cluster(9, &here[..1], 3)), Judged::Done);
        assert_eq!(judge(&goal(&["n4"]), 8, &cluster(9, &[("n4", "gone")], 0)), Judged::Going);
    }

    /// Nobody waits for ever for a node that somebody else has let stay.
    #[test]
    fn a_drain_that_was_turned_round_is_told() {
        for standing in ["joining", "settled"] {
            let judged = judge(&goal(&["n4"]), 8, &cluster(9, &[("n4", standing)], 5));
            assert_eq!(judged, Judged::TurnedRound("n4 is not leaving any more".to_owned()));
        }
    }

    /// Merging is done when there are half as many partitions, not when nothing moves.
    #[test]
    fn merging_is_done_when_halves_are_joined() {
        let goal = Goal { until: Until::HalvesAreJoined { from: 64 }, ..goal(&[]) };
        let seen = |partitions: u64, merging: bool| {
            let mut cluster = cluster(8, &[], 0);
            (cluster["partitions"], cluster["merging"]) = (json!(partitions), json!(merging));
            judge(&goal, 8, &cluster)
        };
        assert_eq!((seen(64, true), seen(32, false)), (Judged::Going, Judged::Done));
        assert!(matches!(seen(64, false), Judged::TurnedRound(what) if what.contains("merged")));
    }

    #[test]
    fn other_changes_are_done_when_nothing_moves_or_waits() {
        assert_eq!(judge(&goal(&[]), 8, &cluster(8, &[], 1)), Judged::Going);
        assert_eq!(judge(&goal(&[]), 8, &cluster(8, &[], 0)), Judged::Done);
        let mut moving = cluster(8, &[], 0);
        moving["movements"] = json!([{"partition": 1}]);
        assert_eq!(judge(&goal(&[]), 8, &moving), Judged::Going);
    }

    /// The one that leads is asked next: it knows whom movements wait for. Who is to leave is asked only while nobody else is known.
    #[test]
    fn the_leader_is_asked_and_not_who_leaves() {
        let node = |number: u16, state: &str| json!({"id": format!("n{number}"), "state": state, "http": format!("127.0.0.1:{number}")});
        let nodes = [node(1, "leaving"), node(2, "down"), node(3, "up"), json!({"id": "n4", "state": "up"})];
        let cluster = |leader: Option<&str>| json!({"node": "n1", "leader": leader, "nodes": nodes});
        let at = |port: u16| Some(([127, 0, 0, 1], port).into());
        let leaving = ["n1".to_owned()];
        assert_eq!(better(&cluster(Some("n2")), &leaving), at(2));
        assert_eq!(better(&cluster(Some("n1")), &leaving), at(3));
        assert_eq!(better(&cluster(None), &leaving), at(3));
        assert_eq!(better(&cluster(None), &[]), None);
        assert_eq!(better(&cluster(Some("n4")), &[]), None);
        assert_eq!(addresses(&cluster(None)).len(), 3);
        assert_eq!((leader(&cluster(Some("n2"))), leader(&cluster(None))), (at(2), None));
        assert_eq!(better(&json!({}), &[]), None);
    }

    #[test]
    fn what_is_shown_is_what_is_known() {
        let progress = Progress {
            bytes: Some(1 << 20),
            bytes_all: Some(4 << 20),
            bytes_per_second: Some(2048.0),
            left: Some(Duration::from_secs(30)),
            waits_for: vec!["n3".to_owned()],
            ..Progress::default()
        };
        let shown = message(&progress);
        assert_eq!(shown, ", 1.00 MiB of about 4.00 MiB, 2.00 KiB/s, 30 seconds left, waits for n3");
        assert_eq!(message(&Progress::default()), "");
    }
}
