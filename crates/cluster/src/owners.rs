//! The owners of every partition for one keyspace, worked out when a state is made, since every request asks for them.

use types::{KeyspaceId, NodeId, PartitionId};

use crate::layout::Layout;
use crate::movement::Stage;

/// Who has to do with a partition of one keyspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owners<'a> {
    /// Who answers reads, and whose quorum holds a write, in the order of the preference list.
    pub read: &'a [NodeId],
    /// Whose quorum is to hold a write as well, while the partition moves; none where these are the same nodes.
    pub also_written: &'a [NodeId],
    /// Who has nothing to say of it any more, but may still have something to hand over.
    pub clearing: &'a [NodeId],
}

impl<'a> Owners<'a> {
    /// All who may hold something of it, each once; those that answer reads first.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> + Clone + use<'a> {
        let read = self.read;
        let others = self.also_written.iter().chain(self.clearing);
        read.iter().chain(others.filter(|node| !read.contains(node))).copied()
    }

    /// All who are to have what is written, each once; those that answer reads first. Who has yet to hand something over is none of
    /// them: what comes to him when he has compared is lost when he drops the rest.
    pub fn written(&self) -> impl Iterator<Item = NodeId> + Clone + use<'a> {
        let read = self.read;
        read.iter().chain(self.also_written.iter().filter(|node| !read.contains(node))).copied()
    }
}

/// A table with a row for each partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OwnerTable {
    /// Where each row begins, and the end of the last.
    starts: Vec<u32>,
    nodes: Vec<NodeId>,
    /// The rows of the other owners of partitions that move, ascending by partition.
    moving: Vec<(PartitionId, Stage, Vec<NodeId>)>,
}

impl OwnerTable {
    /// Of a keyspace, from what each partition is at, and for those that move where they go and how far they are.
    pub(crate) fn new<'a>(
        keyspace: KeyspaceId,
        partitions: impl Iterator<Item = (PartitionId, &'a Layout, Option<(Stage, &'a Layout)>)>,
    ) -> OwnerTable {
        let mut table = OwnerTable { starts: vec![0], nodes: Vec::new(), moving: Vec::new() };
        for (partition, at, movement) in partitions {
            match movement {
                Some((stage, to)) => {
                    let (old, new) = (at.owners(keyspace, partition), to.owners(keyspace, partition));
                    let is_same = old.len() == new.len() && old.iter().all(|node| new.contains(node));
                    let (read, other) = if stage == Stage::Filling { (old, new) } else { (new, old) };
                    table.nodes.extend(read);
                    if !is_same {
                        table.moving.push((partition, stage, other));
                    }
                }
                None => at.owners_into(keyspace, partition, &mut table.nodes),
            }
            table.starts.push(u32::try_from(table.nodes.len()).expect("partitions and N are bounded"));
        }
        table
    }

    /// Who answers reads of `partition`; nobody if there is no such partition.
    pub(crate) fn of(&self, partition: PartitionId) -> &[NodeId] {
        let place = usize::from(partition.0);
        match self.starts.get(place..place + 2) {
            Some(&[start, end]) => &self.nodes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// All who have to do with it.
    pub(crate) fn all_of(&self, partition: PartitionId) -> Owners<'_> {
        let read = self.of(partition);
        let place = self.moving.binary_search_by_key(&partition, |(moving, _, _)| *moving);
        match place.map(|place| &self.moving[place]) {
            Ok((_, Stage::Clearing, others)) => Owners { read, also_written: &[], clearing: others },
            Ok((_, Stage::Filling | Stage::Switched, others)) => {
                Owners { read, also_written: others, clearing: &[] }
            }
            Err(_) => Owners { read, also_written: &[], clearing: &[] },
        }
    }
}
