//! A client's write on a node that is no owner, or that cannot make it: passed on to one that is, the maker.
//!
//! Where the change rests on nothing and one value is kept per key, this node names the write: it mints the dot and the stamp.
//! Every maker then makes the very same write, so another may be asked after one was lost with the write under way. Any
//! other change is made under its maker's name, and a second maker is asked only when the first provably did not get it, for
//! it would be made twice, under two dots (INVARIANTS A6); or when the first says for certain that it has not made it, because of
//! something that ails it and need not ail others: it reaches too few owners, or has too much to do or no room. See `docs/decisions/2026-11-30-named-writes.md`.
//!
//! A maker that says that the write was routed by an earlier state than its own has not taken it: the maker is chosen anew, under the
//! same name, once this node goes by that state too.
//!
//! What must hold: a maker is left to name the write itself only if none was lost before it, and then no other is asked; and
//! once one was lost nothing is *not done* any more (A5).

use api::{Action, Error, ExpiryChange, Fate, KeyRequest, Operation, Outcome, Reply};
use cluster::Keyspace;
use quorum::{Level, Owner, Tracker};
use types::{Epoch, NodeId, OperationId};
use wire::{Forward as Passed, ReplicaReply, ReplicaRequest, WriteName};

use crate::pace::RETRIES_SPENT;
use crate::target::{Event, Failure, Step, Target, Turn};

/// What became of a maker that is gone.
const CONNECTION_LOST: &str = "the connection to it was lost";

/// A write passed on.
#[derive(Debug)]
pub struct Forward {
    request: KeyRequest,
    /// What the write is called, for as long as this node may ask any maker to make it.
    name: Option<WriteName>,
    /// A maker was asked, and is gone. It may have made the write.
    lost: bool,
    /// A maker could not make the write under its name, and was told to name it itself. It may have made it.
    left: bool,
    /// Why the first maker that took the write did not do it, for want of others.
    not_done: Option<Error>,
    level: Level,
    /// Owners, and fallbacks that may stand in, who were not asked yet; the next one last.
    makers: Vec<NodeId>,
    asked: Option<NodeId>,
    /// The last one that was asked knows of other owners or settings, since this epoch, and has not taken it.
    ahead: Option<(NodeId, Epoch)>,
    /// How many owners held the write when its maker said so.
    acknowledged: u8,
    problems: Vec<String>,
}

