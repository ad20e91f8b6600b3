//! How much there is of a range is told well enough to plan by, from memory alone, wherever the entries are.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::SimDisk;
use proptest::prelude::*;
use storage::{Db, KeyRange, Kind, Options};
use support::script::options;
use support::{compact_any, flush, open_with};

const KEYS: u16 = 2000;

fn key(number: u16) -> Vec<u8> {
    let spread = number.wrapping_mul(40_503).to_be_bytes();
    [&spread[..], &[0; 10]].concat()
}

/// Each key once: some in level 1, some in level 0, some in memory.
fn filled() -> Db {
    let roomy =
        Options { memory_bytes: 4 << 20, log_segment_bytes: 1 << 20, table_bytes: 64 << 10, ..options() };
    let (mut db, _) = open_with(&SimDisk::new(), Options { level0_tables: 9, ..roomy }).unwrap();
    for number in 0..KEYS {
        db.put(&key(number), Bytes::from(vec![3; 88]), Kind::Full).unwrap();
        match number {
            800 => {
                flush(&mut db);
                assert!(compact_any(&mut db, 0).unwrap());
            }
            1400 => flush(&mut db),
            _ => {}
        }
    }
    db
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The estimate is within a tenth, and four blocks at the ends; what is dropped counts no more.
    #[test]
    fn a_range_is_estimated(from in any::<u16>(), to in any::<u16>(), dropped_from in any::<u16>(), dropped_to in any::<u16>()) {
        let range = |from: u16, to: u16| KeyRange::new(&from.to_be_bytes(), Some(&to.to_be_bytes()));
        let mut db = filled();
        for dropped in [None, Some(range(dropped_from, dropped_to))] {
            if let Some(dropped) = &dropped {
                db.drop_range(dropped).unwrap();
            }
            let asked = range(from, to);
            let is_there = |key: &[u8]| asked.contains(key) && dropped.as_ref().is_none_or(|one| !one.contains(key));
            let keys = (0..KEYS).filter(|number| is_there(&key(*number))).count() as u64;
            let found = db.bytes_of(&asked);
            let slack = keys / 10 + 20;
            prop_assert!(found.keys.abs_diff(keys) <= slack, "{} keys, {:?}", keys, found);
            prop_assert!(found.bytes.abs_diff(found.keys * 100) <= 200 + found.keys);
            prop_assert!(found.stored_bytes <= found.bytes + 4096);
        }
        prop_assert_eq!(db.stats().counters.gets, 0);
    }
}
