//! The book of keys that hold one value, and what may be read of them.
//!
//! Every answer that names a version says its rank, (stamp, dot), in its context; the record is the version of the
//! greatest rank. So the rules are about ranks: a read that began after an acknowledgement returns that rank or a greater
//! one (INVARIANTS C1); where R and W are majorities, also after another read returned it (C2), and a write that began
//! afterwards is above it (B6). One rank shows one value, and who never goes back sees a value at one rank. A value whose
//! write failed for certain is never shown (A5).
//!
//! What shows nothing, a delete or a value that has ended, may be dropped when all owners have it (D1). From then on
//! nothing at all may be read in its place, without a rank; and what is written is above it all the same.

use std::collections::BTreeMap;

use api::Found;
use bytes::Bytes;
use causality::{Context, Dot, Stamp};

/// The place of a version among all that a key ever had; nothing was written yet, if none.
pub type Rank = Option<(Stamp, Dot)>;

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nobody has said.
    Open,
    /// It is done.
    Done,
    /// It is not, and never will be.
    NotDone,
}

#[derive(Clone, Debug)]
struct Put {
    fate: Fate,
    seen: bool,
    /// At which rank those saw it who never go back.
    rank: Rank,
    /// Until when it lives, in milliseconds of wall time.
    expires: Option<u64>,
}

/// The greatest rank that at least so many owners hold, by that number.
pub type Floors = [Rank; OWNERS_MAX + 1];

/// The most owners that a key of a simulated cluster has.
pub const OWNERS_MAX: usize = 5;

/// What the levels of a read promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadPromise {
    /// It meets whatever at least so many owners hold: N - R + 1.
    pub meets: usize,
    /// What it returned, so many owners hold from then on; where R and W are majorities.
    pub leaves: Option<usize>,
}

/// What the levels of a write promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WritePromise {
    /// So many owners hold it: W.
    pub leaves: usize,
    /// It outranks whatever at least so many owners held when it began; where R and W are majorities.
    pub outranks: Option<usize>,
}

/// One key.
#[derive(Debug, Default)]
pub struct Register {
    puts: BTreeMap<Bytes, Put>,
    /// What each rank showed; nothing for a delete.
    shown: BTreeMap<(Stamp, Dot), Option<Bytes>>,
    /// What owners hold for certain.
    floors: Floors,
    deletes: u64,
    /// Of those, whose end nobody knows.
    open_deletes: u64,
    expiries_changed: bool,
    /// Raised whenever floors are forgotten.
    era: u64,
}

/// What was known when an operation began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    floors: Floors,
    era: u64,
}

impl Register {
    /// An operation begins.
    pub fn begin(&self) -> Begun {
        Begun { floors: self.floors, era: self.era }
    }

    /// A write of this value begins.
    pub fn put_begins(&mut self, value: Bytes, expires: Option<u64>) {
        self.puts.insert(value, Put { fate: Fate::Open, seen: false, rank: None, expires });
    }

    /// A delete begins.
    pub fn delete_begins(&mut self) {
        self.deletes += 1;
        self.open_deletes += 1;
    }

    /// A delete was refused for certain.
    pub fn delete_failed(&mut self) {
        self.open_deletes -= 1;
    }

    /// A change of expiry begins: from now on nobody can say when a value ends.
    pub fn expiry_change_begins(&mut self) {
        self.expiries_changed = true;
    }

    /// Whether something that at least so many owners hold is there, and nothing was ever meant to end it.
    pub fn is_certain_to_live(&self, meets: usize) -> bool {
        floor(&self.floors, meets).is_some()
            && self.deletes == 0
            && !self.expiries_changed
            && self.puts.values().all(|put| put.expires.is_none())
    }

    /// Whether anyone ever tried to write it.
    pub fn was_ever_put(&self) -> bool {
        !self.puts.is_empty()
    }

