//! Between our messages and entries and the library's.
//!
//! What must hold: no bytes are parsed here. The library's structures are filled and read field by field; where it has room
//! for bytes of ours (an entry's data, a snapshot's data, a heartbeat's context), those were made in this process.

use bytes::Bytes;
use raft::eraftpb::{self, ConfChangeType, ConfChangeV2, ConfState, EntryType, MessageType};

use crate::entry::{Entry, HardState, Payload, Position, Snapshot};
use crate::membership::{Change, MemberId, Membership};
use crate::message::{Body, Message};

/// What the library marks an election with that a leader has ordered.
const TRANSFER: &[u8] = b"CampaignTransfer";

/// An entry as the library keeps it while it is not in our log yet. A change travels as nine bytes of ours.
pub(crate) fn entry_to_raft(entry: &Entry) -> eraftpb::Entry {
    let mut raw = payload_to_raft(&entry.payload);
    raw.term = entry.position.term;
    raw.index = entry.position.index;
    raw
}

pub(crate) fn payload_to_raft(payload: &Payload) -> eraftpb::Entry {
    let mut raw = eraftpb::Entry::default();
    match payload {
        Payload::Nothing => {}
        Payload::Data(data) => raw.data = data.clone(),
        Payload::Change(change) => {
            raw.set_entry_type(EntryType::EntryConfChangeV2);
            let (kind, id) = match change {
                Change::AddLearner(id) => (0, id),
                Change::Promote(id) => (1, id),
                Change::Remove(id) => (2, id),
            };
            raw.data = [&[kind][..], &id.0.to_le_bytes()].concat().into();
        }
    }
    raw
}

pub(crate) fn entry_from_raft(raw: &eraftpb::Entry) -> Entry {
    let payload = match raw.get_entry_type() {
        EntryType::EntryNormal if raw.data.is_empty() => Payload::Nothing,
        EntryType::EntryNormal => Payload::Data(raw.data.clone()),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => Payload::Change(change(&raw.data)),
    };
    Entry { position: Position { term: raw.term, index: raw.index }, payload }
}

fn change(data: &[u8]) -> Change {
    let made_here = "every change in the library's log was put there by `payload_to_raft`";
    let (kind, id) = data.split_first().expect(made_here);
    let id = MemberId(u64::from_le_bytes(id.try_into().expect(made_here)));
    match kind {
        0 => Change::AddLearner(id),
        1 => Change::Promote(id),
        _ => Change::Remove(id),
    }
}

/// The library's word for a change. It has one member at a time, which is what it calls simple.
pub(crate) fn change_to_raft(change: Change) -> ConfChangeV2 {
    let (id, kind) = match change {
        Change::AddLearner(id) => (id, ConfChangeType::AddLearnerNode),
        Change::Promote(id) => (id, ConfChangeType::AddNode),
        Change::Remove(id) => (id, ConfChangeType::RemoveNode),
    };
    let one = eraftpb::ConfChangeSingle { node_id: id.0, change_type: kind, ..Default::default() };
    let mut all = ConfChangeV2::default();
    all.mut_changes().push(one);
    all
}

pub(crate) fn membership_to_raft(membership: &Membership) -> ConfState {
    let mut raw = ConfState::default();
    raw.set_voters(membership.voters().iter().map(|id| id.0).collect());
    raw.set_learners(membership.learners().iter().map(|id| id.0).collect());
    raw
}

/// The greatest id has no place in the library's membership, so it goes before the data.
pub(crate) fn snapshot_to_raft(snapshot: &Snapshot) -> eraftpb::Snapshot {
    let mut raw = eraftpb::Snapshot::default();
    let meta = raw.mut_metadata();
    meta.set_conf_state(membership_to_raft(&snapshot.membership));
    meta.index = snapshot.position.index;
    meta.term = snapshot.position.term;
    raw.data = [&snapshot.membership.highest().0.to_le_bytes()[..], &snapshot.data].concat().into();
    raw
}

pub(crate) fn snapshot_from_raft(raw: &eraftpb::Snapshot) -> Snapshot {
    let made_here = "every snapshot that the library has was made by `snapshot_to_raft`";
    let meta = raw.get_metadata();
    let ids = |ids: &[u64]| ids.iter().copied().map(MemberId).collect();
    let (voters, learners) =
        (ids(meta.get_conf_state().get_voters()), ids(meta.get_conf_state().get_learners()));
    let (highest, _) = raw.data.split_first_chunk::<8>().expect(made_here);
    let highest = MemberId(u64::from_le_bytes(*highest));
    let membership = Membership::checked(voters, learners, highest).expect(made_here);
    let position = Position { term: meta.term, index: meta.index };
    Snapshot { position, membership, data: raw.data.slice(8..) }
}

pub(crate) fn hard_state_to_raft(state: HardState) -> eraftpb::HardState {
    let mut raw = eraftpb::HardState::default();
    (raw.term, raw.vote, raw.commit) = (state.term, state.vote, state.commit);
    raw
}

pub(crate) fn hard_state_from_raft(raw: &eraftpb::HardState) -> HardState {
    HardState { term: raw.term, vote: raw.vote, commit: raw.commit }
}

