//! Building trees from stored bytes: at the start, when there is a doubt, and from time to time without one.
//!
//! One partition is read at a time, all its keyspaces in one pass, a page and then a pause, so that clients hardly notice.
//! What must hold: a page's view of the store is taken in the step in which the trees are told that it begins (see
//! `merkle::rebuild`), so whatever is written meanwhile is counted once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use merkle::{Place, Progress, Standing};
use storage::{Db, KeyRange, ScanLimit, ScanOutcome};
use types::{Instant, KeyspaceId, PartitionId};

use super::reading::parsed;
use super::trees::{Trees, digest_at};
use crate::replica::Effect;
use crate::store_key;

/// How much one page reads.
const PAGE: ScanLimit = ScanLimit { entries: 512, bytes: 512 * 1024 };

/// The least that a page reads, however much changes meanwhile.
const PAGE_ENTRIES_MIN: usize = 16;

/// How long to pause after each page.
const PAUSE: Duration = Duration::from_millis(2);

/// How long after something could not be read it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is to be built, and how far it has come.
#[derive(Debug)]
pub(crate) struct Building {
    /// The next first.
    waiting: VecDeque<PartitionId>,
    pass: Option<Pass>,
    rest_until: Instant,
    figures: Figures,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Passes over a partition that were completed.
    pub(crate) built: u64,
    /// Leaves of trees that nobody had doubted, and that were not what is stored: defects.
    pub(crate) corrected: u64,
    /// Passes that came to a page which cannot be read.
    pub(crate) unreadable: u64,
}

/// One partition's.
#[derive(Debug)]
struct Pass {
    partition: PartitionId,
    first_slot: u16,
    end: Option<Bytes>,
    from: Bytes,
    limit: ScanLimit,
    /// Of the page under way.
    token: Option<u64>,
}

impl Building {
    /// All of these partitions are to be built.
    pub(crate) fn of(partitions: impl IntoIterator<Item = PartitionId>) -> Building {
        Building {
            waiting: partitions.into_iter().collect(),
            pass: None,
            rest_until: Instant::default(),
            figures: Figures::default(),
        }
    }

    /// These are to be built, instead of all others.
    pub(crate) fn begin_anew(&mut self, partitions: impl IntoIterator<Item = PartitionId>) {
        self.waiting = partitions.into_iter().collect();
        self.pass = None;
    }

    pub(crate) fn figures(&self) -> Figures {
        self.figures
    }

