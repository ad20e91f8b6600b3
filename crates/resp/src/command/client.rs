//! CLIENT: who is connected, and what a client says about itself.

use std::sync::Arc;

use crate::clients::Client;
use crate::command::failure::SYNTAX;
use crate::command::options::{Options, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next};
use crate::frame::number::parse_u64;

const ANYTIME: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale];
const ADMIN: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::container("client", SUBCOMMANDS).about(
    Group::Connection,
    "2.4.0",
    "Depends on subcommand.",
    "Connections.",
)];

const SUBCOMMANDS: &[Row] = &[
    Row::new("client|id", 2, ANYTIME, id).about(
        Group::Connection,
        "5.0.0",
        "O(1)",
        "The connection's number.",
    ),
    Row::new("client|getname", 2, ANYTIME, getname).about(
        Group::Connection,
        "2.6.9",
        "O(1)",
        "What the connection calls itself.",
    ),
    Row::new("client|setname", 3, ANYTIME, setname).about(
        Group::Connection,
        "2.6.9",
        "O(1)",
        "Gives the connection a name.",
    ),
    Row::new("client|setinfo", 4, ANYTIME, setinfo).about(
        Group::Connection,
        "7.2.0",
        "O(1)",
        "Says which library the client is, and its version.",
    ),
    Row::new("client|info", 2, ANYTIME, info).about(
        Group::Connection,
        "6.2.0",
        "O(1)",
        "A line about this connection.",
    ),
    Row::new("client|list", -2, ADMIN, list).about(
        Group::Connection,
        "2.4.0",
        "O(N) for N connections",
        "A line about each connection of this node.",
    ),
    Row::new("client|kill", -3, ADMIN, kill).about(
        Group::Connection,
        "2.4.0",
        "O(N) for N connections",
        "Ends connections, by address or number.",
    ),
    Row::new("client|no-evict", 3, ADMIN, on_or_off).about(
        Group::Connection,
        "7.0.0",
        "O(1)",
        "Accepted: no connection is ended to save memory.",
    ),
    Row::new("client|no-touch", 3, ANYTIME, on_or_off).about(
        Group::Connection,
        "7.2.0",
        "O(1)",
        "Accepted: reads do not keep keys from being evicted; none are.",
    ),
    Row::new("client|reply", 3, ANYTIME, reply).about(
        Group::Connection,
        "3.2.0",
        "O(1)",
        "Accepts ON; every command is answered.",
    ),
    Row::new("client|getredir", 2, ANYTIME, getredir).about(
        Group::Connection,
        "6.0.0",
        "O(1)",
        "-1: there is no client-side caching to redirect.",
    ),
];

/// A name as `CLIENT SETNAME` allows it, so that a line of `CLIENT LIST` stays one line of words.
pub(crate) fn printable(name: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(name) {
        Ok(name) if name.bytes().all(|byte| byte.is_ascii_graphic()) && name.len() <= NAME_BYTES_MAX => {
            Ok(name.to_owned())
        }
        Ok(name) if name.len() > NAME_BYTES_MAX => {
            Err(Failure::new(format!("Client names cannot be longer than {NAME_BYTES_MAX} bytes.")))
        }
        _ => Err(Failure::fixed("Client names cannot contain spaces, newlines or special characters.")),
    }
}

/// A name is kept for as long as the connection lives, so it is not for storing things.
const NAME_BYTES_MAX: usize = 256;

fn id(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.reply.count(call.state.client.id);
    Ok(Next::Replied)
}

fn getname(call: &mut Call<'_>) -> Result<Next, Failure> {
    let name = call.state.client.name();
    if name.is_empty() {
        call.reply.null();
    } else {
        call.reply.bulk(name.as_bytes());
    }
    Ok(Next::Replied)
}

fn setname(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.state.client.set_name(printable(&call.arguments[2])?);
    call.reply.ok();
    Ok(Next::Replied)
}

fn setinfo(call: &mut Call<'_>) -> Result<Next, Failure> {
    let (attribute, value) = (&call.arguments[2], &call.arguments[3]);
    let mut library = call.state.client.library();
    let field = if is(attribute, "LIB-NAME") {
        &mut library.name
    } else if is(attribute, "LIB-VER") {
        &mut library.version
    } else {
        return Err(Failure::new(format!("Unrecognized option '{}'", attribute.escape_ascii())));
    };
    *field = printable(value).map_err(|_| {
        Failure::new(format!(
            "{} cannot contain spaces, newlines or special characters.",
            attribute.to_ascii_lowercase().escape_ascii()
        ))
    })?;
    call.state.client.set_library(library);
    call.reply.ok();
    Ok(Next::Replied)
}