    /// A write was refused for certain.
    ///
    /// # Errors
    /// If its value was read.
    pub fn put_failed(&mut self, value: &Bytes) -> Result<(), String> {
        let Some(put) = self.puts.get_mut(value) else {
            return Ok(());
        };
        put.fate = Fate::NotDone;
        if put.seen { Err(format!("{} was read, and its write was not done", shown(value))) } else { Ok(()) }
    }

    /// A write (a delete, if there is no value) was acknowledged.
    ///
    /// # Errors
    /// If it does not outrank what was acknowledged or read before it began.
    pub fn written(
        &mut self,
        begun: Begun,
        value: Option<&Bytes>,
        context: &Context,
        promise: WritePromise,
    ) -> Result<(), String> {
        let rank = rank_of(context).ok_or("an acknowledged write has no stamp in its context")?;
        if let Some(put) = value.and_then(|value| self.puts.get_mut(value)) {
            put.fate = Fate::Done;
        }
        self.open_deletes -= u64::from(value.is_none());
        if begun.era != self.era {
            return self.shows(rank, value);
        }
        let floor = promise.outranks.and_then(|held_by| floor(&begun.floors, held_by));
        if Some(rank) <= floor {
            return Err(format!("the write got {rank:?}, and {floor:?} was there before it began"));
        }
        self.raise(promise.leaves, Some(rank));
        if let Some(value) = value.filter(|_| promise.outranks.is_some()) {
            self.keeps_its_rank(rank, value)?;
        }
        self.shows(rank, value)
    }

    /// A read was answered. `wall` is the coordinator's wall time in milliseconds, when the read began and when it had
    /// ended; nothing where its clock jumps. `latest` is the latest that any clock has ever shown.
    ///
    /// # Errors
    /// If what was found may not have been.
    pub fn read(
        &mut self,
        begun: Begun,
        found: &Found,
        promise: ReadPromise,
        wall: Option<(u64, u64)>,
        latest: u64,
    ) -> Result<(), String> {
        let rank = rank_of(&found.context);
        if found.values.len() > 1 {
            return Err(format!("{} values of a key that holds one", found.values.len()));
        }
        if begun.era == self.era {
            let floor = floor(&begun.floors, promise.meets);
            if rank < floor && !self.may_be_dropped(rank, floor, latest) {
                return Err(format!("{rank:?} was read, and {floor:?} was there before the read began"));
            }
            if let Some(leaves) = promise.leaves {
                self.raise(leaves, rank);
            }
        }
        match (rank, found.values.first()) {
            (None, None) => Ok(()),
            (None, Some(value)) => Err(format!("{} was read without a context", shown(&value.value))),
            (Some(rank), Some(value)) => {
                self.saw(&value.value, value.expires.map(|at| at.0), wall)?;
                if promise.leaves.is_some() {
                    self.keeps_its_rank(rank, &value.value)?;
                }
                self.shows(rank, Some(&value.value))
            }
            (Some(rank), None) => self.shows_nothing(rank, wall),
        }
    }

    /// Whether this is what must be left in the end, when every owner was asked.
    ///
    /// # Errors
    /// If an acknowledged write is lost.
    pub fn check_last(&self, found: &Found, latest: u64) -> Result<(), String> {
        let rank = rank_of(&found.context);
        let floor = floor(&self.floors, 1);
        if rank < floor && !self.may_be_dropped(rank, floor, latest) {
            return Err(format!("{rank:?} is left, and {floor:?} was acknowledged"));
        }
        Ok(())
    }

    /// Whether nothing was read because what was there, or came to be there later, showed nothing by that time, and was
    /// dropped.
    pub fn may_be_dropped(&self, read: Rank, there: Rank, latest: u64) -> bool {
        let Some(there) = there.filter(|_| read.is_none()) else { return read.is_none() };
        let ended = Some((latest, latest));
        let has_ended =
            |put: &Put| self.expiries_changed || put.expires.is_some_and(|expires| expires <= latest);
        let may_be_later = |put: &Put| put.fate == Fate::Open && has_ended(put);
        let later = self.shown.range(there..).map(|(rank, _)| *rank);
        self.open_deletes > 0
            || self.puts.values().any(may_be_later)
            || later.into_iter().any(|rank| self.shows_nothing(rank, ended).is_ok())
            || self.shows_nothing(there, ended).is_ok()
    }

