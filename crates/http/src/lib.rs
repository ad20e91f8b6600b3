//! HTTP and JSON over the same vocabulary as every other front end: a value is the raw body, its context a header.
//!
//! This crate turns requests into [`api::Request`]s and replies into answers, and decides nothing. What it promises:
//!
//! - **The truth about writes.** Every error is a problem document (RFC 9457) whose `result` says `not-done` or
//!   `unknown`, as the node said it (INVARIANTS A5); every answer that is weaker than it might be says so in
//!   `Henge-Marks` (C4).
//! - **Nothing is picked in silence.** A key with siblings answers 300 with all of them.
//! - **Nobody is let in by accident.** Bodies, heads, connections and waits are bounded (K3); a browser's page of
//!   another origin can change nothing (K4).
//!
//! Keys are any bytes, percent-encoded in the path. Two limits are HTTP's own: the empty key has no path, and a path
//! has at most 65,534 bytes, so that the longest keys are for RESP alone.
//!
//! It runs on a runtime of its own, in another thread than the node's event loop, and knows the node only as a
//! [`api::Store`].
//!
//! In reading order: `openapi` lists the routes, `routes` holds them, `problem` what is said when they fail,
//! `guard` who may speak at all, `server` drives the connections.

mod accept;
mod address;
mod body;
mod content;
mod context;
mod digest;
mod door;
mod expiry;
mod front;
mod guard;
mod headers;
mod impatient;
mod json;
mod multipart;
mod openapi;
mod options;
mod params;
mod percent;
mod problem;
mod routes;
mod server;

pub use openapi::router;
pub use options::{ConnectionLimits, HttpOptions};
pub use routes::change::plan_document;
pub use server::serve;
