//! A cluster of gossiping nodes on virtual time, from one seed: messages that are lost, delayed and cut off, nodes that
//! are paused, killed and started again. The tests of the cluster and the example of convergence both use it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a module of tests; each of its users needs a part of it"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use env::Rng;
use gossip::{Change, Generation, Gossip, Options, Outgoing, SEAL_BYTES, Verdict};
use types::{Incarnation, Instant, NodeId};

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Round(NodeId),
    Message { from: NodeId, to: NodeId, bytes: Vec<u8> },
}

/// One node, with what happens to it.
pub struct Node {
    pub gossip: Gossip,
    pub is_running: bool,
    pub paused_until: Instant,
    /// How much later than due each of its rounds comes, at most.
    pub lag_max: Duration,
    /// What is lost of what is sent to it, in thousandths.
    pub deafness: u64,
    pub changes: Vec<Change>,
    pub bytes_sent: u64,
    pub messages_sent: u64,
    generation: u64,
}

/// The cluster.
pub struct Cluster {
    pub now: Instant,
    pub nodes: BTreeMap<NodeId, Node>,
    /// What is lost of all messages, in thousandths.
    pub loss: u64,
    /// Links that carry nothing, in that direction.
    pub cuts: BTreeSet<(NodeId, NodeId)>,
    pub longest_message: usize,
    options: Options,
    rng: Rng,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
}

impl Cluster {
    /// Nodes 0 to `count` - 1, which start within one round and know each other's ids.
    pub fn new(count: u16, options: Options, seed: u64) -> Cluster {
        let mut cluster = Cluster {
            now: Instant(1_000_000_000),
            nodes: BTreeMap::new(),
            loss: 0,
            cuts: BTreeSet::new(),
            longest_message: 0,
            options,
            rng: Rng::from_seed(seed),
            events: BinaryHeap::new(),
            order: 0,
        };
        let round = cluster.options.round;
        for id in (0..count).map(NodeId) {
            let node = Node {
                gossip: cluster.gossip(id, 1, cluster.now),
                is_running: true,
                paused_until: Instant(0),
                lag_max: Duration::ZERO,
                deafness: 0,
                changes: Vec::new(),
                bytes_sent: 0,
                messages_sent: 0,
                generation: 1,
            };
            cluster.nodes.insert(id, node);
            let first = cluster.now + cluster.within(round);
            cluster.schedule(first, Event::Round(id));
        }
        let members: Vec<_> = cluster.nodes.keys().map(|id| (*id, None)).collect();
        for node in cluster.nodes.values_mut() {
            node.gossip.set_members(cluster.now, members.iter().copied());
        }
        cluster
    }

    fn gossip(&self, id: NodeId, generation: u64, now: Instant) -> Gossip {
        let incarnation = Incarnation(u64::from(id.0) * 7_919 + 1);
        Gossip::new(self.options.clone(), id, incarnation, Generation(generation), now).unwrap()
    }

    pub fn node(&mut self, id: u16) -> &mut Node {
        self.nodes.get_mut(&NodeId(id)).unwrap()
    }

    /// Lets `rounds` rounds of everybody pass.
    pub fn run(&mut self, rounds: u32) {
        let until = self.now + self.options.round * rounds;
        while self.events.peek().is_some_and(|Reverse((at, _, _))| *at <= until) {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    /// Lets rounds pass until `done`, and says how many; nothing if it takes more than `most`.
    pub fn run_until(&mut self, most: u32, done: impl Fn(&Cluster) -> bool) -> Option<u32> {
        for round in 0..=most {
            if done(self) {
                return Some(round);
            }
            self.run(1);
        }
        None
    }

    pub fn kill(&mut self, id: u16) {
        self.node(id).is_running = false;
    }

    pub fn start(&mut self, id: u16) {
        let members: Vec<_> = self.nodes.keys().map(|id| (*id, None)).collect();
        let (now, generation) = (self.now, self.node(id).generation + 1);
        let mut gossip = self.gossip(NodeId(id), generation, now);
        gossip.set_members(now, members);
        let node = self.node(id);
        (node.gossip, node.generation, node.is_running) = (gossip, generation, true);
        self.schedule(now, Event::Round(NodeId(id)));
    }

    pub fn pause(&mut self, id: u16, rounds: u32) {
        self.node(id).paused_until = self.now + self.options.round * rounds;
    }

    /// Cuts every link between the two sides, in both directions.
    pub fn split(&mut self, is_left: impl Fn(u16) -> bool) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for from in &ids {
            self.cuts.extend(ids.iter().filter(|to| is_left(from.0) != is_left(to.0)).map(|to| (*from, *to)));
        }
    }

    pub fn running(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.is_running).map(|(id, node)| (*id, node))
    }

    /// How many running nodes other than itself take `id` for `verdict`.
    pub fn count(&self, id: u16, verdict: Verdict) -> usize {
        let id = NodeId(id);
        self.running().filter(|(other, node)| *other != id && node.gossip.verdict(id) == verdict).count()
    }

    /// Whether all running nodes take each other for up.
    pub fn is_whole(&self) -> bool {
        self.running()
            .all(|(_, node)| self.running().all(|(other, _)| node.gossip.verdict(other) == Verdict::Up))
    }

    /// Every change so far: at which node, and what.
    pub fn changes(&self) -> impl Iterator<Item = (NodeId, Change)> {
        self.nodes.iter().flat_map(|(id, node)| node.changes.iter().map(|change| (*id, *change)))
    }

    fn within(&mut self, duration: Duration) -> Duration {
        Duration::from_nanos(self.rng.below(u64::try_from(duration.as_nanos()).unwrap()))
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn happen(&mut self, event: Event) {
        let id = match &event {
            Event::Round(id) => *id,
            Event::Message { to, .. } => *to,
        };
        let node = self.nodes.get_mut(&id).unwrap();
        if node.paused_until > self.now {
            let at = node.paused_until;
            return self.schedule(at, event);
        }
        if !node.is_running {
            return;
        }
        let mut out = Vec::new();
        match event {
            Event::Round(_) => {
                node.gossip.round(self.now, &mut self.rng, &mut out);
                node.changes.extend(node.gossip.changes());
                let (due, lag_max) = (node.gossip.next_round(), node.lag_max + Duration::from_nanos(1));
                let at = due + self.within(lag_max);
                self.schedule(at, Event::Round(id));
            }
            Event::Message { from, bytes, .. } => {
                node.gossip.receive(self.now, from, &bytes, &mut out).unwrap();
            }
        }
        for outgoing in out {
            self.send(id, outgoing);
        }
    }

    fn send(&mut self, from: NodeId, outgoing: Outgoing) {
        let Outgoing { to, message: bytes } = outgoing;
        let length = bytes.len() + SEAL_BYTES;
        assert!(length <= self.options.message_bytes_max, "{length} bytes");
        self.longest_message = self.longest_message.max(length);
        let node = self.nodes.get_mut(&from).unwrap();
        node.bytes_sent += length as u64;
        node.messages_sent += 1;
        let deafness = self.nodes.get(&to).map_or(0, |node| node.deafness);
        let is_lost = self.rng.chance(self.loss, 1_000) || self.rng.chance(deafness, 1_000);
        if is_lost || self.cuts.contains(&(from, to)) {
            return;
        }
        let at = self.now + Duration::from_millis(1) + self.within(Duration::from_millis(50));
        self.schedule(at, Event::Message { from, to, bytes });
    }
}
