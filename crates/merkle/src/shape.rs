//! Which places make up a leaf, and the parts of a leaf.
//!
//! ```text
//!   the places of a partition, in storage's order          slot - first slot | hash          (slots x 2^64 of them)
//!   cut into equal runs: 32 branches, 1,024 leaves         its upper 5 bits, its upper 10 bits
//!   a leaf cut on as often as is wanted: parts             5 bits more each time
//! ```
//!
//! What must hold: the way from a place to its leaf is a shift. So it is monotone, the same on every node, and has
//! an exact inverse; a leaf is a run of places, and a few range scans read it: one where a partition has no more slots
//! than leaves (so with 16 partitions or more), 16 where it is the whole ring.
//!
//! Why not hash keys to leaves: that would spread them as evenly (hashes already are), and every leaf would take a scan
//! of the whole partition.
//!
//! Why parts: 1,024 leaves are what memory affords for each partition and keyspace. Of a million keys a leaf has a
//! thousand; to list them for one that differs would make the bytes grow with the data again. Leaves are cut on by
//! whoever reads them, and only where they differ.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Place;

/// How many branches a root has, and how many leaves a branch.
pub const FANOUT: u8 = 32;

/// The hash slots of the ring, as `ring` has them.
const SLOTS: u16 = 16_384;

/// Spans are cut no finer than into 2^60 parts of a leaf, so that a part's number fits; a number of keys never gets there.
const PART_BITS_MAX: u32 = 60;

/// Which slots a tree is of, and how it branches. One that came in a message is compared with our own and not used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Shape {
    first_slot: u16,
    slots: u16,
    fanout: u8,
}

/// A run of places that a walk looks at: a leaf, or a part of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Span {
    /// In this leaf.
    pub leaf: u16,
    /// How often the leaf was cut: 0 is the leaf itself.
    pub depth: u8,
    /// Which of the parts, counted from the leaf's first place.
    pub part: u64,
}

impl Span {
    /// A whole leaf.
    pub const fn leaf(leaf: u16) -> Span {
        Span { leaf, depth: 0, part: 0 }
    }
}

impl Shape {
    /// The tree of a partition: 1,024 leaves. Nothing unless the number of slots is a power of two and the ring has them.
    pub const fn new(first_slot: u16, slots: u16) -> Option<Shape> {
        Shape::with_fanout(first_slot, slots, FANOUT)
    }

    /// A smaller tree, with `fanout` times `fanout` leaves, a power of two from 2 to 32: the trees of textbooks.
    pub const fn with_fanout(first_slot: u16, slots: u16, fanout: u8) -> Option<Shape> {
        let there = slots.is_power_of_two() && slots <= SLOTS && first_slot <= SLOTS - slots;
        let branches = fanout.is_power_of_two() && fanout >= 2 && fanout <= FANOUT;
        if there && branches { Some(Shape { first_slot, slots, fanout }) } else { None }
    }

    /// The first place that there is.
    pub const fn first(self) -> Place {
        Place { slot: self.first_slot, hash: 0 }
    }

    /// The place behind the last that there is.
    pub const fn end(self) -> Place {
        Place { slot: self.first_slot + self.slots, hash: 0 }
    }

    /// How many branches there are, and leaves on each.
    pub const fn fanout(self) -> u8 {
        self.fanout
    }

    /// How many leaves there are.
    pub const fn leaves(self) -> u16 {
        self.fanout as u16 * self.fanout as u16
    }

    /// The leaf that a place belongs to; nothing for a place of another partition.
    pub fn leaf_of(self, place: Place) -> Option<u16> {
        let leaf = self.offset(place)? >> self.bits(0);
        Some(u16::try_from(leaf).expect("an offset has ten bits above a leaf's"))
    }

    /// The places of a leaf; nothing where there is no such leaf. The exact inverse of [`leaf_of`](Self::leaf_of).
    pub fn places_of(self, leaf: u16) -> Option<Range<Place>> {
        self.places(Span::leaf(leaf))
    }

    /// Whether the tree has such a span.
    pub const fn has(self, span: Span) -> bool {
        span.leaf < self.leaves()
            && span.depth <= self.depth_max()
            && span.part >> (self.fan_bits() * span.depth as u32) == 0
    }

    /// The places of a span; nothing where there is no such span.
    pub fn places(self, span: Span) -> Option<Range<Place>> {
        let start = self.start(span)?;
        Some(self.place_at(start)..self.place_at(start + (1 << self.bits(span.depth))))
    }

    /// The parts that a span is cut into; nothing where it is cut as finely as can be.
    pub fn parts(self, span: Span) -> Option<impl DoubleEndedIterator<Item = Span> + use<>> {
        let Span { leaf, depth, part } = span;
        let first = part << self.fan_bits();
        let cut = move |nth: u8| Span { leaf, depth: depth + 1, part: first + u64::from(nth) };
        (self.has(span) && depth < self.depth_max()).then(|| (0..self.fanout).map(cut))
    }

    /// Which of a span's parts a place is in: `Some(0)` where the span is not cut, nothing where the place is elsewhere.
    pub fn part_of(self, span: Span, place: Place) -> Option<usize> {
        let beyond = self.offset(place)?.checked_sub(self.start(span)?)?;
        let bits = self.bits(span.depth);
        let inside = beyond >> bits == 0;
        let cut = if span.depth < self.depth_max() { beyond >> (bits - self.fan_bits()) } else { 0 };
        inside.then(|| usize::try_from(cut).expect("fewer parts than the fan-out"))
    }

    /// How often a leaf can be cut.
    const fn depth_max(self) -> u8 {
        let bits = self.bits(0);
        let bits = if bits < PART_BITS_MAX { bits } else { PART_BITS_MAX };
        #[allow(clippy::cast_possible_truncation, reason = "at most 60")]
        let cuts = (bits / self.fan_bits()) as u8;
        cuts
    }

    const fn fan_bits(self) -> u32 {
        self.fanout.trailing_zeros()
    }

    /// The bits of an offset within a span of this depth.
    const fn bits(self, depth: u8) -> u32 {
        64 + self.slots.trailing_zeros() - self.fan_bits() * (2 + depth as u32)
    }

    /// The offset of a span's first place.
    fn start(self, span: Span) -> Option<u128> {
        let inside = |offset: u128| offset + (u128::from(span.part) << self.bits(span.depth));
        self.has(span).then(|| inside(u128::from(span.leaf) << self.bits(0)))
    }

    /// How many places of the partition come before this one.
    fn offset(self, place: Place) -> Option<u128> {
        let slot = place.slot.checked_sub(self.first_slot).filter(|slot| *slot < self.slots)?;
        Some((u128::from(slot) << 64) | u128::from(place.hash))
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "slot and hash are taken out of what they were put into"
    )]
    fn place_at(self, offset: u128) -> Place {
        Place { slot: self.first_slot + (offset >> 64) as u16, hash: offset as u64 }
    }
}
