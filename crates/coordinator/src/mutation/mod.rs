//! A client's put, delete or change of expiry, at its maker: an owner, which is the coordinator itself or was passed the
//! write by it.
//!
//! 1. Where the change rests on what there is (a delete, an expiry, a put that keeps the time to live), R owners are read.
//! 2. The maker makes the record and stores it, and sends it to all other owners at once: once to each other data center, where one
//!    owner passes it on to the others ([`relays`]).
//! 3. When W distinct owners hold it as durably as the keyspace asks, the client is told; the others go on being counted.
//!
//! What must hold: *not done* is said only before step 2 has stored anything; after that a write that falls short is
//! *unknown* (INVARIANTS A5).
//!
//! An `lww` owner refuses a stamp that is not above what it holds (B6). A write that cannot reach W for that reason is
//! stamped again, above all that was refused with, under its dot and id; but never once another owner may have shown it to
//! a reader, where the keyspace promises never to go back in time: `docs/decisions/2026-11-20-stamping-again.md`.
//!
//! One that was *named* by the node that passed it on is made under that name or not at all, for another maker may make it
//! too. Where that cannot be, or it would have to be stamped again, its namer is asked to leave the name to this node, and it
//! waits: `docs/decisions/2026-11-30-named-writes.md`.
//!
//! While the partition moves, step 3 takes W of the owners that it leaves and W of those that it goes to; what becomes of a write
//! when its owners change meanwhile is in [`overtaken`].
//!
//! In reading order: this file (how far it is, and who takes what happens), [`basis`], [`making`], [`writing`] (who holds it),
//! [`counting`] and [`telling`]; then what does not go straight on: [`refusal`], [`again`], [`overtaken`] and [`ranking`].

mod again;
mod basis;
mod counting;
mod making;
mod overtaken;
mod ranking;
mod refusal;
mod relays;
mod telling;
mod writing;

use api::{Error, ExpiryChange, Found, Operation, Reply};
use bytes::Bytes;
use causality::{Context, Record};
use quorum::{Decision, Level};
use replica::{Change, Named};
use types::{Epoch, NodeId};

use self::refusal::too_few_reachable;
use self::writing::Writing;
use crate::read::{Progress, READ_ROUND, Read};
use crate::settle::Settling;
use crate::stand_ins::StandIns;
use crate::target::{Event, Target, Turn};

/// The first round of questions about the write itself; those before it were about the read that it rests on.
const FIRST_ROUND: u32 = READ_ROUND + 1;

/// A write under way.
#[derive(Debug)]
pub struct Mutation {
    ask: Ask,
    /// W and R as they were asked for; else they are the keyspace's.
    asked: (Option<Level>, Option<Level>),
    level: Level,
    /// At which the read is done that the change rests on.
    read_level: Level,
    phase: Phase,
    answered: bool,
    /// Whether readers here have been answered all the time with what was there before.
    hidden: bool,
    /// Whether readers are promised never to go back in time over it, by the state that it was made by or any since.
    promised: bool,
    /// What it was called by the node that passed it on.
    named: Option<Named>,
    naming: Naming,
    stand_ins: StandIns,
    /// For which owner this node stood in when it made the record; nothing where it was one.
    made_for: Option<NodeId>,
    /// Since when the owners were what they were when the store here was last told to make the record.
    made_by: Epoch,
}

/// Who names a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Naming {
    /// The node that passed it on.
    Theirs,
    /// The same. It has been asked to leave that to this node.
    Asked,
    /// This node.
    Ours,
}

/// What is to change, and what its answer is made of.
#[derive(Debug)]
enum Ask {
    Put { value: Bytes, context: Context, expiry: ExpiryChange, priority: u8 },
    Delete { context: Option<Context>, existed: bool },
    Expire { change: ExpiryChange, found: Found },
}

#[derive(Debug)]
enum Phase {
    /// Nothing has been asked of anyone.
    Begun,
    Reading(Box<Read>),
    /// There is nothing to change, and the client is told so once what was found is certain to stay found.
    Settling(Box<(Settling, Reply)>),
    /// Waiting for the local store.
    Making(Option<Box<Ingredients>>),
    /// The local store knows of other owners or settings, and has made nothing. It is begun anew when this operation hears of them.
    Overtaken,
    Writing(Box<Writing>),
}

