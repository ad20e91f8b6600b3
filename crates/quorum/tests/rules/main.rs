//! The rules of this crate, as tests.

mod levels;
mod models;
mod tracking;
