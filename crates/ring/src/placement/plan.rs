//! One ring's plan: from what was there before to the claims of its members.
//!
//! Where all claims and shares still fit, nothing changes. Else several plans are made, and the one that costs least is
//! taken. One gives claims by fair shares: it is right where every claim is N replicas. Another gives them by what
//! claims have yielded: it is right where racks are so large that walks skip neighbours, and the first would undo there
//! what earlier plans have done. If both cost more than what the nodes lack, a third one gives positions to racks before
//! it gives claims to nodes: it is right where racks change places that are in each other's way.

use std::collections::BTreeMap;

use types::NodeId;

use crate::fair::{Claimant, fair_shares};
use crate::partition::Partitions;
use crate::rings::{Ring, RingMember};

use super::claim::{self, Claiming};
use super::settle::settle;
use super::spacing::{FREE, Spacing};
use super::tally::Tally;
use super::{PlacementMember, REPLICAS_BALANCED, home, prices, quota, repair};

/// What a plan starts from, with members as indices.
pub(super) struct Before {
    /// For each partition the member that claims it, or [`FREE`].
    pub(super) claims: Vec<u16>,
    /// For each partition its owners among the members; empty where there was no ring.
    pub(super) owners: Vec<Vec<u16>>,
}

impl Before {
    /// There was no ring.
    pub(super) fn nothing(partitions: Partitions) -> Before {
        Before { claims: vec![FREE; usize::from(partitions.count())], owners: Vec::new() }
    }

    /// There was `ring`. What non-members have claimed is free.
    pub(super) fn of(ring: &Ring, members: &[&PlacementMember]) -> Before {
        let index_of = indices(members);
        let claims = ring.claims().map(|node| index_of.get(&node).copied().unwrap_or(FREE)).collect();
        let owners = (0..).zip(ring.claims()).map(|(partition, _)| {
            let mut owners = Vec::with_capacity(REPLICAS_BALANCED);
            ring.walk_into(types::PartitionId(partition), REPLICAS_BALANCED, &mut owners);
            owners.iter().filter_map(|node| index_of.get(node).copied()).collect()
        });
        Before { claims, owners: owners.collect() }
    }

    /// Whether every partition is claimed by a member, and every member claims one; `held` are their claims.
    fn is_whole(&self, held: &[u32]) -> bool {
        !self.claims.contains(&FREE) && !held.contains(&0)
    }

    /// How many replicas each of `nodes` members held.
    fn replicas(&self, nodes: usize) -> Vec<u32> {
        let mut replicas = vec![0; nodes];
        for &owner in self.owners.iter().flatten() {
            replicas[usize::from(owner)] += 1;
        }
        replicas
    }
}

/// The index of each member, as plans number them.
fn indices(members: &[&PlacementMember]) -> BTreeMap<NodeId, u16> {
    members.iter().map(|member| member.node).zip(0..).collect()
}

/// The shares of `members` and the numbers of their racks.
pub(super) fn shares(members: &[&PlacementMember], rack_of: &[u16]) -> Vec<f64> {
    let claimants: Vec<Claimant> = (rack_of.iter().zip(members))
        .map(|(&rack, member)| Claimant { rack, weight: member.weight })
        .collect();
    fair_shares(&claimants, REPLICAS_BALANCED)
}

/// The ring of one data center's `members`, ascending by node.
pub(super) fn place_ring(before: &Before, members: &[&PlacementMember], partitions: Partitions) -> Ring {
    let ring_members: Vec<RingMember> =
        members.iter().map(|member| RingMember { node: member.node, rack: member.rack.clone() }).collect();
    let (rack_of, rounds) = crate::rings::racks(&ring_members);
    let shares = shares(members, &rack_of);
    let fair: Vec<f64> = shares.iter().map(|share| share * f64::from(partitions.count())).collect();
    let spacing = Spacing::new(REPLICAS_BALANCED, before.claims.len(), &rack_of, &rounds);

    let tally = |claims| Tally::new((&rack_of, &rounds), REPLICAS_BALANCED, &fair, &before.owners, claims);
    let finish = |mut claims: Vec<u16>, shares: &[f64], pattern: Vec<u16>| {
        let held = claim::held(&claims, members.len());
        let quotas = quota::quotas(shares, &rack_of, &held, partitions.count());
        Claiming::new(&spacing, &mut claims, &quotas, pattern).run();
        if before.owners.is_empty() {
            repair::repair(&spacing, &before.claims, &mut claims);
        }
        let mut tally = tally(claims);
        settle(&mut tally, &before.claims);
        tally
    };
    let by_quota = |shares: &[f64]| finish(before.claims.clone(), shares, Vec::new());
    let by_pattern = || {
        let pattern = prices::pattern(&spacing, before, &shares)?;
        let claims = home::inherit(&spacing, before, &pattern, &fair);
        Some(finish(claims, &quota::in_racks(&shares, &rack_of, &pattern), pattern))
    };
    let held = claim::held(&before.claims, members.len());
    let replicas = before.replicas(members.len());
    let lacking: f64 =
        (fair.iter().zip(&replicas)).map(|(fair, &held)| (fair - f64::from(held)).max(0.0)).sum();
    let yielding = quota::by_yield(&shares, &rack_of, &held, &replicas);
    let as_it_was = before.is_whole(&held).then(|| tally(before.claims.clone()));
    let best = match as_it_was {
        Some(as_it_was) if as_it_was.cost() == 0.0 => as_it_was,
        _ => {
            let by_yield = (yielding != shares).then(|| by_quota(&yielding));
            let best = cheaper(by_quota(&shares), by_yield);
            if best.cost() > lacking { cheaper(best, by_pattern()) } else { best }
        }
    };
    let claims: Vec<NodeId> =
        best.into_claims().iter().map(|&index| members[usize::from(index)].node).collect();
    Ring::new(ring_members, &claims, partitions).expect("each quota is at least one and all of them are met")
}

/// `other` if there is one and it costs less than `plan`.
fn cheaper<'a>(plan: Tally<'a>, other: Option<Tally<'a>>) -> Tally<'a> {
    match other {
        Some(other) if other.cost() < plan.cost() => other,
        _ => plan,
    }
}
