//! Two data centers of three nodes each, one of them cut off: what clients on both sides notice, how long it takes after the heal
//! until all owners hold the same, and how much crosses for it, beside what was written meanwhile.
//!
//! `cargo run --profile sim -p henge-sim --example data_centers`; `docs/data-centers.md` has what it printed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use api::{Command, Detail, ExpiryChange, KeyRequest, Operation, Request};
use bytes::Bytes;
use clap::Parser;
use env::Rng;
use sim::network::Place;
use sim::scenario::{LOCAL, NetworkOptions};
use sim::trace::Trace;
use sim::world::{Answer, AskId, Crossed, Happening, Kind};
use sim::{Scenario, World, agreement};
use types::Instant;

#[derive(Parser)]
#[command(about = "Cuts one of two data centers off in the simulator and says what that cost")]
struct Arguments {
    /// Seeds all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a message takes from one data center to the other, in milliseconds.
    #[arg(long, default_value_t = 40)]
    apart_ms: u64,
    /// For how long they are cut off from each other, in seconds.
    #[arg(long, default_value_t = 120)]
    cut_seconds: u64,
    /// Clients on each side.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// How long a client thinks between two requests, in milliseconds.
    #[arg(long, default_value_t = 40)]
    think_ms: u64,
    /// How many bytes a value has.
    #[arg(long, default_value_t = 1_000)]
    value_bytes: usize,
    /// How many keys each side writes to, again and again; a key of its own for each write, if zero.
    #[arg(long, default_value_t = 0)]
    keys: u64,
    /// Clients go on after the heal, until all is equal.
    #[arg(long)]
    load_goes_on: bool,
}

/// How long the cluster works whole before the cut.
const BEFORE: Duration = Duration::from_secs(20);

/// How long it is waited for all owners to hold the same.
const EQUAL_WITHIN: Duration = Duration::from_secs(600);

/// What clients of one side saw in one phase.
#[derive(Default)]
struct Seen {
    errors: u64,
    took: Vec<Duration>,
    /// What was written last under each key, while cut.
    written: BTreeMap<Bytes, usize>,
    stored: u64,
}

impl Seen {
    fn quantile(&mut self, percent: usize) -> f64 {
        self.took.sort_unstable();
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    }

    fn changed_bytes(&self) -> usize {
        self.written.iter().map(|(key, value)| key.len() + value).sum()
    }
}

struct Asked {
    client: usize,
    at: Instant,
    written: Option<Bytes>,
}

struct Lab {
    world: World,
    rng: Rng,
    arguments: Arguments,
    asked: BTreeMap<AskId, Asked>,
    /// Of each side.
    seen: [Seen; 2],
    writes: [u64; 2],
    works: bool,
}

impl Lab {
    fn new(arguments: Arguments) -> Lab {
        let scenario = Scenario {
            data_centers: 2,
            replicas: 3,
            partitions: 64,
            apart_micros: arguments.apart_ms * 1_000,
            exchange_cycle: replica::ExchangeOptions::default().cycle,
            timeout: Duration::from_secs(5),
            storage: storage::Options::default(),
            network: NetworkOptions { usual_micros: 200, unruly: false, lost_one_in: 0 },
            ..Scenario::calm(arguments.seed, 6)
        };
        let rng = Rng::from_seed(arguments.seed ^ 0x006c_6162);
        let world = World::new(scenario, Trace::new(false));
        let mut lab = Lab {
            world,
            rng,
            arguments,
            asked: BTreeMap::new(),
            seen: Default::default(),
            writes: [0; 2],
            works: true,
        };
        for client in 0..lab.arguments.clients * 2 {
            lab.think(client);
        }
        lab
    }

    /// The side that a client is on, and the data center there.
    fn side_of(client: usize) -> usize {
        client % 2
    }

    fn think(&mut self, client: usize) {
        let most = self.arguments.think_ms * 2_000;
        let after = Duration::from_micros(self.rng.below(most.max(1)));
        self.world.set_alarm(after, client as u64);
    }

