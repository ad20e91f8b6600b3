//! What a drill prints.

use std::time::{Duration, Instant};

use super::ring::Choice;
use super::tally::{Counts, Phase, Tally};
use crate::client::show::table;

/// Prints what happens, with the time since the drill began.
#[derive(Debug)]
pub(super) struct Report {
    began: Instant,
}

impl Report {
    pub(super) fn new() -> Report {
        Report { began: Instant::now() }
    }

    pub(super) fn say(&self, text: &str) {
        println!("{:5.1} s  {text}", self.began.elapsed().as_secs_f64());
    }

    /// What clients of these groups of nodes saw in a phase.
    pub(super) fn seen(&self, tally: &Tally, phase: Phase, groups: &[&[usize]]) {
        let mut shown = table(&[
            "keyspace",
            "asked at",
            "writes done",
            "refused",
            "unknown",
            "no answer",
            "p50",
            "p99",
            "reads done",
            "failed",
            "stale",
            "oldest",
            "p50",
            "p99",
        ]);
        for choice in Choice::ALL {
            for group in groups {
                let counts = tally.seen(phase, choice, group);
                if !counts.is_empty() {
                    shown.add_row(row(choice, group, &counts));
                }
            }
        }
        if !shown.is_empty() {
            println!("\n {}\n{shown}\n", phase.words());
        }
    }
}

fn row(choice: Choice, group: &[usize], counts: &Counts) -> [String; 14] {
    [
        choice.name().to_owned(),
        names(group),
        counts.accepted.to_string(),
        counts.refused.to_string(),
        counts.unknown.to_string(),
        counts.unanswered.to_string(),
        time(counts.write_percentile(50)),
        time(counts.write_percentile(99)),
        counts.read.to_string(),
        counts.unread.to_string(),
        counts.stale.to_string(),
        age(counts),
        time(counts.read_percentile(50)),
        time(counts.read_percentile(99)),
    ]
}

/// Nodes as people call them.
pub(super) fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(" ")
}

fn age(counts: &Counts) -> String {
    match counts.stale {
        0 => "-".to_owned(),
        _ => format!("{:.1} s", counts.stalest.as_secs_f64()),
    }
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

/// Something that must have been seen, and whether it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    pub(super) text: String,
    pub(super) holds: bool,
}

/// Claims under what they are about.
#[derive(Debug, Default)]
pub(super) struct Verdict(Vec<(&'static str, Vec<Claim>)>);

impl Verdict {
    /// Adds a claim to those about the same.
    pub(super) fn claim(&mut self, about: &'static str, holds: bool, text: impl Into<String>) {
        let claim = Claim { text: text.into(), holds };
        match self.0.iter_mut().find(|(other, _)| *other == about) {
            Some((_, claims)) => claims.push(claim),
            None => self.0.push((about, vec![claim])),
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.0.iter().flat_map(|(_, claims)| claims).all(|claim| claim.holds)
    }

    pub(super) fn print(&self) {
        for (about, claims) in &self.0 {
            println!("\n{about}");
            for claim in claims {
                println!("  {}  {}", if claim.holds { "yes" } else { "NO " }, claim.text);
            }
        }
    }
}
