//! E5: where nothing moves, every partition of every keyspace has N distinct owners in each data center, or as many as there are members,
//! and these are in as many racks as they can be.
//!
//! Counted here from members and owners alone, and not by what places them.

use std::collections::BTreeSet;

use cluster::{ClusterState, Member};
use types::NodeId;

/// The rule.
pub const RULE: &str = "every partition has its N owners, in racks of their own while there are enough (E5)";

/// What is wrong with a state, if nothing moves and something is.
pub fn fault(state: &ClusterState) -> Option<String> {
    if !state.movements().is_empty() || state.waiting_to_move().next().is_some() {
        return None;
    }
    let staying = |name: &str| -> Vec<&Member> {
        let stays = |one: &&Member| one.data_center == name && one.standing.stays();
        state.members().iter().filter(stays).collect()
    };
    let racks =
        |members: &[&Member]| members.iter().map(|one| one.rack.as_str()).collect::<BTreeSet<_>>().len();
    for name in state.data_centers() {
        let members = staying(name);
        for keyspace in state.keyspaces() {
            let n = keyspace.n.in_data_center(name);
            let (copies, apart) = (n.min(members.len()), n.min(racks(&members)));
            for partition in state.partitions().iter() {
                let owners: BTreeSet<NodeId> = state.owners(keyspace.id, partition).iter().copied().collect();
                let here: Vec<&Member> =
                    members.iter().filter(|one| owners.contains(&one.id)).copied().collect();
                if here.len() != copies || racks(&here) != apart {
                    return Some(format!(
                        "{partition} of {} has {} owners in {} racks of {name} in epoch {}, not {copies} in {apart}",
                        keyspace.name,
                        here.len(),
                        racks(&here),
                        state.epoch()
                    ));
                }
            }
        }
    }
    None
}
