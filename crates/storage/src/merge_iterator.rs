//! Many sorted sources as one: each key once, with the merge of all that the sources say of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::ReadError;
use crate::memtable::Entry;
use crate::merge::{Kind, Merge, MergeError};

/// Entries in strictly ascending key order.
pub(crate) trait EntrySource: Send {
    /// The next entry; `None` at the end, and for ever after.
    fn next(&mut self) -> Result<Option<Entry>, ReadError>;
}

/// Entries that are in memory already.
pub(crate) struct Gathered(pub(crate) std::vec::IntoIter<Entry>);

impl EntrySource for Gathered {
    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        Ok(self.0.next())
    }
}

/// What several sources say of one key, joined newest to oldest until an entry that hides everything older ends it.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    kind: Kind,
    value: Bytes,
}

impl Fold {
    /// Starts with the newest.
    pub(crate) fn new(kind: Kind, value: Bytes) -> Fold {
        Fold { kind, value }
    }

    /// Whether nothing older counts any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.kind != Kind::Merge
    }

    /// Takes in the next older entry.
    pub(crate) fn older(
        &mut self,
        merge: &dyn Merge,
        key: &[u8],
        kind: Kind,
        value: &[u8],
    ) -> Result<(), MergeError> {
        if self.is_settled() {
            return Ok(());
        }
        if kind == Kind::Delete {
            // Below the marker there is nothing, so the operand is all that there is.
            self.kind = Kind::Full;
            return Ok(());
        }
        self.value = Bytes::from(merge.merge(key, value, &self.value)?);
        self.kind = kind;
        Ok(())
    }

    /// The value, where no older source has anything to add; none where the key is deleted.
    pub(crate) fn value(self) -> Option<Bytes> {
        (self.kind != Kind::Delete).then_some(self.value)
    }
}

/// Merges sources; the first of them is the newest. There are few (a handful of memtables and young tables, and one
/// per level), so the least key is found by looking at each.
pub(crate) struct MergeIterator {
    sources: Vec<(Option<Entry>, Box<dyn EntrySource>)>,
    merge: Arc<dyn Merge>,
}

impl MergeIterator {
    pub(crate) fn new(
        sources: Vec<Box<dyn EntrySource>>,
        merge: Arc<dyn Merge>,
    ) -> Result<MergeIterator, ReadError> {
        let mut heads = Vec::with_capacity(sources.len());
        for mut source in sources {
            heads.push((source.next()?, source));
        }
        Ok(MergeIterator { sources: heads, merge })
    }

    /// The next key's entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        let heads = self.sources.iter().filter_map(|(head, _)| head.as_ref());
        let Some(key) = heads.map(|head| head.key.clone()).min() else {
            return Ok(None);
        };
        let mut fold: Option<Fold> = None;
        for (head, source) in &mut self.sources {
            if head.as_ref().is_none_or(|head| head.key != key) {
                continue;
            }
            let Some(entry) = std::mem::replace(head, source.next()?) else {
                continue;
            };
            match &mut fold {
                None => fold = Some(Fold::new(entry.kind, entry.value)),
                Some(fold) => fold.older(&*self.merge, &key, entry.kind, &entry.value)?,
            }
        }
        Ok(fold.map(|fold| Entry { key, kind: fold.kind, value: fold.value }))
    }
}
