//! The way to a record: what is held of a key, or why a task on it has to wait, and its turn when that is over.
//!
//! What must hold: tasks on one key run in the order in which they came, on the record that the one before left. So a task
//! waits where an earlier one waits: behind a read from disk with its key, and behind any write that storage has no room for.

use std::time::Duration;

use bytes::Bytes;
use storage::{Lookup, PutError, ReadError, ReadJob};
use types::{Instant, Moment};

use super::{Afterwards, Effect, Replica};
use crate::patience::NEVER;
use crate::waiting::{TOO_LATE, Waiting};

impl Replica {
    /// Runs what waited for a record, in order. From the first write on that storage has no room for, writes wait on:
    /// before those that came later, some of which may be of the same key.
    pub(super) fn run_all(
        &mut self,
        now: Moment,
        key: &Bytes,
        waiting: Vec<Waiting>,
        mut held: Option<Bytes>,
        out: &mut Vec<Effect>,
    ) {
        let mut kept = Vec::new();
        for one in waiting {
            if one.is_late(now) {
                self.refusals.late += 1;
                out.push(one.fail(TOO_LATE));
            } else if one.is_write() && (!kept.is_empty() || self.must_wait(key, one.bytes(), held.as_ref()))
            {
                kept.push((key.clone(), one));
            } else {
                match self.run(now, key, one, held.clone(), out) {
                    Afterwards::Same => {}
                    Afterwards::Holds(stored) => held = Some(stored),
                    Afterwards::Nothing => held = None,
                }
            }
        }
        self.stalled.put_back(kept);
    }

    /// Whether a write of so many bytes must be kept until storage has caught up with its background work.
    fn must_wait(&mut self, key: &Bytes, bytes: usize, held: Option<&Bytes>) -> bool {
        let at_most = key.len() + bytes + held.map_or(0, Bytes::len) + RECORD_OVERHEAD_BYTES;
        matches!(self.db.room_for(at_most), Err(PutError::Stalled { .. }))
    }

    /// Takes up the writes that were kept, as far as there is room for them.
    pub(super) fn take_up_stalled(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let mut kept = self.stalled.take();
        while let Some((key, one)) = kept.pop_front() {
            if one.is_late(now) {
                self.refusals.late += 1;
                out.push(one.fail(TOO_LATE));
            } else {
                self.with_held(now, key, one, out);
            }
            if !self.stalled.is_empty() {
                break;
            }
        }
        self.stalled.append(kept);
    }

    /// Refuses what has waited until no time is left for it, though its turn has not come.
    pub(super) fn give_up_late(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if self.give_up_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let stalled = self.stalled.give_up(now, out, &mut self.refusals);
        let emptying = self.to_empty.give_up(now, out, &mut self.refusals);
        let cold = self.cold.give_up(now, out, &mut self.refusals);
        self.give_up_at =
            stalled.into_iter().chain(emptying).chain(cold).min().map(|at| at.max(now.mono + LOOK_EVERY));
    }

    /// When that is to be done next.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        let nothing_waits = self.stalled.is_empty() && self.to_empty.is_empty() && self.cold.is_empty();
        self.give_up_at.filter(|at| *at != NEVER && !nothing_waits)
    }

    /// Runs a task on what is held of its key: at once where memory knows, else in its turn once the disk has said.
    pub(super) fn with_held(&mut self, now: Moment, key: Bytes, one: Waiting, out: &mut Vec<Effect>) {
        match self.held(&key, one.is_write().then(|| one.bytes())) {
            Ok(held) => {
                self.run(now, &key, one, held, out);
            }
            Err(why) => self.put_off(now, why, key, one, out),
        }
    }

    /// What is held of a key, for a read or for a write of so many bytes; or why that cannot be done now. Where something of it
    /// is missing that is what is left, and what may be done with it is for [`Replica::run`] to know.
    pub(super) fn held(&mut self, key: &Bytes, write_bytes: Option<usize>) -> Result<Option<Bytes>, NotNow> {
        if write_bytes.is_some() && !self.stalled.is_empty() {
            return Err(NotNow::Stalled);
        }
        if self.cold.has(key) {
            return Err(NotNow::BehindARead);
        }
        let found = match write_bytes {
            Some(_) => self.db.get_what_is_left(key, false),
            None => self.db.get_what_is_left(key, true),
        };
        let held = match found {
            Lookup::Found(record) => Some(record),
            Lookup::Absent => None,
            Lookup::Cold(job) => return Err(NotNow::Cold(Box::new(job))),
            Lookup::Unreadable(error) => return Err(NotNow::Unreadable(error)),
        };
        match write_bytes {
            Some(bytes) if self.must_wait(key, bytes, held.as_ref()) => Err(NotNow::Stalled),
            _ => Ok(held),
        }
    }

    /// Puts a task where it has to wait, or refuses it.
    pub(super) fn put_off(
        &mut self,
        now: Moment,
        why: NotNow,
        key: Bytes,
        one: Waiting,
        out: &mut Vec<Effect>,
    ) {
        self.give_up_by(&one);
        let refusals = &mut self.refusals;
        match why {
            NotNow::Stalled => out.extend(self.stalled.push(now, key, one, refusals)),
            NotNow::BehindARead => out.extend(self.cold.push(&key, one, refusals)),
            NotNow::Cold(job) => out.push(self.cold.begin(now, key, one, *job, refusals)),
            NotNow::Unreadable(error) => {
                self.unreadable(&key);
                out.push(one.fail(&error.to_string()));
            }
        }
    }

    /// This task waits: who does is looked through when it has no time left.
    pub(super) fn give_up_by(&mut self, one: &Waiting) {
        let gives_up_at = one.gives_up_at();
        self.give_up_at = Some(self.give_up_at.map_or(gives_up_at, |at| at.min(gives_up_at)));
    }
}

/// Why a task cannot be done now.
pub(super) enum NotNow {
    /// Earlier writes wait for storage, or this one has to.
    Stalled,
    /// A read from disk is under way for its key.
    BehindARead,
    /// This read is to be begun.
    Cold(Box<ReadJob>),
    /// What is held cannot be read, now or later.
    Unreadable(ReadError),
}

/// How often all that waits is looked through, at most.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a record has beside its values and what is held already: its header, and a clock entry or two.
const RECORD_OVERHEAD_BYTES: usize = 512;
