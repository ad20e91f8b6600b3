//! Reads by measured latency: two data centers of three nodes each, and one node of the first becomes slow. What clients of its
//! neighbours notice, at the moment when it does and once that is known, and how much is asked of the other data center.
//!
//! `cargo run --profile sim -p henge-sim --example near_reads`; `docs/data-centers.md` has what it printed.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Command, Detail, ExpiryChange, KeyRequest, Operation, Request};
use bytes::Bytes;
use clap::Parser;
use env::Rng;
use quorum::Level;
use sim::scenario::REGISTERS;
use sim::trace::Trace;
use sim::world::{Answer, AskId, Happening, Kind};
use sim::{Scenario, World};
use types::Instant;

#[derive(Parser)]
#[command(about = "Slows one node down in the simulator and says how long reads take that it is an owner of")]
struct Arguments {
    /// Seeds all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a message takes from one data center to the other, in milliseconds.
    #[arg(long, default_value_t = 40)]
    apart_ms: u64,
    /// How many times as long all takes at the slow node.
    #[arg(long, default_value_t = 50)]
    slower: u32,
}

const CLIENTS: u64 = 8;
const KEYS: u64 = 200;

/// Places in the first data center: every other one is in it.
const NEIGHBOURS: [usize; 2] = [0, 2];
const SLOW: usize = 4;

struct Lab {
    world: World,
    rng: Rng,
    asked: BTreeMap<AskId, Instant>,
    took: Vec<Duration>,
    failed: u64,
}

impl Lab {
    fn key(number: u64) -> Bytes {
        Bytes::from(format!("key:{number:04}"))
    }

    /// A key is read at one of the neighbours of the slow node, by two of the three owners here.
    fn asks(&mut self) {
        let place = *self.rng.pick(&NEIGHBOURS).unwrap_or(&NEIGHBOURS[0]);
        let read = Some(Level::LocalQuorum);
        let operation = Operation::Get { read, context: None, detail: Detail::Values };
        let key = Lab::key(self.rng.below(KEYS));
        let command = Command::Key(KeyRequest { keyspace: REGISTERS, key, operation });
        let ask = self.world.ask(place, Request { command, timeout: None });
        self.asked.insert(ask, self.world.now());
    }

    fn think(&mut self, client: u64) {
        let after = Duration::from_micros(self.rng.below(8_000));
        self.world.set_alarm(after, client);
    }

    fn go_on(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while let Some(happening) = self.world.step(until) {
            match happening {
                Happening::Answered(ask, answer) => {
                    let Some(at) = self.asked.remove(&ask) else { continue };
                    self.took.push(self.world.now().since(at));
                    self.failed += u64::from(!matches!(answer, Answer::Outcome(Ok(_))));
                    self.think(ask.0 % CLIENTS);
                }
                Happening::Alarm(_) => self.asks(),
                Happening::Internal => {}
            }
        }
    }

    /// Lets clients read for this time, and says what they noticed; the 99th percentile, in milliseconds.
    fn phase(&mut self, name: &str, time: Duration) -> f64 {
        self.took.clear();
        let crossed = |world: &World| world.crossed().get(&Kind::Clients).map_or(0, |crossed| crossed.bytes);
        let before = crossed(&self.world);
        self.go_on(time);
        self.took.sort_unstable();
        let millis = |percent: usize| {
            let last = self.took.len().saturating_sub(1);
            self.took.get(last * percent / 100).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        let (half, most, all) = (millis(50), millis(99), millis(100));
        let (reads, failed) = (self.took.len(), self.failed);
        let bytes = crossed(&self.world) - before;
        println!("| {name} | {reads} | {failed} | {half:.1} | {most:.1} | {all:.1} | {bytes} |");
        most
    }
}

fn main() {
    let arguments = Arguments::parse();
    let scenario = Scenario {
        data_centers: 2,
        apart_micros: arguments.apart_ms * 1_000,
        storage: storage::Options::default(),
        network: sim::scenario::NetworkOptions { usual_micros: 200, unruly: false, lost_one_in: 0 },
        ..Scenario::calm(arguments.seed, 6)
    };
    let rng = Rng::from_seed(arguments.seed ^ 0x006e_6561_7200);
    let world = World::new(scenario, Trace::new(false));
    let mut lab = Lab { world, rng, asked: BTreeMap::new(), took: Vec::new(), failed: 0 };
    lab.go_on(Duration::from_secs(5));
    for number in 0..KEYS {
        let value = Bytes::from(vec![7; 1_000]);
        let write = Some(Level::All);
        let operation =
            Operation::Put { value, context: None, write, expiry: ExpiryChange::Clear, priority: 0 };
        let command = Command::Key(KeyRequest { keyspace: REGISTERS, key: Lab::key(number), operation });
        let answer = lab.world.ask_and_wait(0, Request { command, timeout: None });
        lab.failed += u64::from(!matches!(answer, Answer::Outcome(Ok(_))));
    }
    (0..CLIENTS).for_each(|client| lab.think(client));
    println!("| | reads | failed | p50 ms | p99 ms | longest ms | bytes to and from the other data center |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let whole = lab.phase("all are well", Duration::from_secs(10));
    lab.world.slow_node(SLOW, arguments.slower);
    let at_first = lab.phase("one is slow, in the first tenth of a second", Duration::from_millis(100));
    let known = lab.phase("and in the ten seconds after that", Duration::from_secs(10));
    lab.world.heal();
    let after = lab.phase("it is well again", Duration::from_secs(10));
    println!();
    println!(
        "p99 beside that of the well cluster: {:.2} times at first, {:.2} times once it is known, {:.2} times afterwards",
        at_first / whole,
        known / whole,
        after / whole
    );
}
