//! A node that stays down: who takes its place, and when nobody does.
//!
//! What must hold: copies come first. It is replaced by those that remain where they can, for that needs nobody from outside; by
//! a new node where they cannot; and by those that remain in fewer racks where there is no new one. And a data center of
//! which half is down is not dead, but cut off from whoever looks.

use std::time::Duration;

use types::NodeId;

use super::{Decider, DownCount, Obstacles, Verdict};
use crate::action::{Action, Replacement};
use crate::change::Kind;
use crate::room;
use crate::text::time;
use crate::view::{NodeState, NodeView, View};

impl Decider {
    /// A node that has been down for too long is replaced, even where movements wait for it: of several the one that has been so for
    /// longest, of those that can be.
    pub(super) fn dead(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let silent = |node: &NodeView| match node.state {
            NodeState::Down { since } => Some(view.now.since(since)),
            _ => None,
        };
        let nodes = view.nodes.iter().filter_map(|node| Some((node, silent(node)?)));
        let mut dead: Vec<(&NodeView, Duration)> =
            nodes.filter(|(_, silent)| *silent >= self.policy.replace_after).collect();
        dead.sort_by_key(|(node, silent)| (std::cmp::Reverse(*silent), node.id));
        dead.into_iter().find_map(|(node, silent)| self.replaced(view, node, silent, obstacles))
    }

    /// How a node that has been silent for so long is replaced, if it is now.
    fn replaced(
        &self,
        view: &View,
        node: &NodeView,
        silent: Duration,
        obstacles: &mut Obstacles,
    ) -> Option<Verdict> {
        let now = view.now;
        let DownCount { down, all } = DownCount::of(view, &node.data_center);
        if down * 2 >= all {
            let data_center = &node.data_center;
            obstacles.add(format!("{down} of {all} nodes of {data_center} are down: it may be cut off, so nobody there is replaced by itself"));
            return None;
        }
        // What waits for the dead would never end by itself, and has no cool-down.
        let is_stuck = is_stuck(view, node.id);
        let others_work = !is_stuck
            && (!view.movements.is_empty()
                || view
                    .nodes
                    .iter()
                    .any(|other| matches!(other.state, NodeState::Joining | NodeState::Leaving)));
        let others_come =
            self.requested_since.values().any(|since| now.since(*since) < self.policy.join_within);
        let left = self.changes.left_of(now, self.policy.cool_down_out);
        if others_work || others_come || (left > Duration::ZERO && !is_stuck) {
            return None;
        }
        if let Some(pause) = self.changes.pause(now, Kind::Replace) {
            obstacles.add(pause);
            return None;
        }
        let told = format!(
            "{} has been down for {} (replace_after {})",
            node.name,
            time(silent),
            time(self.policy.replace_after)
        );
        let replace = |by: Replacement, reason: String| {
            Some((Action::ReplaceNode { dead: node.id, name: node.name.clone(), by }, reason))
        };
        let demand = self.load.demand(view, &node.data_center);
        let Err(why) = room::can_do_without(view, &self.policy, node, demand, true) else {
            return replace(Replacement::Remaining, format!("{told}; those that remain hold all copies"));
        };
        let why_no_place = match room::place(view, &self.policy, &node.data_center, Some(node.id)) {
            Ok(entry) => {
                let wanted = room::wanted(view, entry, self.changes.attempts(Kind::Replace) + 1);
                return replace(Replacement::New(wanted), format!("{told}; {why}"));
            }
            Err(no) => no,
        };
        // Copies in few racks are better than few copies.
        if room::can_do_without(view, &self.policy, node, demand, false).is_ok() {
            return replace(Replacement::Remaining, format!("{told}; {why}, but {why_no_place}"));
        }
        obstacles.add(format!("{told}, and cannot be replaced: {why}, and {why_no_place}"));
        None
    }
}

/// Whether there is something to be moved, and none of it goes on without nodes that are down. Who joins or leaves then does not come to
/// an end before one of these is replaced.
fn is_stuck(view: &View, dead: NodeId) -> bool {
    if view.movements.is_empty() {
        // What waits to move has not begun because it would go to a node that is down.
        return view.waiting > 0;
    }
    view.movements.iter().all(|movement| movement.waits_for(dead) || movement.held_up_by.is_some())
}
