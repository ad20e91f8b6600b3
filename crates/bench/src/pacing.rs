//! When operations start: as soon as the one before is answered, or when their time has come.
//!
//! *Closed loop*: a client sends its next batch when the last one is answered. It shows what the server can do, but
//! a stalled server is asked nothing, so that its stall is one slow operation in the percentiles.
//!
//! *Open loop*: arrivals have times of their own, fixed before anything is sent, and every latency counts from there.
//! This is the cure for what Gil Tene named coordinated omission ("How NOT to Measure Latency", 2015): all operations
//! that should have started during a stall have waited, and are counted as having waited. Arrivals are one queue for
//! all clients of a thread; whichever client is free takes the next.
//!
//! The runtime's timers tick in milliseconds, which would add half of one to every latency. So a thread of its own
//! walks through the same arrivals (they are a function of the seed), sleeps until each with the kernel's resolution,
//! and releases them by a semaphore's permits: one permit, one arrival.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use env::Rng;
use tokio::sync::Semaphore;

use crate::args::ArrivalPattern;
use crate::distribution::unit_interval;

/// The pacer looks this often whether the run was given up.
const PACER_NAP_MAX: Duration = Duration::from_millis(100);

/// The measured stretch of a phase, in nanoseconds since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// Before this is warmup.
    pub(crate) measure_from: u64,
    /// Nothing starts from here on.
    pub(crate) end: u64,
    /// Operations to start between the two.
    pub(crate) operations: u64,
}

/// Nanoseconds since a phase began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock(Instant);

impl RunClock {
    /// A phase that begins at this instant.
    pub(crate) fn starting_at(origin: Instant) -> RunClock {
        RunClock(origin)
    }

    /// Nanoseconds since then.
    pub(crate) fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The intended start times of an open loop, in order: an iterator of nanoseconds since the start.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    pattern: ArrivalPattern,
    nanos_between: f64,
    next: f64,
    window: Window,
    rng: Rng,
}

impl Arrivals {
    /// `per_second` arrivals on average while the window lasts, the first after one interval times `phase` (0 to 1;
    /// it keeps the threads of a run from arriving together).
    pub(crate) fn new(
        pattern: ArrivalPattern,
        per_second: f64,
        phase: f64,
        window: Window,
        rng: Rng,
    ) -> Arrivals {
        let nanos_between = 1e9 / per_second;
        Arrivals { pattern, nanos_between, next: nanos_between * phase, window, rng }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and what is past the end is dropped"
    )]
    fn next(&mut self) -> Option<u64> {
        let arrival = self.next as u64;
        let measured = arrival >= self.window.measure_from;
        if arrival >= self.window.end || (measured && self.window.operations == 0) {
            return None;
        }
        self.window.operations -= u64::from(measured);
        self.next += match self.pattern {
            ArrivalPattern::Uniform => self.nanos_between,
            ArrivalPattern::Poisson => -(1.0 - unit_interval(&mut self.rng)).ln() * self.nanos_between,
        };
        Some(arrival)
    }
}

/// What a client is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Send one operation for each intended start.
    Send,
    /// The run ended before these could be sent.
    Unsent,
    /// Nothing more to do.
    Over,
}

/// Tells the clients of one thread when to start.
#[derive(Debug)]
pub(crate) struct Pacing {
    clock: RunClock,
    pipeline: usize,
    window: Window,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Closed { remaining: Cell<u64> },
    Open { released: Arc<Semaphore>, arrivals: RefCell<Arrivals> },
}

impl Pacing {
    /// Closed loop.
    pub(crate) fn closed(clock: RunClock, pipeline: usize, window: Window) -> Pacing {
        Pacing { clock, pipeline, window, source: Source::Closed { remaining: Cell::new(window.operations) } }
    }

    /// Open loop; somebody must [`release`] the same arrivals.
    pub(crate) fn open(
        clock: RunClock,
        pipeline: usize,
        window: Window,
        arrivals: Arrivals,
        released: Arc<Semaphore>,
    ) -> Pacing {
        Pacing {
            clock,
            pipeline,
            window,
            source: Source::Open { released, arrivals: RefCell::new(arrivals) },
        }
    }