impl Forward {
    /// Begins: passes the write to the first owner in this node's data center that can be reached, or else to the first
    /// anywhere. One owner for all of a data center who are not owners, so that their writes to one key meet at one maker
    /// rather than outrank each other. One that says that its disk is full, or that lags, comes after those that do not. `name` is what
    /// the write is called, if it [can be named](can_be_named); `problem` why this node does not make it, if it might.
    pub fn start(
        target: &Target,
        operation: Operation,
        name: Option<WriteName>,
        problem: Option<String>,
        turn: &mut Turn<'_>,
    ) -> Forward {
        let keyspace = target.keyspace();
        let level = match &operation {
            Operation::Put { write, .. }
            | Operation::Delete { write, .. }
            | Operation::Expire { write, .. } => write.unwrap_or(keyspace.w),
            Operation::Get { .. } => keyspace.r,
        };
        let request = KeyRequest { keyspace: target.keyspace_id, key: target.key.clone(), operation };
        let mut forward = Forward {
            request,
            name,
            lost: false,
            left: false,
            not_done: None,
            level,
            makers: first_last(target, turn),
            asked: None,
            ahead: None,
            acknowledged: 0,
            problems: problem.into_iter().collect(),
        };
        forward.ask_next(target, turn);
        forward
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Reply { from, reply, .. } if self.asked == Some(from) => match reply {
                ReplicaReply::Forwarded(outcome) => match self.renamed(*outcome, turn) {
                    Err(error) if self.is_for_another(&error) => self.not_done(target, from, error, turn),
                    outcome => turn.finish(outcome),
                },
                ReplicaReply::NotAsNamed if self.name.is_some() => self.leave(target, from, turn),
                // Said twice: it has been told.
                ReplicaReply::NotAsNamed if self.left => {}
                ReplicaReply::Failed { why } if self.left => {
                    turn.finish(Err(self.unknown(target, &why)));
                }
                ReplicaReply::StaleEpoch { newest } => self.not_taken(target, from, newest, turn),
                ReplicaReply::Failed { why } => {
                    self.problems.push(format!("{}: {why}", target.name_of(from)));
                    self.refused_by(target, from, turn);
                }
                _ => turn.finish(Err(self.unknown(target, "it answered something else than what was asked"))),
            },
            Event::Failed { from, failure } if self.asked == Some(from) => match failure {
                Failure::NotSent if self.left => {
                    turn.finish(Err(self.unknown(target, "it cannot be reached any more")));
                }
                Failure::NotSent => {
                    self.problems.push(format!("cannot reach {}", target.name_of(from)));
                    self.ask_next(target, turn);
                }
                Failure::Lost if self.name.is_some() => {
                    self.problems.push(self.was_to_make_it(target, CONNECTION_LOST));
                    self.lost = true;
                    self.ask_again(target, turn);
                }
                Failure::Lost => turn.finish(Err(self.unknown(target, CONNECTION_LOST))),
            },
            Event::Reply { .. } | Event::Failed { .. } | Event::Made(_) | Event::Unnamed | Event::Timer => {}
        }
    }

    /// A maker goes by other owners or settings, since this epoch, and has not taken the write; also one that was left to name it
    /// itself, for it had not made it under the name either.
    fn not_taken(&mut self, target: &Target, maker: NodeId, newest: Epoch, turn: &mut Turn<'_>) {
        self.left = false;
        self.asked = None;
        if turn.is_dropped(target) {
            let error = self.dropped(target);
            turn.finish(Err(error));
        } else if newest <= target.since() {
            // It was asked before this node had heard of it.
            self.choose_anew(target, turn);
        } else if turn.awaits(newest) {
            self.ahead = Some((maker, newest));
        } else {
            self.problems.push(format!(
                "{}: it knows epoch {newest}, and the request is of an older one",
                target.name_of(maker)
            ));
            self.ask_again(target, turn);
        }
    }

    /// The owners or settings are others. A maker that was asked and has not answered may have taken the write: it is waited for.
    pub fn overtaken(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if self.asked.is_some() {
            self.makers = first_last(target, turn);
            self.makers.retain(|node| Some(*node) != self.asked);
        } else if turn.is_dropped(target) {
            let error = self.dropped(target);
            turn.finish(Err(error));
        } else {
            self.choose_anew(target, turn);
        }
    }

    fn choose_anew(&mut self, target: &Target, turn: &mut Turn<'_>) {
        self.ahead = None;
        self.makers = first_last(target, turn);
        if self.makers.is_empty() && target.is_owner() && !self.lost {
            turn.steps.push(Step::MakeHere(Box::new(self.request.operation.clone())));
        } else {
            self.ask_next(target, turn);
        }
    }

    fn dropped(&self, target: &Target) -> Error {
        if !self.lost {
            return target.dropped();
        }
        let problems = self.problems.iter().cloned().chain(["the keyspace was dropped meanwhile".to_owned()]);
        self.unknown_because(target, problems.collect::<Vec<String>>().join("; "))
    }

    /// Whether another maker may do better than one that has not done the write. It may reach owners that the first did not, or have
    /// less to do; and what one that was lost did is not said by who came after it.
    fn is_for_another(&self, error: &Error) -> bool {
        let is_of_the_maker = matches!(error, Error::Unavailable { .. } | Error::Overloaded(_));
        error.fate() == Fate::NotDone && !self.left && (self.lost || is_of_the_maker)
    }

    fn not_done(&mut self, target: &Target, maker: NodeId, error: Error, turn: &mut Turn<'_>) {
        self.problems.push(format!("{}: {error}", target.name_of(maker)));
        self.not_done.get_or_insert(error);
        self.refused_by(target, maker, turn);
    }

    fn refused_by(&mut self, target: &Target, maker: NodeId, turn: &mut Turn<'_>) {
        // An owner that is there and will not is no reason for a fallback to stand in.
        let is_owner = |node: &NodeId| target.owners.iter().any(|(owner, _)| owner == node);
        if is_owner(&maker) {
            self.makers.retain(is_owner);
        }
        self.ask_again(target, turn);
    }

    /// A maker cannot make the write under its name. If nobody else may have, it may name it itself; else what it made would be
    /// another write, or the same moved in time.
    fn leave(&mut self, target: &Target, maker: NodeId, turn: &mut Turn<'_>) {
        if self.lost {
            turn.finish(Err(self.unknown(target, "something newer is held there, or it comes too late")));
            return;
        }
        self.name = None;
        self.left = true;
        turn.send(maker, 0, ReplicaRequest::Unname);
    }

    /// How many owners hold the write, as far as this node was told.
    pub fn acknowledged(&self) -> u8 {
        self.acknowledged
    }

    /// The maker names the write by an id of its own, which may be that of something else here. The client gets ours.
    fn renamed(&mut self, outcome: Outcome, turn: &Turn<'_>) -> Outcome {
        let mut outcome = outcome;
        let written = match &mut outcome {
            Ok(Reply::Written(written)) => Some(written),
            Ok(Reply::Deleted(deleted)) => Some(&mut deleted.written),
            _ => None,
        };
        if let Some(written) = written
            && written.operation != OperationId::default()
        {
            written.operation = turn.id;
            self.acknowledged = written.acknowledged;
        }
        outcome
    }

    /// The time is up.
    pub fn timed_out(&self, target: &Target) -> Error {
        let Some((maker, newest)) = self.ahead else {
            return self.unknown(target, "it did not answer in time");
        };
        let maker = target.name_of(maker);
        let why = format!("{maker}: it knows epoch {newest}, of which this node has yet to hear");
        let problems: Vec<String> = self.problems.iter().cloned().chain([why]).collect();
        if self.lost {
            return self.unknown_because(target, problems.join("; "));
        }
        self.not_done.clone().unwrap_or_else(|| self.unavailable(target, problems.join("; ")))
    }

    /// A maker has refused, or was lost. Asking another comes out of the budget for that (INVARIANTS J2).
    fn ask_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if self.makers.is_empty() || turn.pace.may_retry(turn.now.mono) {
            self.ask_next(target, turn);
        } else {
            self.problems.push(RETRIES_SPENT.to_owned());
            turn.finish(Err(self.given_up(target)));
        }
    }

    fn ask_next(&mut self, target: &Target, turn: &mut Turn<'_>) {
        self.asked = self.makers.pop();
        match self.asked {
            Some(node) => {
                let forward = Passed { request: self.request.clone(), name: self.name };
                turn.send(node, 0, ReplicaRequest::Forward(Box::new(forward)));
            }
            None => turn.finish(Err(self.given_up(target))),
        }
    }

    /// Nobody is left to ask, or nothing to ask him with: the write was not done if nobody took it, and else nobody knows.
    fn given_up(&self, target: &Target) -> Error {
        if self.lost {
            return self.unknown_because(target, self.problems.join("; "));
        }
        if let Some(error) = &self.not_done {
            return error.clone();
        }
        self.unavailable(target, self.problems.join("; "))
    }

    fn unavailable(&self, target: &Target, detail: String) -> Error {
        Error::Unavailable {
            action: Action::Write,
            level: self.level,
            needed: self.needed(target),
            got: 0,
            owners: target.owner_count(),
            detail,
        }
    }

    fn unknown(&self, target: &Target, why: &str) -> Error {
        let mut parts = if self.lost { self.problems.clone() } else { Vec::new() };
        parts.push(self.was_to_make_it(target, why));
        self.unknown_because(target, parts.join("; "))
    }

    fn unknown_because(&self, target: &Target, detail: String) -> Error {
        Error::Unknown {
            level: self.level,
            needed: self.needed(target),
            got: 0,
            owners: target.owner_count(),
            detail,
        }
    }

    fn was_to_make_it(&self, target: &Target, why: &str) -> String {
        let maker = self.asked.map_or("no owner", |node| target.name_of(node));
        format!("{maker} was to make the write, and {why}")
    }

    fn needed(&self, target: &Target) -> u8 {
        let tracker = Tracker::new(self.level, &target.owners, target.local);
        u8::try_from(tracker.needed()).unwrap_or(u8::MAX)
    }
}

