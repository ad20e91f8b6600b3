//! How fast each node answers reads, and what that means for the next ones: whom to ask first, when to ask another as well,
//! and how much may be asked twice.
//!
//! Slow is not down: a slow node stays an owner and counts where it answers; it is only asked after others (INVARIANTS E9,
//! H5). Three things are known of a node: how long it takes *usually* (a decaying average, quick to believe that something is
//! wrong), the *quantile* that an answer is late beyond ([`window`]), and whether it *owes* an answer that is late already.
//! That last one is what routes around a node within one hedge of the moment at which it stops.
//!
//! What must hold: a node that is asked after others is asked all the same, by *probes*, at most one in [`PROBE_EVERY`] and one at
//! a time. Nobody waits for a probe, so looking whether a node is well again costs no client anything. And nothing here
//! allocates but the first time that a node is met.

mod budget;
mod window;

use std::time::Duration;

use types::{Instant, NodeId, OperationId};

pub use self::budget::Share;

use self::budget::Budget;
use self::window::Window;

/// An answer is late when so many percent of a node's answers of late came sooner.
const LATE_PERCENT: u8 = 95;

/// An answer is not late sooner than this: timers are no finer, and asking twice is not free.
const HEDGE_MIN: Duration = Duration::from_millis(2);

/// And late at this age, however slow the node is.
const HEDGE_MAX: Duration = Duration::from_millis(250);

/// When an answer is late of a node that is hardly known.
pub const HEDGE_UNKNOWN: Duration = Duration::from_millis(50);

/// With fewer samples than this a node is hardly known.
const KNOWN_SAMPLES: u16 = 32;

/// The quantile is looked up anew after so many samples.
const LOOKED_UP_EVERY: u8 = 16;

/// How often a node that is asked after others is probed, at most.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// A probe that is not answered by then is not waited for any more, and the node is probed again.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// By how much a sample moves what a node takes usually: an eighth of the way.
const USUAL_SHIFT: u32 = 3;

/// Nodes up to here are equally near. Beyond it each class is four times as slow as the one before.
const NEAR: Duration = Duration::from_millis(1);

/// A node comes back to the class before only below this part of what its own begins with: one that is now a little quicker and now a
/// little slower than the border between two is not first in the order and last by turns.
const COMES_BACK_BELOW: u64 = 2;

/// So many answers of a node in a row that it cannot say, and it is taken for one that refuses. Fewer may be about a key or two
/// that are damaged there, and say nothing of the others that it has.
const CANNOT_SAY_MAX: u8 = 8;

/// Whoever usually takes so long is not chosen to make the writes of others. More than data centers are apart from each other; and one
/// late answer does not count, for writes of one key are to meet at one maker as long as that serves them.
const LAGGING: Duration = Duration::from_millis(250);

/// The class of nodes that owe an answer, and of those whose last answer was a refusal.
const OWING: u8 = 6;
const REFUSING: u8 = 7;

/// What a coordinator knows of the pace of others, and what it may spend.
#[derive(Debug)]
pub struct Pace {
    /// By the number of the node.
    peers: Vec<Option<Box<Peer>>>,
    hedges: Budget,
    retries: Budget,
    /// Counts since the start.
    pub figures: Figures,
}

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Reads that another owner was asked for, because one was late.
    pub hedges_sent: u64,
    /// Those that were decided by it, before the late one answered.
    pub hedges_won: u64,
    /// Times that another owner was to be asked and the budget did not allow it.
    pub hedges_withheld: u64,
    /// Reads sent beside others, to see whether a node is well again.
    pub probes_sent: u64,
    /// Questions asked again after a refusal.
    pub retries_spent: u64,
    /// Those that the budget did not allow.
    pub retries_refused: u64,
    /// Owners of other data centers to whom a write went through one that is beside them.
    pub relayed: u64,
    /// Those of them that were sent it once more, because that one failed or nothing was heard of them.
    pub relays_failed: u64,
}

#[derive(Debug)]
struct Peer {
    window: Window,
    late_after: Duration,
    /// Samples since `late_after` was looked up.
    unlooked: u8,
    /// In nanoseconds; nothing before the first sample.
    usual: Option<u64>,
    /// The class of what it takes usually.
    class: u8,
    /// A question whose answer is late, or is to show whether the node is well again.
    watched: Option<Watched>,
    owes: bool,
    refuses: bool,
    /// How many answers in a row were that it cannot say.
    cannot_say: u8,
    probed: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    operation: OperationId,
    sent: Instant,
}

