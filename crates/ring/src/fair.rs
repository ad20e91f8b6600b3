//! Fair shares: how many replicas of the average partition each node should hold.
//!
//! In proportion to weight, as far as the rule allows. A node holds at most one replica of a partition, and a rack
//! at most (and at least) what the rounds of the walk take from it, however heavy or light it is; what a capped node
//! or rack cannot take goes to the others by weight. This is water-filling: one level for the data center, one in
//! each rack that its bounds cut off. A node's load is judged against this share, since no placement could give it
//! another one without breaking the rule.

/// Halving this often exhausts the digits of a float, whatever the range.
const HALVINGS: usize = 128;

/// A node, as fairness sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Claimant {
    /// The number of its rack, `0..racks`.
    pub rack: u16,
    /// Its capacity beside the others'; above 0.
    pub weight: f64,
}

/// The share of each claimant: replicas per partition, each in `0..=1`, in all `min(replicas, claimants)`.
pub fn fair_shares(claimants: &[Claimant], replicas: usize) -> Vec<f64> {
    let racks = rack_bounds(claimants, replicas);
    let wanted = replicas.min(claimants.len()) as f64;
    let level = fill(claimants, wanted, |level| {
        racks.iter().map(|rack| rack.clamp(poured(&rack.members, level))).sum()
    });
    let mut shares = vec![0.0; claimants.len()];
    for rack in &racks {
        let total = rack.clamp(poured(&rack.members, level));
        let level = fill(&rack.members, total, |level| poured(&rack.members, level));
        for (&index, claimant) in rack.indices.iter().zip(&rack.members) {
            shares[index] = (level * claimant.weight).min(1.0);
        }
    }
    shares
}

/// One rack's members and how many replicas of a partition it holds at least and at most.
struct RackBounds {
    indices: Vec<usize>,
    members: Vec<Claimant>,
    least: f64,
    most: f64,
}

impl RackBounds {
    fn clamp(&self, share: f64) -> f64 {
        share.clamp(self.least, self.most)
    }
}

/// Racks are drawn from in rounds: all full rounds take one node of every rack that still has one, and the last
/// round takes from some racks and not from others.
fn rack_bounds(claimants: &[Claimant], replicas: usize) -> Vec<RackBounds> {
    let count = claimants.iter().map(|claimant| usize::from(claimant.rack) + 1).max().unwrap_or(0);
    let mut sizes = vec![0_usize; count];
    for claimant in claimants {
        sizes[usize::from(claimant.rack)] += 1;
    }
    let taken = |rounds: usize| sizes.iter().map(|&size| size.min(rounds)).sum::<usize>();
    let full = (1..=replicas).take_while(|&rounds| taken(rounds) <= replicas).last().unwrap_or(0);
    (0..count)
        .map(|rack| {
            let of_rack = |index: &usize| usize::from(claimants[*index].rack) == rack;
            let indices: Vec<usize> = (0..claimants.len()).filter(of_rack).collect();
            RackBounds {
                members: indices.iter().map(|&index| claimants[index]).collect(),
                indices,
                least: sizes[rack].min(full) as f64,
                most: sizes[rack].min(full + usize::from(taken(full) < replicas)) as f64,
            }
        })
        .collect()
}

/// What the claimants hold at a level: their weight times the level, one replica of a partition at most.
fn poured(claimants: &[Claimant], level: f64) -> f64 {
    claimants.iter().map(|claimant| (level * claimant.weight).min(1.0)).sum()
}

/// The level at which `held` reaches `wanted`; at the highest level every claimant is full.
fn fill(claimants: &[Claimant], wanted: f64, held: impl Fn(f64) -> f64) -> f64 {
    let lightest = claimants.iter().map(|claimant| claimant.weight).fold(f64::INFINITY, f64::min);
    rising_root(1.0 / lightest, wanted, held)
}

/// The least point in `0..=top` at which the rising function reaches `wanted`, by halving.
pub(crate) fn rising_root(top: f64, wanted: f64, rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, top);
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if rising(middle) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
