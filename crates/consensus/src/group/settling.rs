//! From what the library has ready to effects.
//!
//! Messages of a leader leave at once, beside the write of the entries in them (Ongaro, *Consensus*, 2014, 10.2.1): it counts
//! itself only when that is durable. One thing must be durable even so: that it leads. The only voter of a group leads without
//! having asked anybody, and were its term forgotten it would fill the same term a second time.

use raft::StateRole;
use types::Instant;

use super::Group;
use crate::convert;
use crate::effect::{Effect, ReadToken, Write};
use crate::entry::{Entry, Payload};
use crate::held::{After, Contents};
use crate::membership::{Change, MemberId};
use crate::message::Body;

impl Group {
    /// Lists all that follows from what happened.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.note_leader(out);
        self.note_installed();
        while self.raw.has_ready() {
            self.take_ready(now, out);
            self.note_installed();
            self.note_leader(out);
        }
        self.serve_reads(out);
        if self.drawn_for != (self.raft().term, self.raft().state) {
            self.draw_patience();
        }
        let patience = self.patience;
        self.raw.raft.set_randomized_election_timeout(patience);
    }

    /// The library is told of a snapshot's end as of an entry's that was applied. Before that it would look for the entries in its
    /// place when it begins an election, and stop.
    fn note_installed(&mut self) {
        let persisted = self.raft().raft_log.persisted;
        if let Some(index) = self.installing.take_if(|index| *index <= persisted)
            && self.raft().raft_log.applied() < index
        {
            self.raw.advance_apply_to(index);
        }
    }

    fn take_ready(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        self.last_ready = number;
        let was = self.hard_state;
        if let Some(hard_state) = ready.hs() {
            self.hard_state = convert::hard_state_from_raft(hard_state);
        }
        let has_vote = (was.term, was.vote) != (self.hard_state.term, self.hard_state.vote);
        let snapshot = (!ready.snapshot().is_empty()).then(|| convert::snapshot_from_raft(ready.snapshot()));
        let entries: Vec<Entry> = ready.take_entries().iter().map(convert::entry_from_raft).collect();
        let is_binding = has_vote || snapshot.is_some() || !entries.is_empty();
        let is_leader = self.raft().state == StateRole::Leader;
        let messages = if is_leader { ready.take_messages() } else { ready.take_persisted_messages() };
        let committed: Vec<Entry> =
            ready.take_committed_entries().iter().map(convert::entry_from_raft).collect();
        self.confirm_reads(&ready.take_read_states());

        let is_written = is_binding || (self.options.remembers_commits && was != self.hard_state);
        let write = if let Some(snapshot) = &snapshot {
            self.raw.mut_store().install(snapshot.clone());
            self.raw.mut_store().append(entries);
            Some(Write::Replace(Box::new(self.raw.store().to_stored(self.hard_state))))
        } else {
            self.raw.mut_store().append(entries.clone());
            is_written.then_some(Write::Append { hard_state: self.hard_state, entries })
        };
        self.raw.advance_append_async(ready);
        if let Some(write) = write {
            let number = self.held.begin(now, number, Contents { is_binding, has_vote });
            out.push(Effect::Persist { number, write });
        } else if self.held.is_idle() {
            self.raw.on_persist_ready(number);
        }
        if let Some(snapshot) = snapshot {
            self.membership = snapshot.membership.clone();
            self.installing = Some(snapshot.position.index);
            self.held.emit(After::Everything, Effect::Install(snapshot), out);
        }
        self.send(now, &messages, out);
        self.apply(committed, out);
    }

    /// In the order of their receivers, since the library keeps those in a hash map. What a leader sends promises nothing about
    /// the leader's own log; all else may.
    fn send(&mut self, now: Instant, messages: &[raft::eraftpb::Message], out: &mut Vec<Effect>) {
        let mut messages: Vec<_> = messages.iter().filter_map(convert::message_from_raft).collect();
        messages.sort_by_key(|(to, _)| *to);
        for (to, message) in messages {
            let after = match message.body {
                Body::Append { .. } | Body::Heartbeat { .. } | Body::TakeOver => After::Vote,
                Body::Snapshot(_) => {
                    self.snapshots_sent.insert(to, now);
                    After::Vote
                }
                _ => After::Binding,
            };
            self.held.emit(after, Effect::Send(to, message), out);
        }
    }

    fn apply(&mut self, committed: Vec<Entry>, out: &mut Vec<Effect>) {
        let Some(last) = committed.last().map(|entry| entry.position.index) else { return };
        for entry in committed {
            if let Payload::Change(change) = entry.payload {
                self.change_members(change);
            }
            let after = if self.options.remembers_commits { After::Everything } else { After::Nothing };
            self.held.emit(after, Effect::Apply(entry), out);
        }
        self.raw.advance_apply_to(last);
    }

    /// Takes a change into force. One that does not go with the members there are is nothing, on every member alike.
    fn change_members(&mut self, change: Change) {
        let Ok(next) = self.membership.with(change) else { return };
        self.membership = next;
        let raw = convert::change_to_raft(change);
        self.raw.apply_conf_change(&raw).expect("the membership accepts nothing that the library does not");
        self.heard.retain(|id, _| self.membership.contains(*id));
        self.snapshots_sent.retain(|id, _| self.membership.contains(*id));
        if !self.membership.voters().contains(&self.id) && self.raft().state != StateRole::Follower {
            self.give_up_leading();
        }
    }

    /// Becomes a follower, and has the voter that is furthest begin an election, where this one leads.
    pub(super) fn give_up_leading(&mut self) {
        if self.raft().state == StateRole::Leader {
            let others = self.membership.voters().iter().filter(|voter| **voter != self.id);
            let matched = |voter: &&MemberId| self.raft().prs().get(voter.0).map(|progress| progress.matched);
            if let Some(successor) = others.max_by_key(matched).copied() {
                self.raw.raft.send_timeout_now(successor.0);
            }
        }
        let term = self.raft().term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
    }

    /// Notices who leads, tells it, and gives up the reads of a leader that is none any more.
    fn note_leader(&mut self, out: &mut Vec<Effect>) {
        let (leader, term) = (self.leader(), self.raft().term);
        if let Some(leader) = leader {
            self.leader_seen = Some((term, leader));
        }
        if self.told != (leader, term) {
            self.told = (leader, term);
            out.push(Effect::Leader { leader, term });
            if leader != Some(self.id) {
                out.extend(std::mem::take(&mut self.asked).into_iter().map(Effect::ReadLost));
            }
        }
    }

    fn confirm_reads(&mut self, states: &[raft::ReadState]) {
        for state in states {
            let token = convert::token_from_raft(&state.request_ctx).map(ReadToken);
            if let Some(token) = token.filter(|token| self.asked.remove(token)) {
                self.confirmed.push_back((state.index, token));
            }
        }
    }

    fn serve_reads(&mut self, out: &mut Vec<Effect>) {
        let listed = self.held.listed().0.index;
        while let Some((_, token)) = self.confirmed.pop_front_if(|(index, _)| *index <= listed) {
            out.push(Effect::Read(token));
        }
    }
}
