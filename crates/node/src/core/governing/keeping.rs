//! A state is on this node's disk before its shards go by it.
//!
//! What must hold (INVARIANTS E1): what was refused by a state is refused after a crash as well, so the states that a node goes by
//! never go back.

use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterState;
use env::DiskError;
use types::{Epoch, Instant, Moment};

use super::news::history_of;
use super::store::Work;
use super::{Act, Governing};

/// How long to wait after a state could not be kept.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The state that is being written.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    under_way: Option<Arc<ClusterState>>,
    again_at: Option<Instant>,
}

impl Keeping {
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.again_at
    }

    /// Whether the latest state is on the disk.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.again_at.is_none()
    }
}

impl Governing {
    /// Has the latest state written down, unless one is being so.
    pub(super) fn keep(&mut self, out: &mut Vec<Act>) {
        // What is written down to begin the history again is this file too.
        if !self.keeping.is_idle() || self.begins_again() {
            return;
        }
        let state = Arc::clone(&self.newest);
        let (place, epoch, bytes) = (self.place.clone(), state.epoch(), state.encode());
        self.keeping.under_way = Some(state);
        out.push(Act::Run(Work::Keep { place, epoch, bytes }));
    }

    /// A state was kept, or was not: the node goes by it, and the next one follows.
    pub(super) fn kept(
        &mut self,
        now: Moment,
        epoch: Epoch,
        outcome: Result<(), DiskError>,
        out: &mut Vec<Act>,
    ) {
        let Some(state) = self.keeping.under_way.take_if(|state| state.epoch() == epoch) else { return };
        match outcome {
            Ok(()) => {
                let is_last = Arc::ptr_eq(&state, &self.newest);
                self.kept_history = history_of(&state);
                out.push(Act::Adopt(state));
                if !is_last {
                    self.keep(out);
                }
            }
            Err(error) => {
                tracing::warn!(%error, %epoch, "the cluster state could not be kept: this node goes on by the one before");
                self.keeping.again_at = Some(now.mono + TRY_AGAIN);
            }
        }
    }

    /// Tries again to keep a state, when it is time.
    pub(super) fn keep_again(&mut self, now: Instant, out: &mut Vec<Act>) {
        if self.keeping.again_at.take_if(|at| *at <= now).is_some() {
            self.keep(out);
        }
    }
}
