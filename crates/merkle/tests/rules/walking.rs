//! INVARIANTS F2: a walk finds exactly the keys that differ, whoever holds them and however they are spread.

use std::collections::{BTreeMap, BTreeSet};

use merkle::asker::KEPT_KEYS_MAX;
use merkle::message::{DIGESTS_MAX, SPANS_MAX};
use merkle::{Answer, Difference, End, Place, Question, Refusal, Shape, Step, Tree};
use proptest::prelude::*;
use types::Epoch;

use crate::support::{EPOCH, KEYSPACE, Store, Talk, answer_of, exchange, exchange_with, naive, usual_shape};

/// Two stores that have most keys in common: of each key, which version is here and there.
type Pair = BTreeMap<u16, Versions>;
type Versions = (Option<u64>, Option<u64>);

fn any_pair(keys: u16, most: usize) -> impl Strategy<Value = Pair> {
    let held = prop_oneof![
        8 => Just((Some(1), Some(1))),
        1 => Just((Some(1), Some(2))),
        1 => Just((Some(1), None)),
        1 => Just((None, Some(1))),
    ];
    prop::collection::btree_map(0..keys, held, 0..most)
}

fn stores(shape: Shape, pair: &Pair) -> (Store, Store) {
    let here = pair.iter().filter_map(|(key, held)| Some((key.to_string(), held.0?)));
    let there = pair.iter().filter_map(|(key, held)| Some((key.to_string(), held.1?)));
    (Store::of(shape, here), Store::of(shape, there))
}

fn told_once(talk: &Talk) -> BTreeSet<Difference> {
    let told: BTreeSet<_> = talk.differences.iter().cloned().collect();
    assert_eq!(told.len(), talk.differences.len(), "each difference is told once");
    told
}

fn assert_finds_all(here: &Store, there: &Store) -> Talk {
    let talk = exchange(here, &mut here.tree(), there, &mut there.tree());
    let expected = naive(here, there);
    assert_eq!(talk.end, if expected.is_empty() { End::Same } else { End::Compared });
    assert_eq!(told_once(&talk), expected);
    talk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_differences_found_are_the_symmetric_difference(
        pair in any_pair(2000, 400),
        fanout in 1..=5_u32,
    ) {
        let (here, there) = stores(Shape::with_fanout(0, 64, 1 << fanout).unwrap(), &pair);
        assert_finds_all(&here, &there);
    }

    /// Four leaves with hundreds of keys, so that they are cut again and again.
    #[test]
    fn parts_of_leaves_hide_nothing(pair in any_pair(5000, 2000)) {
        let (here, there) = stores(Shape::with_fanout(0, 1, 2).unwrap(), &pair);
        assert_finds_all(&here, &there);
    }

    /// After the differences were mended, as told, there are none.
    #[test]
    fn what_is_told_is_enough_to_mend(pair in any_pair(2000, 400)) {
        let (here, there) = stores(usual_shape(), &pair);
        let talk = assert_finds_all(&here, &there);
        let mut mended = here.clone();
        let told: BTreeSet<&[u8]> = talk.differences.iter().map(|told| &*told.key).collect();
        mended.entries.retain(|entry| !told.contains(&*entry.1));
        let theirs = there.entries.iter().filter(|entry| told.contains(&*entry.1)).cloned();
        mended.entries.extend(theirs);
        mended.entries.sort_unstable();
        prop_assert_eq!(naive(&mended, &there).len(), 0);
    }

    /// Keys that share one place cannot be told apart by places: their digests are listed in pages.
    #[test]
    fn keys_of_one_place_are_found(pair in any_pair(1000, 500)) {
        let shape = usual_shape();
        let place = Place { slot: 70, hash: 12_345 };
        let at = |which: fn(&Versions) -> Option<u64>| {
            let held = pair.iter().filter_map(|(key, held)| Some((place, key.to_string(), which(held)?)));
            Store::at(shape, held)
        };
        let (here, there) = (at(|held| held.0), at(|held| held.1));
        let talk = exchange(&here, &mut here.tree(), &there, &mut there.tree());
        // A key that both hold may be told once for each side, if its digests are on different pages.
        let keys = |all: &mut dyn Iterator<Item = Difference>| all.map(|told| told.key).collect::<BTreeSet<_>>();
        let expected = keys(&mut naive(&here, &there).into_iter());
        prop_assert_eq!(keys(&mut talk.differences.into_iter()), expected);
    }
}

/// One side has nothing: the other's keys are told without a list of nothing being cut up.
#[test]
fn an_empty_side_is_told_everything() {
    let shape = usual_shape();
    let full = Store::of(shape, (0..20_000).map(|key| (format!("key {key}"), 1)));
    let empty = Store::of(shape, [("", 1); 0]);
    let from_full = assert_finds_all(&full, &empty);
    assert_eq!(from_full.said.len(), 2 + usize::from(shape.leaves()) / SPANS_MAX);
    assert_finds_all(&empty, &full);
}

/// One side has a few keys of a span and the other more than is kept: the span is cut, and nothing is missed.
#[test]
fn a_lopsided_span_is_cut() {
    let shape = Shape::with_fanout(0, 1, 2).unwrap();
    let many = u64::try_from(KEPT_KEYS_MAX * 6).unwrap();
    let here = Store::of(shape, (0..many).map(|key| (key.to_string(), 1)));
    let there = Store::of(shape, (many - 20..many + 20).map(|key| (key.to_string(), 2)));
    assert!(there.entries.len() <= DIGESTS_MAX);
    assert_finds_all(&here, &there);
    assert_finds_all(&there, &here);
}

