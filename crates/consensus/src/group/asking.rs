//! What the caller asks of a member: to propose, to change who the members are, to read, to hand over, and to forget.

use bytes::Bytes;
use raft::StateRole;
use types::Instant;

use super::Group;
use crate::convert;
use crate::effect::{Effect, Proposed, ReadToken, Write};
use crate::entry::{Payload, Position, Snapshot};
use crate::held::Contents;
use crate::membership::{Change, MemberId, MembershipError};

/// This member does not lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this member does not lead its group; {}", match leader { Some(leader) => format!("{leader} does: ask that one"), None => "nobody does just now: ask again soon".to_owned() })]
pub struct NotLeader {
    /// Who does, as far as this one knows.
    pub leader: Option<MemberId>,
}

/// Why a member does not do as asked. It has changed nothing then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Ask the leader.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// It has just begun to lead, and does not know yet what was committed before.
    #[error("this member has just begun to lead; ask again soon")]
    NotEstablished,
    /// It is about to lead no more.
    #[error("this member hands over to {0} just now; ask again soon")]
    HandsOver(MemberId),
    /// Too much waits already.
    #[error("as much as may wait does so already; ask again later")]
    TooMuch,
    /// It has no bytes, or more than there may be.
    #[error("a proposal of {bytes} bytes; there may be 1 to {max}")]
    Size {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// Another change has not been applied yet.
    #[error("another change of the members is under way; ask again when it is applied")]
    ChangeUnderWay,
    /// It makes no sense with the members there are.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// There are as many voters as there may be.
    #[error("the group has {0} voters, which is the most; remove one first")]
    TooManyVoters(usize),
    /// The learner cannot stand in for anybody yet.
    #[error("{id} has the log up to {matched} of {commit}, which is too far behind to vote; ask again later")]
    Behind {
        /// Who.
        id: MemberId,
        /// How far it is.
        matched: u64,
        /// How far the group is.
        commit: u64,
    },
    /// No majority of the voters that there would be was heard of.
    #[error(
        "of the {voters} voters after that only {active} were heard of lately: nothing could be committed any more"
    )]
    NoMajority {
        /// How many there would be.
        voters: usize,
        /// How many of them were heard of.
        active: usize,
    },
    /// A leader does not remove itself.
    #[error("this member leads; hand over first, then have the next leader remove it")]
    Itself,
}

/// Why a snapshot is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompactError {
    /// It has more bytes than there may be.
    #[error("a snapshot of {bytes} bytes; there may be {max}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
}

impl Group {
    /// Puts something into the log. It is agreed on when an entry of the position that is returned is applied; an entry of another
    /// term at its index says that it never will be.
    ///
    /// # Errors
    /// As [`Refused`] says; nothing was proposed then.
    pub fn propose(&mut self, now: Instant, data: Bytes, out: &mut Vec<Effect>) -> Result<Proposed, Refused> {
        let max = self.options.entry_bytes_max;
        if data.is_empty() || data.len() > max {
            return Err(Refused::Size { bytes: data.len(), max });
        }
        self.must_lead()?;
        let proposed = self.append(&Payload::Data(data))?;
        self.settle(now, out);
        Ok(proposed)
    }

    /// Puts a change of the members into the log: one at a time, and only what leaves a group that can go on.
    ///
    /// # Errors
    /// As [`Refused`] says; nothing was proposed then.
    pub fn change(
        &mut self,
        now: Instant,
        change: Change,
        out: &mut Vec<Effect>,
    ) -> Result<Proposed, Refused> {
        self.must_be_established()?;
        if self.raft().has_pending_conf() {
            return Err(Refused::ChangeUnderWay);
        }
        if change == Change::Remove(self.id) {
            return Err(Refused::Itself);
        }
        let next = self.membership.with(change)?;
        if let Change::Promote(id) = change {
            self.must_be_promotable(id)?;
        }
        let voters = next.voters().len();
        let active = next.voters().iter().filter(|id| **id == self.id || self.is_active(now, **id)).count();
        if voters != self.membership.voters().len() && active <= voters / 2 {
            return Err(Refused::NoMajority { voters, active });
        }
        let proposed = self.append(&Payload::Change(change))?;
        // The library's own mark for a change that is not applied yet: until then it takes no other.
        self.raw.raft.pending_conf_index = proposed.index;
        self.settle(now, out);
        Ok(proposed)
    }

