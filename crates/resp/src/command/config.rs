//! CONFIG GET: the few parameters that tools ask a Redis for before they trust it. The configuration itself is a file,
//! flags and the environment; nothing of it is set from here.

use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next};
use crate::glob;
use crate::state::ListenerKind;

const ADMIN: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::container("config", &[
    Row::new("config|get", -3, ADMIN, get).about(
        Group::Server,
        "2.0.0",
        "O(N) for N parameters",
        "Parameters whose names match a pattern.",
    ),
    Row::refused(
        "config|set",
        -4,
        ADMIN,
        "changes nothing here: the configuration is the node's file, flags and environment, and that of keyspaces is theirs",
    )
    .about(Group::Server, "2.0.0", "O(1)", "Refused: configuration is the node's file, flags and environment."),
])
.about(Group::Server, "2.0.0", "Depends on subcommand.", "Configuration, as tools for Redis ask for it.")];

fn get(call: &mut Call<'_>) -> Result<Next, Failure> {
    let patterns = call.arguments.from(2);
    let matches = |name: &str| {
        let mut patterns = patterns.iter().map(<[u8]>::to_ascii_lowercase);
        patterns.any(|pattern| glob::matches(&pattern, name.as_bytes()))
    };
    let found: Vec<_> = parameters(call).into_iter().filter(|(name, _)| matches(name)).collect();
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Ok(Next::Replied)
}

fn parameters(call: &Call<'_>) -> Vec<(&'static str, String)> {
    let status = call.around.status;
    let settings = call.around.settings;
    let durability = status.keyspace_by_id(call.state.keyspace.id).map_or("", |k| k.durability.as_str());
    let fsync = if durability == "always" { "always" } else { "everysec" };
    let cluster = if call.state.kind == ListenerKind::RedisCluster { "yes" } else { "no" };
    let databases = status.keyspaces.iter().map(|k| k.number + 1).max().unwrap_or(1);
    let port = call.state.client.local_address.map_or(0, |address| address.port());
    vec![
        ("appendfsync", fsync.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("cluster-enabled", cluster.to_owned()),
        ("databases", databases.to_string()),
        ("dir", status.data_dir.display().to_string()),
        ("maxclients", settings.connections_max.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", port.to_string()),
        ("proto-max-bulk-len", settings.limits.bulk_bytes_max.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}
