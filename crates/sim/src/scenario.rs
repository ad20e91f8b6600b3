//! What a seed stands for: the shape of the cluster, how its world behaves, and what goes wrong in it.
//!
//! Every knob is drawn, so that a thousand seeds are a thousand different clusters and not one cluster a thousand times.
//! What must hold: a scenario is complete. Nothing in a run is drawn from anything but it.

use std::time::Duration;

use causality::Policy;
use cluster::{Addresses, ClusterState, Durability, FoundingPlan, Keyspace, MemberPlan, Preset, QuorumMode};
use env::Rng;
use quorum::Level;
use ring::{Partitions, ReplicaCount};
use types::KeyspaceId;

use crate::faults::{FaultKind, SLOWEST};
use crate::network::Place;
use crate::plan::{Act, Plan};
use crate::random::{micros, millis};
use crate::sabotage::Sabotage;

/// The keyspace `default`: one value a key, majorities.
pub const REGISTERS: KeyspaceId = KeyspaceId(0);
/// Siblings, majorities.
pub const SIBLINGS: KeyspaceId = KeyspaceId(1);
/// One value a key, R = W = 1.
pub const EVENTUAL: KeyspaceId = KeyspaceId(2);
/// One value a key, R = 1, W = N.
pub const FAST_READ: KeyspaceId = KeyspaceId(3);
/// One value a key, R = N, W = 1.
pub const FAST_WRITE: KeyspaceId = KeyspaceId(4);
/// One value a key, majorities, acknowledged before it is synced.
pub const RELAXED: KeyspaceId = KeyspaceId(5);
/// One value a key, majorities of one data center: a keyspace for the clients in each.
pub const LOCAL: [KeyspaceId; DATA_CENTERS_MAX] = [KeyspaceId(6), KeyspaceId(7)];
/// One value a key, majorities, where fallbacks stand in.
pub const SLOPPY: KeyspaceId = KeyspaceId(8);

/// The most data centers that a simulated cluster has.
pub const DATA_CENTERS_MAX: usize = 2;

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seeds all randomness of the run.
    pub seed: u64,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// In how many data centers they are, each node in the next.
    pub data_centers: usize,
    /// In how many racks those of a data center are, each in the next; 0 where each has a rack of its own.
    pub racks: usize,
    /// N of every keyspace, in each data center.
    pub replicas: u8,
    /// How many partitions the ring has.
    pub partitions: u64,
    /// How many shards nodes have, one after another, and the first again after the last.
    pub shards: Vec<u8>,
    /// Whether a node that starts again may be divided otherwise than before.
    pub redivides: bool,
    /// Whether fallbacks stand in for owners in the keyspace of siblings too.
    pub sloppy_siblings: bool,
    /// Clients at work at once.
    pub clients: usize,
    /// How long clients think between two requests, at the most.
    pub think_max: Duration,
    /// How many keys a workload uses: few, so that clients meet.
    pub keys: u64,
    /// The settings of every store.
    pub storage: storage::Options,
    /// How long a request may take.
    pub timeout: Duration,
    /// How many answered writes go on counting acknowledgements.
    pub lingering_max: usize,
    /// How often relaxed writes are synced.
    pub sync_interval: Duration,
    /// How far ahead of its own clock a node believes a stamp.
    pub clock_drift_max: Duration,
    /// How far wall clocks are beside the truth at the most, in milliseconds.
    pub skew_ms_max: u64,
    /// How long a turn of the event loop gathers inputs, at the most.
    pub turn_max: Duration,
    /// How messages travel.
    pub network: NetworkOptions,
    /// How far data centers are apart: by so much longer a message between them is under way, in microseconds.
    pub apart_micros: u64,
    /// How long owners take to compare all that they have with each other once.
    pub exchange_cycle: Duration,
    /// How long a sync takes, usually, in microseconds.
    pub sync_micros: u64,
    /// What goes wrong; each kind at least once.
    pub faults: Vec<FaultKind>,
    /// The usual pause between two faults.
    pub fault_gap: Duration,
    /// How long faults strike.
    pub safety: Duration,
    /// Whether a core of nodes must serve while what ails the others lasts, before all is healed; where there can be one.
    pub healthy_core: bool,
    /// Whether nodes are asked now and then to compare all that they have with others.
    pub repairs: bool,
    /// Whether people change the cluster meanwhile: its keyspaces, its members and their weights.
    pub changes: bool,
    /// Whether they halve, merge and move its partitions too.
    pub halves: bool,
    /// Whether most of those who keep the cluster state are lost, and somebody begins its history again. No seed draws it.
    pub recoveries: Option<Recoveries>,
    /// How many machines there are that may join it.
    pub spares: usize,
    /// How long the cluster works undisturbed afterwards.
    pub liveness: Duration,
    /// Changes that are made on purpose, before all is healed.
    pub plan: Option<Plan>,
    /// A rule that is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Who begins the history of the cluster state again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recoveries {
    /// One administrator.
    One,
    /// Two, each on his side of a cut.
    Two,
}

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkOptions {
    /// How long a message is under way, usually, in microseconds.
    pub usual_micros: u64,
    /// Whether messages of one connection may overtake each other, and come twice: more than TCP would ever do.
    pub unruly: bool,
    /// One in so many messages vanishes without a word; never, if zero.
    pub lost_one_in: u64,
}

