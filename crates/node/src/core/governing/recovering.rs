//! The history of the cluster state is begun again, where the majority of those who kept it is lost for good.
//!
//! A person asks one node that is left. It listens to all that it reaches how far they are; by that it learns the latest of their states,
//! as it would anyway, and refuses where nothing is lost (a majority answers), or where somebody has more than it has. Then it makes a log
//! of a group in which it alone votes, of the next generation, and a state of that; and leads from then on, and has others vote.
//!
//! What must hold (INVARIANTS E1, G2, G3): the new history is on its disk, log and state, before a word of it is said; before that nothing
//! has happened, whatever crashes. The log of the lost group is of no use to anybody who has heard of the new history: it is bound to the
//! history that it is of ([`store`](super::store)), and messages say of which they are. Of the log that it has itself the last entries
//! count as agreed on: those that were are among them, and nobody can say any more which.
//!
//! Why by a node that runs, and not by its files while it stands still: `docs/decisions/2026-12-01-recovery-by-a-running-node.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Change, Error, Planned, Recovery, Reply};
use bytes::Bytes;
use cluster::{ClusterState, Command};
use consensus::{Payload, Position, Stored};
use types::{Epoch, Instant, Moment, NodeId};
use wire::{Far, FarLog, Govern, History};

use super::group::Keeper;
use super::news::{history_of, version};
use super::store::{Opened, Work};
use super::{Act, Governing, voters};

/// How long it listens: longer than it takes those who can to agree on who leads them.
const LISTEN: Duration = Duration::from_secs(3);

/// How long what was heard meanwhile may take to be kept, beyond that.
const KEEP: Duration = Duration::from_secs(3);

/// A recovery that was asked for.
#[derive(Debug)]
pub(super) struct Recovering {
    number: u64,
    client: u64,
    plan: Recovery,
    /// Whether it is only to be said what it would come to.
    only_planned: bool,
    /// Of which history the state was when it was asked for.
    history: History,
    decide_at: Instant,
    give_up_at: Instant,
    heard: BTreeMap<NodeId, Far>,
    /// The first state of the new history, while it is written down.
    begins: Option<Arc<ClusterState>>,
}

/// What the lost group has left at this node.
struct Left {
    /// The latest state that may have been agreed on, as far as is known here.
    state: Arc<ClusterState>,
    /// Where the log here ends, if there is one.
    end: Position,
}

impl Recovering {
    /// When there is something to be done.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.begins.is_none().then_some(self.decide_at)
    }
}

impl Governing {
    /// Somebody asks this node to begin the history again, or what that would come to.
    pub(in crate::core) fn recover(
        &mut self,
        now: Moment,
        client: u64,
        plan: Recovery,
        only_planned: bool,
        out: &mut Vec<Act>,
    ) {
        if self.recovering.is_some() {
            let why = "this node is asked to begin the history again already: wait for what comes of that";
            out.push(Act::Answer(client, Err(Error::Overloaded(why.to_owned()))));
            return;
        }
        self.next_number += 1;
        let number = self.next_number;
        out.extend(self.reachable.iter().map(|peer| Act::Send(*peer, Govern::HowFar { number })));
        self.recovering = Some(Recovering {
            number,
            client,
            plan,
            only_planned,
            history: history_of(&self.newest),
            decide_at: now.mono + LISTEN,
            give_up_at: now.mono + LISTEN + KEEP,
            heard: BTreeMap::new(),
            begins: None,
        });
    }

    /// A peer that is to begin the history again asks how far this node is.
    pub(super) fn say_how_far(&self, now: Moment, from: NodeId, number: u64, out: &mut Vec<Act>) {
        let left = self.left();
        let keeper = self.keeper.as_ref();
        let log = keeper.and_then(Keeper::group).map(|group| FarLog {
            term: left.end.term,
            index: left.end.index,
            epoch: left.state.epoch(),
            voters: group.membership().voters().iter().map(|voter| voters::node_of(*voter)).collect(),
        });
        let far = Far {
            history: history_of(&self.newest),
            epoch: self.newest.epoch(),
            fingerprint: self.newest.fingerprint(),
            log,
            leads: keeper.is_some_and(|keeper| keeper.leads(now.mono).is_some()),
            recovers: self.recovering.as_ref().is_some_and(|one| !one.only_planned),
        };
        out.push(Act::Send(from, Govern::SoFar { number, far: Box::new(far) }));
    }

