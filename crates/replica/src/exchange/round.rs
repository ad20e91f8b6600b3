//! One round with one other owner: a walk over both trees, and the mending of what it finds.

use std::collections::BTreeMap;

use merkle::{Asker, Difference, End, Refusal, Seed, Step, Tree};
use storage::{Db, ScanOutcome};
use types::{Epoch, Instant, NodeId};
use wire::{ReplicaReply, ReplicaRequest};

use super::mending::{Asked, Mended, Mending, Question, Settled};
use super::reading::{Reading, parsed};
use super::trees::{TreeId, entry};

/// The most differences that one round mends. There may be more; the next round finds them.
const FOUND_MAX: usize = 4096;

/// A round under way.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) id: TreeId,
    pub(crate) peer: NodeId,
    pub(crate) began: Instant,
    walk: Asker,
    phase: Phase,
    found: Vec<Difference>,
    found_in_all: u64,
    /// Whether differences were found that are not mended in this round.
    more: bool,
    mending: Mending,
    /// What was asked of the peer, or of this node itself, by the number of the question.
    asked: BTreeMap<u64, (Awaited, NodeId, Instant)>,
    /// Nothing more is to be asked before.
    rest_until: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Awaited {
    Answer,
    Mending(Asked),
}

#[derive(Debug)]
enum Phase {
    Asking,
    Reading(Reading),
    Walked(End),
}

/// What is to be done for a round.
#[derive(Debug)]
pub(crate) enum Todo {
    /// Ask this, under a number of its own, and tell it by [`Round::asked`].
    Ask(Awaiting, NodeId, ReplicaRequest),
    /// Read this page.
    Scan(storage::ScanJob),
}

/// What a question is for; opaque to who sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaiting(Awaited);

/// How a round ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Whether all that either had is with both now.
    pub(crate) complete: bool,
    /// Keys that were found to differ.
    pub(crate) found: u64,
    /// Keys that differ still, as far as is known.
    pub(crate) left: u64,
    /// What was moved.
    pub(crate) mended: Mended,
}

impl Round {
    /// Begins one; nothing where there is no tree to begin from.
    pub(crate) fn begin(
        now: Instant,
        (epoch, here, peer): (Epoch, NodeId, NodeId),
        (id, seed): (TreeId, Seed),
        tree: &mut Tree,
        out: &mut Vec<Todo>,
    ) -> Option<Round> {
        let (walk, first) = Asker::begin(epoch, id.keyspace, tree)?;
        out.push(Todo::Ask(Awaiting(Awaited::Answer), peer, ReplicaRequest::Compare(Box::new(first))));
        Some(Round {
            id,
            peer,
            began: now,
            walk,
            phase: Phase::Asking,
            found: Vec::new(),
            found_in_all: 0,
            more: false,
            mending: Mending::new((here, peer), (id.keyspace, seed)),
            asked: BTreeMap::new(),
            rest_until: now,
        })
    }

    /// A question was sent under this number.
    pub(crate) fn asked(&mut self, number: u64, what: Awaiting, to: NodeId, until: Instant) {
        self.asked.insert(number, (what.0, to, until));
    }

    /// Records that the other one has no use for any more.
    pub(crate) fn take_settled(&mut self) -> Vec<Settled> {
        self.mending.take_settled()
    }

    /// Keys that are known to differ and are not mended yet.
    pub(crate) fn left(&self) -> usize {
        self.mending.left()
    }

    /// Questions that were not answered in time.
    pub(crate) fn late(&self, now: Instant) -> Vec<u64> {
        self.asked.iter().filter(|(_, (_, _, until))| *until <= now).map(|(number, _)| *number).collect()
    }

