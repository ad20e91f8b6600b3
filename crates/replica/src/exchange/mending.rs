//! Making two owners hold the same of the keys in which they differ: fetch what the other has, and send what is here.
//!
//! What is fetched is merged into what is held here, and what is held then is sent; both are ordinary merges, so whatever is
//! written meanwhile is neither lost nor undone. What must hold: a key counts as mended only once both have on stable storage
//! what either had.
//!
//! The other one's share of what is sent is what he grants; what is fetched is charged to this node's own grants (INVARIANTS
//! F4). A record's size is known only when it is there, so a share may be exceeded by as much as is under way.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use causality::{Outline, Record};
use merkle::{Difference, Held, Seed};
use types::{KeyspaceId, NodeId};
use wire::{Own, ReplicaReply, ReplicaRequest, WritePath};

/// How many keys are under way at once: fewer of large records, more of small ones, so that owners which are far apart are not
/// idle most of the time.
const UNDER_WAY: std::ops::RangeInclusive<u64> = 16..=256;

/// About how many bytes are under way at once, as far as that leaves it in those bounds.
const UNDER_WAY_BYTES: u64 = 256 << 10;

/// What is to be asked, of whom.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) to: NodeId,
    pub(crate) of: Asked,
    pub(crate) request: ReplicaRequest,
}

/// What a reply belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// How much the other one takes in.
    Grant,
    /// This key, by number.
    Key(u64),
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mended {
    /// Records that were fetched and merged.
    pub(crate) fetched: u64,
    /// Records that were sent and taken in.
    pub(crate) sent: u64,
    /// Of either, in bytes.
    pub(crate) bytes: u64,
    /// Keys of which it came to nothing.
    pub(crate) failed: u64,
    /// What was looked at and moved, in one number: the same in two rounds that did the same.
    pub(crate) signature: u64,
}

/// How much longer than what is said of it a record must be for that to be worth its bytes.
const OUTLINE_SHARE: usize = 2;

/// What a record may have, before any was moved, in bytes.
const RECORD_BYTES_GUESSED: u64 = 1 << 10;

/// The keys in which two owners differ, as far as they are known, and how far each has come.
#[derive(Debug)]
pub(crate) struct Mending {
    here: NodeId,
    peer: NodeId,
    keyspace: KeyspaceId,
    /// What the digests of the keyspace begin from.
    seed: Seed,
    waiting: VecDeque<Difference>,
    under_way: BTreeMap<u64, Key>,
    next_number: u64,
    /// How much may be sent before the peer is asked for more.
    granted: usize,
    asking: bool,
    /// Nothing was granted: it is to be asked again a little later.
    put_off: bool,
    mended: Mended,
    settled: Vec<Settled>,
}

/// A record that the other one would not take in, because all of it is settled: keyspace, key and record.
pub(crate) type Settled = (KeyspaceId, Bytes, Bytes);

#[derive(Debug)]
struct Key {
    key: Bytes,
    stage: Stage,
}

/// A key of which it came to nothing.
struct Failed;

#[derive(Debug)]
enum Stage {
    /// What is here is read, to be said to the other one. He may hold something of the key too, or not.
    Beginning { held: Held },
    /// What the other one has is asked, beside this, which is here, and what was said of it. By now it may be the same.
    Fetching { own: Option<(Bytes, Box<Own>)> },
    /// What is here is read, beside what the other one has.
    Looking { theirs: Option<Bytes> },
    /// What he has is merged into what is here.
    Merging { theirs: Bytes },
    /// What has come of that is read.
    LookingAgain { theirs: Bytes },
    /// What is here is sent.
    Sending { record: Bytes },
}

