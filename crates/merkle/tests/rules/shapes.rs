//! Which places make up a leaf: a monotone function with an exact inverse, whatever the partition's size.

use merkle::{Place, Run, Shape, Span, runs};
use proptest::prelude::*;

prop_compose! {
    fn any_shape()(slots in 0..=14_u32, fanout in 1..=5_u32, at in any::<u16>()) -> Shape {
        let slots = 1 << slots;
        let first = at % (16_384 / slots) * slots;
        Shape::with_fanout(first, slots, 1 << fanout).unwrap()
    }
}

/// A place of the shape's; half of them near the borders of slots and leaves.
fn place_in(shape: Shape) -> impl Strategy<Value = Place> {
    let near = (0..=64_u32, any::<bool>()).prop_map(|(bits, below)| {
        let border = if bits == 64 { 0 } else { 1_u64 << bits };
        if below { border.wrapping_sub(1) } else { border }
    });
    let slots = shape.first().slot..shape.end().slot;
    (slots, prop_oneof![any::<u64>(), near]).prop_map(|(slot, hash)| Place { slot, hash })
}

fn shape_and_places() -> impl Strategy<Value = (Shape, Place, Place)> {
    any_shape().prop_flat_map(|shape| (Just(shape), place_in(shape), place_in(shape)))
}

/// A span of the shape's that a place is in, so many cuts down or as many as there are.
fn span_at(shape: Shape, place: Place, cuts: usize) -> Span {
    let mut span = Span::leaf(shape.leaf_of(place).unwrap());
    for _ in 0..cuts {
        let Some(part) = shape.part_of(span, place) else { unreachable!("the place is in it") };
        let Some(mut parts) = shape.parts(span) else { break };
        span = parts.nth(part).unwrap();
    }
    span
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn leaves_follow_the_order_of_places((shape, a, b) in shape_and_places()) {
        let (first, second) = (a.min(b), a.max(b));
        prop_assert!(shape.leaf_of(first) <= shape.leaf_of(second));
        prop_assert!(shape.leaf_of(a).is_some_and(|leaf| leaf < shape.leaves()));
    }

    #[test]
    fn the_places_of_a_leaf_are_the_inverse((shape, place, other) in shape_and_places()) {
        let leaf = shape.leaf_of(place).unwrap();
        let places = shape.places_of(leaf).unwrap();
        prop_assert!(places.contains(&place));
        prop_assert_eq!(places.contains(&other), shape.leaf_of(other) == Some(leaf));
    }

    /// Parts of parts contain what they should, down to the last cut.
    #[test]
    fn a_span_has_the_places_that_it_says((shape, place, other) in shape_and_places(), cuts in 0..64_usize) {
        let span = span_at(shape, place, cuts);
        prop_assert!(shape.has(span));
        let places = shape.places(span).unwrap();
        prop_assert!(places.contains(&place));
        prop_assert_eq!(places.contains(&other), shape.part_of(span, other).is_some());
    }

    #[test]
    fn parts_make_up_their_span((shape, place, _) in shape_and_places(), cuts in 0..64_usize) {
        let span = span_at(shape, place, cuts);
        let places = shape.places(span).unwrap();
        if let Some(parts) = shape.parts(span) {
            let mut at = places.start;
            for part in parts {
                let part = shape.places(part).unwrap();
                prop_assert_eq!(part.start, at);
                at = part.end;
            }
            prop_assert_eq!(at, places.end);
        }
    }

    /// The scans of a range read its places and no others.
    #[test]
    fn runs_make_up_their_range((shape, place, other) in shape_and_places(), cuts in 0..64_usize) {
        let places = shape.places(span_at(shape, place, cuts)).unwrap();
        let has = |run: &Run| run.slot == other.slot && (run.first..=run.last).contains(&other.hash);
        let runs: Vec<Run> = runs(places.clone()).collect();
        prop_assert_eq!(runs.iter().filter(|run| has(run)).count(), usize::from(places.contains(&other)));
        prop_assert!(runs.is_sorted_by(|a, b| (a.slot, a.last) < (b.slot, b.first)));
    }

    /// Whatever a message names: no panic, and no span that is not there.
    #[test]
    fn a_span_that_is_not_there_has_nothing(
        (shape, place, _) in shape_and_places(),
        leaf in 0..1100_u16,
        depth in 0..64_u8,
        part in (any::<u64>(), 0..64_u32).prop_map(|(part, bits)| part >> bits),
    ) {
        let span = Span { leaf, depth, part };
        prop_assert_eq!(shape.has(span), shape.places(span).is_some());
        if let Some(places) = shape.places(span) {
            let around = shape.places_of(leaf).unwrap();
            prop_assert!(around.start <= places.start && places.start < places.end && places.end <= around.end);
        }
        prop_assert!(shape.has(span) || shape.part_of(span, place).is_none() && shape.parts(span).is_none());
    }
}

/// The leaves of a partition are all of it, one after the other, and each takes few scans.
#[test]
fn leaves_make_up_the_partition() {
    for slots in (0..=14).map(|bits| 1_u16 << bits) {
        let shape = Shape::new(16_384 - slots, slots).unwrap();
        assert_eq!(shape.leaves(), 1024);
        let mut at = shape.first();
        for leaf in 0..shape.leaves() {
            let places = shape.places_of(leaf).unwrap();
            assert_eq!(places.start, at);
            at = places.end;
            assert_eq!(runs(places).count(), usize::from(slots.div_ceil(1024)));
        }
        assert_eq!(at, shape.end());
        assert_eq!(shape.places_of(shape.leaves()), None);
    }
}

#[test]
fn only_partitions_have_a_shape() {
    for (first, slots) in [(0, 0), (0, 3), (1, 16_384), (16_384, 1), (u16::MAX, 1), (0, 32_768)] {
        assert_eq!(Shape::new(first, slots), None, "{first} {slots}");
    }
    for fanout in [0, 1, 3, 64] {
        assert_eq!(Shape::with_fanout(0, 64, fanout), None, "{fanout}");
    }
}

#[test]
fn a_place_of_another_partition_has_no_leaf() {
    let shape = Shape::new(64, 64).unwrap();
    assert_eq!(shape.leaf_of(Place { slot: 63, hash: u64::MAX }), None);
    assert_eq!(shape.leaf_of(Place { slot: 128, hash: 0 }), None);
}
