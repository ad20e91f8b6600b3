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

mod overtaken;
mod ranking;
mod refusal;
mod relays;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use api::{Deleted, Detail, Error, ExpiryChange, Found, Marks, Operation, Reply, Touched, Written};
use bytes::Bytes;
use causality::{Context, Record, Stamp};
use cluster::Durability;
use quorum::{Decision, Level};
use replica::make::Again;
use replica::{Change, Made, Make, MakeError, Named};
use types::{Epoch, NodeId};
use wire::ReplicaReply;

use self::ranking::Ranking;
use self::refusal::{NEWS_DID_NOT_COME, not_made, refusal, too_few_reachable};
use self::writing::Writing;
use crate::answer;
use crate::pace::RETRIES_SPENT;
use crate::read::{Merged, Progress, READ_ROUND, Read};
use crate::settle::{Settling, count};
use crate::stand_ins::StandIns;
use crate::target::{Event, Step, Target, Turn};

/// How often a write is stamped again before the coordinator gives up.
const STAMPINGS_MAX: u32 = 16;

/// How often of these without the budget for what is asked again. Where many write one key, one in two is outranked once, and
/// few twice. To give up there would leave *unknown* what is stored here, and its client would write it anew, which is more to do
/// than to stamp it again. So contention at most doubles what writes cost, and only beyond that it spends what others may need.
const STAMPINGS_FREE: u32 = 1;

/// Why one that was named by another node, and could not be made so, has come to nothing.
const NAME_NOT_LEFT: &str =
    "it cannot be made as it is named, and the node that named it did not leave that to this one in time";

