//! How much a replica takes in of what is not a client's.
//!
//! What comes back to a node that was away comes from many at once, each with all that he kept. What must hold: together
//! they get so much in a second and no more, so that clients have the rest (INVARIANTS F4); each is granted what he has to send and
//! not more, for what one does not use another cannot have; and who comes when all is spoken for waits for his turn, in order, for
//! asking again would leave it to chance who gets anything.

use std::collections::VecDeque;
use std::time::Duration;

use types::Instant;
use wire::ReplicaReply;

use crate::replica::{Effect, Ticket};

/// For how long a count is kept.
const WINDOW: Duration = Duration::from_millis(100);

/// How much is granted in that time: so much that a node which comes back has all within the time it was away, and clients notice as
/// little of it as may be (`bench/outage.sh`).
const BYTES_A_WINDOW: u32 = 768 << 10;

/// How much of it this node takes for partitions that it is to own: half, for nobody waits for those, and they come for longer than
/// what it missed while it was away (`bench/growth.sh`).
const MOVED_BYTES_A_WINDOW: u32 = BYTES_A_WINDOW / 2;

/// How much is granted at once.
pub(crate) const BYTES_A_GRANT: u32 = 128 << 10;

/// How many wait for their turn at most: more than there are shards of other nodes in most clusters.
const WAITING_MAX: usize = 256;

/// What was granted lately, and who waits.
#[derive(Debug, Default)]
pub(crate) struct Granting {
    since: Instant,
    granted: u32,
    /// Of that, for partitions that move here.
    moved: u32,
    waiting: VecDeque<(Ticket, u32)>,
}

impl Granting {
    /// For this node's own use: so many bytes, or none for the moment. Who waits comes first.
    pub(crate) fn grant(&mut self, now: Instant) -> u32 {
        if self.waiting.is_empty() { self.take(now, BYTES_A_GRANT) } else { 0 }
    }

    /// The same for partitions that it is to own.
    pub(crate) fn grant_to_move(&mut self, now: Instant) -> u32 {
        self.begin_anew(now);
        let left = MOVED_BYTES_A_WINDOW.saturating_sub(self.moved);
        let bytes = if self.waiting.is_empty() { self.take(now, BYTES_A_GRANT.min(left)) } else { 0 };
        self.moved += bytes;
        bytes
    }

    /// For one who asks: answered now, or when it is his turn. Where too many wait he is granted nothing, and asks again.
    pub(crate) fn ask(&mut self, now: Instant, ticket: Ticket, wanted: u32, out: &mut Vec<Effect>) {
        if self.waiting.len() >= WAITING_MAX {
            out.push(Effect::Reply(ticket, ReplicaReply::Granted { bytes: 0 }));
            return;
        }
        self.waiting.push_back((ticket, wanted.max(1)));
        self.turn(now, out);
    }

    /// Answers those whose turn it is. Who does not wait any more is passed over.
    pub(crate) fn turn(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while let Some((ticket, wanted)) = self.waiting.front().copied() {
            if ticket.until > now {
                let bytes = self.take(now, wanted);
                if bytes == 0 {
                    return;
                }
                out.push(Effect::Reply(ticket, ReplicaReply::Granted { bytes }));
            }
            self.waiting.pop_front();
        }
    }

    /// When [`turn`](Self::turn) has something to do.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.since + WINDOW)
    }

    fn take(&mut self, now: Instant, wanted: u32) -> u32 {
        self.begin_anew(now);
        let bytes = wanted.min(BYTES_A_GRANT).min(BYTES_A_WINDOW - self.granted);
        self.granted += bytes;
        bytes
    }

    fn begin_anew(&mut self, now: Instant) {
        if now.since(self.since) >= WINDOW {
            (self.since, self.granted, self.moved) = (now, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::{NodeId, OperationId, PartitionId, ShardId};

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_secs(9) + Duration::from_millis(millis)
    }

    fn ticket(operation: u64, until: Instant) -> Ticket {
        let (from, shard, partition) = (NodeId(1), ShardId(0), PartitionId(0));
        Ticket {
            from,
            of: shard,
            via: shard,
            operation: OperationId(operation),
            round: 0,
            partition,
            epoch: types::Epoch(1),
            until,
        }
    }

    fn granted(out: &mut Vec<Effect>) -> Vec<(u64, u32)> {
        let replies = out.drain(..).map(|effect| match effect {
            Effect::Reply(ticket, ReplicaReply::Granted { bytes }) => (ticket.operation.0, bytes),
            other => panic!("{other:?}"),
        });
        replies.collect()
    }

    #[test]
    fn no_more_is_granted_in_a_window_than_it_has_and_the_next_begins_anew() {
        let mut granting = Granting::default();
        let all: u32 = (0..100).map(|n| granting.grant(at(n))).sum();
        assert_eq!(all, BYTES_A_WINDOW);
        assert_eq!(granting.grant(at(99)), 0);
        assert_eq!(granting.grant(at(100)), BYTES_A_GRANT);
    }

    /// Hints are not kept from a node by what moves to it.
    #[test]
    fn what_moves_gets_half_and_leaves_the_rest() {
        let mut granting = Granting::default();
        let moved: u32 = (0..100).map(|n| granting.grant_to_move(at(n))).sum();
        let rest: u32 = (0..100).map(|_| granting.grant(at(99))).sum();
        assert_eq!((moved, moved + rest), (MOVED_BYTES_A_WINDOW, BYTES_A_WINDOW));
        assert_eq!(granting.grant_to_move(at(100)), BYTES_A_GRANT);
    }

    #[test]
    fn who_asks_is_granted_what_he_wants_and_waits_for_his_turn_where_all_is_spoken_for() {
        let (mut granting, mut out, later) = (Granting::default(), Vec::new(), at(5000));
        granting.ask(at(0), ticket(1, later), 7_000, &mut out);
        assert_eq!(granted(&mut out), [(1, 7_000)]);
        while granting.grant(at(1)) > 0 {}
        granting.ask(at(2), ticket(2, at(50)), 1_000, &mut out);
        granting.ask(at(2), ticket(3, later), 1_000, &mut out);
        granting.ask(at(3), ticket(4, later), u32::MAX, &mut out);
        granting.turn(at(99), &mut out);
        assert!(out.is_empty() && granting.next_timer() == Some(at(100)), "{out:?}");
        granting.turn(at(100), &mut out);
        assert_eq!(granted(&mut out), [(3, 1_000), (4, BYTES_A_GRANT)], "the first has stopped waiting");
        assert_eq!(granting.next_timer(), None);
    }

    #[test]
    fn no_more_wait_than_may() {
        let (mut granting, mut out) = (Granting::default(), Vec::new());
        while granting.grant(at(0)) > 0 {}
        for number in 0..=WAITING_MAX as u64 {
            granting.ask(at(0), ticket(number, at(5000)), 1, &mut out);
        }
        assert_eq!(granted(&mut out), [(WAITING_MAX as u64, 0)]);
    }
}
