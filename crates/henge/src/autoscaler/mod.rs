//! The autoscaler of a node: shows the decider the cluster, and has carried out what it decides.
//!
//! It is made of what a node shows to everybody and asks for what everybody may ask for: the status, what gossip says, and changes.
//! It stands beside the node and not within it, because a provider blocks, and because an operator's own program could do the same.
//!
//! Always true:
//! - It decides where this node leads those who keep the cluster state, and nowhere else. A node that leads no more forgets all, and
//!   one that begins to lead watches for a whole window first; what its predecessor asked for is in the provider's list.
//! - It never waits for the provider: that has a thread of its own, so that the view is looked at whatever a start takes.
//! - Every decision to do something is logged with its figures and reason, and kept ([`board`]), with what came of it.
//! - What drained and left, and was the provider's, is ended through the provider.
//!
//! In reading order: [`settings`]; [`look`] (the view), [`carry`] (what a decision comes to), [`worker`] (the provider's thread),
//! [`board`] (what is shown), then `driver`, which puts them together.
//!
//! Written about in `docs/autoscaler.md`.

mod board;
mod capacity;
mod carry;
mod driver;
mod look;
mod settings;
mod worker;

pub(crate) use driver::{Running, start};
pub(crate) use settings::Settings;
