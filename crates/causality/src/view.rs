//! What a reader is shown of a record: a matter of policy and of the present time, and neither is known to merging.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use types::WallTime;

use crate::{Record, Version};

/// How a keyspace deals with concurrent writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Policy {
    /// All concurrent values are kept and shown.
    #[default]
    Siblings,
    /// The greatest by (stamp, actor, counter) is kept.
    Lww,
    /// All concurrent values are kept; the one of the most important writer is shown.
    Priority,
}

impl Policy {
    /// Every policy, in the order in which help names them.
    pub const ALL: [Policy; 3] = [Policy::Siblings, Policy::Lww, Policy::Priority];

    /// Whether records of this policy keep concurrent values.
    pub fn keeps_siblings(self) -> bool {
        self != Policy::Lww
    }

    /// Its name in configuration and commands.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Siblings => "siblings",
            Policy::Lww => "lww",
            Policy::Priority => "priority",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no policy.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0:?} is not a conflict policy: want siblings, lww or priority")]
pub struct ParsePolicyError(pub String);

impl FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Policy, ParsePolicyError> {
        let named = Policy::ALL.into_iter().find(|policy| policy.name() == text);
        named.ok_or_else(|| ParsePolicyError(text.chars().take(64).collect()))
    }
}

/// What a reader is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum View<'a> {
    /// No value: never written, deleted or expired.
    Absent,
    /// One value.
    One(&'a Version),
    /// At least two concurrent values, ascending by dot; the order means nothing.
    Conflict(Vec<&'a Version>),
}

impl<'a> View<'a> {
    /// What `policy` shows of `record` at `now`.
    pub fn of(record: &'a Record, policy: Policy, now: WallTime) -> View<'a> {
        match record {
            Record::Lww(lww) if lww.version().is_live(now) => View::One(lww.version()),
            Record::Lww(_) => View::Absent,
            Record::Siblings(siblings) => {
                let live = siblings.versions().iter().filter(|version| version.is_live(now));
                match policy {
                    Policy::Siblings => View::from_shown(without_twins(live)),
                    Policy::Priority => {
                        View::from_one(live.max_by_key(|one| (one.priority, one.stamp, one.dot)))
                    }
                    Policy::Lww => View::from_one(live.max_by_key(|one| (one.stamp, one.dot))),
                }
            }
        }
    }

    /// The values shown.
    pub fn versions(&self) -> &[&'a Version] {
        match self {
            View::Absent => &[],
            View::One(version) => std::slice::from_ref(version),
            View::Conflict(versions) => versions,
        }
    }

    fn from_one(version: Option<&'a Version>) -> View<'a> {
        version.map_or(View::Absent, View::One)
    }

    fn from_shown(shown: Vec<&'a Version>) -> View<'a> {
        match shown.as_slice() {
            [] => View::Absent,
            [one] => View::One(one),
            _ => View::Conflict(shown),
        }
    }
}

/// One operation that was made twice, under two dots, is shown once. Operation ids are unique only per node that mints
/// them, so the ids alone do not prove a twin; equal bytes do no harm whatever the truth is, since a writer that
/// passes the context back covers both.
fn without_twins<'a>(versions: impl Iterator<Item = &'a Version>) -> Vec<&'a Version> {
    let mut shown: Vec<&Version> = Vec::new();
    for version in versions {
        let twin =
            |other: &&Version| other.operation == version.operation && other.payload == version.payload;
        if !shown.iter().any(twin) {
            shown.push(version);
        }
    }
    shown
}
