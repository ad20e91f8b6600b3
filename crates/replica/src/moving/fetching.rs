//! Fetching what there is of a partition from one of its old owners: whole runs of records in the order of storage, page by page.
//!
//! The next page is asked for when all records of the one before are stored, and when this node grants itself some of what it takes
//! in ([`crate::granting`]), and after a rest that is the longer the longer the last one took: so who receives sets the pace, and a
//! node that is busy a slow one. A source that fails is left for another; the position stays, for all
//! have the same order. What one source lacks the comparing that follows finds.
//!
//! Sans-I/O: whom to ask what comes out, what was answered goes in.

use std::time::Duration;

use bytes::Bytes;
use types::{Instant, NodeId};
use wire::{FetchAnswer, Mark};

/// How long a source may take to answer, and storage to take a page in.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait where nothing is granted.
const REST: Duration = Duration::from_millis(100);

/// How many times as long as the last page took, until it was stored, the next one is waited with: so what moves takes a part of
/// what a node and its disk can do, however much that is, and where they are busy with clients it takes its time.
const RESTS: u32 = 2;

/// But no longer than this.
const REST_MAX: Duration = Duration::from_secs(1);

/// How long after a source has failed it is tried again, or another.
const AGAIN: Duration = Duration::from_secs(1);

/// How far it is with one partition.
#[derive(Debug)]
pub(crate) struct Fetching {
    /// Where the next page begins.
    from: Bytes,
    step: Step,
    /// When the page under way was asked for.
    asked_at: Instant,
    rest_until: Instant,
    /// Who has failed last.
    failed: Option<NodeId>,
    /// Who has answered last, and has not failed since.
    answers: Option<NodeId>,
}

#[derive(Debug)]
enum Step {
    Resting,
    Asking { id: u64, of: NodeId, until: Instant },
    Storing { id: u64, left: usize, has_failed: bool, next: Option<Bytes>, mark: Option<Mark> },
}

/// What has come of a page.
#[derive(Debug)]
pub(crate) enum Stored {
    /// It is not stored yet, or is to be asked for again.
    NotYet,
    /// All before this place is here.
    To(Bytes),
    /// All that the source had is here, and what its owners have agreed on.
    All(Option<Mark>),
}

impl Fetching {
    /// From this place on.
    pub(crate) fn from(from: Bytes) -> Fetching {
        Fetching {
            from,
            step: Step::Resting,
            asked_at: Instant::default(),
            rest_until: Instant::default(),
            failed: None,
            answers: None,
        }
    }

    /// Where it has come to: where the next page begins.
    pub(crate) fn place(&self) -> &Bytes {
        &self.from
    }

