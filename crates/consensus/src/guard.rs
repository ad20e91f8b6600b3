//! What is refused before the library sees it.
//!
//! raft-rs trusts its peers: some messages make it panic, and some make it count what is not there. None of them is ever sent
//! by a member that keeps its promises, so refusing them costs nothing; but a message is bytes from a network, and a process
//! that stops takes much more with it than one group. What each check is for stands beside it.
//!
//! What must hold: after [`check`] has said yes, stepping the library with this message cannot panic (`tests/hostile.rs`).

use raft::StateRole;

use crate::entry::{Entry, Position};
use crate::group::Group;
use crate::membership::MemberId;
use crate::message::{Body, Message};

/// Terms and indexes from here on are nobody's, so that adding to them cannot overflow.
const NUMBER_MAX: u64 = 1 << 60;

/// Why a message is not for this member, or cannot have been sent by one that keeps its promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// It is for an earlier life, or somebody else.
    #[error("it is for {to}, and this is {here}")]
    NotForUs {
        /// For whom.
        to: MemberId,
        /// Who this is.
        here: MemberId,
    },
    /// The sender was a member once and is none any more.
    #[error("{0} was removed from this group; it must join anew, under another id")]
    Gone(MemberId),
    /// Its sender is this member itself, or nobody.
    #[error("it is from {0}, which is not another member")]
    NotAPeer(MemberId),
    /// It answers as a member that this one does not know.
    #[error("{0} is not a member of this group")]
    Stranger(MemberId),
    /// A number in it is none that a group gets to.
    #[error("a term or index of it is zero or beyond all that a group can reach")]
    Number,
    /// Its entries have gaps, or terms that go back.
    #[error("its entries do not follow each other")]
    Entries,
    /// Two members lead in one term.
    #[error(
        "{second} claims to lead in term {term}, in which {first} leads: one of them has forgotten a vote"
    )]
    TwoLeaders {
        /// The term.
        term: u64,
        /// Who led first.
        first: MemberId,
        /// Who claims to.
        second: MemberId,
    },
    /// It takes back what was committed.
    #[error(
        "it has another entry at {index} than the one that was committed there: somebody has forgotten what it acknowledged"
    )]
    Committed {
        /// Where.
        index: u64,
    },
    /// It speaks of entries that this member does not have, though it must have acknowledged them.
    #[error("it goes up to {index}, and the log here ends at {last}")]
    BeyondTheEnd {
        /// How far it goes.
        index: u64,
        /// How far the log goes.
        last: u64,
    },
    /// It asks for something that has to wait until the disk is as far, or that nobody but the leader may ask for.
    #[error("this member cannot answer for that now")]
    NotNow,
}

