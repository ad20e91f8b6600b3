//! What people ask for, as a command that can be agreed on; and what it would come to.
//!
//! What must hold: words are understood here, once, against the state that the asker sees, and the command says everything; whether
//! it can be done is decided when it is applied ([`mod@crate::apply`]), by the state that it meets then.

use api::{Change, KeyspaceSettings, NodePlan, Planned, Replaced};
use ring::WEIGHTS;
use types::{NodeId, PartitionId};

use crate::command::{Command, Refused};
use crate::config::{CountConfig, LevelConfig, word};
use crate::error::ConfigError;
use crate::keyspace::Keyspace;
use crate::limits::Limits;
use crate::member::{Addresses, Member, MemberPlan};
use crate::preset::Preset;
use crate::state::ClusterState;

impl ClusterState {
    /// The command that a change comes to, made from this state.
    ///
    /// # Errors
    /// If the words make no sense, or what they name is not there.
    pub fn command_of(&self, change: &Change) -> Result<Command, Refused> {
        Ok(match change {
            Change::CreateKeyspace { name, settings } => {
                let section = format!("keyspaces.{name}");
                let keyspace = settled(settings, Keyspace::new(0, name)).map_err(|e| e.within(&section))?;
                Command::CreateKeyspace { keyspace: Box::new(keyspace), number: settings.number }
            }
            Change::AlterKeyspace { name, settings } => {
                let was = self.keyspace_called(name)?;
                let section = format!("keyspaces.{name}");
                let keyspace = settled(settings, was.clone()).map_err(|error| error.within(&section))?;
                let number = settings.number.unwrap_or(was.number);
                Command::AlterKeyspace {
                    keyspace: Box::new(Keyspace { number, ..keyspace }),
                    since: was.since,
                }
            }
            Change::DropKeyspace { name } => {
                Command::DropKeyspace { keyspace: self.keyspace_called(name)?.id, name: name.clone() }
            }
            Change::Join(plan) => self.join_of(plan)?,
            Change::Drain { nodes, below_n } => Command::Drain { names: nodes.clone(), below_n: *below_n },
            Change::Remove { node, below_n, lose_data } => {
                Command::Remove { name: node.clone(), below_n: *below_n, lose_data: *lose_data }
            }
            Change::Weigh { node, weight } => Command::Weigh { name: node.clone(), weight: *weight },
            Change::Cancel { node } => Command::Cancel { name: node.clone() },
            Change::Halve { partitions } => {
                Command::Halve { partitions: partitions.unwrap_or(self.partitions().count()) }
            }
            Change::Merge { partitions } => {
                Command::Merge { partitions: partitions.unwrap_or(self.partitions().count()) }
            }
            Change::KeepHalves => Command::KeepHalves,
            Change::MovePartition { partition, from, to } => Command::MovePartition {
                partition: PartitionId(*partition),
                of: self.partitions().count(),
                from: from.clone(),
                to: to.clone(),
            },
            Change::Recover(_) => {
                return Err(Refused::because(
                    "a history is begun again by one node, and agreed on with nobody",
                ));
            }
        })
    }

    fn join_of(&self, plan: &NodePlan) -> Result<Command, Refused> {
        if let Some(cluster) = plan.cluster.as_ref().filter(|cluster| *cluster != self.name()) {
            return Err(Refused::Because(format!(
                "this is cluster `{}`, not `{cluster}`: check cluster.seeds and cluster.name",
                self.name()
            )));
        }
        if plan.peer.is_none() {
            return Err(ConfigError::new(
                "listen.peer",
                "nothing",
                "say where the other members reach this node",
            )
            .into());
        }
        let addresses =
            Addresses { resp: plan.resp, cluster: plan.cluster_address, http: plan.http, peer: plan.peer };
        let member = MemberPlan {
            name: plan.name.clone(),
            data_center: plan.data_center.clone(),
            rack: plan.rack.clone(),
            weight: plan.weight.unwrap_or(1.0),
            addresses,
        };
        Ok(Command::Join { plan: Box::new(member), replaces: plan.replaces.clone() })
    }

