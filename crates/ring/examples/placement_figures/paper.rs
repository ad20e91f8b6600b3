//! A cluster as large as they get: 1,000 nodes and 16,384 partitions, and how long its plans take.

use std::time::Instant;

use ring::measure::{Load, loads};
use ring::{
    Partitions, PlacementMember, REPLICAS_BALANCED, ReplicaCount, Rings, merged, moves, place, replace,
};
use types::NodeId;

use crate::history::{Dice, Shape};

const NODES: u16 = 1_000;

/// Prints the table.
pub(crate) fn print() {
    println!("## {NODES} nodes and 16384 partitions\n");
    println!("| cluster | change | time | load over fair share | partitions that move |");
    println!("| --- | --- | --- | --- | --- |");
    for (data_centers, weight_most) in [(1, 1), (1, 8), (2, 1), (2, 8)] {
        cluster(data_centers, weight_most);
    }
}

fn cluster(data_centers: u16, weight_most: u16) {
    let centers = if data_centers == 1 { "1 data center" } else { "2 data centers" };
    let name = format!("{centers}, 5 racks each, weights 1..{weight_most}");
    let shape = Shape { nodes: NODES, racks: 5, weight_most };
    let mut dice = Dice(1);
    let mut member = |node: u16| {
        let mut member = dice.member(node, shape);
        member.data_center = format!("dc{}", node % data_centers);
        member
    };
    let members: Vec<PlacementMember> = (1..NODES).map(&mut member).collect();
    let mut all = members.clone();
    all.push(member(NODES));
    let empty = Rings::empty(Partitions::new(16_384).unwrap());

    let rings = timed(&name, "founding", &empty, &members, || place(&empty, &members).unwrap());
    let grown = timed(&name, "a join", &rings, &all, || place(&rings, &all).unwrap());
    timed(&name, "a leave", &grown, &all[1..], || place(&grown, &all[1..]).unwrap());
    let mut replaced = all.clone();
    replaced[499].node = NodeId(NODES + 1);
    timed(&name, "a replacement", &grown, &replaced, || {
        replace(&grown, &replaced, NodeId(500), NodeId(NODES + 1)).unwrap()
    });
    timed(&name, "half as many partitions", &grown, &all, || merged(&grown, &all).unwrap());
}

fn timed(
    name: &str,
    change: &str,
    old: &Rings,
    members: &[PlacementMember],
    plan: impl Fn() -> Rings,
) -> Rings {
    let begin = Instant::now();
    let rings = plan();
    let millis = begin.elapsed().as_millis();
    let load = loads(&rings, members, REPLICAS_BALANCED).values().map(Load::ratio).fold(0.0, f64::max);
    let moved = moves(old, &rings, &ReplicaCount::Everywhere(3)).len();
    println!("| {name} | {change} | {millis} ms | {load:.2} | {moved} |");
    rings
}
