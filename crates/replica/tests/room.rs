//! A disk that is nearly full takes deletes and refuses values, and works on once there is room (INVARIANTS H4).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Lww, Payload, Record, Stamp, Version};
use env::disk::CrashMode;
use replica::{Change, Make, MakeError, ReplicaOptions};
use types::OperationId;
use wire::{ReplicaReply, WritePath};

use support::{LWW, Rig, SIBLINGS, Said, foreign_dot, lww};

const RESERVE_BYTES: u64 = 96 << 10;

/// A replica whose disk has the reserve left and a little less, and so many keys that are stored.
fn nearly_full(keys: u64) -> Rig {
    let mut rig = Rig::new(ReplicaOptions::default());
    for key in 0..keys {
        let record = lww(1 + key, Stamp::new(1000, 0), &[b'f'; 700]);
        rig.write(1 + key, LWW, name(key).as_bytes(), &record, WritePath::Merge);
        rig.settle();
    }
    rig.disk_reserve_bytes = RESERVE_BYTES;
    rig.disk.set_capacity(Some(rig.disk.used_bytes() + RESERVE_BYTES / 2));
    rig.crash(CrashMode::KeepAll);
    rig.settle();
    rig
}

fn name(key: u64) -> String {
    format!("key-{key}")
}

fn tombstone(counter: u64, stamp: Stamp) -> Record {
    Record::Lww(Lww::new(Version::new(foreign_dot(counter), stamp, Payload::Tombstone, OperationId(counter))))
}

fn ask(operation: u64, change: Change) -> Make {
    Make {
        keyspace: SIBLINGS,
        key: Bytes::from_static(b"cart"),
        operation: OperationId(operation),
        change,
        base: None,
        named: None,
        again: None,
        hide: false,
        in_place_of: None,
    }
}

fn is_refused(said: &[Said]) -> bool {
    matches!(said, [Said::Reply(_, ReplicaReply::Failed { why })] if why.contains("nearly full"))
}

#[test]
fn values_are_refused_with_the_figures_and_deletes_go_on() {
    let mut rig = nearly_full(60);
    let late = Stamp::new(2000, 0);
    let said = rig.write(900, LWW, b"another", &lww(900, late, b"v"), WritePath::Merge);
    assert!(is_refused(&said), "{said:?}");
    let said = rig.write(901, LWW, name(3).as_bytes(), &lww(901, late, &[b'g'; 700]), WritePath::Client);
    assert!(said.is_empty(), "it waits for what is held: {said:?}");
    let said = rig.settle();
    assert!(is_refused(&said), "an overwrite of the same size: {said:?}");
    for key in 0..60 {
        let said =
            rig.write(910 + key, LWW, name(key).as_bytes(), &tombstone(910 + key, late), WritePath::Client);
        assert!(said.is_empty(), "it waits for its sync: {said:?}");
        let said = rig.settle();
        assert!(matches!(&said[..], [Said::Reply(_, ReplicaReply::Stored)]), "{said:?}");
    }
}

#[test]
fn a_clients_change_is_refused_for_certain_or_made_if_it_deletes() {
    let mut rig = nearly_full(20);
    let put = Change::Put {
        value: Bytes::from_static(b"v"),
        context: Context::Empty,
        expiry: ExpiryChange::Clear,
        priority: 0,
    };
    let said = rig.make(901, ask(901, put));
    assert!(
        matches!(&said[..], [Said::Made(901, Err(MakeError::Overloaded(why)))] if why.contains("kept back for deletes")),
        "{said:?}"
    );
    let said = rig.make(902, ask(902, Change::Delete { context: Context::Empty }));
    assert!(matches!(&said[..], [Said::Made(902, Ok(_))]), "{said:?}");
}

#[test]
fn with_room_again_values_are_taken_in_without_a_restart() {
    let mut rig = nearly_full(20);
    let record = lww(900, Stamp::new(2000, 0), b"v");
    assert!(is_refused(&rig.write(900, LWW, b"another", &record, WritePath::Merge)));
    rig.disk.set_capacity(None);
    let looks_again = rig.replica().next_timer().expect("it looks again");
    assert!(looks_again <= rig.now.mono + Duration::from_secs(1));
    rig.now.mono = looks_again;
    rig.settle();
    assert!(rig.write(901, LWW, b"another", &record, WritePath::Merge).is_empty());
    assert!(matches!(&rig.settle()[..], [Said::Reply(901, ReplicaReply::Stored)]));
    assert_eq!(rig.replica().next_timer(), None, "nothing is looked after any more");
}