    /// When [`is_due`](Self::is_due) has something to say.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        match &self.step {
            Step::Resting => Some(self.rest_until),
            Step::Asking { until, .. } => Some(*until),
            Step::Storing { .. } => None,
        }
    }

    /// Whether the next page is to be asked for. Who has not answered has failed.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if let Step::Asking { of, until, .. } = self.step
            && until <= now
        {
            self.fail(now, of);
        }
        matches!(self.step, Step::Resting) && self.rest_until <= now
    }

    /// Nothing is granted, or nobody can be asked.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.rest_until = now + REST;
    }

    /// Whom to ask of these, the best first: who has answered, and after one that has failed the next, whichever of them are there.
    pub(crate) fn source(&self, sources: &[NodeId]) -> Option<NodeId> {
        if let Some(answers) = self.answers.filter(|node| sources.contains(node)) {
            return Some(answers);
        }
        let failed = sources.iter().position(|source| Some(*source) == self.failed);
        let next = failed.map_or(0, |place| (place + 1) % sources.len());
        sources.get(next).copied()
    }

    /// It was asked for, under this number.
    pub(crate) fn asked(&mut self, now: Instant, id: u64, of: NodeId) -> Bytes {
        self.step = Step::Asking { id, of, until: now + PATIENCE };
        self.asked_at = now;
        self.from.clone()
    }

    /// Whether this number is of what it waits for.
    pub(crate) fn waits_for(&self, number: u64) -> bool {
        match &self.step {
            Step::Resting => false,
            Step::Asking { id, .. } | Step::Storing { id, .. } => *id == number,
        }
    }

    /// A page came from whom it was asked of; its records are to be stored, each with a reply under this number. Nothing comes back
    /// where it is not what was asked for, or none.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        from: NodeId,
        answer: Option<FetchAnswer>,
        belongs: impl Fn(&Bytes) -> bool,
    ) -> Option<Vec<(Bytes, Bytes)>> {
        let Step::Asking { id, of, .. } = self.step else { return None };
        if of != from {
            return None;
        }
        let is_sound = |answer: &FetchAnswer| {
            answer.entries.iter().all(|(key, _)| belongs(key))
                && answer.next.as_ref().is_none_or(|next| *next > self.from)
        };
        let Some(FetchAnswer { entries, next, mark }) = answer.filter(is_sound) else {
            self.fail(now, from);
            return None;
        };
        self.answers = Some(from);
        self.step = Step::Storing { id, left: entries.len(), has_failed: false, next, mark };
        Some(entries)
    }

    /// A record of the page is stored, or could not be; nothing where there was none.
    pub(crate) fn stored(&mut self, now: Instant, is_stored: Option<bool>) -> Stored {
        let Step::Storing { left, has_failed, next, mark, .. } = &mut self.step else {
            return Stored::NotYet;
        };
        if let Some(is_stored) = is_stored {
            *left = left.saturating_sub(1);
            *has_failed |= !is_stored;
        }
        if *left > 0 {
            return Stored::NotYet;
        }
        let (has_failed, next, mark) = (*has_failed, next.take(), mark.take());
        self.step = Step::Resting;
        if has_failed {
            self.rest_until = now + AGAIN;
            return Stored::NotYet;
        }
        self.rest_until = now + (now.since(self.asked_at) * RESTS).min(REST_MAX);
        self.failed = None;
        match next {
            Some(next) => {
                self.from = next.clone();
                Stored::To(next)
            }
            None => Stored::All(mark),
        }
    }

    /// The source has refused, or cannot be reached.
    pub(crate) fn fail(&mut self, now: Instant, source: NodeId) {
        self.step = Step::Resting;
        self.rest_until = now + AGAIN;
        self.failed = Some(source);
        self.answers = None;
    }

    /// Of whom it waits for a page.
    pub(crate) fn asks(&self) -> Option<NodeId> {
        match self.step {
            Step::Asking { of, .. } => Some(of),
            Step::Resting | Step::Storing { .. } => None,
        }
    }

    /// Who has failed last, and nobody has answered since.
    pub(crate) fn failed(&self) -> Option<NodeId> {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Option<FetchAnswer> {
        Some(FetchAnswer { entries: Vec::new(), next: Some(Bytes::from_static(b"b")), mark: None })
    }

    /// Of several sources each has its turn, and who answers is asked on.
    #[test]
    fn who_is_there_is_found_and_stayed_with() {
        let sources = [1, 2, 3].map(NodeId);
        let mut fetching = Fetching::from(Bytes::from_static(b"a"));
        let mut now = Instant::default();
        for dead in [1, 2] {
            assert_eq!(fetching.source(&sources), Some(NodeId(dead)));
            fetching.asked(now, u64::from(dead), NodeId(dead));
            fetching.fail(now, NodeId(dead));
            assert_eq!(fetching.failed(), Some(NodeId(dead)));
            now = now + AGAIN;
        }
        assert_eq!(fetching.source(&sources), Some(NodeId(3)));
        fetching.asked(now, 3, NodeId(3));
        assert!(fetching.answered(now, NodeId(3), answer(), |_| true).is_some());
        assert!(matches!(fetching.stored(now, None), Stored::To(_)));
        assert_eq!((fetching.source(&sources), fetching.failed()), (Some(NodeId(3)), None));
        fetching.asked(now, 4, NodeId(3));
        fetching.fail(now, NodeId(3));
        assert_eq!(fetching.source(&sources), Some(NodeId(1)), "and from the first again");
        assert_eq!(fetching.source(&[]), None);
    }
}
