//! The stage: one coordinator, and owners that say what the script has them say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::{Command, Detail, ExpiryChange, KeyRequest, Operation, Request, ScanRequest, Scope};
use bytes::Bytes;
use causality::{Actor, Context, Dot, Expiry, Lww, Payload, Policy, Record, Siblings, Stamp, Version};
use cluster::{
    Addresses, ClusterState, Durability, FoundingPlan, Keyspace, MemberPlan, QuorumMode, Step, Topology,
};
use coordinator::pace::Share;
use coordinator::{Beside, Effect, Ids, Operations, Options};
use quorum::Level;
use replica::scan::prefix_of;
use replica::{Change, Made, Make, MakeError, Ticket};
use ring::{Partitions, ReplicaCount, Slot, key_hash};
use types::{
    Epoch, Incarnation, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId, ShardId, Stint,
    WallTime,
};
use wire::{Body, Forward, ReplicaReply, ReplicaRequest, ScanAnswer, ScanEntry, WriteName, WritePath};

use crate::text;

/// The keyspace that scripts use.
const KEYSPACE: KeyspaceId = KeyspaceId(9);
const FIRST_ID: u64 = 1 << 32;

#[derive(Default)]
pub(crate) struct Stage {
    play: Option<Play>,
}

/// What a script has set up and brought about.
pub(crate) struct Play {
    operations: Operations,
    topology: Arc<Topology>,
    /// The cluster state, of which this node may have yet to hear.
    state: Arc<ClusterState>,
    now: Moment,
    /// The keys that a script names, and what stands for them: keys with the owners that it wants.
    pub(crate) keys: BTreeMap<String, Bytes>,
    /// The last round that each node was asked in, by operation.
    rounds: BTreeMap<(u64, NodeId), u32>,
    make: Option<(u64, Make)>,
    names: Names,
    clients: u64,
}

/// Names for what other nodes are to make: their dots are numbered, their stamps are what the clock shows.
struct Names(u64);

impl Beside for Names {
    fn cannot_make(&self, _: &KeyRequest) -> Option<String> {
        None
    }

    fn name(&mut self, now: Moment, _: PartitionId) -> Option<WriteName> {
        self.0 += 1;
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        Some(WriteName { dot: Dot { actor, counter: self.0 }, stamp: Stamp::new(now.wall.0, 0) })
    }
}

/// The words of a line: plain ones in order, and those of the form `name=value`.
struct Words<'a> {
    plain: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        let (mut plain, mut named) = (Vec::new(), BTreeMap::new());
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => {
                    named.insert(name, value);
                }
                None => plain.push(word),
            }
        }
        Words { plain, named }
    }

    fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.named.get(name).map_or(otherwise, |value| value.parse().unwrap())
    }

    fn level(&self, name: &str) -> Option<Level> {
        self.named.get(name).map(|value| value.parse().unwrap())
    }
}

impl Stage {
    /// Performs a line: what the coordinator wants done, a line for each thing.
    pub(crate) fn perform(&mut self, line: &str) -> Vec<String> {
        let words = Words::of(line);
        if words.plain[0] == "cluster" {
            self.play = Some(Play::new(&words));
            return Vec::new();
        }
        let play = self.play.as_mut().expect("a script begins with a cluster");
        let mut out = Vec::new();
        play.line(&words, &mut out);
        out.into_iter().map(|effect| play.note(effect)).collect()
    }
}