/// Keys of the greatest length do not fit into one answer; they are asked for again.
#[test]
fn long_keys_come_in_several_answers() {
    let shape = usual_shape();
    let long = |nth: u8| vec![nth; 60_000];
    let here = Store::of(shape, [("", 1); 0]);
    let there = Store::of(shape, (0..12).map(|nth| (long(nth), 1)));
    let talk = assert_finds_all(&here, &there);
    let answers = talk.said.iter().filter(|(ask, _)| matches!(ask.question, Question::Keys(_))).count();
    assert_eq!(answers, 3);
}

/// Trees of other slots, other epochs or other keyspaces are not compared.
#[test]
fn other_terms_are_refused() {
    let (here, there) = stores(usual_shape(), &Pair::from([(1, (Some(1), Some(2)))]));
    let (_, ask) = merkle::Asker::begin(Epoch(8), KEYSPACE, &mut here.tree()).unwrap();
    let answer = answer_of(&there, &mut there.tree(), ask, &mut 0);
    assert!(matches!(answer, Answer::Refused(Refusal::OtherTerms(terms)) if terms.epoch == EPOCH));
    let elsewhere = Store::of(Shape::new(0, 64).unwrap(), [("key", 1)]);
    let talk = exchange(&here, &mut here.tree(), &elsewhere, &mut elsewhere.tree());
    assert!(matches!(talk.end, End::Refused(Refusal::OtherTerms(_))));
}

/// An unknown tree is not compared, on either side, nor one that is forgotten on the way.
#[test]
fn an_unknown_tree_is_not_compared() {
    let (here, there) = stores(usual_shape(), &Pair::from([(1, (Some(1), Some(2)))]));
    let mut unknown = Tree::unknown(usual_shape());
    assert!(merkle::Asker::begin(EPOCH, KEYSPACE, &mut unknown).is_none());
    let talk = exchange(&here, &mut here.tree(), &there, &mut unknown);
    assert_eq!(talk.end, End::Refused(Refusal::Unknown));

    let mut tree = here.tree();
    let (mut asker, ask) = merkle::Asker::begin(EPOCH, KEYSPACE, &mut tree).unwrap();
    let answer = answer_of(&there, &mut there.tree(), ask, &mut 0);
    tree.forget();
    assert_eq!(asker.answered(&mut tree, answer, &mut Vec::new()), Step::Over(End::Unknown));
}

/// A difference that is gone when the branches are compared is no difference.
#[test]
fn a_write_that_arrives_meanwhile_ends_the_walk() {
    let (mut here, there) = stores(usual_shape(), &Pair::from([(1, (Some(1), Some(1)))]));
    let (mut tree, mut theirs) = (here.tree(), there.tree());
    let (place, _, digest) = here.entries.remove(0);
    tree.change(place, Some(digest), None);
    let (mut asker, ask) = merkle::Asker::begin(EPOCH, KEYSPACE, &mut tree).unwrap();
    let answer = answer_of(&there, &mut theirs, ask, &mut 0);
    tree.change(place, None, Some(digest));
    assert_eq!(asker.answered(&mut tree, answer, &mut Vec::new()), Step::Over(End::Compared));
}

/// Equal roots are no proof while one of the trees is in doubt; what differs is found all the same.
#[test]
fn a_tree_in_doubt_proves_nothing() {
    let (here, there) = stores(usual_shape(), &Pair::from([(1, (Some(1), Some(2)))]));
    for (ours_doubted, theirs_doubted) in [(true, false), (false, true), (true, true)] {
        let ends = [&here, &there].map(|there| {
            let (mut ours, mut theirs) = (here.tree(), there.tree());
            if ours_doubted {
                ours.doubt();
            }
            if theirs_doubted {
                theirs.doubt();
            }
            let talk = exchange(&here, &mut ours, there, &mut theirs);
            (talk.end, talk.differences.len())
        });
        assert_eq!(ends, [(End::Doubted, 0), (End::Compared, 1)]);
    }
}

/// An owner that writes a key each time when its keys are asked for, as often as it is told to.
fn exchange_with_writer(writes: usize) -> (Talk, BTreeSet<Difference>) {
    let here = Store::of(usual_shape(), std::iter::empty::<(String, u64)>());
    let mut there = Store::of(usual_shape(), (0..3_u64).map(|key| (key.to_string(), 1)));
    let (mut theirs, mut left) = (there.tree(), writes);
    let talk = exchange_with(&here, &mut here.tree(), |ask, read| {
        if matches!(ask.question, Question::Keys(_)) && left > 0 {
            left -= 1;
            let version = u8::try_from(left).unwrap();
            there.rewrite_as(&mut theirs, 1, &[version]);
        }
        answer_of(&there, &mut theirs, ask, read)
    });
    (talk, naive(&here, &there))
}

/// A1: a node that catches up counts as having what the others had when it asked. What was written while it looked must not
/// hide from it what stood there before.
#[test]
fn a_key_that_is_written_while_it_is_looked_for_is_not_passed_over() {
    for writes in 1..8 {
        let (talk, expected) = exchange_with_writer(writes);
        let told: BTreeSet<Difference> = talk.differences.into_iter().collect();
        assert_eq!((talk.end, told), (End::Compared, expected), "{writes}");
    }
}

#[test]
fn a_walk_that_passed_over_a_key_which_goes_on_changing_does_not_call_itself_complete() {
    let (talk, expected) = exchange_with_writer(200);
    let told: BTreeSet<Difference> = talk.differences.into_iter().collect();
    assert_eq!(talk.end, End::Enough);
    assert_eq!(told.len() + 1, expected.len(), "the others were told");
}
