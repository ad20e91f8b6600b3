//! What a cluster of 1,000 nodes and 16,384 partitions costs: `cargo run --release -p henge-sim --example thousand`. Prints the tables of
//! `docs/scale.md`. Nothing here runs on a network or a disk: the state is driven as the leader drives it, with everybody reporting, and
//! gossip by its own simulation. Numbers of nodes may be given as arguments.
#![allow(clippy::unwrap_used, reason = "small fixed inputs, and nobody depends on it")]

#[path = "../../gossip/tests/cluster/network.rs"]
mod network;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cluster::{
    Addresses, ClusterState, Command, FoundingPlan, MemberPlan, Progress, Report, Stage, Standing, Step,
};
use ring::Partitions;
use types::{Epoch, NodeId, OperationId, PartitionId};
use wire::{Body, Envelope, Govern, History, Leads};

const PARTITIONS: u64 = 16_384;
const RACKS: usize = 10;
/// Commands after which something is taken to go on for ever.
const COMMANDS_MAX: u64 = 1_000_000;

fn main() {
    let given: Vec<u16> = std::env::args().skip(1).map(|nodes| nodes.parse().unwrap()).collect();
    let sizes = if given.is_empty() { vec![10, 100, 1_000] } else { given };
    println!(
        "| nodes | founded in | state | a command applied in | a join, encoded | sent by the leader for a change | and each second |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for nodes in &sizes {
        state(usize::from(*nodes));
    }
    println!();
    println!(
        "| nodes | what | partitions to move | commits, all report at once | commits, one after the other | bytes of them | largest state |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for nodes in &sizes {
        changes(usize::from(*nodes));
    }
    println!();
    println!("| nodes | gossip sent per node and second |");
    println!("| ---: | ---: |");
    for nodes in &sizes {
        println!("| {nodes} | {} |", bytes(gossip(*nodes)));
    }
}

/// What a state of so many nodes takes.
fn state(nodes: usize) {
    let before = Instant::now();
    let founded = found(nodes);
    let took = before.elapsed();
    let weigh = Command::Weigh { name: name(1), weight: 1.5 };
    let before = Instant::now();
    let state = founded.apply(&weigh).unwrap();
    let applied = before.elapsed();
    let join = join(nodes + 1);
    let voters = (1..=5_u16.min(u16::try_from(nodes).unwrap())).map(NodeId).collect();
    let history = History::default();
    let have = Govern::Have {
        history,
        epoch: state.epoch(),
        fingerprint: state.fingerprint(),
        leads: Some(Leads { term: 7, voters }),
        only_life: None,
    };
    let news = Govern::Commands {
        after: founded.epoch(),
        commands: vec![Bytes::from(join.encode())],
        fingerprint: state.fingerprint(),
    };
    println!(
        "| {nodes} | {} | {} | {} | {} | {} | {} |",
        millis(took),
        bytes(founded.encode().len() as u64),
        millis(applied),
        bytes(join.encode().len() as u64),
        bytes(said(news) * (nodes as u64 - 1)),
        bytes(said(have) * (nodes as u64 - 1)),
    );
}

/// What changes to its members come to.
fn changes(nodes: usize) {
    // So that there are so many afterwards, which is as many as there may be.
    let joins = |count: usize| (nodes - count + 1..=nodes).map(join).collect::<Vec<_>>();
    let few = (nodes / 10).clamp(1, 10);
    let drain = vec![Command::Drain { names: vec![name(1)], below_n: false }];
    let some = format!("{few} joins at once");
    for (what, commands, before) in
        [("a join", joins(1), nodes - 1), (some.as_str(), joins(few), nodes - few), ("a drain", drain, nodes)]
    {
        let founded = found(before);
        let at_once = drive(&founded, &commands, usize::MAX);
        let one_by_one = drive(&founded, &commands, 1);
        println!(
            "| {nodes} | {what} | {} | {} | {} | {} | {} |",
            at_once.moves,
            at_once.commits,
            one_by_one.commits,
            bytes(one_by_one.bytes),
            bytes(one_by_one.largest),
        );
    }
}

struct Driven {
    moves: usize,
    commits: u64,
    bytes: u64,
    largest: u64,
}