impl Scenario {
    /// What this seed stands for.
    pub fn from_seed(seed: u64) -> Scenario {
        let rng = &mut Rng::from_seed(seed ^ 0x7363_656e_6172_696f);
        let nodes = usize::try_from(1 + rng.below(5)).unwrap_or(1);
        let skew_ms_max = *rng.pick(&[0, 50, 2_000, 300_000]).unwrap_or(&0);
        let mut scenario = Scenario {
            nodes: (1..=nodes).map(|number| format!("n{number}")).collect(),
            replicas: u8::try_from(1 + rng.below(3)).unwrap_or(1),
            partitions: *rng.pick(&[8, 8, 16, 64]).unwrap_or(&8),
            clients: usize::try_from(2 + rng.below(9)).unwrap_or(2),
            think_max: Duration::from_millis(*rng.pick(&[1, 5, 20, 100]).unwrap_or(&20)),
            keys: 1 + rng.below(6),
            storage: storage_options(rng),
            timeout: millis(rng, 500, 4_000),
            lingering_max: *rng.pick(&[0, 2, 1000]).unwrap_or(&0),
            sync_interval: millis(rng, 10, 1_000),
            // Twice the skew: two clocks may be wrong in opposite directions.
            clock_drift_max: Duration::from_millis(1_000 + 2 * skew_ms_max),
            skew_ms_max,
            turn_max: micros(rng, 0, 300),
            network: network_options(rng),
            sync_micros: 100 + rng.below(5_000),
            faults: faults(rng, nodes),
            fault_gap: millis(rng, 200, 1_500),
            safety: millis(rng, 4_000, 14_000),
            liveness: Duration::from_secs(3),
            sloppy_siblings: rng.chance(1, 3),
            shards: shards(rng),
            redivides: rng.chance(1, 2),
            data_centers: if rng.chance(1, 3) { DATA_CENTERS_MAX } else { 1 },
            racks: 0,
            healthy_core: true,
            repairs: Rng::from_seed(seed ^ 0x7265_7061_6972_7321).chance(1, 2),
            changes: Rng::from_seed(seed ^ 0x6368_616e_6765_7321).chance(1, 2),
            halves: Rng::from_seed(seed ^ 0x6861_6c76_6573_2121).chance(1, 2),
            ..Scenario::calm(seed, nodes)
        };
        if !scenario.faults.is_empty() {
            scenario.faults.extend(later_faults(seed, nodes));
            scenario.faults.extend(losses(seed, &scenario));
            scenario.faults.extend(ailments(seed, nodes));
            scenario.faults.extend(between(seed, &scenario));
        }
        if scenario.data_centers > 1 {
            let rng = &mut Rng::from_seed(seed ^ 0x6170_6172_7421_2121);
            scenario.apart_micros = *rng.pick(&[0, 1_000, 5_000, 15_000]).unwrap_or(&0);
        }
        if scenario.changes {
            // A change takes its time, and so does it until those who keep the state are agreed on who leads them.
            scenario.safety *= 2;
        }
        if scenario.changes && !scenario.faults.contains(&FaultKind::Clone) {
            scenario.spares =
                usize::try_from(Rng::from_seed(seed ^ 0x7370_6172_6573_2121).below(3)).unwrap_or(0);
        }
        scenario
    }

