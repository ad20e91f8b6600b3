//! This node as one of those who keep the history.
//!
//! The group agrees on commands, in one order; here each is applied as it comes. What must hold (INVARIANTS G2, G5): the group is told
//! that a write is durable only when it is; the state that commands are applied to follows from the log alone, never from what this
//! node has heard elsewhere; and whoever proposed something is told what came of it, or that this is not known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::{ClusterState, Command, Refused};
use consensus::{
    Effect, Entry, Group, MemberId, Message, Options, Payload, Position, Role, Store, Stored, Write,
};
use types::{Instant, Moment, NodeId};
use wire::{Govern, Proposed};

use super::news::history_of;
use super::recovering::{seal, unseal};
use super::store::{Opened, Work};
use super::{Act, Governing, voters};

/// The most proposals of others that wait at once.
const PROPOSALS_MAX: usize = 1024;

/// For whom something was proposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proposer {
    /// A client of this node, by the number of what it asked.
    Here(u64),
    /// A peer, by its number.
    Peer(NodeId, u64),
    /// The cluster itself.
    Itself,
}

/// A member of the group.
#[derive(Debug)]
pub(super) struct Keeper {
    member: MemberId,
    /// Made at the first turn, when the time is known.
    group: Option<Box<Group>>,
    stored: Option<Box<Stored>>,
    /// Nothing while it is being written to.
    store: Option<Box<Store>>,
    writes: VecDeque<(u64, Write)>,
    /// What came before there was a group, or comes of it, and is yet to be carried out.
    effects: VecDeque<Effect>,
    /// As of the log here.
    state: Option<Arc<ClusterState>>,
    proposals: BTreeMap<Position, Proposer>,
}

impl Keeper {
    pub(super) fn new(opened: Opened) -> Keeper {
        Keeper {
            member: opened.member,
            group: None,
            stored: Some(opened.stored),
            store: Some(opened.store),
            writes: VecDeque::new(),
            effects: VecDeque::new(),
            state: None,
            proposals: BTreeMap::new(),
        }
    }

    pub(super) fn member(&self) -> MemberId {
        self.member
    }

    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_deref()
    }

    /// The state as of the log here.
    pub(super) fn state(&self) -> Option<&Arc<ClusterState>> {
        self.state.as_ref()
    }

    pub(super) fn next_timer(&self) -> Instant {
        self.group.as_ref().map_or(Instant::default(), |group| group.next_timer())
    }

    /// Whether this member leads, and knows what was committed before it did.
    pub(in crate::core) fn leads(&self, now: Instant) -> Option<u64> {
        let status = self.group.as_ref()?.status(now);
        (status.role == Role::Leader && status.is_established).then_some(status.term)
    }

    /// Calls into the group; what comes of it is carried out by [`Governing::settle`].
    pub(super) fn with<T>(&mut self, call: impl FnOnce(&mut Group, &mut Vec<Effect>) -> T) -> Option<T> {
        let group = self.group.as_mut()?;
        let mut effects = Vec::new();
        let value = call(group, &mut effects);
        self.effects.extend(effects);
        Some(value)
    }
}

/// How the group behaves.
pub(super) fn options() -> Options {
    Options { tick: Duration::from_millis(100), voters_max: voters::VOTERS_AT_ONCE_MAX, ..Options::default() }
}

impl Governing {
    /// In which term this node leads, if it does.
    pub(in crate::core) fn leads(&self) -> Option<u64> {
        let (term, leader) = self.leader?;
        (leader == self.here).then_some(term)
    }

    /// Lets time pass for the group.
    pub(super) fn tick(&mut self, now: Moment, out: &mut Vec<Act>) {
        self.open(now, out);
        if let Some(keeper) = &mut self.keeper {
            keeper.with(|group, effects| {
                if group.next_timer() <= now.mono {
                    group.timer(now.mono, effects);
                }
            });
            self.settle(now, out);
        }
    }

