//! What came of the requests of which a healthy core had to make something.

use api::{Error, Fate, Outcome, Reply};

use std::time::Duration;

use crate::healthy_core::{Demand, HealthyCore};
use crate::world::Answer;

/// A core, and what came of what it was asked.
#[derive(Debug)]
pub struct Watch {
    /// The core.
    pub core: HealthyCore,
    served: Served,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// What had to be done and was.
    pub done: u64,
    /// What had to be done, and of which nobody knows because another write of the same key outranks it.
    pub outranked: u64,
    /// What had to be done otherwise, in words.
    pub failed: Vec<String>,
    /// What could not be done and was said so of in time.
    pub refused: u64,
    /// What had no definite answer in time, in words.
    pub vague: Vec<String>,
}

impl Watch {
    /// Nothing was asked yet.
    pub fn new(core: HealthyCore) -> Watch {
        Watch { core, served: Served::default() }
    }

    /// What came of it so far.
    pub fn into_served(self) -> Served {
        self.served
    }

    /// An answer came after so long, of so much time that there was, for what this was demanded of.
    pub fn answered(
        &mut self,
        demands: Vec<(Demand, String)>,
        answer: &Answer,
        (took, timeout): (Duration, Duration),
    ) {
        let parts = match answer {
            Answer::Outcome(Ok(Reply::Batch(outcomes))) => Some(outcomes),
            _ => None,
        };
        for (index, (demand, what)) in demands.into_iter().enumerate() {
            let outcome = match (parts.map(|parts| parts.get(index)), answer) {
                (Some(part), _) => part,
                (None, Answer::Outcome(outcome)) => Some(outcome),
                (None, Answer::Refused | Answer::Lost) => None,
            };
            self.count(demand, &what, outcome, took < timeout);
        }
    }

    fn count(&mut self, demand: Demand, what: &str, outcome: Option<&Outcome>, in_time: bool) {
        let of = || format!("{what}: {outcome:?}");
        let is_definite = match outcome {
            Some(Ok(_)) => true,
            Some(Err(error)) => error.fate() == Fate::NotDone,
            None => false,
        };
        match (demand, outcome) {
            (Demand::Nothing, _) => {}
            (Demand::Done, Some(Ok(_))) => self.served.done += 1,
            (Demand::Done, Some(Err(error))) if is_outranked(error) => self.served.outranked += 1,
            (Demand::Done, _) => self.served.failed.push(of()),
            (Demand::Definite, _) if is_definite && in_time => self.served.refused += 1,
            (Demand::Definite, _) => self.served.vague.push(of()),
        }
    }
}

/// Whether a write was left unknown because others write the same key at the same time.
fn is_outranked(error: &Error) -> bool {
    matches!(error, Error::Unknown { detail, .. } if detail.contains("outranks it"))
}
