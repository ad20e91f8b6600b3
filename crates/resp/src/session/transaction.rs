//! What came in one go with a MULTI that was refused.
//!
//! Most clients send MULTI, the commands and EXEC in one write and look at the replies later. If the refusal of MULTI
//! were all, the commands behind it would run one by one, and the client would be told by EXEC's error that none did.
//! So commands that were received before the refusal had been sent, and thus by a client that did not know of it, are
//! not run, up to the EXEC or DISCARD that ends them. A client that has seen the refusal goes on as it likes.

use crate::command::Failure;
use crate::command::row::Row;
use crate::contexts::Offset;

/// A transaction that was refused, if its end has not been seen.
#[derive(Debug, Default)]
pub(crate) struct RefusedTransaction {
    /// Where the refusal ends in the stream of replies.
    refusal_end: Option<Offset>,
}

impl RefusedTransaction {
    /// A MULTI was refused, in a reply that ends there.
    pub(crate) fn begin(&mut self, refusal_end: Offset) {
        self.refusal_end = Some(refusal_end);
    }

    /// Why a command that was received when the replies had left up to `received` is not to be run, if it is not.
    pub(crate) fn refuses(&mut self, row: &Row, received: Offset) -> Option<Failure> {
        let refusal_end = self.refusal_end?;
        if received >= refusal_end || matches!(row.name, "exec" | "discard" | "reset" | "quit") {
            self.refusal_end = None;
            return None;
        }
        Some(Failure::new(format!(
            "{} is not run: it was sent behind MULTI as part of a transaction, and MULTI is refused here",
            row.name.to_ascii_uppercase()
        )))
    }
}
