//! INFO and TIME: the server about itself, in the sections and lines that tools for Redis read, from the one snapshot
//! and the counters that all front ends show. What Redis has no name for stands in the section `henge`.

use std::fmt::Write as _;

use api::{Counter, KeyspaceStatus, Status};

use crate::command::connection::REDIS_VERSION;
use crate::command::options::is;
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next};
use crate::state::ListenerKind;

const ANYTIME: &[Flag] = &[Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("info", -1, ANYTIME, info)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .about(Group::Server, "1.0.0", "O(1)", "What the server says about itself."),
    Row::new("time", 1, &[Flag::Fast, Flag::Loading, Flag::Stale], time).about(
        Group::Server,
        "2.6.0",
        "O(1)",
        "The node's wall clock: seconds since 1970, and microseconds.",
    ),
];

type Section = fn(&Call<'_>, &mut String);

const SECTIONS: [(&str, Section); 9] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
    ("Henge", henge),
];

/// `INFO [section ...]`. A section that there is not is an empty one, as in Redis.
fn info(call: &mut Call<'_>) -> Result<Next, Failure> {
    let wanted = call.arguments.from(1);
    let all = wanted.len() == 0
        || wanted.iter().any(|name| ["all", "default", "everything"].iter().any(|w| is(name, w)));
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if all || wanted.iter().any(|wanted| is(wanted, name)) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            write(call, &mut text);
        }
    }
    call.reply.verbatim(&text);
    Ok(Next::Replied)
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server(call: &Call<'_>, text: &mut String) {
    let status = call.around.status;
    let uptime_seconds = call.around.now.0.saturating_sub(status.started.0) / 1000;
    let mode = if call.state.kind == ListenerKind::RedisCluster { "cluster" } else { "standalone" };
    line(text, "redis_version", REDIS_VERSION);
    line(text, "henge_version", &status.version);
    line(text, "redis_mode", mode);
    line(text, "os", std::env::consts::OS);
    line(text, "arch_bits", usize::BITS);
    line(text, "process_id", std::process::id());
    if let Some(address) = call.state.client.local_address {
        line(text, "tcp_port", address.port());
    }
    line(text, "server_time_usec", call.around.now.0.saturating_mul(1000));
    line(text, "uptime_in_seconds", uptime_seconds);
    line(text, "uptime_in_days", uptime_seconds / 86_400);
}

fn clients(call: &Call<'_>, text: &mut String) {
    line(text, "connected_clients", call.around.clients.count());
    line(text, "maxclients", call.around.settings.connections_max);
    line(text, "blocked_clients", 0);
}

fn memory(call: &Call<'_>, text: &mut String) {
    let counters = (call.around.counters)();
    if let Some(used) = counters.iter().find(|counter| counter.name == "memory_used_bytes") {
        line(text, "used_memory", used.value);
    }
    line(text, "maxmemory", 0);
    line(text, "maxmemory_policy", "noeviction");
}

fn persistence(call: &Call<'_>, text: &mut String) {
    let durability =
        call.around.status.keyspace_by_id(call.state.keyspace.id).map_or("", |k| k.durability.as_str());
    line(text, "loading", 0);
    line(text, "aof_enabled", 1);
    line(text, "durability", durability);
}

fn stats(call: &Call<'_>, text: &mut String) {
    let clients = call.around.clients;
    line(text, "total_connections_received", clients.total());
    line(text, "total_commands_processed", clients.sum(|figures| &figures.commands));
    line(text, "total_net_input_bytes", clients.sum(|figures| &figures.bytes_received));
    line(text, "total_net_output_bytes", clients.sum(|figures| &figures.bytes_sent));
    line(text, "rejected_connections", clients.sum(|figures| &figures.rejected));
    line(text, "total_error_replies", clients.sum(|figures| &figures.errors));
    line(text, "evicted_keys", 0);
    line(text, "protocol_errors", clients.sum(|figures| &figures.protocol_errors));
    line(text, "foreign_connections_closed", clients.sum(|figures| &figures.foreign));
    line(text, "stand_in_answers", clients.sum(|figures| &figures.stand_in_answers));
    line(text, "relaxed_writes", clients.sum(|figures| &figures.relaxed_writes));
}

fn replication(_: &Call<'_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
}

fn cluster(call: &Call<'_>, text: &mut String) {
    line(text, "cluster_enabled", u8::from(call.state.kind == ListenerKind::RedisCluster));
}

/// Which keyspaces there are and what they promise. Not how many keys: no node knows that of the whole cluster without
/// asking all others; DBSIZE does.
fn keyspace(call: &Call<'_>, text: &mut String) {
    for keyspace in &call.around.status.keyspaces {
        line(text, &format!("keyspace{}", keyspace.number), promises(keyspace));
    }
}

fn promises(keyspace: &KeyspaceStatus) -> String {
    let KeyspaceStatus { name, n_text, r, w, policy, quorum, durability, model, .. } = keyspace;
    let n = n_text.replace(',', ";");
    format!(
        "name={name},n={n},r={r},w={w},policy={policy},quorum={quorum},durability={durability},model={model}"
    )
}

fn henge(call: &Call<'_>, text: &mut String) {
    let status: &Status = call.around.status;
    line(text, "cluster_name", &status.name);
    line(text, "node", &status.this_node().name);
    line(text, "epoch", status.epoch.0);
    line(text, "nodes", status.nodes.len());
    for (number, notice) in status.notices.iter().enumerate() {
        line(text, &format!("notice{number}"), notice);
    }
    for Counter { name, value, .. } in (call.around.counters)() {
        line(text, name, value);
    }
}

fn time(call: &mut Call<'_>) -> Result<Next, Failure> {
    let millis = call.around.now.0;
    call.reply.array(2);
    call.reply.bulk((millis / 1000).to_string().as_bytes());
    call.reply.bulk((millis % 1000 * 1000).to_string().as_bytes());
    Ok(Next::Replied)
}
