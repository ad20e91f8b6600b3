//! Who is connected: what `CLIENT LIST` shows, `CLIENT KILL` ends and `INFO` counts.
//!
//! One registry serves all listeners of a node, on all threads of its shards. What must hold: a connection pays for being
//! listed with a few stores and locks that nobody else holds; threads meet only where connections come, go, or are listed.
//! So each thread counts for itself, and whoever asks adds up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use types::WallTime;

/// The connections of a node, as the thread of one of its shards has them.
#[derive(Clone, Debug)]
pub struct Clients {
    registry: Arc<Registry>,
    shard: usize,
}

/// What the threads of a node share.
#[derive(Debug)]
struct Registry {
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    count: AtomicUsize,
    last_id: AtomicU64,
    /// The memory that all connections keep while they wait, beyond what each may keep unasked.
    held_bytes: AtomicUsize,
    /// Each thread's.
    figures: Vec<Figures>,
}

/// Counts of one thread since the start. Aligned so that no two threads write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Figures {
    /// Commands that were run, or refused with an error.
    pub commands: Count,
    /// Replies that were errors.
    pub errors: Count,
    /// Protocol errors, each of which ended a connection.
    pub protocol_errors: Count,
    /// Connections ended because they spoke another protocol.
    pub foreign: Count,
    /// Bytes received.
    pub bytes_received: Count,
    /// Bytes sent.
    pub bytes_sent: Count,
    /// Connections turned away because there were too many.
    pub rejected: Count,
    /// Answers that a stand-in had a part in (INVARIANTS C4).
    pub stand_in_answers: Count,
    /// Writes acknowledged before they were synced, as their keyspace allows (INVARIANTS C4).
    pub relaxed_writes: Count,
}

/// A count that one thread adds to and any may read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds to it. For its own thread alone, which is why a plain store will do.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }
}

/// One connection, as others may see it.
#[derive(Debug)]
pub struct Client {
    /// Its number, never used again while the node runs.
    pub id: u64,
    /// Where it comes from, if over a socket.
    pub address: Option<SocketAddr>,
    /// The listener's address that it came to.
    pub local_address: Option<SocketAddr>,
    /// When it came.
    pub connected: WallTime,
    last: Mutex<Last>,
    keyspace_number: AtomicU32,
    protocol_number: AtomicI64,
    name: Mutex<String>,
    library: Mutex<Library>,
    is_killed: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// What a connection last did.
#[derive(Clone, Copy, Debug)]
struct Last {
    command: &'static str,
    at: WallTime,
}

/// Whose connection it is (`CLIENT SETINFO`).
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// The library's name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A panic while one of these locks is held leaves what it guards whole: each is changed by one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Clients {
    fn default() -> Clients {
        Clients { registry: Arc::new(Registry::new(1)), shard: 0 }
    }
}

impl Registry {
    fn new(shards: usize) -> Registry {
        Registry {
            connected: Mutex::default(),
            count: AtomicUsize::new(0),
            last_id: AtomicU64::new(0),
            held_bytes: AtomicUsize::new(0),
            figures: (0..shards).map(|_| Figures::default()).collect(),
        }
    }
}

impl Clients {
    /// The connections of a node with so many shards, for each of their threads.
    pub fn of_shards(shards: usize) -> Vec<Clients> {
        let registry = Arc::new(Registry::new(shards));
        (0..shards).map(|shard| Clients { registry: Arc::clone(&registry), shard }).collect()
    }

    /// What this thread counts.
    pub fn figures(&self) -> &Figures {
        &self.registry.figures[self.shard]
    }

    /// What all threads have counted of something.
    pub fn sum(&self, of: impl Fn(&Figures) -> &Count) -> u64 {
        self.registry.figures.iter().map(|figures| of(figures).get()).sum()
    }

