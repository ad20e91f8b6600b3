//! How loaded a data center is: what is asked of it, over what its nodes are good for.
//!
//! What is asked (operations, busy cores, bytes) is added up over all nodes that run, and smoothed; what they are good for
//! counts only the nodes that serve and stay. So the load of a smaller or larger data center can be foretold: the same is
//! asked of fewer or more. Balance between the nodes is the placement's matter, and single hot partitions are [`hot`]'s.
//! Disks are the exception: one that is full stops its node, so the fullest counts where it is above the mean.
//!
//! Pressure is the use of whatever is scarcest over its target: 1000 thousandths are just at the target.
//!
//! [`hot`]: crate::hot

use std::collections::BTreeMap;
use std::fmt;

use types::{NodeId, PartitionId};

use crate::policy::{Percentages, Policy};
use crate::text::percent;
use crate::view::{NodeView, View};
use crate::window::{Mean, Peak};

/// How many of a node's hottest partitions are followed.
pub const HOTTEST_MAX: usize = 16;

/// What is asked of a data center.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    /// Operations per second.
    pub operations_per_second: u64,
    /// Busy cores: thousandths of a node's cores times thousandths of its weight.
    pub cpu: u64,
    /// Bytes on disks.
    pub disk_used_bytes: u64,
}

/// What nodes are good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capacity {
    /// Operations per second; nothing where it is not known of all.
    pub operations_per_second: Option<u64>,
    /// Their weights, in thousandths.
    pub weight_thousandths: u64,
    /// What their disks hold, in bytes; nothing where it is not known of all.
    pub disk_bytes: Option<u64>,
}

/// How much of the capacity is asked for, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Use {
    /// Of the operations per second.
    pub operations_permille: Option<u64>,
    /// Of the cores.
    pub cpu_permille: u64,
    /// Of the disks, or of the fullest of them.
    pub disk_permille: Option<u64>,
}

/// What is scarcest, and how scarce it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pressure {
    /// Use over target, in thousandths.
    pub permille: u64,
    /// Of what.
    pub of: &'static str,
    /// Its use, in thousandths.
    pub use_permille: u64,
    /// Its target, in hundredths.
    pub target_percent: u32,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of its {} (target {} %)", percent(self.use_permille), self.of, self.target_percent)
    }
}

impl Capacity {
    /// What these nodes are good for together.
    pub fn of<'a>(nodes: impl Iterator<Item = &'a NodeView>, policy: &Policy) -> Capacity {
        let nothing = Capacity { operations_per_second: Some(0), weight_thousandths: 0, disk_bytes: Some(0) };
        nodes.fold(nothing, |sum, node| Capacity {
            operations_per_second: add(sum.operations_per_second, operations_max(node, policy)),
            weight_thousandths: sum.weight_thousandths.saturating_add(u64::from(node.weight_thousandths)),
            disk_bytes: add(sum.disk_bytes, Some(node.disk_bytes).filter(|bytes| *bytes > 0)),
        })
    }
}

fn add(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    Some(sum?.saturating_add(more?))
}

/// How many operations per second a node is good for: as declared, or as was learned.
pub fn operations_max(node: &NodeView, policy: &Policy) -> Option<u64> {
    let declared =
        policy.operations_per_second.map(|each| share(each, u64::from(node.weight_thousandths), 1_000));
    declared.or(node.operations_per_second_max)
}

impl Use {
    /// What is asked, over what there is.
    pub fn of(demand: Demand, capacity: Capacity) -> Use {
        let of = |asked: u64, there_is: u64| share(asked, 1_000, there_is);
        Use {
            operations_permille: capacity
                .operations_per_second
                .map(|there_is| of(demand.operations_per_second, there_is)),
            cpu_permille: share(demand.cpu, 1, capacity.weight_thousandths),
            disk_permille: capacity.disk_bytes.map(|there_is| of(demand.disk_used_bytes, there_is)),
        }
    }

    /// What is asked of a data center now, over what its nodes that serve and stay are good for.
    pub fn now(view: &View, data_center: &str, demand: Demand, policy: &Policy) -> Use {
        let up = || view.within(data_center).filter(|node| node.is_up());
        Use::of(demand, Capacity::of(up(), policy)).or_fullest(fullest_permille(up()))
    }

    /// With the fullest disk, where it is above the mean.
    pub fn or_fullest(self, fullest_permille: Option<u64>) -> Use {
        Use { disk_permille: self.disk_permille.max(fullest_permille), ..self }
    }

    /// What is scarcest by these targets.
    pub fn pressure(&self, target: Percentages) -> Pressure {
        let of = |of: &'static str, use_permille: u64, target_percent: u32| Pressure {
            permille: share(use_permille, 100, u64::from(target_percent)),
            of,
            use_permille,
            target_percent,
        };
        let cpu = of("cores", self.cpu_permille, target.cpu);
        let operations = self.operations_permille.map(|use_| of("operations", use_, target.operations));
        let disk = self.disk_permille.map(|use_| of("fullest disk", use_, target.disk));
        // Of equal ones the first.
        let more = |most: Pressure, one: Pressure| if one.permille > most.permille { one } else { most };
        [operations, disk].into_iter().flatten().fold(cpu, more)
    }
}

