//! Whom to ask, and what goes into a message.
//!
//! A digest cannot hold a thousand members. So what has new facts goes first, as often as it takes for nearly everybody
//! to have heard it (`rotation`), in half of the room at most; and everybody else in
//! rotation, whoever was sent longest ago first. Always true: a node sends a bounded number of bounded messages a
//! round whatever the number of members, and every member's entry goes out again after a bounded number of messages.
//!
//! A heartbeat is no news in that sense: in every round there is one of everybody. It travels in the rotation, and with
//! growing clusters each arrives later and none is lost. Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;

use env::Rng;
use types::NodeId;

use crate::gossip::Gossip;
use crate::member::Missing;
use crate::message::{Draft, Entry, Message, Step};
use crate::rotation::Priority;
use crate::state::Difference;
use crate::verdict::Verdict;

/// No entry is shorter.
const ENTRY_BYTES_MIN: usize = 6;

impl Gossip {
    /// The peers of this round: some of those that are heard, and one of those that are not, so that halves that were
    /// cut apart, and nodes that come back, are found.
    pub(crate) fn choose_peers(&self, rng: &mut Rng) -> Vec<NodeId> {
        let others = self.members.iter().filter(|(node, _)| **node != self.me);
        let (mut heard, mut silent): (Vec<NodeId>, Vec<NodeId>) = others
            .map(|(node, _)| *node)
            .partition(|node| matches!(self.verdict(*node), Verdict::Up | Verdict::Suspected));
        let wanted = self.options.fan_out;
        let mut chosen = draw(&mut heard, wanted, rng);
        let missing = wanted - chosen.len();
        chosen.extend(draw(&mut silent, missing.max(1), rng));
        chosen
    }

    /// A digest. What is new of this node itself goes along unasked: a node that is deaf would not hear the question,
    /// and nobody passes on a heartbeat whose facts he lacks.
    pub(crate) fn opening(&mut self) -> Message {
        let mut draft = self.draft(Step::Opening);
        let own = self.own();
        let news = own.state.as_ref().filter(|_| self.rotation.is_hot(self.me)).map(|state| state.since(0));
        if news.is_some_and(|news| draft.add_state(self.me, news)) {
            self.rotation.sent(self.me);
        }
        self.fill(&mut draft, &BTreeMap::new());
        draft.finish()
    }

    /// What there is to say to somebody who said how far he knows these nodes.
    pub(crate) fn reply(&mut self, to: Step, said: &BTreeMap<NodeId, Entry>) -> Option<Message> {
        let step = match to {
            Step::Opening => Step::Answer,
            Step::Answer => Step::Closing,
            Step::Closing => return None,
        };
        let mut draft = self.draft(step);
        let mut entries: Vec<(Priority, Entry)> = Vec::new();
        let mut states: Vec<(Priority, Difference)> = Vec::new();
        for (node, entry) in said {
            let Some(member) = self.members.get(node) else { continue };
            match member.missing_from(entry) {
                Some(Missing::Pulse(mine)) => entries.push((self.rotation.priority(*node), mine)),
                Some(Missing::Facts(all)) => states.push((self.rotation.priority(*node), all)),
                None => {}
            }
            let asks_back = step == Step::Answer && *node != self.me;
            if asks_back && member.lacks(entry) {
                entries.push((self.rotation.priority(*node), member.entry()));
            }
        }
        if step == Step::Closing && entries.is_empty() && states.is_empty() {
            return None;
        }
        entries.sort_unstable_by_key(|(priority, _)| *priority);
        states.sort_unstable_by_key(|(priority, _)| *priority);
        // Facts are long and heartbeats short: a third of the room is kept for the latter, while there are any.
        let kept = draft.left() / 3;
        let later = self.add_states(&mut draft, states, kept);
        for ((_, _, node), entry) in entries {
            if draft.add_entry(node, entry) {
                self.rotation.sent(node);
            }
        }
        self.add_states(&mut draft, later, 0);
        if step == Step::Answer {
            self.fill(&mut draft, said);
        }
        Some(draft.finish())
    }

    /// A message that says how far this node is itself: being heard from is being alive.
    fn draft(&self, step: Step) -> Draft {
        let mut draft = Draft::new(step, self.start.incarnation, self.options.body_bytes_max());
        draft.add_entry(self.me, self.own().entry());
        draft
    }

    /// Adds states while `kept` bytes are left after them; those that were not added.
    fn add_states(
        &mut self,
        draft: &mut Draft,
        states: Vec<(Priority, Difference)>,
        kept: usize,
    ) -> Vec<(Priority, Difference)> {
        let mut later = Vec::new();
        for (priority, difference) in states {
            if draft.left() > kept && draft.add_state(priority.2, difference.clone()) {
                self.rotation.sent(priority.2);
            } else {
                later.push((priority, difference));
            }
        }
        later
    }

    /// Fills what room there is with entries of members that were not spoken of.
    fn fill(&mut self, draft: &mut Draft, said: &BTreeMap<NodeId, Entry>) {
        let half = draft.left() / 2;
        let mut added = Vec::new();
        let mut add = |nodes: &mut dyn Iterator<Item = NodeId>, kept: usize| {
            for node in nodes.filter(|node| !said.contains_key(node)) {
                if draft.left() < kept.max(ENTRY_BYTES_MIN) {
                    break;
                }
                let Some(member) = self.members.get(&node) else { continue };
                if draft.add_entry(node, member.entry()) {
                    added.push(node);
                }
            }
        };
        add(&mut self.rotation.hot(), half);
        add(&mut self.rotation.in_turn(), 0);
        added.into_iter().for_each(|node| self.rotation.sent(node));
    }
}

/// Draws up to `count` of `from`, each at most once.
fn draw(from: &mut Vec<NodeId>, count: usize, rng: &mut Rng) -> Vec<NodeId> {
    let mut drawn = Vec::new();
    while drawn.len() < count && !from.is_empty() {
        let index = usize::try_from(rng.below(from.len() as u64)).unwrap_or(0);
        drawn.push(from.swap_remove(index));
    }
    drawn
}
