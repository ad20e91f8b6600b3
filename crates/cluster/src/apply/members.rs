//! Members join, leave, are taken for gone, and weigh more or less.
//!
//! What must hold (INVARIANTS E6, E8): the number of a member is never used again, so whoever was removed stays removed, under
//! whatever name he comes back. Nothing leaves a data center with fewer nodes than the N of a keyspace there, and nobody is
//! called gone for good who has the last copy of something, unless that is asked for in so many words.

use api::Replaced;
use ring::{WEIGHTS, replace};
use types::{NodeId, PartitionId};

use super::Parts;
use crate::command::Refused;
use crate::error::ConfigError;
use crate::member::{Member, MemberPlan, Standing};
use crate::state::MEMBERS_MAX;

impl Parts {
    pub(super) fn join(&mut self, plan: &MemberPlan, replaces: Option<&Replaced>) -> Result<(), Refused> {
        if self.members.iter().any(|member| member.name == plan.name) {
            let wanted =
                "give the new node a node.id of its own, or remove that one first (`henge node remove`)";
            return Err(Refused::Exists { what: "member", name: plan.name.clone(), wanted });
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(Refused::because(format!("a cluster has at most {MEMBERS_MAX} members")));
        }
        let id = self.next_node;
        let next =
            id.0.checked_add(1).ok_or_else(|| Refused::because("every number of a member was used"))?;
        self.next_node = NodeId(next);
        let member = Member::new(id, plan.clone(), Standing::Joining);
        member.check()?;
        let Some(replaces) = replaces else {
            self.members.push(member);
            return self.lay_out_members();
        };
        let place = self.place_of(&replaces.name)?;
        let old = self.members[place].clone();
        if old.data_center != member.data_center {
            return Err(Refused::because(format!(
                "{} is in data center {} and cannot take the place of {}, which is in {}",
                member.name, member.data_center, old.name, old.data_center
            )));
        }
        let takes_a_place = old.standing.stays();
        let hands_over = replaces.hands_over && old.standing != Standing::Gone;
        self.members[place].standing = if hands_over { Standing::Leaving } else { Standing::Gone };
        if !hands_over
            && old.standing != Standing::Gone
            && let Some(lost) = self.lost_with(old.id)
        {
            return Err(Refused::because(format!(
                "{name} has the last copy of {lost}: bring it back, so that it hands over what it has, or give that up \
                 first (`henge node remove {name} --lose-data`)",
                name = old.name
            )));
        }
        let fresh = member.id;
        self.members.push(member);
        if !takes_a_place {
            return self.lay_out_members();
        }
        // One for one, as far as racks and loads allow it.
        let rings = replace(&self.target().rings, &self.staying(), old.id, fresh)
            .map_err(|error| Refused::because(format!("the members cannot be placed: {error}")))?;
        // It may have been placed in halves that are apart.
        let rings = if self.is_merging { self.in_pairs(&rings)? } else { rings };
        self.lay_out(rings)
    }

    pub(super) fn drain(&mut self, names: &[String], below_n: bool) -> Result<(), Refused> {
        if names.is_empty() {
            return Err(Refused::because("say which nodes are to leave"));
        }
        for name in names {
            let place = self.place_of(name)?;
            match self.members[place].standing {
                Standing::Joining | Standing::Settled => self.members[place].standing = Standing::Leaving,
                Standing::Leaving => return Err(Refused::because(format!("{name} is leaving already"))),
                Standing::Gone => return Err(Refused::because(format!("{name} is gone for good already"))),
            }
        }
        self.check_enough_stay(names, below_n)?;
        self.lay_out_members()
    }

    pub(super) fn remove(&mut self, name: &str, below_n: bool, lose_data: bool) -> Result<(), Refused> {
        let place = self.place_of(name)?;
        let was = self.members[place].standing;
        if was == Standing::Gone {
            return Err(Refused::because(format!("{name} is gone for good already")));
        }
        self.members[place].standing = Standing::Gone;
        if !lose_data && let Some(lost) = self.lost_with(self.members[place].id) {
            return Err(Refused::because(format!(
                "{name} has the last copy of {lost}: bring it back, or say --lose-data and go on without"
            )));
        }
        if was.stays() {
            self.check_enough_stay(&[name.to_owned()], below_n)?;
            self.lay_out_members()
        } else {
            self.give_up_what_is_of_no_use();
            Ok(())
        }
    }

