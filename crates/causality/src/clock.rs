//! Vector clocks as people read them: `[(server, counter), ...]`.

use std::collections::BTreeMap;

use types::Incarnation;

use crate::{Actor, VersionVector};

/// The entries of a vector under the names of nodes, ordered by name, then stint.
///
/// A node with one entry is its name alone. One with several stints shows each as `node/stint`. An incarnation that
/// `name_of` does not know is its hexadecimal self, and so is each of two incarnations that would otherwise read the same
/// (a node that was made anew under its old name).
///
/// `among` is the merge of all vectors that are shown together: siblings that one node made before and after a crash
/// would else read the same, though they are two writes.
pub fn clock_entries<'n>(
    vector: &VersionVector,
    among: &VersionVector,
    name_of: impl Fn(Incarnation) -> Option<&'n str>,
) -> Vec<(String, u64)> {
    let name = |actor: Actor| match name_of(actor.incarnation) {
        Some(name) => name.to_owned(),
        None => actor.incarnation.to_string(),
    };
    let all = vector.merge(among);
    let all = || all.iter().map(|(actor, _)| actor);
    let by_name = tally(all().map(name));
    let by_stint = tally(all().map(|actor| with_stint(&name(actor), actor)));
    let label = |actor: Actor| {
        let (name, with_stint) = (name(actor), with_stint(&name(actor), actor));
        match (by_name[&name], by_stint[&with_stint]) {
            (1, _) => name,
            (_, 1) => with_stint,
            (_, _) => actor.to_string(),
        }
    };
    let mut named: Vec<(String, Actor, u64)> =
        vector.iter().map(|(actor, counter)| (name(actor), actor, counter)).collect();
    named.sort();
    named.into_iter().map(|(_, actor, counter)| (label(actor), counter)).collect()
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
