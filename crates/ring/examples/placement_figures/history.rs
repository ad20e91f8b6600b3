//! Histories: what happens to the members of a cluster, the same for every scheme.

use ring::{Partitions, PlacementMember};
use types::NodeId;

/// What clusters a history is about.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) nodes: u16,
    pub(crate) racks: u16,
    pub(crate) weight_most: u16,
}

const fn shape(nodes: u16, racks: u16, weight_most: u16) -> Shape {
    Shape { nodes, racks, weight_most }
}

impl Shape {
    /// 3 to 200 nodes, 1 to 5 racks, equal and unequal weights.
    pub(crate) const ALL: [Shape; 50] = {
        let (sizes, weights) = ([4, 10, 20, 50, 200], [1, 8]);
        let mut all = [shape(0, 0, 0); 50];
        let mut at = 0;
        while at < all.len() {
            all[at] = shape(sizes[at / 10], 1 + (at % 10 / 2) as u16, weights[at % 2]);
            at += 1;
        }
        all
    };

    /// About 64 partitions for each node, so that none of average weight has fewer than 32.
    fn partitions(self) -> Partitions {
        Partitions::new((u64::from(self.nodes) * 64).next_power_of_two().clamp(256, 16_384)).unwrap()
    }

    fn seeds(self) -> u64 {
        match self.nodes {
            0..=20 => 6,
            21..=50 => 3,
            _ => 1,
        }
    }
}

/// The members after each step; the first are those that found the cluster.
pub(crate) struct History {
    pub(crate) partitions: Partitions,
    pub(crate) steps: Vec<Vec<PlacementMember>>,
}

/// Numbers that look random and are the same on every machine (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    /// A node of some weight in some rack; the first nodes see to it that no rack is empty.
    pub(crate) fn member(&mut self, node: u16, shape: Shape) -> PlacementMember {
        let rack = if node <= shape.racks { u64::from(node - 1) } else { self.below(u64::from(shape.racks)) };
        PlacementMember {
            node: NodeId(node),
            data_center: "dc1".into(),
            rack: format!("r{rack}"),
            weight: (1 + self.below(u64::from(shape.weight_most))) as f64,
        }
    }
}

/// All histories of these shapes, of twelve steps each. Their seeds begin at `first`.
pub(crate) fn histories(shapes: &[Shape], first: u64) -> Vec<History> {
    let of_shape = |&shape: &Shape| (first..first + shape.seeds()).map(move |seed| history(shape, seed));
    shapes.iter().flat_map(of_shape).collect()
}

/// One of them.
pub(crate) fn history(shape: Shape, seed: u64) -> History {
    let mut dice = Dice(seed);
    let mut members: Vec<_> = (1..=shape.nodes).map(|node| dice.member(node, shape)).collect();
    let mut steps = vec![members.clone()];
    let mut next = shape.nodes + 1;
    for _ in 0..12 {
        step(&mut dice, &mut members, &mut next, shape);
        steps.push(members.clone());
    }
    History { partitions: shape.partitions(), steps }
}

fn step(dice: &mut Dice, members: &mut Vec<PlacementMember>, next: &mut u16, shape: Shape) {
    let any = |dice: &mut Dice, members: &[PlacementMember]| dice.below(members.len() as u64) as usize;
    let mut join = |dice: &mut Dice, members: &mut Vec<PlacementMember>| {
        members.push(dice.member(*next, shape));
        *next += 1;
    };
    match dice.below(5) {
        0 => join(dice, members),
        1 if members.len() > 3 => {
            members.remove(any(dice, members));
        }
        // A drain, and two joins at once.
        2 => {
            members.remove(any(dice, members));
            join(dice, members);
            join(dice, members);
        }
        // One node in the place of another, of the same weight and in the same rack.
        3 => {
            let dead = members.remove(any(dice, members));
            join(dice, members);
            let fresh = members.last_mut().unwrap();
            (fresh.rack, fresh.weight) = (dead.rack, dead.weight);
        }
        _ => {
            let changed = any(dice, members);
            members[changed].weight = (1 + dice.below(u64::from(shape.weight_most))) as f64;
        }
    }
}