    /// A peer says how far it is. What it has beyond this node it is asked for.
    pub(super) fn heard_how_far(&mut self, from: NodeId, number: u64, far: Far, out: &mut Vec<Act>) {
        let (history, epoch, fingerprint) = (far.history, far.epoch, far.fingerprint);
        if let Some(recovering) = &mut self.recovering
            && recovering.number == number
        {
            recovering.heard.insert(from, far);
            self.others_have(from, history, epoch, fingerprint, out);
        }
    }

    /// Decides, when it was listened for long enough.
    pub(super) fn go_on_recovering(&mut self, now: Moment, out: &mut Vec<Act>) {
        let Some(recovering) = &mut self.recovering else { return };
        if recovering.begins.is_some() || recovering.decide_at > now.mono {
            return;
        }
        if !self.keeping.is_idle() && now.mono < recovering.give_up_at {
            recovering.decide_at = now.mono + super::leading::LOOK_EVERY;
            return;
        }
        let Some(recovering) = self.recovering.take() else { return };
        match self.decide(&recovering) {
            Err(why) => out.push(Act::Answer(recovering.client, Err(Error::Invalid(why)))),
            Ok((next, planned)) if recovering.only_planned => {
                let moves = next.planned_moves();
                out.push(Act::Answer(recovering.client, Ok(Reply::Planned(Planned { moves, ..planned }))));
            }
            Ok((next, _)) => self.begin_again(recovering, Arc::new(next), out),
        }
    }

    /// The first state of a new history, and what is to be known of it; or why there is to be none.
    fn decide(&mut self, recovering: &Recovering) -> Result<(ClusterState, Planned), String> {
        if !self.keeping.is_idle() {
            return Err(
                "the disk of this node does not keep the state that it heard of last: mend that first"
                    .to_owned(),
            );
        }
        if !self.is_of(recovering.history) {
            return Err(format!(
                "the history was begun again already, in generation {}: this node has just heard of it, and goes by that",
                self.newest.generation()
            ));
        }
        let left = self.left();
        self.is_anything_lost(recovering)?;
        self.has_anybody_more(recovering, &left)?;
        for name in &recovering.plan.without {
            let member =
                left.state.member_by_name(name).ok_or_else(|| format!("there is no member `{name}`"))?;
            if member.id == self.here || recovering.heard.contains_key(&member.id) {
                return Err(format!(
                    "{name} is there: it answers. Only who is gone for good with his data can be left out; drain it afterwards \
                     (`henge node drain {name}`)"
                ));
            }
        }
        let heard = recovering.heard.values().map(|far| far.history.generation).max().unwrap_or_default();
        let number = self.rng.next_u64();
        let next =
            left.state.begun_again(heard, number, &recovering.plan.without).map_err(|why| why.to_string())?;
        let notes = self.what_is_heard(recovering, &left);
        Ok((next, Planned { epoch: left.state.epoch(), moves: Vec::new(), notes }))
    }

    /// Nothing is, where somebody leads, or a majority of the voters answers.
    fn is_anything_lost(&self, recovering: &Recovering) -> Result<(), String> {
        let is_given_up = |node: &NodeId| recovering.plan.losing.contains(&self.newest.name_of(*node));
        if self.splits.keys().any(is_given_up) {
            // There are two histories, and this one is to be followed by all.
            return Ok(());
        }
        let ours = history_of(&self.newest);
        let leads = |(node, far): (&NodeId, &Far)| (far.leads && far.history == ours).then_some(*node);
        let leader = self.leads().map(|_| self.here).or_else(|| recovering.heard.iter().find_map(leads));
        if let Some(leader) = leader {
            return Err(format!(
                "nothing is lost: {} leads those who keep the cluster state. Nodes that are gone for good are removed with \
                 `henge node remove`",
                self.newest.name_of(leader)
            ));
        }
        let voters = self.voters_left(recovering);
        let answers = |node: &&NodeId| {
            let has_log = |far: &Far| far.history == ours && far.log.is_some();
            **node == self.here && self.keeper.is_some() || recovering.heard.get(node).is_some_and(has_log)
        };
        let there: Vec<String> =
            voters.iter().filter(answers).map(|node| self.newest.name_of(*node)).collect();
        if there.len() * 2 > voters.len() {
            return Err(format!(
                "nothing is lost: of {} who keep the cluster state {} answer ({}), which is a majority. They agree on who leads them \
                 within seconds, if they reach each other",
                voters.len(),
                there.len(),
                there.join(", ")
            ));
        }
        Ok(())
    }

