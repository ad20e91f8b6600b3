//! Records that arrive: merged into what is held, refused, or found to be held already.

use bytes::Bytes;
use causality::{Record, Stamp};
use types::{KeyspaceId, Moment, PartitionId};
use wire::{ReplicaReply, WritePath};

use super::healing::MISSING;
use super::{Effect, Replica, Ticket};
use crate::{exchange, make, store_key};

impl Replica {
    #[allow(clippy::too_many_arguments, reason = "the parts of one write, taken apart once on its way here")]
    pub(super) fn write(
        &mut self,
        now: Moment,
        key: &Bytes,
        ticket: Ticket,
        keyspace: KeyspaceId,
        record: &Bytes,
        path: WritePath,
        held: Option<&Bytes>,
        out: &mut Vec<Effect>,
    ) -> Option<Bytes> {
        // What is merged for the sake of a movement may be dropped elsewhere once it is said to be stored here.
        let is_moved = path == WritePath::Merge && self.state.movement(ticket.partition).is_some();
        let relaxed = self.is_relaxed(keyspace) && !is_moved;
        let is_own_fetch = ticket.from == self.here && exchange::is_its(ticket.operation);
        match self.decide(now, key, ticket.partition, record, path, held, is_own_fetch) {
            Ok(Decision::Store(bytes)) => match self.store(now, key, &bytes, held, relaxed) {
                Ok(sequence) => {
                    self.acknowledge(ticket, sequence, relaxed);
                    Some(bytes)
                }
                Err(error) => {
                    let why = error.to_string();
                    out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
                    None
                }
            },
            Ok(Decision::Held) => {
                match self.recent.unsynced(key) {
                    Some(sequence) => self.acknowledge(ticket, sequence, false),
                    None if is_moved && self.is_relaxed(keyspace) => {
                        self.acknowledge(ticket, self.db.last_sequence(), false);
                    }
                    // It may be held since this very turn, and not even be with the operating system yet.
                    None if relaxed => self.unwritten.push((ticket, ReplicaReply::Stored)),
                    None => out.push(Effect::Reply(ticket, ReplicaReply::Stored)),
                }
                None
            }
            Ok(Decision::Settled) => {
                let reply = if path == WritePath::Merge {
                    ReplicaReply::Settled
                } else {
                    ReplicaReply::Failed {
                        why: "it comes so late that it was deleted or overwritten".to_owned(),
                    }
                };
                out.push(Effect::Reply(ticket, reply));
                None
            }
            Ok(Decision::Refuse(held)) => {
                out.push(Effect::Reply(ticket, ReplicaReply::Refused { held }));
                None
            }
            Err(why) => {
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
                None
            }
        }
    }

