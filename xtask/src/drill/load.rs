//! The drill's clients, which note what was acknowledged.
//!
//! What must hold: nothing counts as acknowledged before the answer says so; each write has a key of its own, or is an element
//! of its own in a set of siblings, so that whether it is lost can be said of each; and a write that was refused for
//! certain is noted too, because it must never show.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use env::Rng;

use super::resp::{Connection, Reply};
use super::ring::{SETS, SLOPPY, STRICT};
use super::tally::{Asked, Tally, Through};

/// How long a client waits for a reply, longer than a node's own deadline.
const PATIENCE: Duration = Duration::from_secs(8);

/// The time between tries of a client that finds no node.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How often each client of sets adds to one of them.
const TURNS_PER_SET: u32 = 40;

/// The longest value.
const VALUE_BYTES_MAX: usize = 2 << 10;

/// What clients and the drill share.
pub(super) struct Shared {
    nodes: Vec<SocketAddr>,
    is_over: AtomicBool,
    /// A bit for each node that something is being done to.
    struck: AtomicU64,
    part: Mutex<&'static str>,
    tally: Mutex<Tally>,
}

impl Shared {
    pub(super) fn new(nodes: Vec<SocketAddr>) -> Arc<Shared> {
        let (is_over, struck) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Shared { nodes, is_over, struck, part: Mutex::new("calm"), tally: Mutex::default() })
    }

    /// What goes on now, and which nodes it is done to.
    pub(super) fn set_part(&self, part: &'static str, struck: &[usize]) {
        let bits = struck.iter().fold(0, |bits, node| bits | 1 << node);
        *locked(&self.part) = part;
        self.struck.store(bits, Ordering::SeqCst);
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.tally)
    }

    fn part(&self) -> &'static str {
        *locked(&self.part)
    }

    fn is_struck(&self, node: usize) -> bool {
        self.struck.load(Ordering::SeqCst) & 1 << node != 0
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one client wrote.
pub(super) struct Written {
    pub(super) client: usize,
    pub(super) keyspace: &'static str,
    pub(super) acknowledged: Vec<u32>,
    /// Said not to have been done.
    pub(super) refused: Vec<u32>,
}

/// The key of a client's write.
pub(super) fn key_of(client: usize, turn: u32) -> String {
    format!("c{client}-{turn}")
}

/// The value of a key: its name over and over, of a length that the name decides.
pub(super) fn value_of(client: usize, turn: u32) -> Vec<u8> {
    let key = key_of(client, turn);
    let spread = usize::try_from(turn.wrapping_mul(2_654_435_761) >> 16).unwrap_or(0);
    let length = (spread % VALUE_BYTES_MAX).max(key.len());
    format!("{key}.").bytes().cycle().take(length).collect()
}

/// The set that a client adds to in this turn.
pub(super) fn set_of(turn: u32) -> String {
    format!("set-{}", turn / TURNS_PER_SET)
}

/// What siblings come to: all their elements.
pub(super) fn union<'a>(values: impl Iterator<Item = &'a [u8]>) -> BTreeSet<String> {
    let texts = values.map(String::from_utf8_lossy);
    texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The clients, while they run.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Written>>,
}

impl Load {
    /// Starts at each node a client of each keyspace, which together write about `rate` times a second.
    pub(super) fn start(shared: &Arc<Shared>, rate: u32, rng: &mut Rng) -> std::io::Result<Load> {
        let keyspaces = [SLOPPY, STRICT, SETS];
        let clients = shared.nodes.len() * keyspaces.len();
        let pace = Duration::from_secs(1) * u32::try_from(clients).unwrap_or(u32::MAX) / rate.max(1);
        let mut load = Load { shared: Arc::clone(shared), threads: Vec::new() };
        for client in 0..clients {
            let keyspace = keyspaces[client % keyspaces.len()];
            let home = client / keyspaces.len();
            let shared = Arc::clone(shared);
            let client = Client { shared, client, keyspace, home, at: home, link: None, rng: rng.fork() };
            load.threads.push(std::thread::Builder::new().spawn(move || client.run(pace))?);
        }
        Ok(load)
    }

