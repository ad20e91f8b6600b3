//! Keeping the tables few and sorted: choosing what to merge ([`mod@choose`], a pure function), and merging it
//! ([`run`]).

pub(crate) mod choose;
pub(crate) mod run;

pub(crate) use choose::{Choice, choose};
