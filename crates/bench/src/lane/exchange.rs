//! The second half of a client's turn: its requests are written, its replies read, and each operation taken to its end.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::{Lane, write};
use crate::Error;
use crate::judge::judge;
use crate::link::{Link, Outcome, Pending, Step};
use crate::reply::{Reply, parse};
use crate::workload::Kind;

/// MOVED is followed this often for one operation; more means that nodes disagree.
const HOPS_MAX: u8 = 5;

/// A link that broke, and why.
struct Lost {
    node: usize,
    reason: String,
}

impl Lane {
    /// Waits until everything that was sent is answered or given up.
    pub(super) async fn exchange(&mut self) -> Result<(), Error> {
        loop {
            if let Err(lost) = poll_fn(|context| self.poll_exchange(context)).await {
                self.lose(&lost);
            }
            if self.retries.is_empty() && self.links.iter().flatten().all(|link| link.pending.is_empty()) {
                return Ok(());
            }
            for pending in std::mem::take(&mut self.retries) {
                self.enqueue(pending).await?;
            }
        }
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let mut busy = false;
        for node in 0..self.links.len() {
            match self.poll_link(node, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(Lost { node, reason })),
                Poll::Pending => busy = true,
            }
        }
        if !busy {
            return Poll::Ready(Ok(()));
        }
        self.poll_watchdog(context)
    }

    /// Ready when all that this link has waited for has come.
    fn poll_link(&mut self, node: usize, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        loop {
            let Some(link) = self.links[node].as_mut().filter(|link| !link.pending.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            // A socket that takes no more now must still be read, or both sides could wait for each other.
            if let Poll::Ready(Err(error)) = link.poll_flush(context) {
                return Poll::Ready(Err(format!("connection lost: {error}")));
            }
            match link.poll_fill(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(format!("connection lost: {error}"))),
                Poll::Ready(Ok(())) => {}
            }
            if let Err(reason) = self.take_replies(node) {
                return Poll::Ready(Err(reason));
            }
        }
    }

    /// One timer for a whole batch, set anew only when it fires: cheaper than one for each request.
    fn poll_watchdog(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while self.watchdog.as_mut().poll(context).is_ready() {
            let deadline = self.batch_sent + self.shared.plan.timeout;
            if Instant::now() >= deadline {
                let waits = |link: &Option<Link>| link.as_ref().is_some_and(|link| !link.pending.is_empty());
                let node = self.links.iter().position(waits).unwrap_or(self.home);
                self.watchdog.as_mut().reset(Instant::now() + self.shared.plan.timeout);
                let reason = format!("timeout: no reply within {:?}", self.shared.plan.timeout);
                return Poll::Ready(Err(Lost { node, reason }));
            }
            self.watchdog.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn take_replies(&mut self, node: usize) -> Result<(), String> {
        let now = self.now();
        loop {
            let Lane { shared, links, key, .. } = self;
            let Some(link) = links[node].as_mut() else {
                return Ok(());
            };
            let Some(pending) = link.pending.front().copied() else {
                return Ok(());
            };
            let Some((reply, used)) = parse(link.unread()).map_err(|malformed| malformed.to_string())? else {
                return Ok(());
            };
            if reply == Reply::Push {
                link.consume(used);
                continue;
            }
            let outcome = judge(&shared.plan, &pending, reply, link.address(), key);
            link.consume(used);
            link.pending.pop_front();
            self.advance(node, pending, outcome, now);
        }
    }

    /// Takes an operation one step on.
    fn advance(&mut self, node: usize, pending: Pending, outcome: Outcome, now: u64) {
        let Lane { shared, links, values, key, .. } = self;
        let Some(link) = links[node].as_mut() else { return };
        let outcome = match (pending.step, outcome) {
            (Step::SetBeforeWait, outcome) => {
                link.held = Some(outcome);
                return;
            }
            (Step::ReadToModify, Outcome::Done | Outcome::Miss) => {
                write(&shared.plan, link, values, key, pending);
                return;
            }
            (Step::Wait, waited) => match link.held.take() {
                None | Some(Outcome::Done) => waited,
                Some(failure) => failure,
            },
            (_, outcome) => outcome,
        };
        match outcome {
            Outcome::Moved(slot, address) if pending.hops < HOPS_MAX => {
                self.follow(pending, slot, &address);
            }
            outcome => self.settle(pending, &outcome, now),
        }
    }

    fn follow(&mut self, pending: Pending, slot: usize, address: &str) {
        if let Some(slots) = &self.shared.slots {
            slots.borrow_mut().moved(slot, address);
        }
        self.shared.recorder.borrow_mut().redirect();
        self.retries.push(Pending { hops: pending.hops + 1, ..pending });
    }

    pub(super) fn settle(&self, pending: Pending, outcome: &Outcome, now: u64) {
        let mut recorder = self.shared.recorder.borrow_mut();
        match outcome {
            Outcome::Done => recorder.succeed(pending.kind, pending.intended, now),
            Outcome::Miss => recorder.miss(pending.kind, pending.intended, now),
            Outcome::Failed(message) => recorder.fail(pending.intended, now, message),
            Outcome::Unverified(message) => recorder.fail_verification(pending.intended, now, message),
            Outcome::Moved(_, address) => {
                recorder.fail(pending.intended, now, &format!("MOVED in a circle, last to {address}"));
            }
        }
        if pending.kind == Kind::Insert {
            self.shared.frontier.settle(pending.key);
        }
        self.settled.set(self.settled.get() + 1);
    }

    /// Drops a broken link; what it owed has failed, in unknown state.
    fn lose(&mut self, lost: &Lost) {
        let now = self.now();
        let Some(link) = self.links[lost.node].take() else {
            return;
        };
        // A SET and its WAIT are two entries and one operation.
        for pending in link.pending.iter().filter(|pending| pending.step != Step::SetBeforeWait) {
            self.settle(*pending, &Outcome::Failed(lost.reason.clone()), now);
        }
    }
}
