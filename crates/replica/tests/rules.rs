//! The rules that a replica keeps, one by one.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Actor, Context, Dot, DottedVector, Payload, Record, Siblings, Stamp, Version};
use replica::{Change, Make, MakeError, ReplicaOptions};
use storage::BackgroundKind;
use support::{LWW, RELAXED, Rig, SIBLINGS, Said, foreign_dot, lww};
use types::{Instant, KeyspaceId, OperationId};
use wire::{ReplicaReply, WritePath};

fn rig() -> Rig {
    Rig::new(ReplicaOptions::default())
}

fn put(operation: u64, keyspace: KeyspaceId, key: &'static [u8], value: &[u8]) -> Make {
    Make {
        keyspace,
        key: Bytes::from_static(key),
        operation: OperationId(operation),
        change: Change::Put {
            value: Bytes::copy_from_slice(value),
            context: Context::Empty,
            expiry: ExpiryChange::Clear,
            priority: 0,
        },
        base: None,
        named: None,
        again: None,
        hide: false,
        in_place_of: None,
    }
}

fn replies(said: &[Said]) -> Vec<(u64, ReplicaReply)> {
    let reply = |one: &Said| match one {
        Said::Reply(operation, reply) => Some((*operation, reply.clone())),
        Said::Made(..) => None,
    };
    said.iter().filter_map(reply).collect()
}

fn stored(operation: u64) -> Vec<(u64, ReplicaReply)> {
    vec![(operation, ReplicaReply::Stored)]
}

/// A record whose value is read; nothing for none.
fn value_read(rig: &mut Rig, keyspace: KeyspaceId, key: &[u8]) -> Option<Bytes> {
    match &rig.read(999, keyspace, key)[..] {
        [Said::Reply(999, ReplicaReply::Found { record, .. })] => {
            let record = Record::decode(record.clone()).unwrap();
            record.versions()[0].payload.value().cloned()
        }
        [Said::Reply(999, ReplicaReply::Absent)] => None,
        other => panic!("{other:?}"),
    }
}

/// Turns until a read of this key has to go to disk: it is flushed, and others have taken its place in memory.
fn make_cold(rig: &mut Rig, key: &[u8], record: &Record) {
    rig.write(1, LWW, key, record, WritePath::Merge);
    for number in 0..120u64 {
        let other = format!("other-{number}");
        let filler = lww(1000 + number, Stamp::new(1_000_000, 0), &[b'f'; 700]);
        rig.write(2, LWW, other.as_bytes(), &filler, WritePath::Merge);
        rig.settle();
    }
    rig.crash(env::disk::CrashMode::KeepAll);
}

/// A4: *stored* is said when the sync that covers it is done, and not before.
#[test]
fn stored_is_said_after_the_sync() {
    let mut rig = rig();
    assert!(replies(&rig.write(1, LWW, b"k", &lww(1, Stamp(1), b"v"), WritePath::Client)).is_empty());
    assert!(replies(&rig.end_turn()).is_empty());
    // A second turn begins while the sync is under way: its writes are not in that sync.
    rig.write(2, LWW, b"l", &lww(2, Stamp(1), b"w"), WritePath::Client);
    assert!(replies(&rig.end_turn()).is_empty());
    assert_eq!(replies(&rig.run_sync()), stored(1));
    assert!(replies(&rig.end_turn()).is_empty());
    assert_eq!(replies(&rig.run_sync()), stored(2));
}

/// A copy of what is held is not stored again, and yet *stored* waits for the sync of what is held.
#[test]
fn a_copy_of_something_unsynced_is_not_acknowledged_before_its_sync() {
    let mut rig = rig();
    let record = lww(1, Stamp(1), b"v");
    rig.write(1, LWW, b"k", &record, WritePath::Client);
    assert!(replies(&rig.write(2, LWW, b"k", &record, WritePath::Merge)).is_empty());
    rig.end_turn();
    let said = replies(&rig.run_sync());
    assert_eq!(said, [stored(1), stored(2)].concat());
    assert_eq!(replies(&rig.write(3, LWW, b"k", &record, WritePath::Merge)), stored(3));
}

