//! How nodes learn of states from each other.
//!
//! Nodes say which state they [have](Govern::Have), now and then and whenever they meet; whoever has a later one sends the commands
//! that led to it, or the state. What must hold: only a later state of the same history, or one of a later generation, is taken in, it proves by its fingerprint
//! that it is what the sender has, and two nodes with different states of one epoch, or different histories of one generation, say so
//! aloud.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{ClusterState, Command};
use types::{Epoch, NodeId};
use wire::{Govern, History, Leads};

use super::{Act, Governing, RECENT_MAX};

/// The most bytes of commands that are sent in the place of a state.
const COMMANDS_BYTES_MAX: usize = 1 << 20;

impl Governing {
    /// What this node has, as it is told others.
    pub(in crate::core) fn have(&self) -> Govern {
        Govern::Have {
            history: history_of(&self.newest),
            epoch: self.newest.epoch(),
            fingerprint: self.newest.fingerprint(),
            leads: self.leads().map(|term| Leads { term, voters: self.voters_known() }),
            only_life: None,
        }
    }

    /// A node says what it has.
    pub(super) fn others_have(
        &mut self,
        from: NodeId,
        history: History,
        epoch: Epoch,
        fingerprint: u64,
        out: &mut Vec<Act>,
    ) {
        let ours = version(&self.newest);
        let theirs = (history.generation, epoch);
        if history.generation == ours.0 && !self.is_of(history) {
            return self.is_split_from(from, epoch);
        }
        self.splits.remove(&from);
        if theirs < ours {
            out.push(Act::Send(from, self.news_since(history.generation, epoch)));
        } else if theirs > ours {
            out.push(Act::Send(from, self.have()));
        } else if fingerprint != self.newest.fingerprint() {
            tracing::error!(
                peer = %self.newest.name_of(from), %epoch,
                "this node and a peer have different states of one epoch: one of them is wrong, and must be emptied and begin anew"
            );
        }
    }

    /// Whether this is the history that this node goes by.
    pub(super) fn is_of(&self, history: History) -> bool {
        history == history_of(&self.newest)
    }

    /// A peer goes by another history of this generation: both were begun at once, by people who did not know of each other. Neither is
    /// taken in by the other side, and it is for people to say which is to be given up.
    fn is_split_from(&mut self, peer: NodeId, epoch: Epoch) {
        if self.splits.insert(peer, epoch).is_none() {
            tracing::error!("{}", self.split_notice(peer, epoch));
        }
    }

    /// For people: with whom this node shares no history.
    pub(super) fn split_notices(&self) -> Vec<String> {
        self.splits.iter().map(|(peer, epoch)| self.split_notice(*peer, *epoch)).collect()
    }

    fn split_notice(&self, peer: NodeId, epoch: Epoch) -> String {
        let name = self.newest.name_of(peer);
        format!(
            "{name} goes by another history of the cluster state: it was begun again twice in generation {}, here up to epoch {} and there \
             up to epoch {epoch}. Neither side goes by changes of the other, nor serves requests that it routed. Decide which to keep, and \
             run `henge recover --losing {name}` at a node of that side: all nodes go by it then",
            self.newest.generation(),
            self.newest.epoch(),
        )
    }

    /// What somebody lacks who has this state.
    fn news_since(&self, generation: u32, epoch: Epoch) -> Govern {
        let commands = self.recent.iter().filter(|(led_to, _)| *led_to > epoch);
        let commands: Vec<Bytes> = commands.map(|(_, command)| command.clone()).collect();
        let covers = u64::try_from(commands.len()).ok() == Some(self.newest.epoch().0 - epoch.0);
        let bytes: usize = commands.iter().map(Bytes::len).sum();
        if generation == self.newest.generation() && covers && bytes <= COMMANDS_BYTES_MAX {
            let fingerprint = self.newest.fingerprint();
            return Govern::Commands { after: epoch, commands, fingerprint };
        }
        Govern::State(Bytes::from(self.newest.encode()))
    }

    /// A node sends a state.
    pub(super) fn hear_state(&mut self, from: NodeId, bytes: &[u8], out: &mut Vec<Act>) {
        match ClusterState::decode(bytes) {
            Ok(state) if state.founding() == self.newest.founding() => {
                let history = history_of(&state);
                if history.generation == self.newest.generation() && !self.is_of(history) {
                    self.is_split_from(from, state.epoch());
                } else if version(&state) > version(&self.newest) {
                    self.recent.clear();
                    self.follow(Arc::new(state), out);
                }
            }
            Ok(_) => {
                tracing::warn!(peer = %self.newest.name_of(from), "a peer sent the state of another cluster");
            }
            Err(error) => {
                tracing::warn!(peer = %self.newest.name_of(from), %error, "a peer sent no cluster state");
            }
        }
    }

    /// A node sends the commands that led to what it has.
    pub(super) fn hear_commands(
        &mut self,
        from: NodeId,
        after: Epoch,
        commands: &[Bytes],
        fingerprint: u64,
        out: &mut Vec<Act>,
    ) {
        let ours = self.newest.epoch();
        let known = usize::try_from(ours.0.saturating_sub(after.0)).unwrap_or(usize::MAX);
        if after > ours || known >= commands.len() {
            if after > ours {
                // Something in between was lost.
                out.push(Act::Send(from, self.have()));
            }
            return;
        }
        let mut state = Arc::clone(&self.newest);
        let mut recent = Vec::new();
        for bytes in &commands[known..] {
            let next = Command::decode(bytes).and_then(|command| state.apply(&command).ok());
            let Some(next) = next else { return self.ask_for_all(from, out) };
            state = Arc::new(next);
            recent.push((state.epoch(), bytes.clone()));
        }
        if state.fingerprint() != fingerprint {
            return self.ask_for_all(from, out);
        }
        recent.into_iter().for_each(|(epoch, command)| self.remember(epoch, command));
        self.follow(state, out);
    }

    fn ask_for_all(&self, from: NodeId, out: &mut Vec<Act>) {
        tracing::error!(peer = %self.newest.name_of(from), "the commands that a peer sent lead to another state here: asking for all of it");
        out.push(Act::Send(
            from,
            Govern::Have {
                history: history_of(&self.newest),
                epoch: Epoch(0),
                fingerprint: 0,
                leads: None,
                only_life: None,
            },
        ));
    }

    /// Remembers a command for nodes that are a little behind.
    pub(super) fn remember(&mut self, epoch: Epoch, command: Bytes) {
        if self.recent.back().is_some_and(|(last, _)| last.0 + 1 != epoch.0) {
            self.recent.clear();
        }
        self.recent.push_back((epoch, command));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// This is the latest state now: it is kept, and then gone by.
    pub(super) fn follow(&mut self, state: Arc<ClusterState>, out: &mut Vec<Act>) {
        if !self.is_of(history_of(&state)) {
            tracing::warn!(
                generation = state.generation(), epoch = %state.epoch(), was = %self.newest.epoch(),
                "the history of the cluster state was begun again: this node goes by that from now on"
            );
            self.leave_history(out);
        }
        self.newest = state;
        self.keep(out);
    }
}

/// Of which history a state is.
pub(super) fn history_of(state: &ClusterState) -> History {
    History { generation: state.generation(), number: state.history() }
}

/// How states of one cluster are ordered: a history that was begun again comes after the one before, wherever that ended.
pub(super) fn version(state: &ClusterState) -> (u32, Epoch) {
    (state.generation(), state.epoch())
}
