//! What is refused before anything is begun: what no node could serve, and what this node has no room for.

use api::{Error, KeyRequest, Operation, Part};
use cluster::Keyspace;

use super::Operations;

impl Operations {
    /// Why a request about a key is refused; nothing if it may begin.
    pub(super) fn refusal(&self, request: &KeyRequest) -> Option<Error> {
        let Some(keyspace) = self.topology.state.keyspace(request.keyspace) else {
            return Some(Error::NoSuchKeyspace(request.keyspace.0.to_string()));
        };
        too_large(keyspace, request).or_else(|| self.overload(value_bytes(request)))
    }

    /// Why nothing more is begun for now; nothing if there is room.
    pub(super) fn overload(&self, bytes: usize) -> Option<Error> {
        if self.unanswered >= self.options.operations_max {
            return Some(Error::Overloaded(format!(
                "{} operations are under way where this one belongs, as many as are taken: try again later, more slowly",
                self.options.operations_max
            )));
        }
        (self.bytes + bytes > self.options.bytes_max && self.bytes > 0).then(|| {
            Error::Overloaded(format!(
                "{} bytes of values are under way where this one belongs, and {} are taken: try again later, more slowly",
                self.bytes, self.options.bytes_max
            ))
        })
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
