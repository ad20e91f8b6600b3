//! Collects the answers of R owners and merges them: the first half of every read, and of every write that rests on one.
//!
//! The nearest owners are asked first, only as many as the level needs; when one fails or is slow, the next ([`hedging`]).
//! An answer counts if its owner knows what it holds: *cannot say* is none (INVARIANTS C3). Those count that answer reads, and no
//! others, however the partition moves; where they change, the read is begun anew, for R answers of which some are of other owners
//! than the rest need meet no write (C1). An owner that knows of such a change before this node does is waited for until the news
//! has come.

mod hedging;

use api::{Action, Error};
use bytes::Bytes;
use causality::{Context, Record};
use quorum::{Decision, Level, Owner, Tracker};
use types::{Epoch, NodeId};
use wire::{ReplicaReply, ReplicaRequest};

use self::hedging::Hedging;
use crate::pace::RETRIES_SPENT;
use crate::stand_ins::StandIns;
use crate::target::{Event, Failure, Target, Turn};

/// The round of questions that reads are sent in. What follows a read uses others, so that a late answer to it is not
/// taken for an answer to that.
pub const READ_ROUND: u32 = 0;

/// Answers being collected.
#[derive(Debug)]
pub struct Read {
    level: Level,
    tracker: Tracker,
    /// How many owners the level allows to be asked at all.
    eligible: usize,
    /// Owners not asked yet, nearest last.
    unasked: Vec<NodeId>,
    answers: Vec<Answered>,
    problems: Vec<(NodeId, String)>,
    /// Who knows since which epoch the owners or settings are others than this read was routed by.
    ahead: Vec<(NodeId, Epoch)>,
    hedging: Hedging,
    stand_ins: StandIns,
    /// What the reader knows, where he wants nothing older.
    demanded: Option<Context>,
    /// Whether an owner has said that all of that is settled.
    is_settled: bool,
}

#[derive(Debug)]
struct Answered {
    from: NodeId,
    record: Option<Bytes>,
    synced: bool,
}

/// What R owners say together.
#[derive(Debug)]
pub struct Merged {
    /// The merge of what they hold; nothing if none holds anything.
    pub record: Option<Record>,
    /// Its canonical encoding.
    pub encoded: Option<Bytes>,
    /// Who answered with something less.
    pub behind: Vec<NodeId>,
    /// Who holds all of it, but not yet on stable storage.
    pub unsynced: Vec<NodeId>,
    /// Who holds all of it on stable storage.
    pub holders: Vec<NodeId>,
    /// Whether a stand-in was one of them that answered (INVARIANTS C4).
    pub stand_in: bool,
}

/// How the collecting stands.
#[derive(Debug)]
pub enum Progress {
    /// More answers are awaited.
    Waiting,
    /// Enough have answered.
    Enough,
    /// Too few can.
    Failed(Error),
}

impl Read {
    /// Begins: asks as many of the nearest owners as the level needs. What the reader knows is named where he wants nothing
    /// older ([`covers_demanded`](Self::covers_demanded)).
    ///
    /// # Errors
    /// The level can never be met, because there are not so many owners. Then nobody is asked.
    pub fn start(
        target: &Target,
        level: Level,
        demanded: Option<Context>,
        turn: &mut Turn<'_>,
    ) -> Result<Read, Error> {
        let stand_ins = StandIns::begin(target, turn.topology, false);
        let mut read = Read {
            level,
            tracker: stand_ins.tracker(level, target),
            eligible: 0,
            unasked: nearest_last(target, &stand_ins, turn),
            answers: Vec::new(),
            problems: Vec::new(),
            ahead: Vec::new(),
            hedging: Hedging::begin(turn.now.mono),
            stand_ins,
            demanded,
            is_settled: false,
        };
        if read.tracker.decided() == Decision::Impossible {
            return Err(read.error(target, "there are not so many owners".to_owned()));
        }
        let local_only = matches!(level, Level::LocalOne | Level::LocalQuorum);
        if local_only {
            let is_local = |node: &NodeId| target.state().data_center_of(*node) == target.local;
            read.unasked.retain(is_local);
        }
        read.eligible = read.unasked.len();
        let first = if level == Level::EachQuorum { read.unasked.len() } else { read.tracker.needed() };
        turn.pace.read_begun();
        for _ in 0..first {
            read.ask_next(target, turn);
        }
        if !read.unasked.is_empty() {
            read.probe(target, turn);
            read.look_for_late(target, turn);
        }
        Ok(read)
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) -> Progress {
        match event {
            Event::Reply { from, round: READ_ROUND, reply } => self.reply(target, from, reply, turn),
            Event::Failed { from, failure } => {
                let why = match failure {
                    Failure::NotSent => "it cannot be reached",
                    Failure::Lost => "the connection to it was lost",
                };
                if !self.stand_in_for(target, from, why, turn) {
                    self.failed(target, from, why.to_owned(), turn);
                }
            }
            Event::Timer if self.hedging.is_due(turn.now.mono) => self.look_for_late(target, turn),
            Event::Reply { .. } | Event::Made(_) | Event::Unnamed | Event::Timer => {}
        }
        self.progress(target)
    }