/// Where the keyspace asks for no more, *stored* is said when the log is with the operating system, and the sync follows.
#[test]
fn interval_durability_acknowledges_before_the_sync() {
    let mut rig = rig();
    rig.write(1, RELAXED, b"k", &lww(1, Stamp(1), b"v"), WritePath::Client);
    assert_eq!(replies(&rig.end_turn()), stored(1));
    assert!(rig.syncs.is_empty(), "nobody waits for a sync yet");
    let due = rig.replica().next_timer().unwrap();
    assert_eq!(due, rig.now.mono + Duration::from_secs(1));
    rig.now.mono = due;
    rig.end_turn();
    assert_eq!(rig.syncs.len(), 1);
}

/// A4: after a failed sync nothing is acknowledged any more, and the node is told to stop.
#[test]
fn a_failed_sync_stops_the_replica() {
    let mut rig = rig();
    rig.write(1, LWW, b"k", &lww(1, Stamp(1), b"v"), WritePath::Client);
    rig.end_turn();
    for path in rig.disk.paths() {
        rig.disk.fail_sync(&path, true);
    }
    let job = rig.syncs.pop_front().unwrap();
    let mut out = Vec::new();
    rig.replica().synced(job.run(), &mut out);
    assert!(matches!(&out[..], [replica::Effect::Stop(_)]), "{out:?}");
}

/// B6: refused is exactly what is not above what is held and is not itself what is held; and only on the client's path.
#[test]
fn a_client_s_write_is_refused_unless_it_is_above_what_is_held() {
    let held = lww(1, Stamp::new(1000, 5), b"held");
    let outcome = |counter, stamp, path| {
        let mut rig = rig();
        rig.write(1, LWW, b"k", &held, WritePath::Merge);
        rig.settle();
        let mut said = rig.write(2, LWW, b"k", &lww(counter, stamp, b"new"), path);
        said.extend(rig.settle());
        replies(&said)
    };
    let refused = vec![(2, ReplicaReply::Refused { held: Stamp::new(1000, 5) })];
    for path in [WritePath::Client, WritePath::ClientAboveHeld] {
        assert_eq!(outcome(2, Stamp::new(1000, 4), path), refused);
        assert_eq!(outcome(2, Stamp::new(1000, 5), path), refused);
        assert_eq!(outcome(2, Stamp::new(1000, 6), path), stored(2));
        assert_eq!(outcome(1, Stamp::new(1000, 5), path), stored(2), "a resend");
        assert_eq!(outcome(1, Stamp::new(1000, 9), path), stored(2), "stamped again");
    }
    assert_eq!(outcome(2, Stamp::new(1000, 4), WritePath::Merge), stored(2), "a repair");
}

/// A stamp further ahead than the limit on drift is refused loudly and moves no clock; one that had to be above what is
/// held is exempt, and moves no clock either.
#[test]
fn a_stamp_from_the_future_is_refused_unless_it_had_to_be_above_what_is_held() {
    let mut rig = rig();
    let far = Stamp::new(rig.now.wall.0 + 60_001, 0);
    let said = rig.write(1, LWW, b"k", &lww(1, far, b"v"), WritePath::Client);
    assert!(
        matches!(&replies(&said)[..], [(1, ReplicaReply::Failed { why })] if why.contains("max_clock_drift"))
    );
    let mut said = rig.write(2, LWW, b"k", &lww(1, far, b"v"), WritePath::ClientAboveHeld);
    said.extend(rig.settle());
    assert_eq!(replies(&said), stored(2));
    let said = rig.make(3, put(3, LWW, b"another", b"v"));
    let Some(Said::Made(3, Ok(made))) = said.first() else { panic!("{said:?}") };
    let record = Record::decode(made.record.clone()).unwrap();
    assert_eq!(record.versions()[0].stamp.millis(), rig.now.wall.0);
}

