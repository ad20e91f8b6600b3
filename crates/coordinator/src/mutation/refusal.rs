//! What a client is told of a write that was not done.

use api::{Action, Error, Part};
use quorum::{Decision, Level, Tracker};
use replica::MakeError;

use crate::target::{Target, Turn};

/// Not done, said before anything is stored: W owners cannot be reached.
pub(super) fn too_few_reachable(target: &Target, level: Level, turn: &Turn<'_>) -> Option<Error> {
    let mut reachable = Tracker::new(level, &target.owners, target.local);
    let mut missing = Vec::new();
    for &(node, _) in &target.owners {
        if node == target.here || turn.topology.is_reachable(node) {
            reachable.succeeded(node);
        } else {
            reachable.failed(node);
            missing.push(target.name_of(node));
        }
    }
    (reachable.decided() != Decision::Met).then(|| Error::Unavailable {
        action: Action::Write,
        level,
        needed: u8::try_from(reachable.needed()).unwrap_or(u8::MAX),
        got: u8::try_from(reachable.got()).unwrap_or(u8::MAX),
        owners: target.owner_count(),
        detail: if missing.is_empty() {
            "there are not so many owners".to_owned()
        } else {
            format!("cannot reach {}", missing.join(", "))
        },
    })
}

/// What a client is told of a change that its maker would not make. Nothing was stored.
pub(super) fn refusal(target: &Target, error: MakeError, level: Level) -> Error {
    let keyspace = target.keyspace();
    match error {
        MakeError::ContextRequired => Error::ContextRequired(keyspace.name.clone()),
        MakeError::TooManySiblings(siblings) => {
            Error::TooManySiblings { siblings, keyspace: keyspace.name.clone() }
        }
        MakeError::TooLarge { bytes, limit } => {
            Error::TooLarge { what: Part::Record, bytes, limit, keyspace: keyspace.name.clone() }
        }
        MakeError::Context(why) => Error::Invalid(why),
        MakeError::Overloaded(why) => Error::Overloaded(why),
        MakeError::CannotSay(why) => Error::Unavailable {
            action: Action::Write,
            level,
            needed: u8::try_from(Tracker::new(level, &target.owners, target.local).needed())
                .unwrap_or(u8::MAX),
            got: 0,
            owners: target.owner_count(),
            detail: format!("{}: {why}", target.name_of(target.here)),
        },
    }
}
