//! The front end from outside: scripts of commands and exact replies, remembered contexts, order, abuse, a socket.

#![allow(clippy::unwrap_used)] // A helper that panics fails its test, as it should.

mod abuse;
mod cluster;
mod contexts;
mod errors;
mod golden;
mod keyspaces;
mod order;
mod parser;
mod socket;
mod support;