    /// The same without the kinds of fault that came later, a core and repairs: what the seed stood for before there were any.
    #[must_use]
    pub fn without_later_faults(mut self) -> Scenario {
        self.faults
            .retain(|kind| !kind.is_later() && !kind.is_loss() && !kind.is_ailment() && !kind.is_between());
        Scenario { healthy_core: false, repairs: false, apart_micros: 0, ..self }.without_changes()
    }

    /// The same, and nobody changes the cluster.
    #[must_use]
    pub fn without_changes(self) -> Scenario {
        Scenario { changes: false, halves: false, spares: 0, ..self }
    }

    /// The same, where these kinds of fault strike as far as there are nodes enough for them, and no others.
    #[must_use]
    pub fn with_faults(self, kinds: &[FaultKind]) -> Scenario {
        let mut faults = possible(kinds, self.nodes.len());
        // What one node has lost others must have.
        faults.retain(|kind| !kind.needs_others() || self.owners() > 1);
        faults.retain(|kind| !kind.is_between() || self.has_several_data_centers());
        Scenario { faults, ..self }
    }

    /// A cluster of so many nodes in which nothing goes wrong and every message takes its usual time.
    pub fn calm(seed: u64, nodes: usize) -> Scenario {
        Scenario {
            seed,
            nodes: (1..=nodes).map(|number| format!("n{number}")).collect(),
            data_centers: 1,
            racks: 0,
            replicas: 3,
            partitions: 8,
            shards: vec![1],
            redivides: false,
            sloppy_siblings: false,
            clients: 4,
            think_max: Duration::from_millis(20),
            keys: 4,
            storage: storage::Options::tiny(),
            timeout: Duration::from_secs(2),
            lingering_max: 1000,
            sync_interval: Duration::from_millis(100),
            clock_drift_max: Duration::from_secs(60),
            skew_ms_max: 0,
            turn_max: Duration::from_micros(50),
            network: NetworkOptions { usual_micros: 300, unruly: false, lost_one_in: 0 },
            apart_micros: 0,
            exchange_cycle: EXCHANGE_CYCLE,
            sync_micros: 300,
            faults: Vec::new(),
            fault_gap: Duration::from_secs(1),
            safety: Duration::from_secs(5),
            healthy_core: false,
            repairs: false,
            changes: false,
            halves: false,
            recoveries: None,
            spares: 0,
            liveness: Duration::from_secs(2),
            plan: None,
            sabotage: None,
        }
    }

    /// What the spare machine of this number is called; machines that may join come after the founding ones.
    pub fn spare(&self, number: usize) -> String {
        format!("n{}", self.nodes.len() + number + 1)
    }

    /// The cluster state that all nodes are founded with.
    ///
    /// # Panics
    /// If the scenario describes no cluster; those made here do.
    pub fn cluster(&self) -> ClusterState {
        let member = |(place, name): (Place, &String)| MemberPlan {
            name: name.clone(),
            data_center: format!("dc{}", self.data_center_of(place) + 1),
            rack: self.rack_of(place),
            weight: 1.0,
            addresses: Addresses::default(),
        };
        let plan = FoundingPlan {
            name: "sim".to_owned(),
            members: self.nodes.iter().enumerate().map(member).collect(),
            partitions: Partitions::new(self.partitions).expect("a power of two"),
            keyspaces: self.keyspaces(),
        };
        ClusterState::found(plan).expect("a scenario describes a cluster")
    }