fn info(call: &mut Call<'_>) -> Result<Next, Failure> {
    let line = call.state.client.line(call.around.now);
    call.reply.verbatim(&line);
    Ok(Next::Replied)
}

/// `CLIENT LIST [TYPE normal|master|replica|pubsub] [ID id ...]`
fn list(call: &mut Call<'_>) -> Result<Next, Failure> {
    let clients = listed(call)?;
    let lines: String = clients.iter().map(|client| client.line(call.around.now)).collect();
    call.reply.verbatim(&lines);
    Ok(Next::Replied)
}

fn listed(call: &Call<'_>) -> Result<Vec<Arc<Client>>, Failure> {
    let mut options = Options::new(call.arguments, 2);
    let Some(option) = options.next() else {
        return Ok(call.around.clients.list());
    };
    if is(option, "TYPE") {
        let kind = options.value()?;
        return match options.next() {
            None if is(kind, "normal") => Ok(call.around.clients.list()),
            None if ["master", "replica", "slave", "pubsub"].iter().any(|other| is(kind, other)) => {
                Ok(Vec::new())
            }
            None => Err(Failure::new(format!("Unknown client type '{}'", kind.escape_ascii()))),
            Some(_) => Err(SYNTAX),
        };
    }
    if !is(option, "ID") || call.arguments.len() < 4 {
        return Err(SYNTAX);
    }
    let ids = call.arguments.from(3);
    let ids: Option<Vec<u64>> = ids.iter().map(parse_u64).collect();
    let ids = ids.ok_or(Failure::fixed("Invalid client ID"))?;
    Ok(ids.into_iter().filter_map(|id| call.around.clients.get(id)).collect())
}

/// `CLIENT KILL address` or `CLIENT KILL [ID id | ADDR address | LADDR address | SKIPME yes|no] ...`
fn kill(call: &mut Call<'_>) -> Result<Next, Failure> {
    if call.arguments.len() == 3 {
        let found = call.around.clients.list().into_iter().find(|c| is_at(c.address, &call.arguments[2]));
        let client = found.ok_or(Failure::fixed("No such client"))?;
        end(call, &client);
        call.reply.ok();
        return Ok(Next::Replied);
    }
    let chosen = chosen(call)?;
    for client in &chosen {
        end(call, client);
    }
    call.reply.count(chosen.len() as u64);
    Ok(Next::Replied)
}

/// Ends a connection; one that ends itself is answered first.
fn end(call: &mut Call<'_>, client: &Client) {
    if client.id == call.state.client.id {
        call.state.is_closing = true;
    } else {
        client.kill();
    }
}

fn chosen(call: &Call<'_>) -> Result<Vec<Arc<Client>>, Failure> {
    let own_id = call.state.client.id;
    let mut chosen = call.around.clients.list();
    let mut skip_own = true;
    let mut options = Options::new(call.arguments, 2);
    while let Some(option) = options.next() {
        let value = options.value()?;
        if is(option, "ID") {
            let id = parse_u64(value).filter(|&id| id > 0);
            let id = id.ok_or(Failure::fixed("client-id should be greater than 0"))?;
            chosen.retain(|client| client.id == id);
        } else if is(option, "ADDR") {
            chosen.retain(|client| is_at(client.address, value));
        } else if is(option, "LADDR") {
            chosen.retain(|client| is_at(client.local_address, value));
        } else if is(option, "SKIPME") && (is(value, "yes") || is(value, "no")) {
            skip_own = is(value, "yes");
        } else {
            return Err(SYNTAX);
        }
    }
    chosen.retain(|client| !(skip_own && client.id == own_id));
    Ok(chosen)
}

fn is_at(address: Option<std::net::SocketAddr>, text: &[u8]) -> bool {
    address.is_some_and(|address| address.to_string().as_bytes() == text)
}

fn on_or_off(call: &mut Call<'_>) -> Result<Next, Failure> {
    if !is(&call.arguments[2], "ON") && !is(&call.arguments[2], "OFF") {
        return Err(SYNTAX);
    }
    call.reply.ok();
    Ok(Next::Replied)
}

/// `CLIENT REPLY ON`. A write whose answer nobody hears would be neither done nor not done, so OFF and SKIP are not
/// kept.
fn reply(call: &mut Call<'_>) -> Result<Next, Failure> {
    let mode = &call.arguments[2];
    if is(mode, "OFF") || is(mode, "SKIP") {
        return Err(Failure::fixed(
            "CLIENT REPLY takes only ON here: every command is answered with what became of it",
        ));
    }
    if !is(mode, "ON") {
        return Err(SYNTAX);
    }
    call.reply.ok();
    Ok(Next::Replied)
}

fn getredir(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.reply.integer(-1);
    Ok(Next::Replied)
}
