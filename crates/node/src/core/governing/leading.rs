//! What the node does that leads the group: it has movements go on, and sees to who votes.
//!
//! What must hold (INVARIANTS E6, G3): it remembers nothing that another leader would lack; nodes report to whoever leads, and all
//! follows from the state and the reports. It proposes one step at a time and waits for it, so that nothing is asked for twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use cluster::{Progress, Report};
use consensus::{Change, MemberId};
use serde::{Deserialize, Serialize};
use types::{Epoch, Incarnation, Instant, Moment, NodeId, PartitionId};
use wire::Govern;

use super::super::amounts::{Amounts, Own, Told};
use super::group::Proposer;
use super::news::history_of;
use super::{Act, Governing, voters};

/// How often it looks at what is to be done.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often it changes something about who votes, at most. While one voter is replaced by another the group can lose fewer than
/// before, so this is not to take long.
const REGROUP_EVERY: Duration = Duration::from_millis(200);

/// How often it tells all that it leads.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// How long a node is heard nothing of before another votes in its place.
const VOTER_SILENT_MAX: Duration = Duration::from_secs(30);

/// How long after another has begun to lead a node may report that it has no part in the group, and be about to.
const LIFE_UNSAID_MAX: Duration = Duration::from_secs(3);

/// The epoch of the state with which a cluster is founded.
const FIRST: Epoch = Epoch(1);

/// How long a report stands.
const REPORT_STANDS: Duration = Duration::from_secs(3);

/// What a node reports to whoever leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeReport {
    /// How far it is with the state.
    pub(super) report: Report,
    /// Its number in the group, if it has one.
    pub(super) member: Option<u64>,
    /// Which life of its data directory it is.
    pub(super) incarnation: Incarnation,
    /// About how much it has of some of its partitions, and of those that it is to get.
    pub(super) amounts: Amounts,
}

/// What the leader knows for now.
#[derive(Debug, Default)]
pub(super) struct Leading {
    progress: Progress,
    amounts: Told,
    heard: BTreeMap<NodeId, Heard>,
    look_at: Option<Instant>,
    regroup_at: Option<Instant>,
    say_at: Option<Instant>,
    /// The epoch of the state for which the next steps were proposed last.
    proposed_for: Option<Epoch>,
    /// Who keeps halves from being joined, or will once they are together.
    hinder_joining: Vec<NodeId>,
    /// Since when it leads.
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    adopted: Epoch,
    member: Option<MemberId>,
    incarnation: Incarnation,
}

impl Leading {
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.look_at
    }

    /// Another leads from now on, or this one anew.
    pub(super) fn forget(&mut self) {
        *self = Leading::default();
    }
}

impl Governing {
    /// Tells whoever leads how far this node is.
    pub(super) fn report(&mut self, now: Moment, out: &mut Vec<Act>) {
        if self.leader.is_none() {
            return;
        }
        let report = NodeReport {
            report: self.own_report(),
            member: self.keeps_as().map(|member| member.0),
            incarnation: self.incarnation,
            amounts: self.amounts.tell_of_some(),
        };
        match self.leader {
            Some((_, leader)) if leader == self.here => self.take_report(now, self.here, report),
            Some((_, leader)) => {
                let bytes = postcard::to_allocvec(&report)
                    .expect("these types have no case that postcard cannot write");
                out.push(Act::Send(leader, Govern::Report(Bytes::from(bytes))));
            }
            None => {}
        }
    }

    /// A node reports.
    pub(super) fn hear_report(&mut self, now: Moment, from: NodeId, bytes: &[u8]) {
        if let Ok(report) = postcard::from_bytes::<NodeReport>(bytes) {
            self.take_report(now, from, report);
        }
    }

    fn take_report(&mut self, now: Moment, from: NodeId, report: NodeReport) {
        let NodeReport { mut report, member, incarnation, amounts } = report;
        if cluster::generation_of(report.adopted) != self.newest.generation() {
            // It was done in a history that was given up, and has to be said again by who goes by this one.
            report.done.clear();
        }
        let heard =
            Heard { at: now.mono, adopted: report.adopted, member: member.map(MemberId), incarnation };
        self.leading.progress.report(from, report);
        self.leading.amounts.take(&self.newest, from, amounts);
        self.leading.heard.insert(from, heard);
        // What it waits for may have come with this.
        self.leading.proposed_for = None;
    }

