//! What was measured: latencies by kind, errors by their first words, throughput over time.
//!
//! Latencies are kept in HDR histograms (<https://hdrhistogram.github.io/HdrHistogram/>) of nanoseconds with three
//! significant digits, so that a percentile is right within 0.1 % however long the tail, and recorders of several
//! threads add up exactly. Only operations whose intended start lies in the measured stretch are recorded.
//!
//! Operations that failed are counted, not timed: a fast refusal must not make the percentiles look better.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::workload::Kind;

/// The longest latency that is told apart; longer ones count as this.
const LATENCY_MAX_NANOS: u64 = 3_600_000_000_000;
/// The width of a step of throughput over time.
pub(crate) const TIMELINE_STEP: Duration = Duration::from_millis(100);
/// A day; what comes later is added to the last step.
const TIMELINE_STEPS_MAX: usize = 864_000;
/// Errors whose first words differ are kept apart up to this many.
const ERROR_KINDS_MAX: usize = 50;

/// Errors that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCount {
    pub(crate) count: u64,
    /// The first of them, whole.
    pub(crate) example: String,
}

/// Everything that one thread measured; threads' recorders are merged at the end.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// Nanoseconds since the start of the run; what was intended before is warmup.
    measure_from: u64,
    histograms: [Histogram<u64>; Kind::ALL.len()],
    /// Open loop: how late the generator itself was, its clients being free.
    send_lag: Histogram<u64>,
    errors: BTreeMap<String, ErrorCount>,
    succeeded: u64,
    failed: u64,
    misses: u64,
    redirects: u64,
    unverified: u64,
    unsent: u64,
    last_completion: u64,
    timeline: Vec<u64>,
}

impl Recorder {
    /// Records what is intended from this time on, in nanoseconds since the start of the run.
    pub(crate) fn new(measure_from: u64) -> Recorder {
        Recorder {
            measure_from,
            histograms: std::array::from_fn(|_| histogram()),
            send_lag: histogram(),
            errors: BTreeMap::new(),
            succeeded: 0,
            failed: 0,
            misses: 0,
            redirects: 0,
            unverified: 0,
            unsent: 0,
            last_completion: measure_from,
            timeline: Vec::new(),
        }
    }

    /// An operation that was meant to start at `intended` was answered at `now`.
    pub(crate) fn succeed(&mut self, kind: Kind, intended: u64, now: u64) {
        if intended < self.measure_from {
            return;
        }
        self.succeeded += 1;
        self.histograms[kind as usize].saturating_record(now.saturating_sub(intended).max(1));
        self.tick(now);
    }

    /// The operation was answered, with nothing where a value was expected.
    pub(crate) fn miss(&mut self, kind: Kind, intended: u64, now: u64) {
        self.misses += u64::from(intended >= self.measure_from);
        self.succeed(kind, intended, now);
    }

    /// An operation failed, in these words.
    pub(crate) fn fail(&mut self, intended: u64, now: u64, message: &str) {
        if intended < self.measure_from {
            return;
        }
        self.failed += 1;
        self.last_completion = self.last_completion.max(now);
        self.count_error(first_words(message), 1, message);
    }

    /// A read returned something that was not written for its key.
    pub(crate) fn fail_verification(&mut self, intended: u64, now: u64, message: &str) {
        self.unverified += u64::from(intended >= self.measure_from);
        self.fail(intended, now, message);
    }

    /// The run ended at `end` before the operation could even be sent. Its latency would have been more than the wait
    /// so far; leaving it out would hide just the operations that waited longest.
    pub(crate) fn unsent(&mut self, kind: Kind, intended: u64, end: u64) {
        if intended >= self.measure_from {
            self.unsent += 1;
            self.histograms[kind as usize].saturating_record(end.saturating_sub(intended).max(1));
        }
    }

    /// A request was sent again to the node that a `MOVED` named.
    pub(crate) fn redirect(&mut self) {
        self.redirects += 1;
    }

    /// A request went out this many nanoseconds after it could have.
    pub(crate) fn lag(&mut self, intended: u64, lag: u64) {
        if intended >= self.measure_from {
            self.send_lag.saturating_record(lag.max(1));
        }
    }

