//! The connection itself: PING, HELLO, SELECT and what else clients say before they ask for anything.

use crate::command::failure::{NOT_AN_INTEGER, SYNTAX};
use crate::command::options::{Options, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, client};
use crate::frame::number::parse_i64;
use crate::reply::Protocol;
use crate::state::{ListenerKind, Selected};

const FAST: &[Flag] = &[Flag::Fast, Flag::Loading, Flag::Stale];
const BEFORE_LOGIN: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("ping", -1, FAST, ping)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .about(Group::Connection, "1.0.0", "O(1)", "Answers PONG, or what was sent."),
    Row::new("echo", 2, FAST, echo).about(Group::Connection, "1.0.0", "O(1)", "Answers what was sent."),
    Row::new("hello", -1, BEFORE_LOGIN, hello).about(
        Group::Connection,
        "6.0.0",
        "O(1)",
        "Introduces the server and sets the version of the protocol.",
    ),
    Row::new("auth", -2, BEFORE_LOGIN, auth).about(
        Group::Connection,
        "1.0.0",
        "O(1)",
        "Logs in, once there are users; until then an error.",
    ),
    Row::new("select", 2, FAST, select).about(
        Group::Connection,
        "1.0.0",
        "O(1)",
        "Goes to a keyspace, by its number or its name.",
    ),
    Row::new("quit", -1, BEFORE_LOGIN, quit).about(
        Group::Connection,
        "1.0.0",
        "O(1)",
        "Ends the connection when all is answered.",
    ),
    Row::new("reset", 1, BEFORE_LOGIN, reset).alone().about(
        Group::Connection,
        "6.2.0",
        "O(1)",
        "Makes the connection as new: nothing chosen, nothing remembered.",
    ),
];

/// What clients compare to know which commands and replies to expect. The replies follow Redis 7; see `henge_version`
/// in INFO for ours.
pub const REDIS_VERSION: &str = "7.4.0";

fn ping(call: &mut Call<'_>) -> Result<Next, Failure> {
    match call.arguments.len() {
        1 => call.reply.simple("PONG"),
        2 => call.reply.bulk(&call.arguments[1]),
        _ => return Err(Failure::fixed("wrong number of arguments for 'ping' command")),
    }
    Ok(Next::Replied)
}

fn echo(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.reply.bulk(&call.arguments[1]);
    Ok(Next::Replied)
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`. Nothing changes unless all of it is right.
fn hello(call: &mut Call<'_>) -> Result<Next, Failure> {
    let protocol = match call.arguments.get(1) {
        None => call.state.protocol,
        Some(version) => match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => {
                return Err(Failure { prefix: "NOPROTO", ..Failure::fixed("unsupported protocol version") });
            }
            None => {
                return Err(Failure::fixed("Protocol version is not an integer or out of range"));
            }
        },
    };
    let name = hello_name(call)?;
    if let Some(name) = name {
        call.state.client.set_name(name);
    }
    call.state.speak(protocol);
    call.reply.set_protocol(protocol);
    introduce(call);
    Ok(Next::Replied)
}

fn hello_name(call: &Call<'_>) -> Result<Option<String>, Failure> {
    let mut name = None;
    let mut options = Options::new(call.arguments, 2);
    while let Some(option) = options.next() {
        let wrong = || Failure::new(format!("Syntax error in HELLO option '{}'", option.escape_ascii()));
        if is(option, "AUTH") {
            let _user = options.next().ok_or_else(wrong)?;
            let _password = options.next().ok_or_else(wrong)?;
            return Err(no_such_user());
        } else if is(option, "SETNAME") {
            name = Some(client::printable(options.next().ok_or_else(wrong)?)?);
        } else {
            return Err(wrong());
        }
    }
    Ok(name)
}

fn introduce(call: &mut Call<'_>) {
    let mode = match call.state.kind {
        ListenerKind::OneStore => "standalone",
        ListenerKind::RedisCluster => "cluster",
    };
    let reply = &mut call.reply;
    reply.map(7);
    for (field, text) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(call.state.protocol.number());
    reply.bulk(b"id");
    reply.count(call.state.client.id);
    for (field, text) in [("mode", mode), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

fn no_such_user() -> Failure {
    Failure { prefix: "WRONGPASS", ..Failure::fixed("invalid username-password pair or user is disabled.") }
}

/// `AUTH [user] password`. There are no users yet: as in a Redis without a password, logging in is an error.
fn auth(call: &mut Call<'_>) -> Result<Next, Failure> {
    Err(match call.arguments.len() {
        2 => Failure::fixed(
            "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ),
        3 => no_such_user(),
        _ => SYNTAX,
    })
}

/// `SELECT number-or-name`. A cluster's clients know only database 0, which is the keyspace of their listener.
fn select(call: &mut Call<'_>) -> Result<Next, Failure> {
    let wanted = &call.arguments[1];
    if call.state.kind == ListenerKind::RedisCluster {
        return match parse_i64(wanted).ok_or(NOT_AN_INTEGER)? {
            0 => {
                call.reply.ok();
                Ok(Next::Replied)
            }
            _ => Err(Failure::fixed("SELECT is not allowed in cluster mode")),
        };
    }
    let text = String::from_utf8_lossy(wanted);
    let Some(keyspace) = call.around.status.keyspace(&text) else {
        return Err(match parse_i64(wanted) {
            Some(_) => Failure::fixed("DB index is out of range"),
            None => Failure::new(format!(
                "there is no keyspace '{}'; KV.KEYSPACES lists them",
                wanted.escape_ascii()
            )),
        });
    };
    call.state.select(Selected::new(keyspace));
    call.reply.ok();
    Ok(Next::Replied)
}

fn quit(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.state.is_closing = true;
    call.reply.ok();
    Ok(Next::Replied)
}

fn reset(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.state.reset();
    call.reply.set_protocol(call.state.protocol);
    call.reply.simple("RESET");
    Ok(Next::Replied)
}
