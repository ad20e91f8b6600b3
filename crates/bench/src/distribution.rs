//! Which key comes next: uniform, zipfian, or the latest.
//!
//! The zipfian draw is the constant-time one of Gray et al., "Quickly generating billion-record synthetic
//! databases" (SIGMOD 1994), section 3.2, with theta 0.99 as YCSB sets it (Cooper et al., "Benchmarking cloud
//! serving systems with YCSB", SoCC 2010). It is exact for the two most popular ranks and a close power law for the
//! rest. An exact table would cost 8 bytes a key and a binary search a draw.
//!
//! *Scrambled* means that rank 0, 1, 2... are spread over the keys by a hash, so that popular keys are not
//! neighbours. As in YCSB the ranks come from a space of 10^10, whatever the number of keys: the share of the most
//! popular key (3.8 %) then does not depend on `--keys`, and figures made here can be held beside others' figures.
//!
//! Always: a drawn key is below the number of keys that exist, so that a miss is the server's doing, not ours.

use env::Rng;

/// The skew of YCSB.
const THETA: f64 = 0.99;

/// The ranks that the scrambled distribution draws from, and their harmonic sum for [`THETA`]; both are YCSB's
/// constants, because to add up 10^10 terms at every start would take minutes.
const SCRAMBLED_RANKS: u64 = 10_000_000_000;
const SCRAMBLED_ZETA: f64 = 26.469_028_201_783_02;

/// Ranks `0..count`, rank r drawn with a probability close to `1 / (r + 1)^theta / zeta`.
#[derive(Clone, Debug)]
pub(crate) struct Zipfian {
    count: u64,
    /// The sum of `1 / i^theta` for i in `1..=count`.
    zeta: f64,
    eta: f64,
}

impl Zipfian {
    /// Over this many ranks, at least one. Takes time in proportion to their number.
    pub(crate) fn new(count: u64) -> Zipfian {
        let mut zipfian = Zipfian { count: 0, zeta: 0.0, eta: 0.0 };
        zipfian.grow(count.max(1));
        zipfian
    }

    fn with_zeta(count: u64, zeta: f64) -> Zipfian {
        let zeta_of_two = 1.0 + 0.5_f64.powf(THETA);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - zeta_of_two / zeta);
        Zipfian { count, zeta, eta }
    }

    /// Extends the ranks to `count`; the sum is carried on, so that growing one by one costs no more than at once.
    pub(crate) fn grow(&mut self, count: u64) {
        if count > self.count {
            let added: f64 = (self.count + 1..=count).map(|i| (i as f64).powf(-THETA)).sum();
            *self = Zipfian::with_zeta(count, self.zeta + added);
        }
    }

    /// The next rank; 0 is the most popular.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        let uniform = unit_interval(rng);
        let scaled = uniform * self.zeta;
        let rank = if scaled < 1.0 {
            0
        } else if scaled < 1.0 + 0.5_f64.powf(THETA) {
            1
        } else {
            let spread = (self.eta * uniform - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
            floor(self.count as f64 * spread)
        };
        rank.min(self.count - 1)
    }
}

/// How keys are chosen, with the state that the choice needs.
#[derive(Clone, Debug)]
pub(crate) enum KeyChooser {
    /// Every key alike.
    Uniform,
    /// A few keys are much more popular than the rest, spread over the whole set.
    ScrambledZipfian(Zipfian),
    /// The newest key is the most popular, the one before it the next.
    Latest(Zipfian),
}

impl KeyChooser {
    /// YCSB's scrambled zipfian.
    pub(crate) fn scrambled_zipfian() -> KeyChooser {
        KeyChooser::ScrambledZipfian(Zipfian::with_zeta(SCRAMBLED_RANKS, SCRAMBLED_ZETA))
    }

    /// YCSB's skewed latest, over the keys that exist at the start.
    pub(crate) fn latest(keys: u64) -> KeyChooser {
        KeyChooser::Latest(Zipfian::new(keys))
    }

    /// The next key's number, below `existing`, which must not be zero.
    pub(crate) fn choose(&mut self, rng: &mut Rng, existing: u64) -> u64 {
        match self {
            KeyChooser::Uniform => rng.below(existing),
            KeyChooser::ScrambledZipfian(zipfian) => fnv1a_64(zipfian.draw(rng)) % existing,
            KeyChooser::Latest(zipfian) => {
                zipfian.grow(existing);
                existing - 1 - zipfian.draw(rng).min(existing - 1)
            }
        }
    }
}

/// Uniform in [0, 1), with all 53 bits that a double can hold.
pub(crate) fn unit_interval(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "saturates, and what it is given is below the number of ranks"
)]
fn floor(value: f64) -> u64 {
    value as u64
}