/// What an operation hides is not shown until it lets go; what arrives meanwhile is, whether above or below it.
#[test]
fn a_hidden_write_is_not_shown_and_hides_nothing_else() {
    let mut rig = rig();
    let now = rig.now.wall.0;
    rig.write(1, LWW, b"k", &lww(1, Stamp::new(now - 50, 0), b"old"), WritePath::Merge);
    let hidden = Make { hide: true, ..put(2, LWW, b"k", b"hidden") };
    rig.make(2, hidden.clone());
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("old")));
    rig.write(3, LWW, b"k", &lww(3, Stamp::new(now - 20, 0), b"repair"), WritePath::Merge);
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("repair")));
    let refused = rig.write(4, LWW, b"k", &lww(4, Stamp::new(now - 10, 0), b"late"), WritePath::Client);
    assert!(matches!(&replies(&refused)[..], [(4, ReplicaReply::Refused { .. })]));
    rig.replica().show(LWW, b"k", None, OperationId(2));
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("hidden")));
    rig.make(5, Make { operation: OperationId(5), ..hidden });
    rig.write(6, LWW, b"k", &lww(6, Stamp::new(now + 50, 0), b"above"), WritePath::Client);
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("above")));
}

/// A change of expiry goes to all owners at once. It must not take a hidden write along.
#[test]
fn a_change_of_expiry_does_not_carry_a_hidden_write_to_others() {
    let mut rig = rig();
    let old = lww(1, Stamp::new(rig.now.wall.0 - 50, 0), b"old");
    rig.write(1, LWW, b"k", &old, WritePath::Merge);
    rig.make(2, Make { hide: true, ..put(2, LWW, b"k", b"hidden") });
    let at = Some(rig.now.wall.plus_millis(5_000));
    let expire = Make {
        change: Change::Expire { context: old.context(), at },
        base: Some(Box::new(old.clone())),
        ..put(3, LWW, b"k", b"")
    };
    let said = rig.make(3, expire);
    let Some(Said::Made(3, Ok(made))) = said.first() else { panic!("{said:?}") };
    let record = Record::decode(made.record.clone()).unwrap();
    assert_eq!(record.versions()[0].dot, foreign_dot(1));
    assert_eq!(record.versions()[0].expiry.at, at);
    let Said::Reply(_, ReplicaReply::Found { record, .. }) = &rig.read(4, LWW, b"k")[0] else {
        panic!("found")
    };
    assert_eq!(Record::decode(record.clone()).unwrap().versions()[0].expiry.at, at);
    assert_eq!(replies(&rig.settle()), [stored(1), stored(2), stored(3)].concat());
}

/// Work whose time was over while it waited is not done: nobody is there to stamp it again, nor to let go of what it hid.
#[test]
fn what_waited_too_long_is_not_done() {
    let mut rig = rig();
    let held = lww(1, Stamp::new(1000, 0), b"held");
    make_cold(&mut rig, b"k", &held);
    rig.until = rig.now.mono + Duration::from_secs(5);
    rig.make(2, Make { hide: true, ..put(2, LWW, b"k", b"new") });
    rig.write(3, LWW, b"k", &lww(3, Stamp::new(2000, 0), b"other"), WritePath::Client);
    assert_eq!(rig.reads.len(), 1, "both wait for one read from disk");
    rig.now.mono = rig.until;
    rig.until = Instant(u64::MAX);
    let said = rig.run_read(0);
    assert!(
        matches!(
            &said[..],
            [Said::Made(2, Err(MakeError::CannotSay(_))), Said::Reply(3, ReplicaReply::Failed { .. })]
        ),
        "{said:?}"
    );
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("held")));
}

