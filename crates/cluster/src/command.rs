//! Commands: all that can be done to a cluster state.
//!
//! What must hold: a command says everything that its outcome depends on besides the state it meets, so whoever applies the same
//! commands in the same order has the same states ([`ClusterState::apply`](crate::ClusterState::apply)). Whoever proposes one has
//! not looked at the state that it will meet: what must be true of that is checked when it is applied, and not before
//! (INVARIANTS E6, I1).

use api::Replaced;
use serde::{Deserialize, Serialize};
use types::{Epoch, KeyspaceId};

use crate::keyspace::Keyspace;
use crate::member::MemberPlan;
use crate::movement::Step;

/// A change to the cluster state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A new keyspace. Its id is given to it; its number too, if none is asked for.
    CreateKeyspace {
        /// Its settings. The id and number that they name do not count.
        keyspace: Box<Keyspace>,
        /// The number that it is to have for `SELECT`.
        number: Option<u32>,
    },
    /// Other settings for a keyspace, made from those that it had since this epoch: who was overtaken looks again.
    AlterKeyspace {
        /// All settings.
        keyspace: Box<Keyspace>,
        /// Since when it had those that these were made from.
        since: Epoch,
    },
    /// A keyspace and all its keys go, for ever.
    DropKeyspace {
        /// Which.
        keyspace: KeyspaceId,
        /// What it is called, so that nobody drops what he does not mean.
        name: String,
    },
    /// A new member; in the place of another, if it says so.
    Join {
        /// Who.
        plan: Box<MemberPlan>,
        /// The member whose claims it takes.
        replaces: Option<Replaced>,
    },
    /// Members hand over what they have, and leave.
    Drain {
        /// Their names.
        names: Vec<String>,
        /// Whether data centers may be left with fewer nodes than their N.
        below_n: bool,
    },
    /// A member is gone for good.
    Remove {
        /// Its name.
        name: String,
        /// Whether data centers may be left with fewer nodes than their N.
        below_n: bool,
        /// Whether partitions may be lost of which it has the last copy.
        lose_data: bool,
    },
    /// A member's capacity is another.
    Weigh {
        /// Its name.
        name: String,
        /// Its weight beside the others'.
        weight: f64,
    },
    /// A member that was joining leaves again, or one that was leaving stays.
    Cancel {
        /// Its name.
        name: String,
    },
    /// Movements begin, each toward the last layout.
    Begin {
        /// Of these partitions.
        partitions: Vec<types::PartitionId>,
    },
    /// Movements leave the stage that they are at for the next.
    Advance {
        /// Which, each with the stage that it leaves.
        steps: Vec<Step>,
        /// How many partitions there were when they were numbered so.
        of: u16,
    },
    /// Each partition becomes two.
    Halve {
        /// How many there were when it was asked for: who was overtaken looks again.
        partitions: u16,
    },
    /// A partition goes to a node of somebody's choice.
    MovePartition {
        /// Which.
        partition: types::PartitionId,
        /// How many there were when it was numbered so.
        of: u16,
        /// Who gives it up, by name; whoever gives way where nobody is said.
        from: Option<String>,
        /// Who gets it, by name.
        to: String,
    },
    /// Members that leave, and have nothing any more, are members no more.
    Dismiss {
        /// Their numbers.
        nodes: Vec<types::NodeId>,
    },
    /// Halves go to where they can be joined, two by two, and are joined when all are there.
    Merge {
        /// How many there were when it was asked for: who was overtaken looks again.
        partitions: u16,
    },
    /// Halves that are being merged stay halves.
    KeepHalves,
    /// Each two halves become one. The cluster does so by itself, once every pair has the same owners.
    JoinHalves {
        /// How many there were when it was proposed.
        partitions: u16,
    },
}

/// The most partitions that one command begins to move, or advances.
pub const STEPS_MAX: usize = 1024;

impl Command {
    /// As bytes, for the log.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("these types have no case that postcard cannot write")
    }

    /// The command that `bytes` are; nothing where they are none.
    pub fn decode(bytes: &[u8]) -> Option<Command> {
        postcard::from_bytes(bytes).ok()
    }

    /// Whether people ask for it; the others are what the cluster does by itself.
    pub fn is_peoples(&self) -> bool {
        !matches!(
            self,
            Command::Begin { .. }
                | Command::Advance { .. }
                | Command::JoinHalves { .. }
                | Command::Dismiss { .. }
        )
    }
}

/// Why a command changed nothing: what was asked, what is there, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be, as things are.
    #[error("{0}")]
    Because(String),
    /// There is no such thing.
    #[error("there is no {what} `{name}`{}", if known.is_empty() { String::new() } else { format!("; there are {known}") })]
    Unknown {
        /// A keyspace, a member.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is one already.
    #[error("there is a {what} `{name}` already: {wanted}")]
    Exists {
        /// A keyspace, a member.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What to do.
        wanted: &'static str,
    },
    /// It was made from what is not so any more.
    #[error("it was changed meanwhile, in epoch {since}: look again")]
    Overtaken {
        /// When.
        since: Epoch,
    },
    /// A setting cannot be served.
    #[error(transparent)]
    Setting(#[from] crate::error::ConfigError),
}

impl Refused {
    pub(crate) fn because(why: impl Into<String>) -> Refused {
        Refused::Because(why.into())
    }
}
