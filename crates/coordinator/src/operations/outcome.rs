//! How answers find their way back: to a client, to a peer, into a batch, or to those who wait for acknowledgements.

use api::{Outcome, Reply};
use types::OperationId;

use super::{Effect, Machine, Operations, Origin, PAST_MAX};

impl Operations {
    /// Answers whoever waits for an operation.
    pub(super) fn answer(&mut self, id: OperationId, outcome: Outcome, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        let Some(origin) = operation.origin.take() else {
            return;
        };
        self.unanswered -= 1;
        self.answer_to(origin, outcome, out);
    }

    pub(super) fn answer_to(&mut self, origin: Origin, outcome: Outcome, out: &mut Vec<Effect>) {
        match origin {
            Origin::Client(client) => out.push(Effect::Answer(client, outcome)),
            Origin::Peer(ticket) => out.push(Effect::Forwarded(ticket, outcome)),
            Origin::Batch(batch, place) => self.answer_in_batch(batch, place, outcome, out),
        }
    }

    fn answer_in_batch(&mut self, id: OperationId, place: usize, outcome: Outcome, out: &mut Vec<Effect>) {
        let Some(batch) = self.batches.get_mut(&id) else {
            return;
        };
        batch.missing -= usize::from(batch.outcomes[place].is_none());
        batch.outcomes[place] = Some(outcome);
        if batch.missing == 0
            && let Some(batch) = self.batches.remove(&id)
        {
            let outcomes = batch.outcomes.into_iter().flatten().collect();
            self.answer_to(batch.origin, Ok(Reply::Batch(outcomes)), out);
        }
    }

    /// How many owners have acknowledged a write, as far as it is remembered.
    pub(super) fn acknowledged(&self, write: OperationId) -> u8 {
        if let Some(Machine::Mutation(mutation)) = self.by_id.get(&write).map(|operation| &operation.machine)
        {
            return mutation.acknowledged();
        }
        self.past.iter().find(|(id, _)| *id == write).map_or(0, |(_, acknowledged)| *acknowledged)
    }

    /// Tells those who wait for acknowledgements of this write, if there are enough now.
    pub(super) fn count_acknowledgements(&mut self, write: OperationId, out: &mut Vec<Effect>) {
        if self.awaiting.is_empty() || !self.awaiting.contains_key(&write) {
            return;
        }
        let acknowledged = self.acknowledged(write);
        let waiting = self.awaiting.remove(&write).unwrap_or_default();
        let satisfied = |waits: &Operations, id: &OperationId| {
            let operation = waits.by_id.get(id).map(|operation| &operation.machine);
            !matches!(operation, Some(Machine::Await { replicas, .. }) if *replicas > acknowledged)
        };
        let (done, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|id| satisfied(self, id));
        if !rest.is_empty() {
            self.awaiting.insert(write, rest);
        }
        for id in done {
            self.answer(id, Ok(Reply::Acknowledged(acknowledged)), out);
            self.end(id, out);
        }
    }

    /// Forgets that an operation waits for acknowledgements of a write; how many there were.
    pub(super) fn give_up_waiting(&mut self, id: OperationId, write: OperationId) -> u8 {
        if let Some(waiting) = self.awaiting.get_mut(&write) {
            waiting.retain(|other| *other != id);
            if waiting.is_empty() {
                self.awaiting.remove(&write);
            }
        }
        self.acknowledged(write)
    }

    /// A write is over: no more acknowledgements will come.
    pub(super) fn remember(&mut self, write: OperationId, acknowledged: u8, out: &mut Vec<Effect>) {
        self.past.push_back((write, acknowledged));
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
        for id in self.awaiting.remove(&write).unwrap_or_default() {
            self.answer(id, Ok(Reply::Acknowledged(acknowledged)), out);
            self.end(id, out);
        }
    }

    /// A write that is answered and not over lives on to count acknowledgements, one of so many.
    pub(super) fn linger(&mut self, id: OperationId, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        if !matches!(operation.machine, Machine::Mutation(_)) {
            return;
        }
        self.bytes -= std::mem::take(&mut operation.bytes);
        self.lingering.push_back(id);
        while self.lingering.front().is_some_and(|id| !self.by_id.contains_key(id)) {
            self.lingering.pop_front();
        }
        while self.lingering.len() > self.options.lingering_max {
            if let Some(id) = self.lingering.pop_front() {
                self.end(id, out);
            }
        }
    }
}
