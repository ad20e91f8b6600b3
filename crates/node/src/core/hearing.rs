//! How shards and the node's gossip meet.
//!
//! Each shard has connections of its own, and tells the one that gossips what peers do with its requests; that one tells all
//! what the node takes a peer for. What must hold: a peer that stops being reachable, for either reason, is given up by all
//! that waits for it, once; and one that becomes reachable is made use of again.

use replica::IdentityError;
use types::{Incarnation, Moment, NodeId, ShardId};
use wire::Hello;

use super::lives::Run;
use super::{Evidence, Noticed, Output, Passed, Shard};

/// The shard that gossips for its node.
pub(super) const SPEAKER: ShardId = ShardId(0);

impl Shard {
    /// A peer introduced itself by a new connection.
    pub(super) fn peer_up(&mut self, now: Moment, hello: &Hello, out: &mut Vec<Output>) {
        self.sights.connected(hello.node, Run::of(hello));
        self.remember(hello.node, Run::of(hello), hello.tide, out);
        self.learn(&hello.past_lives, out);
        self.let_in(now);
        self.replica.heard_of_new(hello.node, hello.is_new, hello.never_met);
        // Known even where it cannot be reached: what it wrote is to be named.
        let topology = self.topology.with_reachable(hello.node, hello.incarnation);
        match self.sights.reachable(hello.node) {
            Some(_) => {
                self.replica.peer_up(now, hello.node);
                self.set_topology(now, topology);
                self.govern_with(now, hello.node, true, out);
            }
            None => self.set_topology(now, topology.with_unreachable(hello.node)),
        }
        self.tell(now, hello.node, Evidence::Answered, out);
    }

    /// A peer says who it is by a connection that it made itself. It may be new by that, and known not to be by the time when
    /// this node reaches it: of two that are new the one that is met first would leave the other behind.
    ///
    /// That it was let in is remembered from here on. Where it is a second process under the peer's name, this node will never
    /// reach it, and the peer itself must not come back as if nobody had minted under its name meanwhile.
    pub(super) fn introduced(&mut self, hello: &Hello, out: &mut Vec<Output>) {
        // Another one may have been met since it was let in.
        if self.lives.admit(hello, None).is_ok() {
            self.remember(hello.node, Run::of(hello), hello.tide, out);
        }
        self.learn(&hello.past_lives, out);
        if hello.is_new {
            self.replica.heard_of_new(hello.node, true, false);
        }
    }

    /// A run of a peer was let in, by this shard or another one. All know of it, and the one that speaks for all writes it
    /// down.
    pub(super) fn remember(&mut self, peer: NodeId, run: Run, tide: u32, out: &mut Vec<Output>) {
        if !self.lives.met(peer, run, tide) {
            return;
        }
        self.learned(out);
        let others = self.shards.iter().filter(|shard| *shard != self.index);
        out.extend(others.map(|shard| Output::Pass(shard, Passed::Met(peer, run, tide))));
    }

    /// A peer tells of lives that are over, by a connection of this shard or another one.
    pub(super) fn learn(&mut self, lives: &[Incarnation], out: &mut Vec<Output>) {
        if !self.lives.learn(lives.iter().copied()) {
            return;
        }
        self.learned(out);
        let others = self.shards.iter().filter(|shard| *shard != self.index);
        out.extend(others.map(|shard| Output::Pass(shard, Passed::PastLives(lives.to_vec()))));
    }

    /// A peer has let this run in, so it mints under its own name from now on: the one before is over. And how far the directory has
    /// come is written down, and told.
    pub(super) fn let_in(&mut self, now: Moment) {
        self.tide.let_in(now);
        if let Some(provisional) = self.replica.let_in() {
            self.lives.learn([provisional]);
            self.replica.add_past_lives(self.lives.past());
        }
    }

    fn learned(&mut self, out: &mut Vec<Output>) {
        self.replica.add_past_lives(self.lives.past());
        if self.index == SPEAKER {
            out.push(Output::Run(self.home.remember(&self.lives)));
        }
    }

    /// A connection is over.
    pub(super) fn peer_lost(&mut self, now: Moment, peer: NodeId, out: &mut Vec<Output>) {
        self.sights.lost(peer);
        self.give_up(now, peer, out);
        if self.index == SPEAKER {
            // It may come back as it was before.
            out.push(Output::Run(self.home.remember(&self.lives)));
        }
        self.tell(now, peer, Evidence::Failed, out);
    }

    /// The node takes a peer for down, or does so no more.
    pub(super) fn found(&mut self, now: Moment, peer: NodeId, is_down: bool, out: &mut Vec<Output>) {
        self.sights.found(peer, is_down);
        let was_reachable = self.topology.is_reachable(peer);
        match self.sights.reachable(peer) {
            Some(incarnation) if !was_reachable => {
                self.replica.peer_up(now, peer);
                self.set_topology(now, self.topology.with_reachable(peer, incarnation));
                self.govern_with(now, peer, true, out);
            }
            None if was_reachable => self.give_up(now, peer, out),
            _ => {}
        }
    }

