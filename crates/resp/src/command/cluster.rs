//! CLUSTER and what belongs to it. Only on the cluster listener; on the other it is off, as in a Redis that is no
//! cluster.
//!
//! READONLY, READWRITE and ASKING are accepted and change nothing: every node answers for every key, at the levels
//! asked for. MOVED is said so that clients look at the slots anew, after the cluster has changed (`session::moved`).

use std::fmt::Write as _;

use api::{Command, ScanRequest, Scope};
use ring::{SLOTS, Slot};

use crate::command::options::integer;
use crate::command::row::{Flag, Group, Row};
use crate::command::topology::{Master, masters};
use crate::command::{Call, Failure, Next, ask, scan};
use crate::state::ListenerKind;

const ANYTIME: &[Flag] = &[Flag::Loading, Flag::Stale];
const FAST: &[Flag] = &[Flag::Fast, Flag::Loading, Flag::Stale];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::container("cluster", SUBCOMMANDS).about(
        Group::Cluster,
        "3.0.0",
        "Depends on subcommand.",
        "The cluster, to clients of a Redis Cluster.",
    ),
    Row::new("readonly", 1, FAST, accept).about(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Accepted; it never weakens a read.",
    ),
    Row::new("readwrite", 1, FAST, accept).about(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Accepted; there is nothing to undo.",
    ),
    Row::new("asking", 1, FAST, accept).about(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Accepted; every node takes every key.",
    ),
];

const SUBCOMMANDS: &[Row] = &[
    Row::new("cluster|info", 2, ANYTIME, info).about(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Whether all slots are served, and by how many nodes.",
    ),
    Row::new("cluster|slots", 2, ANYTIME, slots).about(
        Group::Cluster,
        "3.0.0",
        "O(N) for N ranges",
        "Which node to ask for which slots.",
    ),
    Row::new("cluster|shards", 2, ANYTIME, shards).about(
        Group::Cluster,
        "7.0.0",
        "O(N) for N ranges",
        "The nodes with the slots to ask each for.",
    ),
    Row::new("cluster|nodes", 2, ANYTIME, nodes).about(
        Group::Cluster,
        "3.0.0",
        "O(N) for N nodes",
        "A line for each node.",
    ),
    Row::new("cluster|myid", 2, ANYTIME, myid).about(Group::Cluster, "3.0.0", "O(1)", "This node's id."),
    Row::new("cluster|keyslot", 3, ANYTIME, keyslot).about(
        Group::Cluster,
        "3.0.0",
        "O(N) for N bytes of key",
        "The slot of a key.",
    ),
    Row::new("cluster|countkeysinslot", 3, ANYTIME, countkeysinslot).alone().about(
        Group::Cluster,
        "3.0.0",
        "O(N) for N keys of the slot",
        "How many keys a slot has.",
    ),
    Row::new("cluster|getkeysinslot", 4, ANYTIME, getkeysinslot).alone().about(
        Group::Cluster,
        "3.0.0",
        "O(N) for N keys answered",
        "Some keys of a slot.",
    ),
    Row::new("cluster|links", 2, ANYTIME, links).about(
        Group::Cluster,
        "7.0.0",
        "O(1)",
        "None: nodes do not talk to each other over Redis's bus.",
    ),
];

fn must_be_cluster(call: &Call<'_>) -> Result<(), Failure> {
    match call.state.kind {
        ListenerKind::RedisCluster => Ok(()),
        ListenerKind::OneStore => Err(Failure::fixed("This instance has cluster support disabled")),
    }
}

fn all_masters<'c>(call: &Call<'c>) -> Result<Vec<Master<'c>>, Failure> {
    must_be_cluster(call)?;
    Ok(masters(call.around.status, call.state.client.local_address))
}

fn accept(call: &mut Call<'_>) -> Result<Next, Failure> {
    must_be_cluster(call)?;
    call.reply.ok();
    Ok(Next::Replied)
}

fn info(call: &mut Call<'_>) -> Result<Next, Failure> {
    let masters = all_masters(call)?;
    let served: u32 =
        masters.iter().flat_map(|m| &m.ranges).map(|(first, last)| u32::from(last - first) + 1).sum();
    let with_slots = masters.iter().filter(|master| !master.ranges.is_empty()).count();
    let state = if served == u32::from(SLOTS) { "ok" } else { "fail" };
    let epoch = call.around.status.epoch.0;
    let text = format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:{served}\r\ncluster_slots_ok:{served}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{}\r\ncluster_size:{with_slots}\r\ncluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\n",
        masters.len()
    );
    call.reply.verbatim(&text);
    Ok(Next::Replied)
}