impl Play {
    fn new(words: &Words<'_>) -> Play {
        let elsewhere: Vec<&str> =
            words.named.get("dc2").map_or(Vec::new(), |names| names.split(',').collect());
        let member = |number: u64| {
            let name = format!("n{number}");
            let is_elsewhere = elsewhere.contains(&name.as_str());
            member(&name, if is_elsewhere { "dc2" } else { "dc1" })
        };
        let nodes = words.number("nodes", 3);
        let keyspace = Keyspace {
            n: copies(words.named.get("n").unwrap_or(&"3")),
            r: words.level("r").unwrap_or_default(),
            w: words.level("w").unwrap_or_default(),
            policy: words.named.get("policy").map_or(Policy::Lww, |policy| policy.parse().unwrap()),
            durability: words
                .named
                .get("durability")
                .map_or(Durability::Always, |durability| durability.parse().unwrap()),
            quorum_mode: words
                .named
                .get("quorum")
                .map_or(QuorumMode::Strict, |quorum| quorum.parse().unwrap()),
            ..Keyspace::new(KEYSPACE.0, "script")
        };
        let state = ClusterState::found(FoundingPlan {
            name: "script".to_owned(),
            members: (1..=nodes).map(member).collect(),
            partitions: Partitions::new(words.number("partitions", 256)).unwrap(),
            keyspaces: vec![keyspace],
        })
        .unwrap();
        let here = NodeId(u16::try_from(words.number("here", 1)).unwrap());
        let state = Arc::new(state);
        let mut topology = Topology::new(Arc::clone(&state), here, Incarnation(1)).unwrap();
        for number in 1..=u16::try_from(nodes).unwrap() {
            topology = topology.with_reachable(NodeId(number), Incarnation(u64::from(number)));
        }
        let topology = Arc::new(topology);
        let options = Options {
            operations_max: usize::try_from(words.number("operations_max", 100)).unwrap(),
            lingering_max: usize::try_from(words.number("lingering_max", 100)).unwrap(),
            hedges: share(words, "hedges"),
            retries: share(words, "retries"),
            ..Options::default()
        };
        Play {
            operations: Operations::new(Arc::clone(&topology), Ids::alone(FIRST_ID), options),
            topology,
            state,
            now: Moment { mono: Instant(1_000_000_000), wall: WallTime(1000) },
            keys: BTreeMap::new(),
            rounds: BTreeMap::new(),
            make: None,
            names: Names(0),
            clients: 0,
        }
    }

    fn line(&mut self, words: &Words<'_>, out: &mut Vec<Effect>) {
        match words.plain[0] {
            "key" => self.choose_key(words),
            "time" => {
                let millis: u64 = words.plain[1].parse().unwrap();
                self.now.mono = self.now.mono + Duration::from_millis(millis);
                self.now.wall = self.now.wall.plus_millis(millis);
                self.operations.timer(self.now, out);
            }
            "made" => self.made(words, out),
            "under-way" => {
                assert_eq!(words.plain[1], self.operations.len().to_string(), "operations under way");
            }
            "passed" => self.passed(words, out),
            "cluster-state" => self.change_state(words),
            "news" => self.news(out),
            node if node.strip_prefix('n').is_some_and(|rest| rest.parse::<u16>().is_ok()) => {
                self.node(words, out);
            }
            _ => {
                self.clients += 1;
                let command = self.command(words);
                let timeout =
                    words.named.get("timeout").map(|millis| Duration::from_millis(millis.parse().unwrap()));
                let request = Request { command, timeout };
                self.operations.ask_beside(self.now, self.clients, request, &mut self.names, out);
            }
        }
    }

    /// `key NAME owners=n1,n2,n3`: finds a key with these owners and calls it so; with `also=n1,n2,n4`, one that moves to or from
    /// those, by the cluster state that there is, whether this node has heard of it or not.
    fn choose_key(&mut self, words: &Words<'_>) {
        let nodes = |name: &str| -> Vec<NodeId> {
            words.named.get(name).map_or(Vec::new(), |names| names.split(',').map(node_id).collect())
        };
        let wanted = (nodes("owners"), nodes("also"));
        let state = &self.state;
        let owners = |key: &Bytes| {
            let owners = state.all_owners(KEYSPACE, state.partition_of(key));
            (owners.read.to_vec(), owners.also_written.to_vec())
        };
        let candidates = || (0..10_000).map(|number| Bytes::from(format!("{}{number}", words.plain[1])));
        let key = candidates().find(|key| owners(key) == wanted).unwrap_or_else(|| {
            let there: BTreeSet<_> = candidates().map(|key| owners(&key)).collect();
            panic!("no key has the owners {wanted:?}; there are {there:?}")
        });
        self.keys.insert(words.plain[1].to_owned(), key);
    }

