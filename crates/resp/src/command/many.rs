//! Commands about several keys: each key stands for itself, and the reply is true for all of them together.
//!
//! What must hold: `UNAVAILABLE` and its like say that nothing was done (INVARIANTS A5). Where one of several keys
//! failed and another was written, or may have been, the whole is `UNKNOWN`, and the message counts what was done.

use std::collections::HashMap;

use api::{Fate, KeyRequest, Outcome, Reply};
use bytes::Bytes;

use crate::command::{Failure, Shown};
use crate::frame::Arguments;

/// One key of a batch.
#[derive(Debug)]
pub struct Part {
    key: Bytes,
    /// Which of the command's keys it is.
    index: usize,
}

impl Part {
    /// The parts of `requests`, whose keys stood at `places` of the arguments, each `step`th of which is a key.
    pub fn of(places: &[usize], requests: &[KeyRequest], step: usize) -> Vec<Part> {
        let part = |(&place, request): (&usize, &KeyRequest)| Part {
            key: request.key.clone(),
            index: (place - 1) / step,
        };
        places.iter().zip(requests).map(part).collect()
    }
}

/// The places of the keys from the second argument on, each `step`th one, without those that come again later: the
/// last value given for a key is the one that stays, and a key is deleted once.
pub fn last_of_each(arguments: Arguments<'_>, step: usize) -> Vec<usize> {
    let places = (1..arguments.len()).step_by(step);
    if arguments.len() <= 1 + step {
        return places.collect();
    }
    let last: HashMap<&[u8], usize> =
        places.clone().filter_map(|at| Some((arguments.get(at)?, at))).collect();
    places.filter(|at| arguments.get(*at).and_then(|key| last.get(key)) == Some(at)).collect()
}

/// Shows the outcomes of writes to several keys: how many keys there were before, or one failure for the whole.
/// `done` is what has been done to a key, in the past tense.
pub fn show_writes(
    outcome: Outcome,
    parts: &[Part],
    done: &str,
    shown: &mut Shown<'_>,
) -> Result<u64, Failure> {
    let outcomes = Shown::batch(outcome, parts.len())?;
    let mut tally = Tally::default();
    for (outcome, part) in outcomes.into_iter().zip(parts) {
        tally.add(outcome, part, shown)?;
    }
    let Some((key, failure)) = tally.first_failure else {
        return Ok(tally.existed);
    };
    let at = format!("key '{}'", key.escape_ascii());
    if tally.done == 0 && !tally.any_unknown {
        return Err(failure.with_context(&at));
    }
    Err(failure.partly_done(&format!("{} of {} keys were {done}; {at}", tally.done, parts.len())))
}

#[derive(Default)]
struct Tally {
    done: usize,
    existed: u64,
    any_unknown: bool,
    first_failure: Option<(Bytes, Failure)>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome, part: &Part, shown: &mut Shown<'_>) -> Result<(), Failure> {
        match outcome {
            Ok(Reply::Written(written)) => shown.written(written, part.index),
            Ok(Reply::Deleted(deleted)) => {
                self.existed += u64::from(deleted.existed);
                if deleted.existed {
                    shown.written(deleted.written, part.index);
                }
            }
            Ok(_) => return Err(Failure::misplaced()),
            Err(error) => {
                self.any_unknown |= error.fate() == Fate::Unknown;
                self.first_failure.get_or_insert_with(|| (part.key.clone(), error.into()));
                return Ok(());
            }
        }
        self.done += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Span;

    fn places(words: &[&str], step: usize) -> Vec<usize> {
        let bytes = words.concat().into_bytes();
        let mut end = 0;
        let spans: Vec<Span> = words
            .iter()
            .map(|word| {
                let start = end;
                end += u32::try_from(word.len()).unwrap();
                Span { start, end }
            })
            .collect();
        last_of_each(Arguments::new(&bytes, &spans), step)
    }

    #[test]
    fn a_key_given_twice_counts_where_it_stands_last() {
        assert_eq!(places(&["mset", "a", "1", "b", "2", "a", "3"], 2), [3, 5]);
        assert_eq!(places(&["del", "a", "a", "b"], 1), [2, 3]);
        assert_eq!(places(&["del", "a"], 1), [1]);
    }
}