    /// A client asks one of the nodes of its own data center: mostly to write, else for what was written there before.
    fn asks(&mut self, client: usize) {
        let side = Lab::side_of(client);
        let all = self.world.hosts().len();
        let homes: Vec<Place> =
            (0..all).filter(|place| self.world.scenario().data_center_of(*place) == side).collect();
        let place = homes[usize::try_from(self.rng.below(homes.len() as u64)).unwrap_or(0)];
        let is_write = self.writes[side] == 0 || self.rng.chance(1, 2);
        let number = if is_write { self.writes[side] + 1 } else { 1 + self.rng.below(self.writes[side]) };
        let number = if self.arguments.keys > 0 { number % self.arguments.keys } else { number };
        let key = Bytes::from(format!("dc{}:{number:08}", side + 1));
        let operation = if is_write {
            self.writes[side] += 1;
            let mut value = vec![0; self.arguments.value_bytes];
            value.iter_mut().for_each(|byte| *byte = u8::try_from(self.rng.below(256)).unwrap_or(0));
            let value = Bytes::from(value);
            Operation::Put { value, context: None, write: None, expiry: ExpiryChange::Clear, priority: 0 }
        } else {
            Operation::Get { read: None, context: None, detail: Detail::Values }
        };
        let command = Command::Key(KeyRequest { keyspace: LOCAL[0], key: key.clone(), operation });
        let ask = self.world.ask(place, Request { command, timeout: None });
        let written = is_write.then_some(key);
        self.asked.insert(ask, Asked { client, at: self.world.now(), written });
    }

    fn answered(&mut self, ask: AskId, answer: &Answer) {
        let Some(Asked { client, at, written }) = self.asked.remove(&ask) else { return };
        let seen = &mut self.seen[Lab::side_of(client)];
        seen.took.push(self.world.now().since(at));
        match (answer, written) {
            (Answer::Outcome(Ok(_)), Some(key)) => {
                seen.stored += 1;
                seen.written.insert(key, self.arguments.value_bytes);
            }
            (Answer::Outcome(Ok(_)), None) => {}
            _ => seen.errors += 1,
        }
        if self.works {
            self.think(client);
        }
    }

    fn go_on(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while let Some(happening) = self.world.step(until) {
            match happening {
                Happening::Answered(ask, answer) => self.answered(ask, &answer),
                Happening::Alarm(client) if self.works => {
                    self.asks(usize::try_from(client).unwrap_or(0));
                }
                Happening::Alarm(_) | Happening::Internal => {}
            }
        }
    }

    /// What was seen since the last time.
    fn take_seen(&mut self) -> [Seen; 2] {
        std::mem::take(&mut self.seen)
    }

    fn crossed(&self) -> BTreeMap<Kind, Crossed> {
        self.world.crossed().clone()
    }

    fn crossed_in_steps(&self) -> BTreeMap<&'static str, Crossed> {
        self.world.crossed_in_steps().clone()
    }

    fn cut(&mut self) {
        let all = 0..self.world.hosts().len();
        let (one, other): (Vec<Place>, Vec<Place>) =
            all.partition(|place| self.world.scenario().data_center_of(*place) == 0);
        self.world.cut(&one, &other);
        self.world.cut(&other, &one);
    }

    /// How many operations are under way on all nodes, and how many hints are kept.
    fn under_way(&self) -> (usize, usize) {
        let shards = self.world.hosts().iter().flat_map(|host| &host.shards);
        let operations = shards.map(|running| running.shard.operations_under_way()).sum();
        (operations, agreement::hints(&self.world))
    }
}

fn since<K: Ord + Copy>(before: &BTreeMap<K, Crossed>, after: &BTreeMap<K, Crossed>) -> BTreeMap<K, Crossed> {
    let less = |(kind, crossed): (&K, &Crossed)| {
        let before = before.get(kind).copied().unwrap_or_default();
        let messages = crossed.messages - before.messages;
        (*kind, Crossed { messages, bytes: crossed.bytes - before.bytes })
    };
    after.iter().map(less).collect()
}