    /// `cluster-state join n4`, `begin`, `advance`, `drop`, `alter w=3`: the cluster state becomes another, and this node does not hear
    /// of it yet. Movements begin, and go on, all at once.
    fn change_state(&mut self, words: &Words<'_>) {
        let name = || words.plain[2].to_owned();
        let keyspace = self.state.keyspace(KEYSPACE);
        let command = match words.plain[1] {
            "join" => cluster::Command::Join { plan: Box::new(member(&name(), "dc1")), replaces: None },
            "drain" => cluster::Command::Drain { names: vec![name()], below_n: true },
            "cancel" => cluster::Command::Cancel { name: name() },
            "begin" => cluster::Command::Begin { partitions: self.state.waiting_to_move().collect() },
            "advance" => cluster::Command::Advance {
                of: self.state.partitions().count(),
                steps: self
                    .state
                    .movements()
                    .iter()
                    .map(|(partition, movement)| Step {
                        partition: *partition,
                        session: movement.session,
                        stage: movement.stage,
                    })
                    .collect(),
            },
            "drop" => cluster::Command::DropKeyspace { keyspace: KEYSPACE, name: "script".to_owned() },
            "alter" => cluster::Command::AlterKeyspace {
                keyspace: Box::new(Keyspace {
                    r: words.level("r").unwrap_or(keyspace.unwrap().r),
                    w: words.level("w").unwrap_or(keyspace.unwrap().w),
                    ..keyspace.unwrap().clone()
                }),
                since: keyspace.unwrap().since,
            },
            other => panic!("no such change: {other}"),
        };
        self.state = Arc::new(self.state.apply(&command).unwrap());
    }

    /// This node hears of the cluster state that there is. It sees who it saw before, and those that are new.
    fn news(&mut self, out: &mut Vec<Effect>) {
        let before = Arc::clone(&self.topology);
        let mut topology = Topology::new(Arc::clone(&self.state), before.here, Incarnation(1)).unwrap();
        for member in self.state.members() {
            if before.is_reachable(member.id) || before.state.member(member.id).is_none() {
                topology = topology.with_reachable(member.id, Incarnation(u64::from(member.id.0)));
            }
        }
        self.topology = Arc::new(topology);
        self.operations.set_topology(self.now, Arc::clone(&self.topology), out);
    }

    /// `9`, or the epoch of the cluster state that there is.
    fn epoch(&self, word: Option<&&str>) -> Epoch {
        word.map_or(self.state.epoch(), |number| Epoch(number.parse().unwrap()))
    }

    fn key(&self, name: &str) -> Bytes {
        self.keys.get(name).cloned().unwrap_or_else(|| Bytes::copy_from_slice(name.as_bytes()))
    }

    fn command(&self, words: &Words<'_>) -> Command {
        let scope = match words.named.get("slot") {
            Some(key) => Scope::Slot(Slot::of_key(&self.key(key)).number()),
            None => Scope::Cluster,
        };
        let keyspace = KEYSPACE;
        match words.plain[0] {
            "batch" => Command::Batch(words.plain[1..].iter().map(|one| self.part(one, words)).collect()),
            "scan" => Command::Scan(ScanRequest {
                keyspace,
                cursor: words.number("cursor", 0),
                count: usize::try_from(words.number("count", 10)).unwrap(),
                scope,
            }),
            "count" => Command::Count { keyspace, scope },
            "random" => Command::RandomKey { keyspace, scope },
            "explain" => Command::Explain { keyspace, key: self.key(words.plain[1]) },
            "wait" => Command::AwaitAcknowledgements {
                operation: OperationId(FIRST_ID + words.number("op", 1)),
                replicas: words.plain[1].parse().unwrap(),
            },
            _ => Command::Key(self.request(&words.plain, words)),
        }
    }

    /// `get:k` or `put:k:v`, of a batch.
    fn part(&self, text: &str, words: &Words<'_>) -> KeyRequest {
        self.request(&text.split(':').collect::<Vec<_>>(), words)
    }

