//! How a store is divided among shards on disk: whatever the number is changed to, and wherever that is cut short, every
//! record is there and in the store of its shard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cluster::{Addresses, ClusterState, FoundingPlan, Keyspace, MemberPlan};
use env::disk::CrashMode;
use env::{Disk, Rng, SimDisk};
use node::division::{Division, DivisionError, Known};
use node::{Shards, Wanted};
use replica::{RecordMerge, store_key};
use ring::Partitions;
use storage::{Db, KeyRange, Kind, Options, ScanLimit, ScanOutcome};
use types::{KeyspaceId, ShardId};

const DIR: &str = "/data";

fn state() -> ClusterState {
    let member = MemberPlan {
        name: "n1".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r1".to_owned(),
        weight: 1.0,
        addresses: Addresses::default(),
    };
    let plan = FoundingPlan {
        name: "test".to_owned(),
        members: vec![member],
        partitions: Partitions::new(16).expect("a power of two"),
        keyspaces: vec![Keyspace::new(0, "default")],
    };
    ClusterState::found(plan).expect("a cluster of one")
}

/// A fourth of this is still enough for a store.
fn options() -> Options {
    Options { memory_bytes: 4 * (64 << 10), ..Options::tiny() }
}

fn settle(disk: &SimDisk, known: Known, wanted: Wanted) -> Result<(Division, Shards), DivisionError> {
    settle_with(disk, known, wanted, &options())
}

fn settle_with(
    disk: &SimDisk,
    known: Known,
    wanted: Wanted,
    options: &Options,
) -> Result<(Division, Shards), DivisionError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    disk.create_dir_all(Path::new(DIR))?;
    Division::settle(&disk, Path::new(DIR), known, wanted, &state(), options)
}

fn store(disk: &SimDisk, division: Division, shard: ShardId) -> Db {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = options().divided(usize::from(division.shards()));
    let dir = division.store_dir(Path::new(DIR), shard);
    Db::open(disk, &dir, options, Arc::new(RecordMerge)).expect("a store that is whole").0
}

/// Puts records into the stores that they belong in.
fn fill(disk: &SimDisk, (division, shards): (Division, Shards), count: u32) -> BTreeMap<Bytes, Bytes> {
    let mut stores: Vec<Db> = shards.iter().map(|shard| store(disk, division, shard)).collect();
    let mut model = BTreeMap::new();
    for number in 0..count {
        let name = format!("key{number}");
        let (key, value) = (store_key::store_key(KeyspaceId(0), name.as_bytes()), Bytes::from(vec![7; 100]));
        let target = &mut stores[usize::from(shards.of_key(name.as_bytes()).0)];
        target.put(&key, value.clone(), Kind::Full).expect("room for it");
        target.write_log().expect("a disk that works");
        if let Some(job) = target.sync_job() {
            target.synced(job.run()).expect("a disk that works");
        }
        while let Some(job) = target.background_job() {
            target.install(job.run()).expect("a disk that works");
        }
        model.insert(key, value);
    }
    stores.into_iter().for_each(|store| store.close().expect("a disk that works"));
    model
}

/// All that there is, after a check that each store holds its shard's and nothing else.
fn contents(disk: &SimDisk, (division, shards): (Division, Shards)) -> BTreeMap<Bytes, Bytes> {
    let mut all = BTreeMap::new();
    for shard in shards.iter() {
        let limit = ScanLimit { entries: usize::MAX, bytes: usize::MAX };
        let store = store(disk, division, shard);
        let ScanOutcome::Page { entries, .. } = store.scan(KeyRange::new(b"", None), limit).run() else {
            panic!("{shard} cannot be read");
        };
        for (key, value) in entries {
            let place = store_key::parse(&key).expect("one of ours");
            assert_eq!(shards.of_key(&place.key), shard);
            all.insert(key, value);
        }
        store.close().expect("a disk that works");
    }
    all
}

#[test]
fn a_new_directory_is_divided_as_it_is_told_and_then_as_it_was() {
    let disk = SimDisk::new();
    assert_eq!(settle(&disk, Known::New, Wanted::AsFound { new: 4 }).expect("new").0.shards(), 4);
    assert_eq!(settle(&disk, Known::Named, Wanted::AsFound { new: 1 }).expect("kept").0.shards(), 4);
    let plain = SimDisk::new();
    assert_eq!(settle(&plain, Known::New, Wanted::AsFound { new: 1 }).expect("new").0.shards(), 1);
    assert_eq!(settle(&plain, Known::Named, Wanted::AsFound { new: 8 }).expect("kept").0.shards(), 1);
}

/// The identity of a directory may be lost, or taken away to found another cluster on the data; the data is not.
#[test]
fn what_is_stored_is_kept_though_nobody_knows_whose_it_is() {
    let disk = SimDisk::new();
    let model = fill(&disk, settle(&disk, Known::New, Wanted::Exactly(1)).expect("new"), 100);
    let settled = settle(&disk, Known::New, Wanted::AsFound { new: 4 }).expect("divided anew");
    assert_eq!(settled.0.shards(), 4);
    assert!(contents(&disk, settled) == model);
}

#[test]
fn records_follow_every_change_of_the_number_and_old_stores_are_gone() {
    let disk = SimDisk::new();
    let model = fill(&disk, settle(&disk, Known::New, Wanted::Exactly(1)).expect("new"), 600);
    for count in [4, 2, 1, 2, 4, 1] {
        let settled = settle(&disk, Known::Opened, Wanted::Exactly(count)).expect("divided anew");
        assert_eq!(settled.0.shards(), count);
        assert!(contents(&disk, settled) == model, "after a change to {count}");
        let dirs: std::collections::BTreeSet<_> =
            disk.paths().iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
        // The stores, and the directory that they are in.
        assert_eq!(dirs.len(), usize::from(count) + 1, "{dirs:?}");
    }
}

