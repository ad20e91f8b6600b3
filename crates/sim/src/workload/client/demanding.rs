//! What is to come of what a client has asked of a node in a healthy core.

use quorum::Level;

use super::{Client, Kind, Pending, Task};
use crate::healthy_core::{Demand, HealthyCore};
use crate::world::World;

impl Client {
    /// For each key that it has asked about, what is to come of that, and which key it is. Walks may end early; nothing is
    /// demanded of them.
    pub fn demands(&self, world: &World, core: &HealthyCore) -> Vec<(Demand, String)> {
        let Some(Pending::Tasks(tasks)) = &self.pending else { return Vec::new() };
        let state = world.cluster();
        let home = &world.hosts()[self.home];
        let demand = |task: &Task| {
            let keyspace = state.keyspace(task.keyspace);
            let levels = keyspace.and_then(|keyspace| levels(task, keyspace.r, keyspace.w));
            levels.map_or(Demand::Nothing, |levels| {
                let writes = !matches!(task.kind, Kind::RegisterGet { .. } | Kind::SiblingsGet { .. });
                core.demand(state, home.id, (task.keyspace, &task.key), (&levels, writes))
            })
        };
        let describe = |task: &Task| {
            let (keyspace, key) = (task.keyspace, task.key.escape_ascii());
            format!("to {} {keyspace} {key} at {}", verb(&task.kind), home.name)
        };
        tasks.iter().map(|task| (demand(task), describe(task))).collect()
    }
}

fn verb(kind: &Kind) -> &'static str {
    match kind {
        Kind::RegisterGet { .. } | Kind::SiblingsGet { .. } => "get",
        Kind::RegisterPut { .. } | Kind::SiblingsPut { .. } => "put",
        Kind::RegisterDelete { .. } | Kind::SiblingsDelete { .. } => "delete",
        Kind::RegisterExpire => "change the expiry of",
    }
}

/// The levels that a task rests on. None is enough for a reader who insists on what he knows: that may be where nobody in the
/// core has it.
fn levels(task: &Task, r: Level, w: Level) -> Option<Vec<Level>> {
    let (read, write) = (task.level.unwrap_or(r), task.level.unwrap_or(w));
    match &task.kind {
        Kind::RegisterGet { demanded: Some(_), .. } | Kind::SiblingsGet { demanded: Some(_), .. } => None,
        Kind::RegisterGet { .. } | Kind::SiblingsGet { .. } => Some(vec![read]),
        Kind::RegisterPut { rests_on_a_read: false, .. } | Kind::SiblingsPut { .. } => Some(vec![write]),
        Kind::RegisterPut { .. }
        | Kind::RegisterDelete { .. }
        | Kind::RegisterExpire
        | Kind::SiblingsDelete { .. } => Some(vec![r, write]),
    }
}
