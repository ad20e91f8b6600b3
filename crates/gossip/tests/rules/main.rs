//! The rules of gossip, each by itself.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests, and small fixed inputs")]

mod codec;
mod detecting;
mod exchange;
mod given;
mod merging;
mod sealing;
mod talk;
mod verdicts;
