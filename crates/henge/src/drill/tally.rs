//! What clients saw, counted by phase, keyspace and the node that they asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ring::Choice;

/// A part of the drill. What a request saw belongs to the part in which it was made, and to none where that was over before
/// the answer came: it may have seen either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    Calm,
    /// A node was killed, and not all others know it yet.
    Killing,
    Killed,
    /// It was started again, and not all others know it yet.
    Returning,
    /// The network was cut, and not all nodes know it yet.
    Cutting,
    Cut,
    /// It was healed, and not all nodes know it yet.
    Healing,
    Healed,
}

impl Phase {
    /// What clients saw of it is shown under these words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Phase::Calm => "While nothing failed:",
            Phase::Killing => "Until the kill was noticed:",
            Phase::Killed => "While the node was away:",
            Phase::Returning => "While it came back:",
            Phase::Cutting => "Until the cut was noticed:",
            Phase::Cut => "While the network was cut:",
            Phase::Healing => "Until the heal was noticed:",
            Phase::Healed => "After the heal:",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// Done.
    Good,
    /// Not done, and never will be.
    Refused,
    /// A write that may have been done.
    Unknown,
    /// There was nobody to answer.
    Unanswered,
}

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    Write,
    Read,
}

/// Counts of requests that were made in one phase, of one keyspace, at one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) unanswered: u64,
    pub(super) read: u64,
    pub(super) unread: u64,
    /// Reads that did not show what had been acknowledged before they began.
    pub(super) stale: u64,
    /// How long what was done took.
    writes: Vec<Duration>,
    reads: Vec<Duration>,
}

impl Counts {
    fn add(&mut self, asked: Asked, ending: Ending, took: Duration) {
        let count = match (asked, ending) {
            (Asked::Write, Ending::Good) => &mut self.accepted,
            (Asked::Write, Ending::Refused) => &mut self.refused,
            (Asked::Write, Ending::Unknown) => &mut self.unknown,
            (Asked::Write, Ending::Unanswered) => &mut self.unanswered,
            (Asked::Read, Ending::Good) => &mut self.read,
            (Asked::Read, _) => &mut self.unread,
        };
        *count += 1;
        if ending == Ending::Good {
            match asked {
                Asked::Write => self.writes.push(took),
                Asked::Read => self.reads.push(took),
            }
        }
    }

    fn merge(&mut self, other: &Counts) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.unanswered += other.unanswered;
        self.read += other.read;
        self.unread += other.unread;
        self.stale += other.stale;
        self.writes.extend(&other.writes);
        self.reads.extend(&other.reads);
    }

    /// Within what time this many of a hundred writes were done.
    pub(super) fn write_percentile(&self, percent: usize) -> Option<Duration> {
        percentile(&self.writes, percent)
    }

    /// The same of reads.
    pub(super) fn read_percentile(&self, percent: usize) -> Option<Duration> {
        percentile(&self.reads, percent)
    }
}

fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// All counts. As large as the drill is long: its clients keep a pace.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(Phase, Choice, usize), Counts>);

impl Tally {
    pub(super) fn add(&mut self, at: (Phase, Choice, usize), asked: Asked, ending: Ending, took: Duration) {
        self.0.entry(at).or_default().add(asked, ending, took);
    }

    pub(super) fn stale(&mut self, at: (Phase, Choice, usize)) {
        self.0.entry(at).or_default().stale += 1;
    }

    /// What clients of these nodes saw.
    pub(super) fn at(&self, phase: Phase, choice: Choice, nodes: &[usize]) -> Counts {
        let mut sum = Counts::default();
        for node in nodes {
            if let Some(counts) = self.0.get(&(phase, choice, *node)) {
                sum.merge(counts);
            }
        }
        sum
    }

    /// How many stale reads of a keyspace there were in all.
    pub(super) fn stale_reads(&self, choice: Choice) -> u64 {
        self.0.iter().filter(|((_, of, _), _)| *of == choice).map(|(_, counts)| counts.stale).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&times, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&times[..1], 99), Some(Duration::from_millis(200)));
        assert_eq!(percentile(&[], 99), None);
    }

    #[test]
    fn counts_are_of_one_phase_and_of_the_nodes_asked() {
        let mut tally = Tally::default();
        let took = Duration::from_millis(1);
        for (node, ending) in [(0, Ending::Good), (1, Ending::Refused), (2, Ending::Unknown)] {
            tally.add((Phase::Cut, Choice::Majority, node), Asked::Write, ending, took);
            tally.add((Phase::Calm, Choice::Majority, node), Asked::Write, Ending::Good, took);
        }
        tally.stale((Phase::Cut, Choice::Majority, 2));
        let seen = tally.at(Phase::Cut, Choice::Majority, &[0, 1]);
        assert_eq!((seen.accepted, seen.refused, seen.unknown, seen.stale), (1, 1, 0, 0));
        assert_eq!(tally.at(Phase::Cut, Choice::Every, &[0, 1, 2]).accepted, 0);
        assert_eq!(tally.stale_reads(Choice::Majority), 1);
    }
}
