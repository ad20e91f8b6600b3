//! The end of a turn of the event loop: one write of the log for all that happened in it, and what is to be done next.

use std::time::Duration;

use storage::{BackgroundKind, BackgroundOutcome, Installed};
use types::{Instant, Moment};

use super::{Effect, Replica};

/// How long a kind of background work is left alone that came to nothing.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(1);

impl Replica {
    /// Ends a turn of the event loop: hands the commit log to the operating system in one write, and says what is to be
    /// synced, flushed or compacted.
    pub fn end_turn(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if let Err(error) = self.write_all(now, out) {
            out.push(Effect::Stop(error.to_string()));
            return;
        }
        self.give_up_late(now, out);
        out.extend(self.unwritten.drain(..).map(|(ticket, reply)| Effect::Reply(ticket, reply)));
        self.heal(now, out);
        self.move_on(now, out);
        self.granting.turn(now.mono, out);
        self.handoff.turn(now, &self.db, out);
        self.exchange.turn(now, &self.db, &mut self.granting, out);
        self.collection.turn(now, &self.db, out);
        let due = self.sync_due.is_some_and(|due| due <= now.mono);
        if !self.syncing && (due || !self.unsynced.is_empty() || self.db.needs_sync()) {
            // A sync covers all that was written. What was put in this turn since then, such as a note, waits for the next.
            self.sync_due = self.db.has_unwritten().then_some(now.mono);
            if let Some(job) = self.db.sync_job() {
                self.syncing = true;
                out.push(Effect::Sync(job));
            }
        }
        // A pause that is over is gone, whether there is anything to do or not: a timer that stays in the past never rests.
        self.left_alone.retain(|_, until| *until > now.mono);
        for kind in BackgroundKind::ALL {
            if !self.left_alone.contains_key(&kind) {
                out.extend(self.db.background_job_of(kind).map(Effect::Background));
            }
        }
    }

    /// When [`end_turn`](Self::end_turn) must be called at the latest, though nothing else happens.
    pub fn next_timer(&self) -> Option<Instant> {
        let sync = if self.syncing { None } else { self.sync_due };
        self.left_alone
            .values()
            .copied()
            .chain(sync)
            .chain(self.gives_up_at())
            .chain(self.granting.next_timer())
            .chain(self.handoff.next_timer())
            .chain(self.exchange.next_timer())
            .chain(self.collection.next_timer())
            .chain(self.moving.next_timer())
            .chain(self.sweeping.next_timer())
            .min()
    }

    /// A piece of background work has ended.
    pub fn installed(&mut self, now: Moment, outcome: BackgroundOutcome, out: &mut Vec<Effect>) {
        let kind = outcome.kind();
        match self.db.install(outcome) {
            Ok(Installed::Done) => {}
            Ok(Installed::Lost { keys, damages }) => self.lost(&keys, damages),
            Ok(Installed::Retry(_) | Installed::Unreadable(_)) => {
                self.left_alone.insert(kind, now.mono + BACKGROUND_PAUSE);
            }
            Err(error) => out.push(Effect::Stop(error.to_string())),
        }
    }
}
