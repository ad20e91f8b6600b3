//! What a node knows of all members, for people.
//!
//! Rows are copies: nobody decides anything by them, and phi is here only because people know it. Ages are by this
//! node's clock, from when it heard and not from when the member spoke.

use std::time::Duration;

use types::{Incarnation, Instant, NodeId};

use crate::gossip::Gossip;
use crate::state::{Generation, NodeState};
use crate::verdict::Verdict;

/// One member, as this node sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Who.
    pub node: NodeId,
    /// The incarnation that it said it is; nothing before that was heard.
    pub incarnation: Option<Incarnation>,
    /// Its start; nothing if it was never heard.
    pub generation: Option<Generation>,
    /// The newest heartbeat that was heard of it; zero if none was.
    pub heartbeat: u64,
    /// How long it has been silent: since its newest heartbeat was heard, or it answered a request, or this node came
    /// back from a pause and forgave it. Nothing if it was never heard. Zero for this node itself.
    pub age: Option<Duration>,
    /// How improbable that is; zero for this node itself, and for who was never heard.
    pub phi: f64,
    /// What it is taken for.
    pub verdict: Verdict,
    /// The observers that suspect it and whose word counts now, this node perhaps among them.
    pub suspected_by: Vec<NodeId>,
}

impl Gossip {
    /// A row for each member, and for this node, by ascending id.
    pub fn table(&self, now: Instant) -> Vec<Row> {
        let mut voices = self.voices();
        let row = |(node, member): (&NodeId, &crate::member::Member)| {
            let is_me = *node == self.me;
            let state = member.state.as_ref();
            let heard = if is_me { state.map(NodeState::pulse) } else { member.heard };
            let silence = if is_me { Duration::ZERO } else { member.arrivals.silence(now) };
            let judged = !is_me && heard.is_some();
            Row {
                node: *node,
                incarnation: state.map(|state| state.start().incarnation),
                generation: heard.map(|pulse| pulse.generation),
                heartbeat: heard.map_or(0, |pulse| pulse.heartbeat),
                age: heard.map(|_| silence),
                phi: if judged { member.arrivals.phi(now, &self.limits) } else { 0.0 },
                verdict: self.verdict(*node),
                suspected_by: voices.remove(node).unwrap_or_default(),
            }
        };
        self.members.iter().map(row).collect()
    }
}
