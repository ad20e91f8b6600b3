//! `KV.*`: what plain Redis commands have no words for: siblings, contexts, levels, and what a key's owners hold.
//!
//! Replies are records: maps with these names in RESP3, arrays of the values in this order in RESP2.
//!
//! ```text
//! KV.GET   context, values, marks              a value: value, clock, stamp, expires, priority
//! KV.PUT   context, acknowledged, marks        a clock: [node or node/stint, counter] pairs
//! KV.DEL   context, acknowledged, marks, existed
//! ```
//!
//! `expires` is milliseconds since 1970 or nothing, `acknowledged` how many distinct owners hold the write as of the
//! reply, and `marks` what is weaker about the answer than it might be (INVARIANTS C4): `stand-in`,
//! `relaxed-durability`.
//!
//! These commands take their context from the client alone: a KV.PUT without one is blind, also where the connection
//! remembers a context for plain commands. What their replies carry is remembered for plain commands, so that SET after
//! KV.GET replaces all siblings that KV.GET showed.

use api::{Detail, ExpiryChange, Marks, Operation, Reply, ShownValue, Written};
use bytes::Bytes;
use causality::Context;
use quorum::Level;
use types::KeyspaceId;

use crate::command::failure::{NOT_AN_INTEGER, SYNTAX};
use crate::command::options::{Options, TimeForm, integer, is, level};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, Shown};
use crate::reply::Writer;

const SINCE: &str = "0.1.0";

/// The commands of this family that read and write; those about the connection and the cluster are in `kv_settings`.
pub const ROWS: &[Row] = &[
    Row::new("kv.get", -2, &[Flag::ReadOnly], get).keys(1, 1, 1).about(
        Group::Versions,
        SINCE,
        "O(1)",
        "All values of a key with their clocks, and the context to pass back: KV.GET key [R level] [CONTEXT c].",
    ),
    Row::new("kv.put", -3, &[Flag::Write, Flag::DenyOom], put).keys(1, 1, 1).about(
        Group::Versions,
        SINCE,
        "O(1)",
        "Writes a value in place of what a context covers: KV.PUT key value [CONTEXT c] [W level] [PRIORITY p] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL].",
    ),
    Row::new("kv.del", -2, &[Flag::Write], del).keys(1, 1, 1).about(
        Group::Versions,
        SINCE,
        "O(1)",
        "Deletes what a context covers, or all that a read finds: KV.DEL key [CONTEXT c] [W level] [R level].",
    ),
];

/// What the options of these commands may say; each command takes its own of them.
#[derive(Default)]
struct Asked {
    context: Option<Context>,
    read: Option<Level>,
    write: Option<Level>,
    priority: u8,
    expiry: ExpiryChange,
}

/// Reads the options from `from` on. `allowed` are those that the command takes.
fn options(call: &Call<'_>, from: usize, allowed: &[&str]) -> Result<Asked, Failure> {
    let mut asked =
        Asked { read: call.state.levels.read, write: call.state.levels.write, ..Asked::default() };
    let mut options = Options::new(call.arguments, from);
    while let Some(option) = options.next() {
        if !allowed.iter().any(|name| is(option, name)) {
            return Err(SYNTAX.with_context(&format!("'{}' is no option here", option.escape_ascii())));
        }
        if let Some(form) = TimeForm::of_option(option) {
            asked.expiry = form.positive_expiry(options.value()?, call.around.now, "kv.put")?;
        } else if is(option, "KEEPTTL") {
            asked.expiry = ExpiryChange::Keep;
        } else if is(option, "CONTEXT") {
            asked.context = Some(context(call, options.value()?)?);
        } else if is(option, "R") {
            asked.read = Some(level(options.value()?)?);
        } else if is(option, "W") {
            asked.write = Some(level(options.value()?)?);
        } else {
            asked.priority = u8::try_from(integer(options.value()?)?).map_err(|_| NOT_AN_INTEGER)?;
        }
    }
    Ok(asked)
}

fn context(call: &Call<'_>, token: &[u8]) -> Result<Context, Failure> {
    let binding = ring::context_binding(call.state.keyspace.id, &call.arguments[1]);
    let text = std::str::from_utf8(token).unwrap_or("?");
    Context::from_token(text, binding).map_err(|error| Failure::new(format!("CONTEXT: {error}")))
}

