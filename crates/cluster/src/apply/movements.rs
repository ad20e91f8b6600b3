//! Movements begin, go from stage to stage, end, and are given up.
//!
//! What must hold (INVARIANTS E2, E3): a partition has one movement at a time, under a session of its own; a step is taken from the
//! stage that it names, so that a command that comes twice or late changes nothing.

use types::{NodeId, PartitionId};

use super::Parts;
use crate::command::{Refused, STEPS_MAX};
use crate::member::Standing;
use crate::movement::{Movement, Session, Stage, Step};

impl Parts {
    pub(super) fn begin(&mut self, partitions: &[PartitionId]) -> Result<(), Refused> {
        check_number(partitions.len())?;
        let to = self.target().id;
        let mut begun = 0;
        for &partition in partitions {
            let is_to_move = self.at.get(usize::from(partition.0)).is_some_and(|at| *at != to);
            if is_to_move && !self.movements.contains_key(&partition) {
                let session = Session(self.epoch);
                self.movements.insert(partition, Movement { session, to, stage: Stage::Filling });
                self.changed_now(partition);
                begun += 1;
            }
        }
        if begun == 0 { Err(Refused::because("none of these is to move, or all do already")) } else { Ok(()) }
    }

    /// Whether there are still so many partitions: else numbers mean others now, and one session may be that of many.
    pub(super) fn is_of(&self, of: u16) -> Result<(), Refused> {
        if usize::from(of) == self.at.len() {
            return Ok(());
        }
        Err(Refused::because(format!("there are {} partitions by now, not {of}: look again", self.at.len())))
    }

    pub(super) fn advance(&mut self, steps: &[Step], of: u16) -> Result<(), Refused> {
        check_number(steps.len())?;
        self.is_of(of)?;
        let mut taken = 0;
        for step in steps {
            let Some(movement) = self.movements.get_mut(&step.partition) else { continue };
            if (movement.session, movement.stage) != (step.session, step.stage) {
                continue;
            }
            taken += 1;
            match step.stage.next() {
                Some(stage) => movement.stage = stage,
                None => {
                    let to = movement.to;
                    self.movements.remove(&step.partition);
                    if let Some(at) = self.at.get_mut(usize::from(step.partition.0)) {
                        *at = to;
                    }
                }
            }
            self.changed_now(step.partition);
        }
        if taken == 0 { Err(Refused::because("none of these steps is to be taken any more")) } else { Ok(()) }
    }

    /// What is being filled for nodes that do not stay is given up: the old owners have all that was acknowledged.
    pub(super) fn give_up_what_is_of_no_use(&mut self) {
        let goes: Vec<NodeId> = self
            .members
            .iter()
            .filter(|member| matches!(member.standing, Standing::Leaving | Standing::Gone))
            .map(|member| member.id)
            .collect();
        let is_of_no_use = |(partition, movement): (&PartitionId, &Movement)| {
            let (to, at) = (self.layout(movement.to)?, self.layout_of(*partition)?);
            let owners = |layout: &crate::layout::Layout| -> Vec<NodeId> {
                layout.counts.keys().flat_map(|keyspace| layout.owners(*keyspace, *partition)).collect()
            };
            let (old, new) = (owners(at), owners(to));
            let fills_one_who_goes = new.iter().any(|node| goes.contains(node) && !old.contains(node));
            (movement.stage == Stage::Filling && fills_one_who_goes).then_some(*partition)
        };
        let given_up: Vec<PartitionId> = self.movements.iter().filter_map(is_of_no_use).collect();
        for partition in given_up {
            self.movements.remove(&partition);
            self.changed_now(partition);
        }
    }
}

fn check_number(count: usize) -> Result<(), Refused> {
    if count > STEPS_MAX {
        return Err(Refused::because(format!(
            "one command moves at most {STEPS_MAX} partitions, not {count}"
        )));
    }
    Ok(())
}
