//! COMMAND: the command table, as clients ask for it. Cluster clients find the keys of a command in it, `redis-cli` its
//! hints.

use crate::command::failure::SYNTAX;
use crate::command::options::is;
use crate::command::row::{Flag, Group, Keys, Row};
use crate::command::table;
use crate::command::{Call, Failure, Next};
use crate::glob;
use crate::reply::Writer;

const ANYTIME: &[Flag] = &[Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::container("command", SUBCOMMANDS).bare(everything).about(
    Group::Server,
    "2.8.13",
    "O(N) for N commands",
    "The commands that there are.",
)];

const SUBCOMMANDS: &[Row] = &[
    Row::new("command|count", 2, ANYTIME, count).about(
        Group::Server,
        "2.8.13",
        "O(1)",
        "How many commands there are.",
    ),
    Row::new("command|info", -2, ANYTIME, info).about(
        Group::Server,
        "2.8.13",
        "O(N) for N commands",
        "What some commands take, or all.",
    ),
    Row::new("command|docs", -2, ANYTIME, docs).about(
        Group::Server,
        "7.0.0",
        "O(N) for N commands",
        "What some commands do, or all.",
    ),
    Row::new("command|list", -2, ANYTIME, list).about(
        Group::Server,
        "7.0.0",
        "O(N) for N commands",
        "The names of commands.",
    ),
    Row::new("command|getkeys", -3, ANYTIME, getkeys).about(
        Group::Server,
        "2.8.13",
        "O(N) for N arguments",
        "The keys of a command with its arguments.",
    ),
];

/// `CONTAINER HELP`: its subcommands, a line for each and a line about it.
pub(crate) fn help(row: &Row, call: &mut Call<'_>) -> Result<Next, Failure> {
    let subcommands = row.subcommands();
    call.reply.array(1 + 2 * subcommands.len());
    let name = row.name.to_ascii_uppercase();
    call.reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for subcommand in subcommands {
        call.reply.simple(&subcommand.own_name().to_ascii_uppercase());
        call.reply.simple(&format!("    {}", subcommand.summary));
    }
    Ok(Next::Replied)
}

/// COMMAND alone, which shows all of the table.
fn everything(call: &mut Call<'_>) -> Result<Next, Failure> {
    let rows: Vec<&Row> = table::all().collect();
    call.reply.array(rows.len());
    for row in rows {
        write_info(row, &mut call.reply);
    }
    Ok(Next::Replied)
}

fn count(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.reply.count(table::all().count() as u64);
    Ok(Next::Replied)
}

/// A command by its name, a subcommand as `container|subcommand`.
fn find(name: &[u8]) -> Option<&'static Row> {
    let Some(bar) = name.iter().position(|&byte| byte == b'|') else {
        return table::find(name);
    };
    table::find(&name[..bar])?.subcommand(&name[bar + 1..])
}

fn info(call: &mut Call<'_>) -> Result<Next, Failure> {
    if call.arguments.len() == 2 {
        return everything(call);
    }
    call.reply.array(call.arguments.len() - 2);
    for name in call.arguments.from(2).iter() {
        match find(name) {
            Some(row) => write_info(row, &mut call.reply),
            None => call.reply.null_array(),
        }
    }
    Ok(Next::Replied)
}

fn write_info(row: &Row, reply: &mut Writer<'_>) {
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.integer(i64::from(row.arity));
    reply.set(row.flags.len());
    for flag in row.flags {
        reply.simple(flag.as_str());
    }
    reply.count(row.keys.first as u64);
    reply.integer(i64::from(row.keys.last));
    reply.count(row.keys.step as u64);
    let categories = categories(row);
    reply.set(categories.len());
    for category in categories {
        reply.simple(category);
    }
    reply.array(row.tips.len());
    for tip in row.tips {
        reply.bulk(tip.as_bytes());
    }
    write_key_specifications(row, reply);
    reply.array(row.subcommands().len());
    for subcommand in row.subcommands() {
        write_info(subcommand, reply);
    }
}

