//! How many nodes must answer a read or a write, as people say it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many distinct owners must have answered. Written as a name or a number; `1` and `one` are the same demand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Level {
    /// One owner, wherever it is.
    One,
    /// Two owners.
    Two,
    /// Three owners.
    Three,
    /// A majority of all owners.
    #[default]
    Quorum,
    /// Every owner.
    All,
    /// This many owners; at least 1.
    Count(u8),
    /// One owner in the coordinator's data center.
    LocalOne,
    /// A majority of the owners in the coordinator's data center.
    LocalQuorum,
    /// A majority of the owners in each data center.
    EachQuorum,
}

/// The levels that have a name, in the order in which help lists them.
const NAMES: [(&str, Level); 8] = [
    ("one", Level::One),
    ("two", Level::Two),
    ("three", Level::Three),
    ("quorum", Level::Quorum),
    ("all", Level::All),
    ("local-one", Level::LocalOne),
    ("local-quorum", Level::LocalQuorum),
    ("each-quorum", Level::EachQuorum),
];

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Count(count) => write!(f, "{count}"),
            named => f.pad(NAMES.iter().find(|(_, level)| level == named).map_or("", |(name, _)| name)),
        }
    }
}

/// The text names no level.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "{0:?} is not a level: want a number from 1 to 255, or one of one, two, three, quorum, all, local-one, local-quorum, each-quorum"
)]
pub struct ParseLevelError(pub String);

impl FromStr for Level {
    type Err = ParseLevelError;

    /// Names in any case of letters, as Redis clients write words; numbers in plain decimal.
    fn from_str(text: &str) -> Result<Level, ParseLevelError> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, level)| level);
        let level = named.or_else(|| count(text).map(Level::Count));
        level.ok_or_else(|| ParseLevelError(text.chars().take(64).collect()))
    }
}

fn count(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&count| count > 0)
}

impl From<Level> for String {
    fn from(level: Level) -> String {
        level.to_string()
    }
}

impl TryFrom<String> for Level {
    type Error = ParseLevelError;

    fn try_from(text: String) -> Result<Level, ParseLevelError> {
        text.parse()
    }
}