    /// Somebody says that he leads.
    pub(super) fn heard_of_leader(&mut self, now: Moment, term: u64, leader: NodeId, out: &mut Vec<Act>) {
        if self.leader.is_some_and(|(known, who)| known > term || (known, who) == (term, leader)) {
            return;
        }
        self.leader = Some((term, leader));
        self.report(now, out);
    }

    /// Does what a leader has to do, if this node leads.
    pub(super) fn lead(&mut self, now: Moment, out: &mut Vec<Act>) {
        if self.leading.look_at.is_some_and(|at| at > now.mono) {
            return;
        }
        let term = self.keeper.as_ref().and_then(|keeper| keeper.leads(now.mono));
        let Some(term) = term else {
            self.leading.look_at = self.keeper.as_ref().map(|_| now.mono + LOOK_EVERY);
            return;
        };
        self.leading.look_at = Some(now.mono + LOOK_EVERY);
        self.heard_of_leader(now, term, self.here, out);
        if self.leading.since.is_none() {
            self.leading.since = Some(now.mono);
            self.report(now, out);
        }
        self.go_on_with_movements(now, out);
        if self.leading.say_at.is_none_or(|at| at <= now.mono) {
            self.leading.say_at = Some(now.mono + SAY_EVERY);
            self.spread_word(out);
        }
        if self.leading.regroup_at.is_none_or(|at| at <= now.mono) {
            self.leading.regroup_at = Some(now.mono + REGROUP_EVERY);
            self.regroup(now, out);
        }
    }

    fn go_on_with_movements(&mut self, now: Moment, out: &mut Vec<Act>) {
        let Some(state) = self.keeper.as_ref().and_then(|keeper| keeper.state()).cloned() else { return };
        if self.leading.proposed_for == Some(state.epoch()) {
            return;
        }
        self.leading.proposed_for = Some(state.epoch());
        let heard = &self.leading.heard;
        let is_up =
            |node: NodeId| heard.get(&node).is_some_and(|heard| now.mono.since(heard.at) < REPORT_STANDS);
        self.leading.hinder_joining = if state.is_merging() {
            self.leading.progress.hinders_joining(&state, is_up)
        } else {
            Vec::new()
        };
        // Who votes is not let go before another votes in its place; and who learns may be about to.
        let membership =
            self.keeper.as_ref().and_then(|keeper| keeper.group()).map(consensus::Group::membership);
        let in_group: BTreeSet<NodeId> = membership
            .into_iter()
            .flat_map(|group| group.voters().iter().chain(group.learners()))
            .map(|member| voters::node_of(*member))
            .collect();
        for command in self.leading.progress.next(&state, is_up, |node| in_group.contains(&node)) {
            let _ = self.propose(now, &Bytes::from(command.encode()), Proposer::Itself, out);
        }
    }

    /// Tells all who can be reached of the latest state, as one who leads.
    pub(super) fn spread(&mut self, out: &mut Vec<Act>) {
        if self.leads().is_none() {
            return;
        }
        let epoch = self.newest.epoch();
        let latest =
            self.recent.back().filter(|(led_to, _)| *led_to == epoch).map(|(_, command)| command.clone());
        for peer in &self.reachable {
            let news = match &latest {
                Some(command) => Govern::Commands {
                    after: Epoch(epoch.0 - 1),
                    commands: vec![command.clone()],
                    fingerprint: self.newest.fingerprint(),
                },
                None => self.have(),
            };
            out.push(Act::Send(*peer, news));
        }
    }

    /// Tells all who can be reached who leads.
    fn spread_word(&mut self, out: &mut Vec<Act>) {
        let word = self.have();
        out.extend(self.reachable.iter().map(|peer| Act::Send(*peer, word.clone())));
    }

