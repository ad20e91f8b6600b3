//! After any crash the store equals a model holding all synced batches, plus possibly some later ones, each whole
//! (INVARIANTS H1): the machine is stopped at every single change that a run makes to the disk.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use env::disk::CrashMode;
use env::{Rng, SimDisk};
use support::script::{Contents, Model, options, reopen_and_check, step};
use support::{open_with, settle, sync};

const STEPS: usize = 110;

/// Runs the script of a seed until it ends or the disk stops it.
fn run(disk: &SimDisk, model: &mut Model, seed: u64) -> Result<storage::Stats, String> {
    let mut rng = Rng::from_seed(seed);
    let (mut db, _) = open_with(disk, options()).map_err(|error| error.to_string())?;
    for _ in 0..STEPS {
        step(&mut db, model, &mut rng)?;
    }
    let stats = db.stats();
    if rng.chance(1, 2) {
        db.close().map_err(|error| error.to_string())?;
    }
    Ok(stats)
}

/// What a crash of this kind may not take away.
fn promised(model: &Model, mode: CrashMode) -> usize {
    match mode {
        CrashMode::KeepAll => model.written,
        CrashMode::LoseUnsynced | CrashMode::KeepSome => model.synced,
    }
}

/// Stops the machine at change number `at`, opens what is left, goes on from there, and stops it once more.
fn crash_at(seed: u64, at: u64, mode: CrashMode) {
    let disk = SimDisk::new();
    let mut model = Model::starting_with(Contents::new());
    disk.fail_after(at);
    // How it ended is no matter: what was promised until then is in the model. (The removal of a file that nothing
    // names may be cut off without a word.)
    drop(run(&disk, &mut model, seed));
    disk.crash(mode, &mut Rng::from_seed(seed ^ at));
    let (mut db, found) = reopen_and_check(&disk, &model, promised(&model, mode));

    let mut model = Model::starting_with(found);
    let mut rng = Rng::from_seed(at);
    for _ in 0..4 {
        step(&mut db, &mut model, &mut rng).unwrap();
    }
    sync(&mut db).unwrap();
    model.synced = model.written;
    if rng.chance(1, 2) {
        db.freeze();
        settle(&mut db).unwrap();
    }
    drop(db);
    disk.crash(CrashMode::LoseUnsynced, &mut rng);
    reopen_and_check(&disk, &model, model.synced);
}

/// How many changes the script of a seed makes. It must reach every kind of work to mean anything.
fn changes_of(seed: u64) -> u64 {
    let disk = SimDisk::new();
    let stats = run(&disk, &mut Model::starting_with(Contents::new()), seed).unwrap();
    let counters = &stats.counters;
    assert!(counters.flushes > 3 && counters.compactions > 1, "{stats:?}");
    assert!(counters.deletes > 10 && counters.markers_dropped > 0, "{stats:?}");
    assert!(counters.drops > 3, "{stats:?}");
    assert!(
        stats.log_bytes_written > 3 * options().log_segment_bytes as u64,
        "segments are used again: {stats:?}"
    );
    disk.changes()
}

fn crash_everywhere(mode: CrashMode) {
    let seed = 11;
    let changes = changes_of(seed);
    assert!(changes > 200, "the script is long enough to mean something: {changes}");
    for at in 0..=changes {
        crash_at(seed, at, mode);
    }
}

#[test]
fn at_every_change_with_all_unsynced_lost() {
    crash_everywhere(CrashMode::LoseUnsynced);
}

#[test]
fn at_every_change_with_any_subset_of_unsynced_kept() {
    crash_everywhere(CrashMode::KeepSome);
}

#[test]
fn at_every_change_with_only_the_process_lost() {
    crash_everywhere(CrashMode::KeepAll);
}

/// Other scripts, each crashed at a few random places and torn in other ways.
#[test]
fn at_random_changes_of_random_runs() {
    let mut rng = Rng::from_seed(5);
    for seed in 100..140 {
        let changes = changes_of(seed);
        for _ in 0..6 {
            let mode = *rng.pick(&CrashMode::ALL).unwrap();
            crash_at(seed, rng.below(changes + 1), mode);
        }
    }
}

/// The machine stops again and again while it recovers: at every change of the recovery, in every way.
#[test]
fn during_recovery() {
    let prepare = |mode: CrashMode| {
        let disk = SimDisk::new();
        let mut model = Model::starting_with(Contents::new());
        disk.fail_after(changes_of(17) * 2 / 3);
        assert!(run(&disk, &mut model, 17).is_err());
        disk.crash(mode, &mut Rng::from_seed(9));
        (disk, model)
    };
    for mode in CrashMode::ALL {
        for at in 0.. {
            let (disk, model) = prepare(mode);
            disk.fail_after(at);
            let opened = open_with(&disk, options()).is_ok();
            disk.crash(mode, &mut Rng::from_seed(at));
            reopen_and_check(&disk, &model, promised(&model, mode));
            if opened {
                break;
            }
        }
    }
}
