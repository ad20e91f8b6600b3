//! The front end as clients meet it: every route, every error, hostile requests, and the description.

#![allow(clippy::unwrap_used)] // A helper that panics fails its test, as it should.

mod autoscaler;
mod changes;
mod client;
mod cluster;
mod fake;
mod fuzz;
mod guard;
mod hashed;
mod hostile;
mod keys;
mod openapi;
mod problems;
mod siblings;