    /// Enters a connection.
    pub fn register(
        &self,
        address: Option<SocketAddr>,
        local_address: Option<SocketAddr>,
        now: WallTime,
    ) -> Arc<Client> {
        let client = Arc::new(Client {
            id: self.registry.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            address,
            local_address,
            connected: now,
            last: Mutex::new(Last { command: "NULL", at: now }),
            keyspace_number: AtomicU32::new(0),
            protocol_number: AtomicI64::new(2),
            name: Mutex::default(),
            library: Mutex::default(),
            is_killed: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        locked(&self.registry.connected).insert(client.id, Arc::clone(&client));
        self.registry.count.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, id: u64) {
        if locked(&self.registry.connected).remove(&id).is_some() {
            self.registry.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many are connected.
    pub fn count(&self) -> usize {
        self.registry.count.load(Ordering::Relaxed)
    }

    /// How many have ever connected.
    pub fn total(&self) -> u64 {
        self.registry.last_id.load(Ordering::Relaxed)
    }

    /// The connection with this number.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        locked(&self.registry.connected).get(&id).cloned()
    }

    /// All of them, in the order in which they came.
    pub fn list(&self) -> Vec<Arc<Client>> {
        locked(&self.registry.connected).values().cloned().collect()
    }

    /// The memory that all connections keep while they wait.
    pub(crate) fn held_bytes(&self) -> usize {
        self.registry.held_bytes.load(Ordering::Relaxed)
    }

    /// Counts what one connection keeps now instead of before; what all keep.
    pub(crate) fn hold(&self, before: usize, now: usize) -> usize {
        let held = &self.registry.held_bytes;
        match now.cmp(&before) {
            std::cmp::Ordering::Equal => held.load(Ordering::Relaxed),
            std::cmp::Ordering::Greater => held.fetch_add(now - before, Ordering::Relaxed) + (now - before),
            std::cmp::Ordering::Less => held.fetch_sub(before - now, Ordering::Relaxed) - (before - now),
        }
    }
}

impl Client {
    /// Notes that it sent a command.
    pub(crate) fn note(&self, command: &'static str, at: WallTime) {
        *locked(&self.last) = Last { command, at };
    }

    /// Notes which keyspace it is in, by number.
    pub(crate) fn set_keyspace_number(&self, number: u32) {
        self.keyspace_number.store(number, Ordering::Relaxed);
    }

    /// Notes which version of the protocol it speaks, 2 or 3.
    pub(crate) fn set_protocol_number(&self, number: i64) {
        self.protocol_number.store(number, Ordering::Relaxed);
    }

    /// What it calls itself (`CLIENT SETNAME`).
    pub fn name(&self) -> String {
        locked(&self.name).clone()
    }

    pub(crate) fn set_name(&self, name: String) {
        *locked(&self.name) = name;
    }

    /// Its library (`CLIENT SETINFO`).
    pub fn library(&self) -> Library {
        locked(&self.library).clone()
    }

    pub(crate) fn set_library(&self, library: Library) {
        *locked(&self.library) = library;
    }

    /// Asks the connection to end.
    pub fn kill(&self) {
        self.is_killed.store(true, Ordering::Release);
        if let Some(waker) = locked(&self.waker).as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was asked to end.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Acquire)
    }

    /// Names whom to wake when the connection is asked to end.
    pub fn set_waker(&self, waker: &Waker) {
        let mut kept = locked(&self.waker);
        match kept.as_mut() {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }

    /// The line that `CLIENT INFO` and `CLIENT LIST` show, in Redis's form.
    pub fn line(&self, now: WallTime) -> String {
        let address = |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
        let seconds_since = |then: WallTime| now.0.saturating_sub(then.0) / 1000;
        let (library, last) = (locked(&self.library), *locked(&self.last));
        format!(
            "id={} addr={} laddr={} name={} age={} idle={} flags=N db={} sub=0 psub=0 ssub=0 multi=-1 events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
            self.id,
            address(self.address),
            address(self.local_address),
            locked(&self.name),
            seconds_since(self.connected),
            seconds_since(last.at),
            self.keyspace_number.load(Ordering::Relaxed),
            last.command,
            self.protocol_number.load(Ordering::Relaxed),
            library.name,
            library.version,
        )
    }
}
