//! What is refused before anything is begun: what no node could serve, and what this node has no room for.

use std::time::Duration;

use api::{Error, KeyRequest, Operation, Part, Request};
use cluster::Keyspace;
use types::Instant;

use super::Operations;

/// Requests that were refused before they were begun, by reason, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refusals {
    /// As many operations were under way as are taken.
    pub operations: u64,
    /// As many bytes of values were.
    pub bytes: u64,
    /// All that came had waited too long, for a while.
    pub delay: u64,
    /// They had waited until their time was over.
    pub late: u64,
}

impl Operations {
    /// Something that comes to this table has waited so long for its turn.
    pub fn waited(&mut self, now: Instant, waited: Duration) {
        self.delay.waited(now, waited);
    }

    /// A client's request with the time that is left of it after it has waited so long.
    ///
    /// # Errors
    /// None is left. It was not begun.
    pub fn after_waiting(&mut self, waited: Duration, request: Request) -> Result<Request, Error> {
        let timeout = request.timeout.unwrap_or(self.options.timeout).min(self.options.timeout);
        let left = timeout.saturating_sub(waited);
        if left.is_zero() {
            self.refusals.late += 1;
            return Err(Error::Overloaded(format!(
                "the request waited {} ms for its turn, and may take {}: try again later, more slowly",
                waited.as_millis(),
                timeout.as_millis()
            )));
        }
        Ok(Request { timeout: Some(left), ..request })
    }

    /// What was refused, and why.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Why a request about a key is refused; nothing if it may begin.
    pub(super) fn refusal(&mut self, now: Instant, request: &KeyRequest) -> Option<Error> {
        let Some(keyspace) = self.topology.state.keyspace(request.keyspace) else {
            return Some(Error::NoSuchKeyspace(request.keyspace.0.to_string()));
        };
        too_large(keyspace, request).or_else(|| self.overload(now, value_bytes(request)))
    }

    /// Why nothing more is begun for now; nothing if there is room.
    pub(super) fn overload(&mut self, now: Instant, bytes: usize) -> Option<Error> {
        let (what, max, counted) = if let Some(long) = self.delay.too_long(now) {
            self.refusals.delay += 1;
            return Some(Error::Overloaded(format!(
                "all that comes to where this one belongs has waited too long for its turn, since {} ms: try again later, more slowly",
                long.as_millis()
            )));
        } else if self.unanswered >= self.options.operations_max {
            let max = self.options.operations_max;
            (
                format!("{max} operations are"),
                "as many as are taken".to_owned(),
                &mut self.refusals.operations,
            )
        } else if self.bytes + bytes > self.options.bytes_max && self.bytes > 0 {
            let max = self.options.bytes_max;
            (
                format!("{} bytes of values are", self.bytes),
                format!("and {max} are taken"),
                &mut self.refusals.bytes,
            )
        } else {
            return None;
        };
        *counted += 1;
        Some(Error::Overloaded(format!(
            "{what} under way where this one belongs, {max}: try again later, more slowly"
        )))
    }
}

/// The bytes of value that a request holds while it is under way.
pub(super) fn value_bytes(request: &KeyRequest) -> usize {
    match &request.operation {
        Operation::Put { value, .. } => value.len(),
        Operation::Get { .. } | Operation::Delete { .. } | Operation::Expire { .. } => 0,
    }
}

fn too_large(keyspace: &Keyspace, request: &KeyRequest) -> Option<Error> {
    let check = |what, bytes: usize, limit: u64| {
        let bytes = bytes as u64;
        (bytes > limit).then(|| Error::TooLarge { what, bytes, limit, keyspace: keyspace.name.clone() })
    };
    check(Part::Key, request.key.len(), keyspace.limits.key_bytes_max)
        .or_else(|| check(Part::Value, value_bytes(request), keyspace.limits.value_bytes_max))
}