    /// The rack of the node at this place, or of the machine that may join there.
    pub fn rack_of(&self, place: Place) -> String {
        match self.racks {
            0 => format!("n{}", place + 1),
            racks => format!("r{}", place / self.data_centers.max(1) % racks + 1),
        }
    }

    /// How many shards the node at this place has at first.
    pub fn shards_of(&self, place: usize) -> u8 {
        self.shards[place % self.shards.len()]
    }

    /// The data center that a node is in. Who joins goes where others were before: in a data center that no keyspace has replicas
    /// in no request with a local level can be met.
    pub fn data_center_of(&self, place: Place) -> usize {
        place % self.data_centers.min(self.nodes.len()).max(1)
    }

    /// Whether there are nodes in more than one data center.
    pub fn has_several_data_centers(&self) -> bool {
        self.data_centers.min(self.nodes.len()) > 1
    }

    /// How many owners a key has.
    pub fn owners(&self) -> usize {
        (0..self.data_centers).map(|data_center| self.owners_in(data_center)).sum()
    }

    /// Whether anybody changes the cluster.
    pub fn is_changed(&self) -> bool {
        self.changes || self.plan.is_some()
    }

    /// How many nodes may say of one write that they hold it: while a key moves, old owners and new ones, and while the write is
    /// under way it may move on.
    pub fn holders_max(&self) -> usize {
        self.owners() * if self.is_changed() { 3 } else { 1 }
    }

    /// How many of them are in this data center.
    pub fn owners_in(&self, data_center: usize) -> usize {
        let there = (0..self.nodes.len()).filter(|place| self.data_center_of(*place) == data_center);
        usize::from(self.replicas).min(there.count())
    }

    /// How many owners a key comes to have at the fewest: where an administrator wants fewer than there are at first, as many as that.
    pub fn owners_at_least(&self) -> usize {
        let acts = self.plan.iter().flat_map(|plan| &plan.acts);
        let altered = acts.filter_map(|act| match act {
            Act::Alter(n) => usize::try_from(*n).ok().map(|n| n * self.data_centers),
            _ => None,
        });
        altered.min().map_or(self.owners(), |fewest| fewest.min(self.owners()))
    }

    /// How many owners a key comes to have, when all nodes have joined that may.
    pub fn owners_at_most(&self) -> usize {
        (0..self.data_centers).map(|data_center| self.owners_at_most_in(data_center)).sum()
    }

    /// How many of them are in this data center.
    fn owners_at_most_in(&self, data_center: usize) -> usize {
        let places = self.nodes.len() + if self.is_changed() { self.spares } else { 0 };
        let there = (0..places).filter(|place| self.data_center_of(*place) == data_center);
        usize::from(self.replicas).min(there.count())
    }

    /// How long a turn of the event loop gathers inputs at the most, on the slowest of nodes.
    pub fn longest_turn(&self) -> Duration {
        self.turn_max * if self.faults.contains(&FaultKind::SlowNode) { SLOWEST } else { 1 }
    }

    /// How much of its disk a node keeps back: what it needs to delete and to do its work, where disks fill up.
    pub fn disk_reserve_bytes(&self) -> u64 {
        if !self.faults.contains(&FaultKind::FullDisk) {
            return 0;
        }
        let stores = usize::from(self.shards.iter().copied().max().unwrap_or(1));
        storage::Options { stores, ..self.storage.clone() }.disk_needed_bytes()
    }

