//! The book of keys that keep siblings: which values must be shown, and which must not.
//!
//! Every value carries a number of its own and a set of elements: its own number and those of the values that its writer
//! had read. A value is *held* by W owners once its write was acknowledged, or a read that never goes back has shown it.
//! It is *covered* once a write or delete that had read it begins, and *gone* at as many owners as hold that.
//!
//! Rules, for a read and whatever the owners that it asks must meet: what was held and is not covered is shown
//! (INVARIANTS A1, B2, C1, C2); what was gone is not; elements that nobody meant to delete stay in the union of what is
//! shown; writers who read before they write leave at most one sibling each (B3).

use std::collections::{BTreeMap, BTreeSet};

use api::Found;
use bytes::Bytes;

use super::registers::Fate;

/// A value, by number.
pub type ValueId = u64;

#[derive(Clone, Debug)]
struct Value {
    fate: Fate,
    seen: bool,
    /// By so many owners at least.
    held: usize,
    covered: bool,
    /// At so many owners at least.
    gone: usize,
    /// What its writer had read.
    covers: BTreeSet<ValueId>,
}

/// One key.
#[derive(Debug, Default)]
pub struct SiblingKey {
    values: BTreeMap<ValueId, Value>,
    /// Clients that wrote after reading, and writes that may stand beside theirs.
    writers: BTreeSet<usize>,
    beside: usize,
    /// Deletes that cover whatever they find, and may still be at it.
    open_deletes: usize,
    deletes: usize,
}

/// What was known when an operation began.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    must_show: BTreeSet<ValueId>,
    must_not_show: BTreeSet<ValueId>,
    elements: BTreeSet<ValueId>,
}

/// What a read found: the numbers of the values, and the union of their elements.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Values, by number.
    pub ids: BTreeSet<ValueId>,
    /// The union of their elements.
    pub elements: BTreeSet<ValueId>,
}

impl Shown {
    /// What these values say.
    ///
    /// # Errors
    /// If a value was not written by this workload.
    pub fn of(found: &Found) -> Result<Shown, String> {
        let mut shown = Shown::default();
        for value in &found.values {
            let (id, elements) =
                parse(&value.value).ok_or_else(|| format!("{:?} is no value of ours", value.value))?;
            if !shown.ids.insert(id) {
                return Err(format!("v{id} is shown twice"));
            }
            shown.elements.extend(elements);
        }
        Ok(shown)
    }
}

/// A value as bytes: its number, its elements, and something to fill it up.
pub fn value_bytes(id: ValueId, elements: &BTreeSet<ValueId>, filling: usize) -> Bytes {
    let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
    Bytes::from(format!("{id}:{}.{}", elements.join(","), "x".repeat(filling)))
}

fn parse(value: &Bytes) -> Option<(ValueId, BTreeSet<ValueId>)> {
    let text = std::str::from_utf8(value).ok()?;
    let (id, rest) = text.split_once(':')?;
    let (elements, _) = rest.split_once('.')?;
    let elements = elements.split(',').filter(|text| !text.is_empty());
    Some((id.parse().ok()?, elements.map(str::parse).collect::<Result<_, _>>().ok()?))
}

impl SiblingKey {
    /// How many writes were tried.
    pub fn writes(&self) -> usize {
        self.values.len()
    }

    /// Whether something that at least so many owners hold is there, and nothing was ever meant to delete it.
    pub fn is_certain_to_live(&self, meets: usize) -> bool {
        self.deletes == 0 && self.values.values().any(|value| value.held >= meets)
    }

    /// A read begins that meets whatever so many owners hold.
    pub fn begin(&self, meets: usize) -> Begun {
        let having = |is: &dyn Fn(&Value) -> bool| -> BTreeSet<ValueId> {
            self.values.iter().filter(|(_, value)| is(value)).map(|(id, _)| *id).collect()
        };
        Begun {
            must_show: having(&|value| value.held >= meets && !value.covered),
            must_not_show: having(&|value| value.gone >= meets),
            elements: if self.deletes == 0 { having(&|value| value.held >= meets) } else { BTreeSet::new() },
        }
    }

    /// A write begins, of a client who had read these values.
    pub fn put_begins(&mut self, id: ValueId, client: usize, covers: BTreeSet<ValueId>) {
        if covers.is_empty() {
            self.beside += 1;
        } else {
            self.writers.insert(client);
        }
        self.cover(&covers);
        let covered = self.open_deletes > 0;
        let value = Value { fate: Fate::Open, seen: false, held: 0, covered, gone: 0, covers };
        self.values.insert(id, value);
    }

    /// A write was acknowledged: so many owners hold it.
    pub fn put_done(&mut self, id: ValueId, holders: usize) {
        if let Some(value) = self.values.get_mut(&id) {
            value.fate = Fate::Done;
        }
        self.hold(id, holders);
    }

