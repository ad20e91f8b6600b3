//! The replies that are due, in the order of their commands.
//!
//! What must hold: the front, if there is one, is a pending request; what follows it and is ready waits for it.

use std::collections::VecDeque;

use api::Outcome;
use bytes::BytesMut;

use crate::session::Asking;

/// Room for so many replies stays with an idle connection.
const KEPT: usize = 16;

/// A reply that is due.
pub(crate) enum Waiting {
    /// The store has not answered.
    Pending(Asking),
    /// The store has, out of turn.
    Answered(Box<(Asking, Outcome)>),
    /// The reply of a command that did not ask.
    Reply(BytesMut),
}

/// The replies that are due.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    request_bytes: usize,
    reply_bytes: usize,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The bytes of arguments of all requests here.
    pub(crate) fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// The bytes of replies here.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    pub(crate) fn push_pending(&mut self, asking: Asking) {
        self.request_bytes += asking.bytes;
        self.waiting.push_back(Waiting::Pending(asking));
    }

    pub(crate) fn push_answered(&mut self, asking: Asking, outcome: Outcome) {
        self.request_bytes += asking.bytes;
        self.reply_bytes += value_bytes(&outcome);
        self.waiting.push_back(Waiting::Answered(Box::new((asking, outcome))));
    }

    pub(crate) fn push_reply(&mut self, reply: BytesMut) {
        self.reply_bytes += reply.len();
        self.waiting.push_back(Waiting::Reply(reply));
    }

    /// The oldest pending request.
    pub(crate) fn pop_pending(&mut self) -> Asking {
        let Some(Waiting::Pending(asking)) = self.waiting.pop_front() else {
            unreachable!("the front of the queue is pending, or nothing is");
        };
        self.request_bytes -= asking.bytes;
        asking
    }

    /// The next reply, if it does not have to be waited for.
    pub(crate) fn pop_ready(&mut self) -> Option<Waiting> {
        if self.waiting.is_empty() {
            self.waiting.shrink_to(KEPT);
        }
        let waiting = self.waiting.pop_front_if(|waiting| !matches!(waiting, Waiting::Pending(_)))?;
        match &waiting {
            Waiting::Answered(answered) => {
                self.request_bytes -= answered.0.bytes;
                self.reply_bytes -= value_bytes(&answered.1);
            }
            Waiting::Reply(reply) => self.reply_bytes -= reply.len(),
            Waiting::Pending(_) => {}
        }
        Some(waiting)
    }
}

/// The bytes of the values of an outcome, about; what else it holds is small.
fn value_bytes(outcome: &Outcome) -> usize {
    match outcome {
        Ok(api::Reply::Found(found)) => found.values.iter().map(|value| value.value.len()).sum(),
        Ok(api::Reply::Batch(outcomes)) => outcomes.iter().map(value_bytes).sum(),
        Ok(api::Reply::Scan(page)) => page.keys.iter().map(bytes::Bytes::len).sum(),
        _ => 0,
    }
}