    /// Adds what another thread measured in the same run.
    pub(crate) fn merge(&mut self, other: &Recorder) {
        let same_bounds = "all histograms are made with the same bounds";
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).expect(same_bounds);
        }
        self.send_lag.add(&other.send_lag).expect(same_bounds);
        for (words, error) in &other.errors {
            self.count_error(words.clone(), error.count, &error.example);
        }
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.misses += other.misses;
        self.redirects += other.redirects;
        self.unverified += other.unverified;
        self.unsent += other.unsent;
        self.last_completion = self.last_completion.max(other.last_completion);
        self.timeline.resize(self.timeline.len().max(other.timeline.len()), 0);
        for (mine, theirs) in self.timeline.iter_mut().zip(&other.timeline) {
            *mine += theirs;
        }
    }

    fn tick(&mut self, now: u64) {
        self.last_completion = self.last_completion.max(now);
        let step = u128::from(now.saturating_sub(self.measure_from)) / TIMELINE_STEP.as_nanos();
        let step = usize::try_from(step).unwrap_or(usize::MAX).min(TIMELINE_STEPS_MAX - 1);
        if self.timeline.len() <= step {
            self.timeline.resize(step + 1, 0);
        }
        self.timeline[step] += 1;
    }

    fn count_error(&mut self, words: String, count: u64, example: &str) {
        let room = self.errors.len() < ERROR_KINDS_MAX || self.errors.contains_key(&words);
        let words = if room { words } else { "other errors".to_owned() };
        self.errors
            .entry(words)
            .or_insert_with(|| ErrorCount { count: 0, example: example.to_owned() })
            .count += count;
    }

    /// The latencies of a kind, in nanoseconds.
    pub(crate) fn histogram(&self, kind: Kind) -> &Histogram<u64> {
        &self.histograms[kind as usize]
    }

    /// How late the generator was, in nanoseconds.
    pub(crate) fn send_lag(&self) -> &Histogram<u64> {
        &self.send_lag
    }

    /// Errors by their first words.
    pub(crate) fn errors(&self) -> &BTreeMap<String, ErrorCount> {
        &self.errors
    }

    /// Operations that were answered without an error.
    pub(crate) fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// Operations that were answered with an error, or not at all.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Reads that found nothing.
    pub(crate) fn misses(&self) -> u64 {
        self.misses
    }

    /// Requests sent again after `MOVED`.
    pub(crate) fn redirects(&self) -> u64 {
        self.redirects
    }

    /// Reads that failed their check.
    pub(crate) fn unverified(&self) -> u64 {
        self.unverified
    }

    /// Arrivals that the run's end cut off.
    pub(crate) fn unsent_count(&self) -> u64 {
        self.unsent
    }

    /// From the beginning of the measured stretch to the last answer.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last_completion - self.measure_from)
    }

    /// Operations per [`TIMELINE_STEP`].
    pub(crate) fn timeline(&self) -> &[u64] {
        &self.timeline
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NANOS, 3)
        .expect("1 to an hour with three digits are bounds that it takes")
}

/// What errors are told apart by: a server's code, for the catch-all `ERR` the two words behind it as well; in our own
/// messages, which begin in lower case, all before the colon.
fn first_words(message: &str) -> String {
    let own = message.starts_with(|first: char| first.is_ascii_lowercase());
    let head = message.split(':').next().unwrap_or_default();
    let wanted = if own || message.starts_with("ERR ") { 3 } else { 1 };
    head.split_whitespace().take(wanted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn warmup_is_not_recorded() {
        let mut recorder = Recorder::new(100);
        recorder.succeed(Kind::Read, 99, 150);
        recorder.miss(Kind::Read, 99, 150);
        recorder.fail(99, 150, "ERR x");
        recorder.unsent(Kind::Read, 99, 150);
        assert_eq!(
            (recorder.succeeded(), recorder.misses(), recorder.failed(), recorder.unsent_count()),
            (0, 0, 0, 0)
        );
        recorder.succeed(Kind::Read, 100, 150);
        assert_eq!(recorder.histogram(Kind::Read).len(), 1);
    }

    /// Two threads' figures, merged, are those of one thread that did it all.
    #[test]
    fn merging_is_as_if_one_had_recorded_all() {
        let (mut one, mut two, mut both) = (Recorder::new(0), Recorder::new(0), Recorder::new(0));
        for i in 1..=1_000_u64 {
            let part = if i % 3 == 0 { &mut one } else { &mut two };
            for recorder in [part, &mut both] {
                recorder.succeed(Kind::Update, i * MS, i * MS + i * 1_000);
                if i % 100 == 0 {
                    recorder.fail(i * MS, i * MS + 5, "UNAVAILABLE needed 2, had 1");
                }
            }
        }
        one.merge(&two);
        assert_eq!(one.histogram(Kind::Update), both.histogram(Kind::Update));
        assert_eq!((one.errors(), one.timeline()), (both.errors(), both.timeline()));
        assert_eq!(
            (one.succeeded(), one.failed(), one.elapsed()),
            (both.succeeded(), both.failed(), both.elapsed())
        );
    }

    #[test]
    fn errors_are_told_apart_by_their_first_words_and_bounded() {
        let mut recorder = Recorder::new(0);
        for message in
            ["ERR unknown command 'X'", "ERR unknown command 'Y'", "OOM command not allowed", "ERR syntax"]
        {
            recorder.fail(0, 1, message);
        }
        let kinds: Vec<(&str, u64)> =
            recorder.errors().iter().map(|(words, e)| (words.as_str(), e.count)).collect();
        assert_eq!(kinds, [("ERR syntax", 1), ("ERR unknown command", 2), ("OOM", 1)]);
        assert_eq!(recorder.errors()["ERR unknown command"].example, "ERR unknown command 'X'");
        assert_eq!(first_words("connection lost: reset by peer"), "connection lost");
        assert_eq!(first_words("WAIT: 0 of 1 replicas"), "WAIT");
        (0..1_000).for_each(|i| recorder.fail(0, 1, &format!("E{i} strange")));
        assert_eq!(recorder.errors().len(), ERROR_KINDS_MAX + 1);
        assert_eq!(recorder.errors().values().map(|error| error.count).sum::<u64>(), 1_004);
    }

    #[test]
    fn latency_beyond_the_histogram_is_kept_at_its_edge() {
        let mut recorder = Recorder::new(0);
        recorder.succeed(Kind::Read, 0, u64::MAX);
        assert!(recorder.histogram(Kind::Read).max() >= LATENCY_MAX_NANOS);
        assert_eq!(recorder.timeline().len(), TIMELINE_STEPS_MAX);
    }
}