    /// True where latency counts from a time that was fixed beforehand.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.source, Source::Open { .. })
    }

    /// The clock that intended starts are counted on.
    pub(crate) fn clock(&self) -> RunClock {
        self.clock
    }

    /// The end of the window, in nanoseconds since the start.
    pub(crate) fn end(&self) -> u64 {
        self.window.end
    }

    /// Waits for a client's next turn and fills `starts` with the intended start of each operation of it.
    pub(crate) async fn turn(&self, starts: &mut Vec<u64>) -> Turn {
        starts.clear();
        match &self.source {
            Source::Closed { remaining } => self.closed_turn(remaining, starts),
            Source::Open { released, arrivals } => self.open_turn(released, arrivals, starts).await,
        }
    }

    fn closed_turn(&self, remaining: &Cell<u64>, starts: &mut Vec<u64>) -> Turn {
        let now = self.clock.now();
        let mut batch = self.pipeline;
        if now >= self.window.measure_from {
            batch = usize::try_from(remaining.get()).unwrap_or(usize::MAX).min(batch);
            remaining.set(remaining.get() - batch as u64);
        }
        if now >= self.window.end || batch == 0 {
            return Turn::Over;
        }
        starts.resize(batch, now);
        Turn::Send
    }

    async fn open_turn(
        &self,
        released: &Semaphore,
        arrivals: &RefCell<Arrivals>,
        starts: &mut Vec<u64>,
    ) -> Turn {
        let mut permit = released.acquire().await;
        while let Ok(one) = permit {
            one.forget();
            let Some(arrival) = arrivals.borrow_mut().next() else {
                break;
            };
            starts.push(arrival);
            if starts.len() == self.pipeline {
                break;
            }
            match released.try_acquire() {
                Ok(next) => permit = Ok(next),
                Err(_) => break,
            }
        }
        match starts.is_empty() {
            true => Turn::Over,
            false if self.clock.now() >= self.window.end => Turn::Unsent,
            false => Turn::Send,
        }
    }
}

/// Releases each arrival at its time, then lets `clients` see that there are no more. Blocks until then, or until the
/// semaphore is closed. Run on a thread of its own.
pub(crate) fn release(arrivals: Arrivals, clock: RunClock, released: &Semaphore, clients: usize) {
    sharpen_sleep();
    let mut due = 0;
    for arrival in arrivals {
        while clock.now() < arrival {
            if due > 0 {
                released.add_permits(std::mem::take(&mut due));
            }
            if released.is_closed() {
                return;
            }
            thread::sleep(Duration::from_nanos(arrival.saturating_sub(clock.now())).min(PACER_NAP_MAX));
        }
        due += 1;
    }
    // A client takes at most two permits beyond the last arrival: one that ends a batch, one that ends its loop.
    released.add_permits(due + 2 * clients);
}

