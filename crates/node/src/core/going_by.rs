//! How the shards of a node come to go by a cluster state, and what is said about it between nodes.
//!
//! The shard that speaks for the node has its [`Governing`](super::governing::Governing); the others are told when there is a state
//! to go by, and say when they do. What must hold: all that a shard routes and refuses from then on, it does by that state.

use std::sync::Arc;
use std::time::Duration;

use api::{Change, Outcome, Recovery};
use cluster::{ClusterState, Member, Report, Standing};
use types::{Epoch, Incarnation, Moment, NodeId};
use wire::{Body, Envelope, Govern};

use super::amounts::Amounts;
use super::governing::Act;
use super::hearing::SPEAKER;
use super::{Output, Passed, Sender, Shard};
use crate::job::{GovernJob, GovernOutcome, Job};

/// How long a change of the cluster may take to be agreed on where a client does not say.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

impl Shard {
    /// A peer says something about the cluster state. `via` is the shard that has the connection that it came by.
    pub(super) fn hear_govern(
        &mut self,
        now: Moment,
        via: types::ShardId,
        from: Sender,
        govern: Govern,
        out: &mut Vec<Output>,
    ) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.hear(now, from.node, govern, &mut acts);
        }
        if self.topology.state.was_removed(from.node) {
            // Nobody connects with it any more. Where its own connection stands, because it slept while it was removed, it learns that
            // it is no member by the way that it asked.
            let is_to_it = |act: &mut Act| matches!(act, Act::Send(peer, _) if *peer == from.node);
            for act in acts.extract_if(.., is_to_it) {
                if let Act::Send(_, govern) = act {
                    let envelope = about_the_state(govern);
                    out.push(if via == self.index {
                        Output::Reply(from, envelope)
                    } else {
                        Output::Pass(via, Passed::Reply(from, envelope))
                    });
                }
            }
        }
        self.act(now, acts, out);
    }

    /// A client wants the cluster changed, or wants to know what that would come to.
    pub(super) fn change(
        &mut self,
        now: Moment,
        token: u64,
        change: Change,
        timeout: Option<Duration>,
        out: &mut Vec<Output>,
    ) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.ask(now, token, change, timeout.unwrap_or(CHANGE_TIMEOUT), &mut acts);
        }
        self.act(now, acts, out);
    }

    /// What a change would come to.
    pub(super) fn plan(&self, change: &Change) -> Outcome {
        match &self.governing {
            Some(governing) => governing.plan(change),
            None => Err(api::Error::Invalid("this shard does not speak for its node".to_owned())),
        }
    }

    /// What it would come to if the history were begun again. Others are asked how far they are.
    pub(super) fn plan_recovery(&mut self, now: Moment, token: u64, plan: Recovery, out: &mut Vec<Output>) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.recover(now, token, plan, true, &mut acts);
        }
        self.act(now, acts, out);
    }

    /// Does what is due about the cluster state.
    pub(super) fn govern(&mut self, now: Moment, out: &mut Vec<Output>) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing
            && governing.next_timer() <= now.mono
        {
            governing.turn(now, &mut acts);
        }
        self.act(now, acts, out);
    }

    /// A peer can be reached, or cannot any more.
    pub(super) fn govern_with(&mut self, now: Moment, peer: NodeId, does: bool, out: &mut Vec<Output>) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.reaches(now, peer, does, &mut acts);
        }
        self.act(now, acts, out);
    }

    /// Work for the cluster state has ended.
    pub(super) fn govern_done(
        &mut self,
        now: Moment,
        GovernOutcome(done): GovernOutcome,
        out: &mut Vec<Output>,
    ) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.done(now, done, &mut acts);
        }
        self.act(now, acts, out);
    }

    /// Asks a peer for the state that it goes by, which is later than the one here.
    pub(super) fn ask_for_news(&mut self, peer: NodeId, out: &mut Vec<Output>) {
        match &self.governing {
            Some(governing) => {
                let have = governing.have();
                self.say(peer, have, out);
            }
            None => out.push(Output::Pass(SPEAKER, Passed::Behind(peer))),
        }
    }

    fn act(&mut self, now: Moment, acts: Vec<Act>, out: &mut Vec<Output>) {
        for act in acts {
            match act {
                Act::Send(peer, govern) => self.say(peer, govern, out),
                Act::Answer(token, outcome) => self.answer(token, outcome, out),
                Act::Run(work) => out.push(Output::Run(Job::Govern(GovernJob(work)))),
                Act::Adopt(state) => {
                    let others = self.shards.iter().filter(|shard| *shard != self.index);
                    out.extend(others.map(|shard| Output::Pass(shard, Passed::State(Arc::clone(&state)))));
                    self.adopt(now, &state, out);
                }
                Act::Stop(why) => out.push(Output::Stop(why)),
            }
        }
    }

    fn say(&self, peer: NodeId, mut govern: Govern, out: &mut Vec<Output>) {
        if let Govern::Have { only_life, .. } = &mut govern {
            let may_vouch = !self.lacks && self.topology.state.epoch() == Epoch(1);
            *only_life = self.lives.only_life(peer).filter(|_| may_vouch);
        }
        if peer != self.topology.here {
            out.push(Output::Send(peer, about_the_state(govern)));
        }
    }

    /// Goes by this state from now on. It is on the node's disk.
    pub(super) fn adopt(&mut self, now: Moment, state: &Arc<ClusterState>, out: &mut Vec<Output>) {
        if (state.generation(), state.epoch())
            <= (self.topology.state.generation(), self.topology.state.epoch())
        {
            return;
        }
        // In a history that was begun again its number may be another's, or it may be given up for lost.
        let is_ours = |member: &&Member| {
            member.name == self.hello.name
                && (member.standing != Standing::Gone
                    || state.generation() == self.topology.state.generation())
        };
        let is_member = state.member(self.topology.here).filter(is_ours).is_some();
        let topology = is_member.then(|| self.topology.with_state(Arc::clone(state))).flatten();
        let Some(topology) = topology else {
            let why = format!("{} is no member of cluster `{}` any more", self.hello.name, state.name());
            out.push(Output::Left(why));
            return;
        };
        if u16::from(self.shards.count()) > state.partitions().count() {
            // Its slots are with more shards than have whole partitions: it would not find what it has. Who leads had asked for that, but
            // a run of before had fewer shards.
            let (shards, partitions) = (self.shards.count(), state.partition_count());
            let why = format!(
                "there are {partitions} partitions now, and this node runs {shards} shards: start it again with node.shards = {partitions} \
                 or fewer, and it divides its store anew"
            );
            return out.push(Output::Stop(why));
        }
        if state.partitions() != self.topology.state.partitions() {
            if let Some(governing) = &mut self.governing {
                governing.forget_amounts();
            }
            // What is yet to be sent names partitions as they were, and is to say so.
            self.settle(now, out);
            self.heat.recut(self.topology.state.partitions(), state.partitions());
        }
        self.hello.epoch = state.epoch();
        self.lives_are_over(state, out);
        if state.members().iter().all(|member| member.id == self.topology.here) {
            // Nobody is left who could let it in, or know of a later life of it.
            self.let_in(now);
        }
        self.replica.set_state(now, Arc::clone(state), &mut self.serves);
        if let Some(liveness) = &mut self.liveness {
            liveness.set_state(now, state);
        }
        self.set_topology(now, topology);
        self.take_held(now, out);
        self.tell_how_far(now, out);
    }

    /// Members that are none any more mint no more: what they wrote is settled by whoever agrees on it without them. They are told.
    fn lives_are_over(&mut self, state: &ClusterState, out: &mut Vec<Output>) {
        let were = self.topology.state.members().iter().map(|member| member.id);
        let gone: Vec<NodeId> = were.filter(|node| state.member(*node).is_none()).collect();
        let over: Vec<Incarnation> = gone.iter().filter_map(|node| self.lives.latest_life(*node)).collect();
        self.learn(&over, out);
        // Nobody keeps a connection with them for long. They hear of it while there is one, and let their clients go.
        if let Some(governing) = &self.governing {
            let have = governing.have();
            gone.into_iter().for_each(|node| self.say(node, have.clone(), out));
        }
    }

    /// Tells who speaks for the node how far this shard is, if that has changed.
    pub(super) fn tell_how_far(&mut self, now: Moment, out: &mut Vec<Output>) {
        let adopted = self.topology.state.epoch();
        let told = self.told_report.as_ref();
        // At the end of every turn; mostly nothing moves.
        if self.topology.state.movements().is_empty() && told.is_some_and(|told| told.adopted == adopted) {
            return;
        }
        let report = Report {
            adopted,
            done: self.replica.report(),
            shards: self.shards.count(),
            waits_for: self.replica.waits_for(),
        };
        if self.told_report.as_ref() == Some(&report) {
            return;
        }
        self.told_report = Some(report.clone());
        if self.index == SPEAKER {
            self.shard_is_at(now, SPEAKER, report, out);
        } else {
            out.push(Output::Pass(SPEAKER, Passed::Progress(self.index, report)));
        }
    }

    /// Tells who speaks for the node about how much this shard has of its partitions, if it is time. It is never waited for: a shard
    /// that has nothing to do tells when it has.
    pub(super) fn tell_how_much(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(amounts) = self.looking.look(now.mono, &self.replica) else { return };
        if self.index == SPEAKER {
            self.shard_has(SPEAKER, amounts);
        } else {
            out.push(Output::Pass(SPEAKER, Passed::Amounts(self.index, amounts)));
        }
    }

    /// A shard of the node has so much of its partitions.
    pub(super) fn shard_has(&mut self, shard: types::ShardId, amounts: Amounts) {
        let (shards, of) = (self.shards, self.topology.state.partitions());
        if let Some(governing) = &mut self.governing {
            governing.shard_has(amounts, |partition| shards.of_partition(partition, of) == shard);
        }
    }

    /// A shard of the node is so far.
    pub(super) fn shard_is_at(
        &mut self,
        now: Moment,
        shard: types::ShardId,
        report: Report,
        out: &mut Vec<Output>,
    ) {
        let mut acts = Vec::new();
        if let Some(governing) = &mut self.governing {
            governing.shard_is_at(now, shard, report, &mut acts);
            governing.answer_done(&mut acts);
        }
        self.act(now, acts, out);
    }
}

/// What is said about the cluster state belongs to no request.
fn about_the_state(govern: Govern) -> Envelope {
    Envelope {
        operation: types::OperationId(0),
        round: 0,
        epoch: Epoch(0),
        partition: types::PartitionId(0),
        deadline_ms: 0,
        body: Body::Govern(Box::new(govern)),
    }
}
