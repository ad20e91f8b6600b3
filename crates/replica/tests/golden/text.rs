//! What owners say, in words.

use causality::Record;
use merkle::{Answer, Contents, Question};
use wire::{Own, ReplicaReply, ReplicaRequest};

use crate::support::owners::{Message, Owners};

/// What all keys of a script begin with; it is not shown.
pub(crate) const TAG: &str = "{k}";

/// One line: from whom, to whom, what.
pub(crate) fn message(owners: &Owners, message: &Message) -> String {
    let name = |place: usize| format!("n{}", place + 1);
    match message {
        Message::Request(from, to, _, _, asked) => {
            format!("{} -> {}  {}", name(*from), name(*to), request(asked))
        }
        Message::Reply(from, ticket, said) => {
            format!("{} -> {}  {}", name(*from), name(owners.place(ticket.from)), reply(said))
        }
    }
}

fn request(request: &ReplicaRequest) -> String {
    match request {
        ReplicaRequest::Grant { .. } => "how much may I send?".to_owned(),
        ReplicaRequest::ReadHeld { key, own, .. } => {
            let own = match own.as_deref() {
                None => "",
                Some(Own { outline: None, .. }) => " I have this digest of it",
                Some(Own { outline: Some(_), .. }) => " I have this digest of it, and this outline",
            };
            format!("what have you of {}?{own}", name(key))
        }
        ReplicaRequest::Write { key, record: bytes, .. } => {
            format!("merge {} {}", name(key), record(&Record::decode(bytes.clone()).unwrap()))
        }
        ReplicaRequest::Compare(ask) => match &ask.question {
            Question::Root(_) => "this is my root; and yours?".to_owned(),
            Question::Leaves(branches) => format!("the leaves of {} branches?", branches.count_ones()),
            Question::Spans(asks) => {
                let span = |ask: &merkle::SpanAsk| match ask.span.depth {
                    0 => "a leaf",
                    _ => "a part of a leaf",
                };
                let after = |ask: &merkle::SpanAsk| if ask.after.is_some() { ", after these" } else { "" };
                let spans: Vec<String> =
                    asks.iter().map(|ask| format!("{}{}", span(ask), after(ask))).collect();
                format!("what is in {}?", spans.join(", "))
            }
            Question::Keys(wanted) => {
                let digests: usize = wanted.iter().map(|wanted| wanted.digests.len()).sum();
                format!("whose are these {digests} digests?")
            }
        },
        other => format!("{other:?}"),
    }
}

fn reply(reply: &ReplicaReply) -> String {
    match reply {
        ReplicaReply::Granted { bytes: 0 } | ReplicaReply::Absent => "nothing".to_owned(),
        ReplicaReply::Granted { .. } => "so much".to_owned(),
        ReplicaReply::Found { record: bytes, .. } => record(&Record::decode(bytes.clone()).unwrap()),
        ReplicaReply::Stored => "stored".to_owned(),
        ReplicaReply::Same => "the very same".to_owned(),
        ReplicaReply::Older => "nothing that you lack".to_owned(),
        ReplicaReply::Settled => "settled long ago".to_owned(),
        ReplicaReply::Failed { why } | ReplicaReply::CannotSay { why } => format!("failed: {why}"),
        ReplicaReply::Compared(answer) => compared(answer),
        other => format!("{other:?}"),
    }
}

fn compared(answer: &Answer) -> String {
    match answer {
        Answer::Refused(why) => format!("no answer: {why:?}"),
        Answer::Same { doubted: false } => "the same".to_owned(),
        Answer::Same { doubted: true } => "the same, but mine is in doubt".to_owned(),
        Answer::Branches(branches) => format!("another; {} branches", branches.len()),
        Answer::Leaves(leaves) => format!("{} leaves", leaves.len()),
        Answer::Spans(contents) => {
            let one = |contents: &Contents| match contents {
                Contents::Parts(parts) => format!("{} parts", parts.len()),
                Contents::Digests { digests, more } => {
                    format!("{} digests{}", digests.len(), if *more { " and more" } else { "" })
                }
            };
            contents.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        Answer::Keys { keys, more } => {
            let names: Vec<String> = keys.iter().map(|key| name(&key.key)).collect();
            let names = if names.is_empty() { "nobody's now".to_owned() } else { names.join(", ") };
            format!("{names}{}", if *more { ", and more" } else { "" })
        }
    }
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).trim_start_matches(TAG).to_owned()
}

/// `x@5`: the value x of stamp 5. Stamps that a node made are not shown.
pub(crate) fn record(record: &Record) -> String {
    let one = |version: &causality::Version| {
        let value = version.payload.value().map_or("!deleted".into(), |value| String::from_utf8_lossy(value));
        match version.stamp.millis() {
            stamp @ ..1_000 => format!("{value}@{stamp}"),
            _ => value.into_owned(),
        }
    };
    record.versions().iter().map(one).collect::<Vec<_>>().join(" and ")
}
