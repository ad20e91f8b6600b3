//! What a change rests on: what a read of R owners found, where there is one. Where nothing is to be changed, that is told.

use api::{Deleted, Detail, ExpiryChange, Reply, Touched};
use causality::Record;
use replica::Change;

use super::{Ask, Mutation, Phase};
use crate::answer;
use crate::read::Merged;
use crate::settle::Settling;
use crate::target::{Target, Turn};

impl Mutation {
    pub(super) fn has_read(&mut self, target: &Target, merged: Merged, turn: &mut Turn<'_>) {
        let found = answer::found(target, merged.record.as_ref(), turn.now.wall, Detail::Values);
        let nothing = found.values.is_empty();
        match &mut self.ask {
            Ask::Put { .. } => self.make_put(target, merged.record, turn),
            Ask::Delete { existed, context } => {
                *existed = !nothing;
                if nothing && context.is_none() {
                    self.settle(target, &merged, Reply::Deleted(Deleted::default()), turn);
                    return;
                }
                let context = context.clone().unwrap_or(found.context);
                self.make(target, Change::Delete { context }, merged.record, turn);
            }
            Ask::Expire { change, found: before } => {
                let at = match change {
                    ExpiryChange::Keep => None,
                    ExpiryChange::Clear => Some(None),
                    ExpiryChange::At(at) => Some(Some(*at)),
                };
                let context = found.context.clone();
                let same = at.is_none_or(|at| found.values.iter().all(|value| value.expires == at));
                *before = found;
                match at {
                    Some(at) if !same => {
                        self.make(target, Change::Expire { context, at }, merged.record, turn);
                    }
                    _ => {
                        let touched = Touched { found: std::mem::take(before), changed: false };
                        self.settle(target, &merged, Reply::Touched(touched), turn);
                    }
                }
            }
        }
    }

    /// Tells the client what was found, where nothing is to be changed.
    pub(super) fn settle(&mut self, target: &Target, merged: &Merged, reply: Reply, turn: &mut Turn<'_>) {
        match Settling::begin(target, self.read_level, merged, turn) {
            None => self.finish(Ok(reply), turn),
            Some(settling) => self.phase = Phase::Settling(Box::new((settling, reply))),
        }
    }

    pub(super) fn make_put(&mut self, target: &Target, base: Option<Record>, turn: &mut Turn<'_>) {
        let Ask::Put { value, context, expiry, priority } = &self.ask else {
            return;
        };
        // What was asked is kept: the store may know by now that it is another node's to make.
        let change = Change::Put {
            value: value.clone(),
            context: context.clone(),
            expiry: *expiry,
            priority: *priority,
        };
        self.make(target, change, base, turn);
    }
}
