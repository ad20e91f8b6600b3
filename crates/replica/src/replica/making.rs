//! A client's change, made into a record and stored.

use bytes::Bytes;
use causality::Record;
use storage::{PutError, SequenceNumber};
use types::{Moment, PartitionId};
use wire::WritePath;

use super::{Effect, Replica, Ticket};
use crate::make::{self, Made, Make, MakeError, Mint};

impl Replica {
    pub(super) fn make_on(
        &mut self,
        now: Moment,
        key: &Bytes,
        ticket: Ticket,
        ask: &Make,
        held: Option<Bytes>,
        out: &mut Vec<Effect>,
    ) -> Option<Bytes> {
        if matches!(ask.change, make::Change::Expire { .. })
            && let Some(shown) = self.recent.shown_instead(key)
        {
            return self.expire_shown(now, key, ticket, ask, (shown, held), out);
        }
        match self.try_make(now, key, ticket, ask, held) {
            Ok((made, stored, sequence)) => {
                out.push(Effect::Made(ticket, Ok(made)));
                self.acknowledge(ticket, sequence, self.is_relaxed(ask.keyspace));
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
        ask: &Make,
        (shown, held): (Option<Bytes>, Option<Bytes>),
        out: &mut Vec<Effect>,
    ) -> Option<Bytes> {
        match self.make_record(now, ticket.partition, ask, shown.as_ref()) {
            Ok(made) => {
                let record = made.record.clone();
                out.push(Effect::Made(ticket, Ok(made)));
                self.write(now, key, ticket, ask.keyspace, &record, WritePath::Merge, held, out)
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
        ask: &Make,
        held: Option<Bytes>,
    ) -> Result<(Made, Bytes, SequenceNumber), MakeError> {
        let made = self.make_record(now, ticket.partition, ask, held.as_ref())?;
        let stored = made.record.clone();
        let relaxed = self.is_relaxed(ask.keyspace);
        let sequence = self.store(now, key, stored.clone(), relaxed).map_err(not_stored)?;
        if ask.hide {
            self.recent.hide(key.clone(), ask.operation, held);
        } else {
            // It outranks all that is hidden, and may be acknowledged with no other owner holding it: reads must see it.
            self.recent.show_all(key);
        }
        Ok((made, stored, sequence))
    }

    /// Makes the record of a change on top of another, and stores nothing.
    fn make_record(
        &mut self,
        now: Moment,
        partition: PartitionId,
        ask: &Make,
        on: Option<&Bytes>,
    ) -> Result<Made, MakeError> {
        let keyspace = self.state.keyspace(ask.keyspace).expect("checked when the request arrived");
        let decode = |bytes: &Bytes| Record::decode(bytes.clone());
        let on = on.map(decode).transpose().map_err(|error| MakeError::CannotSay(error.to_string()))?;
        let mut mint = Mint { clock: &mut self.clock, actors: &mut self.actors, partition, now };
        let (_, made) = make::make(on.as_ref(), ask, keyspace, &mut mint)?;
        Ok(made)
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
