//! Work that cannot be done at once: because its record must come from disk, or because storage has to catch up.
//!
//! What must hold: writes of one key are done in the order in which they came. A write enters the queue of a cold key only
//! while no write is stalled, or is taken from the stalled ones in their order; so whatever waits for a cold key is older
//! than any stalled write of that key, and if it has to wait on it goes before them ([`Stalled::put_back`]).
//!
//! Both queues are bounded by number and by bytes, because a write that waits holds its value (INVARIANTS J1). What is
//! beyond them is refused before anything of it is stored. So is what has less time than it would have to wait, and what has
//! waited until too little is left ([`patience`](crate::patience)): at once, whether or not its turn has come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use causality::Context;
use storage::ReadJob;
use types::{Epoch, Instant, KeyspaceId, Moment};
use wire::{Own, ReplicaReply, WritePath};

use crate::make::{Make, MakeError};
use crate::patience::{Patience, Refusals};
use crate::replica::{Effect, Ticket};

/// A task and who is to be answered.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) task: Task,
    patience: Patience,
}

/// What is to be done with a key's record.
#[derive(Debug)]
pub(crate) enum Task {
    Read,
    /// For a reader who knows this much.
    ReadCovering(Box<Context>),
    /// For another owner, or this one, to compare with what he has said that he holds.
    ReadHeld(Option<Box<Own>>),
    Write {
        keyspace: KeyspaceId,
        record: Bytes,
        path: WritePath,
    },
    Make(Box<Make>),
    /// Drop it, if it may be dropped.
    Drop,
    /// Drop it, if it is this: its other owners had it, and have dropped it.
    LetGo {
        record: Bytes,
    },
    /// Keep this hint for whoever owns its key by now.
    Readdress,
}

impl Waiting {
    /// A task that comes now.
    pub(crate) fn new(now: Moment, ticket: Ticket, task: Task) -> Waiting {
        Waiting { ticket, task, patience: Patience::new(now.mono, ticket.until) }
    }

    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.task, Task::Read | Task::ReadCovering(_) | Task::ReadHeld(_))
    }

    /// About how many bytes of value it holds.
    pub(crate) fn bytes(&self) -> usize {
        match &self.task {
            Task::Read
            | Task::ReadCovering(_)
            | Task::ReadHeld(_)
            | Task::Drop
            | Task::LetGo { .. }
            | Task::Readdress => 0,
            Task::Write { record, .. } => record.len(),
            Task::Make(ask) => ask.bytes(),
        }
    }

    /// Whether there is no time left to do it in.
    pub(crate) fn is_late(&self, now: Moment) -> bool {
        self.patience.is_over(now.mono)
    }

    /// When that is so.
    pub(crate) fn gives_up_at(&self) -> Instant {
        self.patience.ends()
    }

    /// Not done, and never will be.
    pub(crate) fn fail(self, why: &str) -> Effect {
        let why = why.to_owned();
        match self.task {
            Task::Read | Task::ReadCovering(_) | Task::ReadHeld(_) => {
                Effect::Reply(self.ticket, ReplicaReply::CannotSay { why })
            }
            Task::Make(_) => Effect::Made(self.ticket, Err(MakeError::CannotSay(why))),
            // Nobody asked for a record to be dropped; whoever is told knows nothing of it.
            Task::Write { .. } | Task::Drop | Task::LetGo { .. } | Task::Readdress => {
                Effect::Reply(self.ticket, ReplicaReply::Failed { why })
            }
        }
    }

    /// Not done, because owners or keyspace have changed since it was routed.
    pub(crate) fn stale(self, newest: Epoch) -> Effect {
        match self.task {
            Task::Make(_) => Effect::Made(self.ticket, Err(MakeError::Stale { newest })),
            _ => Effect::Reply(self.ticket, ReplicaReply::StaleEpoch { newest }),
        }
    }
}

/// How much waits in a queue, and how much may.
#[derive(Debug)]
struct Room {
    number: usize,
    number_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Room {
    fn new(number_max: usize, bytes_max: usize) -> Room {
        Room { number: 0, number_max, bytes: 0, bytes_max }
    }

    /// Takes one in, if there is room; whatever its size, if it is the only one that holds anything.
    fn enter(&mut self, one: &Waiting) -> bool {
        let bytes = one.bytes();
        let fits = self.bytes == 0 || bytes == 0 || self.bytes + bytes <= self.bytes_max;
        let enters = fits && self.number < self.number_max;
        if enters {
            self.count(bytes);
        }
        enters
    }

    fn count(&mut self, bytes: usize) {
        self.number += 1;
        self.bytes += bytes;
    }

    fn leave(&mut self, one: &Waiting) {
        self.number -= 1;
        self.bytes -= one.bytes();
    }
}

/// Work that waits for a record from disk, by key.
#[derive(Debug)]
pub(crate) struct Cold {
    by_key: HashMap<Bytes, Vec<Waiting>>,
    keys: BTreeMap<u64, Bytes>,
    room: Room,
    next_token: u64,
    /// How long reads have taken of late, an average that each moves by an eighth of the way.
    usual: Duration,
}

impl Cold {
    pub(crate) fn new(number_max: usize, bytes_max: usize) -> Cold {
        Cold {
            by_key: HashMap::new(),
            keys: BTreeMap::new(),
            room: Room::new(number_max, bytes_max),
            next_token: 0,
            usual: Duration::ZERO,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.room.number == 0
    }

    /// Whether a read from disk is under way for this key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        !self.by_key.is_empty() && self.by_key.contains_key(key)
    }

