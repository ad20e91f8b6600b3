//! Whom to send a write by himself, and where one owner of another data center passes it on to those beside him, so that it crosses
//! between the data centers once.
//!
//! What must hold: each node is sent it in one way; nobody who cannot be reached is relied on, neither as a relay nor behind one:
//! those are asked directly, which says at once that they cannot be.
//!
//! Why reads are not relayed: an answer is as large as what it answers with, and each owner's has to come back by itself.

use types::NodeId;

use crate::target::{Target, Turn};

/// How a write reaches some of those that are to have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// He is sent it.
    Directly(NodeId),
    /// The first is sent it, and passes it on to the others, who are at least one.
    Through(NodeId, Vec<NodeId>),
}

/// The ways to these nodes, in their order. The relay of a data center is one that answers as soon as any there, and among equals
/// another with each operation.
pub(crate) fn ways(nodes: impl Iterator<Item = NodeId>, target: &Target, turn: &Turn<'_>) -> Vec<Way> {
    let home = |node: NodeId| target.state().data_center_of(node);
    let near = turn.topology.local_data_center();
    let is_far = |node: NodeId| home(node) != near && turn.topology.is_reachable(node);
    let mut ways: Vec<Way> = Vec::new();
    for node in nodes {
        let together = ways.iter_mut().find(|way| {
            let (Way::Directly(first) | Way::Through(first, _)) = **way;
            is_far(first) && home(first) == home(node)
        });
        match together.filter(|_| is_far(node)) {
            None => ways.push(Way::Directly(node)),
            Some(Way::Through(_, others)) => others.push(node),
            Some(way @ Way::Directly(_)) => {
                let Way::Directly(first) = *way else { continue };
                *way = Way::Through(first, vec![node]);
            }
        }
    }
    for way in &mut ways {
        if let Way::Through(first, others) = way {
            let mut all: Vec<NodeId> = std::iter::once(*first).chain(others.iter().copied()).collect();
            let turned = usize::try_from(turn.id.0 % all.len() as u64).unwrap_or(0);
            all.rotate_left(turned);
            let pace = |node: NodeId| (turn.pace.lags(node), turn.pace.class(node));
            let soonest = (0..all.len()).min_by_key(|place| pace(all[*place])).unwrap_or(0);
            *first = all.remove(soonest);
            *others = all;
        }
    }
    ways
}