    /// How many partitions wait for it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + usize::from(self.pass.is_some())
    }

    /// This partition is to be built before others.
    pub(crate) fn hurry(&mut self, partition: PartitionId) {
        if self.pass.as_ref().is_some_and(|pass| pass.partition == partition) {
            self.pass = None;
        }
        self.waiting.retain(|waiting| *waiting != partition);
        self.waiting.push_front(partition);
    }

    /// Of other partitions than these there are no trees any more.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(PartitionId) -> bool) {
        self.waiting.retain(|waiting| is_kept(*waiting));
        if self.pass.as_ref().is_some_and(|pass| !is_kept(pass.partition)) {
            self.pass = None;
        }
    }

    /// What could not be read is out of the way.
    pub(crate) fn go_on_at_once(&mut self) {
        self.rest_until = Instant::default();
    }

    /// This one is to be built when those that wait are.
    pub(crate) fn add(&mut self, partition: PartitionId) {
        if !self.waiting.contains(&partition) {
            self.waiting.push_back(partition);
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let reading = self.pass.as_ref().is_some_and(|pass| pass.token.is_some());
        (self.waiting() > 0 && !reading).then_some(self.rest_until)
    }

    /// Whether this token is of the page under way.
    pub(crate) fn is_reading(&self, token: u64) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.token == Some(token))
    }

    /// Begins the next page, under this token; false where there is none to begin now.
    pub(crate) fn turn(
        &mut self,
        now: Instant,
        token: u64,
        slots_of: impl Fn(PartitionId) -> Option<(u16, u16)>,
        trees: &mut Trees,
        db: &Db,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.next_timer().is_none_or(|due| due > now) {
            return false;
        }
        if self.pass.is_none() {
            let Some(partition) = self.waiting.pop_front() else { return false };
            let Some((first_slot, last_slot)) = slots_of(partition) else { return false };
            trees.of_partition(partition).for_each(|(_, _, tree)| tree.begin_rebuild());
            self.pass = Some(Pass {
                partition,
                first_slot,
                end: store_key::end_of_slot(last_slot),
                from: store_key::position(first_slot, KeyspaceId(0), 0),
                limit: PAGE,
                token: None,
            });
        }
        let Some(pass) = &mut self.pass else { return false };
        trees.of_partition(pass.partition).for_each(|(_, _, tree)| {
            tree.begin_page();
        });
        pass.token = Some(token);
        let range = KeyRange::new(&pass.from, pass.end.as_deref());
        out.push(Effect::Scan(token, db.scan_what_is_left(range, pass.limit)));
        true
    }

    /// A page was read.
    pub(crate) fn page(&mut self, now: Instant, outcome: ScanOutcome, trees: &mut Trees) {
        let Some(mut pass) = self.pass.take() else { return };
        self.rest_until = now + PAUSE;
        let ScanOutcome::Page { entries, next } = outcome else {
            // What is damaged is in doubt, and stays so until it can be read.
            for (_, _, tree) in trees.of_partition(pass.partition) {
                tree.doubt();
            }
            self.figures.unreadable += 1;
            self.waiting.push_back(pass.partition);
            self.rest_until = now + AGAIN;
            return;
        };
        let entries = parsed(entries);
        // Keys of one place are not parted: a page that ends among them leaves them all to the next.
        let next = next.as_ref().and_then(store_key::parse_place);
        let mut overrun = false;
        for (keyspace, seed, tree) in trees.of_partition(pass.partition) {
            let doubted = tree.standing() == Standing::Doubted;
            let here = entries.iter().filter(|(key, _)| key.keyspace == keyspace);
            let here = here.map(|(key, record)| digest_at(seed, key, record));
            match tree.page(here, next.map(|next| next_place(next, keyspace))) {
                Progress::Done { corrected } => {
                    self.figures.corrected += if doubted { 0 } else { corrected.unwrap_or(0) as u64 };
                }
                Progress::More(_) | Progress::Idle => {}
                // A page may have nothing of a keyspace; then its rebuild is where it should be.
                Progress::Again(place) => {
                    overrun |= next.is_none_or(|next| place < next_place(next, keyspace));
                }
            }
        }
        let Some((slot, keyspace, hash)) = next else {
            if overrun {
                pass.begin_again((pass.limit.entries / 2).max(PAGE_ENTRIES_MIN), trees);
                self.pass = Some(pass);
            } else {
                self.figures.built += 1;
            }
            return;
        };
        let from = store_key::position(slot, keyspace, hash);
        if overrun {
            pass.begin_again((pass.limit.entries / 2).max(PAGE_ENTRIES_MIN), trees);
        } else if from == pass.from {
            // More keys share a place than a page has room for.
            pass.begin_again(pass.limit.entries * 2, trees);
            pass.limit.bytes *= 2;
        } else {
            (pass.from, pass.token) = (from, None);
        }
        self.pass = Some(pass);
    }
}

impl Pass {
    /// From the beginning, with pages of another size. It is rare.
    fn begin_again(&mut self, entries: usize, trees: &mut Trees) {
        trees.of_partition(self.partition).for_each(|(_, _, tree)| tree.begin_rebuild());
        self.from = store_key::position(self.first_slot, KeyspaceId(0), 0);
        self.limit.entries = entries;
        self.token = None;
    }
}

/// From where a keyspace's part goes on, if storage goes on from this place.
fn next_place((slot, at, hash): (u16, KeyspaceId, u64), keyspace: KeyspaceId) -> Place {
    match at.cmp(&keyspace) {
        std::cmp::Ordering::Less => Place { slot, hash: 0 },
        std::cmp::Ordering::Equal => Place { slot, hash },
        std::cmp::Ordering::Greater => Place { slot: slot + 1, hash: 0 },
    }
}
