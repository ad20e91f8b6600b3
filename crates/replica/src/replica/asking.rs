//! What this replica asks of others by itself: hints to hand off, owners to compare with, deletes to agree on.
//!
//! Answers come back by the name of the question alone, which says whose question it was.

use bytes::Bytes;
use types::{Moment, NodeId, OperationId};
use wire::ReplicaReply;

use super::{Effect, Replica};
use crate::handoff::Settled;
use crate::{collection, exchange, moving, store_key};

impl Replica {
    /// A peer can be reached: what is kept for it may go.
    pub fn peer_up(&mut self, now: Moment, node: NodeId) {
        self.handoff.peer_up(now, node);
        self.exchange.peer_up(now, node);
    }

    /// A peer cannot be reached any more.
    pub fn peer_lost(&mut self, now: Moment, node: NodeId) {
        self.handoff.peer_lost(now, node);
        self.exchange.peer_lost(now, node);
        self.moving.peer_lost(now.mono, node);
    }

    /// Compares all with all other owners, without the usual pauses.
    pub fn repair(&mut self, now: Moment) {
        self.exchange.hurry(now.mono);
    }

    /// What this replica asked by itself ([`Effect::Ask`]) could not be sent.
    pub fn not_sent(&mut self, now: Moment, operation: OperationId, out: &mut Vec<Effect>) {
        if exchange::is_its(operation) {
            self.exchange.not_sent(now, operation, &self.db, &mut self.granting, out);
        } else if collection::is_its(operation) {
            self.collection.unanswered(now, operation, collection::round::Blocked::Unreachable);
        } else if moving::is_its(operation) {
            self.fetch_not_sent(now, operation);
        } else {
            self.handoff.not_sent(now, operation);
        }
    }

    /// What this replica asked by itself ([`Effect::Ask`]) was answered.
    pub fn replied(
        &mut self,
        now: Moment,
        from: NodeId,
        operation: OperationId,
        reply: ReplicaReply,
        out: &mut Vec<Effect>,
    ) {
        if exchange::is_its(operation) {
            let of = (from, operation);
            self.exchange.replied(now, of, reply, &self.db, &mut self.granting, out);
            return self.let_go_of_settled(now, out);
        }
        if collection::is_its(operation) {
            return self.collection.replied(now, from, operation, reply);
        }
        if moving::is_its(operation) {
            return self.fetch_replied(now, from, operation, reply, out);
        }
        if let Settled::Delivered(key) = self.handoff.replied(now, from, operation, &reply, &self.db, out) {
            self.let_go_of_hint(now, &key);
        }
    }

    /// Deletes a hint that its owner has. What this node minted on it is now forgotten here: it goes on under a fresh stint
    /// (INVARIANTS B2). If the delete is refused the hint is handed off once more.
    pub(super) fn let_go_of_hint(&mut self, now: Moment, key: &Bytes) {
        if self.db.delete(key).is_err() {
            return;
        }
        self.sync_due.get_or_insert(now.mono + self.options.sync_interval);
        if let Some(slot) = store_key::slot_of(key) {
            let (partition, _) = self.state.partition_of_slot(slot);
            if self.actors.issued(partition) > 0 {
                self.forget(partition);
            }
        }
    }
}
