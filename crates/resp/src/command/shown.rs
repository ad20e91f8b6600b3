//! An answer on its way out: where to write it, and what the connection remembers of it.

use api::{Found, KeyRequest, Marks, Outcome, Reply, ShownValue, Touched, Written};
use causality::Context;
use types::{KeyspaceId, OperationId};

use crate::command::Failure;
use crate::reply::Writer;
use crate::state::{Around, State};

/// What an answer is shown with.
pub struct Shown<'s> {
    /// Where the reply goes.
    pub reply: Writer<'s>,
    /// What the connection has chosen.
    pub state: &'s mut State,
    /// The world around it.
    pub around: &'s Around<'s>,
    /// The contexts that the reply shows, each with the place of its key among the command's keys. The session
    /// remembers them when the reply turns out not to be an error.
    pub seen: &'s mut Vec<(usize, Context)>,
    /// The keyspace that the command was run in.
    pub keyspace: KeyspaceId,
    /// Whether anything is to be remembered: the command was run in a keyspace that keeps siblings.
    pub remembers: bool,
}

impl Shown<'_> {
    /// A read's answer about the command's key number `index`, of which the reply shows the value: it is remembered
    /// that the client has seen it. Siblings are a failure.
    pub fn plain(&mut self, outcome: Outcome, index: usize) -> Result<Option<ShownValue>, Failure> {
        let found = self.found(outcome)?;
        self.value_of(found, index)
    }

    /// The same of a read that has been looked at.
    pub fn value_of(&mut self, mut found: Found, index: usize) -> Result<Option<ShownValue>, Failure> {
        single(&found)?;
        self.saw(index, found.context);
        Ok(found.values.pop())
    }

    /// A read's answer, of which the reply shows something else than the value: its length, or when it expires. What
    /// the client has not seen it does not replace either, so nothing is remembered.
    pub fn unseen(&mut self, outcome: Outcome) -> Result<Option<ShownValue>, Failure> {
        let mut found = self.found(outcome)?;
        single(&found)?;
        Ok(found.values.pop())
    }

    /// A read's answer, whatever it found.
    pub fn found(&mut self, outcome: Outcome) -> Result<Found, Failure> {
        let Reply::Found(found) = outcome? else {
            return Err(Failure::misplaced());
        };
        self.note(found.marks);
        Ok(found)
    }

    /// A write's answer about the command's key number `index`, remembered.
    pub fn written(&mut self, written: Written, index: usize) {
        self.note(written.marks);
        self.acknowledged(written.operation, written.acknowledged);
        self.saw(index, written.context);
    }

    /// So many owners hold a write of this connection.
    pub fn acknowledged(&mut self, operation: OperationId, owners: u8) {
        let all = self.around.status.keyspace_by_id(self.keyspace).map_or(u8::MAX, |keyspace| keyspace.n);
        self.state.writes.add(operation, owners, all);
    }

    /// A change of expiry's answer.
    pub fn touched(&mut self, outcome: Outcome) -> Result<Touched, Failure> {
        let Reply::Touched(touched) = outcome? else {
            return Err(Failure::misplaced());
        };
        self.note(touched.found.marks);
        Ok(touched)
    }

    /// The outcomes of a batch, as many as were asked.
    pub fn batch(outcome: Outcome, asked: usize) -> Result<Vec<Outcome>, Failure> {
        match outcome? {
            Reply::Batch(outcomes) if outcomes.len() == asked => Ok(outcomes),
            _ => Err(Failure::misplaced()),
        }
    }

    /// The reply carries this context of the command's key number `index`.
    pub fn saw(&mut self, index: usize, context: Context) {
        if self.remembers {
            self.seen.push((index, context));
        }
    }

    /// Counts what is weaker about an answer, where RESP's own replies have no place to say so.
    pub fn note(&self, marks: Marks) {
        if marks.stand_in {
            self.around.clients.figures().stand_in_answers.add(1);
        }
        if marks.relaxed_durability {
            self.around.clients.figures().relaxed_writes.add(1);
        }
    }
}

fn single(found: &Found) -> Result<(), Failure> {
    if found.values.len() > 1 { Err(Failure::conflict(found.values.len(), None)) } else { Ok(()) }
}

/// The keys of a batch, for errors that name one.
pub(crate) fn keys_of(requests: &[KeyRequest]) -> Vec<bytes::Bytes> {
    requests.iter().map(|request| request.key.clone()).collect()
}