/// C3: what cannot be read is *cannot say*, never absent. Nothing is made on top of it, and nothing merged into it.
#[test]
fn damage_is_never_absence() {
    let held = lww(1, Stamp::new(1000, 0), b"a value that is held");
    let mut rig = rig();
    make_cold(&mut rig, b"k", &held);
    let place_of = |bytes: Vec<u8>| bytes.windows(8).position(|window| window == b"that is ");
    let (path, offset) = rig
        .tables()
        .into_iter()
        .find_map(|path| {
            let place = place_of(rig.disk.read_file(&path).unwrap())?;
            Some((path, place as u64))
        })
        .unwrap();
    for bit in 0..8 {
        assert!(rig.disk.flip_bit(&path, offset, bit));
        let mut said = rig.read(5, LWW, b"k");
        said.extend(rig.make(6, put(6, LWW, b"k", b"on top")));
        said.extend(rig.write(7, LWW, b"k", &held, WritePath::Merge));
        said.extend(rig.run_read(0));
        assert!(
            matches!(
                &said[..],
                [
                    Said::Reply(5, ReplicaReply::CannotSay { why }),
                    Said::Made(6, Err(MakeError::CannotSay(_))),
                    Said::Reply(7, ReplicaReply::Failed { .. })
                ] if why.contains(&*path.to_string_lossy())
            ),
            "{said:?}"
        );
        assert!(rig.disk.flip_bit(&path, offset, bit));
        rig.crash(env::disk::CrashMode::KeepAll);
    }
    rig.read(8, LWW, b"k");
    let said = rig.run_read(0);
    assert!(matches!(&said[..], [Said::Reply(8, ReplicaReply::Found { .. })]), "{said:?}");
}

fn dot_of(said: &[Said]) -> Dot {
    let Some(Said::Made(_, Ok(made))) = said.first() else { panic!("{said:?}") };
    made.dot.unwrap()
}

/// B2: a replica that is shown a write of its own that it does not hold has forgotten it. An entry (A, 2) from now on would
/// claim (A, 1) falsely, so it goes on under another stint.
#[test]
fn a_replica_that_has_forgotten_goes_on_under_a_fresh_stint() {
    let mut rig = rig();
    let mine = dot_of(&rig.make(1, put(1, SIBLINGS, b"k", b"kept")));
    let forgotten = Dot { actor: mine.actor, counter: mine.counter + 1 };
    let version = Version::new(forgotten, Stamp(1), Payload::Value(Bytes::from("forgotten")), OperationId(9));
    let shown = Record::Siblings(Siblings::new().put(&Context::Empty, version).unwrap());
    rig.write(2, SIBLINGS, b"k", &shown, WritePath::Merge);
    let next = dot_of(&rig.make(3, put(3, SIBLINGS, b"k", b"next")));
    assert_ne!(next.actor, mine.actor);
    assert_eq!(next.counter, 1);
}

/// The same, where the writer's context shows what was forgotten.
#[test]
fn a_context_that_shows_something_forgotten_begins_a_fresh_stint() {
    let mut rig = rig();
    let mine = dot_of(&rig.make(1, put(1, SIBLINGS, b"k", b"kept")));
    dot_of(&rig.make(2, put(2, SIBLINGS, b"k", b"kept too")));
    let second = Actor { ..mine.actor };
    // Another key of the same partition has never heard of these writes.
    let mut known = DottedVector::new();
    known.add(Dot { actor: second, counter: 1 });
    let mut ask = put(3, SIBLINGS, b"{k}other", b"v");
    if let Change::Put { context, .. } = &mut ask.change {
        *context = Context::from(known);
    }
    let next = dot_of(&rig.make(3, ask));
    assert_ne!(next.actor, mine.actor);
}

/// A context that names writes which this node never made is made up, and is refused in words.
#[test]
fn a_made_up_context_is_refused() {
    let mut rig = rig();
    let mine = dot_of(&rig.make(1, put(1, SIBLINGS, b"k", b"kept")));
    let mut known = DottedVector::new();
    known.add(Dot { actor: mine.actor, counter: 1000 });
    let mut ask = put(2, SIBLINGS, b"k", b"v");
    if let Change::Put { context, .. } = &mut ask.change {
        *context = Context::from(known);
    }
    let said = rig.make(2, ask);
    assert!(
        matches!(&said[..], [Said::Made(2, Err(MakeError::Context(why)))] if why.contains("has not been made")),
        "{said:?}"
    );
}

