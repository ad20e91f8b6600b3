//! What cannot be kept here, and why: commands that read and write in one step, or change several keys at once.
//!
//! They are rows like the others, so that a client that asks for one is told what would serve instead of "unknown
//! command", and so that the arity of what it sent is checked first. A keyspace that stays writable on both sides of a
//! cut cannot promise such a step; strong keyspaces will.

use crate::command::Failure;
use crate::command::row::{Flag, Group, Row};

const WRITE: &[Flag] = &[Flag::Write];
const READ: &[Flag] = &[Flag::ReadOnly];

/// Why what reads and writes in one step is refused.
const ONE_STEP: &str = "must read and write in one step, which no keyspace here can promise while it stays writable on both sides of a cut. Strong keyspaces will serve it (they are still to come). Until then: KV.GET, then KV.PUT with the context that it returned, in a keyspace with policy siblings";

/// Why what changes several things at once is refused.
const AT_ONCE: &str = "must change several things at once or none, which no keyspace here can promise while it stays writable on both sides of a cut. Strong keyspaces will serve it within one slot (they are still to come). Until then send the commands one by one, or pipelined without MULTI";

/// Why programs are refused.
const PROGRAMS: &str = "runs a program between reading and writing, in one step, which no keyspace here can promise while it stays writable on both sides of a cut. Read, decide in the client, and write: KV.GET, then KV.PUT with the context that it returned, in a keyspace with policy siblings";

/// Why what empties everything is refused.
const EVERYTHING: &str = "would empty every keyspace: use FLUSHDB in each that allows it (allow_flush)";

/// The refusal of an option that makes a command read and write in one step.
pub fn one_step_failure(what: &str) -> Failure {
    Failure::new(format!("{what} {ONE_STEP}"))
}

const fn one_step(name: &'static str, arity: i32, group: Group, since: &'static str) -> Row {
    Row::refused(name, arity, WRITE, ONE_STEP).keys(1, 1, 1).about(
        group,
        since,
        "O(1)",
        "Refused: reads and writes in one step.",
    )
}

const fn at_once(name: &'static str, arity: i32) -> Row {
    Row::refused(name, arity, &[], AT_ONCE).about(
        Group::Transactions,
        "1.2.0",
        "O(1)",
        "Refused: changes several things at once or none.",
    )
}

const fn program(name: &'static str, arity: i32, since: &'static str) -> Row {
    Row::refused(name, arity, &[], PROGRAMS).about(
        Group::Scripting,
        since,
        "O(1)",
        "Refused: runs a program between reading and writing.",
    )
}

/// The commands that are refused.
pub const ROWS: &[Row] = &[
    one_step("setnx", 3, Group::String, "1.0.0"),
    one_step("getset", 3, Group::String, "1.0.0"),
    one_step("getdel", 2, Group::String, "6.2.0"),
    one_step("incr", 2, Group::String, "1.0.0"),
    one_step("incrby", 3, Group::String, "1.0.0"),
    one_step("incrbyfloat", 3, Group::String, "2.6.0"),
    one_step("decr", 2, Group::String, "1.0.0"),
    one_step("decrby", 3, Group::String, "1.0.0"),
    one_step("append", 3, Group::String, "2.0.0"),
    one_step("setrange", 4, Group::String, "2.2.0"),
    one_step("setbit", 4, Group::String, "2.2.0"),
    Row::refused("msetnx", -3, WRITE, AT_ONCE).keys(1, -1, 2).about(
        Group::String,
        "1.0.1",
        "O(1)",
        "Refused: sets several keys at once or none.",
    ),
    Row::refused("rename", 3, WRITE, AT_ONCE).keys(1, 2, 1).about(
        Group::Generic,
        "1.0.0",
        "O(1)",
        "Refused: changes two keys at once.",
    ),
    Row::refused("renamenx", 3, WRITE, AT_ONCE).keys(1, 2, 1).about(
        Group::Generic,
        "1.0.0",
        "O(1)",
        "Refused: changes two keys at once.",
    ),
    Row::refused("copy", -3, WRITE, ONE_STEP).keys(1, 2, 1).about(
        Group::Generic,
        "6.2.0",
        "O(1)",
        "Refused: reads one key and writes another in one step.",
    ),
    Row::refused("watch", -2, READ, AT_ONCE).keys(1, -1, 1).about(
        Group::Transactions,
        "2.2.0",
        "O(1)",
        "Refused: watches keys until the next EXEC.",
    ),
    at_once("multi", 1).alone(),
    at_once("exec", 1),
    at_once("discard", 1),
    at_once("unwatch", 1),
    program("eval", -3, "2.6.0"),
    program("eval_ro", -3, "7.0.0"),
    program("evalsha", -3, "2.6.0"),
    program("evalsha_ro", -3, "7.0.0"),
    program("script", -2, "2.6.0"),
    program("fcall", -3, "7.0.0"),
    program("fcall_ro", -3, "7.0.0"),
    program("function", -2, "7.0.0"),
    Row::refused("flushall", -1, WRITE, EVERYTHING).about(
        Group::Server,
        "1.0.0",
        "O(1)",
        "Refused: empties every keyspace.",
    ),
    Row::refused("swapdb", 3, WRITE, AT_ONCE).about(
        Group::Server,
        "4.0.0",
        "O(1)",
        "Refused: swaps two keyspaces at once.",
    ),
];
