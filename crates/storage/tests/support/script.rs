//! A random run of the engine beside a model of it, so that at any crash it is known what may be found afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;
use env::{Rng, SimDisk};
use storage::{Db, KeyRange, Kind, Options};

use super::{TOMBSTONE, compact_any, get, open_with, scan_all, settle, sync};

pub(crate) type Contents = BTreeMap<Bytes, Bytes>;

/// Sizes at which a hundred puts switch segments, flush and compact.
pub(crate) fn options() -> Options {
    Options {
        log_segment_bytes: 16 << 10,
        table_bytes: 2 << 10,
        block_bytes: 300,
        level0_tables: 2,
        level_ratio: 2,
        ..Options { memory_bytes: 64 << 10, ..Options::tiny() }
    }
}

/// What the database must hold after each batch, and how far it is promised.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The contents after each batch; the first is what was there before.
    pub(crate) states: Vec<Contents>,
    /// How many batches were written without an error, and how many of them synced.
    pub(crate) written: usize,
    pub(crate) synced: usize,
}

impl Model {
    pub(crate) fn starting_with(contents: Contents) -> Model {
        Model { states: vec![contents], written: 0, synced: 0 }
    }

    /// Checks that the contents are those after some batch that is allowed, and says after which.
    pub(crate) fn check(&self, found: &Contents, at_least: usize) -> usize {
        let position = self.states.iter().rposition(|state| state == found);
        let batch = position.unwrap_or_else(|| {
            panic!(
                "no prefix of whole batches gives what was found\nfound {found:?}\nlast {:?}",
                self.states.last()
            )
        });
        assert!(
            batch >= at_least,
            "batch {at_least} was promised and only {batch} of {} found",
            self.states.len()
        );
        batch
    }
}

pub(crate) fn contents(db: &Db) -> Contents {
    scan_all(db, 3).unwrap().into_iter().collect()
}

/// Applies a put to a model.
pub(crate) fn apply(model: &mut Contents, key: &Bytes, kind: Kind, value: &Bytes) {
    let value = match (kind, model.get(key)) {
        (Kind::Delete, _) => Bytes::from_static(TOMBSTONE),
        (Kind::Merge, Some(older)) => Bytes::from([older.as_ref(), value.as_ref()].concat()),
        _ => value.clone(),
    };
    if value == TOMBSTONE {
        model.remove(key);
    } else {
        model.insert(key.clone(), value);
    }
}

/// Applies a drop to a model.
pub(crate) fn apply_drop(model: &mut Contents, range: &KeyRange) {
    model.retain(|key, _| !range.contains(key));
}

/// From one key to another, or to the end.
pub(crate) fn range_of(from: u64, to: u64) -> KeyRange {
    let key = |number: u64| Bytes::from(format!("key-{number:02}"));
    KeyRange { start: key(from), end: (to < 24).then(|| key(to)) }
}

/// A random put or delete. Operands go to keys that have no tombstones: a dropped one and a kept one merge differently.
/// A delete marker does not, dropped or kept.
fn random_put(rng: &mut Rng) -> (Bytes, Kind, Bytes) {
    let key = Bytes::from(format!("key-{:02}", rng.below(24)));
    let has_tombstones = key.last().is_some_and(|last| last % 2 == 0);
    let size = usize::try_from(rng.below(900)).unwrap();
    let value = Bytes::from(format!("<{}>", "abcdefgh".repeat(size / 8) + &rng.next_u64().to_string()));
    match (has_tombstones, rng.below(5)) {
        (_, 4) => (key, Kind::Delete, Bytes::new()),
        (true, 0) => (key, Kind::Full, Bytes::from_static(TOMBSTONE)),
        (false, 0 | 1) => (key, Kind::Merge, value.slice(..value.len().min(20))),
        _ => (key, Kind::Full, value),
    }
}

/// Puts a random batch and writes it. Stops at the first error, as the process would.
pub(crate) fn batch(db: &mut Db, model: &mut Model, rng: &mut Rng) -> Result<(), String> {
    let mut next = model.states.last().unwrap().clone();
    for _ in 0..=rng.below(4) {
        if rng.chance(1, 16) {
            let from = rng.below(24);
            let range = range_of(from, from + rng.below(12));
            match db.drop_range(&range) {
                Ok(_) => apply_drop(&mut next, &range),
                Err(storage::PutError::Stalled { .. } | storage::PutError::Full) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let (key, kind, value) = random_put(rng);
        match db.put(&key, value.clone(), kind) {
            Ok(_) => apply(&mut next, &key, kind, &value),
            Err(storage::PutError::Stalled { .. } | storage::PutError::Full) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    // From here on the batch may be found, whether or not the write reports success.
    model.states.push(next);
    db.write_log().map_err(|error| error.to_string())?;
    model.written = model.states.len() - 1;
    Ok(())
}

/// One random step: a batch, and now and then a sync, a freeze, background work, a compaction that nothing asks for.
pub(crate) fn step(db: &mut Db, model: &mut Model, rng: &mut Rng) -> Result<(), String> {
    batch(db, model, rng)?;
    if rng.chance(1, 3) {
        sync(db)?;
        model.synced = model.written;
    }
    if rng.chance(1, 12) {
        db.freeze();
    }
    if rng.chance(1, 4) {
        settle(db)?;
    }
    if rng.chance(1, 8) {
        compact_any(db, usize::try_from(rng.below(64)).unwrap())?;
    }
    Ok(())
}

/// Compares a few point reads with the model.
pub(crate) fn check_reads(db: &mut Db, expected: &Contents) {
    for number in 0..26 {
        let key = format!("key-{number:02}");
        assert_eq!(get(db, key.as_bytes()).unwrap(), expected.get(key.as_bytes()).cloned(), "{key}");
    }
}

/// Opens what a crash left and checks it against the model: the contents found.
pub(crate) fn reopen_and_check(disk: &SimDisk, model: &Model, at_least: usize) -> (Db, Contents) {
    let (mut db, _) =
        open_with(disk, options()).unwrap_or_else(|error| panic!("opening was refused: {error}"));
    let found = contents(&db);
    model.check(&found, at_least);
    check_reads(&mut db, &found);
    (db, found)
}
