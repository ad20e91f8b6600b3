//! What a client is told of a write that was not done.

use api::{Action, Error, Part};
use quorum::{Level, Owner, Tracker, required};
use replica::MakeError;

use crate::settle::count;
use crate::stand_ins::StandIns;
use crate::target::{Target, Turn};

/// Why one that was not made in time, because its owners had changed, has come to nothing.
pub(super) const NEWS_DID_NOT_COME: &str =
    "who owns the key has changed, and this node did not hear in time what it is now; nothing was stored";

/// Not done, said before anything is stored: W owners cannot be reached, and too few stand in for them; of either set, while the
/// partition moves.
pub(super) fn too_few_reachable(
    target: &Target,
    stand_ins: &StandIns,
    level: Level,
    turn: &Turn<'_>,
) -> Option<Error> {
    target.sets().find_map(|owners| too_few_of(owners, target, stand_ins, level, turn))
}

fn too_few_of(
    owners: &[Owner],
    target: &Target,
    stand_ins: &StandIns,
    level: Level,
    turn: &Turn<'_>,
) -> Option<Error> {
    let is_reachable =
        |node| node == target.here || turn.topology.is_reachable(node) || stand_ins.of(node).is_some();
    let needed = required(level, owners, target.local);
    let all = owners.iter().copied();
    if needed.is_met_by(all.clone().filter(|(node, _)| is_reachable(*node))) {
        return None;
    }
    let (there, missing): (Vec<Owner>, Vec<Owner>) = all.partition(|(node, _)| is_reachable(*node));
    let mut reachable = Tracker::new(level, owners, target.local);
    there.iter().for_each(|(node, _)| reachable.succeeded(*node));
    let mut detail = if missing.is_empty() {
        "there are not so many owners".to_owned()
    } else {
        let names: Vec<&str> = missing.iter().map(|(node, _)| target.name_of(*node)).collect();
        format!("cannot reach {}", names.join(", "))
    };
    if !target.also_written.is_empty() {
        let names: Vec<&str> = owners.iter().map(|(node, _)| target.name_of(*node)).collect();
        detail =
            format!("{detail}; the partition moves, so it takes {needed} of {} as well", names.join(", "));
    }
    Some(Error::Unavailable {
        action: Action::Write,
        level,
        needed: count(needed.total()),
        got: count(reachable.got()),
        owners: count(owners.len()),
        detail,
    })
}

/// Not done: nothing was stored, for this reason.
pub(super) fn not_made(target: &Target, level: Level, detail: String) -> Error {
    Error::Unavailable {
        action: Action::Write,
        level,
        needed: count(required(level, &target.owners, target.local).total()),
        got: 0,
        owners: target.owner_count(),
        detail,
    }
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
        // It is begun anew, or passed on, where that can be.
        MakeError::Stale { .. } => not_made(target, level, NEWS_DID_NOT_COME.to_owned()),
        error @ (MakeError::CannotSay(_) | MakeError::Gone) => {
            not_made(target, level, format!("{}: {error}", target.name_of(target.here)))
        }
    }
}