fn token_to_raft(token: Option<u64>) -> Bytes {
    token.map_or_else(Bytes::new, |token| Bytes::copy_from_slice(&token.to_le_bytes()))
}

/// The token that was put into a context; nothing where it is empty.
pub(crate) fn token_from_raft(context: &[u8]) -> Option<u64> {
    context.try_into().ok().map(u64::from_le_bytes)
}

/// What came from a member, for the library.
pub(crate) fn message_to_raft(from: MemberId, message: Message) -> eraftpb::Message {
    let mut raw = eraftpb::Message::default();
    (raw.from, raw.to, raw.term) = (from.0, message.to.0, message.term);
    match message.body {
        Body::Append { before, commit, entries } => {
            raw.set_msg_type(MessageType::MsgAppend);
            (raw.index, raw.log_term, raw.commit) = (before.index, before.term, commit);
            raw.set_entries(entries.iter().map(entry_to_raft).collect());
        }
        Body::Appended { index, commit } => {
            raw.set_msg_type(MessageType::MsgAppendResponse);
            (raw.index, raw.commit) = (index, commit);
        }
        Body::NotAppended { index, hint, commit } => {
            raw.set_msg_type(MessageType::MsgAppendResponse);
            (raw.index, raw.commit, raw.reject) = (index, commit, true);
            (raw.reject_hint, raw.log_term) = (hint.index, hint.term);
        }
        Body::Heartbeat { commit, token } => {
            raw.set_msg_type(MessageType::MsgHeartbeat);
            (raw.commit, raw.context) = (commit, token_to_raft(token));
        }
        Body::HeartbeatAnswer { commit, token } => {
            raw.set_msg_type(MessageType::MsgHeartbeatResponse);
            (raw.commit, raw.context) = (commit, token_to_raft(token));
        }
        Body::Vote { is_trial, is_transfer, last, committed } => {
            let kind = if is_trial { MessageType::MsgRequestPreVote } else { MessageType::MsgRequestVote };
            raw.set_msg_type(kind);
            (raw.index, raw.log_term) = (last.index, last.term);
            (raw.commit, raw.commit_term) = (committed.index, committed.term);
            if is_transfer {
                raw.context = Bytes::from_static(TRANSFER);
            }
        }
        Body::VoteAnswer { is_trial, refuses, committed } => {
            use MessageType::{MsgRequestPreVoteResponse, MsgRequestVoteResponse};
            raw.set_msg_type(if is_trial { MsgRequestPreVoteResponse } else { MsgRequestVoteResponse });
            (raw.reject, raw.commit, raw.commit_term) = (refuses, committed.index, committed.term);
        }
        Body::Snapshot(snapshot) => {
            raw.set_msg_type(MessageType::MsgSnapshot);
            raw.set_snapshot(snapshot_to_raft(&snapshot));
        }
        Body::TakeOver => raw.set_msg_type(MessageType::MsgTimeoutNow),
    }
    raw
}

/// What the library wants to send; nothing where it is of a kind that members of Henge do not send each other.
pub(crate) fn message_from_raft(raw: &eraftpb::Message) -> Option<(MemberId, Message)> {
    use MessageType as Type;
    let committed = Position { term: raw.commit_term, index: raw.commit };
    let body = match raw.get_msg_type() {
        Type::MsgAppend => Body::Append {
            before: Position { term: raw.log_term, index: raw.index },
            commit: raw.commit,
            entries: raw.get_entries().iter().map(entry_from_raft).collect(),
        },
        Type::MsgAppendResponse if raw.reject => Body::NotAppended {
            index: raw.index,
            hint: Position { term: raw.log_term, index: raw.reject_hint },
            commit: raw.commit,
        },
        Type::MsgAppendResponse => Body::Appended { index: raw.index, commit: raw.commit },
        Type::MsgHeartbeat => Body::Heartbeat { commit: raw.commit, token: token_from_raft(&raw.context) },
        Type::MsgHeartbeatResponse => {
            Body::HeartbeatAnswer { commit: raw.commit, token: token_from_raft(&raw.context) }
        }
        kind @ (Type::MsgRequestVote | Type::MsgRequestPreVote) => Body::Vote {
            is_trial: kind == Type::MsgRequestPreVote,
            is_transfer: raw.context == TRANSFER,
            last: Position { term: raw.log_term, index: raw.index },
            committed,
        },
        kind @ (Type::MsgRequestVoteResponse | Type::MsgRequestPreVoteResponse) => Body::VoteAnswer {
            is_trial: kind == Type::MsgRequestPreVoteResponse,
            refuses: raw.reject,
            committed,
        },
        Type::MsgSnapshot => Body::Snapshot(snapshot_from_raft(raw.get_snapshot())),
        Type::MsgTimeoutNow => Body::TakeOver,
        Type::MsgHup
        | Type::MsgBeat
        | Type::MsgPropose
        | Type::MsgUnreachable
        | Type::MsgSnapStatus
        | Type::MsgCheckQuorum
        | Type::MsgTransferLeader
        | Type::MsgReadIndex
        | Type::MsgReadIndexResp => return None,
    };
    Some((MemberId(raw.to), Message { to: MemberId(raw.to), term: raw.term, body }))
}
