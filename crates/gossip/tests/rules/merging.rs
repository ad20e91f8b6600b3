//! States merge to the same, in whatever order and however often.

use gossip::state::Learned;
use gossip::{Key, NodeState};
use proptest::prelude::*;

use crate::given::{key, lived, lives, start, states};

fn merged(one: &NodeState, other: &NodeState) -> NodeState {
    let mut merged = one.clone();
    merged.merge(other);
    merged
}

proptest! {
    #[test]
    fn merging_is_commutative(a in states(), b in states()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
    }

    #[test]
    fn merging_is_associative(a in states(), b in states(), c in states()) {
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn merging_is_idempotent(a in states(), b in states()) {
        let both = merged(&a, &b);
        prop_assert_eq!(merged(&both, &b), both.clone());
        let mut again = both.clone();
        prop_assert_eq!(again.merge(&a), Learned::Nothing);
        prop_assert_eq!(merged(&a, &a), a);
    }

    /// Whatever was said in an earlier life is gone, however long that life was.
    #[test]
    fn a_higher_generation_always_wins(life in lives(), later in lives()) {
        let earlier = lived(start(1, 9), &life).pop().unwrap();
        let first = lived(start(2, 1), &later).remove(0);
        prop_assert_eq!(merged(&earlier, &first), first.clone());
        prop_assert_eq!(merged(&first, &earlier), first);
    }

    /// Differences of a life, taken in any order and with losses, never lead to a state that the node was not in.
    #[test]
    fn copies_are_whole(life in lives(), picks in prop::collection::vec(any::<(usize, usize)>(), 0..20)) {
        let states = lived(start(1, 1), &life);
        let mut copy = states[0].clone();
        for (at, since) in picks {
            let at = at % states.len();
            let difference = states[at].since((since % (at + 1)) as u64);
            copy.apply(difference);
            let same = &states[copy.pulse().heartbeat as usize - 1];
            prop_assert_eq!(&copy, same);
        }
    }

    /// What is missing from heartbeat h on makes a copy at h equal.
    #[test]
    fn a_difference_makes_equal(life in lives(), from in any::<prop::sample::Index>()) {
        let states = lived(start(1, 1), &life);
        let mut copy = states[from.index(states.len())].clone();
        let last = states.last().unwrap();
        copy.apply(last.since(copy.pulse().heartbeat));
        prop_assert_eq!(&copy, last);
    }
}

#[test]
fn a_difference_from_a_point_that_was_not_reached_is_not_taken() {
    let states = lived(start(1, 1), &[[(1, vec![1])].into(), [(2, vec![2])].into(), [].into()]);
    let mut copy = states[0].clone();
    assert_eq!(copy.apply(states[2].since(2)), Learned::Nothing);
    assert_eq!(copy, states[0]);
    assert_eq!(copy.apply(states[2].since(1)), Learned::Facts);
    assert_eq!(copy, states[2]);
}

#[test]
fn a_later_start_is_taken_only_from_its_beginning() {
    let earlier = lived(start(1, 1), &[[].into()]).remove(0);
    let later = lived(start(2, 1), &[[(1, vec![1])].into(), [].into()]);
    let mut copy = earlier.clone();
    assert_eq!(copy.apply(later[1].since(1)), Learned::Nothing);
    assert_eq!(copy, earlier);
    assert_eq!(copy.apply(later[1].since(0)), Learned::Facts);
}

#[test]
fn a_heartbeat_is_taken_from_a_digest_only_where_no_fact_is_lacking() {
    let states = lived(start(1, 1), &[[].into(), [(1, vec![1])].into(), [].into()]);
    let newest = &states[2];
    let mut behind = states[0].clone();
    assert!(!behind.advance(newest.pulse().heartbeat, newest.newest_fact()));
    let mut level = states[1].clone();
    assert!(level.advance(newest.pulse().heartbeat, newest.newest_fact()));
    assert_eq!(level, *newest);
    assert!(!level.advance(2, 2), "an earlier one is no news");
}

#[test]
fn a_fact_without_a_value_is_none() {
    let states = lived(start(1, 1), &[[(2, vec![1])].into(), [(2, vec![])].into()]);
    assert_eq!(states[0].fact(key(2)), Some(&[1][..]));
    assert_eq!(states[1].fact(key(2)), None);
    assert_eq!(states[1].newest_fact(), 2, "taking back is news too");
}

#[test]
fn there_are_sixteen_keys() {
    assert_eq!(Key::new(Key::COUNT), None);
    assert_eq!(Key::new(Key::COUNT - 1).map(Key::number), Some(15));
}
