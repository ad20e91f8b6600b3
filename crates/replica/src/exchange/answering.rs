//! Answering the questions of other owners, each by itself: what they ask of a tree at once, what they ask of spans by
//! reading them.

use std::collections::BTreeMap;

use bytes::Bytes;
use merkle::{Answer, Answered, Answering, Ask, Refusal, Seed, Tree, answer};
use storage::{Db, ScanOutcome};
use types::{Epoch, PartitionId};
use wire::ReplicaReply;

use super::reading::{Reading, parsed};
use super::trees::{TreeId, Trees, entry};
use crate::replica::{Effect, Ticket};

/// How many questions are read for at once. Whoever is beyond that asks again in his next round.
const READING_MAX: usize = 16;

/// Questions that are being read for.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_token: BTreeMap<u64, Work>,
}

#[derive(Debug)]
struct Work {
    ticket: Ticket,
    id: TreeId,
    answering: Answering,
    reading: Reading,
}

impl Answers {
    /// Whether this token is of a page that is read for one of them.
    pub(crate) fn is_reading(&self, token: u64) -> bool {
        self.by_token.contains_key(&token)
    }

    /// What is read is of partitions that there are no more. Whoever asked is to be told so.
    pub(crate) fn give_up(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.by_token).into_values().map(|work| work.ticket).collect()
    }

    /// A question came. `token` is used where something must be read. True if it is answered with *the same*, without a doubt.
    pub(crate) fn ask(
        &mut self,
        (ticket, epoch, ask): (Ticket, Epoch, Ask),
        token: u64,
        trees: &mut Trees,
        db: &Db,
        out: &mut Vec<Effect>,
    ) -> bool {
        let id = TreeId { partition: ticket.partition, keyspace: ask.terms.keyspace };
        let Some(tree) = trees.get(id) else {
            reply(ticket, Answer::Refused(Refusal::Unknown), out);
            return false;
        };
        let answered = answer(epoch, id.keyspace, tree, ask);
        let is_same = matches!(answered, Answered::Send(Answer::Same { doubted: false }));
        self.take(ticket, id, answered, token, tree, db, out);
        is_same
    }

    #[allow(clippy::too_many_arguments, reason = "a question and all that it takes to answer it")]
    fn take(
        &mut self,
        ticket: Ticket,
        id: TreeId,
        mut answered: Answered,
        token: u64,
        tree: &Tree,
        db: &Db,
        out: &mut Vec<Effect>,
    ) {
        loop {
            let answering = match answered {
                Answered::Send(answer) => return reply(ticket, answer, out),
                Answered::Read(_) if self.by_token.len() >= READING_MAX => {
                    let why = format!("{READING_MAX} questions of other owners are being read for");
                    out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
                    return;
                }
                Answered::Read(answering) => answering,
            };
            let places = tree.shape().places(answering.span());
            let reading = places.map(|places| Reading::of(id.keyspace, places));
            let job = reading.as_ref().and_then(|reading| reading.job(db));
            match (reading, job) {
                (Some(reading), Some(job)) => {
                    out.push(Effect::Scan(token, job));
                    self.by_token.insert(token, Work { ticket, id, answering, reading });
                    return;
                }
                _ => answered = answering.span_done(),
            }
        }
    }

    /// A page was read. `token` is for the next. What comes back is a partition that could not be read, and is in doubt.
    pub(crate) fn page(
        &mut self,
        (read, token): (u64, u64),
        outcome: ScanOutcome,
        trees: &mut Trees,
        db: &Db,
        out: &mut Vec<Effect>,
    ) -> Option<PartitionId> {
        let mut work = self.by_token.remove(&read)?;
        let seed = trees.seed(work.id.keyspace);
        let tree = trees.get(work.id)?;
        let ScanOutcome::Page { entries, next } = outcome else {
            reply(work.ticket, Answer::Refused(Refusal::Unknown), out);
            return Some(work.id.partition);
        };
        hand_in(&mut work.answering, seed, entries);
        work.reading.go_on(next);
        if let Some(job) = work.reading.job(db) {
            out.push(Effect::Scan(token, job));
            self.by_token.insert(token, work);
        } else {
            let answered = work.answering.span_done();
            self.take(work.ticket, work.id, answered, token, tree, db, out);
        }
        None
    }
}

fn hand_in(answering: &mut Answering, seed: Seed, entries: Vec<(Bytes, Bytes)>) {
    let entries = parsed(entries);
    answering.entries(entries.iter().map(|(key, record)| entry(seed, key, record)));
}

pub(super) fn reply(ticket: Ticket, answer: Answer, out: &mut Vec<Effect>) {
    out.push(Effect::Reply(ticket, ReplicaReply::Compared(Box::new(answer))));
}
