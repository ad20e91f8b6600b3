//! Splitting the ring: each partition becomes two, and two become one again.
//!
//! What must hold: both halves of a partition are claimed by whoever claimed the whole, so a walk from either meets
//! the same nodes in the same order, and splitting moves nothing. The way back is open only where both halves of
//! every pair have one claimant; [`fn@crate::merged`] plans rings for which that is so.

use std::collections::BTreeMap;

use thiserror::Error;
use types::{NodeId, PartitionId};

use crate::partition::{Partitions, PartitionsError};
use crate::rings::{Ring, Rings};

/// Why partitions cannot be joined in pairs.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JoinHalvesError {
    /// Only one partition is left.
    #[error("there is only one partition: it is no half of anything")]
    Whole,
    /// Two halves have two claimants.
    #[error(
        "partitions {first} and {second} of {data_center} are claimed by {first_claimant} and {second_claimant}: \
         both must have one claimant before they are joined"
    )]
    Apart {
        /// The data center.
        data_center: String,
        /// The first half, of an even number.
        first: PartitionId,
        /// The second half, which follows it.
        second: PartitionId,
        /// Who claims the first half.
        first_claimant: NodeId,
        /// Who claims the second half.
        second_claimant: NodeId,
    },
}

impl Rings {
    /// The same owners with twice as many partitions: partition `p` becomes `2p` and `2p + 1`.
    ///
    /// # Errors
    /// If every partition is a single slot already.
    pub fn halve(&self) -> Result<Rings, PartitionsError> {
        let partitions = Partitions::new(u64::from(self.partitions().count()) * 2)?;
        Ok(self.recut(partitions, |ring| ring.claims().flat_map(|node| [node, node]).collect()))
    }

    /// The same owners with half as many partitions: partitions `2p` and `2p + 1` become `p`.
    ///
    /// # Errors
    /// If two halves have different claimants, or there is only one partition.
    pub fn join_halves(&self) -> Result<Rings, JoinHalvesError> {
        let partitions = Partitions::new(u64::from(self.partitions().count() / 2))
            .map_err(|PartitionsError { .. }| JoinHalvesError::Whole)?;
        for (data_center, ring) in self.iter() {
            let claims: Vec<NodeId> = ring.claims().collect();
            let apart = (0..).zip(claims.chunks_exact(2)).find(|(_, pair)| pair[0] != pair[1]);
            if let Some((pair, claimants)) = apart {
                return Err(JoinHalvesError::Apart {
                    data_center: data_center.to_owned(),
                    first: PartitionId(2 * pair),
                    second: PartitionId(2 * pair + 1),
                    first_claimant: claimants[0],
                    second_claimant: claimants[1],
                });
            }
        }
        Ok(self.recut(partitions, |ring| ring.claims().step_by(2).collect()))
    }

    fn recut(&self, partitions: Partitions, claims: impl Fn(&Ring) -> Vec<NodeId>) -> Rings {
        let recut = |ring: &Ring| {
            Ring::new(ring.members().to_vec(), &claims(ring), partitions)
                .expect("the same claimants, as many times twice or half as there are partitions")
        };
        let rings: BTreeMap<String, Ring> =
            self.iter().map(|(data_center, ring)| (data_center.to_owned(), recut(ring))).collect();
        Rings::new(partitions, rings).expect("each ring was made with this number of partitions")
    }
}
