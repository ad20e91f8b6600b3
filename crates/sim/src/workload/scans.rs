//! What an iteration over a keyspace must give: every key that was certain to live from its beginning to its end, and no
//! key that nobody ever wrote.

use std::collections::BTreeSet;

use bytes::Bytes;
use types::KeyspaceId;

/// An iteration under way.
#[derive(Debug)]
pub struct Scan {
    /// Of this keyspace.
    pub keyspace: KeyspaceId,
    /// Where to go on.
    pub cursor: u64,
    /// Certain to live when it began.
    must_give: BTreeSet<Bytes>,
    given: BTreeSet<Bytes>,
    pages: usize,
}

/// No scan of these few keys needs so many steps.
const PAGES_MAX: usize = 2_000;

impl Scan {
    /// An iteration begins, with these keys certain to live.
    pub fn begin(keyspace: KeyspaceId, must_give: BTreeSet<Bytes>) -> Scan {
        Scan { keyspace, cursor: 0, must_give, given: BTreeSet::new(), pages: 0 }
    }

    /// A page came. True if it was the last.
    ///
    /// # Errors
    /// If the iteration does not come to an end.
    pub fn page(&mut self, page: &api::ScanPage) -> Result<bool, String> {
        self.given.extend(page.keys.iter().cloned());
        self.pages += 1;
        if self.pages > PAGES_MAX {
            return Err(format!("the scan goes on at {} after {PAGES_MAX} pages", page.cursor));
        }
        self.cursor = page.cursor;
        Ok(page.cursor == 0)
    }

    /// Whether it gave what it had to. `certain`: keys certain to live to the end; `put`: keys that were ever written.
    ///
    /// # Errors
    /// Which key is missing, or made up.
    pub fn check(&self, certain: &BTreeSet<Bytes>, put: &BTreeSet<Bytes>) -> Result<(), String> {
        let missing = self.must_give.intersection(certain).find(|key| !self.given.contains(*key));
        if let Some(key) = missing {
            return Err(format!("{} was not given, and lived all the time", key.escape_ascii()));
        }
        match self.given.iter().find(|key| !put.contains(*key)) {
            Some(key) => Err(format!("{} was given, and nobody ever wrote it", key.escape_ascii())),
            None => Ok(()),
        }
    }
}
