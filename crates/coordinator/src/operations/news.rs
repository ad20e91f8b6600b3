//! News of the cluster state, while operations are under way.
//!
//! A replica refuses what was routed by owners or settings that are others by now (`StaleEpoch`), and does nothing of it. The
//! operation then waits for the state that the replica goes by, which this node asks for, and tries again by that. So it is with
//! operations that hear of the change here before any replica has refused.
//!
//! What must hold: an operation is asked anew once for each piece of news, and a few times at most, and its deadline stays what it
//! was (INVARIANTS J1). What is refused after that, or by a replica that contradicts itself, is refused for good.
//!
//! Why this does not come out of the budget for what is asked again: there is as much of it as changes of the state, each of which
//! concerns what is under way at one moment in the partitions that move.

use api::Operation as Asked;
use types::{Epoch, Moment, NodeId, OperationId};

use super::{Effect, Machine, Operation, Operations, Origin};
use crate::forward::Forward;
use crate::mutation::Mutation;
use crate::target::{Target, Turn};

/// How often an operation is told that its owners or settings are others. A movement tells it four times, and a request lasts some
/// seconds.
const NEWS_MAX: u8 = 8;

/// How far the rounds are apart that an operation asks in before and after it is begun anew: more than it ever takes.
pub(super) const ROUNDS_BEFORE_NEWS: u32 = 100;

/// What becomes of a write that was not made, where the owners are others.
pub(super) enum Turned {
    /// This node may not make it any more.
    PassedOn(Asked),
    /// This node alone may make it.
    MadeHere(Asked),
}

impl Operations {
    /// The cluster state is another: those whose owners or settings are others go by them from now on.
    pub(super) fn tell_the_news(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let is_overtaken = |operation: &Operation| {
            operation.is_told_of_news()
                && operation.target().is_some_and(|target| target.is_overtaken_by(&self.topology))
        };
        let concerned = self.by_id.iter().filter(|(_, operation)| is_overtaken(operation));
        let mut concerned: Vec<OperationId> = concerned.map(|(id, _)| *id).collect();
        concerned.sort_unstable();
        for id in concerned {
            self.overtake(now, id, out);
        }
    }

    fn overtake(&mut self, now: Moment, id: OperationId, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        operation.news += 1;
        let mut steps = std::mem::take(&mut self.steps);
        let mut turn = Turn {
            now,
            id,
            topology: &self.topology,
            pace: &mut self.pace,
            repairs: &mut self.repairs,
            steps: &mut steps,
            is_told_of_news: operation.is_told_of_news(),
        };
        operation.overtaken(&mut turn);
        self.carry_out(now, id, &mut steps, out);
        self.steps = steps;
    }

    /// A replica goes by a later state than this node. This node's own hears of it in the same turn.
    pub(super) fn ask_for_news(&self, from: NodeId, epoch: Epoch, out: &mut Vec<Effect>) {
        if epoch > self.topology.state.epoch() && from != self.topology.here {
            out.push(Effect::News { from, epoch });
        }
    }

    /// A write that was not made is another node's to make, or this one's after all.
    pub(super) fn turn_into(&mut self, now: Moment, id: OperationId, turned: Turned, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        let Some(target) = &operation.target else {
            return;
        };
        // Whoever passed it on chooses another maker, once he has heard of the change himself.
        if let (Turned::PassedOn(_), Some(Origin::Peer(ticket))) = (&turned, operation.origin) {
            out.push(Effect::NotTaken(ticket, target.since()));
            operation.origin = None;
            self.unanswered -= 1;
            self.end(id, out);
            return;
        }
        let mut steps = Vec::new();
        let mut turn = Turn {
            now,
            id,
            topology: &self.topology,
            pace: &mut self.pace,
            repairs: &mut self.repairs,
            steps: &mut steps,
            is_told_of_news: operation.is_told_of_news(),
        };
        turn.steps.push(crate::target::Step::Anew);
        match turned {
            Turned::PassedOn(write) => {
                let forward = Forward::start(target, write, None, None, &mut turn);
                operation.machine = Machine::Forward(Box::new(forward));
            }
            Turned::MadeHere(write) => match Mutation::start(target, write, None, &mut turn) {
                Ok(mutation) => operation.machine = Machine::Mutation(mutation),
                Err(error) => turn.finish(Err(error)),
            },
        }
        self.carry_out(now, id, &mut steps, out);
    }
}

impl Operation {
    /// Whether it is told of news: nobody asks any more on behalf of one that has been answered.
    pub(super) fn is_told_of_news(&self) -> bool {
        self.news < NEWS_MAX && self.origin.is_some()
    }

    /// Its owners or settings are others.
    fn overtaken(&mut self, turn: &mut Turn<'_>) {
        if let Machine::Walk(walk) = &mut self.machine {
            walk.overtaken(turn);
            return;
        }
        let Some(target) = &mut self.target else {
            return;
        };
        // Where the keyspace is no more, it goes by what it was to the end.
        let now: Target = target.by(turn.topology).unwrap_or_else(|| target.clone());
        let before = std::mem::replace(target, now);
        match &mut self.machine {
            Machine::Get(get) => get.overtaken(target, turn),
            Machine::Mutation(mutation) => mutation.overtaken(&before, target, turn),
            Machine::Forward(forward) => forward.overtaken(target, turn),
            Machine::Explain(explain) => explain.overtaken(target, turn),
            Machine::Walk(_) | Machine::Await { .. } => {}
        }
    }
}
