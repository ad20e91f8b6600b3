//! How a node comes to know the cluster state, and has its part in deciding on it.
//!
//! A few of the members keep the history of the state, as voters of a group ([`group`]); one of them leads ([`leading`]) and
//! proposes what follows. All others learn: whoever has a later state sends it, or the commands that led to it ([`news`]). A state
//! is on this node's disk before anything here goes by it ([`keeping`]), so that what a shard once refused it refuses after a crash
//! too. What people ask for is proposed to whoever leads ([`asking`]). Where the majority of the voters is lost for good, one node begins
//! the history again ([`recovering`]), and whoever hears of that leaves the one before.
//!
//! What must hold (INVARIANTS E1, E10): a state is believed only from the group's log or as a later one of the same history; and
//! without a leader everything goes on by the last state.
//!
//! The first shard of a node does this for all. It tells the others when a state is to be gone by, and they tell it when they do.

mod asking;
mod group;
mod keeping;
mod leading;
mod news;
mod recovering;
pub(super) mod store;
mod voters;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::Outcome;
use bytes::Bytes;
use cluster::moves::{Keepers, MovementFigures};
use cluster::{ClusterState, Report, Step};
use consensus::MemberId;
use env::{Disk, Rng};
use types::{Epoch, Incarnation, Instant, Moment, NodeId, PartitionId, ShardId};
use wire::{Govern, History, Leads};

pub use self::store::known_state;
pub(crate) use self::store::{Done as GovernDone, Work as GovernWork};

use self::asking::Asked;
use self::group::Keeper;
use self::keeping::Keeping;
use self::leading::Leading;
use self::news::history_of;
use self::recovering::Recovering;
use super::amounts::{Amounts, Own};

/// How often a node says what it knows, and how far it is.
const SPEAK_EVERY: Duration = Duration::from_secs(1);

/// How many commands are remembered for nodes that are a little behind; others are sent the state whole.
const RECENT_MAX: usize = 1024;

/// What is to be done, in order.
#[derive(Debug)]
pub(super) enum Act {
    /// Tell a node.
    Send(NodeId, Govern),
    /// Answer whoever asked, by the number that he was given.
    Answer(u64, Outcome),
    /// Run this, and hand back what came of it.
    Run(GovernWork),
    /// All shards go by this state from now on.
    Adopt(Arc<ClusterState>),
    /// The node cannot go on.
    Stop(String),
}

/// What a node does about the cluster state.
#[derive(Debug)]
pub(super) struct Governing {
    here: NodeId,
    incarnation: Incarnation,
    /// The latest that is known here. What the shards go by may be earlier, while it is being kept.
    newest: Arc<ClusterState>,
    /// The commands that led to it, the latest last, each with the epoch that it led to.
    recent: VecDeque<(Epoch, Bytes)>,
    keeping: Keeping,
    keeper: Option<Keeper>,
    /// Where its log is, or is to be made.
    place: Place,
    /// The member whose log is being made.
    making_log: Option<MemberId>,
    /// Founding voters that know of no other life of this node, while it is one and has no log.
    founding: Option<BTreeSet<NodeId>>,
    leading: Leading,
    /// Who leads as far as was heard, and in which term.
    leader: Option<(u64, NodeId)>,
    /// Who votes, as that one has said.
    voters: Vec<NodeId>,
    asked: BTreeMap<u64, Asked>,
    next_number: u64,
    /// How far each shard is.
    shards: BTreeMap<ShardId, Report>,
    /// About how much all of them have.
    amounts: Own,
    reachable: BTreeSet<NodeId>,
    next_word: Option<Instant>,
    /// Of which history the state is that this node has on its disk.
    kept_history: History,
    /// Peers that go by another history of the same generation, and how far they are with it.
    splits: BTreeMap<NodeId, Epoch>,
    recovering: Option<Recovering>,
    rng: Rng,
}

/// What is shown of movements and of who keeps the cluster state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// What is known of each movement.
    pub movements: BTreeMap<PartitionId, MovementFigures>,
    /// Who keeps the state.
    pub keepers: Keepers,
    /// Whether this node has a log of it, or is making one.
    pub has_log: bool,
    /// What people should know.
    pub notices: Vec<String>,
}

