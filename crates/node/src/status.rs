//! What a node shows of itself: the snapshot that every front end speaks from, and its figures.

use std::path::PathBuf;
use std::sync::Arc;

use api::{Counter, MemberStatus, Status};
use cluster::Topology;
use replica::collection::round::Blocked;
use types::{Instant, Moment, NodeId, WallTime};
use wire::CollectWait;

use crate::core::{Governed, Liveness, Shard};

/// What the node itself does not know of how it was started.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where its data is.
    pub data_dir: PathBuf,
    /// What it has measured of its machine.
    pub capacity: f64,
    /// When it was started.
    pub started: WallTime,
}

/// The cluster as a shard of the node sees it, and as the one that speaks for all knows it to be governed.
pub fn status(topology: &Topology, governed: &Governed, facts: &Facts) -> Status {
    let state = &topology.state;
    let here = state.members().iter().position(|member| member.id == topology.here).unwrap_or_default();
    Status {
        name: state.name().to_owned(),
        epoch: state.epoch(),
        here,
        nodes: topology.node_statuses(),
        keyspaces: state.keyspace_statuses(),
        partitions: state.partition_count(),
        slots: topology.slot_ranges(),
        movements: state.movement_statuses(&governed.movements),
        waiting: state.waiting_count(),
        is_merging: state.is_merging(),
        group: state.group_status(&governed.keepers),
        data_dir: facts.data_dir.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: facts.started,
        notices: governed.notices.iter().cloned().chain(topology.notices()).collect(),
    }
}

/// What the node has heard of all members.
pub fn members(topology: &Topology, liveness: &Liveness, now: Instant) -> Arc<[MemberStatus]> {
    let name = |node: NodeId| {
        topology.state.member(node).map_or_else(|| node.to_string(), |member| member.name.clone())
    };
    let rows = liveness.table(now).into_iter();
    rows.map(|row| MemberStatus {
        name: name(row.node),
        verdict: row.verdict.name(),
        generation: row.generation.map(|generation| generation.0),
        heartbeat: row.heartbeat,
        age: row.age,
        phi: row.phi,
        suspected_by: row.suspected_by.into_iter().map(name).collect(),
        disk_is_full: liveness.has_full_disk(row.node),
        load: liveness.load(row.node),
    })
    .collect()
}

/// The same of a node that has not gossiped: it knows of itself alone.
pub fn members_alone(topology: &Topology) -> Arc<[MemberStatus]> {
    let member = |member: &cluster::Member| {
        let is_here = member.id == topology.here;
        MemberStatus {
            name: member.name.clone(),
            verdict: if is_here { gossip::Verdict::Up } else { gossip::Verdict::NeverHeard }.name(),
            generation: None,
            heartbeat: 0,
            age: None,
            phi: 0.0,
            suspected_by: Vec::new(),
            disk_is_full: false,
            load: None,
        }
    };
    topology.state.members().iter().map(member).collect()
}

/// For how long a delete may wait to be dropped before people are told.
const DELETES_WAIT_SECONDS: u64 = 60;