    /// Asks all that were not asked yet; false where every answer that there can be is in.
    pub fn widen(&mut self, target: &Target, turn: &mut Turn<'_>) -> bool {
        let more = !self.unasked.is_empty();
        self.ask_all(target, turn);
        more || self.answers.len() + self.problems.len() < self.eligible
    }

    /// The error of a read that ran out of time.
    pub fn timed_out(&self, target: &Target) -> Error {
        let waiting: Vec<&str> = self
            .tracker
            .awaited()
            .filter(|node| !self.unasked.contains(node) && !self.is_ahead(*node))
            .map(|node| target.name_of(node))
            .collect();
        let mut detail = self.problem_text(target);
        for (node, newest) in &self.ahead {
            let separator = if detail.is_empty() { "" } else { "; " };
            let name = target.name_of(*node);
            detail = format!(
                "{detail}{separator}{name}: it knows epoch {newest}, of which this node has yet to hear"
            );
        }
        if !waiting.is_empty() {
            let separator = if detail.is_empty() { "" } else { "; " };
            detail = format!("{detail}{separator}no answer in time from {}", waiting.join(", "));
        }
        self.error(target, detail)
    }

    /// The merge of all answers so far.
    pub fn merged(&self) -> Result<Merged, Error> {
        let first = self.answers.iter().find_map(|answer| answer.record.clone());
        let agree = self.answers.iter().all(|answer| answer.record == first);
        let (record, encoded) = match first {
            None => (None, None),
            Some(bytes) if agree => (Some(decode(&bytes)?), Some(bytes)),
            Some(_) => {
                let record = self.merge_all()?;
                let encoded = record.as_ref().map(Record::to_bytes);
                (record, encoded)
            }
        };
        let mut merged = Merged {
            record,
            encoded,
            behind: Vec::new(),
            unsynced: Vec::new(),
            holders: Vec::new(),
            stand_in: false,
        };
        for answer in &self.answers {
            // What a stand-in has goes to its owner; nothing is kept by it for good.
            if self.stand_ins.owner_of(answer.from).is_some() {
                merged.stand_in = true;
                continue;
            }
            let list = match (answer.record == merged.encoded, answer.synced) {
                (false, _) => &mut merged.behind,
                (true, false) => &mut merged.unsynced,
                (true, true) => &mut merged.holders,
            };
            list.push(answer.from);
        }
        Ok(merged)
    }

    /// Whether what has been collected is recent enough for a reader who knows what this one does.
    pub fn covers_demanded(&self) -> bool {
        let covers = |context: &Context| {
            self.merged().is_ok_and(|merged| context.is_covered_by(merged.record.as_ref()))
        };
        self.is_settled || self.demanded.as_ref().is_none_or(covers)
    }

    fn merge_all(&self) -> Result<Option<Record>, Error> {
        let mut merged: Option<Record> = None;
        for bytes in self.answers.iter().filter_map(|answer| answer.record.as_ref()) {
            let record = decode(bytes)?;
            merged = Some(match merged {
                None => record,
                Some(other) => other.merge(&record).map_err(|error| Error::Invalid(error.to_string()))?,
            });
        }
        Ok(merged)
    }

