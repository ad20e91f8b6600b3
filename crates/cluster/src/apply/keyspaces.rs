//! Keyspaces are created, altered and dropped.
//!
//! What must hold (INVARIANTS D4, I1): an id is never used again; what a keyspace is made as, its policy, is what it stays; and of
//! two who alter it at once, the second is told to look again.

use types::{Epoch, KeyspaceId};

use super::Parts;
use crate::command::Refused;
use crate::keyspace::{DEFAULT_NAME, Keyspace, NUMBER_MAX};

impl Parts {
    pub(super) fn create_keyspace(&mut self, plan: &Keyspace, number: Option<u32>) -> Result<(), Refused> {
        if self.keyspaces.iter().any(|keyspace| keyspace.name == plan.name) {
            let wanted = "choose another name, or alter that one (`henge keyspace alter`)";
            return Err(Refused::Exists { what: "keyspace", name: plan.name.clone(), wanted });
        }
        let is_taken = |number: u32| self.keyspaces.iter().any(|keyspace| keyspace.number == number);
        let number = match number {
            Some(number) if is_taken(number) => {
                return Err(Refused::because(format!(
                    "another keyspace has number {number}: choose another, or leave it out"
                )));
            }
            Some(number) => number,
            None => (1..=NUMBER_MAX)
                .find(|number| !is_taken(*number))
                .ok_or_else(|| Refused::because("every number is taken: drop a keyspace first"))?,
        };
        let id = self.next_keyspace;
        let next = id.0.checked_add(1).ok_or_else(|| Refused::because("every id was used"))?;
        self.next_keyspace = KeyspaceId(next);
        let keyspace = Keyspace { id, number, since: self.epoch, ..plan.clone() };
        // Nobody has anything of it yet, so wherever a partition is, its owners are who they are.
        for layout in &mut self.layouts {
            layout.counts.insert(id, keyspace.n.clone());
        }
        self.keyspaces.push(keyspace);
        Ok(())
    }

    pub(super) fn alter_keyspace(&mut self, to: &Keyspace, since: Epoch) -> Result<(), Refused> {
        let epoch = self.epoch;
        let known = self.keyspace_names();
        let place = self.keyspaces.iter().position(|keyspace| keyspace.id == to.id);
        let Some(place) = place else {
            return Err(Refused::Unknown { what: "keyspace", name: to.name.clone(), known });
        };
        let was = &self.keyspaces[place];
        if was.since != since {
            return Err(Refused::Overtaken { since: was.since });
        }
        if was.policy != to.policy {
            return Err(Refused::because(format!(
                "keyspace {} was made with policy {}, and keeps it: make another keyspace for policy {}",
                was.name, was.policy, to.policy
            )));
        }
        if (was.number, &was.name) != (to.number, &to.name) {
            return Err(Refused::because(format!(
                "keyspace {} keeps its name and number for ever: what is sent and stored goes by them",
                was.name
            )));
        }
        let moves = was.n != to.n;
        self.keyspaces[place] = Keyspace { since: epoch, ..to.clone() };
        if moves { self.lay_out(self.target().rings.clone()) } else { Ok(()) }
    }

    pub(super) fn drop_keyspace(&mut self, id: KeyspaceId, name: &str) -> Result<(), Refused> {
        let known = self.keyspace_names();
        let place = self.keyspaces.iter().position(|keyspace| keyspace.id == id && keyspace.name == name);
        let Some(place) = place else {
            return Err(Refused::Unknown { what: "keyspace", name: name.to_owned(), known });
        };
        if name == DEFAULT_NAME {
            let why = "the keyspace `default` cannot be dropped: every Redis client begins in it";
            return Err(Refused::because(why));
        }
        self.keyspaces.remove(place);
        for layout in &mut self.layouts {
            layout.counts.remove(&id);
        }
        // A partition may have been to move for its sake alone.
        self.arrive_where_nothing_moves();
        Ok(())
    }

    fn keyspace_names(&self) -> String {
        let names: Vec<&str> = self.keyspaces.iter().map(|keyspace| keyspace.name.as_str()).collect();
        names.join(", ")
    }
}
