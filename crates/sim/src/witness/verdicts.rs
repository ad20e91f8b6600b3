//! Whether what a node takes others for has the reasons that it must have.
//!
//! What must hold (INVARIANTS E9): a node takes another for down only when two observers suspect it, or one where it hears no
//! other; and an observer that it names has really suspected that node. What each node suspects is looked at whenever it
//! sends gossip, so before anybody can have heard of it. That an observer starts anew does not take back what was decided by its
//! word, though it is no more to be seen.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip::{Row, Verdict};
use types::{Instant, NodeId};

/// For how long an accusation may be under way, by others, and count.
const REMEMBERED: Duration = Duration::from_secs(120);

/// A verdict stands for so long at the most before it is given up; what was decided meanwhile is acted on then.
const DECIDED_BEFORE: Duration = Duration::from_secs(10);

/// Who suspected whom, and when last.
#[derive(Debug, Default)]
pub struct Verdicts {
    suspected: BTreeMap<(NodeId, NodeId), Instant>,
    /// When each node started last, or another process under its name.
    started: BTreeMap<NodeId, Instant>,
    downs: u64,
}

impl Verdicts {
    /// A node suspects another.
    pub fn suspects(&mut self, now: Instant, observer: NodeId, suspect: NodeId) {
        self.suspected.insert((observer, suspect), now);
    }

    /// A node starts, or another process under its name: whoever hears that forgets what it said of others before.
    pub fn starts(&mut self, now: Instant, node: NodeId) {
        self.started.insert(node, now);
    }

    /// Whether somebody suspected a node, started since or nearly so, and may have been heard before.
    fn may_have_left(&self, now: Instant, observer: NodeId, suspect: NodeId) -> bool {
        let is_late = |at: Option<&Instant>| at.is_some_and(|at| now.since(*at) <= DECIDED_BEFORE);
        is_late(self.suspected.get(&(observer, suspect))) && is_late(self.started.get(&observer))
    }

    /// How often a node was taken for down.
    pub fn downs(&self) -> u64 {
        self.downs
    }

    /// A node takes another for down, on grounds of what it has heard.
    ///
    /// # Errors
    /// Where those do not suffice, in words.
    pub fn down(&mut self, now: Instant, here: NodeId, down: NodeId, table: &[Row]) -> Result<(), String> {
        self.downs += 1;
        let Some(row) = table.iter().find(|row| row.node == down) else {
            return Err(format!("{down} is down, and is nobody that it knows"));
        };
        let voices = &row.suspected_by;
        let observers = table
            .iter()
            .filter(|row| row.node != down && (row.node == here || row.verdict == Verdict::Up))
            .count();
        let left = self.started.keys().filter(|node| !voices.contains(node) && **node != down);
        let left = left.filter(|node| self.may_have_left(now, **node, down)).count();
        if voices.len() + left < observers.min(2) {
            return Err(format!("{down} is down by the word of {voices:?} alone, of {observers} observers"));
        }
        for voice in voices.iter().filter(|voice| **voice != here) {
            let last = self.suspected.get(&(*voice, down));
            if last.is_none_or(|at| now.since(*at) > REMEMBERED) {
                return Err(format!(
                    "{down} is down by the word of {voice}, who last suspected it at {last:?}"
                ));
            }
        }
        Ok(())
    }
}