/// Writes that storage has no room for yet are kept, in order, whether they came straight or by way of a cold read; reads
/// go by them; and all are answered.
#[test]
fn stalled_writes_keep_their_order_and_are_all_answered() {
    let mut rig = rig();
    let held = lww(1, Stamp::new(1000, 0), b"held");
    make_cold(&mut rig, b"k", &held);
    let mut asked = Vec::new();
    rig.make(10, put(10, LWW, b"k", &[b'1'; 2000]));
    assert_eq!(rig.reads.len(), 1);
    // Nothing is flushed meanwhile: storage fills up, and the cold write finds no room when its read comes back.
    for operation in 100..180 {
        let record = lww(operation, Stamp::new(1_000_000, 0), &[b'f'; 700]);
        rig.write(operation, LWW, format!("fill-{operation}").as_bytes(), &record, WritePath::Merge);
        asked.push(operation);
    }
    rig.make(11, put(11, LWW, b"k", b"second"));
    let said = rig.run_read(0);
    assert!(said.is_empty(), "{said:?}");
    rig.make(12, put(12, LWW, b"k", b"third"));
    let said = rig.settle();
    let made: Vec<u64> = said
        .iter()
        .filter_map(|one| match one {
            Said::Made(operation, Ok(_)) => Some(*operation),
            _ => None,
        })
        .collect();
    assert_eq!(made, [10, 11, 12]);
    asked.extend([10, 11, 12]);
    let mut acknowledged: Vec<u64> = replies(&said)
        .into_iter()
        .filter(|(_, reply)| *reply == ReplicaReply::Stored)
        .map(|(operation, _)| operation)
        .collect();
    acknowledged.sort_unstable();
    asked.sort_unstable();
    assert_eq!(acknowledged, asked);
    assert_eq!(value_read(&mut rig, LWW, b"k"), Some(Bytes::from("third")));
}

/// J1: what waits is bounded by number and by bytes; beyond that a write is refused, and nothing of it is stored.
#[test]
fn what_waits_is_bounded() {
    let waiting_bytes_max = 10_000;
    for (options, fits) in [
        (ReplicaOptions { stalled_max: 5, ..ReplicaOptions::default() }, 5),
        (ReplicaOptions { waiting_bytes_max, ..ReplicaOptions::default() }, 13),
    ] {
        let mut rig = Rig::new(options);
        let mut refused = Vec::new();
        for operation in 1..80 {
            let record = lww(operation, Stamp::new(1000, 0), &[b'f'; 700]);
            let said =
                rig.write(operation, LWW, format!("fill-{operation}").as_bytes(), &record, WritePath::Merge);
            for (operation, reply) in replies(&said) {
                assert!(matches!(reply, ReplicaReply::Failed { .. }), "{reply:?}");
                refused.push(operation);
            }
        }
        let first = refused[0];
        assert_eq!(refused, (first..80).collect::<Vec<u64>>());
        let said = replies(&rig.settle());
        assert_eq!(said.len() as u64, first - 1, "{fits} of them had waited");
        let key = format!("fill-{first}");
        assert_eq!(value_read(&mut rig, LWW, key.as_bytes()), None);
    }
}

/// What keeps a compaction from its work.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    UnreadableTables,
    FullDisk,
}

impl Obstacle {
    fn set(self, rig: &Rig, stands: bool) {
        match self {
            Obstacle::UnreadableTables => {
                rig.tables().iter().for_each(|table| rig.disk.fail_reads(table, stands));
            }
            Obstacle::FullDisk => rig.disk.set_capacity(stands.then(|| rig.disk.used_bytes())),
        }
    }
}

