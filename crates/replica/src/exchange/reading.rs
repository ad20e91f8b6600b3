//! Reading what is stored in a span of a tree, a page at a time. Where something is missing, what is left: what the others have
//! beyond that is what comparing is to find.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use merkle::{Place, Run, runs};
use storage::{Db, KeyRange, ScanJob, ScanLimit};
use types::KeyspaceId;

use crate::store_key::{self, StoreKey};

/// How much one page reads.
const PAGE: ScanLimit = ScanLimit { entries: 512, bytes: 512 * 1024 };

/// The entries of a page, their keys taken apart.
pub(crate) fn parsed(entries: Vec<(Bytes, Bytes)>) -> Vec<(StoreKey, Bytes)> {
    let parse = |(key, record)| store_key::parse(&key).map(|key| (key, record));
    entries.into_iter().filter_map(parse).collect()
}

/// What is still to be read of a span.
#[derive(Debug)]
pub(crate) struct Reading {
    keyspace: KeyspaceId,
    runs: VecDeque<Run>,
    /// Where the first of these runs goes on; at its beginning, if nowhere.
    from: Option<Bytes>,
}

impl Reading {
    /// All of these places.
    pub(crate) fn of(keyspace: KeyspaceId, places: Range<Place>) -> Reading {
        Reading { keyspace, runs: runs(places).collect(), from: None }
    }

    /// The next page; nothing where all was read.
    pub(crate) fn job(&self, db: &Db) -> Option<ScanJob> {
        let run = self.runs.front()?;
        let start = store_key::position(run.slot, self.keyspace, run.first);
        let end = match run.last.checked_add(1) {
            Some(behind) => Some(store_key::position(run.slot, self.keyspace, behind)),
            None => store_key::end_of_keyspace(run.slot, self.keyspace),
        };
        let range = KeyRange::new(self.from.as_ref().unwrap_or(&start), end.as_deref());
        Some(db.scan_what_is_left(range, PAGE))
    }

    /// A page was read, and the next begins there; nothing where the run is over.
    pub(crate) fn go_on(&mut self, next: Option<Bytes>) {
        if next.is_none() {
            self.runs.pop_front();
        }
        self.from = next;
    }
}
