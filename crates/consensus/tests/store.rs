//! A crash at every change to the disk: what was acknowledged as durable is there, and nothing that was not written is.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use consensus::layout::Owner;
use consensus::{Entry, HardState, MemberId, Payload, Position, Snapshot, Store, StoreError, Stored, Write};
use env::disk::CrashMode;
use env::{Disk, Rng, SimDisk};

const OWNER: Owner = Owner { group: 1, member: MemberId(1) };
const NAME: &str = "agreed";

fn dir() -> &'static Path {
    Path::new("node")
}

/// The states that a member's file goes through, and the writes between them.
fn script(seed: u64) -> (Vec<Stored>, Vec<Write>) {
    let mut rng = Rng::from_seed(seed);
    let mut stored = Stored::founding([MemberId(1)], Bytes::from_static(b"begin")).unwrap();
    let (mut states, mut writes) = (vec![stored.clone()], Vec::new());
    for _ in 0..14 {
        let commit = stored.hard_state.commit;
        if rng.chance(1, 5) && commit > stored.snapshot.as_ref().unwrap().position.index {
            let keep = usize::try_from(commit - stored.before.index).unwrap();
            let position = stored.entries[keep - 1].position;
            let membership = stored.snapshot.as_ref().unwrap().membership.clone();
            let data = Bytes::from(vec![1; usize::try_from(rng.below(3000)).unwrap()]);
            stored.snapshot = Some(Snapshot { position, membership, data });
            stored.before = position;
            stored.entries.drain(..keep);
            writes.push(Write::Replace(Box::new(stored.clone())));
        } else {
            let first = commit + 1 + rng.below(stored.last_index() - commit + 1);
            let term = stored.hard_state.term + rng.below(2);
            let count = 1 + rng.below(3);
            let data = |rng: &mut Rng| Bytes::from(vec![9; 1 + usize::try_from(rng.below(1500)).unwrap()]);
            let entry =
                |index| Entry { position: Position { term, index }, payload: Payload::Data(data(&mut rng)) };
            let entries: Vec<Entry> = (first..first + count).map(entry).collect();
            let hard_state = HardState { term, vote: 0, commit: commit + rng.below(first + count - commit) };
            stored.append(hard_state, entries.clone()).unwrap();
            writes.push(Write::Append { hard_state, entries });
        }
        states.push(stored.clone());
    }
    (states, writes)
}

/// Runs the writes until the disk stops it; how many were acknowledged, the making of the file being the first.
fn run(disk: &SimDisk, states: &[Stored], writes: &[Write]) -> usize {
    let handle: Arc<dyn Disk> = Arc::new(disk.clone());
    if handle.create_dir_all(dir()).is_err() {
        return 0;
    }
    let Ok(mut store) = Store::create(handle, dir(), NAME, OWNER, &states[0]) else { return 0 };
    writes.iter().take_while(|write| store.write(write).is_ok()).count() + 1
}

fn open(disk: &SimDisk) -> Result<Option<(Store, Stored)>, StoreError> {
    Store::open(Arc::new(disk.clone()), dir(), NAME, OWNER)
}

/// G2, H1, H3.
#[test]
fn nothing_durable_is_lost_by_a_crash_at_any_change() {
    let mut crashes = 0;
    for seed in 0..6 {
        let (states, writes) = script(seed);
        let whole = SimDisk::new();
        assert_eq!(run(&whole, &states, &writes), states.len());
        for at in 0..whole.changes() {
            for mode in CrashMode::ALL {
                let disk = SimDisk::new();
                disk.fail_after(at);
                let acknowledged = run(&disk, &states, &writes);
                let mut rng = Rng::from_seed(seed ^ (at << 8));
                disk.crash(mode, &mut rng);
                crashes += 1;
                let opened =
                    open(&disk).unwrap_or_else(|error| panic!("seed {seed}, change {at}, {mode:?}: {error}"));
                let Some((mut store, found)) = opened else {
                    assert_eq!(acknowledged, 0, "seed {seed}, change {at}, {mode:?}: it is gone");
                    continue;
                };
                let at_state = states.iter().rposition(|state| *state == found);
                let at_state =
                    at_state.unwrap_or_else(|| panic!("seed {seed}, change {at}, {mode:?}: never was so"));
                let is_between = (acknowledged.max(1) - 1..=acknowledged).contains(&at_state);
                assert!(is_between, "seed {seed}, change {at}, {mode:?}: {at_state} of {acknowledged}");
                // It goes on from there, and a second crash takes nothing of that.
                for write in &writes[at_state..] {
                    store.write(write).unwrap();
                }
                drop(store);
                disk.crash(CrashMode::LoseUnsynced, &mut rng);
                let found = open(&disk).unwrap().unwrap().1;
                assert!(found == *states.last().unwrap(), "seed {seed}, change {at}, {mode:?}: lost later");
            }
        }
    }
    assert!(crashes > 500, "{crashes}");
}

/// A4: a file whose sync failed is not written again.
#[test]
fn a_failed_sync_is_final() {
    let (states, writes) = script(1);
    let disk = SimDisk::new();
    let handle: Arc<dyn Disk> = Arc::new(disk.clone());
    handle.create_dir_all(dir()).unwrap();
    let mut store = Store::create(handle, dir(), NAME, OWNER, &states[0]).unwrap();
    disk.fail_syncs(true);
    assert!(matches!(store.write(&writes[0]), Err(StoreError::Disk(_))));
    disk.fail_syncs(false);
    assert!(matches!(store.write(&writes[0]), Err(StoreError::Failed(_))));
}

/// G2, H3: a synced file of which any byte is spoilt is refused, and the words say what helps.
#[test]
fn a_damaged_file_is_refused_in_words() {
    let (states, writes) = script(2);
    let disk = SimDisk::new();
    run(&disk, &states, &writes);
    let path = dir().join(NAME);
    let length = disk.read_file(&path).unwrap().len() as u64;
    assert!(disk.flip_bit(&path, length - 9, 3));
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }));
    let words = error.to_string();
    assert!(words.contains("node/agreed") && words.contains("add it anew"), "{words}");
}
