//! What a change needs at least, given the owners that there were: the fewest moves of any lists of owners.
//!
//! The fair shares alone do not say it. A rack that grows takes replicas of partitions that it has none of, and a node
//! that leaves gives up replicas of partitions where the growing rack mostly has one already. Those must go to a third
//! rack, which has to give as many elsewhere. No scheme gets round that, whether it walks on a ring or keeps lists: so
//! the fewest moves are found among all lists of N distinct nodes that keep racks apart and loads within bounds.

use std::collections::{BTreeMap, BTreeSet};

use ring::{PlacementMember, REPLICAS_BALANCED};
use types::NodeId;

use crate::flow::Network;
use crate::rivals::Owners;

/// The bounds that plans keep for loads, as parts of the fair share, and what is rounding, in replicas.
const SHARES: (f64, f64) = (0.96, 1.04);
const ROUNDING: f64 = 1.5;

/// What it is worth that nobody is left below the least, where that can be: more than any way through the network costs.
const NEEDED: i64 = 1_000;

/// The fewest replicas that any lists move; none if no lists keep racks and the most that a node may hold. `fair` are the replicas of each node.
pub(crate) fn fewest(
    old: &Owners,
    members: &[PlacementMember],
    fair: &BTreeMap<NodeId, f64>,
) -> Option<usize> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.rack.as_str()).collect();
    let racks: BTreeMap<&str, usize> = names.into_iter().zip(0..).collect();
    let (source, sink) = (0, 1);
    let part = |partition: usize| 2 + partition * (1 + racks.len());
    let node = |index: usize| part(old.len()) + index;
    let mut network = Network::new(node(members.len()));
    let mut moves = Vec::new();
    for (partition, owners) in old.iter().enumerate() {
        network.edge(source, part(partition), REPLICAS_BALANCED as i64, 0);
        for rack in 1..=racks.len() {
            let most = REPLICAS_BALANCED.div_ceil(racks.len());
            network.edge(part(partition), part(partition) + rack, most as i64, 0);
        }
        for (index, member) in members.iter().enumerate() {
            let from = part(partition) + 1 + racks[member.rack.as_str()];
            let is_new = !owners.contains(&member.node);
            let edge = network.edge(from, node(index), 1, i64::from(is_new));
            moves.extend(is_new.then_some(edge));
        }
    }
    for (index, member) in members.iter().enumerate() {
        let fair = fair[&member.node];
        let least = (fair * SHARES.0).min(fair - ROUNDING).ceil().max(0.0) as i64;
        let most = (fair * SHARES.1).max(fair + ROUNDING).floor() as i64;
        network.edge(node(index), sink, least, -NEEDED);
        network.edge(node(index), sink, most - least, 0);
    }
    let sent = network.send(source, sink);
    let all = REPLICAS_BALANCED * old.len();
    (sent == all as i64).then(|| moves.iter().filter(|&&edge| network.carried(edge) > 0).count())
}
