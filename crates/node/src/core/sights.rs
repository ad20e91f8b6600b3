//! What a shard sees of each peer: whether its own connection stands, and what the node's gossip takes the peer for.
//!
//! What must hold: a peer is reachable while the connection stands and the peer is not found down. So a node that hangs is
//! passed over though its connections stand, and one that nobody hears is asked all the same until two observers agree.

use std::collections::BTreeMap;
use std::time::Duration;

use types::{Incarnation, Instant, NodeId};

use super::lives::Run;

/// How often the shard that gossips is told that a peer answers, at most.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// All peers of a shard, as many as there are members.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<NodeId, Sight>);

#[derive(Debug, Default)]
struct Sight {
    /// As which run it introduced itself; nothing while no connection stands.
    connected: Option<Run>,
    is_down: bool,
    told: Option<Instant>,
}

impl Sights {
    /// A connection stands.
    pub(super) fn connected(&mut self, peer: NodeId, run: Run) {
        self.0.entry(peer).or_default().connected = Some(run);
    }

    /// The run of the peer with which a connection stands, if one does.
    pub(super) fn connected_run(&self, peer: NodeId) -> Option<Run> {
        self.0.get(&peer).and_then(|sight| sight.connected)
    }

    /// It does not any more.
    pub(super) fn lost(&mut self, peer: NodeId) {
        self.0.entry(peer).or_default().connected = None;
    }

    /// The node has found the peer down, or finds it so no more.
    pub(super) fn found(&mut self, peer: NodeId, is_down: bool) {
        self.0.entry(peer).or_default().is_down = is_down;
    }

    /// The incarnation under which the peer can be reached, if it can.
    pub(super) fn reachable(&self, peer: NodeId) -> Option<Incarnation> {
        let sight = self.0.get(&peer).filter(|sight| !sight.is_down)?;
        sight.connected.map(|run| run.incarnation)
    }

    /// The peer has answered: true if that is to be told, because it was not told lately.
    pub(super) fn answered(&mut self, now: Instant, peer: NodeId) -> bool {
        let told = &mut self.0.entry(peer).or_default().told;
        let is_news = told.is_none_or(|at| now.since(at) >= TOLD_EVERY);
        if is_news {
            *told = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(7);

    #[test]
    fn a_peer_is_reachable_while_its_connection_stands_and_it_is_not_down() {
        let mut sights = Sights::default();
        let run = |life| Run { incarnation: Incarnation(life), first_stint: 1, number: 1 };
        assert_eq!(sights.reachable(PEER), None);
        sights.connected(PEER, run(3));
        assert_eq!(sights.reachable(PEER), Some(Incarnation(3)), "unheard is not down");
        sights.found(PEER, true);
        assert_eq!(sights.reachable(PEER), None);
        sights.lost(PEER);
        sights.found(PEER, false);
        assert_eq!(sights.reachable(PEER), None);
        sights.connected(PEER, run(4));
        assert_eq!(sights.reachable(PEER), Some(Incarnation(4)));
    }

    #[test]
    fn answers_are_told_now_and_then() {
        let mut sights = Sights::default();
        let at = |ms| Instant::default() + Duration::from_millis(ms);
        let told: Vec<bool> = [0, 1, 499, 500, 700].map(|ms| sights.answered(at(ms), PEER)).to_vec();
        assert_eq!(told, [true, false, false, true, false]);
    }
}