impl Peer {
    fn new(now: Instant) -> Peer {
        Peer {
            window: Window::new(now),
            late_after: HEDGE_UNKNOWN,
            unlooked: 0,
            usual: None,
            class: 0,
            watched: None,
            owes: false,
            refuses: false,
            cannot_say: 0,
            probed: Instant::default(),
        }
    }

    fn sample(&mut self, now: Instant, took: Duration) {
        self.window.add(now, took);
        self.unlooked += 1;
        if self.unlooked >= LOOKED_UP_EVERY && self.window.len() >= KNOWN_SAMPLES {
            self.unlooked = 0;
            let quantile = self.window.quantile(LATE_PERCENT);
            self.late_after = quantile.map_or(HEDGE_UNKNOWN, |late| late.clamp(HEDGE_MIN, HEDGE_MAX));
        }
        self.unlooked = self.unlooked.min(LOOKED_UP_EVERY);
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).min(nanos(window::LONGEST));
        self.usual = Some(self.usual.map_or(sample, |usual| {
            if sample > usual {
                usual + ((sample - usual) >> USUAL_SHIFT)
            } else {
                usual - ((usual - sample) >> USUAL_SHIFT)
            }
        }));
        let usual = self.usual.unwrap_or(0);
        // What it is to be below to leave its class is below that of the class before.
        self.class = class_of(usual).max(self.class.min(class_of(usual.saturating_mul(COMES_BACK_BELOW))));
    }

    fn class(&self) -> u8 {
        if self.refuses {
            return REFUSING;
        }
        if self.owes {
            return OWING;
        }
        self.class
    }
}