    /// Puts work behind the read that is under way for its key. What comes back is its refusal.
    pub(crate) fn push(&mut self, key: &[u8], one: Waiting, refusals: &mut Refusals) -> Option<Effect> {
        match self.by_key.get_mut(key) {
            Some(waiting) if self.room.enter(&one) => {
                waiting.push(one);
                None
            }
            _ => {
                refusals.cold_full += 1;
                Some(one.fail(TOO_MANY_COLD))
            }
        }
    }

    /// Begins a queue for this key behind a read from disk. What comes back is that read, or a refusal: where others wait, and
    /// this one has less time than reads have taken of late.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        key: Bytes,
        one: Waiting,
        job: ReadJob,
        refusals: &mut Refusals,
    ) -> Effect {
        if !self.is_empty() && self.usual > one.patience.left(now.mono) {
            refusals.hopeless += 1;
            return one.fail(&hopeless("reads from its disk take", self.usual));
        }
        if !self.room.enter(&one) {
            refusals.cold_full += 1;
            return one.fail(TOO_MANY_COLD);
        }
        self.next_token += 1;
        self.keys.insert(self.next_token, key.clone());
        self.by_key.insert(key, vec![one]);
        Effect::Read(self.next_token, job)
    }

    /// The key whose read has this token.
    pub(crate) fn key_of(&self, token: u64) -> Option<Bytes> {
        self.keys.get(&token).cloned()
    }

    /// What waited for this read, in the order in which it came.
    pub(crate) fn take(&mut self, now: Moment, token: u64) -> Vec<Waiting> {
        let key = self.keys.remove(&token);
        let waiting = key.and_then(|key| self.by_key.remove(&key)).unwrap_or_default();
        for one in &waiting {
            self.room.leave(one);
        }
        if let Some(first) = waiting.first() {
            self.usual = (self.usual * 7 + first.patience.waited(now.mono)) / 8;
        }
        waiting
    }

    /// Refuses what has no time left. When to look again; nothing where nothing waits.
    pub(crate) fn give_up(
        &mut self,
        now: Moment,
        out: &mut Vec<Effect>,
        refusals: &mut Refusals,
    ) -> Option<Instant> {
        let mut next = None;
        for key in self.keys.values() {
            let Some(waiting) = self.by_key.get_mut(key) else { continue };
            for one in waiting.extract_if(.., |one| one.is_late(now)) {
                self.room.leave(&one);
                refusals.late += 1;
                out.push(one.fail(TOO_LATE));
            }
            next = waiting.iter().map(Waiting::gives_up_at).chain(next).min();
        }
        next
    }
}

/// Writes that wait until storage has caught up with its background work, in order. While there are any, those that come
/// are put behind them.
#[derive(Debug)]
pub(crate) struct Stalled {
    queue: VecDeque<(Bytes, Waiting)>,
    room: Room,
}

impl Stalled {
    pub(crate) fn new(number_max: usize, bytes_max: usize) -> Stalled {
        Stalled { queue: VecDeque::new(), room: Room::new(number_max, bytes_max) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Puts a write behind the others. What comes back is its refusal: also where it has less time than the first of them has
    /// waited already.
    pub(crate) fn push(
        &mut self,
        now: Moment,
        key: Bytes,
        one: Waiting,
        refusals: &mut Refusals,
    ) -> Option<Effect> {
        let waited = self.queue.front().map_or(Duration::ZERO, |(_, first)| first.patience.waited(now.mono));
        if waited > one.patience.left(now.mono) {
            refusals.hopeless += 1;
            return Some(one.fail(&hopeless("its storage has to catch up, and writes have waited", waited)));
        }
        if self.room.enter(&one) {
            self.queue.push_back((key, one));
            None
        } else {
            refusals.stalled_full += 1;
            Some(one.fail("too many writes wait for storage to catch up"))
        }
    }

    /// Refuses what has no time left. When to look again; nothing where nothing waits.
    pub(crate) fn give_up(
        &mut self,
        now: Moment,
        out: &mut Vec<Effect>,
        refusals: &mut Refusals,
    ) -> Option<Instant> {
        let mut next = None;
        for (key, one) in std::mem::take(&mut self.queue) {
            if one.is_late(now) {
                self.room.leave(&one);
                refusals.late += 1;
                out.push(one.fail(TOO_LATE));
            } else {
                next = Some(next.map_or(one.gives_up_at(), |next: Instant| next.min(one.gives_up_at())));
                self.queue.push_back((key, one));
            }
        }
        next
    }

    /// Puts writes that came before all others of their key in front of them. They have been let in once and are not
    /// refused now: the bound is exceeded by what the cold queue holds at most.
    pub(crate) fn put_back(&mut self, older: Vec<(Bytes, Waiting)>) {
        for (key, one) in older.into_iter().rev() {
            self.room.count(one.bytes());
            self.queue.push_front((key, one));
        }
    }

    /// All of them, to be taken up or given back by [`append`](Self::append).
    pub(crate) fn take(&mut self) -> VecDeque<(Bytes, Waiting)> {
        (self.room.number, self.room.bytes) = (0, 0);
        std::mem::take(&mut self.queue)
    }

    /// Puts back what was taken and not taken up, behind what has been put back meanwhile.
    pub(crate) fn append(&mut self, rest: VecDeque<(Bytes, Waiting)>) {
        for (_, one) in &rest {
            self.room.count(one.bytes());
        }
        self.queue.extend(rest);
    }
}

const TOO_MANY_COLD: &str = "too many requests wait for the disk";

/// Said of what has waited for too long. It was not done.
pub(crate) const TOO_LATE: &str = "its turn did not come while there was time for it";

fn hopeless(what: &str, time: Duration) -> String {
    format!(
        "{what} {} ms, longer than this request has: try again later, or with more time",
        time.as_millis()
    )
}