/// What the record is made of, where it may have to be stamped again: the change, and what a read found that it rests on.
#[derive(Clone, Debug)]
struct Ingredients {
    change: Change,
    base: Option<Box<Record>>,
}

impl Mutation {
    /// Begins a write on a node that is an owner.
    ///
    /// # Errors
    /// It can never be done. Then nobody is asked, and nothing is stored.
    pub fn start(
        target: &Target,
        operation: Operation,
        named: Option<Named>,
        turn: &mut Turn<'_>,
    ) -> Result<Box<Mutation>, Error> {
        let keyspace = target.keyspace();
        let (ask, read, write) = match operation {
            Operation::Put { value, context, write, expiry, priority } => {
                (Ask::Put { value, context: context.unwrap_or_default(), expiry, priority }, None, write)
            }
            Operation::Delete { context, write, read } => {
                (Ask::Delete { context, existed: false }, read, write)
            }
            Operation::Expire { change, read, write } => {
                (Ask::Expire { change, found: Found::default() }, read, write)
            }
            Operation::Get { .. } => return Err(Error::Invalid("a read changes nothing".to_owned())),
        };
        let mut mutation = Box::new(Mutation {
            ask,
            asked: (write, read),
            level: write.unwrap_or(keyspace.w),
            read_level: read.unwrap_or(keyspace.r),
            phase: Phase::Begun,
            answered: false,
            hidden: false,
            promised: false,
            named,
            naming: if named.is_some() { Naming::Theirs } else { Naming::Ours },
            stand_ins: StandIns::begin(target, turn.topology, true),
            made_for: None,
            made_by: Epoch::default(),
        });
        mutation.begin(target, turn)?;
        Ok(mutation)
    }

    fn begin(&mut self, target: &Target, turn: &mut Turn<'_>) -> Result<(), Error> {
        if let Some(error) = too_few_reachable(target, &self.stand_ins, self.level, turn) {
            return Err(error);
        }
        let rests_on_a_read = !matches!(&self.ask, Ask::Put { expiry, .. } if *expiry != ExpiryChange::Keep);
        if rests_on_a_read {
            self.phase = Phase::Reading(Box::new(Read::start(target, self.read_level, None, turn)?));
        } else {
            self.make_put(target, None, turn);
        }
        Ok(())
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        if matches!(event, Event::Unnamed) {
            self.unnamed(target, turn);
            return;
        }
        match &mut self.phase {
            Phase::Reading(read) => match read.step(target, event, turn) {
                Progress::Waiting => {}
                Progress::Failed(error) => self.finish(Err(error), turn),
                Progress::Enough => match read.merged() {
                    Ok(merged) => self.has_read(target, merged, turn),
                    Err(error) => self.finish(Err(error), turn),
                },
            },
            Phase::Begun | Phase::Overtaken => {}
            Phase::Settling(settling) => match settling.0.step(&event, turn) {
                Decision::Waiting => {}
                Decision::Impossible => {
                    let error = settling.0.error();
                    self.finish(Err(error), turn);
                }
                Decision::Met => {
                    let reply = settling.1.clone();
                    self.finish(Ok(reply), turn);
                }
            },
            Phase::Making(_) => {
                if let Event::Made(made) = event {
                    self.made(target, made, turn);
                }
            }
            // All owners have answered, and nothing happens until it is told that it may be stamped again.
            Phase::Writing(_) if self.naming == Naming::Asked => {}
            Phase::Writing(_) => self.write_step(target, event, turn),
        }
    }

    /// How many distinct owners hold the write.
    pub fn acknowledged(&self) -> u8 {
        match &self.phase {
            Phase::Writing(writing) => u8::try_from(writing.holding.successes().count()).unwrap_or(u8::MAX),
            Phase::Begun | Phase::Reading(_) | Phase::Settling(_) | Phase::Making(_) | Phase::Overtaken => 0,
        }
    }

    /// For which owner this node stood in when it made the record; nothing where it was one.
    pub fn in_place_of(&self) -> Option<NodeId> {
        self.made_for
    }

    /// Whether reads here are still answered with what was there before.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }
}
