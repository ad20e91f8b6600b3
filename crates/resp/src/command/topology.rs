//! The cluster in the words of a Redis Cluster: one primary per range of slots, every node a master, no replicas.
//!
//! A node without a cluster listener cannot be named to clients. Its ranges are named after this node instead: any
//! node coordinates any key, so what is lost is a hop and not the range.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use api::{NodeStatus, Status};

/// A node that clients of the cluster listener can reach, and the slots that they should ask it for.
#[derive(Debug)]
pub struct Master<'s> {
    /// The node.
    pub node: &'s NodeStatus,
    /// Its cluster listener.
    pub address: SocketAddr,
    /// Runs of slots, first and last, ascending and not adjacent.
    pub ranges: Vec<(u16, u16)>,
    /// Whether it is the node that says so.
    pub is_here: bool,
}

/// All masters, in the order of their ids. `own_address` is this node's cluster listener, as the client reached it.
pub fn masters(status: &Status, own_address: Option<SocketAddr>) -> Vec<Master<'_>> {
    let address = |place: usize| match status.nodes[place].cluster {
        None if place == status.here => own_address,
        known => known,
    };
    let mut ranges: BTreeMap<usize, Vec<(u16, u16)>> = BTreeMap::new();
    for range in &status.slots {
        let primary = if address(range.primary).is_some() { range.primary } else { status.here };
        add_range(ranges.entry(primary).or_default(), range.first, range.last);
    }
    let master = |(place, node)| {
        let ranges = ranges.remove(&place).unwrap_or_default();
        Some(Master { node, address: address(place)?, ranges, is_here: place == status.here })
    };
    status.nodes.iter().enumerate().filter_map(master).collect()
}

fn add_range(ranges: &mut Vec<(u16, u16)>, first: u16, last: u16) {
    match ranges.last_mut() {
        Some((_, end)) if *end + 1 == first => *end = last,
        _ => ranges.push((first, last)),
    }
}

impl Master<'_> {
    /// Where clients find it; nothing where it listens on all addresses, which means "where you found me" to them.
    pub fn host(&self) -> String {
        let ip = self.address.ip();
        if ip.is_unspecified() { String::new() } else { ip.to_string() }
    }

    /// Whether it answers for what it owns, as far as the node that says so can see.
    pub fn is_up(&self) -> bool {
        self.node.state.is_serving()
    }

    /// Its id in Redis's form, 40 hexadecimal digits, the same on every node and after every start.
    pub fn id(&self, status: &Status) -> String {
        let name = ring::key_hash(self.node.name.as_bytes());
        let cluster = ring::key_hash(status.name.as_bytes());
        format!("{name:016x}{cluster:016x}{:08x}", self.node.id.0)
    }
}
