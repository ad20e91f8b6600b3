//! Histories: joins, leaves, replacements, new weights and new racks, over one to three data centers.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use proptest::prelude::*;
use ring::measure::{self, loads};
use ring::{
    Partitions, PlacementMember, REPLICAS_BALANCED, ReplicaCount, Rings, moves, place, replace, validate_plan,
};
use types::NodeId;

/// One step in the life of a cluster; all its parts happen at once.
#[derive(Clone, Debug)]
struct Step {
    joins: Vec<(u8, u8, u8)>,
    leaves: Vec<prop::sample::Index>,
    weights: Vec<(prop::sample::Index, u8)>,
    replaced: Option<prop::sample::Index>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let member = (0_u8..5, 0_u8..3, 1_u8..=8);
    let index = any::<prop::sample::Index>;
    let parts = (
        prop::collection::vec(member, 0..4),
        prop::collection::vec(index(), 0..3),
        prop::collection::vec((index(), 1_u8..=8), 0..3),
        prop::option::of(index()),
    );
    parts.prop_map(|(joins, leaves, weights, replaced)| Step { joins, leaves, weights, replaced })
}

#[derive(Clone, Debug)]
struct Founding {
    nodes: u16,
    racks: u16,
    data_centers: u16,
    weight_most: u16,
}

fn any_founding() -> impl Strategy<Value = Founding> {
    let nodes = prop_oneof![8 => 3_u16..12, 3 => 12_u16..60, 1 => 60_u16..=190];
    (nodes, 1_u16..=5, 1_u16..=3, 1_u16..=8).prop_map(|(nodes, racks, data_centers, weight_most)| Founding {
        nodes,
        racks,
        data_centers,
        weight_most,
    })
}

struct Cluster {
    founding: Founding,
    members: Vec<PlacementMember>,
    rings: Rings,
    next: u16,
}

impl Cluster {
    fn found(founding: Founding) -> Cluster {
        let count = (u64::from(founding.nodes) * 64).next_power_of_two().clamp(64, 4_096);
        let rings = Rings::empty(Partitions::new(count).unwrap());
        let mut cluster = Cluster { members: Vec::new(), rings, next: 1, founding };
        for node in 0..cluster.founding.nodes {
            cluster.join(node % 5, node % 3, node % 7);
        }
        cluster.rings = place(&cluster.rings, &cluster.members).unwrap();
        cluster
    }

    fn join(&mut self, rack: u16, data_center: u16, weight: u16) {
        self.members.push(PlacementMember {
            node: NodeId(self.next),
            data_center: format!("dc{}", data_center % self.founding.data_centers),
            rack: format!("r{}", rack % self.founding.racks),
            weight: f64::from(1 + weight % self.founding.weight_most),
        });
        self.next += 1;
    }

    /// Members after the step, and new rings: a replacement comes first, alone, then all the rest at once.
    fn take(&mut self, step: &Step) {
        if let Some(index) = &step.replaced {
            let at = index.index(self.members.len());
            let (dead, fresh) = (self.members[at].node, NodeId(self.next));
            self.next += 1;
            self.members[at].node = fresh;
            let old = self.rings.clone();
            self.rings = replace(&old, &self.members, dead, fresh).unwrap();
            for change in moves(&old, &self.rings, &ReplicaCount::Everywhere(3)) {
                assert_eq!((change.leaves, change.joins), (vec![dead], vec![fresh]), "others have moved");
            }
        }
        for &(rack, data_center, weight) in &step.joins {
            self.join(rack.into(), data_center.into(), weight.into());
        }
        for index in &step.leaves {
            if self.members.len() > 3 {
                self.members.remove(index.index(self.members.len()));
            }
        }
        for (index, weight) in &step.weights {
            let at = index.index(self.members.len());
            self.members[at].weight = f64::from(1 + u16::from(*weight) % self.founding.weight_most);
        }
        self.rings = place(&self.rings, &self.members).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// After any history: the rule holds, and nobody holds more than its share, the slack of the goal, and a claim.
    #[test]
    fn every_history_stays_sound_and_balanced(
        founding in any_founding(),
        steps in prop::collection::vec(any_step(), 1..6),
    ) {
        let mut cluster = Cluster::found(founding);
        for step in &steps {
            cluster.take(step);
            let (rings, members) = (&cluster.rings, &cluster.members);
            prop_assert_eq!(validate_plan(rings, members, REPLICAS_BALANCED), Ok(()));
            for (node, load) in loads(rings, members, REPLICAS_BALANCED) {
                prop_assert!(f64::from(load.replicas) <= load.fair * 1.05 + 4.0, "{node}: {load:?}");
            }
        }
    }

    /// In each data center by itself: what happens in one moves nothing in another.
    #[test]
    fn data_centers_do_not_move_each_other(founding in any_founding(), step in any_step()) {
        let mut cluster = Cluster::found(Founding { data_centers: 3, nodes: founding.nodes.clamp(9, 30), ..founding });
        let before = cluster.rings.clone();
        let mut after = cluster.members.clone();
        cluster.take(&Step { replaced: None, leaves: Vec::new(), weights: Vec::new(), ..step });
        after.extend(cluster.members.iter().skip(after.len()).filter(|member| member.data_center == "dc1").cloned());
        let planned = place(&before, &after).unwrap();
        for data_center in ["dc0", "dc2"] {
            prop_assert_eq!(planned.ring(data_center), before.ring(data_center));
        }
    }
}

/// Seeded histories over the sizes of the goal, with the figure that they are judged by: what is moved over what the
/// change of fair shares alone would move.
#[test]
fn histories_move_about_the_least() {
    for (nodes, racks, weight_most) in [(6, 1, 8), (10, 4, 1), (12, 5, 8), (20, 2, 8), (20, 4, 8), (24, 3, 1)]
    {
        let founding = Founding { nodes, racks, data_centers: 1, weight_most };
        let mut cluster = Cluster::found(founding);
        let (mut moved, mut least) = (0.0, 0.0);
        for step in 0..9_u16 {
            let judged = |cluster: &Cluster| loads(&cluster.rings, &cluster.members, REPLICAS_BALANCED);
            let (before, old) = (judged(&cluster), cluster.rings.clone());
            match step % 3 {
                0 => cluster.join(step, 0, step * 5),
                1 => drop(cluster.members.remove(usize::from(step * 7 % nodes))),
                _ => {
                    cluster.members[usize::from(step * 3 % nodes)].weight = f64::from(1 + step % weight_most);
                }
            }
            cluster.rings = place(&old, &cluster.members).unwrap();
            let joins = moves(&old, &cluster.rings, &ReplicaCount::Everywhere(3));
            moved += joins.iter().map(|change| change.joins.len()).sum::<usize>() as f64;
            least += measure::least(&before, &judged(&cluster));
        }
        assert!(
            moved <= 1.10 * least,
            "{nodes} nodes, {racks} racks: moved {moved} replicas, the least is {least}"
        );
    }
}
