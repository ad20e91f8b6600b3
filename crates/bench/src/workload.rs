//! What a client does: the kinds of operation, how often each comes, and the well-known mixes of them.
//!
//! The letters are YCSB's core workloads (Cooper et al., SoCC 2010): A update heavy, B read mostly, C read only,
//! D read latest, F read-modify-write. E scans ranges in key order, which a hash ring does not do, so it is absent.

use clap::ValueEnum;
use env::Rng;
use serde::Serialize;

/// A kind of operation; latencies are kept apart by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// GET of a key that was stored before.
    Read,
    /// SET of a key that was stored before.
    Update,
    /// SET of a new key.
    Insert,
    /// GET, then SET of the same key; one operation, timed from the first to the last byte.
    ReadModifyWrite,
}

impl Kind {
    /// All kinds, in the order in which reports show them.
    pub(crate) const ALL: [Kind; 4] = [Kind::Read, Kind::Update, Kind::Insert, Kind::ReadModifyWrite];

    /// The name in tables and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Update => "update",
            Kind::Insert => "insert",
            Kind::ReadModifyWrite => "read-modify-write",
        }
    }
}

/// The workloads that have a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// YCSB A: half reads, half updates; zipfian
    A,
    /// YCSB B: 95 % reads, 5 % updates; zipfian
    B,
    /// YCSB C: reads only; zipfian
    C,
    /// YCSB D: 95 % reads of the latest keys, 5 % inserts
    D,
    /// YCSB F: half reads, half read-modify-writes; zipfian
    F,
    /// Reads only, uniform
    Get,
    /// Updates only, uniform
    Set,
}

/// How the keys of a run are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Every key alike
    Uniform,
    /// YCSB's scrambled zipfian, theta 0.99
    Zipfian,
    /// The newest keys are the most popular
    Latest,
}

impl Workload {
    /// The shares of the kinds, in the order of [`Kind::ALL`].
    pub(crate) fn mix(self) -> Mix {
        match self {
            Workload::A => Mix::new([50, 50, 0, 0]),
            Workload::B => Mix::new([95, 5, 0, 0]),
            Workload::C | Workload::Get => Mix::new([1, 0, 0, 0]),
            Workload::D => Mix::new([95, 0, 5, 0]),
            Workload::F => Mix::new([50, 0, 0, 50]),
            Workload::Set => Mix::new([0, 1, 0, 0]),
        }
    }

    /// The distribution that the workload is defined with.
    pub(crate) fn distribution(self) -> Distribution {
        match self {
            Workload::A | Workload::B | Workload::C | Workload::F => Distribution::Zipfian,
            Workload::D => Distribution::Latest,
            Workload::Get | Workload::Set => Distribution::Uniform,
        }
    }
}

/// The shares of the kinds of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mix {
    shares: [u32; Kind::ALL.len()],
    total: u64,
}

impl Mix {
    /// Shares in the order of [`Kind::ALL`]; only their ratio matters, and one of them must be above zero.
    pub(crate) fn new(shares: [u32; Kind::ALL.len()]) -> Mix {
        Mix { shares, total: shares.iter().map(|share| u64::from(*share)).sum() }
    }

    /// True where operations of this kind can come.
    pub(crate) fn has(self, kind: Kind) -> bool {
        Kind::ALL.iter().zip(self.shares).any(|(each, share)| *each == kind && share > 0)
    }

    /// The next kind. Draws nothing where there is only one, which keeps pure workloads' key streams equal.
    pub(crate) fn choose(self, rng: &mut Rng) -> Kind {
        let only = Kind::ALL.iter().zip(self.shares).find(|(_, share)| u64::from(*share) == self.total);
        if let Some((kind, _)) = only {
            return *kind;
        }
        let mut ticket = rng.below(self.total);
        for (kind, share) in Kind::ALL.iter().zip(self.shares) {
            match ticket.checked_sub(u64::from(share)) {
                Some(rest) => ticket = rest,
                None => return *kind,
            }
        }
        Kind::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each workload's kinds come in the shares that YCSB defines, within half a percent of 200,000 draws.
    #[test]
    fn shares_are_those_of_ycsb() {
        let expected = [
            (Workload::A, [0.5, 0.5, 0.0, 0.0]),
            (Workload::B, [0.95, 0.05, 0.0, 0.0]),
            (Workload::C, [1.0, 0.0, 0.0, 0.0]),
            (Workload::D, [0.95, 0.0, 0.05, 0.0]),
            (Workload::F, [0.5, 0.0, 0.0, 0.5]),
            (Workload::Set, [0.0, 1.0, 0.0, 0.0]),
        ];
        for (workload, shares) in expected {
            let mut rng = Rng::from_seed(1);
            let kinds: Vec<Kind> = (0..200_000).map(|_| workload.mix().choose(&mut rng)).collect();
            for (kind, share) in Kind::ALL.iter().zip(shares) {
                let seen = kinds.iter().filter(|each| *each == kind).count() as f64 / 200_000.0;
                assert!((seen - share).abs() < 0.005, "{workload:?} {kind:?}: {seen}");
            }
        }
    }
}
