//! What can be asked, one file per concept. Each handler turns a request into the node's words, asks, and turns the
//! reply back; none of them decides anything.

pub(crate) mod autoscaler;
pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod explain;
pub(crate) mod halve;
pub(crate) mod hashed;
pub(crate) mod health;
pub(crate) mod hot;
pub(crate) mod keys;
pub(crate) mod keyspaces;
pub(crate) mod landing;
pub(crate) mod members;
pub(crate) mod merge;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod partitions;
pub(crate) mod problems;
pub(crate) mod recover;
pub(crate) mod repair;
pub(crate) mod ring;
pub(crate) mod settings;
pub(crate) mod siblings;
pub(crate) mod written;
