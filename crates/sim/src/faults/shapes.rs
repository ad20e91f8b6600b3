//! The shapes into which a network falls: who still reaches whom.
//!
//! Camps are the simplest of them and the least cruel, for they leave each node with an opinion that its whole camp shares.
//! Where a bridge, a ring or a single link is left, two neighbours can disagree about a third for as long as it lasts.
//!
//! What must hold: a shape replaces the one before it, and cuts something.

use env::Rng;

use crate::network::Place;
use crate::random::millis;
use crate::world::World;

/// How long a data center is cut off at least and at most, in milliseconds.
const LONG_CUT_MS: (u64, u64) = (1_000, 15_000);

/// Who reaches whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// Two camps that cannot reach each other.
    Camps,
    /// One camp reaches the other, which cannot answer.
    OneWay,
    /// Two camps, and one node that reaches both and is reached by both.
    Bridge,
    /// Each node reaches its two neighbours in a circle, and nobody else.
    Ring,
    /// One data center reaches no other, nor is it reached.
    DataCenters,
    /// One node does not reach one other; perhaps not the other way round either.
    Link,
}

impl Shape {
    /// The fewest nodes that can stand in this shape and have something cut between them.
    pub(super) fn nodes_needed(self) -> usize {
        match self {
            Shape::Camps | Shape::OneWay | Shape::Link | Shape::DataCenters => 2,
            Shape::Bridge => 3,
            Shape::Ring => 4,
        }
    }

    /// Puts the network into this shape, in some order of the nodes. False if there are too few.
    pub(super) fn take(self, world: &mut World, rng: &mut Rng) -> bool {
        let mut all: Vec<Place> = (0..world.hosts().len()).collect();
        if all.len() < self.nodes_needed() || world.is_cut_for_long() {
            return false;
        }
        if world.has_cuts() {
            world.heal();
        }
        rng.shuffle(&mut all);
        match self {
            Shape::Camps | Shape::OneWay => {
                let (one, other) = divide(&all, rng);
                world.cut(one, other);
                if self == Shape::Camps {
                    world.cut(other, one);
                }
            }
            Shape::Bridge => {
                let (one, other) = divide(&all[1..], rng);
                world.cut(one, other);
                world.cut(other, one);
            }
            Shape::Ring => (0..all.len()).for_each(|index| world.cut(&all[index..=index], &far(&all, index))),
            Shape::DataCenters => {
                let home = world.scenario().data_center_of(all[0]);
                let (inside, outside): (Vec<Place>, Vec<Place>) =
                    all.into_iter().partition(|place| world.scenario().data_center_of(*place) == home);
                if outside.is_empty() {
                    return false;
                }
                world.cut(&inside, &outside);
                world.cut(&outside, &inside);
                let lasts = millis(rng, LONG_CUT_MS.0, LONG_CUT_MS.1);
                world.lets_cuts_last(lasts);
            }
            Shape::Link => {
                world.cut(&all[..1], &all[1..2]);
                if rng.chance(1, 2) {
                    world.cut(&all[1..2], &all[..1]);
                }
            }
        }
        true
    }
}

/// Two camps, neither of them empty.
fn divide<'a>(all: &'a [Place], rng: &mut Rng) -> (&'a [Place], &'a [Place]) {
    let most = all.len().saturating_sub(1) as u64;
    all.split_at(usize::try_from(1 + rng.below(most)).unwrap_or(1))
}

/// Those in a circle who are neither this one nor its neighbours.
fn far(circle: &[Place], index: usize) -> Vec<Place> {
    let steps = |other: usize| (other + circle.len() - index) % circle.len();
    let is_far = |other: &usize| (2..circle.len() - 1).contains(&steps(*other));
    (0..circle.len()).filter(is_far).map(|other| circle[other]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_circle_of_five_everyone_is_far_from_two() {
        let circle = [3, 1, 4, 0, 2];
        assert_eq!(far(&circle, 0), [4, 0]);
        assert_eq!(far(&circle, 3), [3, 1]);
        let distant = (0..5).map(|index| far(&circle, index).len());
        assert!(distant.clone().all(|count| count == 2), "{:?}", distant.collect::<Vec<_>>());
    }

    #[test]
    fn camps_are_never_empty() {
        let mut rng = Rng::from_seed(1);
        for nodes in 2..6 {
            let all: Vec<Place> = (0..nodes).collect();
            for _ in 0..50 {
                let (one, other) = divide(&all, &mut rng);
                assert!(!one.is_empty() && !other.is_empty() && one.len() + other.len() == nodes);
            }
        }
    }
}