    /// What to do with a record that arrived, given what is held.
    ///
    /// Where something of the key is missing what is held may be less than it was. So a client's write that is to outrank it
    /// is not taken in; and what is settled and not held is not told to be of no use, for it may be what was lost. What this
    /// node has fetched itself, an owner holds, and all of it is taken in. So is all that comes while this node catches up as a
    /// new owner: it comes by the state that made it one, and no round has agreed on anything since.
    #[allow(clippy::too_many_arguments, reason = "a record, how it came, and what is held")]
    fn decide(
        &mut self,
        now: Moment,
        key: &Bytes,
        partition: PartitionId,
        record: &Bytes,
        path: WritePath,
        held: Option<&Bytes>,
        is_own_fetch: bool,
    ) -> Result<Decision, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("a record cannot be read: {error}");
        let incoming = Record::decode(record.clone()).map_err(|error| unreadable(&error))?;
        let is_missing = self.db.is_missing(key);
        if is_missing && path != WritePath::Merge && matches!(incoming, Record::Lww(_)) {
            return Err(MISSING.to_owned());
        }
        if path == WritePath::Client {
            self.clock
                .observe(make::newest_stamp(&incoming), now.wall, self.options.clock_drift_ms_max)
                .map_err(|error| error.to_string())?;
        }
        let held = match held {
            Some(bytes) => Some((Record::decode(bytes.clone()).map_err(|error| unreadable(&error))?, bytes)),
            None => None,
        };
        // A hint is not this node's: it is for its owner to say what of it is settled.
        let own_slot = store_key::own_slot(key);
        let is_droppable =
            |record: &Record| own_slot.is_some_and(|slot| self.collection.is_droppable(slot, record));
        let held = held.filter(|(record, _)| !is_droppable(record));
        let versions = incoming.versions().len();
        let is_catching_up = store_key::keyspace_of(key)
            .is_some_and(|keyspace| self.moving.is_catching_up(keyspace, partition));
        let incoming = if let Some(slot) = own_slot
            && !is_catching_up
            && !(is_missing && is_own_fetch)
        {
            let held = held.as_ref().map(|(record, _)| record);
            match self.collection.unsettled(slot, incoming, held) {
                Some(incoming) if is_missing && incoming.versions().len() != versions => {
                    return Err(MISSING.to_owned());
                }
                None if is_missing => return Err(MISSING.to_owned()),
                Some(incoming) => incoming,
                None => return Ok(Decision::Settled),
            }
        } else {
            incoming
        };
        let arrived = if incoming.versions().len() == versions { own(record) } else { incoming.to_bytes() };
        self.notice_forgetting((partition, own_slot), &incoming, held.as_ref().map(|(record, _)| record));
        let Some((held, held_bytes)) = held else {
            self.recent.show_all(key);
            return Ok(Decision::Store(arrived));
        };
        if path != WritePath::Merge
            && let Some(stamp) = outranked(&held, &incoming)
        {
            return Ok(Decision::Refuse(stamp));
        }
        let merged = held.merge(&incoming).map_err(|error| unreadable(&error))?;
        if merged == held {
            self.merge_below_hidden(key, &incoming);
            return Ok(Decision::Held);
        }
        self.recent.show_all(key);
        let bytes = if merged == incoming { arrived } else { merged.to_bytes() };
        debug_assert_ne!(bytes, held_bytes, "records that differ are encoded differently");
        Ok(Decision::Store(bytes))
    }

    /// What arrived is outranked by what is stored but hidden; it may still outrank what is shown meanwhile.
    fn merge_below_hidden(&mut self, key: &Bytes, incoming: &Record) {
        let encoded = || incoming.to_bytes();
        self.recent.merge_below(key, |before| {
            let merged = before
                .and_then(|bytes| Record::decode(bytes.clone()).ok())
                .and_then(|before| before.merge(incoming).ok());
            merged.map_or_else(encoded, |merged| merged.to_bytes())
        });
    }

    /// If what arrives shows this node's actor further on than its own record does, it has forgotten, and goes on under a
    /// fresh stint (INVARIANTS B2).
    fn notice_forgetting(
        &mut self,
        (partition, own_slot): (PartitionId, Option<u16>),
        incoming: &Record,
        held: Option<&Record>,
    ) {
        let Record::Siblings(arrived) = incoming else {
            return;
        };
        let actor = self.actors.actor(partition);
        if arrived.seen().highest_of(actor) == 0 {
            return;
        }
        // What is settled and not held is not forgotten: nothing of it is left to know.
        let mark = own_slot.and_then(|slot| self.collection.mark(slot));
        let settled = mark.map_or(0, |mark| mark.settled.counter_of(actor));
        let highest = arrived.seen().highest_of(actor);
        let behind = highest > settled && held.is_none_or(|held| held.is_behind(actor, arrived.seen()));
        if behind {
            self.forget(partition);
        }
    }
}

enum Decision {
    Store(Bytes),
    Held,
    Settled,
    Refuse(Stamp),
}

/// A record in memory of its own: as a slice of what the network read it would keep all of that.
fn own(record: &Bytes) -> Bytes {
    Bytes::copy_from_slice(record)
}

/// The stamp held, where a client's `lww` write does not outrank it and is not itself what is held.
fn outranked(held: &Record, incoming: &Record) -> Option<Stamp> {
    let (Record::Lww(held), Record::Lww(incoming)) = (held, incoming) else {
        return None;
    };
    let same = held.version().dot == incoming.version().dot;
    (!same && incoming.version().stamp <= held.version().stamp).then_some(held.version().stamp)
}
