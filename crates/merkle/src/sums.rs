//! How a row of sums travels: the leaves of some branches, the parts of a span.
//!
//! A tree has as many leaves whatever is in it, and those without a key come to 0. So a row is a bit for each place, and the sums of
//! those that are not 0: of a partition of a few hundred keys a tenth of what all of them would take, and of a full one a 64th more.
//!
//! ```text
//! row    count | bits, the lowest first, count of bytes and bytes | count of those that are set | the sums of those, 8 bytes each
//! ```
//!
//! Always true: a row has one form. Memory for one is bounded whatever is claimed: a tree has no longer row than [`SUMS_MAX`].

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Short;
use crate::message::{Contents, SPANS_MAX};
use crate::shape::FANOUT;

/// The longest row: all leaves of a tree.
const SUMS_MAX: usize = FANOUT as usize * FANOUT as usize;

const BITS: usize = u8::BITS as usize;

pub(crate) fn serialize<S: Serializer>(row: &[Short], serializer: S) -> Result<S::Ok, S::Error> {
    let mut bits = vec![0_u8; row.len().div_ceil(BITS)];
    let held = row.iter().enumerate().filter(|(_, sum)| sum.0 != 0);
    held.clone().for_each(|(place, _)| bits[place / BITS] |= 1 << (place % BITS));
    let sums: Vec<Short> = held.map(|(_, sum)| *sum).collect();
    (row.len(), bits, sums).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Short>, D::Error> {
    let (count, bits, sums) = <(usize, Vec<u8>, Vec<Short>)>::deserialize(deserializer)?;
    if count > SUMS_MAX || bits.len() != count.div_ceil(BITS) {
        return Err(D::Error::custom("no tree has a row of so many sums"));
    }
    let is_held = |place: usize| bits[place / BITS] >> (place % BITS) & 1 == 1;
    let held = (0..bits.len() * BITS).filter(|place| is_held(*place));
    if held.clone().count() != sums.len() || held.clone().any(|place| place >= count) {
        return Err(D::Error::custom("not as many sums as bits"));
    }
    let mut row = vec![Short::default(); count];
    for (place, sum) in held.zip(sums) {
        if sum.0 == 0 {
            return Err(D::Error::custom("a sum of 0 is not written"));
        }
        row[place] = sum;
    }
    Ok(row)
}

/// Reads a list of at most [`SPANS_MAX`]: a row of empty sums takes little to claim and more to hold.
pub(crate) fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Contents>, D::Error> {
    struct Spans;
    impl<'de> Visitor<'de> for Spans {
        type Value = Vec<Contents>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {SPANS_MAX} spans")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Contents>, A::Error> {
            let mut spans = Vec::new();
            while let Some(span) = sequence.next_element()? {
                if spans.len() == SPANS_MAX {
                    return Err(A::Error::custom("more spans than anybody asks for"));
                }
                spans.push(span);
            }
            Ok(spans)
        }
    }
    deserializer.deserialize_seq(Spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Answer;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Row(#[serde(with = "super")] Vec<Short>);

    fn survives(row: Vec<u64>) -> usize {
        let row = Row(row.into_iter().map(Short).collect());
        let bytes = postcard::to_allocvec(&row).expect("it has no case that cannot be written");
        assert_eq!(postcard::from_bytes::<Row>(&bytes).as_ref(), Ok(&row));
        bytes.len()
    }

    #[test]
    fn what_is_empty_takes_a_bit() {
        assert_eq!(survives(Vec::new()), 3);
        assert_eq!(survives(vec![0; 1024]), 2 + 2 + 128 + 1);
        assert_eq!(survives((0..1024).map(|place| u64::from(place == 77)).collect()), 2 + 2 + 128 + 1 + 8);
        assert_eq!(survives((1..=1024).collect()), 2 + 2 + 128 + 2 + 1024 * 8);
        assert_eq!(survives(vec![0, 5, 0]), 1 + 1 + 1 + 1 + 8);
    }

    /// K3: what is claimed takes no memory, and a row cannot be written in two ways.
    #[test]
    fn a_row_that_no_tree_has_is_refused() {
        let refused = |row: (usize, Vec<u8>, Vec<Short>)| {
            let bytes = postcard::to_allocvec(&row).expect("plain data");
            postcard::from_bytes::<Row>(&bytes).is_err()
        };
        assert!(!refused((3, vec![0b010], vec![Short(5)])));
        assert!(refused((usize::MAX, vec![0b010], vec![Short(5)])), "more places than bits");
        assert!(refused((2048, vec![0; 256], Vec::new())), "more than a tree has");
        assert!(refused((3, vec![0b110], vec![Short(5)])), "fewer sums than bits");
        assert!(refused((3, vec![0b010], vec![Short(5), Short(6)])), "more sums than bits");
        assert!(refused((3, vec![0b1000], vec![Short(5)])), "a bit beyond the row");
        assert!(refused((3, vec![0b010], vec![Short(0)])), "a sum that is not one");
        assert!(refused((3, vec![0b010, 0], vec![Short(5)])), "bits that are not used");
    }

    /// K3: an answer has no more spans than a question has, whatever little each takes.
    #[test]
    fn an_answer_of_too_many_spans_is_refused() {
        let of = |count: usize| Answer::Spans(vec![Contents::Parts(vec![Short(0); 32]); count]);
        let survives = |answer: &Answer| {
            let bytes = postcard::to_allocvec(answer).expect("plain data");
            postcard::from_bytes::<Answer>(&bytes).is_ok_and(|read| read == *answer)
        };
        assert!(survives(&of(0)) && survives(&of(SPANS_MAX)));
        assert!(!survives(&of(SPANS_MAX + 1)));
    }
}
