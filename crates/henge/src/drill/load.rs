//! The drill's clients: for each keyspace one at each node, which write, read what they wrote, and watch a counter.
//!
//! What must hold: nothing is counted as acknowledged before the answer says so, and each acknowledged write has a key of its
//! own, so that whether it is lost can be said of each. A read is stale if it does not show what had been acknowledged when
//! it *began*.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::counter::Counter;
use super::door::{Door, Read};
use super::ring::Choice;
use super::tally::{Asked, Ending, Phase, Tally};

/// The time between a client's rounds.
const PACE: Duration = Duration::from_millis(40);

/// The key of the counter that one client raises and all watch.
pub(super) const COUNTER: &str = "counter";

/// Which node's client raises it.
const COUNTING: usize = 0;

/// What clients and the drill share.
#[derive(Debug)]
pub(super) struct Shared {
    phase: Mutex<Phase>,
    is_over: AtomicBool,
    tally: Mutex<Tally>,
    /// Of each keyspace.
    spaces: [Space; Choice::ALL.len()],
}

#[derive(Debug, Default)]
struct Space {
    /// Keys that were acknowledged; each has its own name as its value.
    acknowledged: Mutex<Vec<String>>,
    counter: Counter,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            phase: Mutex::new(Phase::Calm),
            is_over: AtomicBool::new(false),
            tally: Mutex::default(),
            spaces: Default::default(),
        }
    }

    fn space(&self, of: Choice) -> &Space {
        &self.spaces[of as usize]
    }

    pub(super) fn phase(&self) -> Phase {
        *locked(&self.phase)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        *locked(&self.phase) = phase;
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.tally)
    }

    /// All keys that were acknowledged so far.
    pub(super) fn acknowledged(&self, of: Choice) -> Vec<String> {
        locked(&self.space(of).acknowledged).clone()
    }

    /// The highest acknowledged value of the counter.
    pub(super) fn counted(&self, of: Choice) -> u64 {
        self.space(of).counter.highest()
    }
}

/// The clients, while they run.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts them.
    pub(super) fn start(shared: &Arc<Shared>, nodes: &[SocketAddr]) -> std::io::Result<Load> {
        let mut load = Load { shared: Arc::clone(shared), threads: Vec::new() };
        for choice in Choice::ALL {
            for (node, address) in nodes.iter().enumerate() {
                let client = Client { choice, node, door: Door::new(*address), shared: Arc::clone(shared) };
                let thread = std::thread::Builder::new().name(format!("client-{}-{node}", choice.name()));
                load.threads.push(thread.spawn(move || client.run())?);
            }
        }
        Ok(load)
    }

    /// Ends them, each after its round.
    pub(super) fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // What it has counted is there all the same.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Client {
    choice: Choice,
    node: usize,
    door: Door,
    shared: Arc<Shared>,
}

impl Client {
    fn run(&self) {
        let mut last = None;
        for round in 0_u64.. {
            if self.shared.is_over.load(Ordering::SeqCst) {
                return;
            }
            let key = format!("n{}-{round}", self.node + 1);
            if self.write(&key, &key, None) {
                locked(&self.shared.space(self.choice).acknowledged).push(key.clone());
                last = Some(key);
            }
            if let Some(key) = &last {
                self.read(key, |read, _| (!read.values.contains(key)).then_some(Duration::ZERO));
            }
            let counter = &self.shared.space(self.choice).counter;
            let read = self.read(COUNTER, |read, began| counter.age(count_of(read), began));
            if self.node == COUNTING && read.ending == Ending::Good {
                let next = count_of(&read).max(counter.highest()) + 1;
                if self.write(COUNTER, &next.to_string(), read.context.as_deref()) {
                    counter.acknowledged(next);
                }
            }
            std::thread::sleep(PACE);
        }
    }

    /// True if it was acknowledged.
    fn write(&self, key: &str, value: &str, context: Option<&str>) -> bool {
        let phase = self.shared.phase();
        let written = self.door.put(self.choice, key, value, context);
        let (at, ended) = ((phase, self.choice, self.node), self.shared.phase());
        self.shared.tally().add(at, ended, Asked::Write, written.ending, written.took);
        written.ending == Ending::Good
    }

    /// `age` says how old what a read has shown was when it began; nothing where it is not stale.
    fn read(&self, key: &str, age: impl Fn(&Read, Instant) -> Option<Duration>) -> Read {
        let (phase, began) = (self.shared.phase(), Instant::now());
        let read = self.door.get(self.choice, key, None);
        let (at, ended) = ((phase, self.choice, self.node), self.shared.phase());
        self.shared.tally().add(at, ended, Asked::Read, read.ending, read.took);
        if read.ending == Ending::Good
            && let Some(age) = age(&read, began)
        {
            self.shared.tally().stale(at, age);
        }
        read
    }
}

/// The counter's value; of siblings the highest.
pub(super) fn count_of(read: &Read) -> u64 {
    read.values.iter().filter_map(|value| value.parse().ok()).max().unwrap_or(0)
}