/// How full the fullest disk is, in thousandths, if that is known of any.
pub fn fullest_permille<'a>(nodes: impl Iterator<Item = &'a NodeView>) -> Option<u64> {
    let known = nodes.filter(|node| node.disk_bytes > 0);
    known.map(|node| share(node.disk_used_bytes, 1_000, node.disk_bytes)).max()
}

/// `value * part / whole`, as much as fits where there is no whole and something is asked.
pub fn share(value: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(value) * u128::from(part);
    match product.checked_div(u128::from(whole)) {
        Some(share) => u64::try_from(share).unwrap_or(u64::MAX),
        None if product == 0 => 0,
        None => u64::MAX,
    }
}

/// What was seen of the load.
#[derive(Clone, Debug, Default)]
pub struct Load {
    nodes: BTreeMap<NodeId, NodeLoad>,
    partitions: BTreeMap<(NodeId, PartitionId), Mean>,
    peaks: BTreeMap<String, Peaks>,
}

#[derive(Clone, Debug, Default)]
struct NodeLoad {
    operations_per_second: Mean,
    cpu_permille: Mean,
}

/// The greatest smoothed demand of late.
#[derive(Clone, Debug, Default)]
struct Peaks {
    operations_per_second: Peak,
    cpu: Peak,
}

impl Load {
    /// Takes in what a view shows.
    pub fn observe(&mut self, view: &View, policy: &Policy) {
        self.nodes.retain(|id, _| view.node(*id).is_some_and(|node| !node.is_down()));
        for node in view.nodes.iter().filter(|node| !node.is_down()) {
            let load = self.nodes.entry(node.id).or_default();
            load.operations_per_second.push(view.now, node.operations_per_second, policy.window);
            load.cpu_permille.push(view.now, u64::from(node.cpu_permille), policy.window);
        }
        self.observe_partitions(view, policy);
        self.peaks.retain(|name, _| view.within(name).next().is_some());
        for name in view.nodes.iter().map(|node| node.data_center.as_str()) {
            let demand = self.demand(view, name);
            let peaks = self.peaks.entry(name.to_owned()).or_default();
            peaks.operations_per_second.push(view.now, demand.operations_per_second, policy.calm);
            peaks.cpu.push(view.now, demand.cpu, policy.calm);
        }
    }

    /// A partition that is no longer among the hottest counts as idle, until nothing is left of it.
    fn observe_partitions(&mut self, view: &View, policy: &Policy) {
        let mut seen = BTreeMap::new();
        for node in view.nodes.iter().filter(|node| !node.is_down()) {
            for hot in node.hottest.iter().take(HOTTEST_MAX) {
                seen.insert((node.id, hot.partition), hot.operations_per_second);
            }
        }
        for place in seen.keys() {
            self.partitions.entry(*place).or_default();
        }
        self.partitions.retain(|place, mean| {
            mean.push(view.now, seen.get(place).copied().unwrap_or(0), policy.window);
            mean.value() > 0
        });
    }

    /// What is asked of a data center, smoothed.
    pub fn demand(&self, view: &View, data_center: &str) -> Demand {
        let running = view.within(data_center).filter(|node| !node.is_down());
        running.fold(Demand::default(), |sum, node| Demand {
            operations_per_second: sum.operations_per_second.saturating_add(self.operations(node.id)),
            cpu: sum.cpu.saturating_add(
                self.cpu_permille(node.id).saturating_mul(u64::from(node.weight_thousandths)),
            ),
            disk_used_bytes: sum.disk_used_bytes.saturating_add(node.disk_used_bytes),
        })
    }

    /// The most that was asked of it of late; what is on its disks is what is there now.
    pub fn peak_demand(&self, view: &View, data_center: &str) -> Demand {
        let now = self.demand(view, data_center);
        let peaks = self.peaks.get(data_center);
        peaks.map_or(now, |peaks| Demand {
            operations_per_second: peaks.operations_per_second.value(),
            cpu: peaks.cpu.value(),
            ..now
        })
    }

    /// Operations per second of a node, smoothed.
    pub fn operations(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |load| load.operations_per_second.value())
    }

    /// How much of a node's cores is busy, in thousandths, smoothed.
    pub fn cpu_permille(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |load| load.cpu_permille.value())
    }

    /// Operations per second of a node on a partition, smoothed.
    pub fn operations_on(&self, node: NodeId, partition: PartitionId) -> u64 {
        self.partitions.get(&(node, partition)).map_or(0, Mean::value)
    }
}
