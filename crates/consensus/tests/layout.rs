//! What a member's file gives back: all of it, or less by what was never synced, or an error in words. Never something else.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use bytes::Bytes;
use consensus::layout::{Damage, Owner, decode, encode, encode_appended, encode_mark};
use consensus::{Entry, HardState, MemberId, Payload, Position, Stored};
use env::Rng;
use proptest::prelude::*;

const OWNER: Owner = Owner { group: 7, member: MemberId(2) };
const GENERATION: u64 = 3;
const MARK_OFFSET: usize = 4096;

/// A file with some appended records: its bytes, and by the length of each whole part of it what that says.
struct Sample {
    bytes: Vec<u8>,
    parts: Vec<(usize, Stored)>,
}

fn sample(seed: u64, records: usize) -> Sample {
    let mut rng = Rng::from_seed(seed);
    let founders = (1..=1 + rng.below(5)).map(MemberId);
    let mut stored =
        Stored::founding(founders, Bytes::from(vec![7; usize::try_from(rng.below(600)).unwrap()])).unwrap();
    let mut bytes = encode(OWNER, GENERATION, &stored);
    let mut parts = vec![(bytes.len(), stored.clone())];
    for _ in 0..records {
        let last = stored.last_index();
        let first = stored.hard_state.commit + 1 + rng.below(last - stored.hard_state.commit + 1);
        let term = stored.hard_state.term + rng.below(2);
        let entries: Vec<Entry> =
            (first..first + rng.below(4)).map(|index| entry(&mut rng, term, index)).collect();
        let end = entries.last().map_or(last, |entry| entry.position.index);
        let commit = stored.hard_state.commit + rng.below(end - stored.hard_state.commit + 1);
        let hard_state = HardState {
            term,
            vote: if term > stored.hard_state.term { 2 } else { stored.hard_state.vote },
            commit,
        };
        bytes.extend(encode_appended(GENERATION, bytes.len(), hard_state, &entries));
        stored.append(hard_state, entries).unwrap();
        parts.push((bytes.len(), stored.clone()));
    }
    Sample { bytes, parts }
}

fn entry(rng: &mut Rng, term: u64, index: u64) -> Entry {
    let payload = match rng.below(3) {
        0 => Payload::Nothing,
        _ => Payload::Data(Bytes::from(vec![
            u8::try_from(index % 256).unwrap();
            1 + usize::try_from(rng.below(300)).unwrap()
        ])),
    };
    Entry { position: Position { term, index }, payload }
}

impl Sample {
    fn whole(&self) -> &Stored {
        &self.parts.last().unwrap().1
    }

    fn mark(&mut self, synced: usize) {
        let mark = encode_mark(GENERATION, synced);
        self.bytes[MARK_OFFSET..MARK_OFFSET + mark.len()].copy_from_slice(&mark);
    }
}

proptest! {
    #[test]
    fn what_was_written_comes_back(seed in any::<u64>(), records in 0..8_usize, is_marked in any::<bool>()) {
        let mut sample = sample(seed, records);
        if is_marked {
            sample.mark(sample.bytes.len());
        }
        let found = decode(OWNER, &sample.bytes).unwrap();
        prop_assert_eq!(&found.stored, sample.whole());
        prop_assert_eq!((found.generation, found.length), (GENERATION, sample.bytes.len()));
    }

    /// H3: a file that ends too early gives back what is whole, where it was not synced further; otherwise it is damaged.
    #[test]
    fn a_torn_tail_is_cut_off(seed in any::<u64>(), records in 1..6_usize, at in any::<prop::sample::Index>(), synced in any::<prop::sample::Index>()) {
        let mut sample = sample(seed, records);
        let synced = sample.parts[synced.index(records + 1)].0;
        sample.mark(synced);
        let at = at.index(sample.bytes.len());
        let cut = &sample.bytes[..at];
        match decode(OWNER, cut) {
            Ok(found) => {
                prop_assert!(at >= synced);
                let (length, stored) = sample.parts.iter().rfind(|(length, _)| *length <= at).unwrap();
                prop_assert_eq!((&found.stored, found.length), (stored, *length));
            }
            Err(_) => prop_assert!(at < synced),
        }
    }

    /// H3: a tail of zeros, or of anything, behind what was synced is no damage.
    #[test]
    fn a_tail_of_noise_is_cut_off(seed in any::<u64>(), records in 0..4_usize, noise in proptest::collection::vec(any::<u8>(), 0..900)) {
        let mut sample = sample(seed, records);
        let length = sample.bytes.len();
        sample.mark(length);
        sample.bytes.extend(noise);
        let found = decode(OWNER, &sample.bytes).unwrap();
        prop_assert_eq!((&found.stored, found.length), (sample.whole(), length));
    }

    /// H2: a flipped bit is noticed wherever it is, once the file was synced and marked; it changes nothing only in the mark.
    #[test]
    fn a_flipped_bit_is_noticed(seed in any::<u64>(), records in 0..6_usize, at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut sample = sample(seed, records);
        sample.mark(sample.bytes.len());
        let at = at.index(sample.bytes.len());
        sample.bytes[at] ^= 1_u8 << bit;
        match decode(OWNER, &sample.bytes) {
            Ok(found) => {
                prop_assert!((MARK_OFFSET..8192).contains(&at), "byte {}", at);
                prop_assert_eq!(&found.stored, sample.whole());
            }
            Err(damage) => prop_assert!(!damage.to_string().is_empty()),
        }
    }

    /// H3: without a mark, whatever is whole behind the damage shows that it is damage; in the last record it looks torn.
    #[test]
    fn damage_before_a_whole_record_is_noticed(seed in any::<u64>(), records in 2..6_usize, at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut sample = sample(seed, records);
        let last = sample.parts[records - 1].0;
        let at = 8192 + at.index(last - 8192);
        sample.bytes[at] ^= 1_u8 << bit;
        let is_noticed = matches!(decode(OWNER, &sample.bytes), Err(Damage::Record { .. }));
        prop_assert!(is_noticed);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12_000)) {
        prop_assert_eq!(decode(OWNER, &bytes), Err(Damage::Header));
    }
}

/// The log of another member is not this one's, whatever its name.
#[test]
fn the_file_of_another_is_refused() {
    let sample = sample(1, 2);
    let other = Owner { member: MemberId(3), ..OWNER };
    assert_eq!(decode(other, &sample.bytes), Err(Damage::Foreign(OWNER)));
}

/// G2: a record that takes back a vote or a committed entry was not written by a member that keeps its promises.
#[test]
fn records_that_take_back_promises_are_refused() {
    let mut sample = sample(1, 0);
    let hard_state = HardState { term: 4, vote: 2, commit: 1 };
    sample.bytes.extend(encode_appended(GENERATION, sample.bytes.len(), hard_state, &[]));
    let other = HardState { vote: 1, ..hard_state };
    sample.bytes.extend(encode_appended(GENERATION, sample.bytes.len(), other, &[]));
    assert!(matches!(decode(OWNER, &sample.bytes), Err(Damage::Contradiction { .. })));
}
