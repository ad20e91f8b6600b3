//! Dropping what may be dropped of a partition: its records are read, a page and then a pause, and those of which nothing
//! but settled deletes is left are named.

use std::time::Duration;

use bytes::Bytes;
use storage::{Db, KeyRange, ScanJob, ScanLimit};
use types::{Instant, KeyspaceId, PartitionId};

use crate::store_key;

/// How much one page reads.
const PAGE: ScanLimit = ScanLimit { entries: 512, bytes: 512 * 1024 };

/// How long to pause after each page.
const PAUSE: Duration = Duration::from_millis(5);

/// A sweep under way.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) partition: PartitionId,
    pub(crate) began: Instant,
    from: Bytes,
    end: Option<Bytes>,
    token: Option<u64>,
    rest_until: Instant,
}

impl Sweep {
    /// Of a partition with these slots, first and last.
    pub(crate) fn begin(now: Instant, partition: PartitionId, (first, last): (u16, u16)) -> Sweep {
        Sweep {
            partition,
            began: now,
            from: store_key::position(first, KeyspaceId(0), 0),
            end: store_key::end_of_slot(last),
            token: None,
            rest_until: now,
        }
    }

    /// When the next page is to be read; nothing while one is.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.token.is_none().then_some(self.rest_until)
    }

    /// Whether this token is of the page under way.
    pub(crate) fn is_reading(&self, token: u64) -> bool {
        self.token == Some(token)
    }

    /// Begins the next page, under this token.
    pub(crate) fn read(&mut self, token: u64, db: &Db) -> ScanJob {
        self.token = Some(token);
        db.scan(KeyRange::new(&self.from, self.end.as_deref()), PAGE)
    }

    /// A page was read, and the next begins there. False where that was the last.
    pub(crate) fn go_on(&mut self, now: Instant, next: Option<Bytes>) -> bool {
        self.token = None;
        self.rest_until = now + PAUSE;
        next.map(|next| self.from = next).is_some()
    }
}