/// A change that is cut short anywhere, with any part of what was not synced lost, leaves the old division or the new one.
#[test]
fn a_change_that_is_cut_short_loses_nothing() {
    for (from, to, step) in [(1, 4, 7), (4, 2, 11)] {
        let mut cut = 0;
        loop {
            let disk = SimDisk::new();
            let model = fill(&disk, settle(&disk, Known::New, Wanted::Exactly(from)).expect("new"), 150);
            let mut rng = Rng::from_seed(cut);
            disk.fail_after(cut);
            let changed = settle(&disk, Known::Opened, Wanted::Exactly(to));
            let was_cut = disk.is_down();
            disk.crash(CrashMode::KeepSome, &mut rng);
            disk.fail_after(u64::MAX / 2);
            let settled =
                settle(&disk, Known::Opened, Wanted::AsFound { new: 8 }).expect("whole after a crash");
            assert!([from, to].contains(&settled.0.shards()));
            assert!(contents(&disk, settled) == model, "{from} to {to}, cut after {cut} changes");
            let again = settle(&disk, Known::Opened, Wanted::Exactly(to)).expect("divided anew");
            assert!(contents(&disk, again) == model, "{from} to {to}, cut after {cut} changes, done again");
            if !was_cut {
                assert!(changed.is_ok());
                break;
            }
            cut += step;
        }
        assert!(cut > 10 * step, "a change makes many changes to the disk");
    }
}

#[test]
fn a_damaged_division_file_is_refused_by_name() {
    let disk = SimDisk::new();
    settle(&disk, Known::New, Wanted::Exactly(2)).expect("new");
    let path = Path::new(DIR).join("division");
    assert!(disk.flip_bit(&path, 16, 1));
    let error = settle(&disk, Known::Opened, Wanted::AsFound { new: 1 }).expect_err("damaged").to_string();
    assert!(error.contains("/data/division is damaged"), "{error}");
}

/// Of a directory whose stores were opened, each that the file names is there. Where one is not, or the file is gone, or an old one
/// has come back, nothing is begun in its place, and what there is of another generation is not removed.
#[test]
fn a_store_that_is_gone_is_not_begun_anew() {
    let disk = SimDisk::new();
    fill(&disk, settle(&disk, Known::New, Wanted::Exactly(2)).expect("new"), 50);
    let file = Path::new(DIR).join("division");
    let first = disk.read_file(&file).expect("two shards are named");
    let (second, _) = settle(&disk, Known::Opened, Wanted::Exactly(4)).expect("divided anew");
    let refused = |what: &str| {
        let before: Vec<_> = disk.paths().into_iter().map(|path| (disk.read_file(&path), path)).collect();
        let error = settle(&disk, Known::Opened, Wanted::AsFound { new: 1 }).expect_err(what).to_string();
        assert!(error.contains("/data/store") && error.contains("/data/division"), "{what}: {error}");
        assert!(error.contains("restore") && error.contains("peers fill it"), "{what}: {error}");
        let after: Vec<_> = disk.paths().into_iter().map(|path| (disk.read_file(&path), path)).collect();
        assert!(before == after, "{what}: nothing is changed");
    };
    let current = disk.read_file(&file).expect("four shards are named");
    disk.write_file(&file, first);
    refused("the file is that of the division before");
    Disk::remove(&disk, &file).expect("a file");
    refused("the file is gone");
    disk.write_file(&file, current);
    assert_eq!(settle(&disk, Known::Opened, Wanted::AsFound { new: 1 }).expect("whole").0, second);
    disk.remove_dir_all(&second.store_dir(Path::new(DIR), ShardId(3))).expect("a store");
    refused("a store is gone");
}

/// Damage does not stand in the way of another number where others have the same: the new stores lack what was lost, and say so.
#[test]
fn what_is_damaged_is_missing_in_the_new_stores() {
    let disk = SimDisk::new();
    let model = fill(&disk, settle(&disk, Known::New, Wanted::Exactly(2)).expect("new"), 600);
    let is_table = |path: &PathBuf| path.to_string_lossy().contains("store-1-1/table-");
    let table = disk.paths().into_iter().find(is_table).expect("so much is in tables");
    assert!(disk.flip_bit(&table, 60, 1), "in its first block");
    let error = settle(&disk, Known::Opened, Wanted::Exactly(4)).expect_err("nobody else has it").to_string();
    assert!(error.contains("is damaged at byte 32") && error.contains("node.shards = 2"), "{error}");
    let replicated = Options { replicated: true, ..options() };
    let changed = settle_with(&disk, Known::Opened, Wanted::Exactly(4), &replicated).expect("others have it");
    assert_eq!(changed.0.shards(), 4);
    let (mut left, mut lost) = (0, 0);
    for shard in changed.1.iter() {
        let store = store(&disk, changed.0, shard);
        let limit = ScanLimit { entries: usize::MAX, bytes: usize::MAX };
        let ScanOutcome::Page { entries, .. } =
            store.scan_what_is_left(KeyRange::new(b"", None), limit).run()
        else {
            panic!("what is left can be read");
        };
        left += entries.len();
        let own = |key: &&Bytes| changed.1.of_key(&store_key::parse(key).expect("one of ours").key) == shard;
        lost += model.keys().filter(own).filter(|key| !entries.iter().any(|(held, _)| held == *key)).count();
        let is_told = |key: &Bytes| entries.iter().any(|(held, _)| held == key) || store.is_missing(key);
        assert!(model.keys().filter(own).all(is_told), "{shard}");
    }
    assert!(lost > 0 && left + lost == model.len(), "{left} are left, {lost} lost, of {}", model.len());
}