    /// A write was refused for certain.
    ///
    /// # Errors
    /// If its value was read.
    pub fn put_failed(&mut self, id: ValueId) -> Result<(), String> {
        let Some(value) = self.values.get_mut(&id) else {
            return Ok(());
        };
        value.fate = Fate::NotDone;
        if value.seen { Err(format!("v{id} was read, and its write was not done")) } else { Ok(()) }
    }

    /// Nobody knows what became of a write: it may come to stand beside its writer's next one.
    pub fn put_unknown(&mut self) {
        self.beside += 1;
    }

    /// A delete begins, of a client who had read these values; of whatever its own read finds, if nothing was read. What
    /// it is certain to cover; `meets` as for that read.
    pub fn delete_begins(&mut self, covers: Option<&BTreeSet<ValueId>>, meets: usize) -> BTreeSet<ValueId> {
        self.deletes += 1;
        match covers {
            Some(covers) => {
                self.cover(covers);
                covers.clone()
            }
            None => {
                self.open_deletes += 1;
                let standing = self.values.iter().filter(|(_, value)| value.held >= meets && !value.covered);
                let standing = standing.map(|(id, _)| *id).collect();
                self.values.values_mut().for_each(|value| value.covered = true);
                standing
            }
        }
    }

    /// A delete was acknowledged, by so many owners; or is certain not to have been done, by none.
    pub fn delete_done(&mut self, covers: &BTreeSet<ValueId>, wide: bool, holders: usize) {
        self.open_deletes -= usize::from(wide);
        self.bury(covers, holders);
    }

    /// A read was answered; what it showed, so many owners hold from now on (if it promises that).
    ///
    /// # Errors
    /// If what was found may not have been.
    pub fn read(&mut self, begun: &Begun, shown: &Shown, leaves: Option<usize>) -> Result<(), String> {
        self.saw(shown)?;
        for id in &begun.must_show {
            if !shown.ids.contains(id) && !self.values[id].covered {
                return Err(format!("v{id} is not shown, and was there before the read began: {shown:?}"));
            }
        }
        if let Some(id) = begun.must_not_show.intersection(&shown.ids).next() {
            return Err(format!("v{id} is shown, and was replaced before the read began"));
        }
        if self.deletes == 0
            && let Some(lost) = begun.elements.difference(&shown.elements).next()
        {
            return Err(format!("element {lost} is lost: {shown:?}"));
        }
        for id in leaves.map(|_| &shown.ids).into_iter().flatten() {
            self.hold(*id, leaves.unwrap_or(0));
        }
        Ok(())
    }

    /// Whether this is what must be left in the end, when every owner was asked.
    ///
    /// # Errors
    /// If an acknowledged write is lost.
    pub fn check_last(&self, shown: &Shown) -> Result<(), String> {
        for (id, value) in &self.values {
            if value.fate == Fate::Done && !value.covered && !shown.ids.contains(id) {
                return Err(format!("v{id} was acknowledged, nobody replaced it, and it is lost"));
            }
        }
        Ok(())
    }

    fn saw(&mut self, shown: &Shown) -> Result<(), String> {
        for id in &shown.ids {
            let Some(value) = self.values.get_mut(id) else {
                return Err(format!("v{id} was read and never written"));
            };
            value.seen = true;
            if value.fate == Fate::NotDone {
                return Err(format!("v{id} was read, and its write was not done"));
            }
        }
        let most = self.writers.len() + self.beside;
        if shown.ids.len() > most {
            return Err(format!(
                "{} siblings, and at most {most} may stand beside each other",
                shown.ids.len()
            ));
        }
        Ok(())
    }

    fn cover(&mut self, ids: &BTreeSet<ValueId>) {
        for id in ids {
            if let Some(value) = self.values.get_mut(id) {
                value.covered = true;
            }
        }
    }

    fn hold(&mut self, id: ValueId, holders: usize) {
        let Some(value) = self.values.get_mut(&id) else {
            return;
        };
        if value.held < holders {
            value.held = holders;
            let covers = value.covers.clone();
            self.bury(&covers, holders);
        }
    }

    fn bury(&mut self, ids: &BTreeSet<ValueId>, holders: usize) {
        for id in ids {
            if let Some(value) = self.values.get_mut(id) {
                value.gone = value.gone.max(holders);
            }
        }
    }
}

impl SiblingKey {
    /// Whether a read that insisted on covering `newest` (and what its writer had read, `known`) was answered so.
    ///
    /// # Errors
    /// If it was answered by a state that does not cover them.
    pub fn check_demanded(
        &self,
        newest: ValueId,
        known: &BTreeSet<ValueId>,
        shown: &Shown,
    ) -> Result<(), String> {
        let covers = self.values.get(&newest).map(|value| &value.covers);
        let missing = known.iter().find(|id| {
            let replaced = covers.is_some_and(|covers| covers.contains(id));
            !replaced && !shown.ids.contains(id) && !self.values.get(id).is_some_and(|value| value.covered)
        });
        match missing {
            Some(id) => Err(format!("v{id} was demanded and is not shown")),
            None => Ok(()),
        }
    }
}
