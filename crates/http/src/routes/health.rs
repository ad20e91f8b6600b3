//! `GET /healthz`: the process answers. `GET /readyz`: it can serve.
//!
//! A node is ready when, for every slot, enough owners are up for the `default` keyspace to be read and written at its
//! own levels. That is more than a count of nodes: with three of four nodes up, a strict keyspace at N=3 with W=all
//! still has slots that nobody can write.

use std::collections::BTreeMap;

use api::{KeyspaceStatus, SlotRange, Status};
use axum::extract::State;
use quorum::{Decision, Level, Owner, Tracker};

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::{Facts, Kind, Problem, ProblemDocument};

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "get_health",
    tag = "health",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok\n"))
)]
pub(crate) async fn healthy(_: Params<NoParams>) -> &'static str {
    "ok\n"
}

/// Whether the node can serve the default keyspace at its own levels.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "get_readiness",
    tag = "health",
    responses(
        (status = 200, description = "It can", body = String, content_type = "text/plain", example = "ready\n"),
        (status = 503, description = "It cannot: too many nodes are down", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ready(State(front): State<Shared>, _: Params<NoParams>) -> Result<&'static str, Problem> {
    check(&front.status())?;
    Ok("ready\n")
}

fn check(status: &Status) -> Result<(), Problem> {
    let default = status.keyspace("default").or(status.keyspaces.first());
    let default = default.ok_or_else(|| Problem::new(Kind::NotReady, "there is no keyspace yet"))?;
    if status.slots.is_empty() {
        return Err(Problem::new(Kind::NotReady, "no node owns any slot yet"));
    }
    let data_centers = number_data_centers(status);
    let short = |range: &SlotRange| {
        [default.r, default.w].into_iter().find_map(|level| shortage(status, &data_centers, range, level))
    };
    match status.slots.iter().find_map(|range| short(range).map(|shortage| (range, shortage))) {
        None => Ok(()),
        Some((range, shortage)) => Err(not_ready(default, range, &shortage)),
    }
}

/// A level that too few owners of some slots are up for.
struct Shortage {
    level: Level,
    needed: usize,
    got: usize,
    owners: usize,
}

fn shortage(
    status: &Status,
    data_centers: &BTreeMap<&str, u8>,
    range: &SlotRange,
    level: Level,
) -> Option<Shortage> {
    let data_center = |place: usize| data_centers[status.nodes[place].data_center.as_str()];
    let owners: Vec<Owner> =
        range.owners.iter().map(|&place| (status.nodes[place].id, data_center(place))).collect();
    let mut tracker = Tracker::new(level, &owners, data_center(status.here));
    for &place in range.owners.iter().filter(|&&place| status.nodes[place].state.is_serving()) {
        tracker.succeeded(status.nodes[place].id);
    }
    let is_met = tracker.decided() == Decision::Met;
    let shortage = Shortage { level, needed: tracker.needed(), got: tracker.got(), owners: owners.len() };
    (!is_met).then_some(shortage)
}

/// A number for each data center, as quorums count by.
fn number_data_centers(status: &Status) -> BTreeMap<&str, u8> {
    let mut numbers: BTreeMap<&str, u8> =
        status.nodes.iter().map(|node| (node.data_center.as_str(), 0)).collect();
    for (number, place) in numbers.values_mut().zip(0..=u8::MAX) {
        *number = place;
    }
    numbers
}

fn not_ready(keyspace: &KeyspaceStatus, range: &SlotRange, shortage: &Shortage) -> Problem {
    let Shortage { level, needed, got, owners } = shortage;
    let detail = format!(
        "keyspace {} needs {needed} of {owners} owners ({level}), and of the owners of slots {} to {} only {got} are up",
        keyspace.name, range.first, range.last
    );
    let count = |number: usize| u64::try_from(number).ok();
    let facts = Facts {
        level: Some(level.to_string()),
        needed: count(*needed),
        got: count(*got),
        owners: count(*owners),
        keyspace: Some(keyspace.name.clone()),
        ..Facts::default()
    };
    Problem::new(Kind::NotReady, detail).with_facts(facts)
}
