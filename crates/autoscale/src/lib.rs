//! When to add, retire or replace a node, and when to move, split or merge partitions.
//!
//! A [`Decider`] is shown the cluster as a [`View`] every few seconds, and each time lists one [`Decision`]: what is to be
//! done, which is mostly nothing, with all the numbers that it was taken on and the reason in words. It does nothing
//! itself. Whoever shows it the cluster carries the decision out, by the cluster state and by a provider of nodes, and
//! tells it what came of that.
//!
//! Always true:
//! - One change at a time. Nothing is decided while a change is under way, whoever began it, nor before its cool-down is
//!   over; a change that nothing is seen of is given up in time, and the next is tried after a pause that doubles.
//! - Never beyond the limits: not above `max`, nor what the pool and the racks hold; not below `min`, nor what N, racks
//!   and the disks need.
//! - No memory is needed. A decider that begins anew, on another node, watches for a whole window before it decides; what
//!   its predecessor asked for is in the view.
//! - All is counted in whole numbers and in the order of names, so that the same views bring the same decisions on every
//!   machine.
//!
//! Pure: no clock, no I/O. The one limit that is kept for people rather than by them: a data center of which half the
//! nodes are down is taken for cut off, and nobody in it is replaced.
//!
//! In reading order: [`policy`] (read from [`config`] with [`sections`]), [`view`], [`action`], [`decision`], [`decider`]; then its parts:
//! [`load`] with [`window`], [`change`], [`room`], [`hot`], [`cut`].
//!
//! Written about in `docs/autoscaler.md`.

pub mod action;
pub mod change;
pub mod config;
pub mod cut;
pub mod decider;
pub mod decision;
pub mod error;
pub mod hot;
pub mod load;
pub mod policy;
pub mod room;
pub mod sections;
pub mod text;
pub mod view;
pub mod window;

pub use action::{Action, Replacement, Wanted};
pub use change::Outcome;
pub use config::AutoscalerConfig;
pub use decider::Decider;
pub use decision::{DataCenterFigures, Decision, Figures};
pub use error::PolicyError;
pub use policy::{Percentages, Policy, PoolEntry, ProviderKind};
pub use sections::{CommandConfig, KubernetesConfig, LocalConfig, StatefulSetConfig};
pub use view::{DataCenterNeeds, HotPartition, MovementView, NodeState, NodeView, Requested, View};
