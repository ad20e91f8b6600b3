//! Where there is room for a node more, and where one can be spared.
//!
//! What must hold: a place is only ever found within `max`, `max_per_rack` and the pool; and a node is only ever spared
//! where those that remain are no fewer than `min` and the greatest N of their data center, stand in as many racks as that
//! N needs (or as there are), and hold all data below the targets.
//!
//! Each answer that is a *no* says why in words, for that is what people ask.

use std::collections::BTreeSet;

use types::NodeId;

use crate::action::Wanted;
use crate::load::{Capacity, Demand, Use, fullest_permille, share};
use crate::policy::{Policy, PoolEntry};
use crate::text::{count, percent};
use crate::view::{NodeView, View};

/// Where a node may be started in a data center. `without` is a member that will be gone then, and does not count.
///
/// # Errors
/// Why there is no room, in words.
pub fn place<'a>(
    view: &View,
    policy: &'a Policy,
    data_center: &str,
    without: Option<NodeId>,
) -> Result<&'a PoolEntry, String> {
    let members = || view.nodes.iter().filter(|node| Some(node.id) != without);
    let total = members().count() + view.requested.len();
    if total >= usize::try_from(policy.max).unwrap_or(usize::MAX) {
        return Err(format!("there are {}, and max is {}", count(wide(total), "node"), policy.max));
    }
    let in_rack = |entry: &PoolEntry| {
        let members = members().filter(|node| is_in(entry, &node.data_center, &node.rack));
        let requested = view.requested.iter().filter(|one| is_in(entry, &one.data_center, &one.rack));
        (
            members.clone().count() + requested.clone().count(),
            members.filter(|node| node.is_provided).count() + requested.count(),
        )
    };
    let entries = policy.pool.iter().filter(|entry| entry.data_center == data_center);
    let mut free: Vec<(usize, &PoolEntry)> = Vec::new();
    for entry in entries.clone() {
        let (all, provided) = in_rack(entry);
        let is_full = policy.max_per_rack.is_some_and(|max| wide(all) >= u64::from(max));
        if !is_full && wide(provided) < u64::from(entry.nodes) {
            free.push((all, entry));
        }
    }
    free.sort_by_key(|(all, entry)| (*all, entry.rack.as_str()));
    match free.first() {
        Some((_, entry)) => Ok(entry),
        None if entries.count() == 0 => Err(format!("the pool has nothing in {data_center}")),
        None => Err(format!("the pool's racks in {data_center} are full")),
    }
}

fn is_in(entry: &PoolEntry, data_center: &str, rack: &str) -> bool {
    entry.data_center == data_center && entry.rack == rack
}

/// A request for a node there. The same cluster state, place and number of attempts make the same request.
pub fn wanted(view: &View, entry: &PoolEntry, attempt: u32) -> Wanted {
    Wanted {
        request: format!("e{}-{}-{}-{attempt}", view.epoch.0, entry.data_center, entry.rack),
        name: entry.name.clone(),
        data_center: entry.data_center.clone(),
        rack: entry.rack.clone(),
        weight_thousandths: entry.weight_thousandths,
    }
}

