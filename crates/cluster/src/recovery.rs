//! A history that is begun again, because the majority of those who kept it was lost for good.
//!
//! Nobody can say what the lost ones had agreed on last, so whoever begins again gives that up, and what he begins must never be taken
//! for what went before, whoever of the lost ones comes back. What must hold (INVARIANTS E1, E8, D4):
//!
//! - It has a *generation* of its own, and its epochs are above all that an earlier generation can have reached. So all that compares
//!   epochs (since when a partition has its owners, how far a node is, under which session it moves) is right without asking whose
//!   they are, and whatever was routed by the lost history is refused.
//! - Two that are begun at once on two sides of a cut have the same generation, and are told apart by the number of their *history*,
//!   drawn at random. Their epochs are apart as well, so that what one side routes the other does not serve.
//! - Numbers of nodes and ids of keyspaces that the lost ones may have given are never given again.
//!
//! All else is carried on: members, rings, keyspaces, and movements at the stages that they are known to be at.

use types::{Epoch, KeyspaceId, NodeId};

use crate::command::{Command, Refused};
use crate::state::ClusterState;

/// The epochs of a generation begin at this times its number. More than any history has changes.
pub const EPOCHS_OF_A_GENERATION: u64 = 1_000_000_000_000;

/// Histories of one generation begin at multiples of this, each at one of so many.
const EPOCHS_OF_A_HISTORY: u64 = 1_000_000;
const HISTORIES: u64 = 900_000;

/// Of members that joined unseen, no more can have been numbered than this.
const NODES_UNSEEN: u16 = 256;

/// Of keyspaces that were made unseen the same; what is drawn is added, so that two histories give ids apart.
const KEYSPACES_UNSEEN: u32 = 1 << 16;
const KEYSPACES_APART: u64 = 1 << 20;

impl ClusterState {
    /// The state with which the history is begun again after this one: of the generation after this and after all that was heard of,
    /// of a history with this number. Members that are `without` are gone for good.
    ///
    /// # Errors
    /// If there can be no such state, because numbers are used up or a member cannot go.
    pub fn begun_again(&self, heard: u32, history: u64, without: &[String]) -> Result<ClusterState, Refused> {
        let mut next = self.parts.clone();
        let used_up = |what: &str| Refused::because(format!("every number of a {what} was used"));
        next.generation = next.generation.max(heard).checked_add(1).ok_or_else(|| used_up("generation"))?;
        next.history = history.max(1);
        let begins = u64::from(next.generation)
            .checked_mul(EPOCHS_OF_A_GENERATION)
            .and_then(|epoch| epoch.checked_add(history % HISTORIES * EPOCHS_OF_A_HISTORY));
        next.epoch = Epoch(begins.ok_or_else(|| used_up("generation"))?);
        next.since.fill(next.epoch);
        for keyspace in &mut next.keyspaces {
            keyspace.since = next.epoch;
        }
        let node = next.next_node.0.checked_add(NODES_UNSEEN).ok_or_else(|| used_up("member"))?;
        next.next_node = NodeId(node);
        let apart = u32::try_from(history % KEYSPACES_APART).unwrap_or_default();
        let keyspace = next.next_keyspace.0.checked_add(KEYSPACES_UNSEEN + apart);
        next.next_keyspace = KeyspaceId(keyspace.ok_or_else(|| used_up("keyspace"))?);
        let mut state = ClusterState::assemble(next)?;
        for name in without {
            state = state.apply(&Command::Remove { name: name.clone(), below_n: true, lose_data: true })?;
        }
        Ok(state)
    }
}

/// The generation that an epoch is of.
pub fn generation_of(epoch: Epoch) -> u32 {
    u32::try_from(epoch.0 / EPOCHS_OF_A_GENERATION).unwrap_or(u32::MAX)
}