/// Asks the kernel to end this thread's sleeps within a microsecond, not the usual fifty (timer slack, see proc(5)).
/// Where it refuses, the run is as good as before, and the reported send lag says how good.
fn sharpen_sleep() {
    let thread = fs::read_link("/proc/thread-self").ok();
    if let Some(id) = thread.as_deref().and_then(Path::file_name) {
        let _ = fs::write(Path::new("/proc").join(id).join("timerslack_ns"), "1000");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::workload::Kind;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    fn arrivals(pattern: ArrivalPattern, per_second: f64, window: Window) -> Arrivals {
        Arrivals::new(pattern, per_second, 0.0, window, Rng::from_seed(1))
    }

    fn until(end: u64) -> Window {
        Window { measure_from: 0, end, operations: u64::MAX }
    }

    #[test]
    fn uniform_arrivals_are_evenly_spaced_until_the_end() {
        let times: Vec<u64> = arrivals(ArrivalPattern::Uniform, 1_000.0, until(5 * MS)).collect();
        assert_eq!(times, [0, MS, 2 * MS, 3 * MS, 4 * MS]);
    }

    /// Poisson: the rate is right, and the spread of the gaps is that of an exponential (standard deviation = mean).
    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let times: Vec<u64> = arrivals(ArrivalPattern::Poisson, 10_000.0, until(10 * SECOND)).collect();
        assert!((99_000..101_000).contains(&times.len()), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02);
    }

    /// A number of operations is counted from the end of the warmup on.
    #[test]
    fn warmup_arrivals_do_not_use_up_the_operations() {
        let window = Window { measure_from: 3 * MS, end: u64::MAX, operations: 4 };
        let times: Vec<u64> = arrivals(ArrivalPattern::Uniform, 1_000.0, window).collect();
        assert_eq!(times.len(), 3 + 4);
    }

    /// A server that takes 0.1 ms for each request, one after the other, and stands still from 5 s to 6 s.
    fn answered_at(sent: u64, free_at: u64) -> u64 {
        let begun = sent.max(free_at);
        let begun = if (5 * SECOND..6 * SECOND).contains(&begun) { 6 * SECOND } else { begun };
        begun + MS / 10
    }

    /// The point of the open loop: a stall of one second in ten at 1,000 per second delays a tenth of all operations
    /// by half a second on average. Counted from when they were sent, nothing but one slow operation would show.
    #[test]
    fn a_stall_shows_in_the_percentiles() {
        let (mut honest, mut omitting) = (Recorder::new(0), Recorder::new(0));
        let mut free_at = 0;
        for intended in arrivals(ArrivalPattern::Uniform, 1_000.0, until(10 * SECOND)) {
            let sent = intended.max(free_at);
            free_at = answered_at(sent, free_at);
            honest.succeed(Kind::Read, intended, free_at);
            omitting.succeed(Kind::Read, sent, free_at);
        }
        let (honest, omitting) = (honest.histogram(Kind::Read), omitting.histogram(Kind::Read));
        assert!(honest.value_at_quantile(0.95) > 400 * MS, "{}", honest.value_at_quantile(0.95));
        assert!(honest.value_at_quantile(0.99) > 850 * MS);
        assert!(omitting.value_at_quantile(0.999) < MS);
        assert!(omitting.max() > 900 * MS);
    }

    /// A stall that lasts to the end of the run is no way out either: what could not be sent counts as still waiting.
    #[test]
    fn operations_cut_off_by_the_end_are_in_the_percentiles() {
        let mut recorder = Recorder::new(0);
        for intended in arrivals(ArrivalPattern::Uniform, 1_000.0, until(10 * SECOND)) {
            if intended < 9 * SECOND {
                recorder.succeed(Kind::Read, intended, intended + MS / 10);
            } else {
                recorder.unsent(Kind::Read, intended, 10 * SECOND);
            }
        }
        assert_eq!((recorder.succeeded(), recorder.unsent_count()), (9_000, 1_000));
        assert!(recorder.histogram(Kind::Read).value_at_quantile(0.99) > 850 * MS);
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Every arrival is handed to exactly one client, batched up to the pipeline, and then every client ends.
    #[test]
    fn released_arrivals_are_handed_out_once() {
        let window = Window { measure_from: 0, end: u64::MAX, operations: 25 };
        let clock = RunClock::starting_at(Instant::now());
        let (released, times) = (Arc::new(Semaphore::new(0)), arrivals(ArrivalPattern::Uniform, 1e9, window));
        release(times.clone(), clock, &released, 3);
        let pacing = Pacing::open(clock, 4, window, times, released);
        let mut sizes = Vec::new();
        let mut starts = Vec::new();
        while block_on(pacing.turn(&mut starts)) == Turn::Send {
            sizes.push(starts.len());
        }
        assert_eq!(sizes, [4, 4, 4, 4, 4, 4, 1]);
        for _ in 1..3 {
            assert_eq!(block_on(pacing.turn(&mut starts)), Turn::Over);
        }
    }

    /// A closed loop starts exactly as many measured operations as were asked for.
    #[test]
    fn a_closed_loop_shares_the_operations() {
        let window = Window { measure_from: 0, end: u64::MAX, operations: 10 };
        let pacing = Pacing::closed(RunClock::starting_at(Instant::now()), 4, window);
        let mut starts = Vec::new();
        let sizes: Vec<usize> = (0..4)
            .map(|_| {
                block_on(pacing.turn(&mut starts));
                starts.len()
            })
            .collect();
        assert_eq!(sizes, [4, 4, 2, 0]);
    }
}