    /// A machine lost power: relaxed writes may be gone.
    pub fn forget(&mut self) {
        self.floors = Floors::default();
        self.era += 1;
    }

    fn raise(&mut self, holders: usize, rank: Rank) {
        let floor = &mut self.floors[holders.min(OWNERS_MAX)];
        *floor = (*floor).max(rank);
    }

    fn saw(&mut self, value: &Bytes, expires: Option<u64>, wall: Option<(u64, u64)>) -> Result<(), String> {
        let Some(put) = self.puts.get_mut(value) else {
            return Err(format!("{} was read and never written", shown(value)));
        };
        put.seen = true;
        if put.fate == Fate::NotDone {
            return Err(format!("{} was read, and its write was not done", shown(value)));
        }
        if !self.expiries_changed {
            if put.expires != expires {
                return Err(format!(
                    "{} ends at {expires:?} and was to end at {:?}",
                    shown(value),
                    put.expires
                ));
            }
            if let (Some(expires), Some((began, _))) = (expires, wall)
                && expires <= began
            {
                return Err(format!("{} was read at {began} and ended at {expires}", shown(value)));
            }
        }
        Ok(())
    }

    /// A value that was seen is not stamped again: else it would be seen, outranked, and seen once more.
    fn keeps_its_rank(&mut self, rank: (Stamp, Dot), value: &Bytes) -> Result<(), String> {
        let Some(put) = self.puts.get_mut(value) else {
            return Ok(());
        };
        match put.rank.replace(rank) {
            Some(before) if before != rank => {
                Err(format!("{} was seen at {before:?}, and is at {rank:?} now", shown(value)))
            }
            _ => Ok(()),
        }
    }

    fn shows(&mut self, rank: (Stamp, Dot), value: Option<&Bytes>) -> Result<(), String> {
        let before = self.shown.entry(rank).or_insert_with(|| value.cloned());
        if before.as_ref() == value {
            return Ok(());
        }
        Err(format!("{rank:?} showed {:?} and shows {:?}", before.as_ref().map(shown), value.map(shown)))
    }

    fn shows_nothing(&self, rank: (Stamp, Dot), wall: Option<(u64, u64)>) -> Result<(), String> {
        let Some(Some(value)) = self.shown.get(&rank) else {
            if self.deletes == 0
                && !self.expiries_changed
                && self.puts.values().all(|put| put.expires.is_none())
            {
                return Err(format!("{rank:?} shows nothing, and nothing was ever to end"));
            }
            return Ok(());
        };
        let expires = self.puts.get(value).and_then(|put| put.expires);
        let may_have_ended = match (expires, wall) {
            _ if self.expiries_changed => true,
            (Some(_), None) => true,
            (Some(expires), Some((_, ended))) => expires <= ended,
            (None, _) => false,
        };
        if may_have_ended {
            Ok(())
        } else {
            Err(format!("{rank:?} shows nothing, and showed {}", shown(value)))
        }
    }
}

/// The greatest rank that at least so many owners hold.
fn floor(floors: &Floors, held_by: usize) -> Rank {
    floors.iter().skip(held_by).copied().max().flatten()
}

/// The rank that a context names.
pub fn rank_of(context: &Context) -> Rank {
    match context {
        Context::Stamp { stamp, dot } => Some((*stamp, *dot)),
        Context::Empty | Context::Causal(_) => None,
    }
}

fn shown(value: &Bytes) -> String {
    let short = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    short.escape_ascii().to_string()
}
