//! Building a tree from stored bytes, page by page, while writes go on.
//!
//! What must hold: each stored record is counted once, as it is at the end. The rebuild goes through the partition in
//! place order and has a position. A write before it changes what was counted; one beyond it does nothing, for it will be
//! read. A page is the store as it was when the page was *begun* and arrives later: what is written in between is in
//! neither, so it is kept, and counted when the page arrives and has turned out to reach that far.
//!
//! Why keep these and not read again: a page takes a disk's time, and a busy partition has writes in each of them. They
//! are few: at most [`KEPT_MAX`], beyond which the page is read again (a smaller one, best).
//!
//! No order is assumed among changes: each is a difference of two sums.

use crate::{Digest, Nodes, Place, Shape};

/// The most changes kept for one page that is being read: 256 KiB.
pub const KEPT_MAX: usize = 8_192;

/// What became of a rebuild by a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Go on from this place.
    More(Place),
    /// Nothing was counted; read again from this place. Either too many changes came while the page was read: a smaller
    /// one will do. Or the page had no room for all keys of its first place: it takes a larger one.
    Again(Place),
    /// The tree is complete and true.
    Done {
        /// In how many leaves the tree that was kept until now was not what is stored. Unless it had been doubted, more
        /// than none is a defect to be reported. Nothing where there was no tree.
        corrected: Option<usize>,
    },
    /// No page was begun: nothing is done.
    Idle,
}

/// A rebuild under way.
#[derive(Debug)]
pub(crate) struct Rebuild {
    nodes: Nodes,
    /// All places before this one are counted.
    position: Place,
    page: Page,
}

/// The page that is being read, and what has changed since it was begun, at the position or beyond.
#[derive(Debug)]
enum Page {
    None,
    Begun(Vec<(Place, u128)>),
    /// More has changed than is kept.
    Overrun,
}

impl Rebuild {
    pub(crate) fn new(shape: Shape) -> Rebuild {
        Rebuild { nodes: Nodes::empty(shape), position: shape.first(), page: Page::None }
    }

    pub(crate) fn begin_page(&mut self) -> Place {
        self.page = Page::Begun(Vec::new());
        self.position
    }

    pub(crate) fn change(&mut self, shape: Shape, place: Place, change: u128) {
        if place < self.position {
            self.count(shape, place, change);
        } else if let Page::Begun(kept) = &mut self.page {
            if kept.len() < KEPT_MAX {
                kept.push((place, change));
            } else {
                self.page = Page::Overrun;
            }
        }
    }

    /// Takes a page. Nothing where it was the last; [`into_nodes`](Self::into_nodes) then has the tree.
    pub(crate) fn page(
        &mut self,
        shape: Shape,
        entries: impl IntoIterator<Item = (Place, Digest)>,
        next: Option<Place>,
    ) -> Option<Progress> {
        let kept = match std::mem::replace(&mut self.page, Page::None) {
            Page::None => return Some(Progress::Idle),
            Page::Overrun => return Some(Progress::Again(self.position)),
            Page::Begun(kept) => kept,
        };
        let end = next.unwrap_or(shape.end());
        if end <= self.position {
            return Some(Progress::Again(self.position));
        }
        let read = entries.into_iter().map(|(place, digest)| (place, digest.0));
        for (place, change) in read.chain(kept) {
            if (self.position..end).contains(&place) {
                self.count(shape, place, change);
            }
        }
        self.position = end;
        next.map(Progress::More)
    }

    pub(crate) fn into_nodes(self) -> Nodes {
        self.nodes
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let kept = if let Page::Begun(kept) = &self.page { kept.capacity() } else { 0 };
        size_of::<Rebuild>() + self.nodes.heap_bytes() + kept * size_of::<(Place, u128)>()
    }

    fn count(&mut self, shape: Shape, place: Place, change: u128) {
        if let Some(leaf) = shape.leaf_of(place) {
            self.nodes.add(leaf, change);
        }
    }
}