    /// When [`late`](Self::late) or [`go_on`](Self::go_on) has something to say.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let patience = self.asked.values().map(|(_, _, until)| *until).min();
        let mend = (self.mending.left() > 0).then_some(self.rest_until);
        patience.into_iter().chain(mend.filter(|_| self.asked.is_empty())).min()
    }

    /// A reply, or that there will be none; then from nobody. Returns how many bytes were fetched.
    pub(crate) fn replied(
        &mut self,
        now: Instant,
        (from, number): (Option<NodeId>, u64),
        reply: Option<ReplicaReply>,
        tree: &mut Tree,
        db: &Db,
        out: &mut Vec<Todo>,
    ) -> usize {
        if self.asked.get(&number).is_none_or(|(_, to, _)| from.is_some_and(|from| from != *to)) {
            return 0;
        }
        let Some((what, _, _)) = self.asked.remove(&number) else { return 0 };
        match (what, reply) {
            (Awaited::Mending(asked), reply) => {
                let mut questions = Vec::new();
                let fetched = self.mending.replied(asked, reply, &mut questions);
                send(questions, out);
                if self.mending.is_put_off() {
                    self.rest_until = now + super::REST;
                }
                fetched
            }
            (Awaited::Answer, Some(ReplicaReply::Compared(answer))) => {
                let step = self.walk.answered(tree, *answer, &mut self.found);
                self.take(step, tree, db, out);
                0
            }
            (Awaited::Answer, _) => {
                self.phase = Phase::Walked(End::Nonsense("it did not answer"));
                0
            }
        }
    }

    /// A page of a span was read. Where it could not be, the round is over, and it is for the caller to doubt the tree.
    pub(crate) fn page(
        &mut self,
        outcome: ScanOutcome,
        seed: Seed,
        tree: &mut Tree,
        db: &Db,
        out: &mut Vec<Todo>,
    ) {
        let Phase::Reading(reading) = &mut self.phase else { return };
        let ScanOutcome::Page { entries, next } = outcome else {
            self.phase = Phase::Walked(End::Unknown);
            return;
        };
        let entries = parsed(entries);
        self.walk.entries(entries.iter().map(|(key, record)| entry(seed, key, record)), &mut self.found);
        reading.go_on(next);
        match reading.job(db) {
            Some(job) => out.push(Todo::Scan(job)),
            None => {
                let step = self.walk.span_done(&mut self.found);
                self.take(step, tree, db, out);
            }
        }
    }

    fn take(&mut self, mut step: Step, tree: &mut Tree, db: &Db, out: &mut Vec<Todo>) {
        loop {
            self.take_found();
            step = match step {
                Step::Ask(ask) => {
                    self.phase = Phase::Asking;
                    let request = ReplicaRequest::Compare(Box::new(ask));
                    out.push(Todo::Ask(Awaiting(Awaited::Answer), self.peer, request));
                    return;
                }
                Step::Over(end) => {
                    self.phase = Phase::Walked(end);
                    return;
                }
                Step::Read(span) => {
                    let places = tree.shape().places(span);
                    let reading = places.map(|places| Reading::of(self.id.keyspace, places));
                    let job = reading.as_ref().and_then(|reading| reading.job(db));
                    match (reading, job) {
                        (Some(reading), Some(job)) => {
                            self.phase = Phase::Reading(reading);
                            out.push(Todo::Scan(job));
                            return;
                        }
                        _ => self.walk.span_done(&mut self.found),
                    }
                }
            };
        }
    }

    fn take_found(&mut self) {
        self.found_in_all += self.found.len() as u64;
        let room = FOUND_MAX.saturating_sub(self.mending.left());
        self.more |= self.found.len() > room;
        self.found.truncate(room);
        self.mending.add(self.found.drain(..));
    }

    /// Goes on with the mending, and says how the round ended if it has. `fetchable` is how many bytes may be fetched.
    pub(crate) fn go_on(
        &mut self,
        now: Instant,
        belongs: impl Fn(&[u8]) -> bool,
        fetchable: &mut usize,
        grant: impl FnOnce() -> u32,
        out: &mut Vec<Todo>,
    ) -> Option<Ended> {
        if self.rest_until <= now && self.mending.left() > 0 {
            if *fetchable == 0 && self.mending.wants_to_fetch() {
                *fetchable = grant() as usize;
            }
            let mut questions = Vec::new();
            self.mending.go_on(belongs, *fetchable, &mut questions);
            if questions.is_empty() && self.asked.is_empty() {
                self.rest_until = now + super::REST;
            }
            send(questions, out);
        }
        let Phase::Walked(end) = self.phase else { return None };
        let over = self.mending.left() == 0 && self.asked.is_empty() && out.is_empty();
        over.then(|| self.ended(end))
    }

    /// The peer cannot be reached any more.
    pub(crate) fn given_up(&self) -> Ended {
        self.ended(End::Nonsense("it cannot be reached"))
    }

    fn ended(&self, end: End) -> Ended {
        let mended = self.mending.mended();
        // What was handed over is with all owners: with this one too, or with those that he is compared with as well.
        let compared = matches!(end, End::Same | End::Compared | End::Refused(Refusal::HandedOver));
        let left = mended.failed + self.mending.left() as u64 + u64::from(self.more);
        Ended { complete: compared && left == 0, found: self.found_in_all, left, mended }
    }
}

fn send(questions: Vec<Question>, out: &mut Vec<Todo>) {
    let todo = |question: Question| {
        Todo::Ask(Awaiting(Awaited::Mending(question.of)), question.to, question.request)
    };
    out.extend(questions.into_iter().map(todo));
}