    /// Who votes, as the log here or the one that goes furthest of those who answered has it.
    fn voters_left(&self, recovering: &Recovering) -> Vec<NodeId> {
        let ours = history_of(&self.newest);
        let logs =
            recovering.heard.values().filter(|far| far.history == ours).filter_map(|far| far.log.as_ref());
        let furthest = logs.max_by_key(|log| (log.term, log.index));
        match (self.keeper.as_ref().and_then(Keeper::group), furthest) {
            (Some(group), furthest)
                if furthest.is_none_or(|log| (log.term, log.index) <= order(group.end())) =>
            {
                group.membership().voters().iter().map(|voter| voters::node_of(*voter)).collect()
            }
            (_, Some(log)) => log.voters.clone(),
            (_, None) => self.voters.clone(),
        }
    }

    /// Who has a later state would lose it; unless that is said by name.
    fn has_anybody_more(&self, recovering: &Recovering, left: &Left) -> Result<(), String> {
        let ours = history_of(&self.newest);
        for (node, far) in &recovering.heard {
            let name = self.newest.name_of(*node);
            if recovering.plan.losing.contains(&name) {
                continue;
            }
            if far.recovers && *node < self.here {
                return Err(format!(
                    "{name} was asked to begin the history again as well: let it, or ask again when it has answered"
                ));
            }
            if far.history != ours {
                return Err(format!(
                    "{name} goes by another history, of generation {}: ask there, or say `--losing {name}` and have that one given up",
                    far.history.generation
                ));
            }
            let reach = far.log.as_ref().map_or(far.epoch, |log| log.epoch.max(far.epoch));
            let is_further = far.log.as_ref().is_some_and(|log| (log.term, log.index) > order(left.end));
            let unsettled = left.state.epoch() > self.newest.epoch();
            if reach > left.state.epoch() || reach == left.state.epoch() && unsettled && is_further {
                return Err(format!(
                    "{name} has a later state, of epoch {reach}; this node has come to {}: ask there (`henge recover --at` its HTTP \
                     address), or say `--losing {name}` and have what it has beyond that given up",
                    left.state.epoch()
                ));
            }
        }
        Ok(())
    }

    /// What people are to know, line by line.
    fn what_is_heard(&self, recovering: &Recovering, left: &Left) -> Vec<String> {
        let line = |name: &str, generation: u32, epoch: Epoch, log: Option<String>| {
            let log = log.unwrap_or_else(|| "keeps no history".to_owned());
            format!("{name}: generation {generation}, epoch {epoch}, {log}")
        };
        let log_of =
            |term, index, epoch| format!("keeps the history up to term {term}, entry {index}, epoch {epoch}");
        let own = self.keeper.as_ref().map(|_| log_of(left.end.term, left.end.index, left.state.epoch()));
        let here = format!("{} (here)", self.newest.name_of(self.here));
        let mut notes = vec![line(&here, self.newest.generation(), self.newest.epoch(), own)];
        let (mut silent, mut removed) = (Vec::new(), Vec::new());
        for member in self.newest.members().iter().filter(|member| member.id != self.here) {
            match recovering.heard.get(&member.id) {
                Some(far) => {
                    let log = far.log.as_ref().map(|log| log_of(log.term, log.index, log.epoch));
                    notes.push(line(&member.name, far.history.generation, far.epoch, log));
                }
                None if recovering.plan.without.contains(&member.name) => removed.push(member.name.clone()),
                None => silent.push(member.name.clone()),
            }
        }
        if !silent.is_empty() {
            notes.push(format!(
                "no answer from {}: what they alone have agreed on is given up. Those that come back go by the new history; those that \
                 never will are to be removed (--without, or `henge node remove` afterwards)",
                silent.join(", ")
            ));
        }
        if !removed.is_empty() {
            notes.push(format!(
                "{} will be no members any more, and are never let in again",
                removed.join(", ")
            ));
        }
        notes
    }