/// Which node of a data center can be spared best: the one that has least to give away, of the rack that has most nodes.
/// `demand` is the most that was asked of late.
///
/// # Errors
/// Why none can be spared, in words.
pub fn spare<'a>(
    view: &'a View,
    policy: &Policy,
    data_center: &'a str,
    demand: Demand,
) -> Result<(&'a NodeView, u64), String> {
    if view.nodes.len() <= usize::try_from(policy.min).unwrap_or(usize::MAX) {
        return Err(format!(
            "there are {}, and min is {}",
            count(wide(view.nodes.len()), "node"),
            policy.min
        ));
    }
    let mut candidates: Vec<&NodeView> =
        view.within(data_center).filter(|node| node.is_up() && node.is_retirable).collect();
    if candidates.is_empty() {
        return Err(format!("the provider can end no node of {data_center}"));
    }
    let in_rack = |node: &NodeView| view.within(data_center).filter(|other| other.rack == node.rack).count();
    candidates.sort_by_key(|node| {
        (std::cmp::Reverse(in_rack(node)), node.partitions, node.disk_used_bytes, std::cmp::Reverse(node.id))
    });
    let mut why = String::new();
    for node in candidates {
        let pressure = after(view, policy, node.id, data_center, demand)
            .and_then(|pressure| has_racks(view, node.id, data_center).map(|()| pressure));
        match pressure {
            Ok(pressure) if pressure < u64::from(policy.low_percent) * 10 => return Ok((node, pressure)),
            Ok(pressure) => {
                let low = u64::from(policy.low_percent) * 10;
                let after = percent(pressure);
                why = format!(
                    "without {} {data_center} would be at {after} of its targets, and is to be below {}",
                    node.name,
                    percent(low)
                );
            }
            Err(no) => why = no,
        }
    }
    Err(why)
}

/// Whether those that remain can take over what a dead node had, in as many racks as before if that `needs_racks`.
///
/// # Errors
/// Why not, in words.
pub fn can_do_without(
    view: &View,
    policy: &Policy,
    dead: &NodeView,
    demand: Demand,
    needs_racks: bool,
) -> Result<(), String> {
    // What it had is copied anew, whatever its disk says.
    let disk_used_bytes = demand.disk_used_bytes.saturating_add(dead.disk_used_bytes);
    after(view, policy, dead.id, &dead.data_center, Demand { disk_used_bytes, ..demand })?;
    if needs_racks { has_racks(view, dead.id, &dead.data_center) } else { Ok(()) }
}

/// Whether a data center has as many racks without a node as its N needs, or as there were.
fn has_racks(view: &View, gone: NodeId, data_center: &str) -> Result<(), String> {
    let replicas = u64::from(view.replicas(data_center));
    let racks = |nodes: &mut dyn Iterator<Item = &NodeView>| {
        wide(nodes.map(|node| node.rack.as_str()).collect::<BTreeSet<&str>>().len())
    };
    let before = racks(&mut view.within(data_center));
    let after = racks(&mut view.within(data_center).filter(|node| node.is_up() && node.id != gone));
    if after < before.min(replicas) {
        return Err(format!("{data_center} would stand in {after} of {before} racks, and N is {replicas}"));
    }
    Ok(())
}

/// The pressure on a data center once a node of it is gone, in thousandths.
fn after(
    view: &View,
    policy: &Policy,
    gone: NodeId,
    data_center: &str,
    demand: Demand,
) -> Result<u64, String> {
    let replicas = view.replicas(data_center);
    let remaining = || view.within(data_center).filter(move |node| node.is_up() && node.id != gone);
    if wide(remaining().count()) < u64::from(replicas) {
        let there_are = count(wide(remaining().count()), "node");
        return Err(format!("{there_are} would remain in {data_center}, and N is {replicas}"));
    }
    let capacity = Capacity::of(remaining(), policy);
    // Data follows weights, and the disks need not.
    for node in remaining().filter(|node| node.disk_bytes > 0) {
        let weight = u64::from(node.weight_thousandths);
        let bytes = share(demand.disk_used_bytes, weight, capacity.weight_thousandths);
        let used = share(bytes, 1_000, node.disk_bytes);
        if used > u64::from(policy.target.disk) * 10 {
            let (used, target) = (percent(used), policy.target.disk);
            return Err(format!("the disk of {} would be full to {used} (target {target} %)", node.name));
        }
    }
    // Whatever makes one disk fuller than others now will make it so then.
    let is_up = || view.within(data_center).filter(|node| node.is_up());
    let weights = Capacity::of(is_up(), policy).weight_thousandths;
    let fullest = fullest_permille(remaining()).map(|now| share(now, weights, capacity.weight_thousandths));
    Ok(Use::of(demand, capacity).or_fullest(fullest).pressure(policy.target).permille)
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
