//! What people ask to be changed, from the words of a client to the answer.
//!
//! What must hold (INVARIANTS A5): *not done* is said only of what nobody took on, or what was refused when it was its turn. What was
//! taken on and never answered is *unknown*; it is not proposed again by itself, because it may have been done.

use std::time::Duration;

use api::{Change, Changed, Error, Outcome, Reply};
use bytes::Bytes;
use cluster::{Command, Member, Refused, Standing};
use types::{Epoch, Instant, Moment, NodeId, PartitionId};
use wire::{Govern, Proposed};

use super::group::Proposer;
use super::{Act, Governing};

/// The most changes that clients of one node may wait for at once.
const ASKED_MAX: usize = 256;

/// How long to wait before somebody is asked again who leads.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long the shards of this node may take to go by what was made.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// How often a change is made anew from later settings.
const OVERTAKEN_MAX: u32 = 5;

/// A change that a client waits for.
#[derive(Debug)]
pub(super) struct Asked {
    client: u64,
    change: Change,
    deadline: Instant,
    /// When it is to be proposed again, if nobody has taken it on.
    again_at: Option<Instant>,
    /// To whom it was sent and who may have taken it on.
    with: Option<NodeId>,
    overtaken: u32,
    /// Answered once this node goes by the state of this epoch.
    done_in: Option<Epoch>,
}

impl Asked {
    pub(super) fn next_timer(&self) -> Instant {
        self.again_at.map_or(self.deadline, |again| again.min(self.deadline))
    }
}

impl Governing {
    /// A client of this node asks for a change.
    pub(in crate::core) fn ask(
        &mut self,
        now: Moment,
        client: u64,
        change: Change,
        timeout: Duration,
        out: &mut Vec<Act>,
    ) {
        if self.asked.len() >= ASKED_MAX {
            let why =
                format!("{ASKED_MAX} changes of the cluster are waited for at this node: try again later");
            out.push(Act::Answer(client, Err(Error::Overloaded(why))));
            return;
        }
        if let Change::Recover(plan) = change {
            return self.recover(now, client, *plan, false, out);
        }
        if let Change::Join(plan) = &change
            && self.newest.has_joined(plan)
        {
            let changed = Changed { epoch: self.newest.epoch(), ..Changed::default() };
            out.push(Act::Answer(client, Ok(Reply::Changed(changed))));
            return;
        }
        self.next_number += 1;
        let asked = Asked {
            client,
            change,
            deadline: now.mono + timeout,
            again_at: None,
            with: None,
            overtaken: 0,
            done_in: None,
        };
        self.asked.insert(self.next_number, asked);
        self.propose_for(now, self.next_number, out);
    }

    /// What was made is answered once this node goes by the state of that epoch.
    pub(super) fn wait_until_done(
        &mut self,
        now: Moment,
        number: u64,
        (client, change): (u64, Change),
        epoch: Epoch,
        out: &mut Vec<Act>,
    ) {
        let asked = Asked {
            client,
            change,
            deadline: now.mono + DONE_WITHIN,
            again_at: None,
            with: Some(self.here),
            overtaken: 0,
            done_in: Some(epoch),
        };
        self.asked.insert(number, asked);
        self.answer_done(out);
    }

    /// Says what a change would come to.
    pub(in crate::core) fn plan(&self, change: &Change) -> Outcome {
        self.look_before(change)?;
        let planned = self.newest.command_of(change).and_then(|command| self.newest.plan_of(&command));
        let mut planned = planned.map_err(|error| refused(&error))?;
        for one in &mut planned.moves {
            one.bytes = self.bytes_of(PartitionId(one.partition));
        }
        Ok(Reply::Planned(planned))
    }

