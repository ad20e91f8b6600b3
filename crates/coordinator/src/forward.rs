//! A client's write on a node that is no owner, or that cannot make it: passed on to one that is, the maker.
//!
//! A second maker is asked only when the first provably did not get the write, or says for certain that it has not made it,
//! because of something that ails it and need not ail others: it reaches too few owners, or has too much to do or no room. Once
//! it may have made it, its silence is *unknown*: asking another would make the write twice, under two dots (INVARIANTS A6).

use api::{Action, Error, KeyRequest, Operation, Outcome, Reply};
use quorum::{Level, Owner, Tracker};
use types::{NodeId, OperationId};
use wire::{Forward as Passed, ReplicaReply, ReplicaRequest};

use crate::pace::RETRIES_SPENT;
use crate::target::{Event, Failure, Target, Turn};

/// A write passed on.
#[derive(Debug)]
pub struct Forward {
    request: KeyRequest,
    level: Level,
    /// Owners, and fallbacks that may stand in, who were not asked yet; the next one last.
    makers: Vec<NodeId>,
    asked: Option<NodeId>,
    /// How many owners held the write when its maker said so.
    acknowledged: u8,
    problems: Vec<String>,
    /// What the last maker said that did not make it. The client is told that if there is no other.
    not_made: Option<Error>,
}

impl Forward {
    /// Begins: passes the write to the first owner in this node's data center that can be reached, or else to the first
    /// anywhere. One owner for all of a data center who are not owners, so that their writes to one key meet at one maker
    /// rather than outrank each other. One that says that its disk is full comes after those that have room. `problem` is why
    /// this node does not make it, if it might.
    pub fn start(
        target: &Target,
        operation: Operation,
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
            level,
            makers: first_last(target, turn),
            asked: None,
            acknowledged: 0,
            problems: problem.into_iter().collect(),
            not_made: None,
        };
        forward.ask_next(target, turn);
        forward
    }

    /// Takes an event.
    pub fn step(&mut self, target: &Target, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Reply { from, reply, .. } if self.asked == Some(from) => match reply {
                ReplicaReply::Forwarded(outcome) => match self.renamed(*outcome, turn) {
                    Err(error) if is_of_the_maker(&error) => {
                        self.problems.push(format!("{}: {error}", target.name_of(from)));
                        self.not_made = Some(error);
                        self.not_by(target, from);
                        self.ask_again(target, turn);
                    }
                    outcome => turn.finish(outcome),
                },
                ReplicaReply::StaleEpoch { newest } => {
                    self.problems.push(format!(
                        "{}: it knows epoch {newest}, and the request is of an older one",
                        target.name_of(from)
                    ));
                    self.ask_again(target, turn);
                }
                ReplicaReply::Failed { why } => {
                    self.problems.push(format!("{}: {why}", target.name_of(from)));
                    self.not_by(target, from);
                    self.ask_again(target, turn);
                }
                _ => turn.finish(Err(self.unknown(target, "it answered something else than what was asked"))),
            },
            Event::Failed { from, failure } if self.asked == Some(from) => match failure {
                Failure::NotSent => {
                    self.problems.push(format!("cannot reach {}", target.name_of(from)));
                    self.ask_next(target, turn);
                }
                Failure::Lost => turn.finish(Err(self.unknown(target, "the connection to it was lost"))),
            },
            Event::Reply { .. } | Event::Failed { .. } | Event::Made(_) | Event::Timer => {}
        }
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
        self.unknown(target, "it did not answer in time")
    }

    /// An owner that is there and will not is no reason for a fallback to stand in.
    fn not_by(&mut self, target: &Target, maker: NodeId) {
        let is_owner = |node: &NodeId| target.owners.iter().any(|(owner, _)| owner == node);
        if is_owner(&maker) {
            self.makers.retain(is_owner);
        }
    }

    /// A maker has refused. Asking another comes out of the budget for that (INVARIANTS J2); where it is spent, the write was
    /// not done, for nobody took it.
    fn ask_again(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if self.makers.is_empty() || turn.pace.may_retry(turn.now.mono) {
            self.ask_next(target, turn);
        } else {
            self.problems.push(RETRIES_SPENT.to_owned());
            self.give_up(target, turn);
        }
    }

    fn ask_next(&mut self, target: &Target, turn: &mut Turn<'_>) {
        self.asked = self.makers.pop();
        match self.asked {
            Some(node) => {
                let forward = Passed { request: self.request.clone() };
                turn.send(node, 0, ReplicaRequest::Forward(Box::new(forward)));
            }
            None => self.give_up(target, turn),
        }
    }

    /// Nobody is left to ask, and nobody has made it.
    fn give_up(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let error = self.not_made.take().unwrap_or_else(|| self.unavailable(target));
        turn.finish(Err(error));
    }

    fn unavailable(&self, target: &Target) -> Error {
        Error::Unavailable {
            action: Action::Write,
            level: self.level,
            needed: self.needed(target),
            got: 0,
            owners: target.owner_count(),
            detail: self.problems.join("; "),
        }
    }

    fn unknown(&self, target: &Target, why: &str) -> Error {
        let maker = self.asked.map_or("no owner", |node| target.name_of(node));
        Error::Unknown {
            level: self.level,
            needed: self.needed(target),
            got: 0,
            owners: target.owner_count(),
            detail: format!("{maker} was to make the write, and {why}"),
        }
    }

    fn needed(&self, target: &Target) -> u8 {
        let tracker = Tracker::new(self.level, &target.owners, target.local);
        u8::try_from(tracker.needed()).unwrap_or(u8::MAX)
    }
}

/// Whether a write was not made because of something that ails its maker, and not because of what was asked.
fn is_of_the_maker(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::Overloaded(_))
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
