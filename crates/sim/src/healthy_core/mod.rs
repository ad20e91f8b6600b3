//! A core of nodes that are well, while what ails all others lasts for good: who is in it, and what it must do by itself.
//!
//! What must hold (INVARIANTS G4, E9, H5): a core with a majority of the owners of each key serves whatever its own owners are
//! enough for, whatever the rest does; and says soon and for certain that it does not do what they are too few for. So a node
//! that hangs, that is heard and does not hear, or that dies again and again must not drag the others down with it.

mod lasting;

use std::collections::BTreeSet;

use bytes::Bytes;
use cluster::{ClusterState, QuorumMode};
use env::Rng;
use quorum::{DataCenter, Level, Owner, required};
use types::{KeyspaceId, NodeId, PartitionId};

use crate::network::Place;
use crate::scenario::{REGISTERS, Scenario};
use crate::world::World;
use lasting::Lasting;

/// The core, and what is wrong with everybody else.
#[derive(Clone, Debug)]
pub struct HealthyCore {
    places: Vec<Place>,
    nodes: BTreeSet<NodeId>,
    outsiders: Vec<(Place, Lasting)>,
}

/// What is to come of a request to a node of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// It is done.
    Done,
    /// It has a definite answer before its time is over.
    Definite,
    /// Nothing more than of any request.
    Nothing,
}

impl HealthyCore {
    /// One of all cores that leave somebody out and have a majority of the owners of each key, if there is any. It, and what is
    /// wrong with the others, are drawn by a generator of their own.
    pub fn choose(scenario: &Scenario, state: &ClusterState) -> Option<HealthyCore> {
        let rng = &mut Rng::from_seed(scenario.seed ^ 0x6865_616c_7468_7963);
        let all: Vec<(Place, NodeId)> = state.members().iter().map(|member| member.id).enumerate().collect();
        let cores: Vec<HealthyCore> = (1..(1_u32 << all.len()) - 1)
            .map(|chosen| all.iter().copied().filter(|(place, _)| chosen >> place & 1 == 1).unzip())
            .map(|(places, nodes)| HealthyCore { places, nodes, outsiders: Vec::new() })
            .filter(|core| core.has_majorities(state))
            .collect();
        let mut core = rng.pick(&cores)?.clone();
        let outsiders = all.iter().map(|(place, _)| *place).filter(|place| !core.places.contains(place));
        core.outsiders = outsiders.map(|place| (place, Lasting::draw(&scenario.faults, rng))).collect();
        Some(core)
    }

    /// Who is in it.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Lets happen to all others what is wrong with them.
    pub fn leave_others(&self, world: &mut World, rng: &mut Rng) {
        self.outsiders.iter().for_each(|(place, lasting)| lasting.begin(world, *place, &self.places, rng));
    }

    /// What is wrong with them goes on: where it happens again and again, it happens again.
    pub fn go_on(&self, world: &mut World, rng: &mut Rng) {
        self.outsiders.iter().for_each(|(place, lasting)| lasting.go_on(world, *place, &self.places, rng));
    }

    /// Whether its nodes are well, lack nothing, and reach each other; and whoever is awake has found out whom he cannot reach,
    /// and which of his connections are over from before.
    pub fn is_formed(&self, world: &World) -> bool {
        let is_known = |here: Place, there: Place, comes_and_goes: bool| {
            let up_to_date = || comes_and_goes || !world.has_a_dead_connection(here, there);
            let reaches = world.can_reach(here, there);
            world.is_still(here) || (if reaches { up_to_date() } else { world.has_given_up(here, there) })
        };
        world.is_whole_among(&self.places)
            && self.places.iter().all(|&place| {
                self.outsiders.iter().all(|&(outsider, lasting)| {
                    let comes_and_goes = lasting.comes_and_goes();
                    is_known(place, outsider, comes_and_goes) && is_known(outsider, place, comes_and_goes)
                })
            })
    }

    /// Whether one of its nodes is yet to be compared with all other owners before it answers, which takes those others too.
    pub fn is_catching_up(&self, world: &World) -> bool {
        self.places.iter().any(|place| world.is_catching_up(*place))
    }

    /// In a few words, for people.
    pub fn describe(&self, world: &World) -> String {
        let name = |place: &Place| world.hosts()[*place].name.clone();
        let core: Vec<String> = self.places.iter().map(name).collect();
        let others = self.outsiders.iter().map(|(place, lasting)| format!("{} {lasting:?}", name(place)));
        format!("core {}; {}", core.join(" "), others.collect::<Vec<_>>().join(", "))
    }

    /// What is to come of a request about this key to a node in the core, which rests on all of these levels.
    pub fn demand(
        &self,
        state: &ClusterState,
        home: NodeId,
        (keyspace, key): (KeyspaceId, &Bytes),
        (levels, writes): (&[Level], bool),
    ) -> Demand {
        let owners = owners_of(state, keyspace, state.partition_of(key));
        let local = state.data_center_of(home);
        if levels.iter().all(|level| self.meets(*level, &owners, local)) {
            let is_owner = |node: NodeId| owners.iter().any(|(owner, _)| *owner == node);
            let is_fickle = |(place, lasting): &(Place, Lasting)| {
                (lasting.comes_and_goes() || lasting.is_slow()) && is_owner(state.members()[*place].id)
            };
            // A write that was passed on to one whose connection breaks then, or who is slow, may or may not have been made in time.
            let may_be_lost = writes && !is_owner(home) && self.outsiders.iter().any(is_fickle);
            return if may_be_lost { Demand::Nothing } else { Demand::Done };
        }
        let is_strict = state.keyspace(keyspace).is_some_and(|known| known.quorum_mode == QuorumMode::Strict);
        let is_known = self.outsiders.iter().all(|(_, lasting)| lasting.is_out_of_reach());
        if is_strict && is_known { Demand::Definite } else { Demand::Nothing }
    }

    fn has_majorities(&self, state: &ClusterState) -> bool {
        state.partitions().iter().all(|partition| {
            let owners = owners_of(state, REGISTERS, partition);
            self.meets(Level::Quorum, &owners, 0)
        })
    }

    fn meets(&self, level: Level, owners: &[Owner], local: DataCenter) -> bool {
        let inside = owners.iter().copied().filter(|(node, _)| self.nodes.contains(node));
        required(level, owners, local).is_met_by(inside)
    }
}

fn owners_of(state: &ClusterState, keyspace: KeyspaceId, partition: PartitionId) -> Vec<Owner> {
    let owners = state.owners(keyspace, partition).iter();
    owners.map(|node| (*node, state.data_center_of(*node))).collect()
}
