//! Keeping the tables few and sorted: choosing what to merge ([`mod@choose`], a pure function), and merging it
//! ([`run`]). What may be left out on the way is for [`outside`] to say.

pub(crate) mod choose;
pub(crate) mod outside;
pub(crate) mod run;

#[cfg(test)]
mod testing;

pub(crate) use choose::{Choice, any_choice, choose, choose_dead, choose_partly_dead, choose_to_make_room};
