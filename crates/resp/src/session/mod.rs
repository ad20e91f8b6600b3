//! One connection as a pure state machine: bytes received go in, requests to the store and bytes to send come out.
//!
//! A driver reads into [`Session::input`], then calls [`Session::next`] until it has nothing more to ask. Each request
//! is either [answered](Session::answered) at once, which is the hot path and leaves nothing behind, or is
//! [pending](Session::pending) and [resolved](Session::resolved) later, in the order in which requests became pending.
//! What there is to send stands in [`Session::output`] until the driver has [sent](Session::sent) it.
//!
//! What must hold:
//! - Replies leave in the order of the commands, whatever order the answers come in.
//! - A connection sees its own order: a command waits for an earlier unfinished one that touches one of its keys if
//!   either writes; one that speaks of a whole keyspace waits for all, and all later ones for it.
//! - Memory is bounded: by the bytes of one command, of the requests in flight, and of replies not yet read. Where one
//!   of the bounds is reached, no further command is run and nothing is read (INVARIANTS J1, K3).
//!
//! Only the oldest pending answer is ever looked at. One that comes before it cannot be sent anyway, and a driver that
//! waits for one thing is woken once. A command that waits for a key therefore waits until the reply to the earlier one
//! is written, which may be later than its answer; that is the price, and pipelines rarely name a key twice.
//!
//! In reading order: `intake` cuts commands from what was received, `dispatch` finds their rows, `desk` runs them
//! and shows the answers, `ground` looks whether the keyspace is still there, `holds` keeps the order of keys and `queue` that of
//! replies; `transaction` is about MULTI.

mod desk;
mod dispatch;
mod ground;
mod holds;
mod intake;
mod moved;
mod queue;
mod transaction;

use std::sync::Arc;

use api::{Outcome, Request};
use bytes::{Buf, BytesMut};

use crate::clients::Client;
use crate::command::Failure;
use crate::frame::{Parsed, ProtocolError};
use crate::state::{Around, ListenerKind, Selected};

use desk::{Asking, Desk, Ran};
use intake::Intake;

/// What the driver is to do next.
#[derive(Debug)]
pub enum Turned {
    /// Hand this to the store, and tell what came of it before anything else.
    Ask(Request),
    /// Come back with the cluster as it is now: what follows is to find it as a reply just written has told that it is.
    Refresh,
    /// Nothing can be done until more has been received, or answered, or sent.
    Rest,
}

/// One connection.
pub struct Session {
    intake: Intake,
    desk: Desk,
}

impl Session {
    /// A new connection of `client`, in the keyspace `home`.
    pub fn new(client: Arc<Client>, kind: ListenerKind, home: Selected) -> Session {
        Session { intake: Intake::default(), desk: Desk::new(client, kind, home) }
    }

    /// Where to put what is received, at the end. Follow it with [`received`](Self::received).
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.intake.buffer
    }

    /// Takes note that so many bytes have been added to the input. To be done only when the session
    /// [wants input](Self::wants_input): when each command came in is known only for what is behind the last read.
    pub fn received(&mut self, bytes: usize) {
        self.intake.received(bytes, self.desk.sent);
    }

    /// How many more bytes the argument at hand claims to have.
    pub fn bytes_awaited(&self) -> usize {
        self.intake.bytes_awaited()
    }

    /// Whether more input would be used: all that was received has been looked at, and there is room to go on.
    pub fn wants_input(&self, around: &Around<'_>) -> bool {
        !self.desk.state.is_closing && self.intake.is_exhausted() && !self.desk.is_full(around)
    }

    /// What there is to send.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.desk.output
    }

    /// Takes note that so many bytes from the start of the output have left.
    pub fn sent(&mut self, bytes: usize) {
        self.desk.sent.0 += bytes as u64;
        self.desk.output.advance(bytes);
    }

    /// Whether the connection is to be closed: nothing more will be sent.
    pub fn is_over(&self) -> bool {
        self.desk.state.is_closing && !self.is_waiting() && self.desk.output.is_empty()
    }

    /// Whether something that was asked is not answered.
    pub fn is_waiting(&self) -> bool {
        !self.desk.queue.is_empty() || self.desk.follow_up.is_some()
    }

    /// Whether a command is half received.
    pub fn is_midway(&self) -> bool {
        !self.intake.buffer.is_empty()
    }

    /// How many reply bytes have left.
    pub fn bytes_sent(&self) -> u64 {
        self.desk.sent.0
    }

    /// How many commands have been run or refused.
    pub fn commands(&self) -> u64 {
        self.desk.commands
    }

    /// Answers with an error that is about no command, and ends.
    pub fn refuse(&mut self, failure: &Failure, around: &Around<'_>) {
        self.desk.fail(failure, around);
        self.close();
    }

    /// Takes no more commands, and ends when all is answered.
    pub fn close(&mut self) {
        self.desk.state.is_closing = true;
        self.intake.clear();
    }

    /// Goes on with what was received.
    pub fn next(&mut self, around: &Around<'_>) -> Turned {
        debug_assert!(self.desk.asking.is_none(), "the last question is answered or pending before the next");
        loop {
            if let Some((request, asking)) = self.desk.follow_up.take() {
                self.desk.asking = Some(asking);
                return Turned::Ask(request);
            }
            if self.desk.state.is_closing {
                self.intake.clear();
                return Turned::Rest;
            }
            if self.desk.is_full(around) {
                return Turned::Rest;
            }
            if std::mem::take(&mut self.desk.has_changed) {
                return Turned::Refresh;
            }
            match self.intake.parse(&around.settings.limits) {
                Ok(Parsed::Incomplete) => return Turned::Rest,
                Ok(Parsed::Nothing(length)) => self.intake.finish(length),
                Ok(Parsed::Foreign) => self.end_foreign(around),
                Ok(Parsed::Command(length)) => match self.command(length, around) {
                    Ran::Replied => {}
                    Ran::Asks(request) => return Turned::Ask(request),
                    Ran::MustWait => return Turned::Rest,
                },
                Err(error) => self.end_in_error(error, around),
            }
        }
    }

    fn command(&mut self, length: usize, around: &Around<'_>) -> Ran {
        self.intake.prepare(length);
        let received = self.intake.received_at();
        let ran = self.desk.command(self.intake.arguments(length), received, around);
        if !matches!(ran, Ran::MustWait) {
            self.intake.finish(length);
        }
        ran
    }

    /// Another protocol is not answered: whatever is said may be what its sender wants to read.
    fn end_foreign(&mut self, around: &Around<'_>) {
        around.clients.figures().foreign.add(1);
        self.close();
    }

    fn end_in_error(&mut self, error: ProtocolError, around: &Around<'_>) {
        around.clients.figures().protocol_errors.add(1);
        self.refuse(&Failure::new(error.to_string()), around);
    }

    /// The store answered at once.
    pub fn answered(&mut self, outcome: Outcome, around: &Around<'_>) {
        self.desk.answered(outcome, around);
    }

    /// The store answers later.
    pub fn pending(&mut self) {
        self.desk.pending();
    }

    /// The oldest pending request is answered.
    pub fn resolved(&mut self, outcome: Outcome, around: &Around<'_>) {
        self.desk.resolved(outcome, around);
    }
}
