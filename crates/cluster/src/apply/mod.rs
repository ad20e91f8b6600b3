//! What a command makes of a state.
//!
//! What must hold: [`ClusterState::apply`] is a pure function, so all who apply the same commands in the same order have the same
//! states (INVARIANTS E1, I1). A command either changes the state, which is then of the next epoch, or it is refused and changes
//! nothing. What it needs is looked up in the state that it meets, never remembered from when it was proposed (E6).
//!
//! `keyspaces` are changed at once: nobody has data in a new one, and nobody may look into a dropped one. Changes to `members` and
//! to an N make a [layout](crate::layout); how partitions get there is in `movements`, and how there come to be more or fewer in `halving`
//! and `merging`.

mod halving;
mod keyspaces;
mod members;
mod merging;
mod movements;
mod partitions;

use ring::{PlacementMember, Rings, place};
use types::{Epoch, PartitionId};

use crate::command::{Command, Refused};
use crate::layout::{LAYOUTS_MAX, Layout, LayoutId};
use crate::member::{Member, Standing};
use crate::parts::Parts;
use crate::state::ClusterState;

impl ClusterState {
    /// The state that follows when a command is applied to this one.
    ///
    /// # Errors
    /// Why it changes nothing.
    pub fn apply(&self, command: &Command) -> Result<ClusterState, Refused> {
        let mut next = self.parts.clone();
        next.epoch = Epoch(self.parts.epoch.0 + 1);
        match command {
            Command::CreateKeyspace { keyspace, number } => next.create_keyspace(keyspace, *number)?,
            Command::AlterKeyspace { keyspace, since } => next.alter_keyspace(keyspace, *since)?,
            Command::DropKeyspace { keyspace, name } => next.drop_keyspace(*keyspace, name)?,
            Command::Join { plan, replaces } => next.join(plan, replaces.as_ref())?,
            Command::Drain { names, below_n } => next.drain(names, *below_n)?,
            Command::Remove { name, below_n, lose_data } => next.remove(name, *below_n, *lose_data)?,
            Command::Weigh { name, weight } => next.weigh(name, *weight)?,
            Command::Cancel { name } => next.cancel(name)?,
            Command::Begin { partitions } => next.begin(partitions)?,
            Command::Advance { steps, of } => next.advance(steps, *of)?,
            Command::Halve { partitions } => next.halve(*partitions)?,
            Command::Merge { partitions } => next.merge(*partitions)?,
            Command::KeepHalves => next.keep_halves()?,
            Command::JoinHalves { partitions } => next.join_halves(*partitions)?,
            Command::Dismiss { nodes } => next.dismiss(nodes)?,
            Command::MovePartition { partition, of, from, to } => {
                next.is_of(*of)?;
                next.move_partition(*partition, from.as_deref(), to)?;
            }
        }
        next.tidy();
        Ok(ClusterState::assemble(next)?)
    }
}

impl Parts {
    /// Places the members that stay anew, as near to where partitions are going now as can be.
    fn lay_out_members(&mut self) -> Result<(), Refused> {
        let rings = match self.is_merging {
            true => self.in_pairs(&self.target().rings)?,
            false => place(&self.target().rings, &self.staying())
                .map_err(|error| Refused::because(format!("the members cannot be placed: {error}")))?,
        };
        self.lay_out(rings)
    }

    /// The members that stay, for placement.
    fn staying(&self) -> Vec<PlacementMember> {
        self.members.iter().filter(|member| member.standing.stays()).map(Member::to_placement).collect()
    }

    /// Makes a layout of these rings the one where all partitions are going.
    fn lay_out(&mut self, rings: Rings) -> Result<(), Refused> {
        let counts = self.keyspaces.iter().map(|keyspace| (keyspace.id, keyspace.n.clone())).collect();
        let layout = Layout { id: self.next_layout, rings, counts };
        self.next_layout = LayoutId(self.next_layout.0 + 1);
        self.layouts.push(layout);
        self.give_up_what_is_of_no_use();
        self.arrive_where_nothing_moves();
        self.drop_unused_layouts();
        if self.layouts.len() > LAYOUTS_MAX {
            return Err(Refused::because(format!(
                "{LAYOUTS_MAX} changes to members are under way, and each must bring some partitions to where they are to be \
                 first: wait for movements to end (`henge status` lists them), or ask for several at once"
            )));
        }
        Ok(())
    }

    /// Partitions whose owners are the same in the last layout are there already.
    fn arrive_where_nothing_moves(&mut self) {
        let target = self.target().id;
        for place in 0..self.at.len() {
            let partition = PartitionId(u16::try_from(place).expect("there are at most 16384 partitions"));
            let heading = match self.movements.get(&partition) {
                Some(movement) => movement.to,
                None => self.at[place],
            };
            let agrees = match (self.layout(heading), self.layout(target)) {
                (Some(heading), Some(target)) => heading.agrees_with(target, partition),
                _ => false,
            };
            if agrees {
                match self.movements.get_mut(&partition) {
                    Some(movement) => movement.to = target,
                    None => self.at[place] = target,
                }
            }
        }
    }

    fn drop_unused_layouts(&mut self) {
        let target = self.target().id;
        let mut used: Vec<LayoutId> = self.at.clone();
        used.extend(self.movements.values().map(|movement| movement.to));
        used.push(target);
        used.sort_unstable();
        used.dedup();
        self.layouts.retain(|layout| used.binary_search(&layout.id).is_ok());
    }

    /// Whether a member claims anything in a layout that is in use.
    pub(crate) fn is_placed(&self, member: &Member) -> bool {
        self.layouts.iter().any(|layout| layout.has(member.id))
    }

    /// What follows by itself: members that have all that they are to have are settled, and those that are gone are members no more
    /// once all that they had is with others. Who leaves is not: he may be needed for longer ([`Command::Dismiss`]).
    fn tidy(&mut self) {
        self.drop_unused_layouts();
        let has_arrived = self.layouts.len() == 1;
        let gone: Vec<types::NodeId> = self
            .members
            .iter()
            .filter(|member| member.standing == Standing::Gone && !self.is_placed(member))
            .map(|member| member.id)
            .collect();
        self.members.retain(|member| !gone.contains(&member.id));
        if has_arrived && self.movements.is_empty() {
            for member in &mut self.members {
                if member.standing == Standing::Joining {
                    member.standing = Standing::Settled;
                }
            }
        }
    }

    fn changed_now(&mut self, partition: PartitionId) {
        if let Some(since) = self.since.get_mut(usize::from(partition.0)) {
            *since = self.epoch;
        }
    }
}