    pub(super) fn open(&mut self, now: Moment, out: &mut Vec<Act>) {
        let rng = self.rng.fork();
        let Some(keeper) = &mut self.keeper else { return };
        let Some(stored) = keeper.stored.take() else { return };
        let mut effects = Vec::new();
        match Group::open(now.mono, keeper.member, options(), *stored, 0, rng, &mut effects) {
            Ok(group) => {
                keeper.group = Some(Box::new(group));
                keeper.effects.extend(effects);
                self.settle(now, out);
            }
            Err(error) => {
                out.push(Act::Stop(format!("the log of the cluster state cannot be used: {error}")));
            }
        }
    }

    /// A message of the group.
    pub(super) fn hear_group(&mut self, now: Moment, from: NodeId, bytes: &[u8], out: &mut Vec<Act>) {
        self.open(now, out);
        let Some((history, (sender, to, message))) =
            unseal(bytes).and_then(|(history, rest)| Some((history, open_message(rest)?)))
        else {
            tracing::warn!(peer = %self.newest.name_of(from), "a message of the group cannot be read");
            return;
        };
        if !self.is_of(history) {
            // Those who were lost may be back, and know of nothing.
            out.push(Act::Send(from, self.have()));
            return;
        }
        // A sender is who the connection says, whatever it claims.
        let Some(keeper) = self.keeper.as_mut().filter(|keeper| to == keeper.member) else { return };
        if voters::node_of(sender) != from {
            return;
        }
        let taken = keeper.with(|group, effects| group.receive(now.mono, sender, message, effects));
        if let Some(Err(unfit)) = taken {
            tracing::debug!(peer = %self.newest.name_of(from), %unfit, "a message of the group is not taken in");
        }
        self.settle(now, out);
    }

    /// Proposes a command, if this node leads.
    pub(super) fn propose(
        &mut self,
        now: Moment,
        command: &Bytes,
        proposer: Proposer,
        out: &mut Vec<Act>,
    ) -> Result<(), Proposed> {
        let keeper = self.keeper.as_mut().ok_or(Proposed::NotLed)?;
        if keeper.proposals.len() >= PROPOSALS_MAX {
            return Err(Proposed::NotLed);
        }
        let position = keeper.with(|group, effects| group.propose(now.mono, command.clone(), effects));
        match position {
            Some(Ok(position)) => {
                keeper.proposals.insert(position, proposer);
                self.settle(now, out);
                Ok(())
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a proposal was not taken");
                Err(Proposed::NotLed)
            }
            None => Err(Proposed::NotLed),
        }
    }

    /// Writes are on stable storage, or could not be made.
    pub(super) fn written(
        &mut self,
        now: Moment,
        store: Box<Store>,
        outcome: Result<u64, consensus::StoreError>,
        out: &mut Vec<Act>,
    ) {
        // A member that was dismissed meanwhile, or is of a history that was left, has no use for it.
        let is_its = |keeper: &&mut Keeper| keeper.member == store.owner().member;
        let Some(keeper) = self.keeper.as_mut().filter(is_its) else { return };
        keeper.store = Some(store);
        match outcome {
            Ok(number) => {
                keeper.with(|group, effects| group.persisted(now.mono, number, effects));
                self.settle(now, out);
            }
            // A failed write ends the use of the file, and with it this node (INVARIANTS A4).
            Err(error) => out.push(Act::Stop(format!("the log of the cluster state: {error}"))),
        }
    }

    /// Carries out what the group wants done.
    pub(super) fn settle(&mut self, now: Moment, out: &mut Vec<Act>) {
        while let Some(effect) = self.keeper.as_mut().and_then(|keeper| keeper.effects.pop_front()) {
            self.carry_out(now, effect, out);
        }
        self.snapshot(now, out);
        let Some(keeper) = &mut self.keeper else { return };
        if !keeper.writes.is_empty()
            && let Some(store) = keeper.store.take()
        {
            let writes = keeper.writes.drain(..).collect();
            out.push(Act::Run(Work::Write { store, writes }));
        }
    }