    fn request(&self, plain: &[&str], words: &Words<'_>) -> KeyRequest {
        let (read, write) = (words.level("r"), words.level("w"));
        let operation = match plain[0] {
            "get" => Operation::Get {
                read,
                context: words.named.get("seen").map(|seen| record(seen).context()),
                detail: Detail::Values,
            },
            "put" => Operation::Put {
                value: Bytes::copy_from_slice(plain[2].as_bytes()),
                context: None,
                write,
                expiry: if plain.get(3) == Some(&"keepttl") {
                    ExpiryChange::Keep
                } else {
                    ExpiryChange::Clear
                },
                priority: 0,
            },
            "del" => Operation::Delete { context: None, write, read },
            "expire" => Operation::Expire {
                change: ExpiryChange::At(WallTime(plain[2].parse().unwrap())),
                read,
                write,
            },
            "persist" => Operation::Expire { change: ExpiryChange::Clear, read, write },
            other => panic!("no such command: {other}"),
        };
        KeyRequest { keyspace: KEYSPACE, key: self.key(plain[1]), operation }
    }

    /// `passed n4 op=77 put k v`: a peer passes a client's write on; with `named=10`, under a name of that stamp.
    fn passed(&mut self, words: &Words<'_>, out: &mut Vec<Effect>) {
        let ticket = self.ticket_of(words.plain[1], words);
        let request = self.request(&words.plain[2..], words);
        let name = words.named.get("named").map(|stamp| {
            let version = version(&format!("{}@{stamp}", words.plain[4]));
            WriteName { dot: version.dot, stamp: version.stamp }
        });
        self.operations.passed(self.now, ticket, 5000, Forward { request, name }, out);
    }

    /// `n4 unname op=77`: a peer leaves it to this node to name what it passed on.
    fn unname(&mut self, words: &Words<'_>, out: &mut Vec<Effect>) {
        let ticket = self.ticket_of(words.plain[0], words);
        let waits = self.operations.unnamed(self.now, ticket, out);
        assert_eq!(waits, !words.named.contains_key("over"), "whether it waits for a name");
    }

    fn ticket_of(&self, peer: &str, words: &Words<'_>) -> Ticket {
        Ticket {
            from: node_id(peer),
            of: ShardId(0),
            via: ShardId(0),
            operation: OperationId(words.number("op", 1)),
            round: 0,
            partition: PartitionId(0),
            epoch: Epoch(1),
            until: self.now.mono + Duration::from_secs(5),
        }
    }

    /// `made x@10`: this node's replica has made the record that it was to make; or `made error WHY`.
    fn made(&mut self, words: &Words<'_>, out: &mut Vec<Effect>) {
        let (operation, make) = self.make.take().expect("something was to be made");
        let made = if words.plain[1] == "error" {
            Err(MakeError::Overloaded(words.plain[2..].join(" ")))
        } else if words.plain[1] == "gone" {
            Err(MakeError::Gone)
        } else if words.plain[1] == "stale" {
            Err(MakeError::Stale { newest: self.epoch(None) })
        } else if words.plain[1] == "not-as-named" {
            Err(MakeError::NotAsNamed)
        } else {
            let record = record(words.plain[1]);
            let dot = make
                .again
                .map_or(record.versions().first().map(|version| version.dot), |again| Some(again.dot));
            let expires = matches!(make.change, Change::Expire { .. });
            Ok(Made {
                record: record.to_bytes(),
                context: record.context(),
                dot: if expires { None } else { dot },
                path: if expires { WritePath::Merge } else { WritePath::Client },
            })
        };
        self.operations.made(self.now, OperationId(FIRST_ID + operation), made, out);
    }