fn print_seen(phase: &str, seen: &mut [Seen; 2]) {
    for (side, seen) in seen.iter_mut().enumerate() {
        let [half, most, all] = [50, 99, 100].map(|percent| seen.quantile(percent));
        let (side, requests, errors) = (side + 1, seen.took.len(), seen.errors);
        println!("| {phase} | dc{side} | {requests} | {errors} | {half:.1} | {most:.1} | {all:.1} |");
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn main() -> ExitCode {
    let mut lab = Lab::new(Arguments::parse());
    println!("| phase | clients in | requests | errors | p50 ms | p99 ms | longest ms |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    // Until they have found each other.
    lab.go_on(Duration::from_secs(5));
    lab.take_seen();
    let at_first = lab.crossed();
    lab.go_on(BEFORE);
    let while_whole = since(&at_first, &lab.crossed());
    let mut before = lab.take_seen();
    print_seen("whole", &mut before);
    let written: usize = before.iter().map(Seen::changed_bytes).sum();
    lab.cut();
    let mut most_under_way = 0;
    for _ in 0..lab.arguments.cut_seconds {
        lab.go_on(Duration::from_secs(1));
        most_under_way = most_under_way.max(lab.under_way().0);
    }
    let mut cut = lab.take_seen();
    print_seen("cut", &mut cut);
    let (operations, hints) = lab.under_way();
    let (crossed_before, healed) = (lab.crossed(), lab.world.now());
    let steps_before = lab.crossed_in_steps();
    lab.works = lab.arguments.load_goes_on;
    lab.world.heal();
    let mut equal = false;
    while !equal && lab.world.now().since(healed) < EQUAL_WITHIN {
        lab.go_on(Duration::from_secs(1));
        if lab.works {
            // What is being written is equal nowhere: whether the rest is shows once nobody writes.
            let seconds = lab.world.now().since(healed).as_secs();
            lab.works = seconds < lab.arguments.cut_seconds;
        }
        equal = !lab.works && agreement::disagreements(&lab.world).is_empty();
    }
    let took = lab.world.now().since(healed);
    let mut after = lab.take_seen();
    if lab.arguments.load_goes_on {
        print_seen("healed", &mut after);
    }
    let crossed = since(&crossed_before, &lab.crossed());
    let changed: usize = cut.iter().chain(&after).map(Seen::changed_bytes).sum();
    let total: u64 = crossed.values().map(|crossed| crossed.bytes).sum();
    let data = total - crossed.get(&Kind::Gossip).map_or(0, |gossip| gossip.bytes);
    println!();
    println!(
        "operations under way at most while cut: {most_under_way}, at the heal: {operations}; hints: {hints}"
    );
    for (side, seen) in cut.iter().enumerate() {
        println!(
            "dc{}: {} writes acknowledged while cut, {} keys changed, {} bytes",
            side + 1,
            seen.stored,
            seen.written.len(),
            seen.changed_bytes()
        );
    }
    for (what, crossed) in [("whole", &while_whole), ("after the heal", &crossed)] {
        for (kind, Crossed { messages, bytes }) in crossed {
            println!("{what}: {kind:?} {messages} messages, {bytes} bytes");
        }
    }
    for (step, Crossed { messages, bytes }) in since(&steps_before, &lab.crossed_in_steps()) {
        println!("after the heal, of the exchange: {step}: {messages} messages, {bytes} bytes");
    }
    let whole: u64 =
        while_whole.iter().filter(|(kind, _)| **kind == Kind::Clients).map(|(_, one)| one.bytes).sum();
    println!("whole: {:.2} bytes crossed for each that was written", whole as f64 / written as f64);
    println!("all equal {:.0} s after the heal: {equal}", took.as_secs_f64());
    println!(
        "crossed after the heal: {total} bytes, {:.2} times the {changed} bytes changed; {:.2} times without gossip",
        total as f64 / changed as f64,
        data as f64 / changed as f64
    );
    for violation in lab.world.violations() {
        println!("BROKEN {}: {}", violation.rule, violation.what);
    }
    let errors: u64 = cut.iter().map(|seen| seen.errors).sum();
    let is_well = errors == 0 && equal && total <= 2 * changed as u64 && lab.world.violations().is_empty();
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