/// Applies these, and then what the leader proposes, until nothing is left to be done. Of the steps that wait for reports so many are
/// reported as done at a time, by everybody.
fn drive(founded: &ClusterState, commands: &[Command], at_a_time: usize) -> Driven {
    let mut state = founded.clone();
    let mut driven = Driven { moves: 0, commits: 0, bytes: 0, largest: 0 };
    let mut commit = |state: &mut ClusterState, command: &Command| {
        *state = state.apply(command).unwrap();
        driven.commits += 1;
        driven.bytes += command.encode().len() as u64;
        if driven.commits % 4 == 1 {
            driven.largest = driven.largest.max(state.encode().len() as u64);
        }
        assert!(driven.commits < COMMANDS_MAX, "it goes on for ever");
    };
    for command in commands {
        commit(&mut state, command);
    }
    let moves = state.waiting_to_move().count();
    while state.waiting_to_move().count() + state.movements().len() > 0 {
        let step = |(partition, movement): (&PartitionId, &cluster::Movement)| Step {
            partition: *partition,
            session: movement.session,
            stage: movement.stage,
        };
        let waits = |(_, movement): &(&PartitionId, &cluster::Movement)| movement.stage != Stage::Switched;
        let done: Vec<Step> = state.movements().iter().filter(waits).map(step).take(at_a_time).collect();
        let mut progress = Progress::default();
        let adopted = state.epoch();
        for member in state.members() {
            // Whose word is not needed is not asked for, so that a thousand nodes do not say the same thousand steps.
            let is_concerned = done.iter().any(|step| state.holds(member.id, step.partition));
            let done = if is_concerned { done.clone() } else { Vec::new() };
            progress.report(member.id, Report { adopted, done, shards: 1, ..Report::default() });
        }
        for command in progress.next(&state, |_| true, |_| false) {
            commit(&mut state, &command);
        }
    }
    let is_settled = state.members().iter().all(|member| member.standing == Standing::Settled);
    assert!(is_settled, "all who joined have arrived, and who leaves is gone");
    Driven { moves, ..driven }
}

/// Bytes of gossip that a node sends in a round, which is a second, in quiet times.
fn gossip(nodes: u16) -> u64 {
    const ROUNDS: u32 = 6;
    let mut cluster = network::Cluster::new(nodes, gossip::Options::default(), 42);
    cluster.run_until(100, network::Cluster::is_whole).unwrap();
    cluster.run(8);
    let sent = |cluster: &network::Cluster| cluster.nodes.values().map(|node| node.bytes_sent).sum::<u64>();
    let before = sent(&cluster);
    cluster.run(ROUNDS);
    (sent(&cluster) - before) / u64::from(ROUNDS) / u64::from(nodes)
}

fn found(nodes: usize) -> ClusterState {
    let members = (1..=nodes).map(member).collect();
    let partitions = Partitions::new(PARTITIONS).unwrap();
    ClusterState::found(FoundingPlan { name: "large".to_owned(), members, partitions, keyspaces: Vec::new() })
        .unwrap()
}

fn name(number: usize) -> String {
    format!("node-{number:04}")
}

fn member(number: usize) -> MemberPlan {
    let port = u16::try_from(number).unwrap();
    let address = |base: u16| Some(std::net::SocketAddr::from(([10, 0, 0, 1], base + port)));
    MemberPlan {
        name: name(number),
        data_center: "dc1".to_owned(),
        rack: format!("rack-{}", number % RACKS),
        weight: 1.0,
        addresses: Addresses {
            resp: address(10_000),
            cluster: address(20_000),
            http: address(30_000),
            peer: address(40_000),
        },
    }
}

fn join(number: usize) -> Command {
    Command::Join { plan: Box::new(member(number)), replaces: None }
}

/// How long a message between nodes is.
fn said(govern: Govern) -> u64 {
    let envelope = Envelope {
        operation: OperationId(0),
        round: 0,
        epoch: Epoch(0),
        partition: PartitionId(0),
        deadline_ms: 0,
        body: Body::Govern(Box::new(govern)),
    };
    let mut frame = BytesMut::new();
    wire::encode_frame(&envelope, &mut frame);
    frame.len() as u64
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        _ => format!("{} KiB", bytes >> 10),
    }
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
}
