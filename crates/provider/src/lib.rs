//! Where nodes come from: whoever starts and ends them when the autoscaler asks.
//!
//! A [`Provider`] starts a node that joins the cluster by itself, ends a node that has left it, and lists what it has
//! started. It decides nothing and knows nothing of load; and it never drains: a node that it is asked to end has given its
//! data away before.
//!
//! Always true:
//! - Every call ends within a bound that the provider was given, also where a program hangs or a server is silent.
//! - Every call may be made again. A node is asked for under the name of a request, and the same request is the same node;
//!   ending what has ended is done.
//! - An error says whether nothing was done, or whether that is not known. What is not known shows in the next list.
//! - Nothing is ended that the provider did not start.
//!
//! Calls block, for seconds at times. Whoever makes them has a thread for that: there is one change at a time, so one thread
//! is enough, and no executor is needed where the work is to wait for a process.
//!
//! In reading order: [`contract`], [`error`]; [`command`] with [`hook`]; [`local`]. Pods of Kubernetes are a crate of their
//! own, because its client is as large as all the rest together.
//!
//! Written about in `docs/autoscaler.md`.

pub mod command;
pub mod contract;
pub mod error;
pub mod hook;
pub mod local;

pub use command::Command;
pub use contract::{Order, Provided, Provider};
pub use error::ProviderError;
pub use local::Local;
