//! Hot partitions: moving and halving them ends, and makes no other node too hot.

use std::time::Duration;

use autoscale::{Action, DataCenterNeeds, Decider, HotPartition, NodeState, NodeView, Outcome, Policy, View};
use proptest::prelude::*;
use types::{Epoch, Instant, NodeId, PartitionId};

use crate::model::{OPERATIONS_MAX, policy};

const STEP: Duration = Duration::from_secs(10);
/// Six hours.
const STEPS: usize = 2_160;

/// Partitions as their owners have them: how many operations per second, and who owns them.
struct Heat {
    partitions: Vec<(u64, Vec<NodeId>)>,
    /// How often a partition may still be halved.
    halvings: Vec<u32>,
}

impl Heat {
    fn of(&self, node: NodeId) -> u64 {
        let owned = self.partitions.iter().filter(|(_, owners)| owners.contains(&node));
        owned.map(|(rate, _)| rate).sum()
    }

    fn view(&self, nodes: u16, step: usize) -> View {
        let node = |id: u16| {
            let id = NodeId(id);
            let mut hottest: Vec<HotPartition> = self
                .partitions
                .iter()
                .enumerate()
                .filter(|(_, (_, owners))| owners.contains(&id))
                .map(|(number, (rate, owners))| HotPartition {
                    partition: PartitionId(u16::try_from(number).unwrap()),
                    operations_per_second: *rate,
                    owners: owners.clone(),
                    is_splittable: self.halvings[number] > 0,
                })
                .collect();
            hottest.sort_by_key(|hot| (std::cmp::Reverse(hot.operations_per_second), hot.partition));
            hottest.truncate(8);
            NodeView {
                id,
                name: format!("n{}", id.0),
                state: NodeState::Up,
                data_center: "dc1".to_owned(),
                rack: format!("r{}", id.0 % 2),
                weight_thousandths: 1_000,
                cpu_permille: 100,
                operations_per_second: self.of(id),
                operations_per_second_max: None,
                disk_used_bytes: 0,
                disk_bytes: 0,
                partitions: 64,
                hottest,
                is_provided: false,
                is_retirable: false,
            }
        };
        View {
            now: Instant::default() + STEP * u32::try_from(step).unwrap(),
            epoch: Epoch(u64::try_from(self.partitions.len() + step).unwrap()),
            nodes: (0..nodes).map(node).collect(),
            needs: vec![DataCenterNeeds { data_center: "dc1".to_owned(), replicas: 2 }],
            waiting: 0,
            partitions: 64,
            is_splittable: true,
            is_merging: false,
            movements: Vec::new(),
            requested: Vec::new(),
        }
    }
}

fn heats(nodes: u16) -> impl Strategy<Value = Vec<(u64, Vec<NodeId>)>> {
    let owners = prop::sample::subsequence((0..nodes).map(NodeId).collect::<Vec<_>>(), 2);
    let rate = prop_oneof![3 => 1_u64..800, 1 => 800_u64..12_000];
    prop::collection::vec((rate, owners), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Under any heat that stays as it is, movements and splits come to an end; whoever takes a partition over is within its
    /// target with it, did not own it, and stands in no rack that has more of its owners than before.
    #[test]
    fn relief_ends(partitions in heats(5), halvings in 0_u32..6) {
        let policy = Policy { min: 1, max: 5, pool: Vec::new(), ..policy() };
        let target = OPERATIONS_MAX * u64::from(policy.target.operations) / 100;
        let halvings = vec![halvings; partitions.len()];
        let mut heat = Heat { partitions, halvings };
        let mut decider = Decider::new(policy);
        let mut changes = 0;
        let mut last = 0;
        for step in 0..STEPS {
            let view = heat.view(5, step);
            let decision = decider.decide(&view);
            match decision.action {
                Action::Nothing => continue,
                Action::MovePartition { partition, from, to, .. } => {
                    let place = usize::from(partition.0);
                    let owners = &mut heat.partitions[place].1;
                    prop_assert!(owners.contains(&from) && !owners.contains(&to));
                    let in_rack = |rack: u16| owners.iter().filter(|owner| **owner != from && owner.0 % 2 == rack).count();
                    prop_assert!(in_rack(to.0 % 2) <= in_rack(from.0 % 2));
                    owners.retain(|owner| *owner != from);
                    owners.push(to);
                    prop_assert!(heat.of(to) <= target, "{decision}");
                }
                Action::SplitPartition { partition, .. } => {
                    let place = usize::from(partition.0);
                    prop_assert!(heat.halvings[place] > 0);
                    heat.halvings[place] -= 1;
                    heat.partitions[place].0 /= 2;
                    let (half, left) = (heat.partitions[place].clone(), heat.halvings[place]);
                    heat.partitions.push(half);
                    heat.halvings.push(left);
                }
                other => prop_assert!(false, "{other}"),
            }
            changes += 1;
            last = step;
            decider.outcome(view.now, Outcome::Began { node: None });
        }
        prop_assert!(last < STEPS / 2 && changes <= 64, "{changes} changes, the last in step {last}");
    }
}