    /// What speaks against a change by what this node sees of the others, which those who agree on it do not know: nobody is called gone
    /// who is there, for he could hand over what he has.
    fn look_before(&self, change: &Change) -> Result<(), Error> {
        let Change::Remove { node, .. } = change else { return Ok(()) };
        let is_there = |member: &&Member| {
            let is_up = member.id == self.here || self.reachable.contains(&member.id);
            is_up && member.standing != Standing::Gone
        };
        if self.newest.member_by_name(node).filter(is_there).is_none() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{node} is up, and could hand over what it has (`henge node drain {node}`): to call it gone for good, stop it first"
        )))
    }

    fn propose_for(&mut self, now: Moment, number: u64, out: &mut Vec<Act>) {
        let Some(asked) = self.asked.get(&number) else { return };
        // Looked at each time: who is named may have come back while nobody led.
        let looked = self.look_before(&asked.change);
        let command =
            looked.and_then(|()| self.newest.command_of(&asked.change).map_err(|error| refused(&error)));
        let command = match command {
            Ok(command) => Bytes::from(command.encode()),
            Err(error) => return self.answer(number, Err(error), out),
        };
        let Some(asked) = self.asked.get_mut(&number) else { return };
        asked.again_at = None;
        match self.leader {
            Some((_, leader)) if leader == self.here => {
                if self.propose(now, &command, Proposer::Here(number), out).is_err() {
                    self.wait_for_a_leader(now, number);
                } else if let Some(asked) = self.asked.get_mut(&number) {
                    asked.with = Some(self.here);
                }
            }
            Some((_, leader)) if self.reachable.contains(&leader) => {
                asked.with = Some(leader);
                out.push(Act::Send(leader, Govern::Propose { number, command }));
            }
            _ => self.wait_for_a_leader(now, number),
        }
    }

    fn wait_for_a_leader(&mut self, now: Moment, number: u64) {
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.with = None;
            asked.again_at = Some(now.mono + ASK_AGAIN);
        }
    }

    /// A peer wants something proposed.
    pub(super) fn propose_for_peer(
        &mut self,
        now: Moment,
        from: NodeId,
        number: u64,
        command: &Bytes,
        out: &mut Vec<Act>,
    ) {
        let is_peoples = Command::decode(command).is_some_and(|command| command.is_peoples());
        let outcome = if is_peoples {
            self.propose(now, command, Proposer::Peer(from, number), out)
        } else {
            Err(Proposed::Refused("only what people ask for is proposed for others".to_owned()))
        };
        if let Err(outcome) = outcome {
            out.push(Act::Send(from, Govern::Proposed { number, outcome }));
        }
    }

    /// What came of something that was proposed for a client of this node.
    pub(super) fn proposed(&mut self, number: u64, outcome: Proposed, out: &mut Vec<Act>) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        if asked.done_in.is_some() {
            // It was made. What comes now is of the same proposal, which reached the leader twice.
            return;
        }
        match outcome {
            Proposed::Done(epoch) => {
                asked.done_in = Some(epoch);
                self.answer_done(out);
            }
            Proposed::Refused(why) => self.answer(number, Err(Error::Invalid(why)), out),
            Proposed::Overtaken(_) if asked.overtaken < OVERTAKEN_MAX => {
                asked.overtaken += 1;
                asked.with = None;
                asked.again_at = Some(Instant::default());
            }
            Proposed::Overtaken(since) => {
                let why = format!("others change the same all the time, last in epoch {since}: try again");
                self.answer(number, Err(Error::NotLed(why)), out);
            }
            Proposed::NotLed => {
                asked.with = None;
                asked.again_at = Some(Instant::default());
                // Whoever says so does not lead.
                self.leader = self.leader.filter(|(_, leader)| *leader == self.here);
            }
            Proposed::Unknown => {
                let why = "the node that took the change on leads no more: look whether it was made";
                self.answer(number, Err(Error::ChangeUnknown(why.to_owned())), out);
            }
        }
    }

    /// Answers those whose changes are in the state that this node knows by now: who asks it next must find them made.
    pub(in crate::core) fn answer_done(&mut self, out: &mut Vec<Act>) {
        let here = self.adopted();
        let done = |asked: &Asked| asked.done_in.is_some_and(|epoch| epoch <= here);
        let numbers: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| done(asked)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(asked) = self.asked.get(&number) else { continue };
            let epoch = asked.done_in.unwrap_or_default();
            let waiting = self.newest.waiting_to_move().count() + self.newest.movements().len();
            let name = match &asked.change {
                Change::CreateKeyspace { name, .. } => Some(name),
                _ => None,
            };
            let number_of = name.and_then(|name| self.newest.keyspace_by_name(name)).map(|one| one.number);
            let changed = Changed {
                epoch,
                number: number_of,
                partitions: u32::try_from(waiting).unwrap_or(u32::MAX),
                notes: Vec::new(),
            };
            self.answer(number, Ok(Reply::Changed(changed)), out);
        }
    }

    /// The state that all shards of this node go by.
    fn adopted(&self) -> Epoch {
        self.shards.values().map(|report| report.adopted).min().unwrap_or_default()
    }

    /// Asks again, and gives up what has no time left.
    pub(super) fn ask_again(&mut self, now: Moment, out: &mut Vec<Act>) {
        let due: Vec<u64> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.next_timer() <= now.mono)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let Some(asked) = self.asked.get(&number) else { continue };
            if asked.deadline > now.mono {
                self.propose_for(now, number, out);
                continue;
            }
            let error = match (asked.done_in, asked.with) {
                (Some(epoch), _) => Error::ChangeUnknown(format!(
                    "it was made, in epoch {epoch}, and this node has yet to go by that"
                )),
                (None, Some(node)) => Error::ChangeUnknown(format!(
                    "{} did not say in time whether it was made: look whether it was",
                    self.newest.name_of(node)
                )),
                (None, None) => Error::NotLed(
                    "nobody leads those who keep the cluster state: a majority of them must be up and reach each other \
                     (`henge status` says who they are). Reads and writes go on meanwhile. If the majority is lost for good, \
                     `henge recover` begins the history again from what is left"
                        .to_owned(),
                ),
            };
            self.answer(number, Err(error), out);
        }
    }

    fn answer(&mut self, number: u64, outcome: Outcome, out: &mut Vec<Act>) {
        if let Some(asked) = self.asked.remove(&number) {
            out.push(Act::Answer(asked.client, outcome));
        }
    }
}

fn refused(error: &Refused) -> Error {
    Error::Invalid(error.to_string())
}
