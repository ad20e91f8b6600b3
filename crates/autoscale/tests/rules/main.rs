//! The rules that decisions keep, whatever load and failures come.
//!
//! A cluster that is only a model, with a provider that may fail, lives for hours of its own time under a load that rises,
//! falls, swings and jitters.
#![allow(clippy::unwrap_used, reason = "a model that is wrong fails its test")]

mod deciding;
mod heating;
mod model;
mod settings;
