//! From silence to verdicts, once a round.
//!
//! ```text
//!   silence, failed requests  ->  this node's suspicion  --.
//!                                                           >--  two voices, or the only one  ->  down
//!   what others say, if they are observers to be believed --'
//! ```
//!
//! Always true (INVARIANTS E9): a member is *newly* taken for down only when two observers say that it is silent at the
//! newest heartbeat that this node has heard, or at a newer one; or one, where this node is the only observer left. An
//! observer is this node, or a member that this node hears and that is not down. So one sick observer convinces nobody
//! but itself: others have heard newer heartbeats than it accuses at.
//!
//! Whom nobody but others suspect stays up: a single accuser cannot make this node doubt somebody that it hears.
//! Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;

use types::{Instant, NodeId};

use crate::gossip::Gossip;
use crate::options::SUSPECTS_BYTES_MAX;
use crate::state::Key;
use crate::suspicion::{self, Accusations, VOICES_ENOUGH};
use crate::verdict::{Change, Verdict};

/// How many observers must agree, where there are so many.
pub(crate) const VOICES_NEEDED: usize = 2;

/// For each accused, the observers that accuse it now, by ascending node.
pub(crate) type Voices = BTreeMap<NodeId, Vec<NodeId>>;

impl Gossip {
    /// Judges everybody, and prepares what this node will say of it.
    pub(crate) fn judge(&mut self, now: Instant) {
        self.suspect(now);
        let voices = self.voices();
        self.conclude(now, &voices);
        self.accuse(now, &voices);
    }

    /// Who is too silent for this node.
    fn suspect(&mut self, now: Instant) {
        for (node, member) in &mut self.members {
            let suspicious = *node != self.me
                && member.heard.is_some()
                && member.arrivals.is_suspicious(now, &self.limits);
            member.suspected_at = if suspicious { member.suspected_at.or(Some(now)) } else { None };
        }
    }

    /// Whether what `node` says of others counts.
    fn is_observer(&self, node: NodeId) -> bool {
        node == self.me
            || self.members.get(&node).is_some_and(|member| {
                member.heard.is_some()
                    && member.suspected_at.is_none()
                    && member.standing.verdict() != Verdict::Down
            })
    }

    /// Who is accused by whom, as far as it counts.
    pub(crate) fn voices(&self) -> Voices {
        let mut voices = Voices::new();
        for (observer, of_observer) in &self.members {
            if !self.is_observer(*observer) {
                continue;
            }
            if *observer == self.me {
                let mine = self.members.iter().filter(|(_, member)| member.suspected_at.is_some());
                mine.for_each(|(node, _)| voices.entry(*node).or_default().push(self.me));
                continue;
            }
            for (accused, pulse) in &of_observer.accuses {
                let heard = self.members.get(accused).map(|member| member.heard);
                let counts = heard.is_some_and(|heard| heard <= Some(*pulse));
                if counts && accused != observer {
                    voices.entry(*accused).or_default().push(*observer);
                }
            }
        }
        voices
    }

    fn conclude(&mut self, now: Instant, voices: &Voices) {
        let observers = self.members.keys().filter(|node| self.is_observer(**node)).count();
        let nodes: Vec<NodeId> = self.members.keys().copied().filter(|node| *node != self.me).collect();
        for node in nodes {
            let others = observers - usize::from(self.is_observer(node));
            let voices = voices.get(&node).map_or(0, Vec::len);
            let Some(member) = self.members.get_mut(&node) else { continue };
            let Some(heard) = member.heard else { continue };
            let alive = member.answered && member.suspected_at.is_none();
            let wanted = if alive {
                Verdict::Up
            } else if voices >= VOICES_NEEDED.min(others) {
                member.standing.hold_down(heard);
                Verdict::Down
            } else if member.standing.is_held_down(heard) {
                Verdict::Down
            } else if member.suspected_at.is_some() {
                Verdict::Suspected
            } else {
                Verdict::Up
            };
            if let Some(from) = member.standing.settle(now, wanted, &self.options) {
                self.note_change(Change { node, from, to: wanted, at: now });
            }
        }
    }

    /// Keeps one change for each node, from what it was when somebody last asked.
    fn note_change(&mut self, change: Change) {
        let from = self.changes.get(&change.node).map_or(change.from, |earlier| earlier.from);
        if from == change.to {
            self.changes.remove(&change.node);
        } else {
            self.changes.insert(change.node, Change { from, ..change });
        }
    }

    /// Decides which suspicions this node tells. Those that it told it goes on telling, while it has them.
    fn accuse(&mut self, now: Instant, voices: &Voices) {
        let mut told = Accusations::new();
        let mut untold = Vec::new();
        let nodes: Vec<NodeId> = self.members.keys().copied().collect();
        let my_place = nodes.binary_search(&self.me).unwrap_or_default();
        for (place, (node, member)) in self.members.iter().enumerate() {
            let (Some(since), Some(heard)) = (member.suspected_at, member.heard) else { continue };
            if self.own().accuses.get(node) == Some(&heard) {
                told.insert(*node, heard);
                continue;
            }
            let rank = (my_place + nodes.len() - place - 1) % nodes.len();
            let waits = self.options.round.saturating_mul(suspicion::patience_rounds(rank));
            let others =
                voices.get(node).map_or(0, |voices| voices.iter().filter(|it| **it != self.me).count());
            if now.since(since) >= waits && others < VOICES_ENOUGH {
                // Where there is no room for all: first those for whom one voice more decides.
                untold.push((others.abs_diff(VOICES_NEEDED - 1), rank, *node, heard));
            }
        }
        let mut left =
            SUSPECTS_BYTES_MAX.saturating_sub(told.values().map(|pulse| suspicion::bytes_of(*pulse)).sum());
        untold.sort_unstable();
        for (_, _, node, heard) in untold {
            let Some(rest) = left.checked_sub(suspicion::bytes_of(heard)) else { break };
            left = rest;
            told.insert(node, heard);
        }
        if told != self.own().accuses {
            self.unpublished.insert(Key::SUSPECTS, suspicion::encode(&told));
            self.own_mut().accuses = told;
        }
    }
}
