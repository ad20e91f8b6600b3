//! Gossip between simulated nodes: datagrams that are lost, doubled and overtaken, and what is concluded from them.

use gossip::{Change, Verdict};
use node::Input;
use types::{NodeId, ShardId};

use super::{Event, World, between};
use crate::host::At;
use crate::network::Place;

impl World {
    /// A node sends a datagram. It leaves at once, for it waits for no disk.
    pub(super) fn datagram_leaves(&mut self, at: At, to: NodeId, bytes: &[u8]) {
        for suspect in self.hosts[at.place].suspects(self.now) {
            self.witness.verdicts.suspects(self.now, self.hosts[at.place].id, suspect);
        }
        let Some(to_place) = self.place_of_id(to) else { return };
        let arrivals = self.network.datagram(self.now, (at.place, to_place));
        let (name, length, copies) = (self.hosts[at.place].label(at.shard), bytes.len(), arrivals.len());
        self.trace.line(
            self.now,
            &name,
            format_args!("~> {to} {length} bytes of gossip, arriving {copies} times"),
        );
        for arrival in arrivals {
            self.queue.put(arrival, Event::Datagram { from: at.place, to: to_place, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn datagram_arrives(&mut self, from: Place, to: Place, bytes: Vec<u8>) {
        if !self.hosts[to].is_up() {
            return;
        }
        self.crosses((from, to), between::Kind::Gossip, bytes.len());
        let (here, there) = (self.hosts[to].label(ShardId(0)), &self.hosts[from].name);
        self.trace.line(self.now, &here, format_args!("<~ {there} {} bytes of gossip", bytes.len()));
        self.feed(At { place: to, shard: ShardId(0) }, Input::Datagram(bytes));
    }

    /// A node takes another for something else than before.
    pub(super) fn noticed(&mut self, place: Place, change: Change) {
        if self.clone_place() == Some(place) {
            return;
        }
        let change = self.jump_to_conclusions(change);
        let name = self.hosts[place].name.clone();
        let (node, from, to) = (change.node, change.from, change.to);
        self.trace.line(self.now, &name, format_args!("takes {node} for {to}, no more for {from}"));
        if to != Verdict::Down {
            return;
        }
        let moment = self.hosts[place].moment(self.now);
        let table = self.hosts[place].shards.first().and_then(|running| running.shard.liveness());
        let table = table.map(|liveness| liveness.table(moment.mono)).unwrap_or_default();
        if let Err(what) = self.witness.verdicts.down(self.now, self.hosts[place].id, node, &table) {
            self.violated("a node is down only when two observers agree (E9)", format!("{name}: {what}"));
        }
    }
}