    /// Begins a read that sees all that was acknowledged before: [`Effect::Read`] follows once a majority has said that this
    /// member still leads, and the caller's state is as far; or [`Effect::ReadLost`].
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub fn read(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<ReadToken, Refused> {
        self.must_be_established()?;
        if self.asked.len() + self.confirmed.len() >= self.options.reads_max {
            return Err(Refused::TooMuch);
        }
        let token = ReadToken(self.next_token);
        self.next_token += 1;
        self.asked.insert(token);
        self.raw.read_index(token.0.to_le_bytes().to_vec());
        self.settle(now, out);
        Ok(token)
    }

    /// Has another voter lead. It may come to nothing; who leads says [`Effect::Leader`].
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub fn hand_over(&mut self, now: Instant, to: MemberId, out: &mut Vec<Effect>) -> Result<(), Refused> {
        self.must_lead()?;
        if !self.membership.voters().contains(&to) {
            return Err(MembershipError::NotMember(to).into());
        }
        self.raw.transfer_leader(to.0);
        self.settle(now, out);
        Ok(())
    }

    /// Whether the caller should make a snapshot: because there is much behind the last one, or because a member that was added
    /// since waits for one, and hears nothing before.
    pub fn wants_snapshot(&self) -> bool {
        let log = self.raw.store();
        if log.wants_snapshot() && self.held.listed().0.index > log.snapshot_position().index {
            return true;
        }
        let entries = self.held.listed().0.index.saturating_sub(log.snapshot_position().index);
        let is_much = log.entry_bytes() >= self.options.snapshot_after_bytes;
        entries >= self.options.snapshot_after_entries || (is_much && entries > self.options.entries_kept)
    }

    /// Takes the caller's state in the place of the entries that led to it. It is the state after all effects that were listed so
    /// far, each of which the caller has carried out.
    ///
    /// # Errors
    /// As [`CompactError`] says.
    pub fn compact(&mut self, now: Instant, data: Bytes, out: &mut Vec<Effect>) -> Result<(), CompactError> {
        let max = self.options.snapshot_bytes_max;
        if data.len() > max {
            return Err(CompactError::TooLarge { bytes: data.len(), max });
        }
        let (position, membership) = self.held.listed().clone();
        if position.index <= self.raw.store().snapshot_position().index {
            return Ok(());
        }
        let kept = self.options.entries_kept;
        self.raw.mut_store().compact(Snapshot { position, membership, data }, kept);
        // Entries of it may be on their way to the disk still; it has them again.
        let write = Write::Replace(Box::new(self.raw.store().to_stored(self.hard_state)));
        let contents = Contents { is_binding: false, has_vote: false };
        let number = self.held.begin(now, 0, contents);
        out.push(Effect::Persist { number, write });
        Ok(())
    }

    fn append(&mut self, payload: &Payload) -> Result<Proposed, Refused> {
        if let Some(to) = self.raft().lead_transferee {
            return Err(Refused::HandsOver(MemberId(to)));
        }
        if self.is_full() {
            return Err(Refused::TooMuch);
        }
        let raft = &mut self.raw.raft;
        if !raft.append_entry(&mut [convert::payload_to_raft(payload)]) {
            return Err(Refused::TooMuch);
        }
        raft.bcast_append();
        Ok(Position { term: raft.term, index: raft.raft_log.last_index() })
    }

    fn must_lead(&self) -> Result<(), NotLeader> {
        if self.raft().state == StateRole::Leader { Ok(()) } else { Err(NotLeader { leader: self.leader() }) }
    }

    fn must_be_established(&self) -> Result<(), Refused> {
        self.must_lead()?;
        if self.raft().commit_to_current_term() { Ok(()) } else { Err(Refused::NotEstablished) }
    }

    fn must_be_promotable(&self, id: MemberId) -> Result<(), Refused> {
        let most = self.options.voters_max;
        if self.membership.voters().len() >= most {
            return Err(Refused::TooManyVoters(most));
        }
        let matched = self.raft().prs().get(id.0).map_or(0, |progress| progress.matched);
        let commit = self.raft().raft_log.committed;
        if matched.saturating_add(self.options.promote_within_entries) < commit {
            return Err(Refused::Behind { id, matched, commit });
        }
        Ok(())
    }
}
