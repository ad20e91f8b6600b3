//! The state machine of one node's gossip.
//!
//! It is told of time, of messages that came and of requests that failed or were answered, and lists messages to send;
//! a driver carries them. Always true: nothing that anybody says of a stranger is kept, nothing that anybody says of
//! *this* node is believed, and verdicts change only in [`Gossip::round`], so a caller who asked for [`Gossip::changes`]
//! after a round has missed none.
//!
//! A node that was paused, or lagged, has not listened, and its silence would look like everybody else's. It knows
//! that by its own round, which comes too late; it then forgives everybody once and begins its windows anew, before it
//! looks at anything that waited for it meanwhile.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use env::Rng;
use types::{Incarnation, Instant, NodeId};

use crate::codec::{self, DecodeError};
use crate::detector::Limits;
use crate::member::Member;
use crate::message::{self, Entry, Message};
use crate::options::{FACT_OVERHEAD_BYTES, FACTS_BYTES_MAX, Options, OptionsError};
use crate::rotation::Rotation;
use crate::state::{Difference, Generation, Key, Learned, NodeState, Pulse, Start};
use crate::verdict::{Change, Verdict};

/// What an entry of a digest takes, nearly always; a guess at rhythms rests on it and nothing else does.
const ENTRY_BYTES_USUAL: usize = 10;

/// A message to send. It is not sealed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: NodeId,
    /// Its bytes; with [`crate::SEAL_BYTES`] more they are within [`Options::message_bytes_max`].
    pub message: Vec<u8>,
}

/// Why a message was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The sender is no member, or this node is none.
    #[error("gossip from {0}, and not both of us are members of the cluster")]
    Stranger(NodeId),
    /// The sender runs on a data directory that is not the member's.
    #[error("gossip from {node} with incarnation {incarnation}, which is not the one that the cluster knows")]
    Incarnation {
        /// Who.
        node: NodeId,
        /// The incarnation that it claims.
        incarnation: Incarnation,
    },
    /// It is no message.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
}

/// Why a fact was not set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FactError {
    /// Suspicions come from silence and failed requests.
    #[error("the fact {} is written by gossip itself", .0.number())]
    Reserved(Key),
    /// There is no room in one message.
    #[error("a node's facts would take {wanted} bytes, of which there are {FACTS_BYTES_MAX}; say less")]
    TooLarge {
        /// What they would take together.
        wanted: usize,
    },
}

/// What a node knows of the cluster's liveness.
#[derive(Clone, Debug)]
pub struct Gossip {
    pub(crate) options: Options,
    pub(crate) limits: Limits,
    pub(crate) me: NodeId,
    pub(crate) start: Start,
    /// All members, and this node, be it one or not.
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) is_member: bool,
    /// Facts of this node that go out with its next heartbeat.
    pub(crate) unpublished: BTreeMap<Key, Vec<u8>>,
    pub(crate) changes: BTreeMap<NodeId, Change>,
    /// Who goes into a message first.
    pub(crate) rotation: Rotation,
    due: Instant,
    impersonated: Option<Pulse>,
}

impl Gossip {
    /// The gossip of node `me`, in a cluster of which it is told nothing yet. Its first round is due at once.
    pub fn new(
        options: Options,
        me: NodeId,
        incarnation: Incarnation,
        generation: Generation,
        now: Instant,
    ) -> Result<Gossip, OptionsError> {
        options.check()?;
        let start = Start { generation, incarnation };
        let mut own = Member::new(now, None);
        own.be(start);
        let mut gossip = Gossip {
            limits: Limits::new(&options, options.round),
            options,
            me,
            start,
            members: BTreeMap::from([(me, own)]),
            is_member: false,
            unpublished: BTreeMap::new(),
            changes: BTreeMap::new(),
            rotation: Rotation::default(),
            due: now,
            impersonated: None,
        };
        gossip.rotation.add(me);
        gossip.guess_rhythm();
        Ok(gossip)
    }

    /// The members, as the cluster state has them; where it names a member's incarnation, no other is believed. What
    /// is known of those that are not among them is forgotten.
    pub fn set_members(
        &mut self,
        now: Instant,
        members: impl IntoIterator<Item = (NodeId, Option<Incarnation>)>,
    ) {
        let members: BTreeMap<NodeId, Option<Incarnation>> = members.into_iter().collect();
        self.is_member = members.contains_key(&self.me);
        self.members.retain(|node, member| {
            let pinned = members.get(node).copied().flatten();
            let known = member.state.as_ref().map(|state| state.start().incarnation);
            let replaced = pinned.is_some() && known.is_some() && pinned != known;
            member.pinned = pinned;
            *node == self.me || (members.contains_key(node) && !replaced)
        });
        self.changes.retain(|node, _| members.contains_key(node));
        self.rotation.retain(|node| self.members.contains_key(&node));
        for (node, pinned) in members {
            self.rotation.add(node);
            self.members.entry(node).or_insert_with(|| Member::new(now, pinned));
        }
        self.guess_rhythm();
    }

