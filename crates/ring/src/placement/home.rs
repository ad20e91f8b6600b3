//! At home: a node is at home at a position as far as it owned the partitions that have the position among their first.
//!
//! A claim by a node that is at home moves less than N replicas, so when a position changes racks, that node of the new
//! rack comes first. Mostly it has a claim nearby, which makes room elsewhere: two racks change places, and the nodes
//! stay who they are.

use super::REPLICAS_BALANCED;
use super::claim;
use super::plan::Before;
use super::spacing::{FREE, Spacing};

/// A node takes a position before its quota says so if it owned at least so many of the N partitions.
const OWNED_LEAST: usize = 2;

/// Nor does it take more than this multiple of its share: below what settling bears.
const SHARE_MOST: f64 = 1.02;

/// How many replicas move if `rack` claims `position` by the node that is most at home there, or by who has it already.
pub(super) fn moved(spacing: &Spacing, before: &Before, position: usize, rack: usize) -> f64 {
    let of_rack = |node: u16| usize::from(spacing.rack_of(node)) == rack;
    let keeps = Some(before.claims[position]).filter(|&node| node != FREE && of_rack(node));
    let owned = match keeps {
        Some(node) => owned(before, position, node),
        None => at_home(before, position, of_rack).first().map_or(0, |&(owned, _)| owned),
    };
    REPLICAS_BALANCED.saturating_sub(owned) as f64
}

/// The claims before the plan as far as they are of the `pattern`'s racks, with those who are at home where they are
/// not. The rest is free. `fair` are the replicas that each node should hold.
pub(super) fn inherit(spacing: &Spacing, before: &Before, pattern: &[u16], fair: &[f64]) -> Vec<u16> {
    let is_kept = |(&claim, &rack): (&u16, &u16)| claim != FREE && spacing.rack_of(claim) == rack;
    let kept = before.claims.iter().zip(pattern);
    let mut claims: Vec<u16> = kept.map(|pair| if is_kept(pair) { *pair.0 } else { FREE }).collect();
    let mut held = claim::held(&claims, fair.len());
    let claims_most: Vec<f64> =
        fair.iter().map(|fair| SHARE_MOST * fair / REPLICAS_BALANCED as f64).collect();
    for (position, &rack) in pattern.iter().enumerate() {
        if claims[position] != FREE {
            continue;
        }
        let at_home = at_home(before, position, |node| spacing.rack_of(node) == rack);
        let has_room = |node: u16| f64::from(held[usize::from(node)]) < claims_most[usize::from(node)];
        let heir = at_home.iter().find(|&&(owned, node)| owned >= OWNED_LEAST && has_room(node));
        if let Some(&(_, node)) = heir {
            claims[position] = node;
            held[usize::from(node)] += 1;
        }
    }
    claims
}

/// Who owned some of the partitions around `position`, with how many, the most first.
fn at_home(before: &Before, position: usize, among: impl Fn(u16) -> bool) -> Vec<(usize, u16)> {
    let near = starts(before, position).flat_map(|start| before.owners[start].iter().copied());
    let mut nodes: Vec<u16> = near.filter(|&node| among(node)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut owned: Vec<(usize, u16)> =
        nodes.into_iter().map(|node| (owned(before, position, node), node)).collect();
    owned.sort_by_key(|&(owned, node)| (std::cmp::Reverse(owned), node));
    owned
}

/// How many of the partitions around `position` the node owned.
fn owned(before: &Before, position: usize, node: u16) -> usize {
    starts(before, position).filter(|&start| before.owners[start].contains(&node)).count()
}

/// The partitions that have `position` among their first.
fn starts(before: &Before, position: usize) -> impl Iterator<Item = usize> + use<> {
    let count = before.claims.len();
    (0..REPLICAS_BALANCED).map(move |back| (position + count - back) % count)
}
