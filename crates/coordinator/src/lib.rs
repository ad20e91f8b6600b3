//! One state machine for each client operation: whom to ask, when enough have answered, what to say.
//!
//! The coordinator is whichever node a client happens to talk to. It sends the same messages to itself, when it is an
//! owner, as to its peers. No clock, no sockets, no storage: time comes in with each event, and what is to happen goes out
//! as effects, in order.
//!
//! What must hold: replies are counted by distinct owners (INVARIANTS A2); *not done* is said only while no owner can have
//! stored the write (A5); every operation ends by its deadline and every table here has a bound (J1); where R and W are
//! majorities of a strict keyspace, what a read returned is held by a write quorum before it is returned (C2).
//!
//! In reading order: [`target`] (a key and its owners), [`pace`] (how fast owners answer, and what may be asked twice),
//! [`relaying`] (how a write crosses between data centers), [`read`] (collect R answers), [`settle`]
//! (make sure that what was found stays found), [`repairs`] (what is on its way to owners that are behind), [`get`],
//! [`mutation`] (put, delete, expire at the maker), [`forward`] (to a maker), [`walk`] (scan, count), [`explain`], and
//! [`operations`], which keeps them all.

pub mod answer;
pub mod explain;
pub mod forward;
pub mod get;
pub mod mutation;
pub mod operations;
pub mod pace;
pub mod read;
pub mod repairs;
pub mod settle;
pub mod stand_ins;
pub mod target;
pub mod walk;

mod relaying;

pub use operations::{Alone, Beside, Effect, Ids, Operations, Options, Origin};
