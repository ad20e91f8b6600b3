//! What a node takes another one for, and how slowly it changes its mind.
//!
//! Always true: a verdict stands for a minimum time before it flips, and the time doubles with every second flip up to
//! a bound, so that a node that comes and goes cannot make its peers' routing flutter. Only two steps wait for nobody:
//! hearing of a node for the first time, and taking one for down that was suspected anyway. Flips are forgotten, one
//! for each [`Options::dwell_max`] of calm.
//!
//! Damping is applied to what is believed and not to what is heard: a flip that is put off and has lost its reason by
//! then never happens. Written about in `docs/protocols/gossip.md`.

use std::fmt;
use std::time::Duration;

use types::{Instant, NodeId};

use crate::options::Options;
use crate::state::Pulse;

/// What a member is taken for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Verdict {
    /// No heartbeat of it was heard since this node started.
    #[default]
    NeverHeard,
    /// It is alive.
    Up,
    /// This node thinks it too silent, and too few agree. It may be slow to reach, or this node to hear.
    Suspected,
    /// Independent observers agree that it is silent.
    Down,
}

impl Verdict {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::NeverHeard => "never heard",
            Verdict::Up => "up",
            Verdict::Suspected => "suspected",
            Verdict::Down => "down",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A verdict that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Whose.
    pub node: NodeId,
    /// What it was when changes were last asked for.
    pub from: Verdict,
    /// What it is.
    pub to: Verdict,
    /// Since when.
    pub at: Instant,
}

/// The verdict on one node, with what slows its changes.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    verdict: Verdict,
    flipped_at: Instant,
    flips: u32,
    /// The last heartbeat that was heard of a node that is down: down ends with a newer one, and not already with
    /// the departure of those who said so.
    down_at: Option<Pulse>,
}

impl Standing {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the node was found down and not heard since.
    pub fn is_held_down(&self, heard: Pulse) -> bool {
        self.down_at.is_some_and(|at| heard <= at)
    }

    /// Two observers found the node down at this heartbeat.
    pub fn hold_down(&mut self, at: Pulse) {
        self.down_at = self.down_at.max(Some(at));
    }

    /// What was concluded before counts no more.
    pub fn release(&mut self) {
        self.down_at = None;
    }

    /// How long the verdict stands at least, from its last flip.
    pub fn dwell(&self, now: Instant, options: &Options) -> Duration {
        let doublings = (self.flips_remembered(now, options) / 2).min(31);
        options.dwell.saturating_mul(1 << doublings).min(options.dwell_max)
    }

    /// Brings the verdict to `wanted` if it may change now; what it was, if it did.
    pub fn settle(&mut self, now: Instant, wanted: Verdict, options: &Options) -> Option<Verdict> {
        let was = self.verdict;
        if wanted == was {
            return None;
        }
        let for_the_first_time = was == Verdict::NeverHeard;
        let worse_only = was == Verdict::Suspected && wanted == Verdict::Down;
        if !for_the_first_time && !worse_only {
            if now.since(self.flipped_at) < self.dwell(now, options) {
                return None;
            }
            self.flips = self.flips_remembered(now, options).saturating_add(1);
        }
        if !worse_only {
            self.flipped_at = now;
        }
        self.verdict = wanted;
        Some(was)
    }

    fn flips_remembered(&self, now: Instant, options: &Options) -> u32 {
        let calm = now.since(self.flipped_at).as_nanos();
        let forgotten = calm.checked_div(options.dwell_max.as_nanos()).unwrap_or(u128::MAX);
        self.flips.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}