/// The class of a node that takes so many nanoseconds.
fn class_of(nanoseconds: u64) -> u8 {
    let times = nanoseconds / nanos(NEAR);
    let doublings = if times == 0 { 0 } else { times.ilog2() + 2 };
    u8::try_from(doublings / 2).unwrap_or(OWING).min(OWING - 1)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Pace {
    /// Of nodes that nothing is known of yet.
    pub fn new(hedges: Share, retries: Share) -> Pace {
        Pace {
            peers: Vec::new(),
            hedges: Budget::new(hedges),
            retries: Budget::new(retries),
            figures: Figures::default(),
        }
    }

    /// In which order to ask: a node of a lower class before one of a higher. Equals may be asked in any order.
    pub fn class(&self, node: NodeId) -> u8 {
        self.peer(node).map_or(0, Peer::class)
    }

    /// Whether it owes an answer, or its last one was a refusal: others are better asked first, wherever they are.
    pub fn fails(&self, node: NodeId) -> bool {
        self.class(node) >= OWING
    }

    /// Whether others are better asked to make writes: it takes very long as a rule, or refuses.
    pub fn lags(&self, node: NodeId) -> bool {
        self.peer(node).is_some_and(|peer| peer.refuses || peer.usual.unwrap_or(0) >= nanos(LAGGING))
    }

    /// How long after it was asked a node's answer is late.
    pub fn late_after(&self, node: NodeId) -> Duration {
        self.peer(node).map_or(HEDGE_UNKNOWN, |peer| peer.late_after)
    }

    /// A client asks for something.
    pub fn request_begun(&mut self) {
        self.retries.earn();
    }

    /// Owners are asked for a record.
    pub fn read_begun(&mut self) {
        self.hedges.earn();
    }

    /// A node has answered a question of a read that was sent so long ago.
    pub fn answered(&mut self, now: Instant, node: NodeId, took: Duration) {
        let peer = self.peer_mut(now, node);
        peer.sample(now, took);
        (peer.owes, peer.refuses, peer.watched, peer.cannot_say) = (false, false, None, 0);
    }

    /// A node has answered a question of an operation that is over. It is a sample if that answer was watched for.
    pub fn answered_too_late(&mut self, now: Instant, node: NodeId, operation: OperationId) {
        let watched = self.peer(node).and_then(|peer| peer.watched);
        if let Some(watched) = watched.filter(|watched| watched.operation == operation) {
            self.answered(now, node, now.since(watched.sent));
        }
    }

    /// A node has not answered this operation, and its answer is late.
    pub fn owes(&mut self, now: Instant, node: NodeId, operation: OperationId, sent: Instant) {
        let peer = self.peer_mut(now, node);
        peer.owes = true;
        peer.watched.get_or_insert(Watched { operation, sent });
        peer.probed = now;
    }

    /// A node has answered that it cannot say what it holds of a key. That is about the key, until nothing else is heard of it.
    pub fn cannot_say(&mut self, now: Instant, node: NodeId) {
        let peer = self.peer_mut(now, node);
        peer.cannot_say = peer.cannot_say.saturating_add(1);
        if peer.cannot_say >= CANNOT_SAY_MAX {
            self.refused(now, node);
        } else {
            (peer.owes, peer.watched) = (false, None);
        }
    }

    /// A node has answered that it will not say, or cannot say anything.
    pub fn refused(&mut self, now: Instant, node: NodeId) {
        let peer = self.peer_mut(now, node);
        (peer.refuses, peer.owes, peer.watched) = (true, false, None);
        peer.probed = now;
    }

    /// The connection to a node is new, or lost: what was under way on it is not waited for.
    pub fn reconnected(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(usize::from(node.0)).and_then(Option::as_mut) {
            (peer.owes, peer.refuses, peer.watched) = (false, false, None);
        }
    }

    /// Whether to probe a node with this operation, beside those of a class below its own; if so it counts as probed.
    pub fn probe(&mut self, now: Instant, node: NodeId, below: u8, operation: OperationId) -> bool {
        let Some(peer) = self.peers.get_mut(usize::from(node.0)).and_then(Option::as_mut) else {
            return false;
        };
        let is_awaited = peer.watched.is_some_and(|watched| now.since(watched.sent) < PROBE_PATIENCE);
        if peer.class() <= below || is_awaited || now.since(peer.probed) < PROBE_EVERY {
            return false;
        }
        peer.probed = now;
        peer.watched = Some(Watched { operation, sent: now });
        self.figures.probes_sent += 1;
        true
    }

    /// Whether another owner may be asked, because one is late.
    pub fn may_hedge(&mut self, now: Instant) -> bool {
        let may = self.hedges.spend(now);
        *(if may { &mut self.figures.hedges_sent } else { &mut self.figures.hedges_withheld }) += 1;
        may
    }

    /// Whether something may be asked again after a refusal.
    pub fn may_retry(&mut self, now: Instant) -> bool {
        let may = self.retries.spend(now);
        *(if may { &mut self.figures.retries_spent } else { &mut self.figures.retries_refused }) += 1;
        may
    }

    fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.peers.get(usize::from(node.0))?.as_deref()
    }

    fn peer_mut(&mut self, now: Instant, node: NodeId) -> &mut Peer {
        let place = usize::from(node.0);
        if self.peers.len() <= place {
            self.peers.resize_with(place + 1, || None);
        }
        self.peers[place].get_or_insert_with(|| Box::new(Peer::new(now)))
    }
}

/// Said where something is not asked again because too much was.
pub const RETRIES_SPENT: &str =
    "this node has no budget left for asking again after refusals: try again later, more slowly";

#[cfg(test)]
mod tests {
    use super::*;

    const N1: NodeId = NodeId(1);
    const N2: NodeId = NodeId(2);