    /// The same plan, with a weight if it has none: it weighs as much beside a member as its capacity is beside that one's. Two digits
    /// of it, so that machines that are alike in all but a few blocks weigh the same.
    pub fn weighed(&self, plan: NodePlan, beside: NodeId, capacity: f64) -> NodePlan {
        let weight = plan.weight.or_else(|| {
            let weight = self.member(beside)?.weight * plan.capacity / capacity;
            let weight: f64 = format!("{weight:.1e}").parse().ok()?;
            weight.is_finite().then(|| weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()))
        });
        NodePlan { weight, ..plan }
    }

    /// The same plan, by what a node sees: whether the member whose place it takes is there and can hand over what it has.
    pub fn replacing(&self, plan: NodePlan, is_up: impl Fn(NodeId) -> bool) -> NodePlan {
        let replaces = plan.replaces.map(|replaced| {
            let hands_over = self.member_by_name(&replaced.name).is_some_and(|member| is_up(member.id));
            Replaced { hands_over, ..replaced }
        });
        NodePlan { replaces, ..plan }
    }

    /// Whether a node that wants to join is a member already: it has joined before, and has not heard that it did or has lost
    /// its directory since.
    pub fn has_joined(&self, plan: &NodePlan) -> bool {
        let member = self.member_by_name(&plan.name);
        let is_it = |member: &&Member| member.addresses.peer == plan.peer && member.standing.stays();
        member.filter(is_it).is_some() && plan.cluster.as_ref().is_none_or(|name| name == self.name())
    }

    /// What would come of a command, if it were applied to this state.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn plan_of(&self, command: &Command) -> Result<Planned, Refused> {
        let next = self.apply(command)?;
        let moves = next.planned_moves();
        let mut planned = Planned { epoch: self.epoch(), moves, notes: Vec::new() };
        if let Command::Remove { name, .. } = command
            && let Some(lost) = self.member_by_name(name).and_then(|one| next.parts.lost_with(one.id))
        {
            planned.notes.push(format!("{name} has the last copy of {lost}: what is in them would be lost"));
        }
        if self.partitions() != next.partitions() {
            planned.notes.push(format!(
                "{} partitions would be {}; both halves of each stay with its owners",
                self.partition_count(),
                next.partition_count()
            ));
        }
        if next.is_merging() && !self.is_merging() {
            planned.notes.push(format!(
                "{} partitions would be {} when all of these have moved",
                self.partition_count(),
                self.partition_count() / 2
            ));
        }
        let moving = self.movements().len() + self.waiting_to_move().count();
        if moving > 0 {
            planned.notes.push(format!(
                "{moving} partitions are to move or do already, because of earlier changes: they are listed too"
            ));
        }
        Ok(planned)
    }

    /// What a member is called, for people.
    pub fn name_of(&self, node: NodeId) -> String {
        self.member(node).map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    fn keyspace_called(&self, name: &str) -> Result<&Keyspace, Refused> {
        self.keyspace_by_name(name).ok_or_else(|| {
            let known: Vec<&str> = self.keyspaces().iter().map(|one| one.name.as_str()).collect();
            Refused::Unknown { what: "keyspace", name: name.to_owned(), known: known.join(", ") }
        })
    }
}

/// A keyspace with these settings, and for the rest those of another.
fn settled(settings: &KeyspaceSettings, base: Keyspace) -> Result<Keyspace, ConfigError> {
    let level = |key, text: &Option<String>, otherwise| match text {
        Some(text) => LevelConfig::Word(text.clone()).understand(key),
        None => Ok(otherwise),
    };
    let (r, w) = match settings.preset.as_deref() {
        Some(_) => word("preset", settings.preset.as_deref(), Preset::default())?.levels(),
        None => (base.r, base.w),
    };
    Ok(Keyspace {
        n: match &settings.n {
            Some(text) => CountConfig::Text(text.clone()).understand()?,
            None => base.n.clone(),
        },
        r: level("r", &settings.r, r)?,
        w: level("w", &settings.w, w)?,
        policy: word("policy", settings.policy.as_deref(), base.policy)?,
        quorum_mode: word("quorum", settings.quorum.as_deref(), base.quorum_mode)?,
        durability: word("durability", settings.durability.as_deref(), base.durability)?,
        limits: settings.value_bytes_max.map_or(base.limits, Limits::for_values),
        require_context: settings.require_context.unwrap_or(base.require_context),
        allow_flush: settings.allow_flush.unwrap_or(base.allow_flush),
        max_clock_entries: match settings.max_clock_entries {
            Some(0) => None,
            Some(entries) => Some(entries),
            None => base.max_clock_entries,
        },
        ..base
    })
}
