//! People change the cluster while clients work and faults strike: keyspaces are made, altered and dropped, machines join and
//! leave, weights change, partitions are halved, merged and moved; two administrators at a time, at any nodes.
//!
//! What must hold (INVARIANTS D4, E6, I1): of what was acknowledged everybody comes to know, in one order; of two who make the same
//! keyspace one does; a value of a dropped keyspace is never read in its successor; and when all is healed, every change ends.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{
    Change, Command, Detail, KeyRequest, KeyspaceSettings, NodePlan, Operation, Replaced, Reply, Request,
};
use bytes::Bytes;
use cluster::Standing;
use env::Rng;
use types::KeyspaceId;

use super::Run;
use crate::host::Host;
use crate::network::Place;
use crate::random::millis;
use crate::world::{Answer, AskId};

/// The alarm for the next change.
pub(super) const ALARM: u64 = u64::MAX - 6;

/// The usual pause between two of them, in milliseconds.
const USUAL_GAP_MS: u64 = 300;

/// When all is healed, whatever is to move has moved within this time; for each 64 partitions, of which each takes its own.
const CHANGED_WITHIN: Duration = Duration::from_secs(240);

/// One in so many times something is changed, partitions are halved, merged or moved as well.
const HALVED_ONE_IN: u64 = 10;

/// When there are so many partitions, they are halved no more.
const PARTITIONS_MAX: u32 = 128;

/// Keyspaces that are made and dropped.
const NAMES: [&str; 3] = ["x1", "x2", "x3"];

/// What is asked of those.
const KEYS: [&[u8]; 2] = [b"a", b"b"];

/// Who asked what, and what came of it.
pub(super) struct Changes {
    rng: Rng,
    /// When partitions are halved, merged and moved: of a stream of its own, so that the other changes of a seed are what they were without.
    halving: Rng,
    under_way: BTreeMap<AskId, Asked>,
    /// How often keyspaces of a name were made and dropped, as far as was acknowledged; nothing where that is not known.
    balances: BTreeMap<&'static str, Option<i64>>,
    made: u64,
    refused: u64,
    writes: u64,
}

