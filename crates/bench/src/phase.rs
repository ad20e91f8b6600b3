//! One phase of a run: threads start, connect, begin together, and are watched until all are done.
//!
//! Each thread has a single-threaded runtime with its share of the clients. Nothing is sent before every client of
//! every thread is connected; then the clock starts. The servers' CPU time is read when the warmup ends and right
//! after the last client is done, so that it covers the measured operations and nothing else.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use env::Rng;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::Error;
use crate::frontier::Frontier;
use crate::lane::{Lane, Shared};
use crate::operations::Operations;
use crate::pacing::{Arrivals, Pacing, RunClock, Window, release};
use crate::plan::{OpenLoop, Plan};
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::slots::SlotMap;

/// The watcher looks this often at the progress.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// Clients' value sequences are this far apart, so that no two clients write the same number.
const SEQUENCES_PER_CLIENT: u64 = 1 << 40;

/// What the threads of a phase do.
#[derive(Clone)]
pub(crate) struct Phase {
    pub(crate) plan: Arc<Plan>,
    pub(crate) slots: Option<SlotMap>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) operations: Operations,
    pub(crate) pipeline: usize,
    pub(crate) open_loop: Option<OpenLoop>,
    pub(crate) window: Window,
}

/// What a thread says, and when.
enum Report {
    Connected,
    Ended(Result<Box<Recorder>, Error>),
}

impl Phase {
    /// Runs the phase. `at_measure` is called when the warmup ends.
    pub(crate) fn run(&self, progress: &Progress, at_measure: &mut dyn FnMut()) -> Result<Recorder, Error> {
        let threads = self.plan.threads;
        let answered = Arc::new(AtomicU64::new(0));
        let (report, reports) = sync_channel(2 * threads);
        let mut starts = Vec::new();
        let mut handles = Vec::new();
        for number in 0..threads {
            let (start, started) = sync_channel(1);
            starts.push(start);
            let (phase, report, answered) = (self.clone(), report.clone(), Arc::clone(&answered));
            let body = move || {
                let result = phase.work(number, &answered, &report, &started);
                // The receiver outlives the threads, unless it failed itself and wants no report.
                let _ = report.send(Report::Ended(result.map(Box::new)));
            };
            let handle = thread::Builder::new().name(format!("bench-{number}")).spawn(body);
            handles.push(handle.map_err(|error| Error::Generator(format!("no thread: {error}")))?);
        }
        drop(report);
        await_connections(&reports, threads)?;
        let clock = RunClock::starting_at(Instant::now());
        for start in &starts {
            // A thread that is gone has said why in its report.
            let _ = start.send(clock);
        }
        let mut merged = Recorder::new(self.window.measure_from);
        let result = self.watch(&reports, &answered, clock, progress, at_measure, &mut merged);
        for handle in handles {
            handle.join().map_err(|_| Error::Generator("a thread panicked".to_owned()))?;
        }
        result.map(|()| merged)
    }

