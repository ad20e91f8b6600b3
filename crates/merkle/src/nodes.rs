//! The hashes of one tree: leaves, branches, root.
//!
//! ```text
//!   root      XXH3 of the branches
//!   branch    XXH3 of its leaves
//!   leaf      the sum, modulo 2^128, of the digests of the keys in it
//! ```
//!
//! What must hold: the hashes depend on which digests are in, and on nothing else: not on the order in which they came,
//! nor on what has come and gone. A part of the tree without keys is 0, whether or not it ever had some.
//!
//! Why a sum: a write takes one digest out of a leaf and puts another in, without a look at the others. XOR does that
//! too, but what is put in twice is gone: with a sum a mistake of that kind shows. Why not a sum all the way up, which would
//! need no hashing at all: branches are hashed over *where* their leaves are, so that two mistakes in different
//! leaves cannot cancel.
//!
//! Branches and root are computed when they are asked for, a branch only if one of its leaves has changed since. A
//! change is an addition and two flags. Memory is set aside for a branch's leaves when the first key comes: an empty tree
//! has none, a full one 16 KiB for its leaves and 1 KiB besides.

use xxhash_rust::xxh3::xxh3_128;

use crate::shape::FANOUT;
use crate::{Digest, Shape, Short};

/// The leaves of a tree, and what they come to.
#[derive(Clone, Debug)]
pub struct Nodes {
    fanout: u8,
    /// The leaves of each branch; an empty box where there was never a key. Empty until there was one anywhere.
    leaves: Vec<Box<[u128]>>,
    /// The hash of each branch. Empty until it is asked for.
    branches: Vec<u128>,
    /// One bit for each branch whose hash is not that of its leaves.
    stale: u32,
    /// The hash of the branches, if none is stale.
    root: Option<Digest>,
}

impl Nodes {
    /// A tree without keys.
    pub const fn empty(shape: Shape) -> Nodes {
        Nodes {
            fanout: shape.fanout(),
            leaves: Vec::new(),
            branches: Vec::new(),
            stale: 0,
            root: Some(Digest(0)),
        }
    }

    /// Puts in, or takes out, what a change comes to.
    pub(crate) fn add(&mut self, leaf: u16, change: u128) {
        let (branch, nth) = self.branch_of(leaf);
        if self.leaves.is_empty() {
            self.leaves.resize_with(usize::from(self.fanout), Box::default);
        }
        let leaves = &mut self.leaves[branch];
        if leaves.is_empty() {
            *leaves = vec![0; usize::from(self.fanout)].into_boxed_slice();
        }
        leaves[nth] = leaves[nth].wrapping_add(change);
        self.stale |= 1 << branch;
        self.root = None;
    }

    /// The hash of everything.
    pub fn root(&mut self) -> Digest {
        if let Some(root) = self.root {
            return root;
        }
        self.refresh();
        let root = Digest(hash(&self.branches));
        self.root = Some(root);
        root
    }

    /// The hashes of all branches, in order.
    pub fn branches(&mut self) -> Vec<Short> {
        self.refresh();
        self.branches.iter().map(|&branch| Digest(branch).short()).collect()
    }

    /// The leaves of those branches whose bit is set, in order.
    pub fn leaves(&self, branches: u32) -> Vec<Short> {
        let asked = (0..u16::from(self.fanout)).filter(|branch| branches >> branch & 1 == 1);
        let leaves = asked.flat_map(|branch| {
            let first = branch * u16::from(self.fanout);
            first..first + u16::from(self.fanout)
        });
        leaves.map(|leaf| self.leaf(leaf).short()).collect()
    }

    /// A leaf.
    pub fn leaf(&self, leaf: u16) -> Digest {
        let (branch, nth) = self.branch_of(leaf);
        Digest(self.leaves.get(branch).and_then(|leaves| leaves.get(nth)).copied().unwrap_or(0))
    }

    /// In how many leaves two trees of one shape differ.
    pub fn differing_leaves(&self, other: &Nodes) -> usize {
        let leaves = u16::from(self.fanout) * u16::from(self.fanout);
        (0..leaves).filter(|&leaf| self.leaf(leaf) != other.leaf(leaf)).count()
    }

    /// The memory set aside.
    pub fn heap_bytes(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(|leaves| size_of_val(&**leaves)).sum();
        leaves
            + self.leaves.capacity() * size_of::<Box<[u128]>>()
            + self.branches.capacity() * size_of::<u128>()
    }

    fn branch_of(&self, leaf: u16) -> (usize, usize) {
        let fanout = usize::from(self.fanout);
        (usize::from(leaf) / fanout, usize::from(leaf) % fanout)
    }

    /// Computes the hashes of branches anew where leaves have changed.
    fn refresh(&mut self) {
        self.branches.resize(usize::from(self.fanout), 0);
        for (branch, (kept, leaves)) in self.branches.iter_mut().zip(&self.leaves).enumerate() {
            if self.stale >> branch & 1 == 1 {
                *kept = hash(leaves);
            }
        }
        self.stale = 0;
    }
}

/// The hash of a row of hashes; 0 of a row that has nothing but zeros.
fn hash(row: &[u128]) -> u128 {
    const WIDTH: usize = size_of::<u128>();
    if row.iter().all(|&value| value == 0) {
        return 0;
    }
    let mut bytes = [0; FANOUT as usize * WIDTH];
    for (to, value) in bytes.chunks_exact_mut(WIDTH).zip(row) {
        to.copy_from_slice(&value.to_le_bytes());
    }
    xxh3_128(&bytes[..row.len() * WIDTH])
}
