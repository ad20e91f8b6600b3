//! Quotas: fair shares as whole numbers of claims.
//!
//! Racks are rounded first and then the nodes of each rack, so that every node is within one claim of its share and
//! every rack too. Who already holds the claim that rounding could give to either keeps it: a claim that need not
//! move does not. Every node has at least one, or no walk would meet it.
//!
//! Where walks skip neighbours, a node's claims yield more or fewer than N replicas each. Its share is then divided by
//! what they yield ([`by_yield`]), or each plan would take claims away that the last one had to give.

use super::REPLICAS_BALANCED;
use crate::fair::rising_root;

/// Absorbs what halving leaves of a whole number, such as 63.999999999.
const ROUNDING: f64 = 1e-6;

/// How many partitions each node is to claim: in proportion to `shares`, in all `partitions`, each at least one.
pub(super) fn quotas(shares: &[f64], rack_of: &[u16], held: &[u32], partitions: u16) -> Vec<u32> {
    let targets = targets(shares, partitions);
    let racks = rack_of.iter().map(|&rack| usize::from(rack) + 1).max().unwrap_or(0);
    let (mut rack_targets, mut rack_held) = (vec![0.0; racks], vec![0; racks]);
    for (node, &rack) in rack_of.iter().enumerate() {
        rack_targets[usize::from(rack)] += targets[node];
        rack_held[usize::from(rack)] += held[node];
    }
    let rack_quotas = apportion(&rack_targets, &rack_held, u32::from(partitions));
    let mut quotas = vec![0; shares.len()];
    for (rack, &total) in rack_quotas.iter().enumerate() {
        let nodes: Vec<usize> =
            (0..shares.len()).filter(|&node| usize::from(rack_of[node]) == rack).collect();
        let of_nodes = |values: &[f64]| nodes.iter().map(|&node| values[node]).collect::<Vec<f64>>();
        let nodes_held: Vec<u32> = nodes.iter().map(|&node| held[node]).collect();
        let rounded = apportion(&of_nodes(&targets), &nodes_held, total);
        for (&node, quota) in nodes.iter().zip(rounded) {
            quotas[node] = quota;
        }
    }
    quotas
}

/// Shares in claims, by what a claim of each node has yielded: its `replicas` over the claims that it `held`; for a
/// node that held none, the yield of its rack.
pub(super) fn by_yield(shares: &[f64], rack_of: &[u16], held: &[u32], replicas: &[u32]) -> Vec<f64> {
    let racks = rack_of.iter().map(|&rack| usize::from(rack) + 1).max().unwrap_or(0);
    let mut of_rack = vec![(0_u32, 0_u32); racks];
    for (node, &rack) in rack_of.iter().enumerate() {
        let (claims, yielded) = &mut of_rack[usize::from(rack)];
        *claims += held[node];
        *yielded += replicas[node];
    }
    let share_in_claims = |(node, share): (usize, &f64)| {
        let own = (held[node], replicas[node]);
        let (claims, yielded) = if own.0 > 0 { own } else { of_rack[usize::from(rack_of[node])] };
        if claims == 0 || yielded == 0 {
            return *share;
        }
        share * f64::from(claims) * REPLICAS_BALANCED as f64 / f64::from(yielded)
    };
    shares.iter().enumerate().map(share_in_claims).collect()
}

/// Shares in claims if the racks have the positions of `pattern`: each rack's go to its nodes by their `shares`.
pub(super) fn in_racks(shares: &[f64], rack_of: &[u16], pattern: &[u16]) -> Vec<f64> {
    let racks = rack_of.iter().map(|&rack| usize::from(rack) + 1).max().unwrap_or(0);
    let positions = super::prices::counted(pattern, racks);
    let mut of_rack = vec![0.0; racks];
    for (&rack, share) in rack_of.iter().zip(shares) {
        of_rack[usize::from(rack)] += share;
    }
    let in_claims =
        |(&rack, share): (&u16, &f64)| share * positions[usize::from(rack)] / of_rack[usize::from(rack)];
    rack_of.iter().zip(shares).map(in_claims).collect()
}

/// Shares scaled to the number of partitions, none below one.
fn targets(shares: &[f64], partitions: u16) -> Vec<f64> {
    let smallest = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let at = |scale: f64| shares.iter().map(move |share| (share * scale).max(1.0));
    let scale = rising_root(f64::from(partitions) / smallest, f64::from(partitions), |scale| at(scale).sum());
    at(scale).collect()
}

/// `total` whole claims over the targets: each target rounded down, then one more for those who hold it already,
/// then for those whose remainder is greatest.
fn apportion(targets: &[f64], held: &[u32], total: u32) -> Vec<u32> {
    let mut quotas: Vec<u32> = targets.iter().map(|&target| whole(target)).collect();
    let given: u32 = quotas.iter().sum();
    let mut order: Vec<usize> = (0..targets.len()).collect();
    let remainder = |index: usize| targets[index] - f64::from(quotas[index]);
    order.sort_by(|&a, &b| {
        let keeps = |index: usize| held[index] > quotas[index] && remainder(index) > ROUNDING;
        keeps(b).cmp(&keeps(a)).then(remainder(b).total_cmp(&remainder(a))).then(a.cmp(&b))
    });
    for &index in order.iter().cycle().take(total.saturating_sub(given) as usize) {
        quotas[index] += 1;
    }
    quotas
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "targets are in 1..=16384")]
fn whole(target: f64) -> u32 {
    (target + ROUNDING).floor() as u32
}
