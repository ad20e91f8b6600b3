//! What R and W mean: a read may miss a write only where R + W <= N.

use api::{Command, Detail, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use quorum::Level;
use sim::network::Place;
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

fn three_nodes(seed: u64) -> Scenario {
    Scenario::calm(seed, 3)
}

/// Two data centers of three nodes, each with one owner of a key: most nodes that are asked are none.
fn two_data_centers(seed: u64) -> Scenario {
    Scenario { data_centers: 2, replicas: 1, ..Scenario::calm(seed, 6) }
}

/// Writes at one node and reads at another at once afterwards, with these levels, in clusters of a few seeds: how many
/// reads missed the write that was acknowledged before they began.
fn stale_reads(
    cluster: fn(u64) -> Scenario,
    (writer, write): (Place, Level),
    (reader, read): (Place, Level),
) -> usize {
    let mut stale = 0;
    for seed in 0..8 {
        let mut world = World::new(cluster(seed), Trace::new(false));
        world.pass(std::time::Duration::from_secs(1));
        for round in 0..20 {
            let key = Bytes::from(format!("k{round}"));
            let written = world.ask_and_wait(writer, request(&key, put(write, "new")));
            assert!(matches!(written, Answer::Outcome(Ok(Reply::Written(_)))), "{written:?}");
            match world.ask_and_wait(reader, request(&key, get(read))) {
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
    assert!(stale_reads(three_nodes, (0, Level::One), (1, Level::One)) > 0);
}

/// R + W > N: whatever the levels, a read meets the write.
#[test]
fn reads_miss_nothing_where_levels_overlap() {
    for (write, read) in [(Level::Quorum, Level::Quorum), (Level::All, Level::One), (Level::One, Level::All)]
    {
        assert_eq!(stale_reads(three_nodes, (0, write), (1, read)), 0, "W = {write}, R = {read}");
    }
}

/// A local level means the data center of the node that was asked, also where that node is no owner and another makes the
/// write: whoever reads there meets it, and whoever reads elsewhere may not.
#[test]
fn local_levels_count_where_the_client_asks() {
    let stale = |writer, reader| {
        stale_reads(two_data_centers, (writer, Level::LocalQuorum), (reader, Level::LocalQuorum))
    };
    assert_eq!(stale(0, 2), 0, "within the first data center");
    assert_eq!(stale(1, 3), 0, "within the second");
    assert!(stale(0, 1) > 0 && stale(1, 0) > 0, "between them");
}