    /// `n2 found x@5`, `n2 stored op=1 round=1`, `n2 lost`: a node says something, or something happens to it.
    fn node(&mut self, words: &Words<'_>, out: &mut Vec<Effect>) {
        let node = node_id(words.plain[0]);
        let operation = words.number("op", self.last_operation());
        let id = OperationId(FIRST_ID + operation);
        match words.plain[1] {
            "down" => self.see(|topology| topology.with_unreachable(node), out),
            "up" => self.see(|topology| topology.with_reachable(node, Incarnation(1)), out),
            "full" => self.see(|topology| topology.with_disk(node, true), out),
            "has-room" => self.see(|topology| topology.with_disk(node, false), out),
            "lost" => {
                self.see(|topology| topology.with_unreachable(node), out);
                self.operations.peer_lost(self.now, node, out);
            }
            "unname" => self.unname(words, out),
            "not-sent" => self.operations.not_sent(self.now, node, id, out),
            _ => {
                let asked = self.rounds.get(&(operation, node)).copied();
                let asked = asked.expect("only who was asked answers");
                let round = u32::try_from(words.number("round", u64::from(asked))).unwrap();
                let reply = self.reply(&words.plain[1..], words);
                self.operations.replied(self.now, node, (id, round), reply, out);
            }
        }
    }

    fn see(&mut self, change: impl FnOnce(&Topology) -> Topology, out: &mut Vec<Effect>) {
        self.topology = Arc::new(change(&self.topology));
        self.operations.set_topology(self.now, Arc::clone(&self.topology), out);
    }

    fn last_operation(&self) -> u64 {
        self.rounds.keys().map(|(operation, _)| *operation).max().unwrap_or(1)
    }

    fn reply(&self, plain: &[&str], words: &Words<'_>) -> ReplicaReply {
        let rest = || plain[1..].join(" ");
        match plain[0] {
            "found" => ReplicaReply::Found {
                record: record(plain[1]).to_bytes(),
                synced: plain.get(2) != Some(&"unsynced"),
            },
            "absent" => ReplicaReply::Absent,
            "settled" => ReplicaReply::Settled,
            "covering" => ReplicaReply::Covering { record: None, synced: true },
            "stored" => ReplicaReply::Stored,
            "not-as-named" => ReplicaReply::NotAsNamed,
            "not-passed-on" => ReplicaReply::NotPassedOn { to: node_id(plain[1]) },
            "refused" => ReplicaReply::Refused { held: Stamp::new(plain[1].parse().unwrap(), 0) },
            "failed" => ReplicaReply::Failed { why: rest() },
            "cannot-say" => ReplicaReply::CannotSay { why: rest() },
            "stale" => ReplicaReply::StaleEpoch { newest: self.epoch(plain.get(1)) },
            "counted" => ReplicaReply::Counted { live: plain[1].parse().unwrap(), next: self.place(words) },
            "scanned" => ReplicaReply::Scanned(ScanAnswer {
                entries: self.entries(&plain[1..]),
                next: self.place(words),
            }),
            "forwarded" => ReplicaReply::Forwarded(Box::new(match plain[1] {
                "written" => Ok(api::Reply::Written(api::Written {
                    operation: OperationId(words.number("as", 1)),
                    acknowledged: u8::try_from(words.number("holders", 2)).unwrap(),
                    ..api::Written::default()
                })),
                "unavailable" => Err(api::Error::Unavailable {
                    action: api::Action::Write,
                    level: Level::Quorum,
                    needed: 2,
                    got: 1,
                    owners: 3,
                    detail: plain[2..].join(" "),
                }),
                _ => Err(api::Error::Overloaded(plain[2..].join(" "))),
            })),
            other => panic!("no such reply: {other}"),
        }
    }

    /// Keys with their records: `a=` does not read well, so `a@5` is the key a with a value of stamp 5, `!a@5` deleted.
    fn entries(&self, words: &[&str]) -> Vec<ScanEntry> {
        let entry = |word: &&str| {
            let name = word.trim_start_matches('!').split('@').next().unwrap();
            let key = self.key(name);
            ScanEntry {
                slot: Slot::of_key(&key).number(),
                hash: key_hash(&key),
                record: record(word).strip_values().to_bytes(),
                key,
            }
        };
        let mut entries: Vec<ScanEntry> = words.iter().map(entry).collect();
        entries.sort_by_key(|entry| (entry.slot, entry.hash));
        entries
    }

    /// `next=a`: go on at this key.
    fn place(&self, words: &Words<'_>) -> Option<(u16, u64)> {
        let key = self.key(words.named.get("next")?);
        Some((Slot::of_key(&key).number(), prefix_of(key_hash(&key))))
    }

