//! What the coordinator wants done, in words.

use api::{Operation, Outcome, Reply};
use causality::{Record, Version};
use coordinator::Effect;
use replica::{Change, Make};
use types::NodeId;
use wire::{Body, Holder, ReplicaRequest, ScanAsk, WritePath};

use crate::script::Play;

/// One line: to whom, of which operation and round, what.
pub(crate) fn effect(effect: &Effect, first_id: u64, play: &Play) -> String {
    let line = |to: &str, number: String, what: &str| format!("{to:<6} {number:<5} {what}");
    let number = |operation: u64, round: u32| format!("#{}.{round}", operation - first_id);
    match effect {
        Effect::Send(to, envelope) => match &envelope.body {
            Body::Request(asked) => {
                line(&node(*to), number(envelope.operation.0, envelope.round), &request(asked, play))
            }
            other => format!("{other:?}"),
        },
        Effect::Forwarded(ticket, outcome) => {
            line(&node(ticket.from), format!("<{}", ticket.operation.0), &answer(outcome, first_id, play))
        }
        Effect::NotAsNamed(ticket) => {
            line(&node(ticket.from), format!("<{}", ticket.operation.0), "cannot be made as it is named")
        }
        Effect::NotTaken(ticket, epoch) => {
            let what = format!("not taken, and not made: it is otherwise since epoch {epoch}");
            line(&node(ticket.from), format!("<{}", ticket.operation.0), &what)
        }
        Effect::News { from, epoch } => line(
            &node(*from),
            String::new(),
            &format!("what is the cluster state? It is of {epoch} or later"),
        ),
        Effect::Serve(ticket, asked) => {
            line(&node(ticket.from), number(ticket.operation.0, ticket.round), &request(asked, play))
        }
        Effect::Make(ticket, ask) => {
            line(&node(ticket.from), number(ticket.operation.0, ticket.round), &make(ask))
        }
        Effect::Show { operation, .. } => {
            line("here", format!("#{}", operation.0 - first_id), "show what was hidden")
        }
        Effect::Answer(client, outcome) => {
            line("client", format!("@{client}"), &answer(outcome, first_id, play))
        }
    }
}

fn node(id: NodeId) -> String {
    format!("n{}", id.0)
}

fn place(in_place_of: Option<NodeId>) -> String {
    in_place_of.map_or_else(String::new, |owner| format!("in place of {}: ", node(owner)))
}

fn beside(in_place_of: Option<NodeId>) -> String {
    in_place_of.map_or_else(String::new, |owner| format!(" in place of {}", node(owner)))
}

fn write(write: &wire::Write, play: &Play) -> String {
    let path = match write.path {
        WritePath::Client => "refuse it if not above",
        WritePath::ClientAboveHeld => "refuse it if not above, whatever the clock",
        WritePath::Merge => "merge",
    };
    let record = show(&Record::decode(write.record.clone()).unwrap());
    format!("write {} {record} ({path})", name(&write.key, play))
}

fn request(request: &ReplicaRequest, play: &Play) -> String {
    match request {
        ReplicaRequest::Read { key, in_place_of, .. } => {
            format!("{}read {}", place(*in_place_of), name(key, play))
        }
        ReplicaRequest::Write { keyspace, key, record, path, in_place_of } => {
            let (keyspace, path) = (*keyspace, *path);
            let one = wire::Write { keyspace, key: key.clone(), record: record.clone(), path };
            format!("{}{}", place(*in_place_of), write(&one, play))
        }
        ReplicaRequest::Relay(relay) => {
            let other = |to: &Holder| format!("{}{}", node(to.node), beside(to.in_place_of));
            let others: Vec<String> = relay.others.iter().map(other).collect();
            let one = write(&relay.write, play);
            format!("{}{one}, and pass it on to {}", place(relay.in_place_of), others.join(" and "))
        }
        ReplicaRequest::Relayed(relayed) => format!("passed on: {}", write(&relayed.write, play)),
        ReplicaRequest::Scan(ask) => format!("scan {}", run(ask)),
        ReplicaRequest::Count(ask) => format!("count {}", run(ask)),
        ReplicaRequest::Grant { .. } => "grant".to_owned(),
        ReplicaRequest::Unname => "name it yourself".to_owned(),
        ReplicaRequest::Compare(_) => "compare".to_owned(),
        ReplicaRequest::ReadHeld { key, .. } => format!("read {} as far as it is held", name(key, play)),
        ReplicaRequest::ReadCovering { key, .. } => format!("read {} as of a context", name(key, play)),
        ReplicaRequest::Collect(_) => "collect".to_owned(),
        ReplicaRequest::Fetch(_) => "fetch".to_owned(),
        ReplicaRequest::Forward(forward) => {
            let what = match &forward.request.operation {
                Operation::Get { .. } => "get",
                Operation::Put { .. } => "put",
                Operation::Delete { .. } => "delete",
                Operation::Expire { .. } => "expire",
            };
            let named = forward.name.map_or_else(String::new, |name| {
                format!(" as #{}@{}", name.dot.counter, name.stamp.millis())
            });
            format!("make this: {what} {}{named}", name(&forward.request.key, play))
        }
    }
}

