//! Which records are on their way to owners that were found behind, so that the same is not sent twice (INVARIANTS C2, F4).
//!
//! A key that many read while an owner is behind would otherwise be sent to that owner by each of them, until the first of these
//! repairs has arrived. Here the first one goes, and the others find it under way. What it does not bring (a write that came
//! since) the next read finds again, once it is over.
//!
//! What must hold: of a key one repair is under way at a time; a repair that nobody answers is forgotten after a while; and
//! the table is bounded: beyond the bound nothing is repaired by reads, and the exchange between owners does it. Repairs that
//! a client waits for, because what he is told must stay found, are none of these: they are always sent.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use types::{Instant, KeyspaceId, NodeId, OperationId};

/// For how long an answer to a repair is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many repairs may be under way at once.
const UNDER_WAY_MAX: usize = 1024;

/// Repairs that nobody waits for, under way.
#[derive(Debug, Default)]
pub struct Repairs {
    by_key: BTreeMap<(KeyspaceId, Bytes), OperationId>,
    /// By the read that they came of. Ids go up, so the oldest is first.
    by_read: BTreeMap<OperationId, UnderWay>,
    /// Counts since the start.
    pub figures: Figures,
}

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Records sent to owners that were found behind, with a client waiting for it.
    pub sent_before_answers: u64,
    /// The same, with nobody waiting.
    pub sent: u64,
    /// Those not sent, because one for the same key was under way.
    pub suppressed: u64,
    /// Those not sent, because too many were under way.
    pub withheld: u64,
}

#[derive(Debug)]
struct UnderWay {
    key: (KeyspaceId, Bytes),
    sent: Instant,
    /// Who has not answered.
    awaited: Vec<NodeId>,
}

impl Repairs {
    /// Whether a read may send so much of what it found to these, who are behind; if so it counts as under way.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        read: OperationId,
        (keyspace, key): (KeyspaceId, &Bytes),
        to: &[NodeId],
    ) -> bool {
        let records = to.len() as u64;
        if to.is_empty() {
            return false;
        }
        self.forget_old(now);
        let key = (keyspace, key.clone());
        if self.by_key.contains_key(&key) {
            self.figures.suppressed += records;
            return false;
        }
        if self.by_read.len() >= UNDER_WAY_MAX {
            self.figures.withheld += records;
            return false;
        }
        self.figures.sent += records;
        self.by_key.insert(key.clone(), read);
        self.by_read.insert(read, UnderWay { key, sent: now, awaited: to.to_vec() });
        true
    }

    /// An owner has answered the repair of a read, or will not. False where it was not asked.
    pub(crate) fn answered(&mut self, from: NodeId, read: OperationId) -> bool {
        let Some(one) = self.by_read.get_mut(&read) else {
            return false;
        };
        let Some(place) = one.awaited.iter().position(|node| *node == from) else {
            return false;
        };
        one.awaited.swap_remove(place);
        if one.awaited.is_empty() {
            self.forget(read);
        }
        true
    }

    /// The connection to an owner is lost: it answers nothing of what was sent before.
    pub(crate) fn lost(&mut self, node: NodeId) {
        let reads: Vec<OperationId> = self.by_read.keys().copied().collect();
        for read in reads {
            self.answered(node, read);
        }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.by_read.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_read.is_empty()
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((read, one)) = self.by_read.first_key_value()
            && now.since(one.sent) >= PATIENCE
        {
            self.forget(*read);
        }
    }

    fn forget(&mut self, read: OperationId) {
        if let Some(one) = self.by_read.remove(&read) {
            self.by_key.remove(&one.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N1: NodeId = NodeId(1);
    const N2: NodeId = NodeId(2);

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000) + Duration::from_millis(millis)
    }

    fn begin(repairs: &mut Repairs, millis: u64, read: u64, key: &'static str, to: &[NodeId]) -> bool {
        let key = Bytes::from_static(key.as_bytes());
        repairs.begin(at(millis), OperationId(read), (KeyspaceId(1), &key), to)
    }

    /// One repair of a key is under way at a time: until all whom it was sent to have answered.
    #[test]
    fn a_key_is_repaired_once_at_a_time() {
        let mut repairs = Repairs::default();
        assert!(begin(&mut repairs, 0, 1, "k", &[N1, N2]));
        assert!(!begin(&mut repairs, 1, 2, "k", &[N1]));
        assert!(begin(&mut repairs, 1, 3, "other", &[N1]));
        assert!(repairs.answered(N1, OperationId(1)) && !repairs.answered(N1, OperationId(1)));
        assert!(!begin(&mut repairs, 2, 4, "k", &[N1]), "n2 has not answered");
        assert!(repairs.answered(N2, OperationId(1)));
        assert!(begin(&mut repairs, 3, 5, "k", &[N1]));
        assert_eq!(repairs.len(), 2);
        assert_eq!(repairs.figures, Figures { sent: 4, suppressed: 2, ..Figures::default() });
    }

    /// A repair whose answer was lost does not keep a key from being repaired for ever.
    #[test]
    fn what_nobody_answers_is_forgotten() {
        let mut repairs = Repairs::default();
        assert!(begin(&mut repairs, 0, 1, "k", &[N1, N2]));
        assert!(!begin(&mut repairs, 4999, 2, "k", &[N1]));
        assert!(begin(&mut repairs, 5000, 3, "k", &[N1]));
        repairs.lost(N2);
        assert!(!begin(&mut repairs, 5001, 4, "k", &[N1]));
        repairs.lost(N1);
        assert!(repairs.is_empty() && begin(&mut repairs, 5002, 5, "k", &[N1]));
    }

    /// However many keys differ, no more are being repaired than the bound (INVARIANTS J1).
    #[test]
    fn the_table_is_bounded() {
        let mut repairs = Repairs::default();
        for number in 0..2 * UNDER_WAY_MAX as u64 {
            let key = Bytes::from(number.to_string());
            let begun = repairs.begin(at(0), OperationId(number), (KeyspaceId(1), &key), &[N1]);
            assert_eq!(begun, number < UNDER_WAY_MAX as u64);
        }
        assert_eq!((repairs.len(), repairs.figures.withheld), (UNDER_WAY_MAX, UNDER_WAY_MAX as u64));
        assert!(begin(&mut repairs, 5000, 1 << 40, "k", &[N1]) && repairs.len() == 1);
    }
}
