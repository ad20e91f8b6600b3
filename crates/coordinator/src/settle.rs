//! Makes sure that what a read found stays found.
//!
//! Where the keyspace promises never to go back in time, what a client is told must be held, on stable storage, by a write
//! quorum before it is told, so that every later read quorum meets it (INVARIANTS C2). If too few of those that answered
//! hold it, the others are sent the merge of all answers, and the client waits until enough hold it. Elsewhere whoever is
//! behind is sent it too, once at a time ([`repairs`](crate::repairs)), and nobody waits.
//!
//! While the partition moves, it must be held by a write quorum of each set: readers after the switch ask the others, and what was
//! read before it need not be an acknowledged write, which they would have. So owners in both sets are asked first, and where they
//! answer, this costs nothing. Nobody else is sent a repair because the partition moves: those that are filled get all from those
//! that have it.
//!
//! Whatever tells a client what a read found goes through here: a get, and a delete or change of expiry that has nothing
//! to change.

use api::{Action, Error};
use quorum::{Decision, Joint, Level};
use types::NodeId;
use wire::{Holder, Relay, ReplicaReply, ReplicaRequest, Write, WritePath};

use crate::read::{Merged, READ_ROUND};
use crate::relaying::{Way, ways};
use crate::target::{Event, Target, Turn};

/// The round of questions that repairs are sent in.
pub(crate) const REPAIR_ROUND: u32 = READ_ROUND + 1;

/// A repair that a client waits for.
#[derive(Debug)]
pub struct Settling {
    holding: Joint,
    level: Level,
}

impl Settling {
    /// Sends what was found at this level of reading to whoever lacks it. Nothing if the client may be told at once.
    pub fn begin(target: &Target, read: Level, merged: &Merged, turn: &mut Turn<'_>) -> Option<Settling> {
        let clean = merged.behind.is_empty() && merged.unsynced.is_empty();
        if merged.record.is_none() || (clean && target.also_written.is_empty()) {
            return None;
        }
        let level = target.keyspace().w;
        let mut holding = target.joint(level);
        for node in &merged.holders {
            holding.succeeded(*node);
        }
        // Where fallbacks may stand in, a client is not made to wait for owners that cannot be reached.
        let keeps_order = !target.is_sloppy() || target.all_reachable(turn.topology);
        let never_goes_back = keeps_order && target.never_goes_back(read, level);
        if !never_goes_back || holding.decided() == Decision::Met {
            let key = (target.keyspace_id, &target.key);
            if turn.repairs.begin(turn.now.mono, turn.id, key, &merged.behind) {
                repair_in_passing(target, merged, turn);
            }
            return None;
        }
        let lacking: Vec<NodeId> = holding.awaited().collect();
        turn.repairs.figures.sent_before_answers += lacking.len() as u64;
        repair(target, merged, &lacking, turn);
        Some(Settling { holding, level })
    }

    /// Takes an event: whether enough owners hold it now, or too few can be brought to.
    pub fn step(&mut self, event: &Event, turn: &Turn<'_>) -> Decision {
        match *event {
            Event::Reply { from, round: REPAIR_ROUND, ref reply } => match reply {
                // Where all of it is settled, it holds what covers it, or has dropped that because everybody had it.
                ReplicaReply::Stored | ReplicaReply::Settled => self.holding.succeeded(from),
                // The owners are others by now: the read is begun anew once this node has heard of it.
                ReplicaReply::StaleEpoch { newest } if turn.awaits(*newest) => {}
                _ => self.holding.failed(from),
            },
            Event::Failed { from, .. } => self.holding.failed(from),
            Event::Reply { .. } | Event::Made(_) | Event::Unnamed | Event::Timer => {}
        }
        self.holding.decided()
    }

    /// Whether the client is told what was found though too few could be brought to hold it: in a sloppy keyspace, which
    /// promises no order that a failure could not end.
    pub fn tells_anyway(&self, target: &Target) -> bool {
        target.is_sloppy()
    }

    /// What the client is told where too few hold it.
    pub fn error(&self) -> Error {
        Error::Unavailable {
            action: Action::Read,
            level: self.level,
            needed: count(self.holding.short().needed()),
            got: count(self.holding.short().got()),
            owners: count(self.holding.short().counted()),
            detail: "the owners differ, and too few could be brought to hold what was read, so that a later read might not find it; a read at level one makes no such promise".to_owned(),
        }
    }
}

/// As messages say it.
pub(crate) fn count(of: usize) -> u8 {
    u8::try_from(of).unwrap_or(u8::MAX)
}

/// Sends what all said together to those that have less, once to each other data center. Nobody waits for it, so nothing is done
/// about a relay that fails: the exchange brings it.
fn repair_in_passing(target: &Target, merged: &Merged, turn: &mut Turn<'_>) {
    let Some(record) = &merged.encoded else { return };
    for way in ways(merged.behind.iter().copied(), target, turn) {
        let write = Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: record.clone(),
            path: WritePath::Merge,
        };
        match way {
            Way::Directly(node) => turn.send(node, REPAIR_ROUND, write.asked(None)),
            Way::Through(relay, others) => {
                let others = others.into_iter().map(|node| Holder { node, in_place_of: None }).collect();
                let request = Relay { write, in_place_of: None, others };
                turn.send(relay, REPAIR_ROUND, ReplicaRequest::Relay(Box::new(request)));
            }
        }
    }
}

/// The same with a client waiting for it: to each by itself, for a relay is one more that may fail.
fn repair(target: &Target, merged: &Merged, lacking: &[NodeId], turn: &mut Turn<'_>) {
    let Some(record) = &merged.encoded else { return };
    for node in lacking {
        let request = ReplicaRequest::Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: record.clone(),
            path: WritePath::Merge,
            in_place_of: None,
        };
        turn.send(*node, REPAIR_ROUND, request);
    }
}