/// What people should know of how a shard is, if there is anything: since when, and what.
pub fn notice(shard: &Shard, now: WallTime) -> Option<(WallTime, String)> {
    let collection = shard.replica().collection(now);
    let (since, (node, why)) = (collection.oldest?, collection.blocked?);
    let seconds = now.0.saturating_sub(since.0) / 1000;
    let name = |node: NodeId| {
        let member = shard.topology().state.members().iter().find(|member| member.id == node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    };
    let why = match why {
        Blocked::Waiting(CollectWait::Comparing(with)) => {
            format!("it has yet to compare with {}", name(with))
        }
        other => other.to_string(),
    };
    let name = name(node);
    let what = format!(
        "deletes cannot be dropped yet, the oldest since {seconds} s, because not all nodes have confirmed them: {name}: {why}"
    );
    (seconds >= DELETES_WAIT_SECONDS).then_some((since, what))
}

/// What people should know of damage on a shard's disk, if there is any.
pub fn damage(shard: &Shard) -> Option<String> {
    let (replica, db) = (shard.replica(), shard.replica().db());
    let healing = replica.healing();
    let found: Vec<String> = db.damages().map(ToString::to_string).collect();
    let found = if found.is_empty() { String::new() } else { format!(" ({})", found.join("; ")) };
    let name = |node: NodeId| {
        let member = shard.topology().state.member(node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    };
    let next = || healing.waits_for.map_or_else(String::new, |node| format!(", next with {}", name(node)));
    if healing.began_without && healing.partitions > 0 {
        return Some(format!(
            "catching up: this life of its data directory began without what was there before, or with what may be out of date; {} are yet to be compared with the other owners{}, and until then this node says nothing of their keys",
            count(healing.partitions, "partition"),
            next()
        ));
    }
    if healing.alone > 0 {
        return Some(format!(
            "damage on the disk: something of {} is missing, and has no other owner{found}: restore this node's data from a copy",
            count(healing.alone, "partition")
        ));
    }
    if healing.partitions > 0 {
        return Some(format!(
            "damage on the disk: something of {} is missing{found}; it is fetched from the other owners by comparing with each of them{}, and until then this node says nothing of those keys",
            count(healing.partitions, "partition"),
            next()
        ));
    }
    let damaged = db.stats().damaged_tables;
    (damaged > 0).then(|| {
        format!(
            "damage on the disk: something of {} cannot be read{found}, and not every key has another owner: restore what is damaged from a copy",
            count(damaged as u64, "table")
        )
    })
}

fn count(number: u64, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// The shard's figures now; those of a node are their sums. Names end in `_total` where they only go up.
#[allow(clippy::cast_precision_loss, reason = "figures for people and graphs; 2^53 is far away")]
pub fn counters(shard: &Shard, now: Moment) -> Vec<Counter> {
    let (now, now_mono) = (now.wall, now.mono);
    let handoff = shard.replica().handoff();
    let oldest_seconds = handoff.oldest.map_or(0, |since| now.0.saturating_sub(since.0) / 1000);
    let exchange = shard.replica().exchange();
    let collection = shard.replica().collection(now);
    let oldest_delete = collection.oldest.map_or(0, |since| now.0.saturating_sub(since.0) / 1000);
    let healing = shard.replica().healing();
    let moving = shard.replica().moving();
    let figures = shard.figures();
    let pace = shard.operations().pace_figures();
    let repairs = shard.operations().repair_figures();
    let (refused, waiting) = (shard.operations().refusals(), shard.replica().refusals());
    let db = shard.replica().db();
    let storage = db.stats();
    // The room is that of all shards, and their figures are added up.
    let stores = db.options().stores as u64;
    let disk_free_bytes = db.disk_space().map_or(0, |space| space.free_bytes);
    let reads = &storage.counters;
    let counter = |name, help, value: u64| Counter { name, help, value: value as f64 };
    let gossip = shard.liveness().map(Liveness::figures).unwrap_or_default();
    let heat = shard.heat().figures(now_mono);
    let rate = |name, help, value: f64| Counter { name, help, value };
    vec![
        counter("shards", "Shards of this node.", 1),
        counter("gossip_sent_total", "Gossip messages sent.", gossip.sent),
        counter("gossip_sent_bytes_total", "Their bytes.", gossip.sent_bytes),
        counter("gossip_received_total", "Gossip messages taken in.", gossip.received),
        counter(
            "gossip_refused_total",
            "Datagrams not taken in: not sealed with the cluster's secret, of strangers, or damaged.",
            gossip.refused,
        ),
        counter(
            "peers_unreachable",
            "Peers that cannot be reached, or are found down, counted by each shard.",
            unreachable_peers(shard),
        ),
        counter("client_requests_total", "Requests of clients.", figures.client_requests),
        counter("shard_passes_total", "Requests of clients that were another shard's.", figures.passed_on),
        counter("peer_messages_total", "Messages from peers.", figures.peer_messages),
        counter("cold_reads_total", "Reads that memory could not answer.", figures.cold_reads),
        counter("log_syncs_total", "Times that the commit log was made durable.", figures.syncs),
        counter("operations_under_way", "Client operations under way.", shard.operations_under_way() as u64),
        counter(
            "refused_operations_total",
            "Requests refused because as many operations were under way as are taken.",
            refused.operations,
        ),
        counter(
            "refused_bytes_total",
            "Requests refused because as many bytes of values were under way as are taken.",
            refused.bytes,
        ),
        counter(
            "refused_delay_total",
            "Requests refused because all that came had waited too long, for a while.",
            refused.delay,
        ),
        counter(
            "refused_late_total",
            "Requests of clients and questions of peers refused because their time was over, or nearly, when their turn came.",
            refused.late + figures.refused_late + waiting.late,
        ),
        counter(
            "refused_hopeless_total",
            "Reads and writes refused because they had less time than the disk takes, or than others had waited for storage.",
            waiting.hopeless,
        ),
        counter(
            "refused_cold_total",
            "Reads and writes refused because as many waited for the disk as may.",
            waiting.cold_full,
        ),
        counter(
            "refused_stalled_total",
            "Writes refused because as many waited for storage to catch up as may.",
            waiting.stalled_full,
        ),
        counter(
            "refused_crossing_total",
            "Requests not passed on to another shard of the node, because that had too much to take in.",
            figures.refused_crossing,
        ),
        counter(
            "relayed_writes_total",
            "Owners in other data centers to whom a write went through an owner beside them.",
            pace.relayed,
        ),
        counter(
            "relayed_writes_again_total",
            "Those that were sent it once more, because that one failed or nothing was heard of them.",
            pace.relays_failed,
        ),
        counter(
            "writes_passed_on_total",
            "Writes from other data centers that this node passed on to owners beside it.",
            figures.relayed,
        ),
        counter("hedges_sent_total", "Owners asked in addition, because another was late.", pace.hedges_sent),
        counter("hedges_won_total", "Reads decided by such an owner before the late one.", pace.hedges_won),
        counter("hedges_withheld_total", "Owners not asked so, for want of budget.", pace.hedges_withheld),
        counter(
            "probes_sent_total",
            "Reads sent to slow owners to see whether they are well.",
            pace.probes_sent,
        ),
        counter("retries_spent_total", "Questions asked again after a refusal.", pace.retries_spent),
        counter("retries_refused_total", "Those not asked again, for want of budget.", pace.retries_refused),
        counter(
            "read_repairs_awaited_total",
            "Records sent to owners that a read found behind, before it was answered.",
            repairs.sent_before_answers,
        ),
        counter("read_repairs_sent_total", "The same, after it was answered.", repairs.sent),
        counter(
            "read_repairs_suppressed_total",
            "Those not sent, because one for the same key was under way.",
            repairs.suppressed,
        ),
        counter(
            "read_repairs_withheld_total",
            "Those not sent, because too many were under way.",
            repairs.withheld,
        ),
        rate(
            "replica_operations_per_second",
            "Reads and writes of clients that reached this node's records, of late.",
            heat.operations_per_second,
        ),
        rate("replica_bytes_per_second", "Bytes of records that they read and wrote.", heat.bytes_per_second),
        rate(
            "hottest_key_operations_per_second",
            "Those of them that asked for the key that is asked for most.",
            heat.hottest_key_per_second,
        ),
        rate(
            "hottest_partition_operations_per_second",
            "Those of them that asked for the partition that is asked for most.",
            heat.hottest_partition_per_second,
        ),
        counter("hints_waiting", "Hints kept for owners that could not be reached.", handoff.waiting),
        counter(
            "hints_oldest_seconds",
            "How long the oldest of them may have been waiting; those of before the start count from the start.",
            oldest_seconds,
        ),
        counter("hints_stored_total", "Hints stored for owners that could not be reached.", handoff.stored),
        counter("hints_delivered_total", "Hints that their owners have taken in.", handoff.delivered),
        counter(
            "exchange_differing_keys",
            "Keys that are known to differ between this node and other owners, counted for each of those.",
            exchange.differing,
        ),
        counter(
            "exchange_oldest_difference_seconds",
            "How long the oldest of them has been known.",
            exchange.oldest.map_or(0, |since| now.0.saturating_sub(since.0) / 1000),
        ),
        counter("exchange_pairs", "Hash trees to be compared, for each other owner.", exchange.pairs),
        counter(
            "exchange_agreeing_pairs",
            "Those of which the last comparison left no difference.",
            exchange.agreeing,
        ),
        counter(
            "exchange_stuck_pairs",
            "Those of which one comparison after the other finds and moves the same: a defect, or damage.",
            exchange.stuck,
        ),
        counter(
            "exchange_uncompared_pairs",
            "Those not compared completely since somebody last asked for it, or not at all if nobody has.",
            exchange.uncompared,
        ),
        counter(
            "exchange_unreachable_pairs",
            "Those whose other owner cannot be reached.",
            exchange.unreachable,
        ),
        counter(
            "exchange_hurried_pairs",
            "Those still to be compared because somebody asked for it.",
            exchange.hurried,
        ),
        counter(
            "exchange_repairs_total",
            "Times that somebody asked for it, counted by each shard.",
            exchange.repairs,
        ),
        counter("exchange_rounds_total", "Comparisons with other owners.", exchange.rounds),
        counter(
            "exchange_incomplete_rounds_total",
            "Those that could not be completed.",
            exchange.incomplete,
        ),
        counter("exchange_found_total", "Keys found to differ.", exchange.found),
        counter("exchange_fetched_total", "Records fetched from other owners.", exchange.fetched),
        counter("exchange_sent_total", "Records sent to other owners and taken in.", exchange.sent),
        counter("exchange_moved_bytes_total", "Bytes of records fetched or sent.", exchange.bytes),
        counter("tree_memory_bytes", "Memory of hash trees.", exchange.memory_bytes),
        counter("trees_unbuilt", "Hash trees that are not built yet, or in doubt.", exchange.unbuilt),
        counter(
            "trees_built_total",
            "Partitions whose hash trees were built from stored bytes.",
            exchange.built,
        ),
        counter(
            "trees_unreadable_total",
            "Times that building them came to something which cannot be read.",
            exchange.unreadable,
        ),
        counter(
            "trees_corrected_leaves_total",
            "Leaves of hash trees that were wrong though nobody had doubted them: defects.",
            exchange.corrected,
        ),
        counter(
            "collection_waiting_partitions",
            "Partitions that this node leads, with deletes that are not dropped yet.",
            collection.waiting,
        ),
        counter(
            "collection_oldest_delete_seconds",
            "For how long the oldest of those deletes has been known since the start.",
            oldest_delete,
        ),
        counter(
            "collection_agreed_rounds_total",
            "Rounds in which all owners of a partition agreed on what is settled.",
            collection.agreed,
        ),
        counter("collection_void_rounds_total", "Rounds that came to nothing.", collection.void),
        counter(
            "collection_dropped_total",
            "Records dropped: all owners had agreed that what they delete is settled.",
            collection.dropped,
        ),
        counter(
            "collection_refused_total",
            "Records not taken in, because all of them was settled and deleted or overwritten here.",
            collection.refused,
        ),
        counter(
            "movements_filling",
            "Partitions that this node is to get, and has not all of yet.",
            moving.filling,
        ),
        counter(
            "movements_clearing",
            "Partitions that this node hands over and drops: it is none of their owners any more.",
            moving.clearing,
        ),
        counter(
            "movements_uncompared",
            "Those of both that have yet to be compared with another node.",
            moving.uncompared,
        ),
        counter(
            "movements_fetched_records_total",
            "Records fetched in whole runs for partitions that moved here.",
            moving.fetched,
        ),
        counter("movements_fetched_bytes_total", "Bytes of their keys and values.", moving.fetched_bytes),
        counter(
            "movements_given_bytes_total",
            "Bytes of keys and values given in whole runs to new owners of partitions.",
            moving.given_bytes,
        ),
        counter(
            "movements_dropped_partitions_total",
            "Partitions dropped whole, because nothing of them is kept here.",
            moving.dropped_whole,
        ),
        counter(
            "movements_dropped_records_total",
            "Records dropped one by one, because they are not kept here and others of their partition are.",
            moving.dropped,
        ),
        counter("storage_gets_total", "Lookups of a record.", reads.gets),
        counter("storage_memtable_hits_total", "Lookups answered by a memtable.", reads.memtable_hits),
        counter(
            "storage_record_cache_hits_total",
            "Lookups answered by the record cache.",
            reads.record_cache_hits,
        ),
        counter(
            "storage_block_cache_hits_total",
            "Lookups answered by filters and cached blocks.",
            reads.block_cache_hits,
        ),
        counter(
            "memory_used_bytes",
            "Memory of memtables, caches, filters and indexes.",
            storage.memory_bytes as u64,
        ),
        counter("memory_limit_bytes", "What that may come to.", db.options().memory_bytes as u64),
        counter(
            "disk_free_bytes",
            "Room on the disk, when last looked at; 0 if unknown.",
            disk_free_bytes / stores,
        ),
        counter(
            "disk_kept_back_bytes",
            "Room on the disk that only deletes and background work may use.",
            db.disk_kept_back_bytes() / stores,
        ),
        counter(
            "disk_nearly_full",
            "Shards that take in deletes only, because no more room is free than is kept back.",
            u64::from(db.room_for_values().is_err()),
        ),
        counter("tables", "Tables on disk.", storage.level_tables.iter().sum::<usize>() as u64),
        counter("table_bytes", "Their size.", storage.table_bytes()),
        counter("table_entries", "Entries in them; a key may have several.", storage.table_entries),
        counter("damaged_tables", "Tables in which damage was found.", storage.damaged_tables as u64),
        counter(
            "damage_found_total",
            "Blocks of tables that were found damaged and given up.",
            healing.found,
        ),
        counter(
            "missing_partitions",
            "Partitions of which something was lost to damage and has not come back from the other owners.",
            healing.partitions,
        ),
        counter("healed_partitions_total", "Partitions that have come back from them.", healing.healed),
        counter(
            "unread_tables",
            "Tables that the disk did not read when last asked; compactions try them again.",
            storage.unread_tables as u64,
        ),
        counter("log_segments", "Segments of the commit log on disk.", storage.log_segments as u64),
        counter("log_written_bytes_total", "Bytes written to the commit log.", storage.log_bytes_written),
        counter("flushes_total", "Memtables written out as tables.", reads.flushes),
        counter("compactions_total", "Compactions of tables.", reads.compactions),
        counter(
            "write_stalls_total",
            "Writes refused because memory was full of unflushed ones.",
            reads.stalls,
        ),
    ]
}

/// Of the node as a whole: what no shard has seen.
#[allow(clippy::cast_precision_loss, reason = "as above")]
pub fn refused_waiting(value: u64) -> Counter {
    Counter {
        name: "refused_waiting_total",
        help: "Requests over HTTP refused because as many waited for a shard's thread as may.",
        value: value as f64,
    }
}

fn unreachable_peers(shard: &Shard) -> u64 {
    let topology = shard.topology();
    topology.state.members().iter().filter(|member| !topology.is_reachable(member.id)).count() as u64
}

/// What opening the store found, in words.
pub fn recovered(shard: &Shard) -> String {
    let recovery = shard.recovery();
    if recovery.is_new {
        return "a new data directory".to_owned();
    }
    let stop = if recovery.was_clean { "a clean stop" } else { "an unclean stop" };
    let mut text = format!(
        "after {stop}: {} tables, {} log entries replayed",
        recovery.tables, recovery.replayed_entries
    );
    for aside in &recovery.set_aside {
        let what = format!(
            "; {} bytes at the end of {} (from {} on) were never synced and are set aside in {}",
            aside.bytes,
            aside.segment.display(),
            aside.offset,
            aside.kept_in.display()
        );
        text.push_str(&what);
    }
    for given_up in &recovery.given_up {
        text.push_str("; given up, to be fetched from the other owners: ");
        text.push_str(&given_up.why);
        if let Some(kept_in) = &given_up.kept_in {
            text.push_str(&format!(", now kept in {}", kept_in.display()));
        }
    }
    text
}
