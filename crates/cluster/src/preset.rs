//! Presets: pairs of R and W by what they are good at.

use std::fmt;
use std::str::FromStr;

use quorum::Level;

/// A pair of R and W under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Preset {
    /// R = 1, W = N: reads ask one owner; a write needs every owner.
    FastRead,
    /// W = 1, R = N: a write needs one owner; reads ask every owner.
    FastWrite,
    /// Majorities of both: either goes on while a minority is away.
    #[default]
    Quorum,
}

impl Preset {
    /// Every preset, in the order in which help names them.
    pub const ALL: [Preset; 3] = [Preset::FastRead, Preset::FastWrite, Preset::Quorum];

    /// R and W.
    pub fn levels(self) -> (Level, Level) {
        match self {
            Preset::FastRead => (Level::One, Level::All),
            Preset::FastWrite => (Level::All, Level::One),
            Preset::Quorum => (Level::Quorum, Level::Quorum),
        }
    }

    /// Its name in configuration and commands.
    pub fn name(self) -> &'static str {
        match self {
            Preset::FastRead => "fast-read",
            Preset::FastWrite => "fast-write",
            Preset::Quorum => "quorum",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no preset.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("want fast-read, fast-write or quorum")]
pub struct ParsePresetError;

impl FromStr for Preset {
    type Err = ParsePresetError;

    fn from_str(text: &str) -> Result<Preset, ParsePresetError> {
        Preset::ALL.into_iter().find(|preset| preset.name() == text).ok_or(ParsePresetError)
    }
}
