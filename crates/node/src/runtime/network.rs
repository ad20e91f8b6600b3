//! The network of a laboratory: between which nodes nothing passes, and which are slow to reach.
//!
//! Nodes that are started with one [`Network`] ask it before they send to each other and before they take in what was sent.
//! What must hold: across a cut nothing is heard, not even that a connection was closed, and nothing says so. A connection
//! stands and what is put into it waits, as bytes wait that TCP sends again and again; a datagram is lost. What is slow keeps
//! its order. A node without such a network never asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use types::NodeId;

/// What passes between nodes; clones are handles on the same one.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<watch::Sender<Conditions>>);

#[derive(Debug, Default)]
struct Conditions {
    /// Pairs between which nothing passes, both ways round.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// How much longer than usual a message to or from a node is under way.
    slow: BTreeMap<NodeId, Duration>,
}

impl Network {
    /// A network on which everything passes.
    pub fn new() -> Network {
        Network::default()
    }

    /// Cuts the sides off from each other, in both directions, and ends what cut there was before. Who is on no side
    /// reaches everybody.
    pub fn cut(&self, sides: &[BTreeSet<NodeId>]) {
        let mut cut = BTreeSet::new();
        for (place, side) in sides.iter().enumerate() {
            for other in sides.iter().skip(place + 1) {
                for (&one, &another) in side.iter().flat_map(|one| other.iter().map(move |two| (one, two))) {
                    cut.extend([(one, another), (another, one)]);
                }
            }
        }
        self.0.send_modify(|conditions| conditions.cut = cut);
    }

    /// Lets a message to or from a node be so much longer under way; zero is as fast as it was.
    pub fn slow(&self, node: NodeId, by: Duration) {
        self.0.send_modify(|conditions| {
            conditions.slow.remove(&node);
            if !by.is_zero() {
                conditions.slow.insert(node, by);
            }
        });
    }

    /// Ends all cuts and delays.
    pub fn heal(&self) {
        self.0.send_modify(|conditions| *conditions = Conditions::default());
    }

    /// Whether nothing passes from one node to another.
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.borrow().cut.contains(&(from, to))
    }

    /// How much longer than usual a message to or from this node is under way.
    pub fn delay(&self, node: NodeId) -> Duration {
        self.0.borrow().slow.get(&node).copied().unwrap_or_default()
    }
}

/// The way between this node and a peer.
#[derive(Clone, Debug)]
pub(super) struct Way {
    network: Option<Network>,
    here: NodeId,
    peer: NodeId,
}

impl Way {
    pub(super) fn new(network: Option<&Network>, here: NodeId, peer: NodeId) -> Way {
        Way { network: network.cloned(), here, peer }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.network.as_ref().is_some_and(|network| network.is_cut(self.here, self.peer))
    }

    /// How much longer than usual a message takes; nothing on a way that is as usual.
    pub(super) fn delay(&self) -> Duration {
        let network = self.network.as_ref();
        network.map_or(Duration::ZERO, |network| network.delay(self.here) + network.delay(self.peer))
    }

    /// Returns when something passes.
    pub(super) async fn until_open(&self) {
        if let Some(network) = &self.network {
            let open = |conditions: &Conditions| !conditions.cut.contains(&(self.here, self.peer));
            // It cannot end: `self` keeps the sender.
            let _ = network.0.subscribe().wait_for(open).await;
        }
    }

    /// To be told of changes from now on.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.network.as_ref().map(|network| network.0.subscribe()))
    }
}

/// Tells that conditions have changed.
#[derive(Debug)]
pub(super) struct Changes(Option<watch::Receiver<Conditions>>);

impl Changes {
    /// Returns at the next change; never where there is no network to change.
    pub(super) async fn next(&mut self) {
        let changed = match &mut self.0 {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    /// A cut has two sides, each whole; a bridge is on neither.
    #[test]
    fn sides_are_cut_off_from_each_other_and_whole_in_themselves() {
        let network = Network::new();
        network.cut(&[[A, B].into(), [C].into()]);
        for (from, to, cut) in
            [(A, C, true), (C, A, true), (B, C, true), (A, B, false), (A, NodeId(4), false)]
        {
            assert_eq!(network.is_cut(from, to), cut, "{from} to {to}");
        }
        network.cut(&[[A].into(), [B].into()]);
        assert!(!network.is_cut(A, C) && network.is_cut(A, B));
        network.heal();
        assert!(!network.is_cut(A, B));
    }

    /// Both ends of a way may be slow.
    #[test]
    fn delays_add_up_and_end() {
        let network = Network::new();
        let way = Way::new(Some(&network), A, B);
        network.slow(A, Duration::from_millis(100));
        network.slow(B, Duration::from_millis(20));
        assert_eq!(way.delay(), Duration::from_millis(120));
        network.slow(A, Duration::ZERO);
        assert_eq!(way.delay(), Duration::from_millis(20));
        network.heal();
        assert_eq!(way.delay(), Duration::ZERO);
        assert_eq!(Way::new(None, A, B).delay(), Duration::ZERO);
    }
}