/// The data directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
}

/// With what a node begins.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) here: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) state: Arc<ClusterState>,
    pub(super) place: Place,
    /// Its log, if it has one.
    pub(super) stored: Option<store::Opened>,
    /// Whether it may be a founding voter: it knows of no state but the first.
    pub(super) may_found: bool,
    pub(super) shards: u8,
    pub(super) seed: u64,
}

impl Governing {
    pub(super) fn new(begin: Begin) -> Governing {
        let Begin { here, incarnation, state, place, stored, may_found, shards, seed } = begin;
        let is_founder = may_found && stored.is_none() && voters::founding(&state).contains(&here);
        let mut rng = Rng::from_seed(seed);
        let at_start = Report { adopted: state.epoch(), shards, ..Report::default() };
        Governing {
            here,
            incarnation,
            keeping: Keeping::default(),
            keeper: stored.map(Keeper::new),
            place,
            making_log: None,
            founding: is_founder.then(|| BTreeSet::from([here])),
            leading: Leading::default(),
            leader: None,
            voters: Vec::new(),
            asked: BTreeMap::new(),
            // Answers to what an earlier run has asked must not be taken for answers to this one.
            next_number: rng.next_u64() >> 1,
            shards: (0..shards).map(|shard| (ShardId(shard), at_start.clone())).collect(),
            amounts: Own::default(),
            reachable: BTreeSet::new(),
            recent: VecDeque::new(),
            next_word: None,
            kept_history: history_of(&state),
            splits: BTreeMap::new(),
            recovering: None,
            rng,
            newest: state,
        }
    }

    /// What is shown of movements and of who keeps the state, beside what that says itself.
    pub(super) fn shown(&self) -> Shown {
        let (term, leader) = self.leader.map_or((0, None), |(term, leader)| (term, Some(leader)));
        let figures = |partition: &PartitionId| {
            let bytes = self.bytes_of_movement(*partition);
            MovementFigures {
                bytes_total: bytes.map(|(total, _)| total),
                bytes_done: bytes.map(|(_, done)| done),
                waits_for: self.waits_for(*partition),
            }
        };
        Shown {
            movements: self.newest.movements().keys().map(|one| (*one, figures(one))).collect(),
            keepers: Keepers { voters: self.voters_known(), leader, term },
            has_log: self.keeps_as().is_some(),
            notices: self.split_notices().into_iter().chain(self.merging_notice()).collect(),
        }
    }

    /// Under which number this node keeps the state, or is about to.
    fn keeps_as(&self) -> Option<MemberId> {
        self.keeper.as_ref().map(Keeper::member).or(self.making_log)
    }

    pub(super) fn voters_known(&self) -> Vec<NodeId> {
        match self.keeper.as_ref().and_then(Keeper::group) {
            Some(group) => group.membership().voters().iter().map(|voter| voters::node_of(*voter)).collect(),
            None => self.voters.clone(),
        }
    }

    /// When [`turn`](Self::turn) has something to do.
    pub(super) fn next_timer(&self) -> Instant {
        let asked = self.asked.values().map(Asked::next_timer);
        let others = [self.next_word.unwrap_or_default()].into_iter().chain(self.keeping.next_timer());
        let group = self.keeper.as_ref().map(Keeper::next_timer);
        let recovering = self.recovering.as_ref().and_then(Recovering::next_timer);
        let others = others.chain(recovering);
        asked.chain(others).chain(group).chain(self.leading.next_timer()).min().unwrap_or_default()
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now: Moment, out: &mut Vec<Act>) {
        self.keep_again(now.mono, out);
        self.found(out);
        self.tick(now, out);
        self.lead(now, out);
        self.ask_again(now, out);
        self.go_on_recovering(now, out);
        if self.next_word.is_none_or(|at| at <= now.mono) {
            self.next_word = Some(now.mono + SPEAK_EVERY);
            self.speak(now, out);
        }
    }

