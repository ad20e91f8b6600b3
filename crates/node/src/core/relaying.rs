//! Passing on writes that another data center sent here once, and taking in what was passed on.
//!
//! What must hold: the relay passes a write on before it looks at its own share, so what keeps it from its own (a state that it has
//! yet to hear of, a full disk) keeps nobody else from theirs; it keeps nothing of what it passed on, and never answers for
//! another. What is passed on is taken in as if who asked had sent it: by his epoch, within his time, answered by the connection that
//! he made.

use std::time::Duration;

use cluster::Topology;
use replica::Ticket;
use types::{Moment, NodeId, ShardId};
use wire::{Body, Envelope, Relay, Relayed, ReplicaReply, ReplicaRequest};

use super::{Output, Sender, Shard};

impl Shard {
    /// Passes a write on; what is left is this node's own share of it.
    pub(super) fn relay(
        &mut self,
        now: Moment,
        ticket: Ticket,
        relay: Relay,
        out: &mut Vec<Output>,
    ) -> ReplicaRequest {
        let left: Duration = ticket.until.since(now.mono);
        for to in &relay.others {
            let request = relay.passed_on(ticket.from, ticket.of, *to);
            let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            let envelope = Envelope { deadline_ms, ..self.envelope(ticket, Body::Request(request)) };
            if may_relay(&self.topology, ticket.from, to.node) {
                self.figures.relayed += 1;
                out.push(Output::PassOn(to.node, envelope));
            } else {
                self.reply(now, ticket, ReplicaReply::NotPassedOn { to: to.node }, out);
            }
        }
        relay.write.asked(relay.in_place_of)
    }

    /// Who is to be answered, by which shard of this node, and what is asked: of a write that was passed on that is who asked first,
    /// and not who passed it on. Nobody asks this node in its own name.
    pub(super) fn unwrapped(
        &self,
        via: ShardId,
        from: Sender,
        envelope: Envelope,
    ) -> (ShardId, Sender, Envelope) {
        match envelope.body {
            Body::Request(ReplicaRequest::Relayed(relayed)) if relayed.asker != self.topology.here => {
                let Relayed { asker, shard, write, in_place_of } = *relayed;
                let body = Body::Request(write.asked(in_place_of));
                (self.shards.facing(shard), Sender { node: asker, shard }, Envelope { body, ..envelope })
            }
            body => (via, from, Envelope { body, ..envelope }),
        }
    }

    /// A write that was to be passed on to a peer provably never left. Whoever asked for it is told.
    pub(super) fn not_passed_on(
        &mut self,
        now: Moment,
        to: NodeId,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) {
        if let Body::Request(ReplicaRequest::Relayed(relayed)) = &envelope.body {
            let asker = Sender { node: relayed.asker, shard: relayed.shard };
            let ticket = super::ticket(now, self.shards.facing(asker.shard), asker, envelope);
            self.reply(now, ticket, ReplicaReply::NotPassedOn { to }, out);
        }
    }
}

/// Whether to pass a write on: to a node of this data center, on behalf of one elsewhere.
fn may_relay(topology: &Topology, asker: NodeId, to: NodeId) -> bool {
    let here = topology.local_data_center();
    topology.is_reachable(to)
        && topology.state.data_center_of(to) == here
        && topology.state.data_center_of(asker) != here
}