    fn pace() -> Pace {
        let share = Share { percent: 10, per_second: 10, burst: 10 };
        Pace::new(share, share)
    }

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000) + Duration::from_millis(millis)
    }

    #[test]
    fn an_answer_is_late_beyond_the_quantile_within_bounds() {
        let mut pace = pace();
        assert_eq!(pace.late_after(N1), HEDGE_UNKNOWN);
        for sample in 0..200 {
            let millis = if sample % 10 == 0 { 20 } else { 1 };
            pace.answered(at(sample), N1, Duration::from_millis(millis));
        }
        let late = pace.late_after(N1);
        assert!(late >= Duration::from_millis(20) && late <= Duration::from_micros(22_501), "{late:?}");
        for sample in 0..2000 {
            pace.answered(at(200 + sample), N1, Duration::from_micros(3));
        }
        assert_eq!(pace.late_after(N1), HEDGE_MIN);
        for sample in 0..2000 {
            pace.answered(at(2200 + sample), N1, Duration::from_secs(3));
        }
        assert_eq!(pace.late_after(N1), HEDGE_MAX);
    }

    #[test]
    fn a_node_that_is_slow_is_asked_after_others_until_probes_find_it_well_again() {
        let mut pace = pace();
        pace.answered(at(0), N1, Duration::from_micros(300));
        pace.answered(at(0), N2, Duration::from_micros(900));
        assert_eq!((pace.class(N1), pace.class(N2)), (0, 0), "these are equally near");
        pace.answered(at(1), N2, Duration::from_millis(200));
        assert!(pace.class(N2) > 0);
        // Four times slower is a class.
        pace.answered(at(1), NodeId(3), Duration::from_millis(3));
        pace.answered(at(1), NodeId(4), Duration::from_millis(17));
        pace.answered(at(1), NodeId(5), Duration::from_millis(65));
        assert_eq!([3, 4, 5].map(|number| pace.class(NodeId(number))), [1, 3, 4]);
        let (mut probes, mut now) = (0, at(2));
        while pace.class(N2) > pace.class(N1) && probes < 100 {
            now = now + Duration::from_millis(1);
            if pace.probe(now, N2, pace.class(N1), OperationId(7)) {
                probes += 1;
                pace.answered(now, N2, Duration::from_micros(200));
            }
        }
        assert!(probes > 4 && probes < 40, "{probes} probes");
        assert!(now.since(at(2)) >= PROBE_EVERY * (probes - 1), "no more often than it says");
        assert_eq!(pace.figures.probes_sent, u64::from(probes));
    }

    /// Whoever takes now a little less and now a little more than the border between two classes stays in one.
    #[test]
    fn a_node_near_a_border_does_not_come_and_go() {
        let mut pace = pace();
        pace.answered(at(0), N1, Duration::from_micros(1_100));
        assert_eq!(pace.class(N1), 1);
        for sample in 1..200 {
            let took = if sample % 2 == 0 { 600 } else { 1_500 };
            pace.answered(at(sample), N1, Duration::from_micros(took));
            assert_eq!(pace.class(N1), 1, "after {sample} samples");
        }
        (200..240).for_each(|sample| pace.answered(at(sample), N1, Duration::from_micros(300)));
        assert_eq!(pace.class(N1), 0, "and comes back when it is well again");
    }

    #[test]
    fn a_node_that_owes_an_answer_comes_after_others_until_it_answers() {
        let mut pace = pace();
        pace.answered(at(0), N1, Duration::from_micros(300));
        pace.owes(at(10), N1, OperationId(4), at(5));
        assert_eq!(pace.class(N1), OWING);
        // The late answer is watched for, so there is no probe beside it, and others' late answers say nothing.
        assert!(!pace.probe(at(500), N1, 0, OperationId(5)));
        pace.answered_too_late(at(600), N1, OperationId(6));
        assert_eq!(pace.class(N1), OWING);
        pace.answered_too_late(at(605), N1, OperationId(4));
        assert!(pace.class(N1) < OWING && pace.class(N1) > 0, "600 ms are a sample like any other");
    }

    /// A key that is damaged on a node is no reason to ask it last for all others; that it can say nothing is.
    #[test]
    fn a_node_that_cannot_say_of_a_key_is_asked_as_before_until_it_says_nothing_else() {
        let mut pace = pace();
        for sample in 0..100 {
            pace.cannot_say(at(sample), N1);
            pace.cannot_say(at(sample), N1);
            pace.answered(at(sample), N1, Duration::from_micros(300));
            assert_eq!(pace.class(N1), 0);
        }
        (1..CANNOT_SAY_MAX).for_each(|_| pace.cannot_say(at(100), N1));
        assert_eq!(pace.class(N1), 0);
        pace.cannot_say(at(100), N1);
        assert_eq!(pace.class(N1), REFUSING);
        assert!(pace.probe(at(200), N1, 0, OperationId(7)), "and it is looked whether it can again");
        pace.answered(at(201), N1, Duration::from_micros(300));
        assert_eq!(pace.class(N1), 0);
    }

    #[test]
    fn a_late_answer_that_was_lost_is_not_waited_for_for_ever() {
        let mut pace = pace();
        pace.owes(at(10), N1, OperationId(4), at(5));
        assert!(!pace.probe(at(4900), N1, 0, OperationId(5)));
        assert!(pace.probe(at(5100), N1, 0, OperationId(5)));
        pace.refused(at(5101), N1);
        assert_eq!(pace.class(N1), REFUSING);
        pace.reconnected(N1);
        assert_eq!(pace.class(N1), 0);
    }
}