    fn give_up(&mut self, now: Moment, peer: NodeId, out: &mut Vec<Output>) {
        self.set_topology(now, self.topology.with_unreachable(peer));
        self.govern_with(now, peer, false, out);
        self.replica.peer_lost(now, peer);
        self.operations.peer_lost(now, peer, &mut self.asks);
    }

    /// Tells the shard that gossips what became of requests to a peer.
    pub(super) fn tell(&mut self, now: Moment, peer: NodeId, evidence: Evidence, out: &mut Vec<Output>) {
        if evidence == Evidence::Answered && !self.sights.answered(now.mono, peer) {
            return;
        }
        if self.index == SPEAKER {
            self.take_evidence(now, peer, evidence);
        } else {
            out.push(Output::Pass(SPEAKER, Passed::Evidence(peer, evidence)));
        }
    }

    /// A shard of this node has heard of a peer, or has not.
    pub(super) fn take_evidence(&mut self, now: Moment, peer: NodeId, evidence: Evidence) {
        if let Some(liveness) = &mut self.liveness {
            liveness.evidence(now, peer, evidence);
        }
    }

    /// Does what the gossip has due, and acts on what it finds.
    pub(super) fn gossip(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(liveness) = &mut self.liveness else { return };
        let mut datagrams = Vec::new();
        liveness.disk(now, self.replica.db().room_for_values().is_err());
        let changes = liveness.turn(now, &mut datagrams);
        let risen: Vec<_> =
            liveness.tides().filter(|(peer, run, tide)| self.lives.rose(*peer, *run, *tide)).collect();
        out.extend(datagrams.into_iter().map(|(to, sealed)| Output::Datagram(to, sealed)));
        for change in changes {
            out.push(Output::Noticed(Noticed::Peer(change)));
            let is_down = change.to == gossip::Verdict::Down;
            if !is_down && change.from != gossip::Verdict::Down {
                continue;
            }
            self.found(now, change.node, is_down, out);
            let others = self.shards.iter().filter(|shard| *shard != SPEAKER);
            out.extend(others.map(|shard| Output::Pass(shard, Passed::Found(change.node, is_down))));
        }
        for (peer, run, tide) in risen {
            let others = self.shards.iter().filter(|shard| *shard != SPEAKER);
            out.extend(others.map(|shard| Output::Pass(shard, Passed::Rose(peer, run, tide))));
        }
        self.look_at_disks(now, out);
    }

    /// Tells all shards whose disks are full, or are so no more.
    fn look_at_disks(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(liveness) = &self.liveness else { return };
        let here = self.topology.here;
        let peers = self.topology.state.members().iter().map(|member| member.id).filter(|peer| *peer != here);
        let disks = peers.map(|peer| (peer, liveness.has_full_disk(peer)));
        let news: Vec<(NodeId, bool)> =
            disks.filter(|(peer, is_full)| self.topology.has_room(*peer) == *is_full).collect();
        for (peer, is_full) in news {
            self.set_topology(now, self.topology.with_disk(peer, is_full));
            let others = self.shards.iter().filter(|shard| *shard != SPEAKER);
            out.extend(others.map(|shard| Output::Pass(shard, Passed::Disk(peer, is_full))));
        }
    }

    /// A shard lacks nothing any more of what it did because of how the life of the data directory began. When none does, that
    /// is written down.
    pub(super) fn is_whole(&mut self, shard: ShardId, out: &mut Vec<Output>) {
        if self.index != SPEAKER {
            out.push(Output::Pass(SPEAKER, Passed::Whole(shard)));
            return;
        }
        self.lacking = self.lacking.saturating_sub(1);
        if self.lacking == 0 {
            tracing::info!(node = %self.hello.name, "has all that it should have: it answers for all of its keys");
            out.push(Output::Run(self.home.settle()));
        }
    }

    /// Has it written down how far the data directory has come, if it is time for that.
    pub(super) fn rise(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.liveness.is_some() && self.tide.is_due(now) {
            out.push(Output::Run(self.home.rise()));
        }
    }

    /// It was written down, or could not be: peers are told.
    pub(super) fn risen(&mut self, now: Moment, outcome: Result<u32, IdentityError>, out: &mut Vec<Output>) {
        self.tide.rose(now, outcome);
        // How far they have come is written down with it, so not for each of them by itself.
        out.push(Output::Run(self.home.remember(&self.lives)));
        self.hello.tide = self.tide.level();
        if let Some(liveness) = &mut self.liveness {
            liveness.rose(now, Run::of(&self.hello), self.tide.level());
        }
    }

    /// Takes in a datagram. What is not from this cluster is counted and dropped: anybody can send one.
    pub(super) fn hear_gossip(&mut self, now: Moment, sealed: &[u8], out: &mut Vec<Output>) {
        let Some(liveness) = &mut self.liveness else { return };
        let mut datagrams = Vec::new();
        if let Err(why) = liveness.receive(now, sealed, &mut datagrams) {
            tracing::debug!(%why, "a datagram was not taken in");
        }
        out.extend(datagrams.into_iter().map(|(to, sealed)| Output::Datagram(to, sealed)));
    }
}