    /// Of whom a movement waits to hear; nothing where this node does not lead, and cannot know.
    pub(super) fn waits_for(&self, partition: PartitionId) -> Option<Vec<NodeId>> {
        let is_up = |node: NodeId| node == self.here || self.reachable.contains(&node);
        self.leads().map(|_| self.leading.progress.waits_for(&self.newest, partition, is_up))
    }

    /// Who keeps halves from being joined, or will once they are together; nothing where this node does not lead.
    pub(super) fn merging_notice(&self) -> Option<String> {
        let state = &self.newest;
        self.leads().filter(|_| state.is_merging())?;
        let names: Vec<String> =
            self.leading.hinder_joining.iter().map(|node| state.name_of(*node)).collect();
        (!names.is_empty()).then(|| {
            format!(
                "{} partitions are to become {} and wait for {}: each node must be heard of, and have no more shards (node.shards) \
                 than there are to be partitions",
                state.partition_count(),
                state.partition_count() / 2,
                names.join(" ")
            )
        })
    }

    /// Partitions have other numbers from now on: what was told of them is told again.
    pub(in crate::core) fn forget_amounts(&mut self) {
        (self.amounts, self.leading.amounts) = (Own::default(), Told::default());
    }

    /// About how many bytes all who get a partition are to be sent, and how many of those they have; nothing where this node does not
    /// lead, or has not heard.
    pub(super) fn bytes_of_movement(&self, partition: PartitionId) -> Option<(u64, u64)> {
        self.leads().and_then(|_| self.leading.amounts.of_movement(&self.newest, partition))
    }

    /// About how many bytes there are of a partition, as far as this node knows: who leads knows of all, others of their own.
    pub(super) fn bytes_of(&self, partition: PartitionId) -> Option<u64> {
        let told = self.leads().and_then(|_| self.leading.amounts.of(&self.newest, partition));
        told.or_else(|| self.amounts.of(&self.newest, self.here, partition))
    }

