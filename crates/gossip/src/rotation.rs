//! Who goes into a message first, where there is no room for all.
//!
//! What is new of a member makes it *hot*: it goes first until it was sent a number of times, the newest first. Behind
//! that everybody has a place in a rotation, whoever was sent longest ago first. Always true: each member is in the
//! rotation once, hot or not, and moves to its end when it is sent.
//!
//! Kept in order, and not sorted for each message: with a thousand members a message holds a tenth of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use types::NodeId;

/// The order of those that are hot: most sendings left, sent longest ago.
pub(crate) type Priority = (Reverse<u8>, u64, NodeId);

/// The order in which members are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rotation {
    /// For each, how often it still goes first, and its place.
    places: BTreeMap<NodeId, (u8, u64)>,
    by_place: BTreeSet<(u64, NodeId)>,
    hot: BTreeSet<Priority>,
    last_place: u64,
}

impl Rotation {
    /// Puts a member at the front; of no effect if it has a place.
    pub(crate) fn add(&mut self, node: NodeId) {
        if !self.places.contains_key(&node) {
            self.place(node, (0, 0));
        }
    }

    /// Leaves only these members in it.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(NodeId) -> bool) {
        self.places.retain(|node, _| keep(*node));
        self.by_place.retain(|(_, node)| self.places.contains_key(node));
        self.hot.retain(|(_, _, node)| self.places.contains_key(node));
    }

    /// There is news of a member, which goes first this often.
    pub(crate) fn heat(&mut self, node: NodeId, times: u8) {
        if let Some((_, place)) = self.places.get(&node).copied() {
            self.place(node, (times, place));
        }
    }

    /// A member was sent.
    pub(crate) fn sent(&mut self, node: NodeId) {
        if let Some((hot, _)) = self.places.get(&node).copied() {
            self.last_place += 1;
            self.place(node, (hot.saturating_sub(1), self.last_place));
        }
    }

    /// Whether there is news of a member that still goes first.
    pub(crate) fn is_hot(&self, node: NodeId) -> bool {
        self.places.get(&node).is_some_and(|(hot, _)| *hot > 0)
    }

    /// By what to order members that both may be hot or not.
    pub(crate) fn priority(&self, node: NodeId) -> Priority {
        let (hot, place) = self.places.get(&node).copied().unwrap_or_default();
        (Reverse(hot), place, node)
    }

    /// Those that go first, the first of them first.
    pub(crate) fn hot(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hot.iter().map(|(_, _, node)| *node)
    }

    /// Everybody, whoever was sent longest ago first.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.by_place.iter().map(|(_, node)| *node)
    }

    fn place(&mut self, node: NodeId, (hot, place): (u8, u64)) {
        if let Some((was_hot, was_at)) = self.places.insert(node, (hot, place)) {
            self.by_place.remove(&(was_at, node));
            self.hot.remove(&(Reverse(was_hot), was_at, node));
        }
        self.by_place.insert((place, node));
        if hot > 0 {
            self.hot.insert((Reverse(hot), place, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody is sent before anybody is sent again, and news goes first as often as it should.
    #[test]
    fn everybody_has_a_turn_and_news_goes_first() {
        let mut rotation = Rotation::default();
        let nodes: Vec<NodeId> = (0..5).map(NodeId).collect();
        nodes.iter().for_each(|node| rotation.add(*node));
        rotation.heat(NodeId(3), 2);
        rotation.heat(NodeId(1), 1);
        assert_eq!(rotation.hot().collect::<Vec<_>>(), [NodeId(3), NodeId(1)]);
        for node in [3, 3, 1] {
            assert!(rotation.is_hot(NodeId(node)));
            rotation.sent(NodeId(node));
        }
        assert_eq!(rotation.hot().count(), 0);
        for turn in [0, 2, 4, 3, 1, 0] {
            let next = rotation.in_turn().next().unwrap();
            assert_eq!(next, NodeId(turn));
            rotation.sent(next);
        }
    }

    #[test]
    fn who_is_no_member_has_no_turn() {
        let mut rotation = Rotation::default();
        (0..3).for_each(|node| rotation.add(NodeId(node)));
        rotation.heat(NodeId(1), 2);
        rotation.retain(|node| node != NodeId(1));
        rotation.heat(NodeId(1), 2);
        rotation.sent(NodeId(1));
        assert_eq!(rotation.hot().count(), 0);
        assert_eq!(rotation.in_turn().collect::<Vec<_>>(), [NodeId(0), NodeId(2)]);
    }
}
