//! What waits is refused while there is time to say that it was not done (INVARIANTS J1).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Stamp};
use env::disk::CrashMode;
use replica::{Change, Make, MakeError, Refusals, ReplicaOptions};
use support::{LWW, Rig, Said, lww};
use types::{Instant, OperationId};
use wire::{ReplicaReply, WritePath};

/// A replica with so many keys on disk, and none in memory.
fn cold(keys: u64) -> Rig {
    let mut rig = Rig::new(ReplicaOptions::default());
    for number in 0..keys {
        let record = lww(1 + number, Stamp::new(1000, 0), &[b'f'; 700]);
        rig.write(1, LWW, &name(number), &record, WritePath::Merge);
        rig.settle();
    }
    rig.crash(CrashMode::KeepAll);
    rig
}

fn name(number: u64) -> Vec<u8> {
    format!("key-{number}").into_bytes()
}

fn write(rig: &mut Rig, operation: u64) -> Vec<Said> {
    let record = lww(operation, Stamp::new(2000, 0), &[b'n'; 700]);
    rig.write(operation, LWW, format!("new-{operation}").as_bytes(), &record, WritePath::Merge)
}

fn pass(rig: &mut Rig, time: Duration) {
    rig.now.mono = rig.now.mono + time;
}

fn within(rig: &mut Rig, time: Duration) {
    rig.until = rig.now.mono + time;
}

/// Though the disk has not answered, who waits for it is told, and before his time is over.
#[test]
fn what_waits_for_the_disk_is_refused_in_time() {
    let mut rig = cold(120);
    within(&mut rig, Duration::from_secs(5));
    let put = Make {
        keyspace: LWW,
        key: Bytes::from(name(3)),
        operation: OperationId(2),
        change: Change::Put {
            value: Bytes::from_static(b"new"),
            context: Context::Empty,
            expiry: ExpiryChange::Clear,
            priority: 0,
        },
        base: None,
        named: None,
        again: None,
        hide: false,
        in_place_of: None,
    };
    assert!(rig.make(2, put).is_empty() && rig.reads.len() == 1);
    let ends = rig.replica().next_timer().unwrap();
    assert!(ends < rig.until, "there is time left to answer in");
    pass(&mut rig, Duration::from_millis(4899));
    assert!(rig.end_turn().is_empty());
    pass(&mut rig, Duration::from_millis(1));
    let said = rig.end_turn();
    assert!(matches!(&said[..], [Said::Made(2, Err(MakeError::CannotSay(_)))]), "{said:?}");
    assert!(rig.run_read(0).is_empty(), "its turn, come late, finds nobody");
    assert_eq!(rig.replica().refusals(), Refusals { late: 1, ..Refusals::default() });
}

/// Who has less time than the disk has taken of late does not wait for it while others do; once nobody does, it is seen whether
/// it has become quicker.
#[test]
fn what_has_less_time_than_the_disk_takes_is_refused_at_once() {
    let mut rig = cold(120);
    for number in 0..20 {
        assert!(rig.read(10 + number, LWW, &name(number)).is_empty());
        pass(&mut rig, Duration::from_secs(1));
        assert_eq!(rig.run_read(0).len(), 1);
    }
    within(&mut rig, Duration::from_millis(100));
    assert!(rig.read(50, LWW, &name(50)).is_empty(), "nobody else waits");
    let said = rig.read(51, LWW, &name(51));
    assert!(
        matches!(&said[..], [Said::Reply(51, ReplicaReply::CannotSay { why })] if why.contains("ms")),
        "{said:?}"
    );
    rig.until = Instant(u64::MAX);
    assert!(rig.read(52, LWW, &name(52)).is_empty(), "who has time waits");
    assert_eq!(rig.replica().refusals(), Refusals { hopeless: 1, ..Refusals::default() });
}

/// Writes that storage has no room for are refused in time, and nothing of them is stored; those that would have to wait for
/// longer than they may are refused at once.
#[test]
fn what_waits_for_storage_is_refused_in_time() {
    let mut rig = Rig::new(ReplicaOptions::default());
    within(&mut rig, Duration::from_secs(5));
    for operation in 1..80 {
        assert!(write(&mut rig, operation).is_empty());
    }
    pass(&mut rig, Duration::from_secs(3));
    within(&mut rig, Duration::from_secs(1));
    let said = write(&mut rig, 80);
    assert!(
        matches!(&said[..], [Said::Reply(80, ReplicaReply::Failed { why })] if why.contains("3000 ms")),
        "{said:?}"
    );
    within(&mut rig, Duration::from_secs(10));
    assert!(write(&mut rig, 81).is_empty());
    pass(&mut rig, Duration::from_millis(1900));
    let refused: Vec<u64> = rig
        .end_turn()
        .into_iter()
        .map(|said| match said {
            Said::Reply(operation, ReplicaReply::Failed { .. }) => operation,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(!refused.is_empty() && refused == (refused[0]..80).collect::<Vec<u64>>(), "{refused:?}");
    let late = refused.len() as u64;
    assert_eq!(rig.replica().refusals(), Refusals { hopeless: 1, late, ..Refusals::default() });
    let done = rig.settle().len() as u64;
    assert_eq!(done, 79 - late + 1, "the others are done, and the one that had more time");
    rig.until = Instant(u64::MAX);
    for operation in refused {
        let key = format!("new-{operation}");
        rig.read(100, LWW, key.as_bytes());
        let said = rig.read(100, LWW, key.as_bytes());
        assert!(!matches!(&said[..], [Said::Reply(_, ReplicaReply::Found { .. })]), "{said:?}");
    }
}