fn run(ask: &ScanAsk) -> String {
    let (slot, hash) = ask.from;
    let within = if hash == 0 { "" } else { " and part" };
    format!("slots {slot}{within} to {}, {} keys", ask.last_slot, ask.limit)
}

fn make(make: &Make) -> String {
    let what = match &make.change {
        Change::Put { value, .. } => format!("put {}", String::from_utf8_lossy(value)),
        Change::Delete { .. } => "delete".to_owned(),
        Change::Expire { at, .. } => match at {
            Some(at) => format!("expire at {}", at.0),
            None => "expire never".to_owned(),
        },
    };
    let base = make.base.as_ref().map_or_else(String::new, |base| format!(" on {}", show(base)));
    let again = make.again.map_or_else(String::new, |again| format!(" again above {}", again.above.millis()));
    let named = make.named.map_or_else(String::new, |named| {
        format!(", named @{} of #{}", named.name.stamp.millis(), named.operation.0)
    });
    let hide = if make.hide { ", hidden" } else { "" };
    format!("make {what}{base}{named}{again}{hide}")
}

fn name(key: &[u8], play: &Play) -> String {
    let named = play.keys.iter().find(|(_, real)| real[..] == *key);
    named.map_or_else(|| String::from_utf8_lossy(key).into_owned(), |(name, _)| name.clone())
}

fn show(record: &Record) -> String {
    let versions: Vec<String> = record.versions().iter().map(show_version).collect();
    match record {
        Record::Lww(_) => versions.join(" "),
        Record::Siblings(_) => format!("{{{}}}", versions.join(",")),
    }
}

fn show_version(version: &Version) -> String {
    let value = match version.payload.value() {
        Some(value) => String::from_utf8_lossy(value).into_owned(),
        None => "!deleted".to_owned(),
    };
    let expires = version.expiry.at.map_or_else(String::new, |at| format!("-{}", at.0));
    format!("{value}@{}{expires}", version.stamp.millis())
}

fn answer(outcome: &Outcome, first_id: u64, play: &Play) -> String {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(error) => return format!("{:?}: {error}", error.fate()),
    };
    let found = |found: &api::Found| {
        let values: Vec<String> =
            found.values.iter().map(|value| String::from_utf8_lossy(&value.value).into_owned()).collect();
        if values.is_empty() { "nothing".to_owned() } else { values.join(" and ") }
    };
    let written = |written: &api::Written| {
        let relaxed = if written.marks.relaxed_durability { ", not yet synced" } else { "" };
        let operation = written.operation.0.saturating_sub(first_id);
        format!("#{operation}, held by {}{relaxed}", written.acknowledged)
    };
    match reply {
        Reply::Found(one) => format!("found {}", found(one)),
        Reply::Written(one) => format!("written {}", written(one)),
        Reply::Deleted(one) if one.existed => format!("deleted {}", written(&one.written)),
        Reply::Deleted(_) => "deleted nothing".to_owned(),
        Reply::Touched(one) => {
            format!("touched {}{}", found(&one.found), if one.changed { "" } else { ", nothing changed" })
        }
        Reply::Batch(outcomes) => {
            let each: Vec<String> = outcomes.iter().map(|one| answer(one, first_id, play)).collect();
            format!("[{}]", each.join("; "))
        }
        Reply::Scan(page) => {
            let keys: Vec<String> = page.keys.iter().map(|key| name(key, play)).collect();
            let end = if page.cursor == 0 { "the end" } else { "more" };
            format!("keys {}; {end}", keys.join(" "))
        }
        Reply::Count(count) => format!("{count} keys"),
        Reply::RandomKey(key) => match key {
            Some(key) => format!("key {}", name(key, play)),
            None => "no key".to_owned(),
        },
        Reply::Explain(explanation) => {
            let each: Vec<String> =
                explanation.owners.iter().map(|owner| format!("{} {}", owner.node, owner.state)).collect();
            each.join(", ")
        }
        Reply::Acknowledged(count) => format!("{count} hold it"),
        Reply::Repairing => "repairing".to_owned(),
        Reply::Changed(_) | Reply::Planned(_) => panic!("the coordinator changes no cluster"),
    }
}
