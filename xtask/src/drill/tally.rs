//! What clients saw, by what was going on meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Asked {
    Read,
    Write,
}

/// Through whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Through {
    /// A node that something was being done to.
    Struck,
    Others,
}

/// Counts and latencies.
#[derive(Debug, Default)]
pub(super) struct Tally {
    took: BTreeMap<(&'static str, Asked), Vec<u32>>,
    errors: BTreeMap<(&'static str, Through, String), u64>,
    /// Reads of the strict keyspace that did not show what had been acknowledged before.
    pub(super) stale: Vec<String>,
    /// The most siblings that a read showed.
    pub(super) siblings_max: usize,
}

impl Tally {
    /// Something was answered well.
    pub(super) fn good(&mut self, part: &'static str, asked: Asked, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.took.entry((part, asked)).or_default().push(micros);
    }

    /// Something was not, and this is its first word.
    pub(super) fn failed(&mut self, part: &'static str, through: Through, word: &str) {
        *self.errors.entry((part, through, word.to_owned())).or_default() += 1;
    }

    /// How many were answered well.
    pub(super) fn count(&self, asked: Asked) -> usize {
        self.took.iter().filter(|((_, of), _)| *of == asked).map(|(_, took)| took.len()).sum()
    }

    /// Errors while this went on, through nodes that nothing was done to.
    pub(super) fn errors_through_others(&self, part: &str) -> u64 {
        let those = |((of, through, _), _): &(&(&'static str, Through, String), &u64)| {
            *of == part && *through == Through::Others
        };
        self.errors.iter().filter(those).map(|(_, count)| count).sum()
    }

    /// A table of all parts.
    pub(super) fn table(&mut self) -> String {
        let mut text = format!(
            "{:<22} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8}   errors\n",
            "while", "reads", "p50 ms", "p99 ms", "writes", "p50 ms", "p99 ms"
        );
        let mut parts: Vec<&'static str> = self.took.keys().map(|(part, _)| *part).collect();
        parts.extend(self.errors.keys().map(|(part, ..)| *part));
        parts.sort_unstable();
        parts.dedup();
        for part in parts {
            let _ = write!(text, "{part:<22}");
            for asked in [Asked::Read, Asked::Write] {
                let took = self.took.entry((part, asked)).or_default();
                took.sort_unstable();
                let [p50, p99] = [50, 99].map(|percent| percentile(took, percent) / 1000.0);
                let _ = write!(text, " {:>9} {p50:>8.2} {p99:>8.2}", took.len());
            }
            let errors = self.errors.iter().filter(|((of, ..), _)| *of == part);
            let each: Vec<String> = errors
                .map(|((_, through, word), count)| match through {
                    Through::Struck => format!("{count} {word} at the node itself"),
                    Through::Others => format!("{count} {word} at others"),
                })
                .collect();
            let each = if each.is_empty() { "none".to_owned() } else { each.join(", ") };
            let _ = writeln!(text, "   {each}");
        }
        text
    }
}

/// Of sorted numbers; nothing of none.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).map_or(0.0, |&value| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&hundred, percent)), [50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[], 99), 0.0);
        assert_eq!(percentile(&[7], 1), 7.0);
    }

    #[test]
    fn errors_are_told_apart_by_where_they_came_from() {
        let mut tally = Tally::default();
        tally.failed("kill", Through::Struck, "connection");
        tally.failed("kill", Through::Others, "UNAVAILABLE");
        tally.failed("calm", Through::Others, "UNKNOWN");
        tally.good("kill", Asked::Write, Duration::from_millis(2));
        assert_eq!(tally.errors_through_others("kill"), 1);
        assert_eq!((tally.count(Asked::Write), tally.count(Asked::Read)), (1, 0));
        let table = tally.table();
        assert!(table.contains("1 connection at the node itself, 1 UNAVAILABLE at others"), "{table}");
    }
}
