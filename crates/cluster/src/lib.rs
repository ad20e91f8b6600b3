//! Who is where: members, rings and keyspaces, in one immutable state with an epoch.
//!
//! A [`ClusterState`] is a value. It is founded once, from the same configuration on every node and therefore equal on
//! all of them; it is never changed, only followed by a state with a higher epoch. What changes by the second, which
//! peers can be reached, is not in it but beside it, in a [`Topology`]: a snapshot that a request holds from its
//! beginning to its end.
//!
//! Pure: no clock, no I/O. Reading `henge.toml` and keeping the state in the data directory is the program's part; here
//! are the types that the file is read into and the bytes that are kept.
//!
//! In reading order: [`member`], [`keyspace`] (with [`limits`] and [`preset`]), [`state`], [`topology`]; then
//! [`config`], [`stored`], [`diff`] and [`status`].

pub mod config;
pub mod diff;
pub mod error;
pub mod keyspace;
pub mod limits;
pub mod member;
mod owners;
pub mod preset;
pub mod state;
pub mod status;
pub mod stored;
pub mod topology;

pub use config::{ClusterConfig, KeyspaceConfig, LevelConfig, MemberConfig, founding_plan};
pub use error::{ConfigError, StoredError};
pub use keyspace::Keyspace;
pub use limits::Limits;
pub use member::{Addresses, Member, MemberPlan};
pub use preset::Preset;
pub use quorum::{DataCenter, Durability, QuorumMode};
pub use state::{ClusterState, FoundingPlan, SlotRun};
pub use topology::Topology;
