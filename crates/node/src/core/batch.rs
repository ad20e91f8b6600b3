//! A client's batch whose keys belong to several shards: parted, asked in parts, and put together again.
//!
//! What must hold: every key has one outcome, in its place, and the client is answered once, when the last part is.

use std::collections::HashMap;

use api::{KeyRequest, Outcome, Reply};
use types::ShardId;

use crate::shards::Shards;

/// The batches of one shard's clients that are under way in parts.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last_part: u64,
    parts: HashMap<u64, Part>,
    batches: HashMap<u64, Batch>,
}

/// The keys of one shard.
#[derive(Debug)]
struct Part {
    client: u64,
    /// For each of its keys, the place in the batch.
    places: Vec<usize>,
}

#[derive(Debug)]
struct Batch {
    parts_missing: usize,
    outcomes: Vec<Option<Outcome>>,
}

/// A part as it is to be asked.
#[derive(Debug)]
pub(super) struct ToAsk {
    pub(super) shard: ShardId,
    /// Its number, by which its outcome is to be told.
    pub(super) part: u64,
    pub(super) requests: Vec<KeyRequest>,
}

impl Batches {
    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Parts a client's batch. Each part keeps the order of its keys, so that two of one key stay in theirs.
    pub(super) fn part(&mut self, client: u64, requests: Vec<KeyRequest>, shards: Shards) -> Vec<ToAsk> {
        let mut to_ask: Vec<ToAsk> = Vec::new();
        let outcomes = vec![None; requests.len()];
        for (place, request) in requests.into_iter().enumerate() {
            let shard = shards.of_key(&request.key);
            let index = to_ask.iter().position(|one| one.shard == shard).unwrap_or_else(|| {
                self.last_part += 1;
                self.parts.insert(self.last_part, Part { client, places: Vec::new() });
                to_ask.push(ToAsk { shard, part: self.last_part, requests: Vec::new() });
                to_ask.len() - 1
            });
            let one = &mut to_ask[index];
            one.requests.push(request);
            if let Some(part) = self.parts.get_mut(&one.part) {
                part.places.push(place);
            }
        }
        self.batches.insert(client, Batch { parts_missing: to_ask.len(), outcomes });
        to_ask
    }

    /// Takes what came of a part; where it was the last, whom to answer and what.
    pub(super) fn answered(&mut self, part: u64, outcome: Outcome) -> Option<(u64, Outcome)> {
        let Part { client, places } = self.parts.remove(&part)?;
        let batch = self.batches.get_mut(&client)?;
        match outcome {
            Ok(Reply::Batch(outcomes)) => {
                for (place, outcome) in places.into_iter().zip(outcomes) {
                    batch.outcomes[place] = Some(outcome);
                }
            }
            // Refused as a whole: that is what each of its keys came to.
            other => {
                for place in places {
                    batch.outcomes[place] = Some(other.clone());
                }
            }
        }
        batch.parts_missing -= 1;
        if batch.parts_missing > 0 {
            return None;
        }
        let batch = self.batches.remove(&client)?;
        Some((client, Ok(Reply::Batch(batch.outcomes.into_iter().flatten().collect()))))
    }
}

#[cfg(test)]
mod tests {
    use api::{Error, Operation};
    use bytes::Bytes;
    use proptest::prelude::*;
    use ring::Partitions;
    use types::KeyspaceId;

    use super::*;

    fn request(key: u8) -> KeyRequest {
        KeyRequest { keyspace: KeyspaceId(0), key: Bytes::from(vec![key]), operation: Operation::get() }
    }

    proptest! {
        /// Whatever the keys, and in whatever order the parts come back: one answer, every outcome in its place.
        #[test]
        fn a_batch_is_put_together_as_it_was_asked(
            keys in proptest::collection::vec(any::<u8>(), 1..40),
            exponent in 1_u32..=4,
            reversed in any::<bool>(),
            refused in any::<proptest::sample::Index>(),
        ) {
            let shards = Shards::new(1 << exponent, Partitions::default()).expect("divides it");
            let mut batches = Batches::default();
            let mut parts = batches.part(7, keys.iter().map(|key| request(*key)).collect(), shards);
            if reversed {
                parts.reverse();
            }
            let refused = refused.index(parts.len());
            let refused_shard = parts[refused].shard;
            let count = parts.len();
            for (index, part) in parts.into_iter().enumerate() {
                prop_assert!(part.requests.iter().all(|one| shards.of_key(&one.key) == part.shard));
                let outcome = if index == refused {
                    Err(Error::Overloaded("no".to_owned()))
                } else {
                    let echo = |one: &KeyRequest| Ok(Reply::Count(u64::from(one.key[0])));
                    Ok(Reply::Batch(part.requests.iter().map(echo).collect()))
                };
                let answer = batches.answered(part.part, outcome);
                prop_assert_eq!(answer.is_some(), index + 1 == count);
                if let Some((client, outcome)) = answer {
                    let wanted = keys.iter().map(|key| {
                        if shards.of_key(&[*key]) == refused_shard {
                            Err(Error::Overloaded("no".to_owned()))
                        } else {
                            Ok(Reply::Count(u64::from(*key)))
                        }
                    });
                    prop_assert_eq!(client, 7);
                    prop_assert_eq!(outcome, Ok(Reply::Batch(wanted.collect())));
                }
            }
            prop_assert_eq!(batches.len(), 0);
            prop_assert_eq!(batches.answered(1, Ok(Reply::Count(0))), None);
        }
    }
}
