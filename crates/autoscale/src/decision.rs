//! What was decided, on what figures, and why. A log line is made of its text.

use std::fmt;

use serde::Serialize;
use types::{Epoch, Instant};

use crate::action::Action;
use crate::load::{Capacity, Load, Use};
use crate::policy::Policy;
use crate::text::percent;
use crate::view::{NodeState, View};

/// One decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why, in words.
    pub reason: String,
    /// Whether it is only told: nobody is to carry it out.
    pub is_dry: bool,
    /// The cluster state that it was taken on.
    pub epoch: Epoch,
    /// When it was taken, by the clock of the view.
    #[serde(skip)]
    pub at: Instant,
    /// The numbers that it was taken on.
    pub figures: Figures,
}

/// The numbers that a decision was taken on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Figures {
    /// Members.
    pub members: usize,
    /// Those that serve and stay.
    pub up: usize,
    /// Those that take partitions over.
    pub joining: usize,
    /// Those that give their partitions away.
    pub leaving: usize,
    /// Those that are down.
    pub down: usize,
    /// What the provider has started and is no member.
    pub requested: usize,
    /// Partitions that move, or are to.
    pub movements: usize,
    /// The fewest members that there may be.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What is left of the cool-down before a change for more room, in milliseconds.
    pub cool_down_out_left_ms: u64,
    /// What is left of the cool-down before a node is retired, in milliseconds.
    pub cool_down_in_left_ms: u64,
    /// For each data center, in the order of names.
    pub data_centers: Vec<DataCenterFigures>,
}

/// The load of a data center.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DataCenterFigures {
    /// Which.
    pub name: String,
    /// Its nodes that serve and stay.
    pub up: usize,
    /// Those that are down.
    pub down: usize,
    /// The greatest N that a keyspace has there.
    pub replicas: u32,
    /// Operations per second, smoothed.
    pub operations_per_second: u64,
    /// How many its nodes are good for, if that is known.
    pub operations_per_second_max: Option<u64>,
    /// Operations over that, in thousandths.
    pub operations_permille: Option<u64>,
    /// Busy cores, in thousandths, smoothed.
    pub cpu_permille: u64,
    /// Bytes on its disks.
    pub disk_used_bytes: u64,
    /// What they hold, if that is known.
    pub disk_bytes: Option<u64>,
    /// How full they are, or the fullest of them, in thousandths.
    pub disk_permille: Option<u64>,
    /// The use of what is scarcest over its target, in thousandths.
    pub pressure_permille: u64,
    /// The same by the most that was asked for of late.
    pub pressure_peak_permille: u64,
}

impl Figures {
    /// Of a view, without the cool-downs.
    pub(crate) fn of(view: &View, load: &Load, policy: &Policy) -> Figures {
        let count =
            |wanted: fn(&NodeState) -> bool| view.nodes.iter().filter(|node| wanted(&node.state)).count();
        let mut names: Vec<&str> = view.nodes.iter().map(|node| node.data_center.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        Figures {
            members: view.nodes.len(),
            up: count(|state| matches!(state, NodeState::Up)),
            joining: count(|state| matches!(state, NodeState::Joining)),
            leaving: count(|state| matches!(state, NodeState::Leaving)),
            down: count(|state| matches!(state, NodeState::Down { .. })),
            requested: view.requested.len(),
            movements: view.movements.len().saturating_add(view.waiting),
            min: policy.min,
            max: policy.max,
            cool_down_out_left_ms: 0,
            cool_down_in_left_ms: 0,
            data_centers: names
                .into_iter()
                .map(|name| DataCenterFigures::of(view, load, policy, name))
                .collect(),
        }
    }
}

impl DataCenterFigures {
    fn of(view: &View, load: &Load, policy: &Policy, name: &str) -> DataCenterFigures {
        let (demand, peak) = (load.demand(view, name), load.peak_demand(view, name));
        let capacity = Capacity::of(view.within(name).filter(|node| node.is_up()), policy);
        let now = Use::now(view, name, demand, policy);
        DataCenterFigures {
            name: name.to_owned(),
            up: view.within(name).filter(|node| node.is_up()).count(),
            down: view.within(name).filter(|node| node.is_down()).count(),
            replicas: view.replicas(name),
            operations_per_second: demand.operations_per_second,
            operations_per_second_max: capacity.operations_per_second,
            operations_permille: now.operations_permille,
            cpu_permille: now.cpu_permille,
            disk_used_bytes: demand.disk_used_bytes,
            disk_bytes: capacity.disk_bytes,
            disk_permille: now.disk_permille,
            pressure_permille: now.pressure(policy.target).permille,
            pressure_peak_permille: Use::now(view, name, peak, policy).pressure(policy.target).permille,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dry = if self.is_dry { "dry run: " } else { "" };
        write!(f, "{dry}{}: {} [{}]", self.action, self.reason, self.figures)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} to {} nodes", self.members, self.min, self.max)?;
        for (number, what) in [
            (self.joining, "joining"),
            (self.leaving, "leaving"),
            (self.down, "down"),
            (self.requested, "requested"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        if self.movements > 0 {
            write!(f, ", movements {}", self.movements)?;
        }
        self.data_centers.iter().try_for_each(|figures| write!(f, "; {figures}"))
    }
}

impl fmt::Display for DataCenterFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} up", self.name, self.up)?;
        write!(f, ", {} op/s", self.operations_per_second)?;
        if let (Some(most), Some(permille)) = (self.operations_per_second_max, self.operations_permille) {
            write!(f, " of {most} ({})", percent(permille))?;
        }
        write!(f, ", cpu {}", percent(self.cpu_permille))?;
        if let Some(permille) = self.disk_permille.filter(|permille| *permille > 0) {
            write!(f, ", disk {}", percent(permille))?;
        }
        write!(
            f,
            ", at {} of its targets, {} of late",
            percent(self.pressure_permille),
            percent(self.pressure_peak_permille)
        )
    }
}
