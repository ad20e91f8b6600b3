//! The tree of one partition and keyspace of an owner: true, in doubt, or unknown.
//!
//! What must hold (INVARIANTS F2): while it stands as true, it is what a tree built from the stored records would be. It
//! begins as unknown, because a node that starts knows nothing, and becomes true by a rebuild from stored bytes. Whoever
//! has a reason to doubt it (a block found damaged, a write whose former record could not be read) says so, and must
//! rebuild it.
//!
//! A tree in doubt is kept until the rebuild is done, and goes on following the writes. To compare it is harmless: what a
//! walk finds is looked at key by key and merged. What it must not be used for is to conclude that two owners are equal.
//!
//! The owner reports each write where it takes effect for readers, with the digests of the record before and after it.
//! That costs an addition, and nothing is set aside except for a branch's first key. There is no lock and no pause: a
//! rebuild goes on between writes ([`rebuild`](crate::rebuild)).

use crate::rebuild::Rebuild;
use crate::{Digest, Nodes, Place, Progress, Shape};

/// How far a tree can be relied on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is that of what is stored.
    True,
    /// There is one, and there is a reason to doubt it.
    Doubted,
    /// There is none.
    Unknown,
}

/// The tree of one partition and keyspace.
#[derive(Debug)]
pub struct Tree {
    shape: Shape,
    /// The last complete tree.
    complete: Option<Nodes>,
    doubted: bool,
    rebuild: Option<Box<Rebuild>>,
}

impl Tree {
    /// Of a partition of which it is not known what is stored.
    pub const fn unknown(shape: Shape) -> Tree {
        Tree { shape, complete: None, doubted: false, rebuild: None }
    }

    /// Of a partition in which it is known that nothing is stored.
    pub const fn empty(shape: Shape) -> Tree {
        Tree { shape, complete: Some(Nodes::empty(shape)), doubted: false, rebuild: None }
    }

    /// What it is of.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How far it can be relied on.
    pub const fn standing(&self) -> Standing {
        match (&self.complete, self.doubted) {
            (Some(_), false) => Standing::True,
            (Some(_), true) => Standing::Doubted,
            (None, _) => Standing::Unknown,
        }
    }

    /// The hashes to compare: those of the last complete tree, be it in doubt or not; nothing where it is unknown.
    pub const fn nodes(&mut self) -> Option<&mut Nodes> {
        self.complete.as_mut()
    }

    /// A key's record has changed: the digest of what was stored, and of what is. Nothing stands for no record.
    ///
    /// To be called in the same step in which the change takes effect for readers of the store, so that it is clear of
    /// each page of a rebuild whether it has the change or not.
    ///
    /// # Panics
    /// If the place is one of another partition.
    pub fn change(&mut self, place: Place, before: Option<Digest>, after: Option<Digest>) {
        let leaf = self.shape.leaf_of(place).expect("a change is reported to the tree of its partition");
        let sum = |digest: Option<Digest>| digest.map_or(0, |digest| digest.0);
        let change = sum(after).wrapping_sub(sum(before));
        if let Some(nodes) = &mut self.complete {
            nodes.add(leaf, change);
        }
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.change(self.shape, place, change);
        }
    }

    /// There is a reason to doubt the tree. The last complete one is kept to be compared; a rebuild under way is given
    /// up, since what it has counted may be as wrong.
    pub fn doubt(&mut self) {
        self.doubted = true;
        self.rebuild = None;
    }

    /// The tree is unknown from here on, and nothing is kept of it, nor of a rebuild.
    pub fn forget(&mut self) {
        *self = Tree::unknown(self.shape);
    }

    /// Begins a rebuild from stored bytes, from the first place on. One that was under way is given up.
    pub fn begin_rebuild(&mut self) {
        self.rebuild = Some(Box::new(Rebuild::new(self.shape)));
    }

    /// Gives up a rebuild, because a page of it cannot be read. What was complete before stays so.
    pub fn end_rebuild(&mut self) {
        self.rebuild = None;
    }

    /// Whether a rebuild is under way.
    pub const fn is_rebuilding(&self) -> bool {
        self.rebuild.is_some()
    }

    /// The place from which the next page of the rebuild is to be read; nothing where none is under way.
    ///
    /// To be called in the step in which the page's view of the store is taken. Changes from here on are not in the page;
    /// they are kept until it arrives. To ask again is to begin the page again, with a new view.
    pub fn begin_page(&mut self) -> Option<Place> {
        self.rebuild.as_mut().map(|rebuild| rebuild.begin_page())
    }

    /// A page of the rebuild: what is stored from where it began up to, and without, `next`; to the end if that is
    /// nothing. Keys of one place are never parted: entries at `next` are those of the next page.
    pub fn page(
        &mut self,
        entries: impl IntoIterator<Item = (Place, Digest)>,
        next: Option<Place>,
    ) -> Progress {
        let Some(rebuild) = &mut self.rebuild else {
            return Progress::Idle;
        };
        let next = next.filter(|&next| next < self.shape.end());
        if let Some(ended) = rebuild.page(self.shape, entries, next) {
            return ended;
        }
        let rebuilt = self.rebuild.take().map_or_else(|| Nodes::empty(self.shape), |done| done.into_nodes());
        let corrected = self.complete.as_ref().map(|old| old.differing_leaves(&rebuilt));
        self.complete = Some(rebuilt);
        self.doubted = false;
        Progress::Done { corrected }
    }

    /// The memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        let complete = self.complete.as_ref().map_or(0, Nodes::heap_bytes);
        size_of::<Tree>() + complete + self.rebuild.as_ref().map_or(0, |rebuild| rebuild.memory_bytes())
    }
}