/// Settles, with something in the way of compactions and of nothing else: what is said, and how many of them there were.
fn settle_against(rig: &mut Rig, obstacle: Obstacle) -> (Vec<Said>, usize) {
    let (mut said, mut compactions) = (rig.end_turn(), 0);
    while !(rig.reads.is_empty() && rig.syncs.is_empty() && rig.background.is_empty()) {
        let compacts = rig.background.front().is_some_and(|job| job.kind() == BackgroundKind::Compaction);
        compactions += usize::from(compacts);
        obstacle.set(rig, compacts);
        said.extend(rig.run_background());
        obstacle.set(rig, false);
        said.extend(rig.run_read(0));
        said.extend(rig.run_sync());
        said.extend(rig.end_turn());
    }
    (said, compactions)
}

/// A compaction that comes to nothing is left alone for a while, and it alone: flushes and segments of the log go on, which
/// writes wait for. Here no time passes, and each burst is beyond what memtables hold.
#[test]
fn a_compaction_that_comes_to_nothing_holds_up_no_write() {
    for obstacle in [Obstacle::UnreadableTables, Obstacle::FullDisk] {
        let mut rig = rig();
        // A start looks for hints; there are none.
        rig.settle();
        assert_eq!(rig.replica().next_timer(), None);
        for burst in 0..20 {
            let operations = burst * 40..(burst + 1) * 40;
            for operation in operations.clone() {
                let record = lww(1 + operation, Stamp::new(1000, 0), &[b'f'; 700]);
                let key = format!("key-{operation}");
                let said = rig.write(operation, LWW, key.as_bytes(), &record, WritePath::Merge);
                assert!(said.is_empty(), "{obstacle:?}: {said:?}");
            }
            let left_alone = rig.replica().next_timer().is_some();
            let (said, compactions) = settle_against(&mut rig, obstacle);
            assert!(!left_alone || compactions == 0, "{obstacle:?}");
            let mut answered = replies(&said);
            answered.sort_unstable_by_key(|(operation, _)| *operation);
            assert_eq!(answered, operations.flat_map(stored).collect::<Vec<_>>(), "{obstacle:?}");
        }
        let pause = Duration::from_secs(1);
        assert_eq!(rig.replica().next_timer(), Some(rig.now.mono + pause), "{obstacle:?}");
        rig.now.mono = rig.now.mono + pause;
        let compactions = rig.replica().db().stats().counters.compactions;
        rig.settle();
        assert_eq!(rig.replica().next_timer(), None, "{obstacle:?}: a pause that is over is gone");
        let stats = rig.replica().db().stats();
        assert!(stats.counters.compactions > compactions, "{obstacle:?}: it is tried again");
        assert_eq!(stats.damaged_tables, 0, "{obstacle:?}");
    }
}

/// A key of a partition or a keyspace that is not here is not answered for.
#[test]
fn what_is_not_here_is_not_answered_for() {
    let mut rig = rig();
    let unknown = KeyspaceId(77);
    let said = rig.read(1, unknown, b"k");
    assert!(matches!(&replies(&said)[..], [(1, ReplicaReply::CannotSay { .. })]));
    let said = rig.write(2, unknown, b"k", &lww(1, Stamp(1), b"v"), WritePath::Client);
    assert!(matches!(&replies(&said)[..], [(2, ReplicaReply::Failed { .. })]));
    let said = rig.make(3, put(3, unknown, b"k", b"v"));
    assert!(matches!(&said[..], [Said::Made(3, Err(MakeError::CannotSay(_)))]));
}

/// A peer's bytes that are no record are refused, and are not stored.
#[test]
fn bytes_that_are_no_record_are_refused() {
    let mut rig = rig();
    let (now, ticket, mut out) = (rig.now, rig.ticket(1, b"k"), Vec::new());
    let request = wire::ReplicaRequest::Write {
        keyspace: LWW,
        key: Bytes::from_static(b"k"),
        record: Bytes::from_static(b"no record at all"),
        path: WritePath::Merge,
        in_place_of: None,
    };
    rig.replica().serve(now, ticket, request, &mut out);
    assert!(matches!(&out[..], [replica::Effect::Reply(_, ReplicaReply::Failed { .. })]), "{out:?}");
    assert_eq!(value_read(&mut rig, LWW, b"k"), None);
}
