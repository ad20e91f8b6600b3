//! Requests, messages and answers in a few words, for the trace. Values are cut at their filling.

use std::fmt::{Display, Formatter, Result};

use api::{Command, KeyRequest, Operation, Outcome, Reply, Written};
use bytes::Bytes;
use causality::{Context, Record};
use cluster::ClusterState;
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

/// A message between nodes.
pub(super) struct Said<'a>(pub(super) &'a Envelope);

/// What a client asks.
pub(super) struct Asked<'a>(pub(super) &'a Command);

/// What a client is told.
pub(super) struct Told<'a>(pub(super) &'a Outcome);

struct Plain<'a>(&'a Bytes);
struct Value<'a>(&'a Bytes);
struct Encoded<'a>(&'a Bytes);
struct Known<'a>(&'a Context);
struct Key<'a>(&'a KeyRequest);
struct Done<'a>(&'a Written);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // Keys and numbers are plain; anything else is worth its escapes.
        match std::str::from_utf8(self.0) {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let end = self.0.iter().position(|byte| *byte == b'.').unwrap_or(self.0.len());
        Plain(&self.0.slice(..end)).fmt(f)
    }
}

impl Display for Encoded<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Ok(record) = Record::decode(self.0.clone()) else {
            return f.write_str("(unreadable)");
        };
        f.write_str("[")?;
        for (place, version) in record.versions().iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{}@{} ", version.dot, version.stamp)?;
            match version.payload.value() {
                Some(value) => Value(value).fmt(f)?,
                None => f.write_str("deleted")?,
            }
        }
        f.write_str("]")
    }
}

impl Display for Said<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Envelope { operation, round, partition, body, .. } = self.0;
        write!(f, "{operation}/{round} {partition} ")?;
        match body {
            Body::Request(ReplicaRequest::Write { keyspace, key, record, path, in_place_of }) => {
                in_place_of.iter().try_for_each(|owner| write!(f, "in place of {owner} "))?;
                write!(f, "write {keyspace} {} {path:?} {}", Plain(key), Encoded(record))
            }
            Body::Request(ReplicaRequest::Relay(relay)) => {
                let wire::Write { keyspace, key, record, path } = &relay.write;
                relay.in_place_of.iter().try_for_each(|owner| write!(f, "in place of {owner} "))?;
                write!(
                    f,
                    "write {keyspace} {} {path:?} {}, to be passed on to",
                    Plain(key),
                    Encoded(record)
                )?;
                relay.others.iter().try_for_each(|other| write!(f, " {}", other.node))
            }
            Body::Request(ReplicaRequest::Relayed(relayed)) => {
                let wire::Write { keyspace, key, record, path } = &relayed.write;
                relayed.in_place_of.iter().try_for_each(|owner| write!(f, "in place of {owner} "))?;
                let asker = relayed.asker;
                write!(f, "for {asker} write {keyspace} {} {path:?} {}", Plain(key), Encoded(record))
            }
            Body::Request(ReplicaRequest::Read { keyspace, key, in_place_of }) => {
                in_place_of.iter().try_for_each(|owner| write!(f, "in place of {owner} "))?;
                write!(f, "read {keyspace} {}", Plain(key))
            }
            Body::Request(ReplicaRequest::Forward(passed)) => {
                write!(f, "forward {}", Key(&passed.request))?;
                passed.name.iter().try_for_each(|name| write!(f, " as {} {}", name.dot, name.stamp))
            }
            Body::Reply(ReplicaReply::Found { record, synced }) => {
                write!(f, "found {}{}", Encoded(record), if *synced { "" } else { " unsynced" })
            }
            Body::Reply(ReplicaReply::Forwarded(outcome)) => write!(f, "forwarded {}", Told(outcome)),
            Body::Reply(ReplicaReply::Scanned(answer)) => {
                write!(f, "scanned {} keys, next {:?}", answer.entries.len(), answer.next)
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// A cluster state as the trace has it: who its members are, where its partitions are and how far those are that move.
pub(super) struct Placed<'a>(pub(super) &'a ClusterState);

impl Display for Placed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let state = self.0;
        write!(f, "{}:", state.epoch())?;
        for member in state.members() {
            write!(f, " {} {:?}", member.name, member.standing)?;
        }
        for partition in state.partitions().iter() {
            let at = state.layout_of(partition).unwrap_or_default();
            write!(f, " {partition}@{}", at.0)?;
            if let Some(movement) = state.movement(partition) {
                write!(f, ">{}{:?}", movement.to.0, movement.stage)?;
            }
            write!(f, "{:?}", state.default_owners(partition))?;
        }
        Ok(())
    }
}

impl Display for Asked<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Command::Key(request) => Key(request).fmt(f),
            Command::Batch(requests) => {
                f.write_str("batch")?;
                requests.iter().try_for_each(|request| write!(f, " | {}", Key(request)))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl Display for Key<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let KeyRequest { keyspace, key, operation } = self.0;
        let key = Plain(key);
        match operation {
            Operation::Get { read, context, .. } => {
                write!(f, "get {keyspace} {key}")?;
                read.iter().try_for_each(|level| write!(f, " R={level}"))?;
                context.iter().try_for_each(|context| write!(f, " covering {}", Known(context)))
            }
            Operation::Put { value, context, write: level, expiry, .. } => {
                write!(f, "put {keyspace} {key} {}", Value(value))?;
                level.iter().try_for_each(|level| write!(f, " W={level}"))?;
                if let api::ExpiryChange::At(at) = expiry {
                    write!(f, " until {}", at.0)?;
                }
                context.iter().try_for_each(|context| write!(f, " over {}", Known(context)))
            }
            Operation::Delete { context, write: level, .. } => {
                write!(f, "delete {keyspace} {key}")?;
                level.iter().try_for_each(|level| write!(f, " W={level}"))?;
                context.iter().try_for_each(|context| write!(f, " over {}", Known(context)))
            }
            Operation::Expire { change, .. } => write!(f, "expire {keyspace} {key} {change:?}"),
        }
    }
}

impl Display for Known<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Context::Empty => f.write_str("nothing"),
            Context::Stamp { stamp, dot } => write!(f, "{dot}@{stamp}"),
            Context::Causal(known) => {
                let entries = known.vector().iter().map(|(actor, counter)| format!("{actor}:{counter}"));
                write!(
                    f,
                    "[{}]",
                    entries.chain(known.dots().iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
                )
            }
        }
    }
}

impl Display for Done<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "by {} owners as {}: {}", self.0.acknowledged, self.0.operation, Known(&self.0.context))
    }
}

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Ok(Reply::Found(found)) => {
                write!(f, "found {}:", Known(&found.context))?;
                found.values.iter().try_for_each(|value| write!(f, " {}", Value(&value.value)))
            }
            Ok(Reply::Written(written)) => write!(f, "written {}", Done(written)),
            Ok(Reply::Deleted(deleted)) => write!(f, "deleted {}", Done(&deleted.written)),
            Ok(Reply::Batch(outcomes)) => {
                f.write_str("batch")?;
                outcomes.iter().try_for_each(|outcome| write!(f, " | {}", Told(outcome)))
            }
            Ok(Reply::Scan(page)) => {
                write!(f, "scanned to {}:", page.cursor)?;
                page.keys.iter().try_for_each(|key| write!(f, " {}", Plain(key)))
            }
            Ok(other) => write!(f, "{other:?}"),
            Err(error) => write!(f, "{:?}: {error}", error.fate()),
        }
    }
}
