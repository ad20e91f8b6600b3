//! Where a drill takes place: the ring, its doors, what clients see, and what somebody who watches is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::door::Door;
use super::load::Shared;
use super::report::{Report, names};
use super::ring::Choice;
use super::tally::{Ending, Phase};
use crate::lab::Lab;
use crate::lab::order::Order;

/// How long nodes may take to notice a change. They take some seconds.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A ring under load.
pub(super) struct Stage<'a> {
    lab: &'a mut Lab,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) doors: Vec<Door>,
    pub(super) shared: Arc<Shared>,
    /// Set when somebody wants the drill to end.
    interrupted: Arc<AtomicBool>,
    pub(super) report: Report,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        lab: &'a mut Lab,
        addresses: Vec<SocketAddr>,
        interrupted: Arc<AtomicBool>,
    ) -> Stage<'a> {
        let doors = addresses.iter().map(|address| Door::new(*address)).collect();
        Stage { lab, addresses, doors, shared: Arc::new(Shared::new()), interrupted, report: Report::new() }
    }

    /// Tells the laboratory; what clients see from then on is counted as of this phase.
    pub(super) fn order(&mut self, phase: Phase, order: &Order) -> Result<()> {
        self.shared.set_phase(phase);
        for line in self.lab.carry_out(order)? {
            self.report.say(&line);
        }
        Ok(())
    }

    /// Shows what clients of these groups of nodes saw in a phase.
    pub(super) fn show(&self, phase: Phase, groups: &[&[usize]]) {
        self.report.seen(&self.shared.tally(), phase, groups);
    }

    /// Writes a key of a keyspace at one node, which must accept it.
    pub(super) fn put(
        &self,
        node: usize,
        of: Choice,
        key: &str,
        value: &str,
        context: Option<&str>,
    ) -> Result<()> {
        let began = Instant::now();
        while self.doors[node].put(of, key, value, context).ending != Ending::Good {
            if began.elapsed() > NOTICE_MAX {
                bail!("{} does not accept a write in keyspace {}", names(&[node]), of.name());
            }
            self.wait(LOOK_EVERY)?;
        }
        Ok(())
    }

    pub(super) fn wait(&self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.interrupted.load(Ordering::SeqCst) {
                bail!("the drill was interrupted");
            }
            thread::sleep(LOOK_EVERY.min(time));
        }
        Ok(())
    }

    /// Waits until each of these nodes takes all nodes for what they are: up or not, in their order.
    pub(super) fn wait_until(&self, what: &str, nodes: &[usize], up: &[bool]) -> Result<()> {
        let began = Instant::now();
        loop {
            let sees = |node: &usize| self.doors[*node].sees_up().is_ok_and(|seen| seen == up);
            if nodes.iter().all(sees) {
                return Ok(());
            }
            if began.elapsed() > NOTICE_MAX {
                bail!("waited {NOTICE_MAX:?} for {what}, in vain");
            }
            self.wait(LOOK_EVERY)?;
        }
    }
}
