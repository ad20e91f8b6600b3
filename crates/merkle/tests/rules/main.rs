//! The rules of hash trees, each against a naive model: INVARIANTS F2 and D3.
#![allow(clippy::unwrap_used, reason = "a test fails where there is nothing")]

#[path = "../support/mod.rs"]
mod support;

mod digests;
mod figures;
mod nonsense;
mod rebuilding;
mod shapes;
mod textbook;
mod walking;
