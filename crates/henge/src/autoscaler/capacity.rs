//! How many operations per second a node is good for, as far as that can be seen from outside: what it does, over how much of its cores
//! that takes.
//!
//! What must hold: a node that is nearly idle says little, for what it does beside serving weighs most then. So one is measured while it
//! is at work, and the last measure stays; but it is good for what it does now at no more than the cores that it takes. Whoever has not been measured
//! yet is taken for as good as the others by weight. Where nobody has been, it is not known.

use std::collections::BTreeMap;

use api::NodeLoad;
use types::NodeId;

/// From this much of its cores on a node is at work, in thousandths.
const AT_WORK_PERMILLE: u64 = 200;

/// A new measure moves what is known by one part in this many: looks are a second apart and less.
const SMOOTHED_OVER: u64 = 8;

/// What has been measured of each node.
#[derive(Debug, Default)]
pub(super) struct Capacities(BTreeMap<NodeId, u64>);

impl Capacities {
    /// Forgets who is no member.
    pub(super) fn retain(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.0.retain(|node, _| is_member(*node));
    }

    /// A node has so much to do.
    pub(super) fn observe(&mut self, node: NodeId, load: &NodeLoad) {
        let (operations, cpu) = (u64::from(load.operations_per_second), u64::from(load.cpu_permille));
        if operations == 0 {
            return;
        }
        let at_least = operations.saturating_mul(1_000) / cpu.max(AT_WORK_PERMILLE);
        if cpu < AT_WORK_PERMILLE {
            if let Some(known) = self.0.get_mut(&node) {
                *known = at_least.max(*known);
            }
            return;
        }
        let known = self.0.entry(node).or_insert(at_least);
        *known = known.saturating_mul(SMOOTHED_OVER - 1).saturating_add(at_least) / SMOOTHED_OVER;
    }

    /// What a node of this weight, in thousandths, is good for; the others with theirs.
    pub(super) fn of(
        &self,
        node: NodeId,
        weight: u32,
        others: impl Iterator<Item = (NodeId, u32)>,
    ) -> Option<u64> {
        if let Some(known) = self.0.get(&node) {
            return Some(*known);
        }
        let measured = others.filter_map(|(other, weight)| Some((self.0.get(&other)?, u64::from(weight))));
        let (sum, weights) = measured.fold((0_u64, 0_u64), |(sum, weights), (one, weight)| {
            (sum.saturating_add(*one), weights + weight)
        });
        sum.saturating_mul(u64::from(weight)).checked_div(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(operations_per_second: u32, cpu_permille: u16) -> NodeLoad {
        NodeLoad { operations_per_second, cpu_permille, ..NodeLoad::default() }
    }

    fn known(capacities: &Capacities, node: u16) -> Option<u64> {
        let others = [1, 2].into_iter().map(|id| (NodeId(id), 1_000));
        capacities.of(NodeId(node), 2_000, others)
    }

    #[test]
    fn who_is_at_work_is_good_for_what_all_its_cores_would_do() {
        let mut capacities = Capacities::default();
        capacities.observe(NodeId(1), &load(900, 100));
        capacities.observe(NodeId(1), &load(0, 900));
        assert_eq!(known(&capacities, 1), None, "nearly idle, and busy with something else");
        for _ in 0..99 {
            capacities.observe(NodeId(1), &load(3_000, 600));
        }
        assert_eq!(known(&capacities, 1), Some(5_000));
        capacities.retain(|node| node != NodeId(1));
        assert_eq!(known(&capacities, 1), None);
    }

    /// Compaction makes operations look dear, for a while; a node that is idle then is good for more than that.
    #[test]
    fn a_measure_made_while_it_was_busy_with_something_else_does_not_stay() {
        let mut capacities = Capacities::default();
        for _ in 0..99 {
            capacities.observe(NodeId(1), &load(500, 1_000));
        }
        assert!(known(&capacities, 1).is_some_and(|known| known <= 510));
        capacities.observe(NodeId(1), &load(500, 50));
        assert_eq!(known(&capacities, 1), Some(2_500));
        capacities.observe(NodeId(1), &load(10, 50));
        assert_eq!(known(&capacities, 1), Some(2_500), "there was little to do");
    }

    #[test]
    fn who_was_not_measured_is_as_good_as_the_others_by_weight() {
        let mut capacities = Capacities::default();
        assert_eq!(known(&capacities, 3), None);
        capacities.observe(NodeId(1), &load(1_000, 500));
        assert_eq!(known(&capacities, 3), Some(4_000));
        capacities.observe(NodeId(2), &load(2_000, 500));
        assert_eq!(known(&capacities, 3), Some(6_000));
    }
}