    fn reply(&mut self, target: &Target, from: NodeId, reply: ReplicaReply, turn: &mut Turn<'_>) {
        if self.answers.iter().any(|answer| answer.from == from) {
            return;
        }
        match reply {
            ReplicaReply::Found { record, synced } => self.answered(from, Some(record), synced, turn),
            ReplicaReply::Absent => self.answered(from, None, true, turn),
            ReplicaReply::Covering { record, synced } => {
                self.is_settled = true;
                self.answered(from, record, synced, turn);
            }
            ReplicaReply::CannotSay { why } => self.cannot_say(target, from, why, turn),
            ReplicaReply::Failed { why } => self.refused(target, from, why, turn),
            ReplicaReply::StaleEpoch { newest } if turn.awaits(newest) => self.ahead.push((from, newest)),
            ReplicaReply::StaleEpoch { newest } => {
                let why = format!("it knows epoch {newest}, and the request is of an older one");
                self.refused(target, from, why, turn);
            }
            ReplicaReply::Stored
            | ReplicaReply::Same
            | ReplicaReply::Older
            | ReplicaReply::Refused { .. }
            | ReplicaReply::Scanned(_)
            | ReplicaReply::Counted { .. }
            | ReplicaReply::Granted { .. }
            | ReplicaReply::Compared(_)
            | ReplicaReply::Settled
            | ReplicaReply::Collected(_)
            | ReplicaReply::Fetched(_)
            | ReplicaReply::Forwarded(_)
            | ReplicaReply::NotAsNamed
            | ReplicaReply::NotPassedOn { .. } => {
                self.refused(target, from, "it answered something else than what was asked".to_owned(), turn);
            }
        }
    }

    /// Asks a fallback in place of a node that cannot be reached; false where there is none.
    fn stand_in_for(&mut self, target: &Target, node: NodeId, why: &str, turn: &mut Turn<'_>) -> bool {
        if !target.is_sloppy() || self.is_known(node) {
            return false;
        }
        let Some(next) = self.stand_ins.next(target, turn.topology, node) else { return false };
        if !self.tracker.replace(node, next) {
            return false;
        }
        self.problems.push((node, why.to_owned()));
        self.eligible += 1;
        self.unasked.push(next);
        self.ask_next(target, turn);
        true
    }

    /// Whether a node has answered or failed already, or was not asked.
    fn is_known(&self, node: NodeId) -> bool {
        self.answers.iter().any(|answer| answer.from == node)
            || self.problems.iter().any(|(other, _)| *other == node)
            || self.unasked.contains(&node)
    }

    /// Whether a node has answered that the owners or settings are others by now.
    fn is_ahead(&self, node: NodeId) -> bool {
        self.ahead.iter().any(|(other, _)| *other == node)
    }

    fn answered(&mut self, from: NodeId, record: Option<Bytes>, synced: bool, turn: &mut Turn<'_>) {
        turn.pace.answered(turn.now.mono, from, turn.now.mono.since(self.hedging.asked_at(from)));
        self.tracker.succeeded(from);
        self.answers.push(Answered { from, record, synced });
        if self.hedging.is_hedge(from) && self.tracker.decided() == Decision::Met {
            turn.pace.figures.hedges_won += 1;
        }
    }

    /// A node will not answer, because it could not be asked or is gone. Another is asked in its place: who never did the
    /// work adds nothing to the load.
    fn failed(&mut self, target: &Target, from: NodeId, why: String, turn: &mut Turn<'_>) {
        if self.is_known(from) {
            return;
        }
        self.tracker.failed(from);
        self.problems.push((from, why));
        if self.is_short() {
            self.ask_next(target, turn);
        }
    }

    /// A node has answered that it will not say.
    fn refused(&mut self, target: &Target, from: NodeId, why: String, turn: &mut Turn<'_>) {
        if self.is_known(from) {
            return;
        }
        if self.stand_ins.owner_of(from).is_none() {
            turn.pace.refused(turn.now.mono, from);
        }
        self.without(target, from, why, turn);
    }

    /// A node has answered that it cannot say. Of a stand-in that was told nothing that is only to be expected.
    fn cannot_say(&mut self, target: &Target, from: NodeId, why: String, turn: &mut Turn<'_>) {
        if self.is_known(from) {
            return;
        }
        if self.stand_ins.owner_of(from).is_none() {
            turn.pace.cannot_say(turn.now.mono, from);
        }
        self.without(target, from, why, turn);
    }

    /// Goes on without a node that has answered and said nothing. Asking another in its place comes out of the budget for that
    /// (INVARIANTS J2), unless it only stands in and was told nothing.
    fn without(&mut self, target: &Target, from: NodeId, why: String, turn: &mut Turn<'_>) {
        let stands_in = self.stand_ins.owner_of(from).is_some();
        self.tracker.failed(from);
        self.problems.push((from, why));
        if !self.is_short() || self.unasked.is_empty() {
            return;
        }
        if stands_in || turn.pace.may_retry(turn.now.mono) {
            self.ask_next(target, turn);
            return;
        }
        for node in std::mem::take(&mut self.unasked) {
            self.tracker.failed(node);
            self.problems.push((node, RETRIES_SPENT.to_owned()));
        }
    }

