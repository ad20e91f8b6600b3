//! What a client is told of a write that was not done.

use api::{Action, Error, Part};
use quorum::{Level, Owner, Tracker, required};
use replica::MakeError;

use crate::stand_ins::StandIns;
use crate::target::{Target, Turn};

/// Not done, said before anything is stored: W owners cannot be reached, and too few stand in for them.
pub(super) fn too_few_reachable(
    target: &Target,
    stand_ins: &StandIns,
    level: Level,
    turn: &Turn<'_>,
) -> Option<Error> {
    let is_reachable =
        |node| node == target.here || turn.topology.is_reachable(node) || stand_ins.of(node).is_some();
    let owners = target.owners.iter().copied();
    let needed = required(level, &target.owners, target.local);
    if needed.is_met_by(owners.clone().filter(|(node, _)| is_reachable(*node))) {
        return None;
    }
    let (there, missing): (Vec<Owner>, Vec<Owner>) = owners.partition(|(node, _)| is_reachable(*node));
    let mut reachable = Tracker::new(level, &target.owners, target.local);
    there.iter().for_each(|(node, _)| reachable.succeeded(*node));
    Some(Error::Unavailable {
        action: Action::Write,
        level,
        needed: u8::try_from(needed.total()).unwrap_or(u8::MAX),
        got: u8::try_from(reachable.got()).unwrap_or(u8::MAX),
        owners: target.owner_count(),
        detail: if missing.is_empty() {
            "there are not so many owners".to_owned()
        } else {
            let names: Vec<&str> = missing.iter().map(|(node, _)| target.name_of(*node)).collect();
            format!("cannot reach {}", names.join(", "))
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
        // Whoever named it has been asked to leave that to this node, and after that it has no name.
        MakeError::NotAsNamed => Error::Overloaded(error.to_string()),
        error @ (MakeError::CannotSay(_) | MakeError::Gone | MakeError::Stale { .. }) => Error::Unavailable {
            action: Action::Write,
            level,
            needed: u8::try_from(required(level, &target.owners, target.local).total()).unwrap_or(u8::MAX),
            got: 0,
            owners: target.owner_count(),
            detail: format!("{}: {error}", target.name_of(target.here)),
        },
    }
}
