use super::*;

fn disk_with_dir() -> (SimDisk, PathBuf) {
    let disk = SimDisk::new();
    let dir = PathBuf::from("data");
    disk.create_dir_all(&dir).unwrap();
    (disk, dir)
}

fn synced_file(disk: &SimDisk, dir: &Path, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.create(&dir.join(name)).unwrap();
    file.write_all_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(dir).unwrap();
    file
}

/// Bytes are durable only after a sync of their file.
#[test]
fn a_crash_loses_what_was_not_synced() {
    let (disk, dir) = disk_with_dir();
    let file = synced_file(&disk, &dir, "f", b"synced");
    file.write_all_at(0, b"SYNC").unwrap();
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"SYNCed");
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"synced");
}

/// A name is durable only after a sync of its directory, even if the file's bytes were synced.
#[test]
fn a_crash_loses_names_that_were_not_synced() {
    let (disk, dir) = disk_with_dir();
    synced_file(&disk, &dir, "old", b"1");
    let file = disk.create(&dir.join("new")).unwrap();
    file.write_all_at(0, b"2").unwrap();
    file.sync().unwrap();
    disk.rename(&dir.join("old"), &dir.join("renamed")).unwrap();
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_eq!(disk.list(&dir).unwrap(), ["old"]);
}

/// What the page cache holds outlives the process, as long as the machine runs.
#[test]
fn a_process_crash_keeps_everything() {
    let (disk, dir) = disk_with_dir();
    disk.create(&dir.join("f")).unwrap().write_all_at(0, b"unsynced").unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"unsynced");
}

/// A torn write survives in whole sectors, any of them; over some seeds each outcome is met.
#[test]
fn a_torn_write_keeps_any_subset_of_sectors() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (disk, dir) = disk_with_dir();
        let file = synced_file(&disk, &dir, "f", &[b'-'; 1024]);
        file.write_all_at(0, &[b'+'; 1024]).unwrap();
        disk.crash(CrashMode::KeepSome, &mut Rng::from_seed(seed));
        let left = disk.read_file(&dir.join("f")).unwrap();
        assert!(left[..512].iter().all(|b| *b == left[0]) && left[512..].iter().all(|b| *b == left[512]));
        outcomes.insert((left[0], left[512]));
    }
    assert_eq!(outcomes.len(), 4);
}

/// Of two writes to one sector the older never replaces the newer; the newer may be lost alone.
#[test]
fn a_sector_keeps_a_prefix_of_its_writes() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let (disk, dir) = disk_with_dir();
        let file = synced_file(&disk, &dir, "f", b"0");
        file.write_all_at(0, b"1").unwrap();
        file.write_all_at(0, b"2").unwrap();
        disk.crash(CrashMode::KeepSome, &mut Rng::from_seed(seed));
        outcomes.insert(disk.read_file(&dir.join("f")).unwrap());
    }
    assert_eq!(outcomes, BTreeSet::from([b"0".to_vec(), b"1".to_vec(), b"2".to_vec()]));
}

/// A dead process writes nothing.
#[test]
fn handles_and_locks_die_with_a_crash() {
    let (disk, dir) = disk_with_dir();
    let file = synced_file(&disk, &dir, "f", b"1");
    let lock = disk.lock_dir(&dir).unwrap();
    assert_eq!(disk.lock_dir(&dir).unwrap_err().kind, DiskErrorKind::Locked);
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    assert_eq!(file.write_all_at(0, b"2").unwrap_err().kind, DiskErrorKind::Io);
    let second = disk.lock_dir(&dir).unwrap();
    drop(lock);
    assert_eq!(
        disk.lock_dir(&dir).unwrap_err().kind,
        DiskErrorKind::Locked,
        "the dead one's guard frees nothing"
    );
    drop(second);
    assert!(disk.lock_dir(&dir).is_ok());
}

/// The interrupted call and every one after it fail, until the crash.
#[test]
fn fail_after_counts_changing_calls() {
    let (disk, dir) = disk_with_dir();
    let file = synced_file(&disk, &dir, "f", b"1");
    disk.fail_after(1);
    assert!(file.write_all_at(0, b"2").is_ok());
    assert!(file.sync().is_err());
    assert!(disk.is_down() && file.write_all_at(0, b"3").is_err() && file.len().is_err());
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"1");
}

/// After a failed sync a second one that "succeeds" proves nothing.
#[test]
fn a_failed_sync_drops_the_pages() {
    let (disk, dir) = disk_with_dir();
    let file = synced_file(&disk, &dir, "f", b"1");
    file.write_all_at(0, b"2").unwrap();
    disk.fail_sync(&dir.join("f"), true);
    assert!(file.sync().is_err());
    disk.fail_sync(&dir.join("f"), false);
    assert!(file.sync().is_ok());
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"1");
}

/// A full disk takes what fits, refuses the rest, and refuses nothing else.
#[test]
fn a_full_disk_refuses_growth() {
    let (disk, dir) = disk_with_dir();
    let file = synced_file(&disk, &dir, "f", b"1234");
    disk.set_capacity(Some(4));
    assert_eq!(file.write_all_at(4, b"5").unwrap_err().kind, DiskErrorKind::Full);
    assert!(file.write_all_at(0, b"4321").is_ok());
    file.set_len(2).unwrap();
    assert!(file.write_all_at(2, b"34").is_ok());
    file.set_len(2).unwrap();
    assert_eq!(file.write_all_at(2, b"345").unwrap_err().kind, DiskErrorKind::Full);
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), b"4334", "what fits is written");
}

#[test]
fn a_flipped_bit_is_on_the_medium_too() {
    let (disk, dir) = disk_with_dir();
    synced_file(&disk, &dir, "f", &[0, 0]);
    assert!(disk.flip_bit(&dir.join("f"), 1, 3) && !disk.flip_bit(&dir.join("f"), 2, 3));
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_eq!(disk.read_file(&dir.join("f")).unwrap(), [0, 8]);
}
