//! `KV.KEYSPACE`: keyspaces are made, altered and dropped while the cluster runs, in one agreed order.
//!
//! ```text
//! KV.KEYSPACE CREATE|ALTER name [N n] [R r] [W w] [POLICY p] [PRESET p] [QUORUM q] [DURABILITY d] [ALLOW-FLUSH yes|no]
//!                               [REQUIRE-CONTEXT yes|no] [MAX-CLOCK-ENTRIES n] [VALUE-BYTES-MAX n] [NUMBER n]
//! KV.KEYSPACE DROP name
//! ```
//!
//! A reply is a record of `epoch`, in which it is so; `number`, of a keyspace that was made, or nothing; `partitions`, how many are
//! to move because of it; and `notes`, what people should know. The node that was asked goes by the change then, so a SELECT
//! behind it, also in the same pipeline, finds the keyspace: these commands run alone on their connection.
//!
//! What a setting means is understood behind all front ends, in one place. Here only its name is checked, and its kind.

use api::{Change, Changed, Command, KeyspaceSettings, Reply};

use crate::command::failure::{NOT_AN_INTEGER, SYNTAX};
use crate::command::kv_settings::keyspaces;
use crate::command::options::{Options, integer, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, ask};
use crate::reply::Writer;

const SINCE: &str = "0.1.0";
const CHANGES: &[Flag] = &[Flag::Admin, Flag::NoScript];

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::container("kv.keyspace", SUBCOMMANDS).about(
    Group::Versions,
    SINCE,
    "Depends on subcommand.",
    "Makes, alters, drops and lists keyspaces.",
)];

const SUBCOMMANDS: &[Row] = &[
    Row::new("kv.keyspace|create", -3, CHANGES, create).alone().about(
        Group::Versions,
        SINCE,
        "O(N) for N partitions",
        "Makes a keyspace: KV.KEYSPACE CREATE name [N n] [R r] [W w] [POLICY p] [PRESET p] [QUORUM q] [DURABILITY d] [ALLOW-FLUSH yes|no] [REQUIRE-CONTEXT yes|no] [MAX-CLOCK-ENTRIES n] [VALUE-BYTES-MAX n] [NUMBER n].",
    ),
    Row::new("kv.keyspace|alter", -5, CHANGES, alter).alone().about(
        Group::Versions,
        SINCE,
        "O(N) for N partitions; another N moves them",
        "Alters settings of a keyspace, those that are named: KV.KEYSPACE ALTER name with the options of CREATE.",
    ),
    Row::new("kv.keyspace|drop", 3, CHANGES, drop_keyspace).alone().about(
        Group::Versions,
        SINCE,
        "O(N) for N partitions",
        "Drops a keyspace and all its keys, for ever: KV.KEYSPACE DROP name.",
    ),
    Row::new("kv.keyspace|list", 2, &[Flag::Fast, Flag::Loading, Flag::Stale], keyspaces).about(
        Group::Versions,
        SINCE,
        "O(N) for N keyspaces",
        "The keyspaces, and what each promises, as KV.KEYSPACES.",
    ),
];

fn create(call: &mut Call<'_>) -> Result<Next, Failure> {
    let name = text(&call.arguments[2])?;
    let settings = Box::new(settings(call)?);
    change(Change::CreateKeyspace { name, settings })
}

fn alter(call: &mut Call<'_>) -> Result<Next, Failure> {
    let (name, settings) = (named(call)?, Box::new(settings(call)?));
    change(Change::AlterKeyspace { name, settings })
}

fn drop_keyspace(call: &mut Call<'_>) -> Result<Next, Failure> {
    let name = named(call)?;
    change(Change::DropKeyspace { name })
}

fn change(change: Change) -> Result<Next, Failure> {
    ask(Command::Change(Box::new(change)), |outcome, shown| {
        let Reply::Changed(changed) = outcome? else {
            return Err(Failure::misplaced());
        };
        write_changed(&changed, &mut shown.reply);
        Ok(Next::Replied)
    })
}

fn write_changed(changed: &Changed, reply: &mut Writer<'_>) {
    reply.record(4);
    reply.field("epoch");
    reply.count(changed.epoch.0);
    reply.field("number");
    match changed.number {
        Some(number) => reply.count(u64::from(number)),
        None => reply.null(),
    }
    reply.field("partitions");
    reply.count(u64::from(changed.partitions));
    reply.field("notes");
    reply.array(changed.notes.len());
    for note in &changed.notes {
        reply.bulk(note.as_bytes());
    }
}

/// The name of the keyspace that is meant, by name or number. One that this node has not heard of may be there all the same.
fn named(call: &Call<'_>) -> Result<String, Failure> {
    let given = text(&call.arguments[2])?;
    let known = call.around.status.keyspace(&given).map(|keyspace| keyspace.name.clone());
    Ok(known.unwrap_or(given))
}

fn settings(call: &Call<'_>) -> Result<KeyspaceSettings, Failure> {
    let mut settings = KeyspaceSettings::default();
    let mut options = Options::new(call.arguments, 3);
    while let Some(option) = options.next() {
        let text_of = [
            ("N", &mut settings.n),
            ("R", &mut settings.r),
            ("W", &mut settings.w),
            ("POLICY", &mut settings.policy),
            ("PRESET", &mut settings.preset),
            ("QUORUM", &mut settings.quorum),
            ("DURABILITY", &mut settings.durability),
        ];
        if let Some((name, place)) = text_of.into_iter().find(|(name, _)| is(option, name)) {
            once(name, place, text(options.value()?)?)?;
        } else if is(option, "ALLOW-FLUSH") {
            once("ALLOW-FLUSH", &mut settings.allow_flush, yes_or_no(options.value()?)?)?;
        } else if is(option, "REQUIRE-CONTEXT") {
            once("REQUIRE-CONTEXT", &mut settings.require_context, yes_or_no(options.value()?)?)?;
        } else if is(option, "MAX-CLOCK-ENTRIES") {
            once("MAX-CLOCK-ENTRIES", &mut settings.max_clock_entries, number(options.value()?)?)?;
        } else if is(option, "VALUE-BYTES-MAX") {
            once("VALUE-BYTES-MAX", &mut settings.value_bytes_max, number(options.value()?)?)?;
        } else if is(option, "NUMBER") {
            once("NUMBER", &mut settings.number, number(options.value()?)?)?;
        } else {
            return Err(SYNTAX.with_context(&format!(
                "'{}' is no setting of a keyspace; see KV.KEYSPACE HELP",
                option.escape_ascii()
            )));
        }
    }
    Ok(settings)
}

/// Sets what must not be said twice: either might be the one that was meant.
fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), Failure> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SYNTAX.with_context(&format!("{name} is said twice"))),
    }
}

fn text(word: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(word);
    text.map(str::to_owned).map_err(|_| Failure::new(format!("'{}' is not UTF-8", word.escape_ascii())))
}

fn number<T: TryFrom<i64>>(word: &[u8]) -> Result<T, Failure> {
    T::try_from(integer(word)?).map_err(|_| NOT_AN_INTEGER)
}

fn yes_or_no(word: &[u8]) -> Result<bool, Failure> {
    match (is(word, "YES"), is(word, "NO")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Failure::new(format!("'{}' is neither yes nor no", word.escape_ascii()))),
    }
}