    fn watch(
        &self,
        reports: &Receiver<Report>,
        answered: &AtomicU64,
        clock: RunClock,
        progress: &Progress,
        at_measure: &mut dyn FnMut(),
        merged: &mut Recorder,
    ) -> Result<(), Error> {
        let mut measuring = false;
        loop {
            let now = clock.now();
            if !measuring && now >= self.window.measure_from {
                measuring = true;
                at_measure();
            }
            let until_measure = Duration::from_nanos(self.window.measure_from.saturating_sub(now));
            let patience = if measuring { WATCH_INTERVAL } else { WATCH_INTERVAL.min(until_measure) };
            match reports.recv_timeout(patience) {
                Ok(Report::Ended(result)) => merged.merge(&*result?),
                Ok(Report::Connected) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            progress.update(answered.load(Ordering::Relaxed), clock.now());
        }
    }

    /// The body of a thread.
    fn work(
        &self,
        number: usize,
        answered: &Arc<AtomicU64>,
        report: &SyncSender<Report>,
        started: &Receiver<RunClock>,
    ) -> Result<Recorder, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Generator(format!("no runtime: {error}")))?;
        let local = LocalSet::new();
        local.block_on(&runtime, self.work_locally(number, answered, report, started))
    }

    async fn work_locally(
        &self,
        number: usize,
        answered: &Arc<AtomicU64>,
        report: &SyncSender<Report>,
        started: &Receiver<RunClock>,
    ) -> Result<Recorder, Error> {
        let given_up = || Error::Generator("another thread failed to start".to_owned());
        let clients: Vec<usize> = (number..self.plan.connections).step_by(self.plan.threads).collect();
        let mut links = Vec::new();
        for client in &clients {
            links.push(
                Lane::connect(&self.plan, self.slots.as_ref(), client % self.plan.addresses.len()).await?,
            );
        }
        report.send(Report::Connected).map_err(|_| given_up())?;
        let clock = started.recv().map_err(|_| given_up())?;
        let released = Arc::new(Semaphore::new(0));
        let shared = Rc::new(Shared {
            plan: Arc::clone(&self.plan),
            frontier: Arc::clone(&self.frontier),
            recorder: Recorder::new(self.window.measure_from).into(),
            pacing: self.pacing(number, clock, clients.len(), &released)?,
            slots: self.slots.clone().map(Into::into),
            answered: Arc::clone(answered),
        });
        let lanes = clients.iter().zip(links).map(|(client, links)| {
            let values = self.plan.values.fork(*client as u64 * SEQUENCES_PER_CLIENT);
            let home = client % self.plan.addresses.len();
            let lane = Lane::new(Rc::clone(&shared), home, links, self.operations_of(*client), values);
            tokio::task::spawn_local(lane.run())
        });
        let lanes: Vec<_> = lanes.collect();
        let mut result = Ok(());
        for lane in lanes {
            let ended = lane.await.map_err(|error| Error::Generator(error.to_string()));
            result = result.and(ended.and_then(|ended| ended));
        }
        released.close();
        result?;
        let recorder = shared.recorder.borrow().clone();
        Ok(recorder)
    }

    /// The operations of a client: a function of the seed and its number.
    fn operations_of(&self, client: usize) -> Operations {
        let mut operations = self.operations.clone();
        if let Operations::Mixed { rng, .. } = &mut operations {
            *rng = Rng::from_seed(
                self.plan.seed.wrapping_add((client as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            );
        }
        operations
    }

    /// This thread's share of the load; starts the pacer of an open loop.
    fn pacing(
        &self,
        number: usize,
        clock: RunClock,
        clients: usize,
        released: &Arc<Semaphore>,
    ) -> Result<Pacing, Error> {
        let threads = self.plan.threads as u64;
        let rest = u64::from((number as u64) < self.window.operations % threads);
        let window = Window { operations: self.window.operations / threads + rest, ..self.window };
        let Some(OpenLoop { per_second, pattern }) = self.open_loop else {
            return Ok(Pacing::closed(clock, self.pipeline, window));
        };
        let rng = Rng::from_seed(!self.plan.seed ^ number as u64);
        let phase = number as f64 / threads as f64;
        let arrivals = Arrivals::new(pattern, per_second / threads as f64, phase, window, rng);
        let (times, permits) = (arrivals.clone(), Arc::clone(released));
        let pacer = move || release(times, clock, &permits, clients);
        // Not joined: it ends with the arrivals, or when the semaphore is closed.
        thread::Builder::new()
            .name(format!("pacer-{number}"))
            .spawn(pacer)
            .map_err(|error| Error::Generator(format!("no thread: {error}")))?;
        Ok(Pacing::open(clock, self.pipeline, window, arrivals, Arc::clone(released)))
    }
}

/// Waits until each thread has connected all its clients.
fn await_connections(reports: &Receiver<Report>, threads: usize) -> Result<(), Error> {
    for _ in 0..threads {
        match reports.recv() {
            Ok(Report::Connected) => {}
            Ok(Report::Ended(result)) => {
                result?;
            }
            Err(_) => return Err(Error::Generator("a thread ended without a word".to_owned())),
        }
    }
    Ok(())
}
