//! Messages of the exchange that wait until a test lets them arrive: one node asks, about one tree.
//!
//! Nobody else asks anything, and what that node asks about other trees is answered at once, so that a test is about one
//! round after the other.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use types::{Instant, KeyspaceId, NodeId, OperationId, PartitionId};
use wire::ReplicaRequest;

use super::owners::{Message, Owners};

/// In which steps time passes while somebody waits.
const STEP: Duration = Duration::from_millis(10);

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks about what, and what is under way.
pub(crate) struct ByHand {
    asks: usize,
    tree: (KeyspaceId, PartitionId),
    /// Questions about other trees.
    others: BTreeSet<OperationId>,
    under_way: VecDeque<Message>,
}

impl ByHand {
    /// Keeps a message for later, or gives it back; drops what nobody is to ask.
    pub(crate) fn sort(&mut self, here: NodeId, message: Message) -> Option<Message> {
        match &message {
            Message::Request(from, to, ..) if from == to => return Some(message),
            Message::Request(from, ..) if *from != self.asks => return None,
            Message::Request(_, _, _, _, ReplicaRequest::Collect(_)) => return None,
            Message::Request(_, _, operation, partition, ReplicaRequest::Compare(ask))
                if (ask.terms.keyspace, *partition) != self.tree =>
            {
                self.others.insert(*operation);
                return Some(message);
            }
            Message::Reply(_, ticket, _) if ticket.from == here => return Some(message),
            Message::Reply(_, ticket, _) if self.others.remove(&ticket.operation) => return Some(message),
            Message::Request(..) | Message::Reply(..) => {}
        }
        self.under_way.push_back(message);
        None
    }
}

impl Owners {
    /// From now on only this node asks, and what it sends and is sent about the tree that this key is in waits.
    pub(crate) fn by_hand(&mut self, asks: usize, keyspace: KeyspaceId, key: &[u8]) {
        let tree = (keyspace, self.state.partition_of(key));
        self.by_hand = Some(ByHand { asks, tree, others: BTreeSet::new(), under_way: VecDeque::new() });
    }

    /// What is under way and waits, the oldest first.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &Message> {
        self.by_hand.iter().flat_map(|by_hand| &by_hand.under_way)
    }

    /// Lets time pass until something is under way. How long that took.
    pub(crate) fn wait_for_message(&mut self) -> Duration {
        let began: Instant = self.now.mono;
        while self.under_way().next().is_none() {
            self.pass(STEP, STEP);
            assert!(self.now.mono.since(began) < PATIENCE, "nobody says anything");
        }
        self.now.mono.since(began)
    }

    /// The oldest message that is under way arrives.
    pub(crate) fn arrive(&mut self) {
        let message = self.take_oldest();
        self.deliver(message);
        self.settle();
    }

    /// The oldest message that is under way is lost.
    pub(crate) fn lose(&mut self) {
        drop(self.take_oldest());
    }

    /// Lets everything that is under way arrive, and what comes of it.
    pub(crate) fn arrive_all(&mut self) {
        while self.under_way().next().is_some() {
            self.arrive();
        }
    }

    fn take_oldest(&mut self) -> Message {
        let by_hand = self.by_hand.as_mut().expect("messages wait");
        by_hand.under_way.pop_front().expect("something is under way")
    }
}