    /// The settings of one node.
    pub fn node_options(&self) -> node::NodeOptions {
        let drift = u64::try_from(self.clock_drift_max.as_millis()).unwrap_or(u64::MAX);
        // Shards have equal parts of it, and none may be smaller than a store can be.
        let parts = usize::from(self.shards.iter().copied().max().unwrap_or(1));
        let memory_bytes = self.storage.memory_bytes * parts;
        node::NodeOptions {
            shards: node::Wanted::default(),
            storage: storage::Options {
                memory_bytes,
                disk_reserve_bytes: Some(self.disk_reserve_bytes()),
                ..self.storage.clone()
            },
            replica: replica::ReplicaOptions {
                sync_interval: self.sync_interval,
                clock_drift_ms_max: drift,
                exchange: replica::ExchangeOptions {
                    cycle: self.exchange_cycle,
                    ..replica::ExchangeOptions::default()
                },
                collection: COLLECTION,
                ..replica::ReplicaOptions::default()
            },
            coordinator: coordinator::Options {
                timeout: self.timeout,
                lingering_max: self.lingering_max,
                ..coordinator::Options::default()
            },
            gossip: gossip::Options { dwell_max: DWELL_MAX, ..gossip::Options::default() },
            secret: Some(node::Secret::new(*b"what the simulated nodes share")),
            tide: TIDE,
        }
    }

    /// As many owners in each data center as its first nodes can be, also when others join. What local quorums promise rests on it:
    /// two are a majority of all where another data center has one owner, and are none where it has two.
    fn as_many_as_at_first(&self) -> ReplicaCount {
        let homes = (0..self.nodes.len()).map(|place| self.data_center_of(place));
        let counts = homes.map(|home| {
            let count = u8::try_from(self.owners_in(home)).unwrap_or(self.replicas);
            (format!("dc{}", home + 1), count)
        });
        ReplicaCount::PerDataCenter(counts.collect())
    }

    fn keyspaces(&self) -> Vec<Keyspace> {
        let registers = |id: KeyspaceId, name: &str, (r, w): (Level, Level)| Keyspace {
            policy: Policy::Lww,
            r,
            w,
            n: ReplicaCount::Everywhere(self.replicas),
            quorum_mode: QuorumMode::Strict,
            ..Keyspace::new(id.0, name)
        };
        let majorities = Preset::Quorum.levels();
        let local = (Level::LocalQuorum, Level::LocalQuorum);
        vec![
            registers(REGISTERS, "default", majorities),
            Keyspace {
                policy: Policy::Siblings,
                quorum_mode: if self.sloppy_siblings { QuorumMode::Sloppy } else { QuorumMode::Strict },
                ..registers(SIBLINGS, "siblings", majorities)
            },
            registers(EVENTUAL, "eventual", (Level::One, Level::One)),
            registers(FAST_READ, "fast-read", Preset::FastRead.levels()),
            registers(FAST_WRITE, "fast-write", Preset::FastWrite.levels()),
            Keyspace { durability: Durability::Interval, ..registers(RELAXED, "relaxed", majorities) },
            Keyspace { n: self.as_many_as_at_first(), ..registers(LOCAL[0], "local-1", local) },
            Keyspace { n: self.as_many_as_at_first(), ..registers(LOCAL[1], "local-2", local) },
            Keyspace { quorum_mode: QuorumMode::Sloppy, ..registers(SLOPPY, "sloppy", majorities) },
        ]
    }
}

/// How long owners take to compare all that they have: less than usual, so that rounds and faults meet.
const EXCHANGE_CYCLE: Duration = Duration::from_secs(2);

/// A disk that is rolled back by more than this, and what gossip takes, is noticed.
const TIDE: Duration = Duration::from_millis(1_500);

/// A verdict that has flipped often stands for so long, and a healed cluster is whole no sooner.
const DWELL_MAX: Duration = Duration::from_secs(8);

/// Deletes are agreed on as soon as there are any, so that rounds and faults meet.
const COLLECTION: replica::collection::CollectionOptions = replica::collection::CollectionOptions {
    gather: Duration::from_millis(300),
    rest: Duration::from_millis(500),
};

fn storage_options(rng: &mut Rng) -> storage::Options {
    let tiny = storage::Options::tiny();
    let memory_bytes = *rng.pick(&[64 << 10, 128 << 10]).unwrap_or(&tiny.memory_bytes);
    storage::Options {
        log_zero_fill: rng.chance(1, 2),
        compression: rng.chance(1, 2),
        level0_tables: usize::try_from(1 + rng.below(4)).unwrap_or(2),
        block_bytes: *rng.pick(&[256, 512, 4096]).unwrap_or(&512),
        secret: rng.next_u64(),
        memory_bytes,
        ..tiny
    }
    .with_values(MARK_BYTES)
}

