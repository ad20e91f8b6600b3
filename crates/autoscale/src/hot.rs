//! Partitions that are too hot for their node: moved to a node that has room, or halved, before a node is added.
//!
//! A node that is above its target because of one partition is not helped by another node: that one would get its share of
//! partitions, and the hot one stays as hot. So it is looked for first. A partition is *hot* if its node is above its target
//! of operations, and the partition does several times as much as the node's mean partition and a tenth of that target.
//!
//! What must hold: whoever takes a partition over stays below its own targets with it, does not own it yet, and is in a rack
//! that has no more of its owners than the rack that it comes from. So no movement makes another necessary. And only what
//! is hot is halved, so that halving ends.

use std::cmp::Reverse;

use types::PartitionId;

use crate::action::Action;
use crate::load::{HOTTEST_MAX, Load, operations_max, share};
use crate::policy::Policy;
use crate::view::{HotPartition, NodeView, View};

/// How many times as much as the node's mean partition a hot one does.
const TIMES_THE_MEAN: u64 = 3;
/// What part of the node's target a hot one is at least.
const PART_OF_TARGET: u64 = 10;

/// A partition that is too hot, and what is to be done about it, with the reason.
pub fn relief(view: &View, policy: &Policy, load: &Load) -> Option<(Action, String)> {
    let mut over: Vec<(u64, &NodeView, u64)> = Vec::new();
    for node in view.nodes.iter().filter(|node| node.is_up()) {
        let Some(target) = target(node, policy) else { continue };
        let operations = load.operations(node.id);
        if operations > target {
            over.push((share(operations, 1_000, target), node, target));
        }
    }
    over.sort_by_key(|(times, node, _)| (Reverse(*times), node.id));
    over.into_iter().find_map(|(_, node, target)| relieve(view, policy, load, node, target))
}

/// From how many operations per second on a partition of a node may be hot, if that can be told.
pub fn hot_from(node: &NodeView, policy: &Policy) -> Option<u64> {
    target(node, policy).map(part_of)
}

fn part_of(target: u64) -> u64 {
    target / PART_OF_TARGET
}

/// How many operations per second a node is to do at most.
fn target(node: &NodeView, policy: &Policy) -> Option<u64> {
    operations_max(node, policy).map(|most| share(most, u64::from(policy.target.operations), 100))
}

fn relieve<'a>(
    view: &'a View,
    policy: &Policy,
    load: &Load,
    node: &'a NodeView,
    target: u64,
) -> Option<(Action, String)> {
    let operations = load.operations(node.id);
    let mean = operations / u64::from(node.partitions.max(1));
    let is_hot = |rate: u64| rate > mean.saturating_mul(TIMES_THE_MEAN) && rate >= part_of(target);
    let mut hottest: Vec<(u64, &HotPartition)> = node
        .hottest
        .iter()
        .take(HOTTEST_MAX)
        .map(|hot| (load.operations_on(node.id, hot.partition), hot))
        .filter(|(rate, _)| *rate > 0 && is_hot(*rate))
        .collect();
    hottest.sort_by_key(|(rate, hot)| (Reverse(*rate), hot.partition));
    let told = |partition: PartitionId, rate: u64| {
        format!(
            "{} does {operations} operations a second (target {target}), {rate} of them on {partition}",
            node.name
        )
    };
    for (rate, hot) in &hottest {
        if let Some(to) = receiver(view, policy, load, node, hot, *rate) {
            let action = Action::MovePartition {
                partition: hot.partition,
                from: node.id,
                from_name: node.name.clone(),
                to: to.id,
                to_name: to.name.clone(),
            };
            return Some((action, format!("{}; {} has room for it", told(hot.partition, *rate), to.name)));
        }
    }
    let (rate, hot) = hottest.into_iter().find(|(_, hot)| hot.is_splittable)?;
    // Halves help where one of them could be moved, or where nobody could ever bear the whole.
    let has_room = receiver(view, policy, load, node, hot, rate / 2).is_some();
    let is_too_much =
        || view.nodes.iter().filter_map(|other| self::target(other, policy)).all(|most| rate > most);
    if !has_room && !is_too_much() {
        return None;
    }
    let action = Action::SplitPartition { partition: hot.partition, node: node.id };
    Some((action, format!("{}; no node has room for the whole", told(hot.partition, rate))))
}

/// Who could take so much of a partition over, the one with the most room.
fn receiver<'a>(
    view: &'a View,
    policy: &Policy,
    load: &Load,
    from: &'a NodeView,
    hot: &HotPartition,
    rate: u64,
) -> Option<&'a NodeView> {
    let owners_in = |rack: &str| {
        let others = hot.owners.iter().filter(|owner| **owner != from.id);
        others.filter_map(|owner| view.node(*owner)).filter(|owner| owner.rack == rack).count()
    };
    let room = |node: &NodeView| {
        let room = target(node, policy)?.checked_sub(load.operations(node.id))?;
        let has_cores = load.cpu_permille(node.id) <= u64::from(policy.target.cpu) * 10;
        let fits = node.id != from.id
            && node.is_up()
            && !hot.owners.contains(&node.id)
            && owners_in(&node.rack) <= owners_in(&from.rack);
        (has_cores && fits && room >= rate).then_some(room)
    };
    let candidates = view.within(&from.data_center).filter_map(|node| Some((room(node)?, node)));
    candidates.max_by_key(|(room, node)| (*room, Reverse(node.id))).map(|(_, node)| node)
}