    pub(super) fn weigh(&mut self, name: &str, weight: f64) -> Result<(), Refused> {
        if !WEIGHTS.contains(&weight) {
            let wanted = "a weight is a number from 0.001 to 1000, usually 1";
            return Err(ConfigError::new("weight", weight, wanted).into());
        }
        let place = self.place_of(name)?;
        let member = &mut self.members[place];
        if !member.standing.stays() {
            return Err(Refused::because(format!("{name} is leaving: its weight is of no use any more")));
        }
        if (member.weight - weight).abs() < f64::EPSILON {
            return Err(Refused::because(format!("{name} has weight {weight} already")));
        }
        member.weight = weight;
        self.lay_out_members()
    }

    pub(super) fn cancel(&mut self, name: &str) -> Result<(), Refused> {
        let place = self.place_of(name)?;
        let standing = match self.members[place].standing {
            Standing::Joining => Standing::Leaving,
            // It has what it had not handed over, and gets back the rest.
            Standing::Leaving => Standing::Joining,
            Standing::Settled => {
                return Err(Refused::because(format!("{name} is neither joining nor leaving")));
            }
            Standing::Gone => {
                return Err(Refused::because(format!(
                    "{name} was called gone for good, and its data with it: that cannot be taken back"
                )));
            }
        };
        self.members[place].standing = standing;
        // Whoever leaves may do so because this one was to come.
        let others_leave = self.members.iter().any(|one| !one.standing.stays() && one.name != name);
        if standing == Standing::Leaving && (others_leave || self.has_something(self.members[place].id)) {
            self.check_enough_stay(&[name.to_owned()], false)?;
        }
        self.lay_out_members()
    }

    /// Lets those go of these who leave and have nothing. Who stays by now, or has something again, is not let go by a command that
    /// comes late.
    pub(super) fn dismiss(&mut self, nodes: &[NodeId]) -> Result<(), Refused> {
        let before = self.members.len();
        let members = std::mem::take(&mut self.members);
        self.members =
            members.into_iter().filter(|one| !nodes.contains(&one.id) || !self.is_free(one)).collect();
        if self.members.len() == before {
            return Err(Refused::because("none of these leaves and has nothing any more"));
        }
        Ok(())
    }

    /// Whether a member leaves and has nothing to hand over.
    pub(crate) fn is_free(&self, member: &Member) -> bool {
        member.standing == Standing::Leaving && !self.is_placed(member)
    }

    /// Whether any partition is where this node claims some: it is more than one who has only begun to join.
    fn has_something(&self, node: NodeId) -> bool {
        self.at.iter().any(|at| self.layout(*at).is_some_and(|layout| layout.has(node)))
    }

    /// What is lost with a member that was called gone: of which partitions, of the first keyspace where there are any, all who have the
    /// whole of it are gone by now, and this one was among them. Nothing where others have all of it.
    pub(crate) fn lost_with(&self, gone: NodeId) -> Option<String> {
        let is_gone =
            |node: &NodeId| self.members.iter().any(|one| one.id == *node && one.standing == Standing::Gone);
        let partitions = || self.target().rings.partitions().iter();
        self.keyspaces.iter().find_map(|keyspace| {
            let owners = self.owners(keyspace.id);
            let is_lost = |partition: &PartitionId| {
                let whole = owners.of(*partition);
                whole.contains(&gone) && whole.iter().all(is_gone)
            };
            let first = partitions().find(is_lost)?;
            let count = partitions().filter(is_lost).count();
            Some(format!("{count} partitions of keyspace {}, {first} among them", keyspace.name))
        })
    }

    pub(super) fn place_of(&self, name: &str) -> Result<usize, Refused> {
        self.members.iter().position(|member| member.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
            Refused::Unknown { what: "member", name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// Whether each data center that these leave keeps as many nodes as any keyspace has replicas there.
    fn check_enough_stay(&self, leaving: &[String], below_n: bool) -> Result<(), Refused> {
        let stay = |data_center: &str| {
            let here = self.members.iter().filter(|member| member.data_center == data_center);
            here.filter(|member| member.standing.stays()).count()
        };
        if self.members.iter().all(|member| !member.standing.stays()) {
            return Err(Refused::because("nobody would be left"));
        }
        if below_n {
            return Ok(());
        }
        let left = self.members.iter().filter(|member| leaving.contains(&member.name));
        for data_center in left.map(|member| member.data_center.as_str()) {
            let stay = stay(data_center);
            for keyspace in &self.keyspaces {
                let n = keyspace.n.in_data_center(data_center);
                if stay < n {
                    return Err(Refused::because(format!(
                        "data center {data_center} would be left with {stay} nodes, and keyspace {} keeps {n} replicas there: \
                         add a node first, or lower n (`henge keyspace alter`), or say --below-n and have fewer replicas",
                        keyspace.name
                    )));
                }
            }
        }
        Ok(())
    }
}