pub(super) enum Asked {
    Create(&'static str),
    Drop(&'static str),
    Join(Place),
    Other,
    Put,
    /// A read in this keyspace.
    Get(KeyspaceId),
}

impl Changes {
    pub(super) fn new(seed: u64) -> Changes {
        Changes {
            rng: Rng::from_seed(seed ^ 0x6368_616e_6765_7320),
            halving: Rng::from_seed(seed ^ 0x6861_6c76_6573_2120),
            under_way: BTreeMap::new(),
            balances: BTreeMap::new(),
            made: 0,
            refused: 0,
            writes: 0,
        }
    }

    /// One of these places.
    pub(super) fn pick(&mut self, places: &[Place]) -> Option<Place> {
        self.rng.pick(places).copied()
    }

    /// Something was asked beside what is drawn.
    pub(super) fn asked(&mut self, ask: AskId, asked: Asked) {
        self.under_way.insert(ask, asked);
    }

    /// What was acknowledged may have been given up with the history that it was made in.
    pub(super) fn forget_what_is_there(&mut self) {
        self.balances.values_mut().for_each(|balance| *balance = None);
    }
}

impl Run {
    /// While faults strike: the next time.
    pub(super) fn set_change_alarm(&mut self) {
        if self.world.scenario().changes {
            let after = millis(&mut self.changes.rng, USUAL_GAP_MS / 4, USUAL_GAP_MS * 2);
            self.world.set_alarm(after, ALARM);
        }
    }

    /// It is time for one, or for a look into a keyspace that was made. When all is healed it is no more.
    pub(super) fn ask_for_a_change(&mut self) {
        if self.healed && self.core.is_none() {
            return;
        }
        for _ in 0..2 {
            if self.changes.rng.chance(1, 2) { self.ask_to_change() } else { self.look_into_one() }
        }
        if self.world.scenario().halves && self.changes.halving.chance(1, HALVED_ONE_IN) {
            self.ask_about_partitions();
        }
        self.set_change_alarm();
    }

    /// Each partition is to become two, if there are not as many as a run has time for, or each two are to become one; or one is to go
    /// somewhere. Whoever asks may not know how many there are.
    fn ask_about_partitions(&mut self) {
        let places: Vec<Place> = self.world.members().collect();
        let at = self.changes.halving.pick(&places).copied().unwrap_or(0);
        let known =
            self.world.hosts()[at].shards.first().map(|running| running.shard.topology().state.partitions());
        let count = known.map_or(0, ring::Partitions::count);
        let drawn = &mut self.changes.halving;
        let partitions = drawn.chance(1, 2).then_some(count);
        let change = match drawn.below(8) {
            0..=3 if self.world.cluster().partition_count() >= PARTITIONS_MAX => return,
            0..=3 => Change::Halve { partitions },
            4..=5 => Change::Merge { partitions },
            6 => Change::KeepHalves,
            _ => {
                let partition = u16::try_from(drawn.below(u64::from(count.max(1)))).unwrap_or(0);
                let to = drawn.pick(&places).map(|place| self.world.hosts()[*place].name.clone());
                Change::MovePartition { partition, from: None, to: to.unwrap_or_default() }
            }
        };
        let timeout = Some(self.world.scenario().timeout);
        let request = Request { command: Command::Change(Box::new(change)), timeout };
        let ask = self.world.ask(at, request);
        self.changes.under_way.insert(ask, Asked::Other);
    }

    fn any_place(&mut self) -> Place {
        let places: Vec<Place> = self.world.members().collect();
        self.changes.rng.pick(&places).copied().unwrap_or(0)
    }

    fn ask_to_change(&mut self) {
        let at = self.any_place();
        let name = *self.changes.rng.pick(&NAMES).unwrap_or(&NAMES[0]);
        let (change, asked) = match self.changes.rng.below(9) {
            0..=2 => {
                let n = self.any_n();
                let settings = KeyspaceSettings {
                    n: Some(n.to_string()),
                    policy: Some("lww".to_owned()),
                    ..KeyspaceSettings::default()
                };
                let change = Change::CreateKeyspace { name: name.to_owned(), settings: Box::new(settings) };
                (change, Asked::Create(name))
            }
            3 => {
                let n = self.any_n();
                let settings = KeyspaceSettings { n: Some(n.to_string()), ..KeyspaceSettings::default() };
                let change = Change::AlterKeyspace { name: name.to_owned(), settings: Box::new(settings) };
                (change, Asked::Other)
            }
            4 => (Change::DropKeyspace { name: name.to_owned() }, Asked::Drop(name)),
            5 => {
                let node = self.any_member();
                let weight = [0.5, 1.0, 2.0, 3.0][usize::try_from(self.changes.rng.below(4)).unwrap_or(0)];
                (Change::Weigh { node, weight }, Asked::Other)
            }
            6 => (Change::Cancel { node: self.any_member() }, Asked::Other),
            7 => match self.world.next_spare() {
                Some(place) => (self.some_join_of(place), Asked::Join(at)),
                None => return,
            },
            _ => {
                // So many stay that everybody's N is met.
                let members = self.world.members().count();
                if members <= self.world.scenario().owners().max(1) {
                    return;
                }
                (Change::Drain { nodes: vec![self.any_member()], below_n: false }, Asked::Other)
            }
        };
        let timeout = Some(self.world.scenario().timeout);
        let request = Request { command: Command::Change(Box::new(change)), timeout };
        let ask = self.world.ask(at, request);
        self.changes.under_way.insert(ask, asked);
    }

    /// How many replicas a keyspace is to have: what one node is made to lose others must have.
    fn any_n(&mut self) -> u64 {
        let needs_others = self.world.scenario().faults.iter().any(|kind| kind.needs_others());
        let n = 1 + self.changes.rng.below(3);
        if needs_others { n.max(2) } else { n }
    }

    fn any_member(&mut self) -> String {
        let place = self.any_place();
        self.world.hosts()[place].name.clone()
    }

    /// A spare machine joins; one of three takes the place of a member, which hands over what it has.
    fn some_join_of(&mut self, place: Place) -> Change {
        let takes_a_place = self.changes.rng.chance(1, 3);
        let replaces = takes_a_place.then(|| Replaced { name: self.any_member(), hands_over: true });
        self.join_of(place, replaces)
    }

    /// A spare machine joins, in the place of a member or in none.
    pub(super) fn join_of(&self, place: Place, replaces: Option<Replaced>) -> Change {
        let scenario = self.world.scenario();
        let name = scenario.spare(place - scenario.nodes.len());
        // Nobody connects by addresses here; but a member has one, and it is its own.
        let port = 9_000 + u16::try_from(place).unwrap_or(0);
        Change::Join(Box::new(NodePlan {
            cluster: None,
            rack: scenario.rack_of(place),
            name,
            data_center: format!("dc{}", scenario.data_center_of(place) + 1),
            weight: Some(1.0),
            capacity: 1.0,
            resp: None,
            cluster_address: None,
            http: None,
            peer: Some(std::net::SocketAddr::from(([127, 0, 0, 1], port))),
            replaces,
        }))
    }

    /// Writes into a keyspace that was made, or reads there. A value says in which keyspace it was written.
    fn look_into_one(&mut self) {
        let at = self.any_place();
        let name = *self.changes.rng.pick(&NAMES).unwrap_or(&NAMES[0]);
        let running = self.world.hosts()[at].shards.first();
        let known = running.and_then(|running| running.shard.topology().state.keyspace_by_name(name));
        let Some(keyspace) = known.map(|keyspace| keyspace.id) else { return };
        let key = Bytes::from_static(KEYS[usize::try_from(self.changes.rng.below(2)).unwrap_or(0)]);
        let (operation, asked) = if self.changes.rng.chance(1, 2) {
            self.changes.writes += 1;
            let value = Bytes::from(format!("{}:{}", keyspace.0, self.changes.writes));
            (Operation::put(value), Asked::Put)
        } else {
            (Operation::Get { read: None, context: None, detail: Detail::Values }, Asked::Get(keyspace))
        };
        let request = Request::new(Command::Key(KeyRequest { keyspace, key, operation }));
        let ask = self.world.ask(at, request);
        self.changes.under_way.insert(ask, asked);
    }

    /// Somebody who asked has an answer.
    pub(super) fn change_answered(&mut self, ask: AskId, answer: &Answer) {
        let Some(asked) = self.changes.under_way.remove(&ask) else { return };
        let (done, refused) = match answer {
            Answer::Outcome(Ok(_)) => (true, false),
            Answer::Outcome(Err(error)) => (false, error.fate() == api::Fate::NotDone),
            Answer::Refused => (false, true),
            Answer::Lost => (false, false),
        };
        match asked {
            Asked::Put => return,
            Asked::Get(keyspace) => return self.check_read(keyspace, answer),
            Asked::Join(at) if done => self.world.joins(at),
            Asked::Create(name) | Asked::Drop(name) => {
                let by = if matches!(asked, Asked::Create(_)) { 1 } else { -1 };
                let balance = self.changes.balances.entry(name).or_insert(Some(0));
                *balance = match (done, refused) {
                    (true, _) => balance.map(|balance| balance + by),
                    (false, true) => *balance,
                    (false, false) => None,
                };
            }
            Asked::Join(_) | Asked::Other => {}
        }
        self.changes.made += u64::from(done);
        self.changes.refused += u64::from(refused);
    }

    fn check_read(&mut self, keyspace: KeyspaceId, answer: &Answer) {
        let Answer::Outcome(Ok(Reply::Found(found))) = answer else { return };
        let prefix = format!("{}:", keyspace.0);
        if let Some(value) = found.values.iter().find(|value| !value.value.starts_with(prefix.as_bytes())) {
            let what = format!("{keyspace} shows {}", value.value.escape_ascii());
            self.world.violated("data of a dropped keyspace never shows in its successor (D4)", what);
        }
    }

    /// When all is healed: nothing is to move any more, all nodes go by one state, and it is what was acknowledged.
    pub(super) fn wait_for_changes(&mut self) {
        let many = self.world.cluster().partition_count().div_ceil(64);
        let within = self.longer_where_lossy(CHANGED_WITHIN * many);
        let latest = self.world.now() + within;
        loop {
            // Also who was made a member only now, by an asking that nobody heard the answer of, hears of it in the end.
            while self.world.joins_at_last() {}
            self.remove_who_never_comes();
            let Some(left) = self.left_to_change().filter(|_| self.world.violations().is_empty()) else {
                break;
            };
            if self.world.now() >= latest {
                let what = format!("not after {within:?}: {left}");
                return self.world.violated("every change ends, and all know of it (E6, I1, liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(500));
        }
        let state = self.world.cluster().clone();
        let mut wrong = Vec::new();
        for host in self.world.hosts().iter().filter(|host| host.has_left && !state.was_removed(host.id)) {
            wrong.push(format!("{} has left, and is a member", host.name));
        }
        for (name, balance) in &self.changes.balances {
            let is_there = i64::from(state.keyspace_by_name(name).is_some());
            if balance.is_some_and(|balance| balance != is_there) {
                wrong.push(format!(
                    "{name} was made {balance:?} times more than dropped, and {is_there} are there"
                ));
            }
        }
        for what in wrong {
            self.world.violated("of what is changed everybody knows, in one order (I1)", what);
        }
    }

    /// Two people let the same machine join; it joined, left again, and was then made a member a second time, which it does not know.
    /// Whoever sees that says that this member is gone (seed 710517).
    fn remove_who_never_comes(&mut self) {
        let latest = self.world.cluster();
        let is_unknown_to = |host: &&Host| {
            let member = latest.member_by_name(&host.name).filter(|member| member.standing.stays());
            host.has_left && member.is_some_and(|member| member.id != host.id)
        };
        let Some(node) = self.world.hosts().iter().find(is_unknown_to).map(|host| host.name.clone()) else {
            return;
        };
        if self.changes.under_way.is_empty() {
            let at = self.any_place();
            let change = Change::Remove { node, below_n: true, lose_data: false };
            let ask = self.world.ask(at, Request::new(Command::Change(Box::new(change))));
            self.changes.under_way.insert(ask, Asked::Other);
        }
    }

    /// The partitions that move, and of each what the nodes that hold it have to say.
    pub(super) fn movements(&self) -> String {
        let state = self.world.cluster();
        let holders = |partition| {
            let hosts = self.world.hosts().iter().filter(move |host| state.holds(host.id, partition));
            let shards = hosts.flat_map(|host| host.shards.iter().map(move |running| (host, running)));
            let each = shards.map(|(host, running)| {
                let replica = running.shard.replica();
                format!("{} has done {:?} ({:?})", host.name, replica.report(), replica.moving())
            });
            each.collect::<Vec<_>>().join(", ")
        };
        let movements = state.movements().iter();
        let each = movements.map(|(partition, movement)| {
            format!("{partition} {}: {}", movement.stage.word(), holders(*partition))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    /// What is not as it is to be in the end, in words.
    fn left_to_change(&self) -> Option<String> {
        let latest = self.world.cluster();
        if !self.changes.under_way.is_empty() {
            return Some(format!("{} who asked wait for an answer", self.changes.under_way.len()));
        }
        for place in self.world.members() {
            let host = &self.world.hosts()[place];
            for running in &host.shards {
                let state = &running.shard.topology().state;
                if state.epoch() != latest.epoch() {
                    return Some(format!(
                        "{} goes by {}, not by {}",
                        host.name,
                        state.epoch(),
                        latest.epoch()
                    ));
                }
                if state.fingerprint() != latest.fingerprint() {
                    return Some(format!("{} goes by another state of {}", host.name, state.epoch()));
                }
            }
        }
        let waiting = latest.waiting_to_move().count();
        if waiting + latest.movements().len() > 0 {
            return Some(format!("{waiting} partitions wait to move; these do: {}", self.movements()));
        }
        if let Some(leaves) = latest.members().iter().find(|member| member.standing == Standing::Leaving) {
            return Some(format!("{} has nothing left, and is not let go", leaves.name));
        }
        None
    }
}