    /// A peer says something.
    pub(super) fn hear(&mut self, now: Moment, from: NodeId, govern: Govern, out: &mut Vec<Act>) {
        match govern {
            Govern::Group(bytes) => self.hear_group(now, from, &bytes, out),
            Govern::Have { history, epoch, fingerprint, leads, only_life } => {
                if only_life == Some(self.incarnation) {
                    self.vouched(from, out);
                }
                if let Some(Leads { term, voters }) = leads
                    && history == history_of(&self.newest)
                {
                    self.heard_of_leader(now, term, from, out);
                    if self.leader == Some((term, from)) {
                        self.voters = voters;
                    }
                }
                self.others_have(from, history, epoch, fingerprint, out);
            }
            Govern::State(bytes) => self.hear_state(from, &bytes, out),
            Govern::Commands { after, commands, fingerprint } => {
                self.hear_commands(from, after, &commands, fingerprint, out);
            }
            Govern::Propose { number, command } => self.propose_for_peer(now, from, number, &command, out),
            Govern::Proposed { number, outcome } => self.proposed(number, outcome, out),
            Govern::Report(bytes) => self.hear_report(now, from, &bytes),
            Govern::Invite { history, member, incarnation } => {
                // What it promises as a member it must not forget, so the state that the log goes with is on the disk before.
                if incarnation == self.incarnation && self.is_of(history) && history == self.kept_history {
                    self.invited(MemberId(member), out);
                }
            }
            Govern::Dismiss { history, member } => {
                if self.is_of(history) {
                    self.dismissed(MemberId(member), out);
                }
            }
            Govern::HowFar { number } => self.say_how_far(now, from, number, out),
            Govern::SoFar { number, far } => self.heard_how_far(from, number, *far, out),
        }
    }

    /// Work has ended.
    pub(super) fn done(&mut self, now: Moment, done: GovernDone, out: &mut Vec<Act>) {
        match done {
            GovernDone::Kept(epoch, outcome) => self.kept(now, epoch, outcome, out),
            GovernDone::Written(store, outcome) => self.written(now, store, outcome, out),
            GovernDone::Made(log_of, outcome) => self.made_log(now, log_of, outcome, out),
            GovernDone::BeganAgain(outcome) => self.began_again(now, outcome, out),
            GovernDone::Removed(Ok(())) => {}
            GovernDone::Removed(Err(error)) => {
                tracing::warn!(%error, "a log of the cluster state that is of no use any more is still there");
            }
        }
    }

    /// A peer can be reached, or cannot any more.
    pub(super) fn reaches(&mut self, now: Moment, peer: NodeId, does: bool, out: &mut Vec<Act>) {
        if !does {
            self.reachable.remove(&peer);
        } else if self.reachable.insert(peer) {
            out.push(Act::Send(peer, self.have()));
            self.report(now, out);
        }
    }

    /// A shard of this node goes by a state, and has done so much of what it asks for.
    pub(super) fn shard_is_at(&mut self, now: Moment, shard: ShardId, report: Report, out: &mut Vec<Act>) {
        if self.shards.get(&shard) != Some(&report) {
            self.shards.insert(shard, report);
            self.report(now, out);
        }
    }

    /// A shard of this node has so much of its partitions.
    pub(super) fn shard_has(&mut self, amounts: Amounts, is_its: impl Fn(PartitionId) -> bool) {
        self.amounts.take(amounts, is_its);
    }

    /// How far the node is: as far as the last of its shards has adopted, with what each has done.
    fn own_report(&self) -> Report {
        let adopted = self.shards.values().map(|report| report.adopted).min().unwrap_or_default();
        let done: Vec<Step> = self.shards.values().flat_map(|report| report.done.iter().copied()).collect();
        let shards = self.shards.values().map(|report| report.shards).max().unwrap_or_default();
        let waits_for = self.shards.values().flat_map(|report| report.waits_for.iter().copied()).collect();
        Report { adopted, done, shards, waits_for }
    }

    /// Says to another node what is known here, and to who leads how far this node is.
    fn speak(&mut self, now: Moment, out: &mut Vec<Act>) {
        let peers: Vec<NodeId> = self.reachable.iter().copied().collect();
        if let Some(peer) = self.rng.pick(&peers) {
            out.push(Act::Send(*peer, self.have()));
        }
        self.report(now, out);
    }
}