    /// Takes one step, at the most, toward those voting who should.
    fn regroup(&mut self, now: Moment, out: &mut Vec<Act>) {
        let Some(keeper) = &self.keeper else { return };
        let Some(group) = keeper.group() else { return };
        let membership = group.membership().clone();
        let here = keeper.member();
        let leading = &self.leading;
        let is_heard = |node: NodeId, within: Duration| match leading.heard.get(&node) {
            Some(heard) => now.mono.since(heard.at) < within,
            None => leading.since.is_some_and(|since| now.mono.since(since) < within),
        };
        // A founding voter may be about to begin for as long as it knows of no change to the first state, and never after.
        let is_settled = leading.since.is_some_and(|since| now.mono.since(since) > LIFE_UNSAID_MAX);
        let is_the_life_that_votes = |member: MemberId| match leading.heard.get(&voters::node_of(member)) {
            Some(heard) => {
                let may_begin = heard.adopted == FIRST && !is_settled;
                heard.member.map_or(may_begin, |goes_by| goes_by == member)
            }
            None => true,
        };
        let votes = |node: NodeId| membership.voters().iter().any(|voter| voters::node_of(*voter) == node);
        let state = &self.newest;
        // Who does not vote yet is not to before he was heard: he may be one of those who were lost.
        let may =
            |node| is_heard(node, VOTER_SILENT_MAX) && (votes(node) || leading.heard.contains_key(&node));
        let chosen = voters::choose(state.members(), may, votes);
        let wanted = voters::wanted(state.members().iter().filter(|one| one.standing.stays()).count());
        let stays =
            |member: MemberId| state.member(voters::node_of(member)).is_some_and(|one| one.standing.stays());
        // Learners of the wrong life never learn.
        let lost = membership.learners().iter().find(|one| !stays(**one) || is_other_life(leading, **one));
        let of_node = |node: NodeId| {
            membership.voters().iter().chain(membership.learners()).find(|one| voters::node_of(**one) == node)
        };
        let learns = |member: &MemberId| membership.learners().contains(member);
        let missing = chosen
            .iter()
            .find(|node| of_node(**node).is_none_or(|one| !learns(one) && !is_the_life_that_votes(*one)));
        let learner =
            membership.learners().iter().copied().find(|one| chosen.contains(&voters::node_of(*one)));
        let complete = chosen.len() == wanted
            && chosen
                .iter()
                .all(|node| votes(*node) && of_node(*node).is_some_and(|one| is_the_life_that_votes(*one)));
        // Who never votes goes first: without one who does, what is left may be no majority.
        let mut lives = membership.voters().iter().copied();
        let useless = lives.find(|voter| !is_the_life_that_votes(*voter)).or_else(|| {
            // Where several are to be replaced, the group is full after the first: one goes before the next one comes.
            let is_full = membership.voters().len() >= voters::VOTERS_AT_ONCE_MAX;
            let replaced = membership.voters().iter().filter(|one| !chosen.contains(&voters::node_of(**one)));
            // Who stops soon goes before who could vote on that, and who has stopped already before him: with him gone, those that are
            // left might be no majority beside the one that votes no more.
            let is_there = |one: &MemberId| is_heard(voters::node_of(*one), REPORT_STANDS);
            replaced.copied().min_by_key(|one| (stays(*one), is_there(one))).filter(|_| complete || is_full)
        });
        let heir = membership.voters().iter().copied().find(|voter| {
            *voter != here
                && chosen.contains(&voters::node_of(*voter))
                && is_heard(voters::node_of(*voter), REPORT_STANDS)
        });
        let next = if let Some(lost) = lost {
            Some(Change::Remove(*lost))
        } else if let Some(useless) = useless {
            if useless == here {
                if let Some(heir) = heir {
                    self.hand_over(now, heir, out);
                }
                return;
            }
            Some(Change::Remove(useless))
        } else if let Some(node) = missing {
            Some(Change::AddLearner(voters::fresh(*node, membership.highest())))
        } else {
            learner.map(Change::Promote)
        };
        let learners: Vec<MemberId> = membership.learners().iter().copied().collect();
        self.invite(&learners, out);
        self.dismiss(&membership, out);
        if let Some(next) = next
            && let Some(keeper) = &mut self.keeper
        {
            let changed = keeper.with(|group, effects| group.change(now.mono, next, effects));
            match changed {
                Some(Ok(_)) => tracing::info!(change = ?next, "who keeps the cluster state changes"),
                Some(Err(why)) => {
                    tracing::debug!(change = ?next, %why, "who keeps the cluster state cannot change yet");
                }
                None => {}
            }
            self.settle(now, out);
        }
    }

    fn hand_over(&mut self, now: Moment, to: MemberId, out: &mut Vec<Act>) {
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.with(|group, effects| group.hand_over(now.mono, to, effects));
            self.settle(now, out);
        }
    }

    /// Learners that have not begun to learn are told under which number they are in the group. The number is for the life that
    /// was heard of: another one of that node, emptied since, is not meant.
    fn invite(&self, learners: &[MemberId], out: &mut Vec<Act>) {
        for learner in learners {
            let node = voters::node_of(*learner);
            if let Some(heard) = self.leading.heard.get(&node).filter(|heard| heard.member.is_none()) {
                let incarnation = heard.incarnation;
                out.push(Act::Send(
                    node,
                    Govern::Invite { history: history_of(&self.newest), member: learner.0, incarnation },
                ));
            }
        }
    }

    /// Nodes that go by a number that is in the group no more are told so.
    fn dismiss(&self, membership: &consensus::Membership, out: &mut Vec<Act>) {
        for (node, heard) in &self.leading.heard {
            if let Some(member) = heard.member.filter(|member| membership.is_gone(*member)) {
                out.push(Act::Send(
                    *node,
                    Govern::Dismiss { history: history_of(&self.newest), member: member.0 },
                ));
            }
        }
    }
}

/// Whether a node goes by another number than the one that it was given, or lost the directory that had it.
fn is_other_life(leading: &Leading, member: MemberId) -> bool {
    let heard = leading.heard.get(&voters::node_of(member));
    heard.is_some_and(|heard| heard.member.is_some_and(|goes_by| goes_by != member))
}
