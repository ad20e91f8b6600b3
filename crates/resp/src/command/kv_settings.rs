//! `KV.*` about the connection and the cluster: levels, remembered contexts, what a key's owners hold, the keyspaces.

use api::{Command, Explanation, KeyspaceStatus, OwnerAnswer, Reply};
use quorum::Level;

use crate::command::failure::SYNTAX;
use crate::command::options::{Options, is, level};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, ask};
use crate::reply::Writer;

const SINCE: &str = "0.1.0";
const FAST: &[Flag] = &[Flag::Fast, Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("kv.consistency", -1, FAST, consistency).about(
        Group::Versions,
        SINCE,
        "O(1)",
        "The levels of this connection's reads and writes: KV.CONSISTENCY [READ level|default] [WRITE level|default].",
    ),
    Row::new("kv.context", -1, FAST, context).alone().about(
        Group::Versions,
        SINCE,
        "O(1)",
        "Whether this connection remembers contexts for plain commands: KV.CONTEXT [ON|OFF].",
    ),
    Row::new("kv.explain", 2, &[Flag::ReadOnly], explain).keys(1, 1, 1).about(
        Group::Versions,
        SINCE,
        "O(1)",
        "Where a key lives, and what each of its owners holds.",
    ),
    Row::new("kv.keyspaces", 1, FAST, keyspaces).about(
        Group::Versions,
        SINCE,
        "O(N) for N keyspaces",
        "The keyspaces, and what each promises.",
    ),
];

/// `KV.CONSISTENCY [READ level] [WRITE level]`. Without arguments it shows them; `default` is the keyspace's own.
fn consistency(call: &mut Call<'_>) -> Result<Next, Failure> {
    if call.arguments.len() == 1 {
        let levels = call.state.levels;
        call.reply.map(2);
        for (name, chosen) in [("read", levels.read), ("write", levels.write)] {
            call.reply.bulk(name.as_bytes());
            let text = chosen.map_or_else(|| "default".to_owned(), |level: Level| level.to_string());
            call.reply.bulk(text.as_bytes());
        }
        return Ok(Next::Replied);
    }
    let mut levels = call.state.levels;
    let mut options = Options::new(call.arguments, 1);
    while let Some(option) = options.next() {
        let value = options.value()?;
        let chosen = if is(value, "default") { None } else { Some(level(value)?) };
        if is(option, "READ") {
            levels.read = chosen;
        } else if is(option, "WRITE") {
            levels.write = chosen;
        } else {
            return Err(SYNTAX);
        }
    }
    call.state.levels = levels;
    call.reply.ok();
    Ok(Next::Replied)
}

/// `KV.CONTEXT [ON|OFF]`. Off is for clients that share one connection among users who do not see each other's replies.
fn context(call: &mut Call<'_>) -> Result<Next, Failure> {
    match call.arguments.get(1) {
        None => {
            let is_on = call.state.contexts.is_on();
            call.reply.bulk(if is_on { b"on" } else { b"off" });
        }
        Some(word) if call.arguments.len() == 2 && (is(word, "ON") || is(word, "OFF")) => {
            call.state.contexts.turn(is(word, "ON"));
            call.reply.ok();
        }
        Some(_) => return Err(SYNTAX),
    }
    Ok(Next::Replied)
}

fn explain(call: &mut Call<'_>) -> Result<Next, Failure> {
    let (keyspace, key) = (call.state.keyspace.id, call.arguments.take(1));
    ask(Command::Explain { keyspace, key }, |outcome, shown| {
        let Reply::Explain(explanation) = outcome? else {
            return Err(Failure::misplaced());
        };
        write_explanation(&explanation, &mut shown.reply);
        Ok(Next::Replied)
    })
}

fn write_explanation(explanation: &Explanation, reply: &mut Writer<'_>) {
    reply.map(6);
    let numbers = [
        ("slot", u64::from(explanation.slot)),
        ("partition", u64::from(explanation.partition)),
        ("partitions", u64::from(explanation.partitions)),
    ];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.count(number);
    }
    reply.bulk(b"quorum");
    reply.bulk(explanation.quorum.as_bytes());
    reply.bulk(b"owners");
    reply.array(explanation.owners.len());
    for owner in &explanation.owners {
        write_owner(owner, reply);
    }
    reply.bulk(b"fallbacks");
    reply.array(explanation.fallbacks.len());
    for fallback in &explanation.fallbacks {
        reply.bulk(fallback.as_bytes());
    }
}

fn write_owner(owner: &OwnerAnswer, reply: &mut Writer<'_>) {
    reply.map(5);
    for (name, text) in [("node", &owner.node), ("state", &owner.state)] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"clocks");
    reply.array(owner.clocks.len());
    for clock in &owner.clocks {
        let entries: Vec<String> =
            clock.iter().map(|(node, counter)| format!("[{node},{counter}]")).collect();
        reply.bulk(entries.join(" ").as_bytes());
    }
    reply.bulk(b"stamp");
    match owner.stamp {
        Some(stamp) => reply.bulk(stamp.to_string().as_bytes()),
        None => reply.null(),
    }
    reply.bulk(b"bytes");
    reply.count(owner.bytes as u64);
}

pub(super) fn keyspaces(call: &mut Call<'_>) -> Result<Next, Failure> {
    let all = &call.around.status.keyspaces;
    call.reply.array(all.len());
    for keyspace in all {
        write_keyspace(keyspace, &mut call.reply);
    }
    Ok(Next::Replied)
}

fn write_keyspace(keyspace: &KeyspaceStatus, reply: &mut Writer<'_>) {
    let (r, w) = (keyspace.r.to_string(), keyspace.w.to_string());
    let texts = [
        ("name", keyspace.name.as_str()),
        ("n", &keyspace.n_text),
        ("r", &r),
        ("w", &w),
        ("policy", &keyspace.policy),
        ("quorum", &keyspace.quorum),
        ("durability", &keyspace.durability),
        ("model", &keyspace.model),
        ("means", &keyspace.model_sentence),
    ];
    reply.map(texts.len() + 1);
    reply.bulk(b"number");
    reply.integer(i64::from(keyspace.number));
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}
