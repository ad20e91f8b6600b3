//! Who is alive, and how loaded: what every node tells a few others of what it has heard of all.
//!
//! Liveness and load only. Who the members are comes from the cluster state, through [`Gossip::set_members`], and
//! what is heard of anybody else is ignored: the ring never comes from gossip, and a verdict changes who is asked
//! first and never who is an owner (INVARIANTS E9).
//!
//! Each node raises its own heartbeat each round, and exchanges with a few random peers what both know of everybody:
//! digest, difference, difference. What one knows of one node only grows, and two states merge to the greater of
//! both, so messages may be lost, doubled, delayed or replayed. Silence is judged by phi accrual, and only what two
//! independent observers agree on is called *down*. `docs/protocols/gossip.md` has the rules and the figures.
//!
//! Not here: sockets, clocks, who the members are, and what a verdict is used for.
//!
//! In reading order: [`state`] (what is known of a node, and how it merges), [`message`], [`codec`] and [`seal`] (how
//! it travels), [`detector`] (silence), [`suspicion`] and [`verdict`] (what follows from it), [`options`], and
//! [`gossip`] (the state machine), with what it keeps of each `member`, how it spreads it (`rotation`, `exchange`), how it judges
//! (`judge`), and what it shows ([`table`]).

pub mod codec;
pub mod detector;
mod exchange;
pub mod gossip;
mod judge;
mod member;
pub mod message;
pub mod options;
mod rotation;
pub mod seal;
pub mod state;
pub mod suspicion;
pub mod table;
pub mod verdict;

pub use codec::DecodeError;
pub use gossip::{FactError, Gossip, Outgoing, Refused};
pub use options::{Options, OptionsError};
pub use seal::{OpenError, SEAL_BYTES, Seal, SecretError};
pub use state::{Fact, Generation, Key, NodeState, Pulse, Start};
pub use table::Row;
pub use verdict::{Change, Verdict};
