//! One member of one group: what comes in, and what follows from it.
//!
//! Each call hands something to the library and then settles: whatever the library wants written, sent and applied is listed,
//! or held back until the disk is as far. Beyond that this is where the library's ways are bent to ours:
//!
//! - Its election timeouts come from the system's randomness. Ours, from our seed, take their place after every call.
//! - It is never asked to propose; entries are appended to its log by the call below that. So the one place where it parses
//!   bytes (a proposed change of members) is never reached.
//! - A member whose log is not durable does not begin an election, because the library assumes that it is. A leader whose disk
//!   stands still gives up leading (INVARIANTS G4, H5).
//! - A snapshot that was lost is sent again: the library waits for its end for ever.
//! - A leader that is removed gives up as soon as it has applied that; the library would go on and stop at itself.

mod asking;
mod settling;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use env::Rng;
use raft::{Config, RawNode, SnapshotStatus, StateRole};
use types::Instant;

use crate::convert;
use crate::effect::{Effect, ReadToken};
use crate::entry::{Entry, HardState, Position};
use crate::guard::{self, Unfit};
use crate::held::Held;
use crate::log::Log;
use crate::membership::{MemberId, Membership};
use crate::message::Message;
use crate::options::{Options, OptionsError};
use crate::status::{Follower, Role, Status};
use crate::stored::{Contradiction, Stored};

pub use asking::{CompactError, NotLeader, Refused};

/// One member of one group.
pub struct Group {
    id: MemberId,
    options: Options,
    raw: RawNode<Log>,
    rng: Rng,
    held: Held,
    hard_state: HardState,
    /// As of the entry that was applied last.
    membership: Membership,
    /// How many ticks of silence there are to be before an election.
    patience: usize,
    /// The term and part that the patience was drawn for.
    drawn_for: (u64, StateRole),
    /// Who was seen to lead, in which term.
    leader_seen: Option<(u64, MemberId)>,
    /// Who leads, as it was last told to the caller.
    told: (Option<MemberId>, u64),
    /// When each member was heard of last.
    heard: BTreeMap<MemberId, Instant>,
    /// Since when a member should have a snapshot.
    snapshots_sent: BTreeMap<MemberId, Instant>,
    next_tick: Instant,
    /// Up to where a snapshot goes that is on its way to the disk.
    installing: Option<u64>,
    /// The library's number of what it made ready last.
    last_ready: u64,
    next_token: u64,
    /// Reads that wait for a majority.
    asked: BTreeSet<ReadToken>,
    /// Reads that wait until the caller's state is as far.
    confirmed: VecDeque<(u64, ReadToken)>,
}

/// A group may be opened on one thread and run on another.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Group>();
};