    fn carry_out(&mut self, now: Moment, effect: Effect, out: &mut Vec<Act>) {
        let Some(keeper) = &mut self.keeper else { return };
        match effect {
            Effect::Persist { number, write } => keeper.writes.push_back((number, write)),
            Effect::Send(to, message) => {
                let bytes = seal_message(keeper.member, to, &message);
                let bytes = Bytes::from(seal(history_of(&self.newest), &bytes));
                out.push(Act::Send(voters::node_of(to), Govern::Group(bytes)));
            }
            Effect::Apply(entry) => self.applied(&entry, out),
            Effect::Install(snapshot) => match ClusterState::decode(&snapshot.data) {
                Ok(state) => self.reached(Arc::new(state), out),
                Err(error) => out.push(Act::Stop(format!(
                    "the group of those who keep the cluster state sent one that cannot be read: {error}"
                ))),
            },
            Effect::Leader { leader, term } => {
                if let Some(leader) = leader {
                    self.heard_of_leader(now, term, voters::node_of(leader), out);
                } else if self.leads().is_some() {
                    self.leader = None;
                }
                self.leading.forget();
            }
            // Nobody here reads by it yet: who asks goes by what his node knows.
            Effect::Read(_) | Effect::ReadLost(_) => {}
        }
    }

    /// An entry of the log is agreed on.
    fn applied(&mut self, entry: &Entry, out: &mut Vec<Act>) {
        let Some(keeper) = &mut self.keeper else { return };
        let outcome = match (&entry.payload, &keeper.state) {
            (Payload::Data(bytes), Some(state)) => Some((bytes, applied_to(state, bytes))),
            _ => None,
        };
        // What stood to be agreed on at this place or before it, and is not this, never will be.
        let later = std::mem::take(&mut keeper.proposals);
        let (mut settled, mut open) = (Vec::new(), BTreeMap::new());
        for (position, proposer) in later {
            if position.index <= entry.position.index {
                settled.push((position == entry.position, proposer));
            } else {
                open.insert(position, proposer);
            }
        }
        keeper.proposals = open;
        let told = match &outcome {
            Some((_, Ok(state))) => Proposed::Done(state.epoch()),
            Some((_, Err(Refused::Overtaken { since }))) => Proposed::Overtaken(*since),
            Some((_, Err(refused))) => Proposed::Refused(refused.to_string()),
            None => Proposed::Unknown,
        };
        if let Some((bytes, Ok(state))) = outcome {
            if state.epoch().0 == self.newest.epoch().0 + 1 {
                self.remember(state.epoch(), bytes.clone());
            }
            self.reached(Arc::new(state), out);
        }
        for (is_it, proposer) in settled {
            self.tell_proposer(proposer, if is_it { told.clone() } else { Proposed::NotLed }, out);
        }
    }

