//! The rules of this crate, as tests.

mod joint;
mod levels;
mod models;
mod tracking;