    /// The latest state that may have been agreed on: the newest that is known, or what the log here leads to beyond it.
    fn left(&self) -> Left {
        let newest = Arc::clone(&self.newest);
        let Some((keeper, group)) = self.keeper.as_ref().and_then(|keeper| Some((keeper, keeper.group()?)))
        else {
            return Left { state: newest, end: Position::default() };
        };
        let end = group.end();
        let Some(mut state) = keeper.state().cloned() else { return Left { state: newest, end } };
        // Only what leads through the state that is known was not replaced by other entries since.
        let is_newest = |state: &ClusterState| state.fingerprint() == newest.fingerprint();
        let mut leads_through = is_newest(&state) || version(&state) > version(&newest);
        for entry in group.tail() {
            let Payload::Data(bytes) = &entry.payload else { continue };
            if let Some(next) = Command::decode(bytes).and_then(|command| state.apply(&command).ok()) {
                state = Arc::new(next);
                leads_through |= is_newest(&state);
            }
        }
        if leads_through { Left { state, end } } else { Left { state: newest, end } }
    }

    fn begin_again(&mut self, recovering: Recovering, next: Arc<ClusterState>, out: &mut Vec<Act>) {
        let member = voters::first(next.generation(), self.here);
        let bytes = next.encode();
        let client = recovering.client;
        match Stored::founding([member], Bytes::from(bytes.clone())) {
            Ok(stored) => {
                tracing::warn!(generation = next.generation(), epoch = %next.epoch(), "the history of the cluster state is begun again");
                out.push(Act::Run(Work::BeginAgain {
                    place: self.place.clone(),
                    log_of: super::store::log_of(self.incarnation, history_of(&next)),
                    member,
                    stored: Box::new(stored),
                    bytes,
                }));
                self.recovering = Some(Recovering { begins: Some(next), ..recovering });
            }
            Err(error) => out.push(Act::Answer(client, Err(Error::Invalid(error.to_string())))),
        }
    }

    /// Whether a new history is being written down.
    pub(super) fn begins_again(&self) -> bool {
        self.recovering.as_ref().is_some_and(|recovering| recovering.begins.is_some())
    }

    /// The new history is on the disk, or could not be written.
    pub(super) fn began_again(&mut self, now: Moment, outcome: Result<Opened, String>, out: &mut Vec<Act>) {
        let Some(Recovering { number, client, plan, begins: Some(state), .. }) = self.recovering.take()
        else {
            return;
        };
        let opened = match outcome {
            Ok(opened) => opened,
            Err(why) => {
                let why = format!(
                    "the new history could not be written down: {why}. Start this node again, and look at its generation"
                );
                out.push(Act::Answer(client, Err(Error::ChangeUnknown(why))));
                return self.keep(out);
            }
        };
        if version(&self.newest) >= version(&state) {
            out.push(Act::Run(Work::Remove { place: self.place.clone(), member: opened.member }));
            let why = "another history was heard of meanwhile: this node goes by that".to_owned();
            out.push(Act::Answer(client, Err(Error::NotLed(why))));
            return self.keep(out);
        }
        let epoch = state.epoch();
        self.leave_history(out);
        self.newest = Arc::clone(&state);
        self.kept_history = history_of(&state);
        self.keeper = Some(Keeper::new(opened));
        self.open(now, out);
        out.push(Act::Adopt(state));
        self.wait_until_done(now, number, (client, Change::Recover(Box::new(plan))), epoch, out);
        let word = self.have();
        out.extend(self.reachable.iter().map(|peer| Act::Send(*peer, word.clone())));
    }

    /// What was known and under way in the history that this node went by is of no use in another.
    pub(super) fn leave_history(&mut self, out: &mut Vec<Act>) {
        if let Some(member) = self.keeper.as_ref().map(Keeper::member) {
            self.dismissed(member, out);
        }
        self.founding = None;
        self.leader = None;
        self.voters.clear();
        self.leading.forget();
        self.recent.clear();
        self.splits.clear();
    }
}

/// How positions are compared: by term first.
fn order(position: Position) -> (u64, u64) {
    (position.term, position.index)
}

/// Of which history a message of the group is, before it.
pub(super) fn seal(history: History, message: &[u8]) -> Vec<u8> {
    [&history.generation.to_le_bytes(), &history.number.to_le_bytes()[..], message].concat()
}

/// The history of a message, and the message; nothing where it is too short to be one.
pub(super) fn unseal(bytes: &[u8]) -> Option<(History, &[u8])> {
    let (generation, rest) = bytes.split_first_chunk::<4>()?;
    let (number, message) = rest.split_first_chunk::<8>()?;
    let history =
        History { generation: u32::from_le_bytes(*generation), number: u64::from_le_bytes(*number) };
    Some((history, message))
}