    /// Does what is due: judges, raises this node's heartbeat, and begins exchanges. Of no effect before
    /// [`Gossip::next_round`].
    pub fn round(&mut self, now: Instant, rng: &mut Rng, out: &mut Vec<Outgoing>) {
        if now < self.due {
            return;
        }
        self.notice_lag(now);
        self.judge(now);
        let hot = self.hot_sendings();
        let changed = std::mem::take(&mut self.unpublished);
        if !changed.is_empty() {
            self.rotation.heat(self.me, hot);
        }
        if let Some(state) = &mut self.own_mut().state {
            state.beat(changed);
        }
        if self.is_member {
            for to in self.choose_peers(rng) {
                let opening = self.opening();
                out.push(Outgoing { to, message: codec::encode(&opening) });
            }
        }
        let nanos = u64::try_from(self.options.round.as_nanos()).unwrap_or(u64::MAX);
        // A twentieth more or less, so that nodes that started together do not speak together for ever.
        let earliest = nanos - nanos / 20;
        self.due = now + Duration::from_nanos(earliest.saturating_add(rng.below(nanos / 10 + 1)));
    }

    /// When the next round is due.
    pub fn next_round(&self) -> Instant {
        self.due
    }

    /// Takes in a message of `from`, who must be known to be the sender: by [`crate::Seal::open`], or by the
    /// connection. What there is to reply is added to `out`.
    pub fn receive(
        &mut self,
        now: Instant,
        from: NodeId,
        message: &[u8],
        out: &mut Vec<Outgoing>,
    ) -> Result<(), Refused> {
        self.notice_lag(now);
        let sender = self.members.get(&from).filter(|_| self.is_member && from != self.me);
        let sender = sender.ok_or(Refused::Stranger(from))?;
        let message = codec::decode(message)?;
        let incarnation = message.incarnation;
        if sender.refuses(incarnation) {
            return Err(Refused::Incarnation { node: from, incarnation });
        }
        let Message { step, entries, states, .. } = message;
        for (node, difference) in states {
            self.take_state(now, node, difference);
        }
        for (node, entry) in &entries {
            self.take_entry(now, *node, entry);
        }
        if let Some(reply) = self.reply(step, &entries) {
            out.push(Outgoing { to: from, message: codec::encode(&reply) });
        }
        Ok(())
    }

    /// A request to `node` failed: refused, broken off, or not answered in time. That alone is no suspicion, but it
    /// shortens the silence that is one.
    pub fn request_failed(&mut self, now: Instant, node: NodeId) {
        self.notice_lag(now);
        if let Some(member) = self.other_mut(node) {
            member.arrivals.failed();
        }
    }

    /// A request to `node` was answered, be it with an error: it is alive, whatever others say, and as long as that is
    /// not too long ago itself.
    pub fn request_succeeded(&mut self, now: Instant, node: NodeId) {
        self.notice_lag(now);
        if let Some(member) = self.other_mut(node) {
            member.arrivals.answered(now);
            member.answered = true;
            member.standing.release();
        }
    }

    /// States a fact about this node, which goes out with its next heartbeat; an empty value takes it back. A fact that
    /// is stated again costs nothing; one that changes each round is news in each round, so state what a reader would
    /// act upon.
    pub fn set_fact(&mut self, key: Key, value: &[u8]) -> Result<(), FactError> {
        if key == Key::SUSPECTS {
            return Err(FactError::Reserved(key));
        }
        let published = self.own().state.iter().flat_map(NodeState::facts);
        let mut lengths: BTreeMap<Key, usize> =
            published.map(|(key, fact)| (*key, fact.value.len())).collect();
        lengths.extend(self.unpublished.iter().map(|(key, value)| (*key, value.len())));
        lengths.insert(key, value.len());
        lengths.remove(&Key::SUSPECTS);
        let wanted = lengths.values().map(|length| length + FACT_OVERHEAD_BYTES).sum();
        if wanted > FACTS_BYTES_MAX {
            return Err(FactError::TooLarge { wanted });
        }
        if self.own().fact(key).unwrap_or_default() == value {
            self.unpublished.remove(&key);
        } else {
            self.unpublished.insert(key, value.to_vec());
        }
        Ok(())
    }

    /// What `node` last said under `key`.
    pub fn fact(&self, node: NodeId, key: Key) -> Option<&[u8]> {
        self.members.get(&node).and_then(|member| member.fact(key))
    }

    /// What `node` is taken for, as of the last round. This node takes itself for up; strangers were never heard.
    pub fn verdict(&self, node: NodeId) -> Verdict {
        if node == self.me {
            return Verdict::Up;
        }
        self.members.get(&node).map(|member| member.standing.verdict()).unwrap_or_default()
    }

