//! The stage: two owners of a partition, the first of which asks, and messages that arrive when the script says so.

use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Stamp};
use env::disk::Image;
use replica::collection::CollectionOptions;
use replica::exchange::Figures;
use replica::{Change, ExchangeOptions, ReplicaOptions};
use storage::Options;

use crate::support::owners::Owners;
use crate::support::{LWW, lww};
use crate::text;

/// How often all is compared.
const CYCLE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);
/// Enough for trees to be built and deletes to be agreed on.
const A_WHILE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Stage {
    play: Option<Play>,
}

struct Play {
    owners: Owners,
    /// What the first owner's disk held at some time.
    earlier: Image,
    /// What the first owner's figures were when a round of the script began.
    before: Option<Figures>,
    /// How many messages that are under way have been told of.
    told: usize,
}

impl Stage {
    /// Performs a line: what comes of it, a line for each thing.
    pub(crate) fn perform(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["owners"] {
            self.play = Some(Play::new());
            return Vec::new();
        }
        let play = self.play.as_mut().expect("a script begins with its owners");
        let mut came = Vec::new();
        play.line(&words, &mut came);
        came
    }
}

fn options() -> (ReplicaOptions, Options) {
    let exchange = ExchangeOptions { cycle: CYCLE, ..ExchangeOptions::default() };
    let collection = CollectionOptions { gather: Duration::from_secs(1), rest: Duration::from_secs(1) };
    let options = ReplicaOptions { exchange, collection, ..ReplicaOptions::default() };
    let storage =
        Options { memory_bytes: 128 << 10, compression: false, replicated: true, ..Options::tiny() };
    (options, storage)
}

impl Play {
    fn new() -> Play {
        let (options, storage) = options();
        let owners = Owners::new(2, 2, options, &storage);
        Play { owners, earlier: Image::default(), before: None, told: 0 }
    }

    fn line(&mut self, words: &[&str], came: &mut Vec<String>) {
        match words {
            // All that is said arrives at once for a while, and trees are built.
            ["a", "while"] => {
                self.owners.by_hand = None;
                self.owners.pass(A_WHILE, STEP);
                self.owners.by_hand(0, LWW, &key(""));
            }
            [node, "has", name, record] => {
                let (value, stamp) = record.split_once('@').expect("VALUE@STAMP");
                let stamp: u64 = stamp.parse().unwrap();
                let record = lww(stamp, Stamp::new(stamp, 0), value.as_bytes());
                self.owners.store(place(node), LWW, &key(name), &record);
            }
            ["both", "have", count, "keys"] => self.fill(count.parse().unwrap()),
            [node, "puts", name, value] => {
                let value = Bytes::copy_from_slice(value.as_bytes());
                let expiry = ExpiryChange::Clear;
                let change = Change::Put { value, context: Context::Empty, expiry, priority: 0 };
                self.owners.make(place(node), LWW, &key(name), change).unwrap();
            }
            [node, "deletes", name] => {
                let change = Change::Delete { context: Context::Empty };
                self.owners.make(place(node), LWW, &key(name), change).unwrap();
            }
            // The disk of the first is remembered as it is, and put back later.
            ["n1", "is", "copied"] => self.earlier = self.owners.disks[0].image(),
            ["n1", "is", "put", "back"] => {
                let (options, storage) = options();
                let earlier = self.earlier.clone();
                self.owners.restart(0, (options, &storage), |disk| disk.put_back(&earlier, false));
            }
            [node, "cannot", "read", "its", "tables"] => self.tables(place(node), true),
            [node, "can", "read", "its", "tables"] => self.tables(place(node), false),
            ["n1", "asks"] => {
                self.owners.wait_for_message();
                self.before = Some(self.owners.nodes[0].exchange());
            }
            ["repair"] => {
                let now = self.owners.now;
                self.owners.nodes[0].repair(now);
            }
            ["arrives"] => {
                self.owners.arrive();
                self.told = self.told.saturating_sub(1);
            }
            ["all", "arrives"] => {
                while self.owners.under_way().next().is_some() {
                    self.owners.arrive();
                    self.told = self.told.saturating_sub(1);
                    self.tell(came);
                }
            }
            ["lost"] => {
                self.owners.lose();
                self.told = self.told.saturating_sub(1);
            }
            ["time", millis] => {
                let end = self.owners.now.mono + Duration::from_millis(millis.parse().unwrap());
                // No further than the end of the round that is under way.
                while self.owners.now.mono < end && self.ended().is_none() {
                    self.owners.pass(STEP, STEP);
                }
            }
            ["n1", "loses", "n2"] => {
                let (now, peer) = (self.owners.now, self.owners.id(1));
                self.owners.nodes[0].peer_lost(now, peer);
            }
            ["n1", "meets", "n2"] => {
                let (now, peer) = (self.owners.now, self.owners.id(1));
                self.owners.nodes[0].peer_up(now, peer);
            }
            [node, "holds?", name] => {
                let held = self.owners.held(place(node), LWW, &key(name));
                came.push(held.map_or("nothing".to_owned(), |held| text::record(&held)));
            }
            ["figures"] => {
                let figures = self.owners.nodes[0].exchange();
                let Figures { pairs, agreeing, differing, stuck, unbuilt, hurried, uncompared, .. } = figures;
                came.push(format!(
                    "{agreeing} of {pairs} agree; keys that differ: {differing}; stuck {stuck}, trees unbuilt {unbuilt}, hurried {hurried}, uncompared {uncompared}"
                ));
            }
            other => panic!("no such line: {other:?}"),
        }
        self.tell(came);
        if let Some(ended) = self.ended() {
            self.before = None;
            came.push(ended);
        }
    }

    /// Says what was sent since it was last said.
    fn tell(&mut self, came: &mut Vec<String>) {
        came.extend(
            self.owners.under_way().skip(self.told).map(|message| text::message(&self.owners, message)),
        );
        self.told = self.owners.under_way().count();
    }

    /// How the round of the script has ended, if it has.
    fn ended(&self) -> Option<String> {
        let (before, after) = (self.before.as_ref()?, self.owners.nodes[0].exchange());
        let is_over = after.rounds > before.rounds;
        is_over.then(|| {
            let complete = if after.incomplete > before.incomplete { "not complete" } else { "complete" };
            format!(
                "n1: the round is over, {complete}: found {}, fetched {}, sent {}; keys that differ: {}",
                after.found - before.found,
                after.fetched - before.fetched,
                after.sent - before.sent,
                after.differing,
            )
        })
    }

    /// So many keys with so large values that most are in tables.
    fn fill(&mut self, count: u64) {
        for number in 1..=count {
            let value = vec![b'v'; 400];
            let record = lww(number, Stamp::new(number, 0), &value);
            for node in 0..2 {
                self.owners.store(node, LWW, &key(&format!("fill:{number}")), &record);
            }
        }
    }

    fn tables(&self, node: usize, fail: bool) {
        let disk = &self.owners.disks[node];
        let is_table = |path: &std::path::PathBuf| path.to_string_lossy().contains("/table-");
        disk.paths().iter().filter(|path| is_table(path)).for_each(|path| disk.fail_reads(path, fail));
    }
}

/// The key that a script calls so: all of them are in one partition, and in one of its slots.
fn key(name: &str) -> Vec<u8> {
    format!("{}{name}", text::TAG).into_bytes()
}

fn place(node: &str) -> usize {
    match node {
        "n1" => 0,
        "n2" => 1,
        other => panic!("no such node: {other}"),
    }
}
