//! When a read asks more owners than its level needs: one more for each that is late (a *hedge*), and now and then one that
//! has been slow, to see whether it is well again (a *probe*).
//!
//! What must hold: hedges come out of a budget, so that they cannot double the load of a cluster that is slow because it has
//! too much to do (INVARIANTS J2, H5). Where the budget is spent the read waits, twice as long each time, and tries again; its
//! deadline ends it. Probes are bounded by time ([`Pace::probe`](crate::pace::Pace::probe)), and nobody waits for one.

use std::time::Duration;

use types::{Instant, NodeId};

use super::Read;
use crate::pace::HEDGE_UNKNOWN;
use crate::target::{Target, Turn};

/// Who was asked when, beside those that were asked at the beginning, and why.
#[derive(Debug)]
pub(super) struct Hedging {
    begun: Instant,
    /// When to look for late answers next.
    look_at: Instant,
    /// How long to wait where the budget is spent.
    patience: Duration,
    /// Who was asked later than at the beginning.
    later: Vec<(NodeId, Instant)>,
    hedges: Vec<NodeId>,
    probe: Option<NodeId>,
}

impl Hedging {
    pub(super) fn begin(now: Instant) -> Hedging {
        Hedging {
            begun: now,
            look_at: now,
            patience: HEDGE_UNKNOWN,
            later: Vec::new(),
            hedges: Vec::new(),
            probe: None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    /// A node is asked.
    pub(super) fn asked(&mut self, node: NodeId, now: Instant) {
        if now != self.begun {
            self.later.push((node, now));
        }
    }

    pub(super) fn asked_at(&self, node: NodeId) -> Instant {
        self.later.iter().find(|(other, _)| *other == node).map_or(self.begun, |(_, at)| *at)
    }

    pub(super) fn is_hedge(&self, node: NodeId) -> bool {
        self.hedges.contains(&node)
    }

    pub(super) fn is_probe(&self, node: NodeId) -> bool {
        self.probe == Some(node)
    }
}

impl Read {
    /// Asks one of those that have been slow, beside the others, if it is time to see whether it is well again.
    pub(super) fn probe(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let asked = self.tracker.awaited().filter(|node| !self.unasked.contains(node));
        let below = asked.map(|node| turn.pace.class(node)).min().unwrap_or(0);
        let (now, id, topology) = (turn.now.mono, turn.id, turn.topology);
        let is_near = |node: &NodeId| target.state().data_center_of(*node) == topology.local_data_center();
        let asks_far = self.tracker.awaited().any(|node| !self.unasked.contains(&node) && !is_near(&node));
        let mut slow = self.unasked.iter().rev();
        let place = slow.position(|node| {
            let up = *node == target.here || topology.is_reachable(*node);
            // However quick, nobody far away would be asked where those that are near suffice.
            let matters = asks_far || is_near(node) || turn.pace.fails(*node);
            up && matters
                && self.stand_ins.owner_of(*node).is_none()
                && turn.pace.probe(now, *node, below, id)
        });
        if let Some(place) = place {
            let node = self.unasked.remove(self.unasked.len() - 1 - place);
            self.unasked.push(node);
            self.hedging.probe = Some(node);
            self.ask_next(target, turn);
        }
    }

    /// Looks which answers are late, has another owner asked for each as far as the budget allows, and says when to look next.
    pub(super) fn look_for_late(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let (mut late, mut next) = (0, None);
        for node in self.tracker.awaited() {
            if self.unasked.contains(&node) || self.hedging.is_probe(node) {
                continue;
            }
            let asked = self.hedging.asked_at(node);
            let at = asked + turn.pace.late_after(node);
            if at <= now {
                late += 1;
                // One that waits for this node to hear the news has answered.
                if !self.is_ahead(node) {
                    turn.pace.owes(now, node, turn.id, asked);
                }
            } else {
                next = soonest(next, at);
            }
        }
        while self.hedging.hedges.len() < late && !self.unasked.is_empty() {
            if !turn.pace.may_hedge(now) {
                next = soonest(next, now + self.hedging.patience);
                self.hedging.patience *= 2;
                break;
            }
            let Some(node) = self.unasked.last().copied() else { break };
            self.hedging.hedges.push(node);
            next = soonest(next, now + turn.pace.late_after(node));
            self.ask_next(target, turn);
        }
        if let Some(next) = next
            && !self.unasked.is_empty()
        {
            self.hedging.look_at = next;
            turn.wake(next);
        }
    }
}

fn soonest(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