/// What must fit into a store as one value: what is agreed on of a partition's deletes has an entry for each life of a node, and
/// here nodes live through hundreds.
const MARK_BYTES: usize = 16 << 10;

/// Half of the clusters have nodes of one shard, the others of different numbers.
fn shards(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(1, 2) {
        return vec![1];
    }
    let mut shards = vec![1, 2, 4];
    rng.shuffle(&mut shards);
    shards.truncate(usize::try_from(1 + rng.below(3)).unwrap_or(1));
    shards
}

fn network_options(rng: &mut Rng) -> NetworkOptions {
    NetworkOptions {
        usual_micros: *rng.pick(&[50, 300, 2_000, 10_000]).unwrap_or(&300),
        unruly: rng.chance(1, 5),
        lost_one_in: if rng.chance(1, 4) { 50 + rng.below(2_000) } else { 0 },
    }
}

/// Some kinds of fault, sometimes none.
fn faults(rng: &mut Rng, nodes: usize) -> Vec<FaultKind> {
    if rng.chance(1, 20) {
        return Vec::new();
    }
    let mut kinds = possible(&FaultKind::EARLY, nodes);
    rng.shuffle(&mut kinds);
    kinds.truncate(usize::try_from(1 + rng.below(6)).unwrap_or(1));
    kinds.sort_unstable();
    kinds
}

/// Up to three of the kinds that came later, in a third of the clusters none.
fn later_faults(seed: u64, nodes: usize) -> Vec<FaultKind> {
    let rng = &mut Rng::from_seed(seed ^ 0x6c61_7465_7220_6f6e);
    let mut kinds = possible(&FaultKind::LATER, nodes);
    rng.shuffle(&mut kinds);
    kinds.truncate(if rng.chance(1, 3) { 0 } else { usize::try_from(1 + rng.below(3)).unwrap_or(1) });
    kinds.sort_unstable();
    kinds
}

/// Up to two of the ways to lose a disk, in half of the clusters in which each key has other owners.
fn losses(seed: u64, scenario: &Scenario) -> Vec<FaultKind> {
    let rng = &mut Rng::from_seed(seed ^ 0x6c6f_7373_6573_206f);
    let others = if scenario.owners() > 1 { scenario.nodes.len() } else { 0 };
    let mut kinds = possible(&FaultKind::LOSSES, others);
    rng.shuffle(&mut kinds);
    kinds.truncate(if rng.chance(1, 2) { 0 } else { usize::try_from(1 + rng.below(2)).unwrap_or(1) });
    kinds.sort_unstable();
    kinds
}

/// Up to two of the things that machines ail of, in half of the clusters.
fn ailments(seed: u64, nodes: usize) -> Vec<FaultKind> {
    let rng = &mut Rng::from_seed(seed ^ 0x6169_6c6d_656e_7473);
    let mut kinds = possible(&FaultKind::AILMENTS, nodes);
    rng.shuffle(&mut kinds);
    kinds.truncate(if rng.chance(1, 2) { 0 } else { usize::try_from(1 + rng.below(2)).unwrap_or(1) });
    kinds.sort_unstable();
    kinds
}

/// What goes wrong between data centers, in two thirds of the clusters that have several.
fn between(seed: u64, scenario: &Scenario) -> Vec<FaultKind> {
    let rng = &mut Rng::from_seed(seed ^ 0x6265_7477_6565_6e21);
    if !scenario.has_several_data_centers() || rng.chance(1, 3) {
        return Vec::new();
    }
    possible(&FaultKind::BETWEEN, scenario.nodes.len())
}

fn possible(kinds: &[FaultKind], nodes: usize) -> Vec<FaultKind> {
    kinds.iter().copied().filter(|kind| nodes >= kind.nodes_needed()).collect()
}