    /// The log here has come to this state.
    fn reached(&mut self, state: Arc<ClusterState>, out: &mut Vec<Act>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.state = Some(Arc::clone(&state));
        }
        if super::news::version(&state) > super::news::version(&self.newest) {
            self.follow(state, out);
            self.spread(out);
        }
    }

    pub(super) fn tell_proposer(&mut self, proposer: Proposer, outcome: Proposed, out: &mut Vec<Act>) {
        match proposer {
            Proposer::Here(number) => self.proposed(number, outcome, out),
            Proposer::Peer(node, number) => out.push(Act::Send(node, Govern::Proposed { number, outcome })),
            Proposer::Itself => {}
        }
    }

    fn snapshot(&mut self, now: Moment, out: &mut Vec<Act>) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some(state) = keeper.state.clone() else { return };
        if !keeper.group.as_ref().is_some_and(|group| group.wants_snapshot()) {
            return;
        }
        let data = Bytes::from(state.encode());
        if let Some(Err(error)) = keeper.with(|group, effects| group.compact(now.mono, data, effects)) {
            tracing::error!(%error, "the log of the cluster state cannot be cut");
        }
        while let Some(effect) = self.keeper.as_mut().and_then(|keeper| keeper.effects.pop_front()) {
            self.carry_out(now, effect, out);
        }
    }

    /// A peer knows of no other life of this node. Once no founding voter does, there was nothing that this one could have promised
    /// and forgotten, and it makes its log.
    pub(super) fn vouched(&mut self, peer: NodeId, out: &mut Vec<Act>) {
        let Some(ready) = &mut self.founding else { return };
        ready.insert(peer);
        self.found(out);
    }

    /// Begins as a founding voter, if this node is one and knows that it has forgotten nothing.
    pub(super) fn found(&mut self, out: &mut Vec<Act>) {
        let Some(ready) = &self.founding else { return };
        if self.newest.epoch().0 > 1 {
            self.founding = None;
            return;
        }
        let founders: BTreeSet<NodeId> = voters::founding(&self.newest);
        if !founders.is_subset(ready) {
            return;
        }
        self.founding = None;
        let members = founders.iter().map(|node| MemberId(u64::from(node.0)));
        let data = Bytes::from(self.newest.encode());
        match Stored::founding(members, data) {
            Ok(stored) => self.make_log(MemberId(u64::from(self.here.0)), stored, out),
            Err(error) => tracing::error!(%error, "the group that keeps the cluster state cannot be founded"),
        }
    }

    /// Whoever leads has taken this life of the node into the group under this number.
    pub(super) fn invited(&mut self, member: MemberId, out: &mut Vec<Act>) {
        if self.keeper.is_none() && voters::node_of(member) == self.here {
            self.founding = None;
            self.make_log(member, Stored::joining(), out);
        }
    }

    fn make_log(&mut self, member: MemberId, stored: Stored, out: &mut Vec<Act>) {
        if self.making_log.is_some() {
            return;
        }
        self.making_log = Some(member);
        let (place, stored) = (self.place.clone(), Box::new(stored));
        let log_of = super::store::log_of(self.incarnation, self.kept_history);
        out.push(Act::Run(Work::Make { place, log_of, member, stored }));
    }

    /// The log was made, or could not be.
    pub(super) fn made_log(
        &mut self,
        now: Moment,
        log_of: u64,
        outcome: Result<Opened, consensus::StoreError>,
        out: &mut Vec<Act>,
    ) {
        self.making_log = None;
        let is_ours = log_of == super::store::log_of(self.incarnation, history_of(&self.newest));
        match outcome {
            Ok(opened) if !is_ours || self.keeper.is_some() => {
                // Another history was heard of meanwhile, or begun here.
                let member = opened.member;
                out.push(Act::Run(Work::Remove { place: self.place.clone(), member }));
            }
            Ok(opened) => {
                self.keeper = Some(Keeper::new(opened));
                self.open(now, out);
                self.report(now, out);
            }
            Err(error) => {
                tracing::warn!(%error, "this node cannot keep the cluster state: its log could not be made");
            }
        }
    }

    /// Whoever leads says that this number is in the group no more.
    pub(super) fn dismissed(&mut self, member: MemberId, out: &mut Vec<Act>) {
        if let Some(keeper) = self.keeper.take_if(|keeper| keeper.member == member) {
            out.push(Act::Run(Work::Remove { place: self.place.clone(), member }));
            for proposer in keeper.proposals.into_values() {
                self.tell_proposer(proposer, Proposed::Unknown, out);
            }
        }
    }
}

fn applied_to(state: &ClusterState, bytes: &[u8]) -> Result<ClusterState, Refused> {
    match Command::decode(bytes) {
        Some(command) => state.apply(&command),
        None => Err(Refused::Because("it is no command that this version knows".to_owned())),
    }
}

/// A message with who sends it, and to whom, by their numbers in the group.
fn seal_message(from: MemberId, to: MemberId, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&from.0.to_le_bytes());
    bytes.extend_from_slice(&to.0.to_le_bytes());
    bytes.extend_from_slice(&message.encode());
    bytes
}

fn open_message(bytes: &[u8]) -> Option<(MemberId, MemberId, Message)> {
    let (from, rest) = bytes.split_first_chunk::<8>()?;
    let (to, rest) = rest.split_first_chunk::<8>()?;
    let message = Message::decode(rest, options().message_bytes_max()).ok()?;
    Some((MemberId(u64::from_le_bytes(*from)), MemberId(u64::from_le_bytes(*to)), message))
}
