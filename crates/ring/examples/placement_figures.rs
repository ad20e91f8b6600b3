//! Prints the two figures by which placement is judged, over fresh clusters and over histories of changes:
//! `cargo run --release -p henge-ring --example placement_figures`.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "small fixed inputs, and nobody depends on it"
)]

use std::time::Instant;

use ring::{Partitions, PlacementMember, REPLICAS_BALANCED, Rings, measure, place};
use types::NodeId;

/// Below this many claims rounding alone may cost more than the goal allows.
const CLAIMS_JUDGED: f64 = 32.0;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    fn member(&mut self, node: u16, racks: u64, weight_max: u64) -> PlacementMember {
        PlacementMember {
            node: NodeId(node),
            data_center: "dc1".into(),
            rack: format!(
                "r{}",
                if u64::from(node) <= racks { u64::from(node) - 1 } else { self.below(racks) }
            ),
            weight: (1 + self.below(weight_max)) as f64,
        }
    }
}

/// The greatest load over fair share among the nodes that claim enough to be judged.
fn worst(rings: &Rings, members: &[PlacementMember]) -> f64 {
    let loads = measure::loads(rings, members, REPLICAS_BALANCED);
    let judged = |load: &measure::Load| load.fair / REPLICAS_BALANCED as f64 >= CLAIMS_JUDGED;
    loads.values().filter(|load| judged(load)).map(measure::Load::ratio).fold(0.0, f64::max)
}

fn partitions_for(nodes: usize) -> Partitions {
    Partitions::new((nodes as u64 * 64).next_power_of_two().clamp(256, 16_384)).unwrap()
}

fn fresh(racks: u64, weight_max: u64) {
    for nodes in [3, 4, 5, 6, 8, 12, 20, 50, 100, 200] {
        let (mut load, mut millis, runs) = (0.0_f64, 0, if nodes > 50 { 2 } else { 10 });
        for seed in 0..runs {
            let mut dice = Dice(seed);
            let members: Vec<_> = (1..=nodes).map(|node| dice.member(node, racks, weight_max)).collect();
            let begin = Instant::now();
            let rings = place(&Rings::empty(partitions_for(members.len())), &members).unwrap();
            millis = millis.max(begin.elapsed().as_millis());
            load = load.max(worst(&rings, &members));
        }
        println!(
            "fresh    racks {racks} weights 1..{weight_max} nodes {nodes:3}  load {load:.3}  {millis} ms"
        );
    }
}

fn history(racks: u64, weight_max: u64) {
    for nodes in [4, 6, 10, 20, 50, 200] {
        let (mut load, mut moved, mut least, mut ratio_max, mut millis) = (0.0_f64, 0.0, 0.0, 0.0_f64, 0);
        let mut ratios = Vec::new();
        for seed in 0..if nodes > 20 { 1 } else { 6 } {
            let mut dice = Dice(seed);
            let mut members: Vec<_> = (1..=nodes).map(|node| dice.member(node, racks, weight_max)).collect();
            let partitions = partitions_for(members.len() * 3 / 2);
            let mut rings = place(&Rings::empty(partitions), &members).unwrap();
            let mut next = nodes + 1;
            for _ in 0..12 {
                match dice.below(3) {
                    0 => {
                        members.push(dice.member(next, racks, weight_max));
                        next += 1;
                    }
                    1 if members.len() > 3 => {
                        let leaver = dice.below(members.len() as u64) as usize;
                        members.remove(leaver);
                    }
                    _ => {
                        let changed = dice.below(members.len() as u64) as usize;
                        members[changed].weight = (1 + dice.below(weight_max)) as f64;
                    }
                }
                let begin = Instant::now();
                let new = place(&rings, &members).unwrap();
                millis = millis.max(begin.elapsed().as_millis());
                load = load.max(worst(&new, &members));
                let moves = measure::moves(&rings, &new, &members, REPLICAS_BALANCED);
                moved += f64::from(moves.replicas);
                least += moves.replicas_least;
                if moves.replicas_least >= 32.0 {
                    ratio_max = ratio_max.max(f64::from(moves.replicas) / moves.replicas_least);
                    ratios.push(f64::from(moves.replicas) / moves.replicas_least);
                }
                rings = new;
            }
        }
        ratios.sort_by(f64::total_cmp);
        let p50 = ratios.get(ratios.len() / 2).copied().unwrap_or(0.0);
        println!(
            "history  racks {racks} weights 1..{weight_max} nodes {nodes:3}  load {load:.3}  moved/least {:.3} p50 {p50:.3} worst {ratio_max:.2}  {millis} ms",
            moved / least
        );
    }
}

fn main() {
    for racks in 1..=5 {
        for weight_max in [1, 8] {
            fresh(racks, weight_max);
        }
    }
    for racks in 1..=5 {
        for weight_max in [1, 8] {
            history(racks, weight_max);
        }
    }
    let mut dice = Dice(1);
    let members: Vec<_> = (1..=1_000).map(|node| dice.member(node, 5, 1)).collect();
    let begin = Instant::now();
    let rings = place(&Rings::empty(Partitions::new(16_384).unwrap()), &members).unwrap();
    println!("1,000 nodes x 16,384 partitions: fresh in {} ms", begin.elapsed().as_millis());
    let begin = Instant::now();
    place(&rings, &members[1..]).unwrap();
    println!("1,000 nodes x 16,384 partitions: a leave in {} ms", begin.elapsed().as_millis());
}