fn categories(row: &Row) -> Vec<&'static str> {
    let has = |flag| row.flags.contains(&flag);
    let group = match row.group {
        Group::Connection => "@connection",
        Group::String => "@string",
        Group::Generic => "@keyspace",
        Group::Transactions => "@transaction",
        Group::Scripting => "@scripting",
        Group::Cluster | Group::Server | Group::Versions => "@admin",
    };
    let all = [
        (has(Flag::Write), "@write"),
        (has(Flag::ReadOnly), "@read"),
        (group != "@admin" || has(Flag::Admin), group),
        (has(Flag::Admin), "@dangerous"),
        (has(Flag::Blocking), "@blocking"),
        (has(Flag::Fast), "@fast"),
        (!has(Flag::Fast), "@slow"),
    ];
    all.into_iter().filter(|(is_in, _)| *is_in).map(|(_, category)| category).collect()
}

/// "Command key specifications": where to begin, and how to go on from there.
fn write_key_specifications(row: &Row, reply: &mut Writer<'_>) {
    let Keys { first, last, step } = row.keys;
    if first == 0 {
        return reply.array(0);
    }
    let flags: &[&str] = if row.writes() { &["RW", "update"] } else { &["RO", "access"] };
    reply.array(1);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    reply.bulk(b"begin_search");
    write_rule("index", &[("index", i64::try_from(first).unwrap_or(1))], reply);
    reply.bulk(b"find_keys");
    // Counted from where the search began, except from the end.
    let last = if last > 0 { i64::from(last) - i64::try_from(first).unwrap_or(1) } else { i64::from(last) };
    write_rule(
        "range",
        &[("lastkey", last), ("keystep", i64::try_from(step).unwrap_or(1)), ("limit", 0)],
        reply,
    );
}

fn write_rule(kind: &str, specification: &[(&str, i64)], reply: &mut Writer<'_>) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(specification.len());
    for (name, number) in specification {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

fn docs(call: &mut Call<'_>) -> Result<Next, Failure> {
    let rows: Vec<&Row> = if call.arguments.len() == 2 {
        table::all().collect()
    } else {
        call.arguments.from(2).iter().filter_map(find).collect()
    };
    write_docs(&rows, &mut call.reply);
    Ok(Next::Replied)
}

fn write_docs(rows: &[&Row], reply: &mut Writer<'_>) {
    reply.map(rows.len());
    for row in rows {
        reply.bulk(row.name.as_bytes());
        let subcommands: Vec<&Row> = row.subcommands().iter().collect();
        let texts = [
            ("summary", row.summary),
            ("since", row.since),
            ("group", row.group.as_str()),
            ("complexity", row.complexity),
        ];
        reply.map(texts.len() + usize::from(!subcommands.is_empty()));
        for (field, text) in texts {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
        if !subcommands.is_empty() {
            reply.bulk(b"subcommands");
            write_docs(&subcommands, reply);
        }
    }
}

/// `COMMAND LIST [FILTERBY PATTERN pattern]`
fn list(call: &mut Call<'_>) -> Result<Next, Failure> {
    let arguments = call.arguments;
    let pattern = match arguments.len() {
        2 => &b"*"[..],
        5 if is(&arguments[2], "FILTERBY") && is(&arguments[3], "PATTERN") => {
            arguments.get(4).unwrap_or_default()
        }
        _ => return Err(SYNTAX),
    };
    let names: Vec<&str> =
        table::all().map(|row| row.name).filter(|name| glob::matches(pattern, name.as_bytes())).collect();
    call.reply.array(names.len());
    for name in names {
        call.reply.bulk(name.as_bytes());
    }
    Ok(Next::Replied)
}

fn getkeys(call: &mut Call<'_>) -> Result<Next, Failure> {
    let command = call.arguments.from(2);
    let row = table::find(&command[0]).ok_or(Failure::fixed("Invalid command specified"))?;
    if row.keys.first == 0 {
        return Err(Failure::fixed("The command has no key arguments"));
    }
    if !row.takes(command.len()) {
        return Err(Failure::fixed("Invalid number of arguments specified for command"));
    }
    let places: Vec<usize> = row.keys.places(command.len()).collect();
    call.reply.array(places.len());
    for place in places {
        call.reply.bulk(&command[place]);
    }
    Ok(Next::Replied)
}
