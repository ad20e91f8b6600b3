//! Where keys are, in the order in which storage keeps them.
//!
//! Storage orders keys by (slot, keyspace, hash, key). Within one keyspace that is the order of places, so whatever is a
//! run of places here is in storage one run of keys for each slot that it touches.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A key's slot and, within it, its hash (`ring::key_hash`). Different keys may share a place, if hardly ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The slot.
    pub slot: u16,
    /// The hash.
    pub hash: u64,
}

/// A stored key, as a tree sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Where it is.
    pub place: Place,
    /// The key as the client gave it.
    pub key: &'a [u8],
    /// What it and its record come to.
    pub digest: Digest,
}

/// Consecutive places within one slot: what one range scan reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The slot.
    pub slot: u16,
    /// The first hash.
    pub first: u64,
    /// The last hash.
    pub last: u64,
}

/// The runs that make up a range of places, in order. All but the outermost are whole slots.
pub fn runs(places: Range<Place>) -> impl Iterator<Item = Run> {
    let Range { start, end } = places;
    (start.slot..=end.slot).filter_map(move |slot| {
        let first = if slot == start.slot { start.hash } else { 0 };
        let last = if slot == end.slot { end.hash.checked_sub(1)? } else { u64::MAX };
        (first <= last).then_some(Run { slot, first, last })
    })
}
