//! Phi accrual: what rhythm makes of silence.

use std::time::Duration;

use gossip::Options;
use gossip::detector::{Arrivals, Limits, phi_at};
use proptest::prelude::*;
use types::Instant;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits() -> Limits {
    Limits::new(&Options::default(), ms(2_000))
}

fn at(millis: u64) -> Instant {
    Instant(0) + ms(millis)
}

/// Heard at these times, in milliseconds.
fn heard(times: impl IntoIterator<Item = u64>) -> Arrivals {
    let mut arrivals = Arrivals::new(at(0));
    times.into_iter().for_each(|time| arrivals.heard(at(time), &limits()));
    arrivals
}

/// What the window should come to, by the plain formulas over all intervals.
fn naive_limit_ms(times: &[u64], window: usize) -> f64 {
    let intervals: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let last = &intervals[intervals.len().saturating_sub(window)..];
    let mean = last.iter().sum::<f64>() / last.len() as f64;
    let variance = last.iter().map(|interval| (interval - mean).powi(2)).sum::<f64>() / last.len() as f64;
    // Phi is 8 at 5.612 deviations.
    mean + 5.612 * variance.sqrt().max(500.0)
}

proptest! {
    /// Steady enough that no interval is beyond its limit, and none a burst.
    #[test]
    fn the_limit_is_that_of_the_plain_formulas(steps in prop::collection::vec(600_u64..1_600, 5..150)) {
        let times: Vec<u64> = steps.iter().scan(0, |now, step| { *now += step; Some(*now) }).collect();
        let limit = heard(times.iter().copied()).limit(&limits()).as_secs_f64() * 1e3;
        let naive = naive_limit_ms(&times, 64);
        prop_assert!((limit - naive).abs() < 5.0, "{} {}", limit, naive);
    }

    #[test]
    fn silence_is_suspicious_where_phi_reaches_its_threshold(silence in 0_u64..20_000) {
        let arrivals = heard((1..20).map(|beat| beat * 1_000));
        let now = at(19_000 + silence);
        let phi = arrivals.phi(now, &limits());
        // The limit is rounded to a thousandth of a deviation.
        if (phi - 8.0).abs() > 0.01 {
            prop_assert_eq!(arrivals.is_suspicious(now, &limits()), phi > 8.0, "{}", phi);
        }
    }

    #[test]
    fn phi_grows_with_silence(a in -10.0..50.0, b in -10.0..50.0) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(phi_at(low) <= phi_at(high) + 1e-12);
        prop_assert!(phi_at(high).is_finite());
    }
}

/// Minus the logarithm of the normal distribution's tail, from tables.
#[test]
fn phi_is_what_tables_say() {
    for (deviations, phi) in
        [(0.0, 0.301), (1.0, 0.800), (-1.0, 0.075), (2.0, 1.643), (3.0, 2.870), (4.0, 4.499), (5.612, 8.0)]
    {
        assert!((phi_at(deviations) - phi).abs() < 0.003, "{deviations}: {}", phi_at(deviations));
    }
}

#[test]
fn an_irregular_node_is_given_more_time() {
    let regular = heard((1..30).map(|beat| beat * 1_000));
    let irregular = heard((1..30).map(|beat| beat * 1_000 + (beat % 3) * 800));
    assert!(irregular.limit(&limits()) > regular.limit(&limits()));
}

#[test]
fn however_regular_a_node_is_it_is_given_the_least_deviation() {
    let arrivals = heard((1..100).map(|beat| beat * 1_000));
    assert!(!arrivals.is_suspicious(at(99_000 + 3_700), &limits()));
    assert!(arrivals.is_suspicious(at(99_000 + 3_900), &limits()));
}

#[test]
fn however_irregular_a_node_is_there_is_a_longest_silence() {
    let arrivals = heard((1..200).map(|beat: u64| beat.pow(2) * 1_000));
    assert_eq!(arrivals.limit(&limits()), Duration::from_secs(60));
}

#[test]
fn little_known_is_judged_by_the_guess() {
    let arrivals = heard([0, 1_000, 2_000]);
    assert!(!arrivals.is_suspicious(at(2_000 + 7_000), &limits()));
    assert!(arrivals.is_suspicious(at(2_000 + 8_000), &limits()));
}

/// Two heartbeats that come at once by two paths are not a rhythm of milliseconds.
#[test]
fn a_burst_is_one_arrival() {
    let single = heard((1..30).map(|beat| beat * 2_000));
    let double = heard((1..30).flat_map(|beat| [beat * 2_000, beat * 2_000 + 10]));
    let difference = single.limit(&limits()).abs_diff(double.limit(&limits()));
    assert!(difference < ms(20), "{difference:?}");
}

/// An outage of ten minutes is not an interval of ten minutes; a rhythm that slows down is learned.
#[test]
fn an_outage_does_not_spoil_the_window_and_a_slower_rhythm_is_learned() {
    let mut arrivals = heard((1..64).map(|beat| beat * 1_000));
    arrivals.heard(at(663_000), &limits());
    assert!(arrivals.limit(&limits()) < ms(5_000), "{:?}", arrivals.limit(&limits()));
    (1..40).for_each(|beat| arrivals.heard(at(663_000 + beat * 6_000), &limits()));
    assert!(arrivals.limit(&limits()) > ms(6_000), "{:?}", arrivals.limit(&limits()));
}

#[test]
fn failed_requests_count_only_with_silence_and_until_something_is_heard() {
    let mut arrivals = heard((1..30).map(|beat| beat * 1_000));
    (0..100).for_each(|_| arrivals.failed());
    assert!(!arrivals.is_suspicious(at(29_000 + 1_500), &limits()), "slow is not down");
    assert!(arrivals.is_suspicious(at(29_000 + 3_000), &limits()));
    arrivals.heard(at(32_500), &limits());
    assert!(!arrivals.is_suspicious(at(32_500 + 3_000), &limits()));
    (0..100).for_each(|_| arrivals.failed());
    arrivals.answered(at(33_000));
    assert!(!arrivals.is_suspicious(at(33_000 + 3_000), &limits()));
}

#[test]
fn fewer_failures_than_needed_change_nothing() {
    let mut arrivals = heard((1..30).map(|beat| beat * 1_000));
    let before = arrivals.limit(&limits());
    (0..2).for_each(|_| arrivals.failed());
    assert_eq!(arrivals.limit(&limits()), before);
    arrivals.failed();
    assert!(arrivals.limit(&limits()) < before);
}

#[test]
fn the_time_of_a_restart_is_no_interval() {
    let mut arrivals = heard((1..30).map(|beat| beat * 1_000));
    let before = arrivals.limit(&limits());
    arrivals.restarted(at(33_000));
    assert_eq!(arrivals.limit(&limits()), before);
    assert_eq!(arrivals.silence(at(34_000)), ms(1_000));
}