fn slots(call: &mut Call<'_>) -> Result<Next, Failure> {
    let masters = all_masters(call)?;
    let mut ranges: Vec<_> =
        masters.iter().flat_map(|master| master.ranges.iter().map(move |&range| (range, master))).collect();
    ranges.sort_unstable_by_key(|&((first, _), _)| first);
    call.reply.array(ranges.len());
    for ((first, last), master) in ranges {
        call.reply.array(3);
        call.reply.integer(i64::from(first));
        call.reply.integer(i64::from(last));
        call.reply.array(4);
        call.reply.bulk(master.host().as_bytes());
        call.reply.integer(i64::from(master.address.port()));
        call.reply.bulk(master.id(call.around.status).as_bytes());
        call.reply.array(0);
    }
    Ok(Next::Replied)
}

fn shards(call: &mut Call<'_>) -> Result<Next, Failure> {
    let masters = all_masters(call)?;
    call.reply.array(masters.len());
    for master in &masters {
        call.reply.map(2);
        call.reply.bulk(b"slots");
        call.reply.array(master.ranges.len() * 2);
        for &(first, last) in &master.ranges {
            call.reply.integer(i64::from(first));
            call.reply.integer(i64::from(last));
        }
        call.reply.bulk(b"nodes");
        call.reply.array(1);
        shard_node(call, master);
    }
    Ok(Next::Replied)
}

fn shard_node(call: &mut Call<'_>, master: &Master<'_>) {
    let health = if master.is_up() { "online" } else { "fail" };
    let host = master.host();
    let texts = [("id", master.id(call.around.status)), ("ip", host.clone()), ("endpoint", host)];
    let fixed = [("role", "master"), ("health", health)];
    call.reply.map(texts.len() + fixed.len() + 2);
    for (field, text) in &texts {
        call.reply.bulk(field.as_bytes());
        call.reply.bulk(text.as_bytes());
    }
    for (field, text) in fixed {
        call.reply.bulk(field.as_bytes());
        call.reply.bulk(text.as_bytes());
    }
    for (field, number) in [("port", i64::from(master.address.port())), ("replication-offset", 0)] {
        call.reply.bulk(field.as_bytes());
        call.reply.integer(number);
    }
}

/// `id host:port@busport flags master ping-sent pong-received epoch link slots...`, as Redis writes it. The epoch is that of the
/// cluster state for all: there are none of single nodes.
fn nodes(call: &mut Call<'_>) -> Result<Next, Failure> {
    let status = call.around.status;
    let (epoch, mut text) = (status.epoch.0, String::new());
    for master in &all_masters(call)? {
        let myself = if master.is_here { "myself," } else { "" };
        let (failing, link) = if master.is_up() { ("", "connected") } else { (",fail", "disconnected") };
        let address = format!("{}:{}", master.host(), master.address.port());
        let bus = master.node.peer.map_or(0, |peer| peer.port());
        let id = master.id(status);
        let _ = write!(text, "{id} {address}@{bus} {myself}master{failing} - 0 0 {epoch} {link}");
        for &(first, last) in &master.ranges {
            let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
        }
        text.push('\n');
    }
    call.reply.verbatim(&text);
    Ok(Next::Replied)
}

fn myid(call: &mut Call<'_>) -> Result<Next, Failure> {
    let masters = all_masters(call)?;
    let here = masters.iter().find(|master| master.is_here);
    let here =
        here.ok_or(Failure::fixed("this node has no cluster listener, and so no id in the cluster"))?;
    call.reply.bulk(here.id(call.around.status).as_bytes());
    Ok(Next::Replied)
}

fn keyslot(call: &mut Call<'_>) -> Result<Next, Failure> {
    must_be_cluster(call)?;
    call.reply.integer(i64::from(Slot::of_key(&call.arguments[2]).number()));
    Ok(Next::Replied)
}

fn slot_argument(call: &Call<'_>) -> Result<u16, Failure> {
    must_be_cluster(call)?;
    let slot = u16::try_from(integer(&call.arguments[2])?).ok().and_then(Slot::new);
    Ok(slot.ok_or(Failure::fixed("Invalid slot"))?.number())
}

fn countkeysinslot(call: &mut Call<'_>) -> Result<Next, Failure> {
    let scope = Scope::Slot(slot_argument(call)?);
    ask(Command::Count { keyspace: call.state.keyspace.id, scope }, scan::show_count)
}

/// The most keys of a slot that are answered at once.
const SLOT_KEYS_MAX: usize = 10_000;

fn getkeysinslot(call: &mut Call<'_>) -> Result<Next, Failure> {
    let scope = Scope::Slot(slot_argument(call)?);
    let count = usize::try_from(integer(&call.arguments[3])?);
    let count = count.map_err(|_| Failure::fixed("Invalid number of keys"))?.min(SLOT_KEYS_MAX);
    let request = ScanRequest { keyspace: call.state.keyspace.id, cursor: 0, count, scope };
    ask(Command::Scan(request), move |outcome, shown| {
        let mut keys = scan::page(outcome)?.keys;
        keys.truncate(count);
        shown.reply.array(keys.len());
        for key in keys {
            shown.reply.bulk(&key);
        }
        Ok(Next::Replied)
    })
}

fn links(call: &mut Call<'_>) -> Result<Next, Failure> {
    must_be_cluster(call)?;
    call.reply.array(0);
    Ok(Next::Replied)
}