    /// Ends it, and gives what was written.
    pub(super) fn end(mut self) -> Vec<Written> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let ended = self.threads.drain(..).map(JoinHandle::join);
        // A client that panicked takes the drill along: what it wrote must not count as looked for.
        ended.map(|written| written.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

struct Client {
    shared: Arc<Shared>,
    client: usize,
    keyspace: &'static str,
    /// The node that it talks to while it can.
    home: usize,
    at: usize,
    link: Option<Connection>,
    rng: Rng,
}

impl Client {
    fn run(mut self, pace: Duration) -> Written {
        let (client, keyspace) = (self.client, self.keyspace);
        let mut written = Written { client, keyspace, acknowledged: Vec::new(), refused: Vec::new() };
        let mut due = Instant::now();
        for turn in 0.. {
            if self.shared.is_over.load(Ordering::SeqCst) {
                break;
            }
            sleep(due.saturating_duration_since(Instant::now()));
            // Who fell behind does not hurry afterwards.
            due = (due + pace).max(Instant::now());
            self.go_home();
            let reply = if keyspace == SETS { self.add(turn) } else { self.put(turn) };
            match reply {
                Some(Reply::Error(text)) if is_refusal(&text) => written.refused.push(turn),
                Some(Reply::Error(_)) | None => {}
                Some(_) => written.acknowledged.push(turn),
            }
            if keyspace != SETS {
                self.look(&written);
            }
        }
        written
    }

    fn put(&mut self, turn: u32) -> Option<Reply> {
        let (key, value) = (key_of(self.client, turn), value_of(self.client, turn));
        self.ask(Asked::Write, &[b"SET", key.as_bytes(), &value])
    }

    /// Adds an element to a set that all clients of sets add to: reads all siblings, and writes their union in their place.
    fn add(&mut self, turn: u32) -> Option<Reply> {
        let set = set_of(turn);
        let read = self.ask(Asked::Read, &[b"KV.GET", set.as_bytes()])?;
        if matches!(read, Reply::Error(_)) {
            // Nothing was written, but nothing was refused either.
            return None;
        }
        let siblings = read.values().count();
        let mut elements = union(read.values());
        elements.insert(key_of(self.client, turn));
        let value = elements.into_iter().collect::<Vec<_>>().join(" ");
        {
            let mut tally = self.shared.tally();
            tally.siblings_max = tally.siblings_max.max(siblings);
        }
        let mut words: Vec<&[u8]> = vec![b"KV.PUT", set.as_bytes(), value.as_bytes()];
        if let Some(Reply::Bulk(context)) = read.elements().first() {
            words.extend([b"CONTEXT", context.as_slice()]);
        }
        self.ask(Asked::Write, &words)
    }

    /// Reads something that was acknowledged to this client before.
    fn look(&mut self, written: &Written) {
        let Some(&turn) = self.rng.pick(&written.acknowledged) else { return };
        let key = key_of(self.client, turn);
        let began = Instant::now();
        let reply = self.ask(Asked::Read, &[b"GET", key.as_bytes()]);
        let is_right = match &reply {
            None | Some(Reply::Error(_)) => return,
            Some(Reply::Null) => self.keyspace != STRICT,
            Some(found) => found.bytes() == value_of(self.client, turn),
        };
        if !is_right {
            let what = format!(
                "{key} in {} through n{}, asked {:?} ago: {}",
                self.keyspace,
                self.at + 1,
                began.elapsed(),
                if reply == Some(Reply::Null) { "absent" } else { "another value" }
            );
            self.shared.tally().stale.push(what);
        }
    }

    /// Asks the node that it is connected to; nothing where no answer came.
    fn ask(&mut self, asked: Asked, words: &[&[u8]]) -> Option<Reply> {
        let (at, part, was_struck) = (self.at, self.shared.part(), self.shared.is_struck(self.at));
        let began = Instant::now();
        let reply = self.try_ask(words);
        let through = match was_struck || self.shared.is_struck(at) {
            true => Through::Struck,
            false => Through::Others,
        };
        let mut tally = self.shared.tally();
        match reply {
            Ok(Reply::Error(text)) => {
                tally.failed(part, through, text.split(' ').next().unwrap_or_default());
                Some(Reply::Error(text))
            }
            Ok(reply) => {
                tally.good(part, asked, began.elapsed());
                Some(reply)
            }
            Err(error) => {
                let word = match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => "no reply",
                    _ => "connection lost",
                };
                tally.failed(part, through, word);
                drop(tally);
                self.move_on();
                None
            }
        }
    }

    fn try_ask(&mut self, words: &[&[u8]]) -> std::io::Result<Reply> {
        let link = match &mut self.link {
            Some(link) => link,
            empty => empty.insert(Connection::open(self.shared.nodes[self.at], self.keyspace, PATIENCE)?),
        };
        link.ask(words)
    }

    /// To the next node that nothing is being done to, or just the next one.
    fn move_on(&mut self) {
        let nodes = self.shared.nodes.len();
        let others = (1..=nodes).map(|step| (self.at + step) % nodes);
        let next = others.clone().find(|&node| !self.shared.is_struck(node));
        self.at = next.or_else(|| others.clone().next()).unwrap_or(self.at);
        self.link = None;
        sleep(RETRY_EVERY);
    }

    /// Back to its own node, once that is well.
    fn go_home(&mut self) {
        if self.at != self.home && !self.shared.is_struck(self.home) {
            self.at = self.home;
            self.link = None;
        }
    }
}

/// Whether an error says that the write was not done, and never will be.
fn is_refusal(text: &str) -> bool {
    ["UNAVAILABLE", "OVERLOADED"].iter().any(|word| text.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_and_siblings_are_united() {
        assert_ne!(value_of(1, 2), value_of(1, 3));
        assert!(value_of(3, 77).starts_with(b"c3-77"));
        let siblings: [&[u8]; 2] = [b"c1-1 c2-1", b"c3-1 c1-1"];
        let all: Vec<String> = union(siblings.into_iter()).into_iter().collect();
        assert_eq!(all, ["c1-1", "c2-1", "c3-1"]);
    }
}
