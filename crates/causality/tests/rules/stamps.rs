//! Hybrid stamps go up, whatever the wall clock does, and stay near it.

use causality::{HybridClock, Stamp};
use proptest::prelude::*;
use types::WallTime;

proptest! {
    /// Each is above all before it, and not below the wall clock.
    #[test]
    fn minted_stamps_go_up_whatever_the_wall_clock_does(walls in prop::collection::vec(0..5_u64, 1..50)) {
        let mut clock = HybridClock::default();
        let mut last = Stamp::default();
        for wall in walls {
            let minted = clock.mint(WallTime(wall));
            prop_assert!(minted > last && minted >= Stamp::at(WallTime(wall)));
            last = minted;
        }
    }

    #[test]
    fn what_is_minted_is_above_what_was_observed(observed in 0..1_000_000_u64, wall in 0..20_u64) {
        let mut clock = HybridClock::default();
        if clock.observe(Stamp(observed), WallTime(wall), 5).is_ok() {
            prop_assert!(clock.mint(WallTime(wall)) > Stamp(observed));
        } else {
            prop_assert!(Stamp(observed).millis() > wall + 5);
            prop_assert_eq!(clock.last(), Stamp::default());
        }
    }

    #[test]
    fn a_stamp_is_its_text(stamp in any::<u64>()) {
        prop_assert_eq!(Stamp(stamp).to_string().parse(), Ok(Stamp(stamp)));
        prop_assert_eq!(Stamp::new(Stamp(stamp).millis(), Stamp(stamp).logical()), Stamp(stamp));
    }

    #[test]
    fn text_that_is_no_stamp_is_refused(text in "[0-9.+ -]{0,12}") {
        if let Ok(stamp) = text.parse::<Stamp>() {
            prop_assert_eq!(stamp.millis(), text.split('.').next().and_then(|millis| millis.parse().ok()).expect("digits"));
        }
    }
}

/// A key with a far stamp can be written, and does not carry the clock away.
#[test]
fn stamping_above_a_far_stamp_leaves_the_clock_where_it_was() {
    let mut clock = HybridClock::default();
    let far = Stamp::new(1_000_000, 0);
    assert_eq!(clock.mint_above(WallTime(10), far), far.next());
    assert_eq!(clock.mint(WallTime(10)).millis(), 10);
    assert_eq!(clock.mint_above(WallTime(20), Stamp::new(5, 0)), Stamp::new(20, 0));
}

/// INVARIANTS B6: the clock is kept over restarts, also when the wall clock has been set back meanwhile.
#[test]
fn a_restored_clock_goes_on_above_its_floor() {
    let mut clock = HybridClock::restore(Stamp::new(100, 7));
    assert_eq!(clock.mint(WallTime(50)), Stamp::new(100, 8));
}

/// A stamp beyond the drift allowed is refused, and the message says by how much.
#[test]
fn a_far_stamp_is_refused_loudly() {
    let error = Stamp::new(1_600, 0).check_drift(WallTime(1_000), 500).expect_err("600 ms ahead");
    assert_eq!((error.ahead_ms, error.max_drift_ms), (600, 500));
    assert!(error.to_string().contains("600 ms ahead"));
    assert!(Stamp::new(1_500, 9).check_drift(WallTime(1_000), 500).is_ok());
}

/// At the end of time stamps stand still instead of starting over.
#[test]
fn stamps_do_not_wrap() {
    assert_eq!(Stamp(u64::MAX).next(), Stamp(u64::MAX));
    assert_eq!(Stamp::new(u64::MAX, 0), Stamp(u64::MAX));
    assert!("281474976710656.0".parse::<Stamp>().is_err());
    for wrong in ["", ".", "1", "1.", ".1", "+1.0", "1.65536", "1.0.0", " 1.0"] {
        assert!(wrong.parse::<Stamp>().is_err(), "{wrong:?}");
    }
}
