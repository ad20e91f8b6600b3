//! Keys, whatever their values: DEL, EXISTS, TYPE and their kin.
//!
//! Whether a key is there is not a choice between its siblings, so these answer for keys with siblings too.

use api::Reply;

use crate::command::many::{self, Part};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, Shown, ask};

const READ: &[Flag] = &[Flag::ReadOnly, Flag::Fast];

/// A client of a cluster asks each node for its own keys and adds up the answers.
const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("del", -2, &[Flag::Write], del).keys(1, -1, 1).tips(SUM_OF_SHARDS).about(
        Group::Generic,
        "1.0.0",
        "O(N) for N keys",
        "Deletes keys, of any slots, and counts those that were there.",
    ),
    Row::new("unlink", -2, &[Flag::Write, Flag::Fast], del).keys(1, -1, 1).tips(SUM_OF_SHARDS).about(
        Group::Generic,
        "4.0.0",
        "O(N) for N keys",
        "Deletes keys; the same as DEL, which never blocks here.",
    ),
    Row::new("exists", -2, READ, exists).keys(1, -1, 1).tips(SUM_OF_SHARDS).about(
        Group::Generic,
        "1.0.0",
        "O(N) for N keys",
        "How many of the keys given are there.",
    ),
    Row::new("touch", -2, READ, exists).keys(1, -1, 1).tips(SUM_OF_SHARDS).about(
        Group::Generic,
        "3.2.1",
        "O(N) for N keys",
        "The same as EXISTS: no key is evicted for being unused.",
    ),
    Row::new("type", 2, READ, type_of).keys(1, 1, 1).about(
        Group::Generic,
        "1.0.0",
        "O(1)",
        "The type of a key's value: string, or none where there is no key.",
    ),
];

/// `DEL key [key ...]`. Covers what a read finds; what the connection remembers does not matter.
fn del(call: &mut Call<'_>) -> Result<Next, Failure> {
    if call.arguments.len() == 2 {
        return call.ask_key(call.arguments.take(1), call.delete(), |outcome, shown| {
            let Reply::Deleted(deleted) = outcome? else {
                return Err(Failure::misplaced());
            };
            if deleted.existed {
                shown.written(deleted.written, 0);
            }
            shown.reply.integer(i64::from(deleted.existed));
            Ok(Next::Replied)
        });
    }
    let places = many::last_of_each(call.arguments, 1);
    let requests: Vec<_> =
        places.iter().map(|&at| call.key_request(call.arguments.take(at), call.delete())).collect();
    let parts = Part::of(&places, &requests, 1);
    ask(api::Command::Batch(requests), move |outcome, shown| {
        let existed = many::show_writes(outcome, &parts, "deleted", shown)?;
        shown.reply.count(existed);
        Ok(Next::Replied)
    })
}

/// `EXISTS key [key ...]`. A key given twice counts twice, as in Redis.
fn exists(call: &mut Call<'_>) -> Result<Next, Failure> {
    let requests: Vec<_> =
        (1..call.arguments.len()).map(|at| call.key_request(call.arguments.take(at), call.get())).collect();
    let asked = requests.len();
    ask(api::Command::Batch(requests), move |outcome, shown| {
        let mut there = 0;
        for outcome in Shown::batch(outcome, asked)? {
            there += i64::from(!shown.found(outcome)?.values.is_empty());
        }
        shown.reply.integer(there);
        Ok(Next::Replied)
    })
}

fn type_of(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.ask_key(call.arguments.take(1), call.get(), |outcome, shown| {
        let found = shown.found(outcome)?;
        shown.reply.simple(if found.values.is_empty() { "none" } else { "string" });
        Ok(Next::Replied)
    })
}
