//! Whether the keyspace that a connection is in is still there.
//!
//! Keyspaces are dropped while connections are in them. A question about keys of one that was dropped is not asked: its client is
//! told to go to another, with each command until it does. One that is made under the same name has another id, and does not take
//! the old one's place by itself: what the client knows of its keys is of the old one (INVARIANTS D4).

use api::{Command, Status};
use types::{Epoch, KeyspaceId};

use crate::command::{Failure, Next};
use crate::state::{Around, Selected};

/// What was looked for last, so that it is looked for once in an epoch and not for every command.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    /// The keyspace that was there, and in which epoch: in the same one it is there still.
    seen: Option<(Epoch, KeyspaceId)>,
}

impl Ground {
    /// How a command goes on that came to `next` in the keyspace `selected`.
    pub(crate) fn check(
        &mut self,
        next: Next,
        selected: &Selected,
        around: &Around<'_>,
    ) -> Result<Next, Failure> {
        match &next {
            Next::Ask(ask)
                if speaks_of_keys(&ask.request.command) && !self.is_there(selected.id, around.status) =>
            {
                Err(Failure::dropped(&selected.name))
            }
            _ => Ok(next),
        }
    }

    fn is_there(&mut self, id: KeyspaceId, status: &Status) -> bool {
        if self.seen != Some((status.epoch, id)) {
            self.seen = status.keyspace_by_id(id).map(|_| (status.epoch, id));
        }
        self.seen.is_some()
    }
}

/// Whether a question is about keys of the keyspace that its connection is in.
fn speaks_of_keys(command: &Command) -> bool {
    match command {
        Command::Key(_)
        | Command::Batch(_)
        | Command::Scan(_)
        | Command::Count { .. }
        | Command::RandomKey { .. }
        | Command::Explain { .. } => true,
        Command::AwaitAcknowledgements { .. } | Command::Repair | Command::Change(_) | Command::Plan(_) => {
            false
        }
    }
}
