//! The hash trees of what this replica owns: one for each partition and keyspace, kept true with each write.
//!
//! What must hold (INVARIANTS F2): every change of a stored record that is this node's own is told here in the step in which
//! it takes effect, with what was stored before. Hints are nobody's own and are in no tree.

use std::collections::BTreeSet;

use cluster::ClusterState;
use merkle::{Digest, Entry, Place, Seed, Shape, Short, Standing, Tree};
use types::{KeyspaceId, PartitionId};

use crate::store_key::{PREFIX_BYTES, StoreKey};

/// Which tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct TreeId {
    pub(crate) partition: PartitionId,
    pub(crate) keyspace: KeyspaceId,
}

/// The trees of one shard.
#[derive(Debug)]
pub(crate) struct Trees {
    families: Vec<Family>,
    slots_each: u16,
}

/// Those of one keyspace.
#[derive(Debug)]
struct Family {
    keyspace: KeyspaceId,
    seed: Seed,
    /// By partition; none where this node is no owner, or the partition is another shard's.
    trees: Vec<Option<Tree>>,
}

impl Trees {
    /// None yet.
    pub(crate) fn none(state: &ClusterState) -> Trees {
        Trees { families: Vec::new(), slots_each: state.partitions().slots_each() }
    }

    /// From now on there are trees of what this node keeps of these partitions. What there is of those stays; of the others
    /// nothing is known yet, and their partitions come back.
    pub(crate) fn adopt(
        &mut self,
        state: &ClusterState,
        partitions: &[PartitionId],
        keeps: impl Fn(KeyspaceId, PartitionId) -> bool,
    ) -> BTreeSet<PartitionId> {
        let count = usize::from(state.partitions().count());
        let mut before = std::mem::take(&mut self.families);
        let mut unknown = BTreeSet::new();
        for keyspace in state.keyspaces() {
            let known = before.iter().position(|family| family.keyspace == keyspace.id);
            let mut family = known.map(|place| before.swap_remove(place)).unwrap_or_else(|| Family {
                keyspace: keyspace.id,
                seed: seed_of(state.name(), keyspace.id),
                trees: std::iter::repeat_with(|| None).take(count).collect(),
            });
            for partition in partitions {
                let tree = &mut family.trees[usize::from(partition.0)];
                if !keeps(keyspace.id, *partition) {
                    *tree = None;
                } else if tree.is_none() {
                    *tree = shape_of(state, *partition).map(Tree::unknown);
                    unknown.insert(*partition);
                }
            }
            self.families.push(family);
        }
        unknown
    }

    /// All that there are.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TreeId> + '_ {
        self.families.iter().flat_map(|family| {
            let keyspace = family.keyspace;
            (0_u16..)
                .zip(&family.trees)
                .filter(|(_, tree)| tree.is_some())
                .map(move |(number, _)| TreeId { partition: PartitionId(number), keyspace })
        })
    }

    pub(crate) fn get(&mut self, id: TreeId) -> Option<&mut Tree> {
        let family = self.families.iter_mut().find(|family| family.keyspace == id.keyspace)?;
        family.trees.get_mut(usize::from(id.partition.0))?.as_mut()
    }

    /// All trees of a partition.
    pub(crate) fn of_partition(
        &mut self,
        partition: PartitionId,
    ) -> impl Iterator<Item = (KeyspaceId, Seed, &mut Tree)> {
        self.families.iter_mut().filter_map(move |family| {
            let tree = family.trees.get_mut(usize::from(partition.0))?.as_mut()?;
            Some((family.keyspace, family.seed, tree))
        })
    }

    /// What the digests of a keyspace begin from.
    pub(crate) fn seed(&self, keyspace: KeyspaceId) -> Seed {
        self.families.iter().find(|family| family.keyspace == keyspace).map_or(Seed(0), |family| family.seed)
    }

    /// The record under this storage key was one thing and is another; nothing stands for no record.
    pub(crate) fn changed(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        let Some((slot, keyspace, hash)) = prefix(key) else { return };
        let partition = usize::from(slot / self.slots_each);
        let Some(family) = self.families.iter_mut().find(|family| family.keyspace == keyspace) else {
            return;
        };
        let Some(Some(tree)) = family.trees.get_mut(partition) else { return };
        let digest = |record: &[u8]| family.seed.digest(&key[PREFIX_BYTES..], record);
        tree.change(Place { slot, hash }, before.map(digest), after.map(digest));
    }

    /// By which digest lists tell of the record under this storage key; nothing of a hint's.
    pub(crate) fn digest_of(&self, key: &[u8], record: &[u8]) -> Option<Short> {
        let (_, keyspace, _) = prefix(key)?;
        Some(self.seed(keyspace).digest(&key[PREFIX_BYTES..], record).short())
    }

    /// How many of them are unknown or in doubt.
    pub(crate) fn unbuilt(&self) -> usize {
        let trees = self.families.iter().flat_map(|family| &family.trees).flatten();
        trees.filter(|tree| tree.standing() != Standing::True).count()
    }

    /// The memory that they take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let trees = self.families.iter().flat_map(|family| &family.trees);
        trees.map(|tree| size_of::<Option<Tree>>() + tree.as_ref().map_or(0, Tree::memory_bytes)).sum()
    }
}

/// The shape of a partition's trees.
fn shape_of(state: &ClusterState, partition: PartitionId) -> Option<Shape> {
    let slots = state.partitions().slots_of(partition)?;
    Shape::new(*slots.start(), state.partitions().slots_each())
}

/// Equal on all owners for as long as there is the keyspace.
fn seed_of(cluster: &str, keyspace: KeyspaceId) -> Seed {
    Seed(ring::key_hash(cluster.as_bytes()) ^ u64::from(keyspace.0))
}

/// Slot, keyspace and hash of the storage key of an owner's own record; nothing of a hint's, whose slot is none.
fn prefix(key: &[u8]) -> Option<(u16, KeyspaceId, u64)> {
    let (slot, rest) = key.split_first_chunk::<2>()?;
    let (keyspace, rest) = rest.split_first_chunk::<4>()?;
    let (hash, _) = rest.split_first_chunk::<8>()?;
    let slot = u16::from_be_bytes(*slot);
    (slot < ring::SLOTS).then(|| (slot, KeyspaceId(u32::from_be_bytes(*keyspace)), u64::from_be_bytes(*hash)))
}

/// A stored record, as a tree of its keyspace sees it.
pub(crate) fn entry<'a>(seed: Seed, key: &'a StoreKey, record: &[u8]) -> Entry<'a> {
    Entry { place: place_of(key), key: &key.key, digest: seed.digest(&key.key, record) }
}

/// The same without the key.
pub(crate) fn digest_at(seed: Seed, key: &StoreKey, record: &[u8]) -> (Place, Digest) {
    (place_of(key), seed.digest(&key.key, record))
}

fn place_of(key: &StoreKey) -> Place {
    Place { slot: key.slot, hash: key.hash }
}
