//! What a keyspace's numbers promise, in one word and one plain sentence.
//!
//! Decided by what a client can be surprised by:
//!
//! - `strong`: every set of nodes that a read waits for overlaps every set that a write waits for (with plain counts:
//!   R + W > N), among the owners themselves (strict), and what was acknowledged is on disk. A read sees every write
//!   acknowledged before it began.
//! - `eventual`: reads may miss a recent write, but an acknowledged write survives the failure of any one node, so all
//!   will see it in the end.
//! - `weak`: reads may miss a recent write, and the failure of one node may take an acknowledged write back, since
//!   one copy is all that was waited for.
//!
//! A sloppy quorum is never strong: stand-ins take part, and need not overlap. Neither is relaxed durability: a
//! restarted owner may have forgotten the write by which the sets overlapped. `strong` speaks of healthy disks: with
//! W = 1 and R = N a read sees all, and a disk lost before its write was copied takes the write along.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::NodeId;

use crate::Level;
use crate::owners::{DataCenter, Owner, Requirement, required};

/// Who may answer for an owner that cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum QuorumMode {
    /// A stand-in, which keeps the record as a hint: always writable.
    #[default]
    Sloppy,
    /// Nobody: only owners count.
    Strict,
}

/// What an acknowledgement means for the node that gives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Durability {
    /// The write is synced to stable storage.
    #[default]
    Always,
    /// It will be, within the keyspace's interval; a power cut before that loses it on this node.
    Interval,
}

/// The text names none of the words that are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{found:?} is not a {what}: want {wanted}")]
pub struct ParseWordError {
    /// What was given.
    pub found: String,
    /// What it should have named.
    pub what: &'static str,
    /// The words that do.
    pub wanted: &'static str,
}

macro_rules! words {
    ($name:ident, $what:literal, $wanted:literal, $($word:literal => $variant:ident),+) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($name::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = ParseWordError;

            fn from_str(text: &str) -> Result<$name, ParseWordError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => {
                        let found = text.chars().take(64).collect();
                        Err(ParseWordError { found, what: $what, wanted: $wanted })
                    }
                }
            }
        }

        impl From<$name> for String {
            fn from(named: $name) -> String {
                named.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseWordError;

            fn try_from(text: String) -> Result<$name, ParseWordError> {
                text.parse()
            }
        }
    };
}

words!(QuorumMode, "quorum mode", "sloppy or strict", "sloppy" => Sloppy, "strict" => Strict);
words!(Durability, "durability", "always or interval", "always" => Always, "interval" => Interval);

/// What clients of a keyspace may rely on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Model {
    /// A read sees every write acknowledged before it.
    Strong,
    /// A read may miss a recent write; no single failure takes one back.
    Eventual,
    /// A read may miss a recent write, and a single failure may take one back.
    Weak,
}

impl Model {
    /// The model of a keyspace with these levels and, in each data center, this many copies.
    ///
    /// Local levels are judged for clients in different data centers too.
    pub fn of(
        read: Level,
        write: Level,
        copies: &[(DataCenter, u8)],
        mode: QuorumMode,
        durability: Durability,
    ) -> Model {
        let owners = representatives(copies);
        let homes: Vec<DataCenter> = copies.iter().map(|&(home, _)| home).collect();
        let requirements =
            |level| homes.iter().map(|&home| required(level, &owners, home)).collect::<Vec<_>>();
        let (reads, writes) = (requirements(read), requirements(write));
        let overlap = reads.iter().all(|read| writes.iter().all(|write| must_overlap(read, write, &owners)));
        let copies_waited_for = writes.iter().map(Requirement::total).min().unwrap_or(0);
        if overlap && mode == QuorumMode::Strict && durability == Durability::Always {
            Model::Strong
        } else if copies_waited_for >= 2 {
            Model::Eventual
        } else {
            Model::Weak
        }
    }

    /// The promise in one plain sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Model::Strong => "A read sees every write that was acknowledged before it began.",
            Model::Eventual => {
                "A read may miss a recent write, but the failure of one node never takes an acknowledged write back."
            }
            Model::Weak => {
                "A read may miss a recent write, and the failure of one node may take an acknowledged write back."
            }
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Model::Strong => "strong",
            Model::Eventual => "eventual",
            Model::Weak => "weak",
        })
    }
}

/// Owners as many as there are copies, to count with.
fn representatives(copies: &[(DataCenter, u8)]) -> Vec<Owner> {
    let homes = copies.iter().flat_map(|&(home, count)| std::iter::repeat_n(home, usize::from(count)));
    (0..).map(NodeId).zip(homes).collect()
}

/// Whether no set of owners that satisfies the one can be disjoint from every set that satisfies the other.
fn must_overlap(read: &Requirement, write: &Requirement, owners: &[Owner]) -> bool {
    match (read.per_data_center(), write.per_data_center()) {
        (Some(reads), Some(writes)) => reads.iter().any(|&(home, read)| {
            let owned = owners.iter().filter(|owner| owner.1 == home).count();
            writes.iter().any(|&(other, write)| other == home && read + write > owned)
        }),
        // One of the two may take its owners anywhere, so it takes those that the other left.
        (None, _) | (_, None) => read.total() + write.total() > owners.len(),
    }
}
