//! Vector clocks as people read them: `[(server, counter), ...]`.

use std::collections::BTreeMap;

use types::Incarnation;

use crate::{Actor, VersionVector};

/// The entries of a vector under the names of nodes, ordered by name, then stint.
///
/// A node with one entry is its name alone. One with several stints in this vector shows each as `node/stint`. An
/// incarnation that `name_of` does not know is its hexadecimal self, and so is each of two incarnations that would
/// otherwise read the same (a node that was made anew under its old name).
pub fn clock_entries<'n>(
    vector: &VersionVector,
    name_of: impl Fn(Incarnation) -> Option<&'n str>,
) -> Vec<(String, u64)> {
    let name = |actor: Actor| match name_of(actor.incarnation) {
        Some(name) => name.to_owned(),
        None => actor.incarnation.to_string(),
    };
    let mut named: Vec<(String, Actor, u64)> = vector
        .iter()
        .map(|(actor, counter)| (name(actor), actor, counter))
        .collect();
    named.sort();
    let by_name = tally(named.iter().map(|(name, ..)| name.clone()));
    let by_stint = tally(named.iter().map(|(name, actor, _)| with_stint(name, *actor)));
    let label = |name: String, actor: Actor| match (by_name[&name], by_stint[&with_stint(&name, actor)]) {
        (1, _) => name,
        (_, 1) => with_stint(&name, actor),
        (_, _) => actor.to_string(),
    };
    named
        .into_iter()
        .map(|(name, actor, counter)| (label(name, actor), counter))
        .collect()
}

fn with_stint(name: &str, actor: Actor) -> String {
    format!("{name}/{}", actor.stint.0)
}

fn tally(labels: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    counts
}
