//! Who the members of a group are, and the one way in which that changes: a member at a time, learners first.
//!
//! What must hold: an id is given to one life of one member and never again (INVARIANTS G3), so each new one is greater than
//! all before; a voter was a learner first; somebody votes. These are checked where a change is proposed and again where it is
//! applied, so that what a membership comes to is the same function of the log everywhere.
//!
//! Why there are no changes of several members at once (joint consensus): what Henge changes is one node at a time, and two
//! memberships that follow each other by one member always have overlapping majorities, which needs no second kind of quorum.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One life of one member of one group. Fresh for each, greater than all before it, and never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u64);

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How many members a group may have, learners included.
pub const MEMBERS_MAX: usize = 4096;

/// A change of the membership, as it stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Somebody new, who is sent everything and counts for nothing yet.
    AddLearner(MemberId),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// A learner or voter goes, for good.
    Remove(MemberId),
}

/// Why a membership or a change of one is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MembershipError {
    /// The id was used before, or could have been.
    #[error("{asked} cannot be added: ids up to {highest} were given already; take a greater one")]
    NotFresh {
        /// Who was to be added.
        asked: MemberId,
        /// The greatest id so far.
        highest: MemberId,
    },
    /// Only a learner can be promoted.
    #[error("{0} is not a learner of this group")]
    NotLearner(MemberId),
    /// There is nobody of this id.
    #[error("{0} is not a member of this group")]
    NotMember(MemberId),
    /// Somebody must vote.
    #[error("{0} is the last voter: promote another one first")]
    LastVoter(MemberId),
    /// There are as many members as there may be.
    #[error("the group has {MEMBERS_MAX} members, which is the most; remove one first")]
    TooMany,
    /// Nobody votes, somebody is in it twice, or an id is zero or above the greatest.
    #[error("this is no membership: {0}")]
    Malformed(&'static str),
}

/// Who votes, who learns, and the greatest id that was ever given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Membership {
    voters: BTreeSet<MemberId>,
    learners: BTreeSet<MemberId>,
    highest: MemberId,
}

#[derive(Deserialize)]
struct Unchecked {
    voters: BTreeSet<MemberId>,
    learners: BTreeSet<MemberId>,
    highest: MemberId,
}

impl TryFrom<Unchecked> for Membership {
    type Error = MembershipError;

    fn try_from(found: Unchecked) -> Result<Membership, MembershipError> {
        Membership::checked(found.voters, found.learners, found.highest)
    }
}

impl Membership {
    /// The first membership of a group: all of them vote.
    ///
    /// # Errors
    /// [`MembershipError::Malformed`] where there is nobody, or an id is zero.
    pub fn founding(voters: impl IntoIterator<Item = MemberId>) -> Result<Membership, MembershipError> {
        let voters: BTreeSet<MemberId> = voters.into_iter().collect();
        let highest = voters.last().copied().unwrap_or(MemberId(0));
        Membership::checked(voters, BTreeSet::new(), highest)
    }

    /// What somebody knows of a group before he has heard of it.
    pub(crate) fn unknown() -> Membership {
        Membership { voters: BTreeSet::new(), learners: BTreeSet::new(), highest: MemberId(0) }
    }

    pub(crate) fn checked(
        voters: BTreeSet<MemberId>,
        learners: BTreeSet<MemberId>,
        highest: MemberId,
    ) -> Result<Membership, MembershipError> {
        let malformed = |why| Err(MembershipError::Malformed(why));
        if voters.is_empty() {
            return malformed("nobody votes");
        }
        if !voters.is_disjoint(&learners) {
            return malformed("somebody votes and learns");
        }
        if voters.len() + learners.len() > MEMBERS_MAX {
            return Err(MembershipError::TooMany);
        }
        if voters.iter().chain(&learners).any(|id| id.0 == 0 || *id > highest) {
            return malformed("an id is zero or above the greatest that was given");
        }
        Ok(Membership { voters, learners, highest })
    }

    /// Those who elect leaders and whose majority commits.
    pub fn voters(&self) -> &BTreeSet<MemberId> {
        &self.voters
    }

    /// Those who are sent everything and count for nothing.
    pub fn learners(&self) -> &BTreeSet<MemberId> {
        &self.learners
    }

    /// The greatest id that was ever given; the next must be greater.
    pub fn highest(&self) -> MemberId {
        self.highest
    }

    /// Whether this is a voter or a learner.
    pub fn contains(&self, id: MemberId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }

    /// Whether this was a member and is none any more.
    pub fn is_gone(&self, id: MemberId) -> bool {
        id <= self.highest && !self.contains(id)
    }

    /// What the membership is after a change.
    ///
    /// # Errors
    /// As [`MembershipError`] says; then it stays as it is.
    pub fn with(&self, change: Change) -> Result<Membership, MembershipError> {
        let mut next = self.clone();
        match change {
            Change::AddLearner(id) => {
                if id <= self.highest {
                    return Err(MembershipError::NotFresh { asked: id, highest: self.highest });
                }
                if self.voters.len() + self.learners.len() >= MEMBERS_MAX {
                    return Err(MembershipError::TooMany);
                }
                next.highest = id;
                next.learners.insert(id);
            }
            Change::Promote(id) => {
                if !next.learners.remove(&id) {
                    return Err(MembershipError::NotLearner(id));
                }
                next.voters.insert(id);
            }
            Change::Remove(id) => {
                if !self.contains(id) {
                    return Err(MembershipError::NotMember(id));
                }
                next.learners.remove(&id);
                next.voters.remove(&id);
                if next.voters.is_empty() {
                    return Err(MembershipError::LastVoter(id));
                }
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u64) -> Membership {
        Membership::founding((1..=count).map(MemberId)).unwrap()
    }

    /// G3: an id that was ever used is never added again, also after its removal.
    #[test]
    fn an_id_is_used_once() {
        let group = members(2).with(Change::AddLearner(MemberId(3))).unwrap();
        let group = group.with(Change::Remove(MemberId(3))).unwrap();
        let again = group.with(Change::AddLearner(MemberId(3)));
        assert_eq!(again, Err(MembershipError::NotFresh { asked: MemberId(3), highest: MemberId(3) }));
        assert!(group.is_gone(MemberId(3)) && !group.is_gone(MemberId(4)));
    }

    /// G3: whoever votes has learned before.
    #[test]
    fn learners_first() {
        let promoted = members(2).with(Change::Promote(MemberId(3)));
        assert_eq!(promoted, Err(MembershipError::NotLearner(MemberId(3))));
    }

    /// A group without voters could never decide anything again.
    #[test]
    fn the_last_voter_stays() {
        assert_eq!(
            members(1).with(Change::Remove(MemberId(1))),
            Err(MembershipError::LastVoter(MemberId(1)))
        );
    }

    /// Bytes of others make no membership that could not have come about.
    #[test]
    fn malformed_memberships_are_refused() {
        let none = Unchecked { voters: BTreeSet::new(), learners: BTreeSet::new(), highest: MemberId(1) };
        assert!(Membership::try_from(none).is_err());
        let both = BTreeSet::from([MemberId(1)]);
        let twice = Unchecked { voters: both.clone(), learners: both, highest: MemberId(1) };
        assert!(Membership::try_from(twice).is_err());
        let above = BTreeSet::from([MemberId(9)]);
        assert!(Membership::checked(above, BTreeSet::new(), MemberId(8)).is_err());
    }
}
