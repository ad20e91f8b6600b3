//! Who is where: members, rings and keyspaces, in one immutable state with an epoch.
//!
//! A [`ClusterState`] is a value. It is founded once, from the same configuration on every node and therefore equal on
//! all of them; it is never changed, only followed by a state with a higher epoch, which a [`Command`] makes of it. What changes by
//! the second, which peers can be reached, is not in it but beside it, in a [`Topology`]: a snapshot that a request holds from its
//! beginning to its end.
//!
//! Pure: no clock, no I/O. Reading `henge.toml` and keeping the state in the data directory is the program's part; here
//! are the types that the file is read into and the bytes that are kept.
//!
//! In reading order: [`member`], [`keyspace`] (with [`limits`] and [`preset`]), [`layout`], [`movement`], [`state`], [`topology`];
//! then what changes a state: [`command`] (and [`change`], what people ask for), [`mod@apply`], [`schedule`], [`recovery`]; then [`config`],
//! [`stored`], [`diff`], [`status`] and [`moves`].

pub mod apply;
pub mod change;
pub mod command;
mod concerned;
pub mod config;
pub mod diff;
pub mod error;
pub mod keyspace;
pub mod layout;
pub mod limits;
pub mod member;
pub mod movement;
pub mod moves;
mod owners;
mod parts;
pub mod preset;
pub mod recovery;
pub mod schedule;
pub mod state;
pub mod status;
pub mod stored;
pub mod topology;

pub use command::{Command, Refused, STEPS_MAX};
pub use config::{ClusterConfig, KeyspaceConfig, LevelConfig, MemberConfig, founding_plan, joins, node_plan};
pub use error::{ConfigError, StoredError};
pub use keyspace::Keyspace;
pub use layout::{LAYOUTS_MAX, Layout, LayoutId};
pub use limits::Limits;
pub use member::{Addresses, Member, MemberPlan, Standing};
pub use movement::{Movement, Session, Stage, Step};
pub use moves::{Keepers, MovementFigures};
pub use owners::Owners;
pub use preset::Preset;
pub use quorum::{DataCenter, Durability, QuorumMode};
pub use recovery::{EPOCHS_OF_A_GENERATION, generation_of};
pub use schedule::{MOVEMENTS_OF_A_NODE_MAX, Progress, Report};
pub use state::{ClusterState, FoundingPlan, SlotRun};
pub use topology::Topology;