    /// Remembers what must be known to answer, and says the effect in words.
    fn note(&mut self, effect: Effect) -> String {
        let text = text::effect(&effect, FIRST_ID, self);
        match effect {
            Effect::Send(to, envelope) => {
                let operation = envelope.operation.0 - FIRST_ID;
                if matches!(envelope.body, Body::Request(_)) {
                    self.rounds.insert((operation, to), envelope.round);
                }
                if let Body::Request(ReplicaRequest::Relay(relay)) = envelope.body {
                    let others = relay.others.into_iter();
                    self.rounds.extend(others.map(|other| ((operation, other.node), envelope.round)));
                }
            }
            Effect::Serve(ticket, _) => {
                self.rounds.insert((ticket.operation.0 - FIRST_ID, ticket.from), ticket.round);
            }
            Effect::Make(ticket, make) => {
                let operation = ticket.operation.0 - FIRST_ID;
                self.rounds.insert((operation, ticket.from), ticket.round);
                self.make = Some((operation, *make));
            }
            Effect::Show { .. }
            | Effect::Answer(..)
            | Effect::Forwarded(..)
            | Effect::NotAsNamed(_)
            | Effect::NotTaken(..)
            | Effect::News { .. } => {}
        }
        text
    }
}

/// `hedges=1`: a budget of one, and a tenth of what is earned.
fn share(words: &Words<'_>, name: &str) -> Share {
    Share { percent: 10, per_second: 0, burst: u32::try_from(words.number(name, 100)).unwrap() }
}

/// `3` in each data center, or `dc1:3` in that one only.
fn copies(text: &str) -> ReplicaCount {
    match text.split_once(':') {
        None => ReplicaCount::Everywhere(text.parse().unwrap()),
        Some((name, count)) => {
            ReplicaCount::PerDataCenter(BTreeMap::from([(name.to_owned(), count.parse().unwrap())]))
        }
    }
}

/// A node in a rack of its own.
fn member(name: &str, data_center: &str) -> MemberPlan {
    MemberPlan {
        name: name.to_owned(),
        data_center: data_center.to_owned(),
        rack: format!("r{}", node_id(name).0),
        weight: 1.0,
        addresses: Addresses::default(),
    }
}

fn node_id(name: &str) -> NodeId {
    NodeId(name.trim_start_matches('n').parse().unwrap())
}

/// `x@5`: the value x of stamp 5; `!x@5`: its tombstone; `x@5-900`: expires at 900. `{x@5,y@6}`: siblings.
pub(crate) fn record(text: &str) -> Record {
    if let Some(inside) = text.strip_prefix('{') {
        let inside = inside.trim_end_matches('}');
        let each = inside.split(',').filter(|one| !one.is_empty());
        let one = |text: &str| {
            let alone = Siblings::new().put(&Context::Empty, version(text)).unwrap();
            Record::Siblings(alone)
        };
        return each.map(one).reduce(|all, one| all.merge(&one).unwrap()).expect("some siblings");
    }
    Record::Lww(Lww::new(version(text)))
}

fn version(text: &str) -> Version {
    let (name, rest) = text.split_once('@').expect("VALUE@STAMP");
    let (stamp, expires) = match rest.split_once('-') {
        Some((stamp, at)) => (stamp, Some(WallTime(at.parse().unwrap()))),
        None => (rest, None),
    };
    let stamp = Stamp::new(stamp.parse().unwrap(), 0);
    let (value, payload) = match name.strip_prefix('!') {
        Some(name) => (name, Payload::Tombstone),
        None => (name, Payload::Value(Bytes::copy_from_slice(name.as_bytes()))),
    };
    // One name, one write: its dot follows from it.
    let dot = Dot {
        actor: Actor { incarnation: Incarnation(key_hash(value.as_bytes())), stint: Stint(1) },
        counter: 1,
    };
    let version = Version::new(dot, stamp, payload, OperationId(1));
    Version { expiry: Expiry { stamp, at: expires }, ..version }
}
