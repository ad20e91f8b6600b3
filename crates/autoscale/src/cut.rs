//! How finely the ring is cut: partitions that have grown too large are halved, and halves that nobody needs are merged again.
//!
//! A partition is the unit of movement: a large one takes long to move, and to have again after damage. Each partition also costs
//! something: trees, marks, a movement of its own whenever members change. So they are halved where those of every node are too large in
//! the mean, and merged where there are many for each node and none of them does much.
//!
//! What must hold: what is merged is neither hot nor large afterwards, by a wide margin, so that it is not halved again for that; and
//! both are told by figures that change slowly.

use std::cmp::Reverse;

use crate::action::Action;
use crate::hot;
use crate::load::Load;
use crate::policy::Policy;
use crate::text::{bytes, count};
use crate::view::{NodeView, View};

/// What part of what would make it too large, or hot, a merged partition may have at most.
const PART_OF_TOO_MUCH: u64 = 2;

/// Halving, where partitions are too large on every node.
pub fn too_coarse(view: &View, policy: &Policy) -> Option<(Action, String)> {
    if !view.is_splittable {
        return None;
    }
    // A node that has given partitions away may have yet to give back their room, and then seems to have large ones: all must say so.
    let least = means(view).map(|(_, mean)| mean).min().filter(|mean| *mean > policy.partition_bytes_max)?;
    let (least, most) = (bytes(least), bytes(policy.partition_bytes_max));
    Some((Action::SplitAll, format!("partitions have {least} in the mean, and are to have {most} at most")))
}

/// Merging, where there are more partitions than are of use.
///
/// # Errors
/// Why nothing is to be merged, where there are that many.
pub fn too_fine(view: &View, policy: &Policy, load: &Load) -> Option<Result<(Action, String), String>> {
    let most = policy.merge_above?;
    let members = |data_center: &str| view.within(data_center).count();
    let nodes = view.nodes.iter().map(|node| members(&node.data_center)).max().unwrap_or(0);
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
    let each = view.partitions / nodes;
    if each <= most {
        return None;
    }
    let why = format!(
        "there are {} for {}, more than {most} for each",
        count(u64::from(view.partitions), "partition"),
        count(u64::from(nodes), "node")
    );
    if let Some((node, mean)) = largest(view)
        && mean.saturating_mul(2 * PART_OF_TOO_MUCH) > policy.partition_bytes_max
    {
        return Some(Err(format!("{why}, but one of {} has {} in the mean", node.name, bytes(mean))));
    }
    if view.nodes.iter().all(|node| hot::hot_from(node, policy).is_none()) {
        return Some(Err(format!(
            "{why}, but how hot they are is not known: operations_per_second says what nodes are good for"
        )));
    }
    let hottest = view.nodes.iter().find_map(|node| {
        let hot_from = hot::hot_from(node, policy)?;
        let rates =
            node.hottest.iter().map(|hot| (load.operations_on(node.id, hot.partition), hot.partition));
        let (rate, partition) = rates.max_by_key(|(rate, partition)| (*rate, Reverse(*partition)))?;
        (rate.saturating_mul(2 * PART_OF_TOO_MUCH) >= hot_from).then_some((node, partition, rate))
    });
    if let Some((node, partition, rate)) = hottest {
        return Some(Err(format!("{why}, but {} does {rate} operations a second on {partition}", node.name)));
    }
    Some(Ok((Action::MergePartitions, format!("{why}, and none does much"))))
}

/// The node whose partitions are the largest, and how many bytes one of them has in the mean.
fn largest(view: &View) -> Option<(&NodeView, u64)> {
    means(view).max_by_key(|(node, mean)| (*mean, Reverse(node.id)))
}

/// How many bytes a partition of each node has in the mean.
fn means(view: &View) -> impl Iterator<Item = (&NodeView, u64)> {
    let mean = |node: &NodeView| node.disk_used_bytes / u64::from(node.partitions.max(1));
    view.nodes.iter().filter(|node| node.is_up()).map(move |node| (node, mean(node)))
}
