//! How much a keyspace takes in. Every limit exists so that no client can make a node hold more than it can.

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The longest key of any keyspace.
pub const KEY_BYTES_MAX: u64 = 64 * KIB;
/// The longest value of any keyspace.
pub const VALUE_BYTES_MAX: u64 = 64 * MIB;
/// The largest record of any keyspace: one value of full size with room for its clock and for smaller siblings. A record
/// crosses the wire whole, so this stays below what a frame between nodes may hold.
pub const RECORD_BYTES_MAX: u64 = 80 * MIB;
/// The most siblings of any keyspace: each read carries all of them.
pub const SIBLINGS_MAX: u32 = 10_000;
/// The most keys that one page of a scan may hold in any keyspace.
pub const SCAN_KEYS_MAX: u32 = 100_000;

/// The limits of one keyspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// The longest key, in bytes.
    pub key_bytes_max: u64,
    /// The longest value, in bytes.
    pub value_bytes_max: u64,
    /// The most siblings that a key may have.
    pub siblings_max: u32,
    /// The largest record, in bytes: all siblings of a key with their clocks.
    pub record_bytes_max: u64,
    /// The most keys in one page of a scan.
    pub scan_keys_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::for_values(MIB)
    }
}

impl Limits {
    /// The limits of a keyspace for values of up to `value_bytes_max`, where nothing else is said: eight siblings of
    /// full size and a clock of 64 KiB fit into a record, as far as a record may grow at all.
    pub fn for_values(value_bytes_max: u64) -> Limits {
        Limits {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max,
            siblings_max: 100,
            record_bytes_max: value_bytes_max
                .saturating_mul(8)
                .saturating_add(64 * KIB)
                .min(RECORD_BYTES_MAX),
            scan_keys_max: 10_000,
        }
    }

    /// Checks each limit against what any keyspace may have, and the record against the value.
    ///
    /// # Errors
    /// The first limit that is out of bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("key_bytes_max", self.key_bytes_max, 1, KEY_BYTES_MAX)?;
        within("value_bytes_max", self.value_bytes_max, 0, VALUE_BYTES_MAX)?;
        within("siblings_max", u64::from(self.siblings_max), 2, u64::from(SIBLINGS_MAX))?;
        within("scan_keys_max", u64::from(self.scan_keys_max), 1, u64::from(SCAN_KEYS_MAX))?;
        // Below this one value of full size would not fit with its own clock.
        within("record_bytes_max", self.record_bytes_max, self.value_bytes_max + 4 * KIB, RECORD_BYTES_MAX)
    }
}

fn within(key: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(key, value, format!("want {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_bounds_for_any_size_of_value() {
        for value_bytes_max in [0, 1, MIB, VALUE_BYTES_MAX] {
            assert_eq!(Limits::for_values(value_bytes_max).check(), Ok(()));
        }
        assert_eq!(Limits::default().value_bytes_max, 1_048_576);
    }

    #[test]
    fn a_record_must_hold_one_value_of_full_size() {
        let limits = Limits { record_bytes_max: MIB, ..Limits::default() };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "record_bytes_max = 1048576: want 1052672 to 83886080"
        );
    }

    #[test]
    fn values_beyond_64_mib_are_refused() {
        let limits = Limits::for_values(VALUE_BYTES_MAX + 1);
        assert_eq!(limits.check().unwrap_err().key, "value_bytes_max");
    }
}
