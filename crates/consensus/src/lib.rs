//! One agreed log among a few members: Raft (Ongaro and Ousterhout, *In Search of an Understandable Consensus
//! Algorithm*, 2014), without clocks, threads, sockets or files.
//!
//! A [`Group`] is one member of one group. It is told what happened (a message came, time has passed, a write is on stable
//! storage) and lists what is to be done about it ([`Effect`]). What is agreed on are bytes, in one order, and who the members
//! are. What the bytes mean is none of this crate's business.
//!
//! What must hold. (1) Nothing leaves a member that promises what its disk does not hold yet: votes and acknowledgements wait
//! here until the driver has said that the write before them is durable (INVARIANTS G2). (2) Who the members are follows from
//! the snapshot and the committed entries after it and from nothing else, it changes by one member at a time, and a
//! [`MemberId`] that was ever used is never used again (G3). (3) No message, whatever it says, makes a member panic: what the
//! library would stop at is refused before ([`guard`]). (4) One seed, one run: nothing here draws from the system or depends
//! on the order of a hash map.
//!
//! The protocol itself is the library raft-rs, which only `log`, `convert` and `group` know of. Why that one, and what its
//! use is bound to: `docs/decisions/2026-12-01-raft-rs.md`.
//!
//! Not here: who carries messages, what is replicated, when to add or remove a member.
//!
//! In reading order: [`membership`] and [`entry`] (what is agreed on), [`message`] (what members say), [`effect`] (what a
//! driver does), [`options`], [`group`] (the state machine) with its [`status`], `held` (what waits for the disk), [`guard`] (what is refused),
//! `log` and `convert` (towards the library); and for the disk [`stored`] (what is kept), [`layout`] (its bytes) and [`store`].

mod bytes_form;
mod convert;
pub mod effect;
pub mod entry;
pub mod group;
pub mod guard;
mod held;
pub mod layout;
mod log;
pub mod membership;
pub mod message;
pub mod options;
pub mod status;
pub mod store;
pub mod stored;

pub use effect::{Effect, ReadToken, Write};
pub use entry::{Entry, HardState, Payload, Position, Snapshot};
pub use group::{CompactError, Group, NotLeader, OpenError, Refused};
pub use guard::Unfit;
pub use layout::{Damage, Owner};
pub use membership::{Change, MemberId, Membership, MembershipError};
pub use message::{DecodeError, Message};
pub use options::{Options, OptionsError};
pub use status::{Follower, Role, Status};
pub use store::{Store, StoreError};
pub use stored::{Contradiction, Stored};
