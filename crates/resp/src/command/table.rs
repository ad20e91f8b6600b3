//! The command table: all rows, and finding one.
//!
//! The rows stand in the files of their families, each beside its function; [`FAMILIES`] lists them.
//!
//! A lookup happens for every command, so it allocates nothing: a name is packed into 16 bytes of lower case and found
//! among the packed names by binary search.

use std::sync::LazyLock;

use crate::command::row::Row;
use crate::command::{
    client, cluster, config, connection, describe, expiry, flush, info, keys, kv, kv_keyspace, kv_settings,
    refused, scan, strings, wait,
};

/// All rows, a family a line.
pub const FAMILIES: [&[Row]; 16] = [
    connection::ROWS,
    client::ROWS,
    strings::ROWS,
    keys::ROWS,
    expiry::ROWS,
    scan::ROWS,
    flush::ROWS,
    wait::ROWS,
    cluster::ROWS,
    describe::ROWS,
    info::ROWS,
    config::ROWS,
    kv::ROWS,
    kv_settings::ROWS,
    kv_keyspace::ROWS,
    refused::ROWS,
];

/// All commands, without their subcommands.
pub fn all() -> impl Iterator<Item = &'static Row> {
    BY_NAME.iter().map(|&(_, row)| row)
}

/// No command's name is longer than this many bytes.
const NAME_BYTES_MAX: usize = 16;

static BY_NAME: LazyLock<Vec<(u128, &'static Row)>> = LazyLock::new(|| {
    let rows = FAMILIES.into_iter().flatten();
    let mut rows: Vec<_> = rows.map(|row| (packed(row.name.as_bytes()).unwrap_or(u128::MAX), row)).collect();
    rows.sort_unstable_by_key(|&(name, _)| name);
    rows
});

/// The command called `name`, in any case of letters.
pub fn find(name: &[u8]) -> Option<&'static Row> {
    let packed = packed(name)?;
    let at = BY_NAME.binary_search_by_key(&packed, |&(name, _)| name).ok()?;
    // Packing fills up with zeros, and a name sent may end in some.
    Some(BY_NAME[at].1).filter(|row| row.name.len() == name.len())
}

/// The bytes of a name in lower case as one number, or nothing where it is too long to be a command's.
fn packed(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; NAME_BYTES_MAX];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    bytes.make_ascii_lowercase();
    Some(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::command::row::Flag;

    fn with_subcommands() -> impl Iterator<Item = &'static Row> {
        all().flat_map(|row| std::iter::once(row).chain(row.subcommands()))
    }

    #[test]
    fn every_row_is_complete() {
        for row in with_subcommands() {
            assert!(row.arity != 0, "{} has no arity", row.name);
            assert!(row.summary.len() > 10, "{} has no summary", row.name);
            assert!(!row.since.is_empty() && !row.complexity.is_empty(), "{} is not described", row.name);
            assert_eq!(row.name, row.name.to_ascii_lowercase());
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_only_whole() {
        for row in all() {
            assert!(row.name.len() <= NAME_BYTES_MAX, "{} is too long to be found", row.name);
            assert!(std::ptr::eq(find(row.name.as_bytes()).unwrap(), row));
            assert!(std::ptr::eq(find(row.name.to_ascii_uppercase().as_bytes()).unwrap(), row));
        }
        for name in [&b""[..], b"ge", b"gett", b"get\0", b"a-name-of-more-than-sixteen-bytes", b"\xff"] {
            assert!(find(name).is_none());
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = with_subcommands().map(|row| row.name).collect();
        assert_eq!(names.len(), with_subcommands().count());
    }

    /// What orders commands: every row that touches keys says which, and whether it writes.
    #[test]
    fn rows_with_keys_say_whether_they_write() {
        for row in with_subcommands().filter(|row| row.keys.first > 0) {
            assert!(row.flags.contains(&Flag::Write) != row.flags.contains(&Flag::ReadOnly), "{}", row.name);
            assert!(row.takes(row.arity.unsigned_abs() as usize));
        }
    }
}