/// A record up to this size is kept while owners have not answered, though the client has been.
const KEPT_BYTES_MAX: usize = 16 * 1024;

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

    /// The time is up: what to say, if nothing was said yet.
    pub fn timed_out(&self, target: &Target) -> Option<Error> {
        if self.answered {
            return None;
        }
        Some(match &self.phase {
            Phase::Reading(read) => read.timed_out(target),
            Phase::Settling(settling) => settling.0.error(),
            Phase::Overtaken => not_made(target, self.level, NEWS_DID_NOT_COME.to_owned()),
            Phase::Begun | Phase::Making(_) => Error::Unknown {
                level: self.level,
                needed: 1,
                got: 0,
                owners: target.owner_count(),
                detail: match self.naming {
                    Naming::Asked => NAME_NOT_LEFT.to_owned(),
                    Naming::Theirs | Naming::Ours => "this node's own disk did not answer in time".to_owned(),
                },
            },
            Phase::Writing(writing) => self.unknown(target, writing, true),
        })
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

    fn has_read(&mut self, target: &Target, merged: Merged, turn: &mut Turn<'_>) {
        let found = answer::found(target, merged.record.as_ref(), turn.now.wall, Detail::Values);
        let nothing = found.values.is_empty();
        match &mut self.ask {
            Ask::Put { .. } => self.make_put(target, merged.record, turn),
            Ask::Delete { existed, context } => {
                *existed = !nothing;
                if nothing && context.is_none() {
                    self.settle(target, &merged, Reply::Deleted(Deleted::default()), turn);
                    return;
                }
                let context = context.clone().unwrap_or(found.context);
                self.make(target, Change::Delete { context }, merged.record, turn);
            }
            Ask::Expire { change, found: before } => {
                let at = match change {
                    ExpiryChange::Keep => None,
                    ExpiryChange::Clear => Some(None),
                    ExpiryChange::At(at) => Some(Some(*at)),
                };
                let context = found.context.clone();
                let same = at.is_none_or(|at| found.values.iter().all(|value| value.expires == at));
                *before = found;
                match at {
                    Some(at) if !same => {
                        self.make(target, Change::Expire { context, at }, merged.record, turn);
                    }
                    _ => {
                        let touched = Touched { found: std::mem::take(before), changed: false };
                        self.settle(target, &merged, Reply::Touched(touched), turn);
                    }
                }
            }
        }
    }

    /// Tells the client what was found, where nothing is to be changed.
    fn settle(&mut self, target: &Target, merged: &Merged, reply: Reply, turn: &mut Turn<'_>) {
        match Settling::begin(target, self.read_level, merged, turn) {
            None => self.finish(Ok(reply), turn),
            Some(settling) => self.phase = Phase::Settling(Box::new((settling, reply))),
        }
    }

    fn make_put(&mut self, target: &Target, base: Option<Record>, turn: &mut Turn<'_>) {
        let Ask::Put { value, context, expiry, priority } = &self.ask else {
            return;
        };
        // What was asked is kept: the store may know by now that it is another node's to make.
        let change = Change::Put {
            value: value.clone(),
            context: context.clone(),
            expiry: *expiry,
            priority: *priority,
        };
        self.make(target, change, base, turn);
    }

    fn make(&mut self, target: &Target, change: Change, base: Option<Record>, turn: &mut Turn<'_>) {
        let base = base.map(Box::new);
        let has_others = target.written().nth(1).is_some();
        let may_stamp_again = has_others
            && !target.keyspace().policy.keeps_siblings()
            && !matches!(change, Change::Expire { .. });
        self.promised = self.readers_never_go_back(target);
        self.hidden = may_stamp_again && self.needs_others(target) && self.promised;
        let may_make_again = may_stamp_again || self.named.is_some();
        let kept =
            may_make_again.then(|| Box::new(Ingredients { change: change.clone(), base: base.clone() }));
        self.phase = Phase::Making(kept);
        self.made_for = self.stand_ins.owner_of(target.here);
        let make = self.make_of(target, Ingredients { change, base }, None, turn);
        turn.steps.push(Step::Make(FIRST_ROUND, Box::new(make)));
    }

    /// Whether this node alone is too few for the level, in one set of owners or the other.
    fn needs_others(&self, target: &Target) -> bool {
        let mut alone = self.stand_ins.joint(self.level, target);
        alone.succeeded(target.here);
        alone.decided() != Decision::Met
    }

    /// Whether any of the keyspace's readers are promised never to go back in time over this write. It is their R that
    /// counts, not that of the read which the change rests on.
    fn readers_never_go_back(&self, target: &Target) -> bool {
        target.never_goes_back_for_anybody(target.keyspace().r, self.level)
    }

    fn make_of(
        &mut self,
        target: &Target,
        Ingredients { change, base }: Ingredients,
        again: Option<Again>,
        turn: &Turn<'_>,
    ) -> Make {
        self.made_by = target.since();
        Make {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            operation: turn.id,
            change,
            base,
            named: self.named,
            again,
            hide: self.hidden,
            in_place_of: self.made_for,
        }
    }

    fn made(&mut self, target: &Target, made: Result<Made, MakeError>, turn: &mut Turn<'_>) {
        let made = match made {
            Ok(made) => made,
            Err(MakeError::NotAsNamed) if self.naming == Naming::Theirs => {
                self.ask_for_the_name(turn);
                return;
            }
            Err(MakeError::Stale { .. }) => {
                self.not_made_of_late(target, turn);
                return;
            }
            Err(MakeError::Gone) => {
                self.finish(Ok(Reply::Touched(Touched::default())), turn);
                return;
            }
            Err(error) => {
                let error = refusal(target, error, self.level);
                self.finish(Err(error), turn);
                return;
            }
        };
        let Phase::Making(ingredients) = std::mem::replace(&mut self.phase, Phase::Begun) else {
            return;
        };
        let mut writing = Writing {
            ingredients,
            round: FIRST_ROUND,
            dot: made.dot,
            made,
            is_sent: false,
            holding: self.stand_ins.joint(self.level, target),
            refused: BTreeSet::new(),
            refused_with: Stamp::default(),
            ranking: Ranking::default(),
            may_have_it: BTreeSet::new(),
            ahead: Vec::new(),
            asked_before: BTreeMap::new(),
            awaits_news: false,
            passing: Vec::new(),
            problems: Vec::new(),
        };
        if turn.is_dropped(target) {
            self.phase = Phase::Writing(Box::new(writing));
            self.is_dropped(target, turn);
            return;
        }
        writing.send_to_others(target, &self.stand_ins, turn);
        self.phase = Phase::Writing(Box::new(writing));
    }

    fn write_step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        match event {
            Event::Made(Ok(made)) => {
                writing.made = made;
                writing.send_to_others(target, &self.stand_ins, turn);
                return;
            }
            Event::Made(Err(MakeError::Stale { .. }))
                if target.since() > self.made_by || turn.is_told_of_news =>
            {
                writing.awaits_news = true;
                self.make_again_by_the_news(target, turn);
                return;
            }
            Event::Made(Err(error)) => {
                // An earlier round has stored the write here, and this one has been sent to nobody.
                writing.holding.failed(target.here);
                let why =
                    format!("a concurrent write outranks it, and it could not be stamped again: {error}");
                writing.problems.push((target.here, why));
                let error = self.unknown_of(target);
                self.finish(Err(error), turn);
                return;
            }
            Event::Reply { from, round, reply: ReplicaReply::NotPassedOn { to } } => {
                if round == writing.round {
                    writing.not_passed_on(from, to, target, &self.stand_ins, turn);
                }
                return;
            }
            Event::Reply { from, round, reply } if round == writing.round => {
                // Once the client is answered nobody is asked again.
                let awaits = |newest| !self.answered && turn.awaits(newest);
                let is_to_be_asked = writing.reply(from, reply, target, awaits);
                if is_to_be_asked && self.answered {
                    writing.holding.failed(from);
                } else if is_to_be_asked {
                    writing.ask(&[from], target, &self.stand_ins, turn);
                }
            }
            Event::Failed { from, failure } => {
                writing.peer_failed(target, from, failure, &mut self.stand_ins, turn);
                writing.relay_failed(from, failure, target, &self.stand_ins, turn);
            }
            Event::Timer => {
                writing.look_for_late_relays(target, &self.stand_ins, turn);
                return;
            }
            Event::Reply { .. } | Event::Unnamed => return,
        }
        if self.hidden && writing.is_held_elsewhere(target) {
            self.hidden = false;
            turn.steps.push(Step::Show);
        }
        self.consider(target, turn);
    }

    fn consider(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        writing.send_on(target, &self.stand_ins, turn);
        match writing.holding.decided() {
            Decision::Met if !self.answered => {
                self.answered = true;
                // Where the owners changed, this node may have come to suffice alone. What is acknowledged is shown.
                if std::mem::take(&mut self.hidden) {
                    turn.steps.push(Step::Show);
                }
                let reply = self.reply(target, turn);
                turn.answer(Ok(reply));
                self.let_go(target);
            }
            Decision::Impossible if !self.answered => {
                if writing.merge_where_refused(target, &self.stand_ins, turn) {
                    return;
                }
                if writing.refused.is_empty() {
                    let error = self.unknown_of(target);
                    self.finish(Err(error), turn);
                    return;
                }
                if writing.is_all_answered() {
                    self.stamp_again(target, turn);
                    return;
                }
            }
            Decision::Met | Decision::Impossible | Decision::Waiting => {}
        }
        let Phase::Writing(writing) = &self.phase else {
            return;
        };
        if self.answered && writing.holding.all_answered() {
            self.end(turn);
        }
    }

    /// W cannot be reached because owners hold greater stamps.
    fn stamp_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let is_maker = self.is_still_maker(target);
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        // What was not hidden from the first may have been seen here, though nobody else has it.
        let seen_by_none = self.hidden && writing.may_have_it.is_empty();
        let may = writing.round < FIRST_ROUND + STAMPINGS_MAX && (!self.promised || seen_by_none);
        // All owners are sent it once more: but for the first time, that comes out of the budget for what is asked again
        // (INVARIANTS J2).
        let is_free = writing.round < FIRST_ROUND + STAMPINGS_FREE;
        let within_budget = may && (is_free || turn.pace.may_retry(turn.now.mono));
        if may && !within_budget {
            writing.problems.push((target.here, RETRIES_SPENT.to_owned()));
        }
        let can = is_maker && writing.dot.is_some() && writing.ingredients.is_some();
        if !within_budget || !can {
            let error = self.unknown_of(target);
            self.finish(Err(error), turn);
        } else if self.naming == Naming::Theirs {
            self.ask_for_the_name(turn);
        } else {
            self.make_again(target, turn);
        }
    }

    /// Asks the node that named the write to leave that to this one, for it cannot be made under the name, or not be done.
    fn ask_for_the_name(&mut self, turn: &mut Turn<'_>) {
        self.naming = Naming::Asked;
        turn.steps.push(Step::NotAsNamed);
    }

    /// Whether it waits for an answer to that.
    pub fn asks_for_the_name(&self) -> bool {
        self.naming == Naming::Asked
    }

    /// No other maker has been asked to make the write, or will be. Where it was not made here it gets a name of this node's
    /// own; where it was, it keeps its dot.
    fn unnamed(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if self.naming != Naming::Asked {
            return;
        }
        self.naming = Naming::Ours;
        match &self.phase {
            // What is named is a put that rests on nothing.
            Phase::Making(_) => {
                self.named = None;
                self.make_put(target, None, turn);
            }
            Phase::Writing(_) if self.is_still_maker(target) => self.make_again(target, turn),
            Phase::Writing(_) => {
                let error = self.unknown_of(target);
                self.finish(Err(error), turn);
            }
            Phase::Begun | Phase::Reading(_) | Phase::Settling(_) | Phase::Overtaken => {}
        }
    }

    /// Makes the write once more, above all that it was refused with.
    fn make_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        let (Some(dot), Some(ingredients)) = (writing.dot, writing.ingredients.clone()) else {
            return;
        };
        let again = Again { dot, above: writing.refused_with };
        writing.round += 1;
        writing.is_sent = false;
        writing.holding = self.stand_ins.joint(self.level, target);
        writing.refused.clear();
        writing.ranking.begin_anew();
        writing.ahead.clear();
        writing.asked_before.clear();
        writing.awaits_news = false;
        writing.passing.clear();
        writing.problems.clear();
        let round = writing.round;
        let make = self.make_of(target, *ingredients, Some(again), turn);
        turn.steps.push(Step::Make(round, Box::new(make)));
    }

    /// The client has been answered: what the record was made of is not needed any more. Nor is the record, unless it is small
    /// and a fallback may still have to keep it for an owner that turns out not to be reachable, or somebody behind a relay may
    /// have to be sent it directly.
    fn let_go(&mut self, target: &Target) {
        if let Ask::Put { value, context, .. } = &mut self.ask {
            (*value, *context) = (Bytes::new(), Context::default());
        }
        if let Phase::Writing(writing) = &mut self.phase {
            writing.ingredients = None;
            let may_be_sent = target.is_sloppy() || writing.waits_for_relays();
            if !may_be_sent || writing.made.record.len() > KEPT_BYTES_MAX {
                writing.made.record = Bytes::new();
            }
        }
    }

    fn reply(&mut self, target: &Target, turn: &Turn<'_>) -> Reply {
        let Phase::Writing(writing) = &self.phase else { unreachable!("a reply is made while writing") };
        let relaxed = target.keyspace().durability == Durability::Interval;
        let written = Written {
            context: writing.made.context.clone(),
            operation: turn.id,
            acknowledged: self.acknowledged(),
            marks: Marks { stand_in: self.counts_stand_ins(writing), relaxed_durability: relaxed },
        };
        match &mut self.ask {
            Ask::Put { .. } => Reply::Written(written),
            Ask::Delete { existed, .. } => Reply::Deleted(Deleted { existed: *existed, written }),
            Ask::Expire { change, found } => {
                let mut found = std::mem::take(found);
                let at = if let ExpiryChange::At(at) = change { Some(*at) } else { None };
                found.values.iter_mut().for_each(|value| value.expires = at);
                Reply::Touched(Touched { found, changed: true })
            }
        }
    }

    /// Whether a stand-in is one of those that hold the write (INVARIANTS C4).
    fn counts_stand_ins(&self, writing: &Writing) -> bool {
        writing.holding.successes().any(|node| self.stand_ins.owner_of(node).is_some())
    }

    fn unknown_of(&self, target: &Target) -> Error {
        let Phase::Writing(writing) = &self.phase else { unreachable!("only a write under way is unknown") };
        self.unknown(target, writing, false)
    }

    fn unknown(&self, target: &Target, writing: &Writing, waiting: bool) -> Error {
        let mut parts: Vec<String> =
            writing.problems.iter().map(|(node, why)| format!("{}: {why}", target.name_of(*node))).collect();
        if !writing.refused.is_empty() {
            let names: Vec<&str> = writing.refused.iter().map(|node| target.name_of(*node)).collect();
            parts.push(format!("a concurrent write outranks it on {}", names.join(", ")));
        }
        if waiting && self.naming == Naming::Asked {
            parts.push(NAME_NOT_LEFT.to_owned());
        } else if waiting {
            parts.extend(writing.silent(target));
        }
        parts.extend(writing.in_each_set(target));
        let short = writing.holding.short();
        Error::Unknown {
            level: self.level,
            needed: count(short.needed()),
            got: count(short.got()),
            owners: count(short.counted()),
            detail: parts.join("; "),
        }
    }

    fn finish(&mut self, outcome: api::Outcome, turn: &mut Turn<'_>) {
        if !self.answered {
            self.answered = true;
            turn.answer(outcome);
        }
        self.end(turn);
    }

    fn end(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.hidden) {
            turn.steps.push(Step::Show);
        }
        turn.steps.push(Step::End);
    }
}
