//! A second process under the name of a node, on a copy of its disk (files with a birthmark of their own) or on a clone of the
//! volume (the same files, which only peers can tell).
//!
//! The clone has a machine and an address of its own. It calls the others; they call the original, and send their gossip there.
//! A reply goes back by the connection that its question came by, and of two connections that were made under one name the later
//! one ends the earlier. Some clients are led to the clone. What it answers is not believed, for it takes what it has
//! acknowledged with it when it goes; but what it has written may be seen.
//!
//! What must hold: a clone is not let in by whoever has a connection with the original, nor the other way round (INVARIANTS E7). And
//! whatever it does, no dot is issued twice (B1), and nothing that others have acknowledged is lost (A1).

use std::sync::Arc;
use std::time::Duration;

use env::SimDisk;
use env::disk::CrashMode;
use types::NodeId;

use super::asking::{Answer, AskId};
use super::{Event, World};
use crate::network::{LinkId, Place};

/// What became of clones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clones {
    /// How many there were.
    pub begun: u64,
    /// How often one was let in by a peer.
    pub let_in: u64,
    /// How often one was not.
    pub refused: u64,
    /// How often an original had to begin a new life, because its clone had been let in.
    pub gave_way: u64,
    /// Of which node there is one now.
    of: Option<Place>,
    /// Whose clones have been let in, as bits, since they began their present lives.
    let_in_of: u64,
}

impl World {
    /// A second process under a node's name starts after a while, and is gone after another. False if there is one already.
    pub fn clone_node(&mut self, place: Place, is_copy: bool, after: Duration, stays: Duration) -> bool {
        let Some(clone) = self.clone_place().filter(|_| self.clones.of.is_none()) else { return false };
        let image = self.hosts[place].disk.image();
        let what = if is_copy { "its files are copied" } else { "its volume is cloned" };
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! {what}"));
        self.clones.begun += 1;
        self.clones.of = Some(place);
        let (id, name) = (self.hosts[place].id, format!("{}'", self.hosts[place].name));
        let host = &mut self.hosts[clone];
        (host.id, host.name, host.disk) = (id, name, SimDisk::new());
        host.first = Some(Arc::clone(&self.founded));
        host.disk.put_back(&image, is_copy);
        self.divisions[clone] = self.divisions[place];
        self.kept_off[clone] = false;
        self.queue.put(self.now + after, Event::Start(clone));
        self.queue.put(self.now + after + stays, Event::CloneLeaves(self.clones.begun));
        true
    }

    /// The clone that there is now is gone for good.
    pub fn end_clone(&mut self) {
        if let Some(place) = self.clone_place() {
            self.kept_off[place] = true;
            self.clones.of = None;
            if self.hosts[place].is_up() {
                self.crash(place, CrashMode::KeepAll, "the clone is gone");
            }
        }
    }

    /// What became of clones so far.
    pub fn clones(&self) -> Clones {
        self.clones
    }

    pub(super) fn clone_leaves(&mut self, number: u64) {
        if self.clones.begun == number {
            self.end_clone();
        }
    }

    /// Where clones run, in a world that has them: behind the members.
    pub(super) fn clone_place(&self) -> Option<Place> {
        let members = self.founded.members().len() + self.scenario.spares;
        (self.hosts.len() > members).then_some(members)
    }

    /// Of two nodes with one name the witnesses must be able to say which.
    pub(super) fn witnessed_as(&self, place: Place) -> NodeId {
        if self.clone_place() == Some(place) { NodeId(u16::MAX) } else { self.hosts[place].id }
    }

    /// To which machine a message goes: a reply by the connection that stands, all else to where the member is.
    pub(super) fn place_facing(&self, from: Place, to: NodeId, is_reply: bool) -> Option<Place> {
        let clone = self.clone_place().filter(|place| is_reply && self.hosts[*place].id == to);
        clone.filter(|place| self.network.carries(*place, from)).or_else(|| self.place_of_id(to))
    }

    /// The other one of the same name.
    fn other_of(&self, place: Place) -> Option<Place> {
        let (clone, original) = (self.clone_place()?, self.clones.of?);
        match place {
            _ if place == clone => Some(original),
            _ if place == original => Some(clone),
            _ => None,
        }
    }

    /// A connection was made: the one that the other one of the caller's name had made with the same node ends. A node that has
    /// called the original takes it to be there, and must not have let in its clone.
    pub(super) fn one_of_two_is_in(&mut self, link: LinkId) {
        let LinkId { caller, called } = link;
        if let Some(other) = self.other_of(caller) {
            self.network.reset(self.now, LinkId { caller: other, called }, &mut self.queue);
        }
        if self.clone_place() != Some(caller) {
            return;
        }
        self.clones.let_in += 1;
        let Some(original) = self.clones.of else { return };
        self.clones.let_in_of |= 1 << original;
        if self.network.stands(called, original) {
            let (here, there) = (&self.hosts[called].name, &self.hosts[original].name);
            let what = format!("{here} has let in the clone of {there}, with which it is connected");
            self.violated("of two with one name one is let in (E7)", what);
        }
    }

    pub(super) fn clone_renounces(&mut self, why: &str) {
        let Some(place) = self.clone_place() else { return };
        let renounced = self.hosts[place].shards.first().map(|running| running.shard.renounce());
        if let Some(Err(error)) = renounced {
            self.violated("a life can be given up on a disk that is well", error.to_string());
        }
        self.crash(place, CrashMode::KeepAll, &format!("it begins a new life: {why}"));
        self.start_later(place);
    }

    /// Whether this node's clone was let in since it began its life: then it is right to begin another.
    pub(super) fn had_to_give_way(&mut self, place: Place) -> bool {
        let had_to = self.clones.let_in_of & 1 << place != 0;
        self.clones.let_in_of &= !(1 << place);
        self.clones.gave_way += u64::from(had_to);
        had_to
    }

    /// The place that a client gets to who wants to ask this node.
    pub(super) fn perhaps_its_clone(&mut self, place: Place) -> Place {
        match self.other_of(place) {
            Some(clone) if self.hosts[clone].is_up() && self.rng.chance(1, 3) => clone,
            _ => place,
        }
    }

    /// What a client is told: nothing, where it has asked a clone.
    pub(super) fn unless_of_a_clone(&self, ask: AskId, answer: Answer) -> Answer {
        let asked_a_clone = self.place_asked(ask).is_some_and(|place| self.clone_place() == Some(place));
        if asked_a_clone { Answer::Lost } else { answer }
    }
}