fn get(call: &mut Call<'_>) -> Result<Next, Failure> {
    let asked = options(call, 2, &["R", "CONTEXT"])?;
    let key = call.arguments.take(1);
    let binding = binding_of(call.state.keyspace.id, &key);
    let operation = Operation::Get { read: asked.read, context: asked.context, detail: Detail::Clocks };
    call.ask_key(key, operation, move |outcome, shown| {
        let found = shown.found(outcome)?;
        let reply = &mut shown.reply;
        reply.record(3);
        write_context(&found.context, binding, reply);
        reply.field("values");
        reply.array(found.values.len());
        for value in &found.values {
            write_value(value, reply);
        }
        write_marks(found.marks, reply);
        shown.saw(0, found.context);
        Ok(Next::Replied)
    })
}

fn binding_of(keyspace: KeyspaceId, key: &Bytes) -> u32 {
    ring::context_binding(keyspace, key)
}

fn write_context(context: &Context, binding: u32, reply: &mut Writer<'_>) {
    reply.field("context");
    reply.bulk(context.to_token(binding).as_bytes());
}

fn write_value(value: &ShownValue, reply: &mut Writer<'_>) {
    reply.record(5);
    reply.field("value");
    reply.bulk(&value.value);
    reply.field("clock");
    reply.array(value.clock.len());
    for (node, counter) in &value.clock {
        reply.array(2);
        reply.bulk(node.as_bytes());
        reply.count(*counter);
    }
    reply.field("stamp");
    reply.bulk(value.stamp.to_string().as_bytes());
    reply.field("expires");
    match value.expires {
        Some(at) => reply.count(at.0),
        None => reply.null(),
    }
    reply.field("priority");
    reply.integer(i64::from(value.priority));
}

fn write_marks(marks: Marks, reply: &mut Writer<'_>) {
    let all = [(marks.stand_in, "stand-in"), (marks.relaxed_durability, "relaxed-durability")];
    reply.field("marks");
    reply.array(all.iter().filter(|(is_so, _)| *is_so).count());
    for (_, mark) in all.iter().filter(|(is_so, _)| *is_so) {
        reply.bulk(mark.as_bytes());
    }
}

fn put(call: &mut Call<'_>) -> Result<Next, Failure> {
    let allowed = ["CONTEXT", "W", "PRIORITY", "EX", "PX", "EXAT", "PXAT", "KEEPTTL"];
    let asked = options(call, 3, &allowed)?;
    let key = call.arguments.take(1);
    let binding = binding_of(call.state.keyspace.id, &key);
    let operation = Operation::Put {
        value: call.arguments.take(2),
        context: asked.context,
        write: asked.write,
        expiry: asked.expiry,
        priority: asked.priority,
    };
    call.ask_key(key, operation, move |outcome, shown| {
        let Reply::Written(written) = outcome? else {
            return Err(Failure::misplaced());
        };
        shown.reply.record(3);
        write_written(written, binding, shown);
        Ok(Next::Replied)
    })
}

fn del(call: &mut Call<'_>) -> Result<Next, Failure> {
    let asked = options(call, 2, &["CONTEXT", "W", "R"])?;
    let key = call.arguments.take(1);
    let binding = binding_of(call.state.keyspace.id, &key);
    let operation = Operation::Delete { context: asked.context, write: asked.write, read: asked.read };
    call.ask_key(key, operation, move |outcome, shown| {
        let Reply::Deleted(deleted) = outcome? else {
            return Err(Failure::misplaced());
        };
        shown.reply.record(4);
        if deleted.existed {
            write_written(deleted.written, binding, shown);
        } else {
            write_acknowledged(&deleted.written, binding, &mut shown.reply);
        }
        shown.reply.field("existed");
        shown.reply.boolean(deleted.existed);
        Ok(Next::Replied)
    })
}

fn write_written(written: Written, binding: u32, shown: &mut Shown<'_>) {
    write_acknowledged(&written, binding, &mut shown.reply);
    shown.written(written, 0);
}

fn write_acknowledged(written: &Written, binding: u32, reply: &mut Writer<'_>) {
    write_context(&written.context, binding, reply);
    reply.field("acknowledged");
    reply.integer(i64::from(written.acknowledged));
    write_marks(written.marks, reply);
}
