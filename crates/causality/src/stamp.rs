//! Hybrid logical stamps: close to wall time, and yet never going back.
//!
//! A [`Stamp`] orders the writes of an `lww` record. Its upper 48 bits are milliseconds since the Unix epoch (enough
//! until the year 10889), its lower 16 count within a millisecond; the sum is one `u64` that compares as it should.
//! A [`HybridClock`] mints them: each is above all that it minted or observed before, also when the wall clock jumps
//! back (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks", 2014, with l and c packed as there in
//! section 6). When the 16 bits run over they carry into the milliseconds, which only makes the clock run ahead by one.
//!
//! Stamps need not be unique: ties are broken by the dot.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use types::WallTime;

/// How many of the lower bits count within a millisecond.
const LOGICAL_BITS: u32 = 16;
const MILLIS_MAX: u64 = u64::MAX >> LOGICAL_BITS;

/// A point of hybrid time: 48 bits of milliseconds, 16 bits of count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp of `millis` since the Unix epoch and `logical` within it. Later than 48 bits can say is the end of time.
    pub fn new(millis: u64, logical: u16) -> Stamp {
        if millis > MILLIS_MAX {
            return Stamp(u64::MAX);
        }
        Stamp(millis << LOGICAL_BITS | u64::from(logical))
    }

    /// The first stamp of the wall clock's present millisecond.
    pub fn at(wall: WallTime) -> Stamp {
        Stamp::new(wall.0, 0)
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The count within the millisecond.
    #[allow(clippy::cast_possible_truncation)] // The lower 16 bits are what is meant.
    pub fn logical(self) -> u16 {
        self.0 as u16
    }

    /// The least stamp above this one. At the end of time there is none and the same is returned; a put then refuses
    /// it as not above what is held.
    pub fn next(self) -> Stamp {
        Stamp(self.0.saturating_add(1))
    }

    /// Refuses a stamp that is further ahead of `wall` than `max_drift_ms`.
    ///
    /// # Errors
    /// [`DriftError`], which says how far.
    pub fn check_drift(self, wall: WallTime, max_drift_ms: u64) -> Result<(), DriftError> {
        let ahead_ms = self.millis().saturating_sub(wall.0);
        if ahead_ms > max_drift_ms {
            return Err(DriftError { stamp: self, wall, ahead_ms, max_drift_ms });
        }
        Ok(())
    }
}

/// A stamp is too far in the future to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "stamp {stamp} is {ahead_ms} ms ahead of this node's clock ({} ms), more than the {max_drift_ms} ms that max_clock_drift allows: compare the clocks of the nodes",
    wall.0
)]
pub struct DriftError {
    /// What was offered.
    pub stamp: Stamp,
    /// This node's wall clock then.
    pub wall: WallTime,
    /// How far the stamp is ahead of it, in milliseconds.
    pub ahead_ms: u64,
    /// How far it might have been, in milliseconds.
    pub max_drift_ms: u64,
}

/// Written `milliseconds.count`, both decimal.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.logical())
    }
}

/// The text is not a stamp.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "{0:?} is not a stamp: want milliseconds since 1970, a point, and a count below 65536, as in 1767225600000.0"
)]
pub struct ParseStampError(pub String);

impl FromStr for Stamp {
    type Err = ParseStampError;

    fn from_str(text: &str) -> Result<Stamp, ParseStampError> {
        let malformed = || ParseStampError(text.chars().take(64).collect());
        let (millis, logical) = text.split_once('.').ok_or_else(malformed)?;
        let millis = digits(millis).filter(|&millis| millis <= MILLIS_MAX).ok_or_else(malformed)?;
        let logical = digits(logical).and_then(|count| u16::try_from(count).ok()).ok_or_else(malformed)?;
        Ok(Stamp::new(millis, logical))
    }
}

/// Decimal digits and nothing else; the standard parser would let a sign through.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Mints stamps. One per node. Nothing of it need be kept over restarts: a stamp is minted above what is held of its key.
#[derive(Clone, Debug, Default)]
pub struct HybridClock {
    last: Stamp,
}

impl HybridClock {
    /// A clock that mints above `floor` only: a stamp at or above all that it may have minted in earlier lives.
    pub fn restore(floor: Stamp) -> HybridClock {
        HybridClock { last: floor }
    }

    /// The highest stamp minted or observed so far.
    pub fn last(&self) -> Stamp {
        self.last
    }

    /// A stamp above all minted and observed before, and not below `wall`.
    pub fn mint(&mut self, wall: WallTime) -> Stamp {
        self.last = self.last.next().max(Stamp::at(wall));
        self.last
    }

    /// Like [`mint`](Self::mint), but above `held` too, however far in the future that is: a key with a far stamp can
    /// still be written. The clock itself does not follow `held` there, or one such key would carry every other key's
    /// stamps away with it.
    pub fn mint_above(&mut self, wall: WallTime, held: Stamp) -> Stamp {
        self.mint(wall).max(held.next())
    }

    /// Takes note of another node's stamp, so that what is minted next is above it.
    ///
    /// # Errors
    /// [`DriftError`] if the stamp is further ahead of `wall` than `max_drift_ms`; the clock is then unchanged.
    pub fn observe(&mut self, stamp: Stamp, wall: WallTime, max_drift_ms: u64) -> Result<(), DriftError> {
        stamp.check_drift(wall, max_drift_ms)?;
        self.last = self.last.max(stamp);
        Ok(())
    }
}
