//! Hints whose owner does not own their key any more: each is kept for those who do (INVARIANTS F3).
//!
//! What must hold: a hint that was counted is never the less for it (A3): what takes its place is in the log before it goes.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{ClusterState, Standing};
use storage::{Kind, ScanOutcome};
use types::{Moment, NodeId};

use super::{Afterwards, Effect, Replica};
use crate::store_key;
use crate::waiting::{Task, Waiting};

impl Replica {
    /// A page of hints, where it was read to find those whose owners are not owners any more: each is kept for those who are.
    pub(super) fn hints_read(
        &mut self,
        now: Moment,
        token: u64,
        outcome: &ScanOutcome,
        out: &mut Vec<Effect>,
    ) -> bool {
        let state = &self.state;
        let is_for_another = |owner: NodeId, place: &store_key::StoreKey| !is_to_have(state, owner, place);
        let Some(keys) = self.handoff.readdressed(now, token, outcome, is_for_another) else { return false };
        for key in keys {
            let one = Waiting::new(now, self.for_itself(), Task::Readdress);
            self.with_held(now, key, one, out);
        }
        true
    }

    /// Keeps a hint for all who own its key by now, in place of one who does not (INVARIANTS F3). One of a keyspace that was
    /// dropped goes.
    pub(super) fn readdress(&mut self, now: Moment, key: &Bytes, held: Option<&Bytes>) -> Afterwards {
        let (Some(record), Some((owner, place))) = (held, store_key::parse_hint(key)) else {
            return Afterwards::Same;
        };
        let state = Arc::clone(&self.state);
        let (partition, _) = state.partition_of_slot(place.slot);
        let owners = state.all_owners(place.keyspace, partition);
        if self.recent.is_hidden(key) || is_to_have(&state, owner, &place) {
            return Afterwards::Same;
        }
        let own = store_key::store_key(place.keyspace, &place.key);
        for holder in owners.written().filter(|node| !is_gone(&state, *node)) {
            let hint = store_key::hint_key(holder, &own);
            if self.cold.has(&hint) {
                return Afterwards::Same;
            }
            let Ok(sequence) = self.db.put(&hint, record.clone(), Kind::Merge) else {
                return Afterwards::Same;
            };
            self.recent.show_all(&hint);
            self.recent.written(hint.clone(), sequence);
            self.handoff.stored(now, holder, &hint, partition);
        }
        self.let_go_of_hint(now, key);
        Afterwards::Nothing
    }
}

/// Whether a node is to have what is kept for it of a key. Not where it has only yet to hand over what it has: it may have compared all
/// of that already, and what it is given afterwards it would drop (E4).
pub(super) fn is_to_have(state: &ClusterState, node: NodeId, place: &store_key::StoreKey) -> bool {
    let (partition, _) = state.partition_of_slot(place.slot);
    state.all_owners(place.keyspace, partition).written().any(|owner| owner == node)
}

fn is_gone(state: &ClusterState, node: NodeId) -> bool {
    state.member(node).is_none_or(|member| member.standing == Standing::Gone)
}
