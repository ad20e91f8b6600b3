//! Levels as people write them, and what they mean for the owners that there are.

use proptest::prelude::*;
use quorum::{Level, Owner, Requirement, required};
use types::NodeId;

const NAMED: [(&str, Level); 8] = [
    ("one", Level::One),
    ("two", Level::Two),
    ("three", Level::Three),
    ("quorum", Level::Quorum),
    ("all", Level::All),
    ("local-one", Level::LocalOne),
    ("local-quorum", Level::LocalQuorum),
    ("each-quorum", Level::EachQuorum),
];

/// Owners, so many in each data center.
fn owners(counts: &[u8]) -> Vec<Owner> {
    let homes = (0_u8..).zip(counts).flat_map(|(home, &count)| std::iter::repeat_n(home, usize::from(count)));
    (0..).map(NodeId).zip(homes).collect()
}

/// Every name is read as it is written, in any case of letters.
#[test]
fn names_are_read_as_they_are_written() {
    for (name, level) in NAMED {
        assert_eq!(name.parse(), Ok(level));
        assert_eq!(name.to_uppercase().parse(), Ok(level));
        assert_eq!(level.to_string(), name);
    }
}

/// What is no level is refused, with all that would be one.
#[test]
fn a_refusal_lists_what_is_accepted() {
    let error = "most".parse::<Level>().expect_err("no level");
    for (name, _) in NAMED {
        assert!(error.to_string().contains(name), "{error}");
    }
    for wrong in ["", "0", "256", "-1", "+1", "1.5", " 2", "local_one"] {
        assert!(wrong.parse::<Level>().is_err(), "{wrong:?}");
    }
}

/// In configuration and on the wire a level is its text.
#[test]
fn a_level_is_serialised_as_its_text() {
    assert_eq!(String::from(Level::LocalQuorum), "local-quorum");
    assert_eq!(Level::try_from("2".to_owned()), Ok(Level::Count(2)));
}

/// Three owners: the textbook cases.
#[test]
fn the_usual_levels_of_three_owners() {
    let of = |level| required(level, &owners(&[3]), 0);
    assert_eq!(of(Level::One), Requirement::Anywhere(1));
    assert_eq!(of(Level::Quorum), Requirement::Anywhere(2));
    assert_eq!(of(Level::All), Requirement::Anywhere(3));
    assert_eq!(of(Level::Count(2)), Requirement::Anywhere(2));
    assert_eq!(of(Level::LocalQuorum), Requirement::Within(0, 2));
}

/// Where there are fewer owners than N, quorums are over those there are; an explicit number is never lowered.
#[test]
fn quorums_are_over_the_owners_there_are() {
    let of = |level| required(level, &owners(&[1]), 0);
    for level in [Level::Two, Level::Three, Level::Quorum, Level::All, Level::LocalQuorum, Level::EachQuorum]
    {
        assert_eq!(of(level).total(), 1, "{level}");
    }
    assert_eq!(of(Level::Count(2)).total(), 2);
}

/// Plain levels count over all data centers, local ones over the coordinator's own.
#[test]
fn local_levels_count_in_the_local_data_center() {
    let of = |level| required(level, &owners(&[3, 2]), 1);
    assert_eq!(of(Level::Quorum), Requirement::Anywhere(3));
    assert_eq!(of(Level::LocalOne), Requirement::Within(1, 1));
    assert_eq!(of(Level::LocalQuorum), Requirement::Within(1, 2));
    assert_eq!(of(Level::EachQuorum), Requirement::Each(vec![(0, 2), (1, 2)]));
    assert_eq!(of(Level::EachQuorum).to_string(), "2 owners in data center 0 and 2 owners in data center 1");
}

proptest! {
    #[test]
    fn numbers_are_read_as_they_are_written(count in 1..=255_u8) {
        prop_assert_eq!(count.to_string().parse(), Ok(Level::Count(count)));
        prop_assert_eq!(Level::Count(count).to_string(), count.to_string());
    }

    #[test]
    fn any_text_is_a_level_or_an_error(text in ".{0,16}") {
        if let Ok(level) = text.parse::<Level>() {
            prop_assert_eq!(level.to_string().parse(), Ok(level));
        }
    }

    /// Nothing is ever met by nobody.
    #[test]
    fn every_level_requires_somebody(counts in prop::collection::vec(0..4_u8, 0..4), local in 0..4_u8) {
        for (_, level) in NAMED {
            prop_assert!(required(level, &owners(&counts), local).total() >= 1);
        }
    }
}