    /// Whether fewer are under way than are still needed.
    fn is_short(&self) -> bool {
        let counted = |node: &NodeId| !self.unasked.contains(node) && !self.hedging.is_probe(*node);
        let under_way = self.tracker.awaited().filter(counted).count();
        self.tracker.got() + under_way < self.tracker.needed()
    }

    fn ask_next(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if let Some(node) = self.unasked.pop() {
            self.hedging.asked(node, turn.now.mono);
            let (keyspace, key) = (target.keyspace_id, target.key.clone());
            let request = match (self.stand_ins.owner_of(node), &self.demanded) {
                (None, Some(context)) => {
                    ReplicaRequest::ReadCovering { keyspace, key, context: Box::new(context.clone()) }
                }
                (in_place_of, _) => ReplicaRequest::Read { keyspace, key, in_place_of },
            };
            turn.send(node, READ_ROUND, request);
        }
    }

    fn ask_all(&mut self, target: &Target, turn: &mut Turn<'_>) {
        while !self.unasked.is_empty() {
            self.ask_next(target, turn);
        }
    }

    fn progress(&self, target: &Target) -> Progress {
        match self.tracker.decided() {
            Decision::Met => Progress::Enough,
            Decision::Waiting => Progress::Waiting,
            Decision::Impossible => Progress::Failed(self.error(target, self.problem_text(target))),
        }
    }

    fn error(&self, target: &Target, detail: String) -> Error {
        Error::Unavailable {
            action: Action::Read,
            level: self.level,
            needed: u8::try_from(self.tracker.needed()).unwrap_or(u8::MAX),
            got: u8::try_from(self.tracker.got()).unwrap_or(u8::MAX),
            owners: target.owner_count(),
            detail,
        }
    }

    fn problem_text(&self, target: &Target) -> String {
        let mut texts: Vec<String> =
            self.problems.iter().map(|(node, why)| format!("{}: {why}", target.name_of(*node))).collect();
        // Those that are still to say that they cannot be reached.
        let others = target.owners.iter().map(|(node, _)| *node).filter(|node| *node != target.here);
        let silent = others.filter(|node| self.problems.iter().all(|(named, _)| named != node));
        let unreachable = silent.filter(|node| !target.topology.is_reachable(*node));
        texts.extend(unreachable.map(|node| format!("cannot reach {}", target.name_of(node))));
        texts.join("; ")
    }
}

fn decode(bytes: &Bytes) -> Result<Record, Error> {
    Record::decode(bytes.clone()).map_err(|error| Error::Invalid(format!("a record cannot be read: {error}")))
}

/// The owners in the order in which to ask them, from the back: those of this data center, then others, whoever fails behind both;
/// among these those that have been quick, then slower ones; of equally quick ones this node first, and else in a rotation, so that
/// no owner is everybody's second choice.
/// Stand-ins, who know least, come after all owners that can be reached, and those that cannot come last. While the partition
/// moves, of equally quick ones those come first that are in both sets: what they hold counts in both (`Settling`).
fn nearest_last(target: &Target, stand_ins: &StandIns, turn: &Turn<'_>) -> Vec<NodeId> {
    // Where answers come from soonest, which need not be where the level counts: the maker of a write that was passed on
    // reads for a coordinator elsewhere.
    let near = target.topology.local_data_center();
    let count = target.owners.len().max(1);
    let turned = usize::try_from(turn.id.0 % count as u64).unwrap_or(0);
    let is_in_one = |owner: &Owner| !target.also_written.is_empty() && !target.also_written.contains(owner);
    let rank = |(place, owner): (usize, &Owner)| {
        let stand_in = stand_ins.of(owner.0);
        let node = stand_in.unwrap_or(owner.0);
        let here = node == target.here;
        let up = here || turn.topology.is_reachable(node);
        // What takes long here still costs nothing between the data centers; and whoever fails is looked for elsewhere.
        let nearness = (turn.pace.fails(node), owner.1 != near, turn.pace.class(node));
        let among_equals = (is_in_one(owner), !here, (place + turned) % count);
        (!up, stand_in.is_some(), nearness, among_equals, node)
    };
    let mut owners: Vec<_> = target.owners.iter().enumerate().map(rank).collect();
    owners.sort_unstable_by(|a, b| b.cmp(a));
    owners.into_iter().map(|(.., node)| node).collect()
}