    /// Whose verdict is another than when this was last asked, by ascending node.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes).into_values().collect()
    }

    /// A point in this node's life that others know and that this node has not lived: somebody else runs under its id,
    /// or its generation did not rise when it started. While that is so, others do not hear it.
    pub fn impersonated(&self) -> Option<Pulse> {
        self.impersonated
    }

    /// Begins a life of this node that is later than the one others take it to be in, if they know of any; where that
    /// was. A clock that was set back between two starts, or a data directory that was emptied, leaves a node whom nobody
    /// hears until it does. Facts go out again with its next heartbeat.
    pub fn outlive(&mut self) -> Option<Pulse> {
        let known = self.impersonated.take()?;
        let facts: Vec<(Key, Vec<u8>)> = self
            .own()
            .state
            .iter()
            .flat_map(NodeState::facts)
            .filter(|(key, _)| **key != Key::SUSPECTS)
            .map(|(key, fact)| (*key, fact.value.clone()))
            .collect();
        self.start.generation = Generation(known.generation.0.saturating_add(1));
        let start = self.start;
        self.own_mut().be(start);
        for (key, value) in facts {
            self.unpublished.entry(key).or_insert(value);
        }
        Some(known)
    }

    /// Which node this is.
    pub fn me(&self) -> NodeId {
        self.me
    }

    pub(crate) fn own(&self) -> &Member {
        self.members.get(&self.me).expect("a node knows itself from the beginning and is never forgotten")
    }

    pub(crate) fn own_mut(&mut self) -> &mut Member {
        self.members.get_mut(&self.me).expect("a node knows itself from the beginning and is never forgotten")
    }

    fn other_mut(&mut self, node: NodeId) -> Option<&mut Member> {
        self.members.get_mut(&node).filter(|_| node != self.me)
    }

    /// How often what is new goes first: three times the logarithm of the members, after which nearly everybody has
    /// heard it from somebody.
    fn hot_sendings(&self) -> u8 {
        let doublings = (self.members.len() + 1).ilog2() + 1;
        u8::try_from(3 * doublings).unwrap_or(u8::MAX)
    }

    /// How often to expect a heartbeat of somebody who was hardly heard: every other round, and as many rounds later
    /// as it takes messages to name everybody.
    fn guess_rhythm(&mut self) {
        let entries = (self.options.body_bytes_max() / ENTRY_BYTES_USUAL).max(1);
        let rounds = u32::try_from(2 + self.members.len() / entries).unwrap_or(u32::MAX);
        self.limits = Limits::new(&self.options, self.options.round.saturating_mul(rounds));
    }

    /// Forgives everybody where this node itself was away.
    fn notice_lag(&mut self, now: Instant) {
        if now.since(self.due) <= self.options.lag_max {
            return;
        }
        self.due = now;
        for member in self.members.values_mut() {
            member.arrivals.begin_anew(now);
            member.suspected_at = None;
            member.answered = false;
            member.standing.release();
        }
    }

    fn take_state(&mut self, now: Instant, node: NodeId, difference: Difference) {
        let start = difference.start;
        let pulse = Pulse { generation: start.generation, heartbeat: difference.heartbeat };
        if node == self.me {
            self.check_myself(pulse, start.incarnation == self.start.incarnation);
            return;
        }
        let hot = self.hot_sendings();
        let Some(member) = self.members.get_mut(&node).filter(|member| !member.refuses(start.incarnation))
        else {
            return;
        };
        if member.learn(difference) == Learned::Facts {
            self.rotation.heat(node, hot);
        }
        let held = member.state.as_ref().map(NodeState::pulse);
        if held >= Some(pulse) {
            hear(member, now, pulse, &self.limits);
        }
        // Of a start that was over before anybody had its state the others remember the heartbeat alone, and say it when they accuse.
        if let Some(accused) = member.accuses.get(&self.me).copied() {
            self.check_myself(accused, true);
        }
    }

    fn take_entry(&mut self, now: Instant, node: NodeId, entry: &Entry) {
        if node == self.me {
            let same = entry.tag == message::tag(self.start.incarnation);
            if entry.is_known() {
                self.check_myself(entry.pulse, same);
            }
            return;
        }
        let Some(member) = self.members.get_mut(&node).filter(|_| entry.is_known()) else { return };
        if member.pinned.is_some_and(|pinned| message::tag(pinned) != entry.tag) {
            return;
        }
        if let Some(state) = member.state.as_mut().filter(|state| entry.is_of(state.start())) {
            state.advance(entry.pulse.heartbeat, entry.newest_fact);
        }
        hear(member, now, entry.pulse, &self.limits);
    }

    /// Others hear of this node from this node only, and cannot know more of it than it does.
    fn check_myself(&mut self, said: Pulse, same_incarnation: bool) {
        let own = self.own().state.as_ref().map(NodeState::pulse).unwrap_or_default();
        let same_start = said.generation == own.generation;
        if said > own || (same_start && !same_incarnation) {
            self.impersonated = Some(said);
        }
    }
}

/// A heartbeat of `member` was heard, by whatever path; of no effect if it is not newer than those before.
fn hear(member: &mut Member, now: Instant, pulse: Pulse, limits: &Limits) {
    if member.heard >= Some(pulse) {
        return;
    }
    if member.heard.is_some_and(|heard| heard.generation == pulse.generation) {
        member.arrivals.heard(now, limits);
    } else {
        member.arrivals.restarted(now);
    }
    member.heard = Some(pulse);
    member.answered = false;
    member.suspected_at = None;
}