impl Mending {
    pub(crate) fn new((here, peer): (NodeId, NodeId), (keyspace, seed): (KeyspaceId, Seed)) -> Mending {
        Mending {
            here,
            peer,
            keyspace,
            seed,
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            next_number: 0,
            granted: 0,
            asking: false,
            put_off: false,
            mended: Mended::default(),
            settled: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, found: impl IntoIterator<Item = Difference>) {
        self.waiting.extend(found);
    }

    /// How many keys are not yet mended.
    pub(crate) fn left(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    pub(crate) fn mended(&self) -> Mended {
        self.mended
    }

    /// Whether to wait a little before going on, because nothing was granted. To be asked once for each refusal.
    pub(crate) fn is_put_off(&mut self) -> bool {
        std::mem::take(&mut self.put_off)
    }

    /// Whether the next key needs a share of what this node takes in.
    pub(crate) fn wants_to_fetch(&self) -> bool {
        self.under_way.len() < self.under_way_max()
            && self.waiting.front().is_some_and(|next| next.held != Held::Here)
    }

    /// Goes on with the next keys. `belongs` says whether a key is the partition's; `fetchable` how many bytes may be
    /// fetched, which is lowered as they arrive.
    pub(crate) fn go_on(
        &mut self,
        belongs: impl Fn(&[u8]) -> bool,
        fetchable: usize,
        out: &mut Vec<Question>,
    ) {
        while self.under_way.len() < self.under_way_max() {
            let Some(next) = self.waiting.front() else { return };
            if next.held == Held::Here && self.granted == 0 {
                if !self.asking {
                    self.asking = true;
                    let request = ReplicaRequest::Grant { wanted: self.wanted() };
                    out.push(Question { to: self.peer, of: Asked::Grant, request });
                }
                return;
            }
            if next.held != Held::Here && fetchable == 0 {
                return;
            }
            let Some(Difference { key, held }) = self.waiting.pop_front() else { return };
            if !belongs(&key) {
                self.mended.failed += 1;
                continue;
            }
            self.next_number += 1;
            let number = self.next_number;
            let key = Bytes::from(key);
            self.mark(&key);
            self.ask(number, key, Stage::Beginning { held }, out);
        }
    }

    /// About how much there is to send, going by what was moved so far.
    fn wanted(&self) -> u32 {
        let keys = self.waiting.iter().filter(|next| next.held == Held::Here).count() as u64;
        u32::try_from(keys * self.bytes_each()).unwrap_or(u32::MAX)
    }

    /// How many bytes a record has, going by what was moved so far.
    fn bytes_each(&self) -> u64 {
        let moved = self.mended.fetched + self.mended.sent;
        self.mended.bytes.checked_div(moved).unwrap_or(RECORD_BYTES_GUESSED)
    }

    /// Few, until it is known how large records are here.
    fn under_way_max(&self) -> usize {
        let each = if self.mended.bytes == 0 { u64::MAX } else { self.bytes_each().max(1) };
        let most = (UNDER_WAY_BYTES / each).clamp(*UNDER_WAY.start(), *UNDER_WAY.end());
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// A reply; nothing where none came. What comes back is how many bytes were fetched.
    pub(crate) fn replied(
        &mut self,
        asked: Asked,
        reply: Option<ReplicaReply>,
        out: &mut Vec<Question>,
    ) -> usize {
        let number = match asked {
            Asked::Key(number) => number,
            Asked::Grant => {
                self.asking = false;
                if let Some(ReplicaReply::Granted { bytes }) = reply {
                    self.granted = bytes as usize;
                }
                self.put_off = self.granted == 0;
                return 0;
            }
        };
        let Some(Key { key, stage }) = self.under_way.remove(&number) else { return 0 };
        let fetched = match (&stage, &reply) {
            (Stage::Fetching { .. }, Some(ReplicaReply::Found { record, .. })) => record.len(),
            _ => 0,
        };
        match self.next(&key, stage, reply) {
            Err(Failed) => self.mended.failed += 1,
            Ok(None) => {}
            Ok(Some(stage)) => self.ask(number, key, stage, out),
        }
        fetched
    }

    /// Asks what this stage of a key takes.
    fn ask(&mut self, number: u64, key: Bytes, stage: Stage, out: &mut Vec<Question>) {
        let (to, request) = match &stage {
            Stage::Beginning { .. } | Stage::Looking { .. } | Stage::LookingAgain { .. } => {
                (self.here, self.read(&key, None))
            }
            Stage::Fetching { own } => {
                let said = own.as_ref().map(|(_, said)| said.clone());
                (self.peer, self.read(&key, said))
            }
            Stage::Merging { theirs } => (self.here, self.write(&key, theirs.clone())),
            Stage::Sending { record } => (self.peer, self.write(&key, record.clone())),
        };
        out.push(Question { to, of: Asked::Key(number), request });
        self.under_way.insert(number, Key { key, stage });
    }

    /// What follows for a key, if anything does.
    fn next(
        &mut self,
        key: &Bytes,
        stage: Stage,
        reply: Option<ReplicaReply>,
    ) -> Result<Option<Stage>, Failed> {
        let reply = reply.ok_or(Failed)?;
        let record = match reply {
            ReplicaReply::Found { record, .. } => Some(record),
            ReplicaReply::Absent => None,
            ReplicaReply::Same | ReplicaReply::Older => return self.is_enough(stage, &reply),
            ReplicaReply::Stored => return self.stored(stage),
            ReplicaReply::Settled => return self.settled(key, stage),
            _ => return Err(Failed),
        };
        match (stage, record) {
            (Stage::Beginning { held }, own) => {
                let own = own.map(|own| (own.clone(), Box::new(self.own(key, &own, held))));
                Ok(Some(Stage::Fetching { own }))
            }
            (Stage::Fetching { .. }, theirs) => Ok(Some(Stage::Looking { theirs })),
            (Stage::Looking { theirs }, own) if theirs == own => Ok(None),
            (Stage::Looking { theirs: Some(theirs) }, _) => Ok(Some(Stage::Merging { theirs })),
            (Stage::Looking { theirs: None }, Some(own)) => Ok(Some(self.send(own))),
            (Stage::LookingAgain { theirs }, Some(own)) if theirs != own => Ok(Some(self.send(own))),
            (Stage::Looking { .. } | Stage::LookingAgain { .. }, _) => Ok(None),
            (Stage::Merging { .. } | Stage::Sending { .. }, _) => Err(Failed),
        }
    }

    /// What was said to be here has all that the other one has, or is that. It is sent as it was when that was said: what has come of
    /// it since need not be more.
    fn is_enough(&mut self, stage: Stage, reply: &ReplicaReply) -> Result<Option<Stage>, Failed> {
        let Stage::Fetching { own: Some((own, said)) } = stage else { return Err(Failed) };
        match reply {
            ReplicaReply::Same => Ok(None),
            ReplicaReply::Older if said.outline.is_some() => Ok(Some(self.send(own))),
            _ => Err(Failed),
        }
    }

    fn send(&mut self, record: Bytes) -> Stage {
        self.granted = self.granted.saturating_sub(record.len());
        self.mark(&record);
        Stage::Sending { record }
    }

    fn stored(&mut self, stage: Stage) -> Result<Option<Stage>, Failed> {
        match stage {
            Stage::Merging { theirs } => {
                self.mark(&theirs);
                self.mended.fetched += 1;
                self.mended.bytes += theirs.len() as u64;
                Ok(Some(Stage::LookingAgain { theirs }))
            }
            Stage::Sending { record } => {
                self.mended.sent += 1;
                self.mended.bytes += record.len() as u64;
                Ok(None)
            }
            Stage::Beginning { .. }
            | Stage::Fetching { .. }
            | Stage::Looking { .. }
            | Stage::LookingAgain { .. } => Err(Failed),
        }
    }

    /// All of it was deleted or overwritten long ago. What is here is let go of; what the other one has is his to let go of.
    fn settled(&mut self, key: &Bytes, stage: Stage) -> Result<Option<Stage>, Failed> {
        match stage {
            Stage::Merging { .. } => Ok(None),
            Stage::Sending { record } => {
                self.settled.push((self.keyspace, key.clone(), record));
                Ok(None)
            }
            Stage::Beginning { .. }
            | Stage::Fetching { .. }
            | Stage::Looking { .. }
            | Stage::LookingAgain { .. } => Err(Failed),
        }
    }

    /// Records that were sent, and are of no more use.
    pub(crate) fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Makes what was looked at and moved part of what a later round is known by, if it comes to the same.
    fn mark(&mut self, bytes: &[u8]) {
        self.mended.signature = self.mended.signature.wrapping_add(ring::key_hash(bytes));
    }

    fn read(&self, key: &Bytes, own: Option<Box<Own>>) -> ReplicaRequest {
        ReplicaRequest::ReadHeld { keyspace: self.keyspace, key: key.clone(), own }
    }

    /// What is said to the other one of a record that is here: by which of the two is the older one can be told, if he has one at
    /// all and that takes a good deal less than the record may.
    fn own(&self, key: &[u8], record: &Bytes, held: Held) -> Own {
        let digest = self.seed.digest(key, record).short();
        let outline = match held {
            Held::Here => None,
            Held::There | Held::Both => Record::decode(record.clone()).ok().map(|record| record.outline()),
        };
        let is_short = |outline: &Outline| outline.to_bytes().len() <= record.len() / OUTLINE_SHARE;
        Own { digest, outline: outline.filter(is_short) }
    }

    fn write(&self, key: &Bytes, record: Bytes) -> ReplicaRequest {
        ReplicaRequest::Write {
            keyspace: self.keyspace,
            key: key.clone(),
            record,
            path: WritePath::Merge,
            in_place_of: None,
        }
    }
}