/// Whether the library may see this message.
pub(crate) fn check(group: &Group, from: MemberId, message: &Message) -> Result<(), Unfit> {
    if message.to != group.id() {
        return Err(Unfit::NotForUs { to: message.to, here: group.id() });
    }
    if from.0 == 0 || from == group.id() {
        return Err(Unfit::NotAPeer(from));
    }
    // Its votes could only disturb; and nothing that it says can be needed, since its removal was committed without it.
    if group.membership().is_gone(from) {
        return Err(Unfit::Gone(from));
    }
    if group.is_full() {
        return Err(Unfit::NotNow);
    }
    // The library takes term 0 for a message of its own process.
    if message.term == 0 || message.term > NUMBER_MAX {
        return Err(Unfit::Number);
    }
    if matches!(message.body, Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot(_))
        && let Some((term, first)) = group.leader_seen()
        && term == message.term
        && first != from
    {
        return Err(Unfit::TwoLeaders { term, first, second: from });
    }
    let is_of_this_term_or_later = message.term >= group.raft().term;
    match &message.body {
        Body::Append { before, commit, entries } => {
            check_entries(*before, *commit, entries, message.term)?;
            if is_of_this_term_or_later { check_conflict(group, entries) } else { Ok(()) }
        }
        // A leader says this of what its receiver has acknowledged. The library stops at what is not there.
        Body::Heartbeat { commit, .. } if is_of_this_term_or_later => not_beyond(group, *commit),
        Body::Heartbeat { .. } => Ok(()),
        Body::Snapshot(snapshot) => check_position(snapshot.position, message.term),
        Body::Vote { last, committed, .. } => check_vote(*last, *committed),
        Body::VoteAnswer { committed, .. } => {
            known(group, from)?;
            check_vote(Position::default(), *committed)?;
            // Answers to a request that cannot have been sent yet. With them the library would lead on a vote of its own that is not
            // durable, or on entries that are not, at which it stops.
            let asks = matches!(group.raft().state, StateRole::Candidate | StateRole::PreCandidate);
            if asks && group.is_binding() { Err(Unfit::NotNow) } else { Ok(()) }
        }
        // The library would count this member as having what the leader itself does not have.
        Body::Appended { index, .. } => {
            known(group, from)?;
            if leads_in(group, message.term) { not_beyond(group, *index) } else { check_number(*index) }
        }
        Body::NotAppended { index, hint, .. } => {
            known(group, from)?;
            check_number(*index)?;
            if hint.index > *index || hint.term > NUMBER_MAX {
                return Err(Unfit::Number);
            }
            if leads_in(group, message.term) { not_beyond(group, *index) } else { Ok(()) }
        }
        Body::HeartbeatAnswer { .. } => known(group, from),
        Body::TakeOver => {
            // Anybody could have this member begin an election that passes all leases; and it must not while its log is not durable.
            let leader =
                group.leader_seen().filter(|(term, _)| *term == message.term).map(|(_, leader)| leader);
            if leader == Some(from) && !group.is_binding() { Ok(()) } else { Err(Unfit::NotNow) }
        }
    }
}

fn leads_in(group: &Group, term: u64) -> bool {
    group.raft().state == StateRole::Leader && group.raft().term == term
}

fn known(group: &Group, from: MemberId) -> Result<(), Unfit> {
    if group.membership().contains(from) { Ok(()) } else { Err(Unfit::Stranger(from)) }
}

fn check_number(number: u64) -> Result<(), Unfit> {
    if number > NUMBER_MAX { Err(Unfit::Number) } else { Ok(()) }
}

fn check_position(at: Position, term_max: u64) -> Result<(), Unfit> {
    let is_one = (1..=NUMBER_MAX).contains(&at.index) && (1..=term_max).contains(&at.term);
    if is_one { Ok(()) } else { Err(Unfit::Number) }
}

/// A candidate that knows of nothing has zeros here.
fn check_vote(last: Position, committed: Position) -> Result<(), Unfit> {
    [last.index, last.term, committed.index, committed.term].into_iter().try_for_each(check_number)
}

fn not_beyond(group: &Group, index: u64) -> Result<(), Unfit> {
    let last = group.raft().raft_log.last_index();
    if index > last { Err(Unfit::BeyondTheEnd { index, last }) } else { Ok(()) }
}

/// The library computes places from indexes, and takes an entry of term 0 beyond the end for one that it has.
fn check_entries(before: Position, commit: u64, entries: &[Entry], term: u64) -> Result<(), Unfit> {
    check_position(before, term)?;
    check_number(commit)?;
    let mut last = before;
    for entry in entries {
        let at = entry.position;
        if at.index != last.index + 1 || at.term < last.term || at.term > term || is_empty(entry) {
            return Err(Unfit::Entries);
        }
        last = at;
    }
    Ok(())
}

fn is_empty(entry: &Entry) -> bool {
    matches!(&entry.payload, crate::entry::Payload::Data(data) if data.is_empty())
}

/// The library stops at an entry that would replace a committed one.
fn check_conflict(group: &Group, entries: &[Entry]) -> Result<(), Unfit> {
    let log = &group.raft().raft_log;
    let committed = entries.iter().take_while(|entry| entry.position.index <= log.committed);
    let known = committed.filter(|entry| entry.position.index >= log.first_index());
    for Entry { position, .. } in known {
        if !log.match_term(position.index, position.term) {
            return Err(Unfit::Committed { index: position.index });
        }
    }
    Ok(())
}