/// Whether a write can be made under a name that was given to it before anything was looked at: a put that rests on nothing,
/// where one value is kept per key and its writer need not have read it.
pub fn can_be_named(keyspace: &Keyspace, operation: &Operation) -> bool {
    let rests_on_nothing =
        matches!(operation, Operation::Put { expiry, .. } if *expiry != ExpiryChange::Keep);
    rests_on_nothing && !keyspace.policy.keeps_siblings() && !keyspace.require_context
}

/// Whom to ask to be the maker, from the back: the owners that can be reached, and of these first the ones that have room, of these
/// the ones that do not lag, and of these the ones in this data center; then, where fallbacks may stand in, those that can be reached, this node perhaps among them; then the other owners.
/// Among equals in the order of the preference list.
fn first_last(target: &Target, turn: &Turn<'_>) -> Vec<NodeId> {
    let reachable = |node: NodeId| node == target.here || turn.topology.is_reachable(node);
    let rank = |&(node, data_center): &Owner| {
        (!reachable(node), !turn.topology.has_room(node), turn.pace.lags(node), data_center != target.local)
    };
    let mut owners = target.owners.clone();
    // An owner that passes on what it might make cannot make it.
    owners.retain(|(node, _)| *node != target.here);
    owners.sort_by_key(rank);
    let mut makers: Vec<NodeId> = owners.into_iter().map(|(node, _)| node).collect();
    if target.is_sloppy() {
        let state = target.state();
        let fallbacks = state.fallbacks(target.keyspace_id, target.partition).into_iter();
        let mut stand_ins: Vec<Owner> = fallbacks
            .filter(|node| reachable(*node))
            .map(|node| (node, state.data_center_of(node)))
            .collect();
        stand_ins.sort_by_key(rank);
        let place = makers.iter().position(|node| !reachable(*node)).unwrap_or(makers.len());
        makers.splice(place..place, stand_ins.into_iter().map(|(node, _)| node));
    }
    makers.reverse();
    makers
}
