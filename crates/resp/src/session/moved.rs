//! When a client of the cluster listener is told to ask another node.
//!
//! Every node answers for every key, so nobody has to be sent away. But a client that keeps its map of slots until it is told better
//! would never ask a node that has joined, and would have commands under way with one that leaves when that one ends. So a
//! connection is told once after each change of the cluster, if it asks for a key whose first owner is another node; and by a node
//! that leaves, each time. What must hold: nothing of the command was done, so whoever asks again asks for the first time
//! (INVARIANTS A5).
//!
//! Whether a node can be reached is no change of the cluster: clients are not sent back and forth because of that.

use api::{NodeStanding, Status};
use ring::Slot;

use crate::command::Failure;
use crate::command::row::Row;
use crate::command::topology::masters;
use crate::frame::Arguments;
use crate::state::{Around, ListenerKind, State};

/// The error that sends the client to the first owner of the command's first key, if it is to be sent.
pub(crate) fn moved(
    row: &Row,
    arguments: Arguments<'_>,
    state: &mut State,
    around: &Around<'_>,
) -> Option<Failure> {
    if state.kind != ListenerKind::RedisCluster {
        return None;
    }
    let status = around.status;
    let leaves = status.this_node().standing == NodeStanding::Leaving;
    let map_of = *state.map_of.get_or_insert(status.epoch);
    if map_of == status.epoch && !leaves {
        return None;
    }
    let key = row.keys.places(arguments.len()).next()?;
    let slot = Slot::of_key(&arguments[key]);
    let address = elsewhere(status, slot, state)?;
    state.map_of = Some(status.epoch);
    Some(Failure { prefix: "MOVED", message: format!("{} {address}", slot.number()).into() })
}

/// Where the clients of another node find it, if that one is the first owner of a slot.
fn elsewhere(status: &Status, slot: Slot, state: &State) -> Option<String> {
    let place = status.slots.partition_point(|range| range.last < slot.number());
    let primary = status.slots.get(place)?.primary;
    if primary == status.here {
        return None;
    }
    let masters = masters(status, state.client.local_address);
    let master = masters.iter().find(|master| std::ptr::eq(master.node, &status.nodes[primary]))?;
    master.is_up().then(|| format!("{}:{}", master.host(), master.address.port()))
}
