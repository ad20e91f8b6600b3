//! A client's change, made into a record and stored.

use std::sync::Arc;

use api::{KeyRequest, Operation};
use bytes::Bytes;
use causality::Record;
use storage::{PutError, SequenceNumber};
use types::{Moment, NodeId, PartitionId};
use wire::WritePath;

use super::healing::MISSING;
use super::{Effect, Replica, Ticket};
use crate::make::{self, Made, Make, MakeError, Mint};
use crate::store_key::{self, store_key};

impl Replica {
    /// Why this node cannot make what is asked for, if it is a change that another owner may be able to make: something of the key
    /// is missing, or there is no room for a value.
    pub fn cannot_make(&self, request: &KeyRequest) -> Option<String> {
        let needs_room = match &request.operation {
            Operation::Get { .. } => return None,
            Operation::Put { .. } | Operation::Expire { .. } => true,
            Operation::Delete { .. } => false,
        };
        let is_missing =
            !self.db.missing().is_empty() && self.db.is_missing(&store_key(request.keyspace, &request.key));
        if is_missing {
            return Some(MISSING.to_owned());
        }
        let refused = self.db.room_for_values().err().filter(|_| needs_room);
        refused.map(|refused| refused.to_string())
    }

    pub(super) fn make_on(
        &mut self,
        now: Moment,
        key: &Bytes,
        ticket: Ticket,
        ask: Make,
        held: Option<Bytes>,
        out: &mut Vec<Effect>,
    ) -> Option<Bytes> {
        if matches!(ask.change, make::Change::Expire { .. })
            && let Some(shown) = self.recent.shown_instead(key)
        {
            return self.expire_shown(now, key, ticket, ask, (shown, held), out);
        }
        let relaxed = self.is_relaxed(ask.keyspace);
        match self.try_make(now, key, ticket, ask, held, relaxed) {
            Ok((made, sequence)) => {
                let stored = made.record.clone();
                out.push(Effect::Made(ticket, Ok(made)));
                self.acknowledge(ticket, sequence, relaxed);
                Some(stored)
            }
            Err(error) => {
                out.push(Effect::Made(ticket, Err(error)));
                None
            }
        }
    }

    /// Changes the expiry of what is shown while a write on top of it is hidden. The record made goes to all owners, and
    /// must not carry the hidden write along: its own coordinator still counts on nobody having seen it.
    fn expire_shown(
        &mut self,
        now: Moment,
        key: &Bytes,
        ticket: Ticket,
        ask: Make,
        (shown, held): (Option<Bytes>, Option<Bytes>),
        out: &mut Vec<Effect>,
    ) -> Option<Bytes> {
        let keyspace = ask.keyspace;
        match self.make_record(now, key, ticket.partition, ask, shown) {
            Ok(made) => {
                let record = made.record.clone();
                out.push(Effect::Made(ticket, Ok(made)));
                self.write(now, key, ticket, keyspace, &record, WritePath::Merge, held.as_ref(), out)
            }
            Err(error) => {
                out.push(Effect::Made(ticket, Err(error)));
                None
            }
        }
    }

    fn try_make(
        &mut self,
        now: Moment,
        key: &Bytes,
        ticket: Ticket,
        ask: Make,
        held: Option<Bytes>,
        relaxed: bool,
    ) -> Result<(Made, SequenceNumber), MakeError> {
        let hides = ask.hide.then_some(ask.operation);
        let made = self.make_record(now, key, ticket.partition, ask, held.clone())?;
        let sequence = self.store(now, key, &made.record, held.as_ref(), relaxed).map_err(not_stored)?;
        match hides {
            Some(operation) => self.recent.hide(key.clone(), operation, ticket.epoch, held),
            // It outranks all that is hidden, and may be acknowledged with no other owner holding it: reads must see it.
            None => self.recent.show_all(key),
        }
        Ok((made, sequence))
    }

    /// Makes the record of a change on top of another, and stores nothing.
    fn make_record(
        &mut self,
        now: Moment,
        key: &Bytes,
        partition: PartitionId,
        ask: Make,
        on: Option<Bytes>,
    ) -> Result<Made, MakeError> {
        let state = Arc::clone(&self.state);
        let keyspace = state.keyspace(ask.keyspace).expect("checked when the request arrived");
        let slot = store_key::own_slot(key).or_else(|| store_key::slot_of(key));
        let slot = slot.expect("records are stored under keys of this form");
        let on =
            on.map(Record::decode).transpose().map_err(|error| MakeError::CannotSay(error.to_string()))?;
        if ask.again.is_none()
            && let Some(named) = ask.named
        {
            self.check_name(now, slot, named.name, ask.in_place_of, on.as_ref())?;
        }
        let (on, ask, now) = self.since_collected(now, (partition, slot), ask, on, keyspace.policy);
        if let Some(owner) = ask.in_place_of {
            self.stand_in_for(partition, owner)?;
        }
        let mut mint = Mint { clock: &mut self.clock, actors: &mut self.actors, partition, now };
        make::make(on.as_ref(), ask, keyspace, &mut mint)
    }
}

impl Replica {
    /// What is kept for one owner says nothing of what this node made in the place of another, or as an owner before it stood in for
    /// anybody: under the same actor the one would claim the other's writes (INVARIANTS B2). So each change of owner begins a fresh stint.
    fn stand_in_for(&mut self, partition: PartitionId, owner: NodeId) -> Result<(), MakeError> {
        let before = self.stood_in_for.insert(partition, owner);
        let is_another = before != Some(owner);
        if is_another && self.actors.issued(partition) > 0 && !self.actors.begin_stint(partition) {
            // It is the first owner's still, or its own.
            match before {
                Some(before) => self.stood_in_for.insert(partition, before),
                None => self.stood_in_for.remove(&partition),
            };
            return Err(make::stints_used_up(partition));
        }
        Ok(())
    }
}

/// Why a record that was made could not be stored. One that no wait makes room for is not to be tried again.
fn not_stored(error: PutError) -> MakeError {
    match error {
        PutError::TooLarge { bytes, limit, .. } => {
            MakeError::TooLarge { bytes: bytes as u64, limit: limit as u64 }
        }
        error => MakeError::Overloaded(error.to_string()),
    }
}