/// The FNV-1a hash of the number's bytes, lowest first, with the sign cleared as YCSB does.
fn fnv1a_64(value: u64) -> u64 {
    let hash = value.to_le_bytes().iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let signed = hash.cast_signed();
    signed.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 400_000;

    fn counts(keys: u64, mut draw: impl FnMut() -> u64) -> Vec<u64> {
        let mut counts = vec![0; usize::try_from(keys).unwrap()];
        (0..DRAWS).for_each(|_| counts[usize::try_from(draw()).unwrap()] += 1);
        counts
    }

    /// The two ranks for which the method of Gray et al. is exact have exactly their share, within five standard
    /// deviations of a fair draw.
    #[test]
    fn the_two_most_popular_ranks_have_their_exact_share() {
        let zipfian = Zipfian::new(1_000);
        let mut rng = Rng::from_seed(7);
        let counts = counts(1_000, || zipfian.draw(&mut rng));
        for (rank, count) in counts.iter().take(2).enumerate() {
            let expected = DRAWS as f64 / ((rank + 1) as f64).powf(THETA) / zipfian.zeta;
            assert!(
                (*count as f64 - expected).abs() < 5.0 * expected.sqrt(),
                "rank {rank}: {count} for {expected}"
            );
        }
    }

    /// Over decades of ranks the approximation follows the exact power law within 5 %.
    #[test]
    fn the_tail_follows_the_power_law() {
        let zipfian = Zipfian::new(10_000);
        let mut rng = Rng::from_seed(11);
        let counts = counts(10_000, || zipfian.draw(&mut rng));
        for (from, to) in [(0, 10), (10, 100), (100, 1_000), (1_000, 10_000)] {
            let exact: f64 =
                (from..to).map(|rank| ((rank + 1) as f64).powf(-THETA)).sum::<f64>() / zipfian.zeta;
            let seen = counts[from..to].iter().sum::<u64>() as f64 / DRAWS as f64;
            assert!((seen / exact - 1.0).abs() < 0.05, "ranks {from}..{to}: {seen} for {exact}");
        }
    }

    /// The sum that growth carries on is the sum computed at once.
    #[test]
    fn growing_one_by_one_is_growing_at_once() {
        let mut grown = Zipfian::new(1);
        (2..=500).for_each(|count| grown.grow(count));
        assert!((grown.zeta - Zipfian::new(500).zeta).abs() < 1e-9);
    }

    /// The most popular key has YCSB's 1 / 26.47 whatever the number of keys, and is not key 0.
    #[test]
    fn scrambled_shares_do_not_depend_on_the_number_of_keys() {
        for keys in [1_000, 50_000] {
            let (mut chooser, mut rng) = (KeyChooser::scrambled_zipfian(), Rng::from_seed(3));
            let counts = counts(keys, || chooser.choose(&mut rng, keys));
            let (key, top) = counts.iter().enumerate().max_by_key(|(_, count)| **count).unwrap();
            let share = *top as f64 / DRAWS as f64;
            assert!((share * SCRAMBLED_ZETA - 1.0).abs() < 0.1, "{keys} keys: {share}");
            assert_ne!(key, 0);
        }
    }

    /// Chi square over the keys of a uniform draw: 999 degrees of freedom stay below 1,200 in all but one of 100,000.
    #[test]
    fn uniform_is_uniform() {
        let (mut chooser, mut rng) = (KeyChooser::Uniform, Rng::from_seed(5));
        let counts = counts(1_000, || chooser.choose(&mut rng, 1_000));
        let expected = DRAWS as f64 / 1_000.0;
        let chi_square: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        assert!((800.0..1_200.0).contains(&chi_square), "{chi_square}");
    }

    /// The newest key is the favourite, also after more keys have come, and nothing beyond it is ever drawn.
    #[test]
    fn latest_follows_the_newest_key() {
        let (mut chooser, mut rng) = (KeyChooser::latest(100), Rng::from_seed(9));
        for existing in [100, 101, 250] {
            let counts = counts(existing, || chooser.choose(&mut rng, existing));
            let favourite = counts.iter().enumerate().max_by_key(|(_, count)| **count).unwrap().0;
            assert_eq!(favourite as u64, existing - 1);
        }
    }

    /// The hash is FNV-1a: the value for eight zero bytes is a published one.
    #[test]
    fn fnv_matches_its_reference() {
        assert_eq!(fnv1a_64(0), 0xA8C7_F832_281A_39C5_u64.cast_signed().unsigned_abs());
    }

    /// A stream of keys is a function of its seed.
    #[test]
    fn equal_seeds_give_equal_keys() {
        let stream = |seed| {
            let (mut chooser, mut rng) = (KeyChooser::scrambled_zipfian(), Rng::from_seed(seed));
            (0..100).map(|_| chooser.choose(&mut rng, 1_000)).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }
}
