//! What was written so recently that it is not yet what it seems: not yet synced, or not yet to be shown.
//!
//! *Not yet synced*: a read may see it, but says so, since it could still vanish in a crash; a quorum that promises never
//! to go back in time does not count it as held (INVARIANTS C2).
//!
//! *Not yet shown*: the maker of an `lww` write stores it at once, and may have to stamp it again when other owners hold
//! a greater stamp. Until one of them has it, or the operation is over, reads here are answered with what was there
//! before. Else a reader could see the write, then another that outranks it, then the first again under its new stamp.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use storage::{KeyRange, SequenceNumber};
use types::{Epoch, OperationId};

/// The keys written lately.
#[derive(Debug, Default)]
pub struct Recent {
    unsynced: HashMap<Bytes, SequenceNumber>,
    order: VecDeque<(SequenceNumber, Bytes)>,
    /// Oldest first; never an empty list.
    hidden: HashMap<Bytes, Vec<Hidden>>,
}

#[derive(Debug)]
struct Hidden {
    by: OperationId,
    /// Since when the owners were who they were when it was made.
    epoch: Epoch,
    before: Option<Bytes>,
}

impl Recent {
    /// A key was written under this sequence number, which is above all earlier ones.
    pub fn written(&mut self, key: Bytes, sequence: SequenceNumber) {
        self.unsynced.insert(key.clone(), sequence);
        self.order.push_back((sequence, key));
    }

    /// Everything up to this sequence number is on stable storage.
    pub fn synced(&mut self, up_to: SequenceNumber) {
        while self.order.front().is_some_and(|(sequence, _)| *sequence <= up_to) {
            let Some((sequence, key)) = self.order.pop_front() else {
                break;
            };
            if self.unsynced.get(&key) == Some(&sequence) {
                self.unsynced.remove(&key);
            }
        }
    }

    /// The sequence number that must be synced before this key is; nothing where it is already.
    pub fn unsynced(&self, key: &[u8]) -> Option<SequenceNumber> {
        if self.unsynced.is_empty() { None } else { self.unsynced.get(key).copied() }
    }

    /// Hides the operation's write to this key behind what was stored before it. Several may be hidden at once, each
    /// made on top of the one before.
    pub fn hide(&mut self, key: Bytes, by: OperationId, epoch: Epoch, before: Option<Bytes>) {
        self.hidden.entry(key).or_default().push(Hidden { by, epoch, before });
    }

    /// Shows what the operation wrote to this key, and so whatever that was made on top of. What was made on top of it
    /// stays hidden, behind it.
    pub fn show(&mut self, key: &[u8], by: OperationId) {
        let Some(hidden) = self.hidden.get_mut(key) else {
            return;
        };
        if let Some(place) = hidden.iter().rposition(|one| one.by == by) {
            hidden.drain(..=place);
        }
        if hidden.is_empty() {
            self.hidden.remove(key);
        }
    }

    /// Shows whatever is stored of this key: a write that outranks all that was hidden has reached it.
    pub fn show_all(&mut self, key: &[u8]) {
        if !self.hidden.is_empty() {
            self.hidden.remove(key);
        }
    }

    /// The same for all keys of a range: nothing is stored of them any more.
    pub fn show_all_of(&mut self, range: &KeyRange) {
        self.hidden.retain(|key, _| !range.contains(key));
    }

    /// Whether something is stored of this key that readers are not shown.
    pub fn is_hidden(&self, key: &[u8]) -> bool {
        self.hidden.contains_key(key)
    }

    /// Whether something is hidden of this key that was made before the owners became who they are since this epoch.
    pub fn hides_from_before(&self, key: &[u8], since: Epoch) -> bool {
        self.hidden.get(key).is_some_and(|hidden| hidden.iter().any(|one| one.epoch < since))
    }

    /// Merges something that arrived into what is shown in place of the hidden writes, which outrank it.
    pub fn merge_below(&mut self, key: &[u8], mut merge: impl FnMut(Option<&Bytes>) -> Bytes) {
        if self.hidden.is_empty() {
            return;
        }
        for one in self.hidden.get_mut(key).into_iter().flatten() {
            one.before = Some(merge(one.before.as_ref()));
        }
    }

