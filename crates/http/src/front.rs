//! What all handlers share: the door to the node, the settings, and the budget of memory for bodies.

use std::sync::Arc;

use api::{Answer, Counter, HeatStatus, MemberStatus, Reply, Request, Status};

use crate::body::Budget;
use crate::door::Door;
use crate::options::HttpOptions;
use crate::problem::{Kind, Problem};

/// The state of the router.
pub(crate) struct Front {
    door: Box<dyn Door>,
    pub(crate) options: HttpOptions,
    pub(crate) budget: Budget,
}

/// As axum passes it to every handler.
pub(crate) type Shared = Arc<Front>;

impl Front {
    pub(crate) fn new(door: Box<dyn Door>, options: HttpOptions) -> Front {
        let budget = Budget::new(options.body_bytes_max);
        Front { door, options, budget }
    }

    /// What the node answers.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Problem> {
        let outcome = match self.door.call(request) {
            Answer::Ready(outcome) => outcome,
            Answer::Pending(pending) => pending.await,
        };
        outcome.map_err(|error| Problem::from_error(error, &self.door.status()))
    }

    /// The cluster as the node sees it.
    pub(crate) fn status(&self) -> Arc<Status> {
        self.door.status()
    }

    /// The node's figures, those of its autoscaler among them.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let mut counters = self.door.counters();
        counters.extend(self.options.autoscaler.iter().flat_map(|autoscaler| autoscaler.counters()));
        counters
    }

    /// What the node has heard of all members.
    pub(crate) fn members(&self) -> Arc<[MemberStatus]> {
        self.door.members()
    }

    /// What is asked for most of the node.
    pub(crate) fn heat(&self) -> HeatStatus {
        self.door.heat()
    }
}

/// The problem of a reply that does not belong to what was asked.
pub(crate) fn unexpected(asked: &str) -> Problem {
    tracing::error!(asked, "the node's reply does not belong to the request");
    Problem::new(Kind::Internal, format!("the node's reply does not belong to a {asked}"))
}