/// Why a member does not start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The options do not go together.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Zero is nobody.
    #[error("a member's id is not zero")]
    Nobody,
    /// What was stored cannot have been.
    #[error(
        "what this member has stored cannot be: {0}. It may have forgotten what it promised: remove it from its group and add it anew"
    )]
    Stored(#[from] Contradiction),
    /// The caller's state is ahead of the log that it was made of.
    #[error(
        "the state has applied entry {applied}, and the log ends at {last}: they are not of the same time"
    )]
    Ahead {
        /// What the caller has.
        applied: u64,
        /// What the log has.
        last: u64,
    },
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// A member as it was stored, with what its caller has applied of that (0 for a caller who begins with nothing). What the caller
    /// lacks is listed at once: a snapshot that he must install, and entries that are known to be committed.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(
        now: Instant,
        id: MemberId,
        options: Options,
        stored: Stored,
        applied: u64,
        rng: Rng,
        out: &mut Vec<Effect>,
    ) -> Result<Group, OpenError> {
        options.check()?;
        stored.check()?;
        if id.0 == 0 {
            return Err(OpenError::Nobody);
        }
        let last = stored.last_index();
        if applied > last {
            return Err(OpenError::Ahead { applied, last });
        }
        let snapshot = stored.snapshot.clone();
        let begins_at = snapshot.as_ref().map_or(0, |snapshot| snapshot.position.index);
        let from = applied.max(begins_at);
        // What was applied is committed, though the file may not say so yet.
        let hard_state = HardState { commit: stored.hard_state.commit.max(from), ..stored.hard_state };
        let membership = stored.membership_at(from);
        let log = Log::new(stored, hard_state, membership.clone());
        let term = log.term_of(from).unwrap_or_default();
        let raw = RawNode::new(&config(id, &options, from), log, &silent())
            .expect("the options and the stored state were checked");
        let begins = (Position { term, index: from }, membership.clone());
        let (drawn_for, told) = ((hard_state.term, StateRole::Follower), (None, hard_state.term));
        let next_tick = now + options.tick;
        let mut group = Group {
            id,
            options,
            raw,
            rng,
            held: Held::new(begins),
            hard_state,
            membership,
            patience: 0,
            drawn_for,
            leader_seen: None,
            told,
            heard: BTreeMap::new(),
            snapshots_sent: BTreeMap::new(),
            next_tick,
            installing: None,
            last_ready: 0,
            next_token: 1,
            asked: BTreeSet::new(),
            confirmed: VecDeque::new(),
        };
        if let Some(snapshot) = snapshot.filter(|_| applied < begins_at) {
            out.push(Effect::Install(snapshot));
        }
        group.draw_patience();
        group.settle(now, out);
        Ok(group)
    }

    /// A message came, from whom the channel says.
    ///
    /// # Errors
    /// As [`Unfit`] says; then it has changed nothing, and whoever sent it need not be told.
    pub fn receive(
        &mut self,
        now: Instant,
        from: MemberId,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Result<(), Unfit> {
        guard::check(self, from, &message)?;
        if self.membership.contains(from) {
            self.heard.insert(from, now);
        }
        let raw = convert::message_to_raft(from, message);
        let stepped = self.raw.step(raw).map_err(|_| Unfit::Stranger(from));
        self.settle(now, out);
        stepped
    }

    /// When [`Group::timer`] wants to be called.
    pub fn next_timer(&self) -> Instant {
        self.next_tick
    }

    /// Time has passed. A member that was held still for long counts that as one tick: it has heard nothing because it did not
    /// listen.
    pub fn timer(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if now < self.next_tick {
            return;
        }
        let is_late = now.since(self.next_tick) > self.options.tick;
        self.next_tick = if is_late { now } else { self.next_tick } + self.options.tick;
        if self.raft().state == StateRole::Leader {
            if self.held.since().is_some_and(|since| now.since(since) > self.options.election_timeout()) {
                self.give_up_leading();
            } else {
                self.give_up_snapshots(now);
                self.raw.tick();
            }
        } else if self.held.is_binding() {
            self.raw.raft.election_elapsed += 1;
        } else if self.raw.tick() {
            self.draw_patience();
        }
        self.settle(now, out);
    }

    /// All writes up to this number are on stable storage.
    pub fn persisted(&mut self, now: Instant, number: u64, out: &mut Vec<Effect>) {
        let ready = self.held.durable(number, out);
        let ready = if self.held.is_idle() { Some(self.last_ready) } else { ready };
        if let Some(ready) = ready {
            self.raw.on_persist_ready(ready);
        }
        self.settle(now, out);
    }

    /// Who this is.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The members, as far as this one has applied.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The entries of its log behind those that were listed to be applied. They may be agreed on or not: where the majority is lost for
    /// good, nobody can say any more.
    pub fn tail(&self) -> Vec<Entry> {
        self.raw.store().after(self.held.listed().0.index).cloned().collect()
    }

    /// Where its log ends. Of several members the one whose ends last has all that any of them acknowledged.
    pub fn end(&self) -> Position {
        self.raw.store().end()
    }

    /// Who leads, as far as this member knows.
    pub fn leader(&self) -> Option<MemberId> {
        Some(MemberId(self.raft().leader_id)).filter(|leader| leader.0 != 0)
    }

    /// What it says of itself, at this time.
    pub fn status(&self, now: Instant) -> Status {
        let raft = self.raft();
        let role = match raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        };
        let progress = raft.prs().iter().filter(|(id, _)| role == Role::Leader && **id != self.id.0);
        let follower = |(id, progress): (&u64, &raft::Progress)| {
            let follower = Follower {
                matched: progress.matched,
                is_active: self.is_active(now, MemberId(*id)),
                needs_snapshot: progress.state == raft::ProgressState::Snapshot,
            };
            (MemberId(*id), follower)
        };
        Status {
            id: self.id,
            role,
            term: raft.term,
            leader: self.leader(),
            last: raft.raft_log.last_index(),
            durable: raft.raft_log.persisted,
            commit: raft.raft_log.committed,
            applied: self.held.listed().0,
            snapshot: self.raw.store().snapshot_position(),
            membership: self.membership.clone(),
            followers: progress.map(follower).collect(),
            is_established: role == Role::Leader && raft.commit_to_current_term(),
            hands_over_to: raft.lead_transferee.map(MemberId),
        }
    }

    pub(crate) fn raft(&self) -> &raft::Raft<Log> {
        &self.raw.raft
    }

    pub(crate) fn leader_seen(&self) -> Option<(u64, MemberId)> {
        self.leader_seen
    }

    pub(crate) fn is_binding(&self) -> bool {
        self.held.is_binding()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held.is_full()
    }

    /// Whether a member was heard of within an election's time.
    fn is_active(&self, now: Instant, id: MemberId) -> bool {
        self.heard.get(&id).is_some_and(|heard| now.since(*heard) <= self.options.election_timeout())
    }

    /// A snapshot may be lost like any message, and the library sends a member nothing more until it hears what became of it.
    fn give_up_snapshots(&mut self, now: Instant) {
        let patience = self.options.snapshot_patience;
        let late = |(id, since): (&MemberId, &Instant)| (now.since(*since) > patience).then_some(*id);
        let late: Vec<MemberId> = self.snapshots_sent.iter().filter_map(late).collect();
        for id in late {
            self.snapshots_sent.remove(&id);
            self.raw.report_snapshot(id.0, SnapshotStatus::Failure);
        }
    }

    /// How long the next silence may be, from our seed: at least the election timeout, and less than twice that.
    fn draw_patience(&mut self) {
        let least = u64::from(self.options.election_ticks);
        let ticks = least + self.rng.below(least);
        self.patience = usize::try_from(ticks).expect("two times a u32 fits");
        self.drawn_for = (self.raft().term, self.raft().state);
    }
}

fn config(id: MemberId, options: &Options, applied: u64) -> Config {
    Config {
        id: id.0,
        election_tick: usize::try_from(options.election_ticks).expect("a u32 fits"),
        heartbeat_tick: usize::try_from(options.heartbeat_ticks).expect("a u32 fits"),
        applied,
        max_size_per_msg: options.append_bytes as u64,
        max_inflight_msgs: options.appends_in_flight,
        check_quorum: true,
        pre_vote: true,
        max_uncommitted_size: options.uncommitted_bytes_max as u64,
        max_committed_size_per_ready: options.append_bytes as u64,
        ..Config::default()
    }
}

/// The library's own log lines go nowhere; what they would say is in [`Status`] and in the effects.
fn silent() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}