    /// What reads are answered with instead of what is stored, where something is hidden: `Some(None)` for nothing.
    pub fn shown_instead(&self, key: &[u8]) -> Option<Option<Bytes>> {
        if self.hidden.is_empty() {
            return None;
        }
        self.hidden.get(key).and_then(|hidden| hidden.first()).map(|first| first.before.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Bytes {
        Bytes::from_static(b"k")
    }

    #[test]
    fn a_key_is_unsynced_until_its_last_write_is_synced() {
        let mut recent = Recent::default();
        recent.written(key(), SequenceNumber(1));
        recent.written(key(), SequenceNumber(2));
        recent.synced(SequenceNumber(1));
        assert_eq!(recent.unsynced(b"k"), Some(SequenceNumber(2)));
        recent.synced(SequenceNumber(2));
        assert_eq!(recent.unsynced(b"k"), None);
        assert!(recent.order.is_empty());
    }

    #[test]
    fn a_hidden_write_shows_what_was_before_it_until_its_operation_lets_go() {
        let mut recent = Recent::default();
        recent.hide(key(), OperationId(1), Epoch(1), None);
        assert_eq!(recent.shown_instead(b"k"), Some(None));
        recent.show(b"k", OperationId(2));
        assert_eq!(recent.shown_instead(b"k"), Some(None));
        recent.show(b"k", OperationId(1));
        assert_eq!(recent.shown_instead(b"k"), None);
    }

    #[test]
    fn a_write_on_top_of_a_shown_one_stays_hidden_behind_it() {
        let mut recent = Recent::default();
        recent.hide(key(), OperationId(1), Epoch(1), Some(Bytes::from_static(b"old")));
        recent.hide(key(), OperationId(2), Epoch(1), Some(Bytes::from_static(b"first")));
        assert_eq!(recent.shown_instead(b"k"), Some(Some(Bytes::from_static(b"old"))));
        recent.show(b"k", OperationId(1));
        assert_eq!(recent.shown_instead(b"k"), Some(Some(Bytes::from_static(b"first"))));
        recent.show(b"k", OperationId(2));
        assert_eq!(recent.shown_instead(b"k"), None);
    }

    #[test]
    fn showing_a_write_shows_what_it_was_made_on_top_of() {
        let mut recent = Recent::default();
        recent.hide(key(), OperationId(1), Epoch(1), None);
        recent.hide(key(), OperationId(2), Epoch(1), Some(Bytes::from_static(b"first")));
        recent.show(b"k", OperationId(2));
        assert_eq!(recent.shown_instead(b"k"), None);
    }

    #[test]
    fn what_is_hidden_is_told_apart_by_whose_owners_it_was_made_for() {
        let mut recent = Recent::default();
        recent.hide(key(), OperationId(1), Epoch(4), None);
        recent.hide(key(), OperationId(2), Epoch(7), None);
        assert!(recent.hides_from_before(b"k", Epoch(7)) && !recent.hides_from_before(b"k", Epoch(4)));
        recent.show(b"k", OperationId(1));
        assert!(!recent.hides_from_before(b"k", Epoch(7)));
    }

    #[test]
    fn of_a_range_that_is_dropped_nothing_is_hidden_and_of_others_it_is() {
        let mut recent = Recent::default();
        for key in [b"j", b"k", b"l"] {
            recent.hide(
                Bytes::from_static(key),
                OperationId(1),
                Epoch(1),
                Some(Bytes::from_static(b"before")),
            );
        }
        recent.show_all_of(&KeyRange::new(b"k", Some(b"l")));
        assert_eq!([b"j", b"k", b"l"].map(|key| recent.is_hidden(key)), [true, false, true]);
    }

    #[test]
    fn what_arrives_below_a_hidden_write_is_shown() {
        let mut recent = Recent::default();
        recent.hide(key(), OperationId(1), Epoch(1), None);
        recent.merge_below(b"k", |_| Bytes::from_static(b"arrived"));
        assert_eq!(recent.shown_instead(b"k"), Some(Some(Bytes::from_static(b"arrived"))));
    }
}
