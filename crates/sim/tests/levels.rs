//! What R and W mean: a read may miss a write only where R + W <= N.

use api::{Command, Detail, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use quorum::Level;
use sim::scenario::{EVENTUAL, Scenario};
use sim::trace::Trace;
use sim::{Answer, World};

fn request(key: &Bytes, operation: Operation) -> Request {
    Request::new(Command::Key(KeyRequest { keyspace: EVENTUAL, key: key.clone(), operation }))
}

fn put(level: Level, value: &str) -> Operation {
    match Operation::put(Bytes::copy_from_slice(value.as_bytes())) {
        Operation::Put { value, context, expiry, priority, .. } => {
            Operation::Put { value, context, write: Some(level), expiry, priority }
        }
        other => other,
    }
}

fn get(level: Level) -> Operation {
    Operation::Get { read: Some(level), context: None, detail: Detail::Values }
}

/// Writes at one node and reads at another at once afterwards, with these levels, in clusters of these seeds: how many
/// reads missed the write that was acknowledged before they began.
fn stale_reads(write: Level, read: Level) -> usize {
    let mut stale = 0;
    for seed in 0..8 {
        let mut world = World::new(Scenario::calm(seed, 3), Trace::new(false));
        world.pass(std::time::Duration::from_secs(1));
        for round in 0..20 {
            let key = Bytes::from(format!("k{round}"));
            let written = world.ask_and_wait(0, request(&key, put(write, "new")));
            assert!(matches!(written, Answer::Outcome(Ok(Reply::Written(_)))), "{written:?}");
            match world.ask_and_wait(1, request(&key, get(read))) {
                Answer::Outcome(Ok(Reply::Found(found))) => stale += usize::from(found.values.is_empty()),
                other => panic!("{other:?}"),
            }
        }
    }
    stale
}

/// R = W = 1 of N = 3 is eventual: the write is on its way when it is acknowledged.
#[test]
fn a_read_at_one_misses_some_writes_at_one() {
    assert!(stale_reads(Level::One, Level::One) > 0);
}

/// R + W > N: whatever the levels, a read meets the write.
#[test]
fn reads_miss_nothing_where_levels_overlap() {
    for (write, read) in [(Level::Quorum, Level::Quorum), (Level::All, Level::One), (Level::One, Level::All)]
    {
        assert_eq!(stale_reads(write, read), 0, "W = {write}, R = {read}");
    }
}
