//! When enough nodes have answered: levels, distinct nodes counted, and who has decided.
//!
//! Pure arithmetic over node ids. A request asks for a [`Level`]; with the [`Owner`]s of its partition that
//! becomes a [`Requirement`]; a [`Tracker`] counts replies until it is met or cannot be; a [`Joint`] does so in two sets of owners at once,
//! for a partition that moves. What the numbers of a keyspace
//! promise is named by [`Model`].
//!
//! In reading order: [`level`], [`owners`], [`tracker`], [`joint`], [`model`].

pub mod joint;
pub mod level;
pub mod model;
pub mod owners;
pub mod tracker;

pub use joint::Joint;
pub use level::{Level, ParseLevelError};
pub use model::{Durability, Model, ParseWordError, QuorumMode};
pub use owners::{DataCenter, Owner, Requirement, required};
pub use tracker::{Decision, Tracker};
