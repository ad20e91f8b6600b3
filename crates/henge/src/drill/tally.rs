//! What clients saw, counted by phase, keyspace and the node that they asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ring::Choice;

/// A part of the drill. A request belongs to the part in which it was made.
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
    /// How old the oldest of them was.
    pub(super) stalest: Duration,
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
        self.stalest = self.stalest.max(other.stalest);
        self.writes.extend(&other.writes);
        self.reads.extend(&other.reads);
    }

    pub(super) fn is_empty(&self) -> bool {
        let failed = self.refused + self.unknown + self.unanswered + self.unread;
        self.accepted + self.read + failed + self.stale == 0
    }

    /// Whether everything was done that was asked for, and something was.
    pub(super) fn is_all_done(&self) -> bool {
        self.accepted > 0 && self.refused + self.unknown + self.unanswered + self.unread == 0
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

/// In which part of the drill, of which keyspace, at which node.
pub(super) type Place = (Phase, Choice, usize);

/// All counts. As large as the drill is long: its clients keep a pace.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: BTreeMap<Place, Counts>,
    /// Of what was answered in the same phase. What was answered in the next may have met either, and proves nothing.
    within: BTreeMap<Place, Counts>,
}

impl Tally {
    /// Counts a request; `ended` is the phase in which its answer came.
    pub(super) fn add(&mut self, at: Place, ended: Phase, asked: Asked, ending: Ending, took: Duration) {
        self.seen.entry(at).or_default().add(asked, ending, took);
        if at.0 == ended {
            self.within.entry(at).or_default().add(asked, ending, took);
        }
    }

    /// Counts a read that showed what had been replaced for so long when it began.
    pub(super) fn stale(&mut self, at: Place, age: Duration) {
        let counts = self.seen.entry(at).or_default();
        counts.stale += 1;
        counts.stalest = counts.stalest.max(age);
    }

    /// All that clients of these nodes saw of what they asked for in a phase.
    pub(super) fn seen(&self, phase: Phase, choice: Choice, nodes: &[usize]) -> Counts {
        sum(&self.seen, phase, choice, nodes)
    }

    /// The same of what was answered in that phase: what it can be judged by.
    pub(super) fn within(&self, phase: Phase, choice: Choice, nodes: &[usize]) -> Counts {
        sum(&self.within, phase, choice, nodes)
    }

    /// How many stale reads of a keyspace there were in all.
    pub(super) fn stale_reads(&self, choice: Choice) -> u64 {
        self.seen.iter().filter(|((_, of, _), _)| *of == choice).map(|(_, counts)| counts.stale).sum()
    }
}

fn sum(of: &BTreeMap<Place, Counts>, phase: Phase, choice: Choice, nodes: &[usize]) -> Counts {
    let mut sum = Counts::default();
    for node in nodes {
        if let Some(counts) = of.get(&(phase, choice, *node)) {
            sum.merge(counts);
        }
    }
    sum
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
            tally.add((Phase::Cut, Choice::Majority, node), Phase::Cut, Asked::Write, ending, took);
            tally.add((Phase::Calm, Choice::Majority, node), Phase::Calm, Asked::Write, Ending::Good, took);
        }
        tally.add((Phase::Cut, Choice::Majority, 0), Phase::Healing, Asked::Write, Ending::Unknown, took);
        tally.stale((Phase::Cut, Choice::Majority, 2), took);
        let within = tally.within(Phase::Cut, Choice::Majority, &[0, 1]);
        assert_eq!((within.accepted, within.refused, within.unknown), (1, 1, 0));
        let seen = tally.seen(Phase::Cut, Choice::Majority, &[0, 1]);
        assert_eq!((seen.accepted, seen.refused, seen.unknown, seen.stale), (1, 1, 1, 0));
        assert_eq!(tally.seen(Phase::Cut, Choice::Every, &[0, 1, 2]).accepted, 0);
        assert_eq!(tally.stale_reads(Choice::Majority), 1);
    }
}
