//! What is shown of the autoscaler: whether it decides on this node, what it has decided of late, on which figures, why, and what
//! came of that.

use std::fmt;

use types::{Epoch, WallTime};

use crate::status::Counter;

/// Whoever runs the autoscaler of a node, as front ends see it.
pub trait Autoscaling: fmt::Debug + Send + Sync {
    /// What is to be shown now.
    fn status(&self) -> AutoscalerStatus;

    /// Its figures, since the start of the node.
    fn counters(&self) -> Vec<Counter>;
}

/// The autoscaler of a node.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AutoscalerStatus {
    /// Whether it decides here: this node leads those who keep the cluster state.
    pub decides: bool,
    /// Whether decisions are only told.
    pub dry_run: bool,
    /// `local`, `command`, `kubernetes`, or `none` where the pool is empty.
    pub provider: &'static str,
    /// The fewest members that there may be.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What stands in its way, if anything does: the provider's list cannot be had.
    pub trouble: Option<String>,
    /// What it decided last, which mostly is to do nothing.
    pub latest: Option<DecisionStatus>,
    /// The last decisions to do something, the latest last.
    pub decisions: Vec<DecisionStatus>,
}

/// One decision.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DecisionStatus {
    /// When it was taken.
    pub at: WallTime,
    /// The cluster state that it was taken on.
    pub epoch: Epoch,
    /// What is to be done, in words.
    pub action: String,
    /// Why, in words.
    pub reason: String,
    /// Whether it is only told.
    pub is_dry: bool,
    /// What came of it.
    pub outcome: DecisionOutcome,
    /// The numbers that it was taken on.
    pub figures: AutoscalerFigures,
}

/// What came of a decision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum DecisionOutcome {
    /// There was nothing to be done, or it was only told.
    #[default]
    Nothing,
    /// It is being asked for.
    Asked,
    /// It has begun; what there is to say of that.
    Began(String),
    /// It could not be begun, and why.
    Refused(String),
}

/// The numbers that a decision was taken on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AutoscalerFigures {
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
    /// What is left of the wait before a change for more room, in milliseconds.
    pub cool_down_out_left_ms: u64,
    /// What is left of the wait before a node is retired, in milliseconds.
    pub cool_down_in_left_ms: u64,
    /// Of each data center.
    pub data_centers: Vec<DataCenterLoad>,
}

/// The load of a data center.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DataCenterLoad {
    /// Which.
    pub name: String,
    /// Its nodes that serve and stay.
    pub up: usize,
    /// Those that are down.
    pub down: usize,
    /// Operations per second, smoothed.
    pub operations_per_second: u64,
    /// How many its nodes are good for, if that is known.
    pub operations_per_second_max: Option<u64>,
    /// Busy cores, in thousandths, smoothed.
    pub cpu_permille: u64,
    /// How full the disks are, or the fullest of them, in thousandths, if that is known.
    pub disk_permille: Option<u64>,
    /// The use of what is scarcest over its target, in thousandths.
    pub pressure_permille: u64,
    /// The same by the most that was asked for of late.
    pub pressure_peak_permille: u64,
}
