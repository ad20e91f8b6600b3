//! What the operator wants: limits, targets, waits, and which nodes there may be.
//!
//! Always true of a policy that [`Policy::check`] let pass: the mark below which nodes are retired is below the targets, so
//! that adding a node and retiring it again do not follow from the same load; and a cool-down is no shorter than the window
//! over which load is smoothed, so that no decision rests on what was seen before the last change.

use std::time::Duration;

use serde::Serialize;

use crate::error::PolicyError;

/// The longest wait that can be set.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The most nodes that a cluster can have: they are numbered with 16 bits.
const NODES_MAX: u32 = 65_535;
/// A unit of size.
const MIB: u64 = 1 << 20;
/// The fewest partitions for each node above which halves may be merged: half as many are still enough to be dealt out evenly.
const MERGE_ABOVE_MIN: u32 = 64;
/// The most entries of a pool.
const POOL_MAX: usize = 1_024;

/// Who starts and ends nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// Processes of this machine.
    Local,
    /// Programs that the operator wrote.
    Command,
    /// The pods of a StatefulSet.
    Kubernetes,
}

impl ProviderKind {
    /// All of them, with the words that a configuration has for them.
    pub const WORDS: [(&'static str, ProviderKind); 3] = [
        ("local", ProviderKind::Local),
        ("command", ProviderKind::Command),
        ("kubernetes", ProviderKind::Kubernetes),
    ];
}

/// Hundredths of what a node can do, or hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Percentages {
    /// Of the operations per second that it is good for.
    pub operations: u32,
    /// Of its cores.
    pub cpu: u32,
    /// Of its disk.
    pub disk: u32,
}

/// A rack in which nodes may be started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoolEntry {
    /// In which data center.
    pub data_center: String,
    /// Which rack.
    pub rack: String,
    /// How many of the provider's nodes may be there at once.
    pub nodes: u32,
    /// The weight of each, in thousandths.
    pub weight_thousandths: u32,
    /// What their names begin with. The provider may add to it or have names of its own.
    pub name: String,
}

/// How a cluster is to grow and shrink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Policy {
    /// Whether anything is decided at all.
    pub enabled: bool,
    /// Whether decisions are only told.
    pub dry_run: bool,
    /// Who starts and ends nodes.
    pub provider: ProviderKind,
    /// The fewest members.
    pub min: u32,
    /// The most members, those that are down and those that were asked for included.
    pub max: u32,
    /// The most members in one rack.
    pub max_per_rack: Option<u32>,
    /// How many operations per second a node of weight 1 is good for. Where it is not said, what nodes have measured of
    /// themselves counts, and where they have not either, operations do not count.
    pub operations_per_second: Option<u64>,
    /// Above these a data center gets a node.
    pub target: Percentages,
    /// A node is retired where those that remain would be below so many hundredths of the targets.
    pub low_percent: u32,
    /// Over how long load is smoothed. A decider that begins watches as long before it decides.
    pub window: Duration,
    /// How long load must have been low before a node is retired.
    pub calm: Duration,
    /// The least time from the end of a change to one for more room: a node more, a movement, a split, a replacement.
    pub cool_down_out: Duration,
    /// The least time from the end of a change to the retirement of a node.
    pub cool_down_in: Duration,
    /// After how long a node that is down is taken for dead.
    pub replace_after: Duration,
    /// How long a node that was asked for may take until it is a member, and any other change until something is seen of it.
    pub join_within: Duration,
    /// Partitions are halved where those of a node have more bytes than this in the mean.
    pub partition_bytes_max: u64,
    /// Partitions are merged while there are more than so many for each node of the largest data center, and none does much; never, where
    /// nothing is said.
    pub merge_above: Option<u32>,
    /// What nodes may be started.
    pub pool: Vec<PoolEntry>,
}

impl Default for Policy {
    fn default() -> Policy {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Policy {
            enabled: false,
            dry_run: false,
            provider: ProviderKind::Local,
            min: 3,
            max: 3,
            max_per_rack: None,
            operations_per_second: None,
            target: Percentages { operations: 60, cpu: 60, disk: 70 },
            low_percent: 70,
            window: minutes(1),
            calm: minutes(10),
            cool_down_out: minutes(2),
            cool_down_in: minutes(10),
            replace_after: minutes(15),
            join_within: minutes(5),
            partition_bytes_max: 8 << 30,
            merge_above: Some(128),
            pool: Vec::new(),
        }
    }
}

impl Policy {
    /// Refuses what could not work.
    ///
    /// # Errors
    /// The first key whose value is out of range or contradicts another.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.check_limits()?;
        self.check_marks()?;
        self.check_waits()?;
        self.check_pool()
    }

    fn check_limits(&self) -> Result<(), PolicyError> {
        if !(1..=NODES_MAX).contains(&self.min) {
            return Err(PolicyError::new("min", self.min, format!("want 1 to {NODES_MAX} nodes, usually 3")));
        }
        if !(self.min..=NODES_MAX).contains(&self.max) {
            let wanted = format!("want {} to {NODES_MAX} nodes: no fewer than autoscaler.min", self.min);
            return Err(PolicyError::new("max", self.max, wanted));
        }
        if self.max_per_rack == Some(0) {
            return Err(PolicyError::new(
                "max_per_rack",
                0,
                "want 1 node or more, or leave it out for no limit",
            ));
        }
        if self.partition_bytes_max < MIB {
            let wanted = "want 1 or more, usually 8192: the MiB that a partition has in the mean before all are halved";
            return Err(PolicyError::new("partition_mib_max", self.partition_bytes_max / MIB, wanted));
        }
        if let Some(above) = self.merge_above.filter(|above| *above < MERGE_ABOVE_MIN) {
            let wanted = format!(
                "want {MERGE_ABOVE_MIN} partitions for each node or more, usually 128, or 0 for never"
            );
            return Err(PolicyError::new("merge_above", above, wanted));
        }
        if self.operations_per_second == Some(0) {
            let wanted = "want what a node of weight 1 is good for, such as 20000, or leave it out";
            return Err(PolicyError::new("operations_per_second", 0, wanted));
        }
        Ok(())
    }

    fn check_marks(&self) -> Result<(), PolicyError> {
        let Percentages { operations, cpu, disk } = self.target;
        for (key, value, usual) in [
            ("target.operations_percent", operations, 60),
            ("target.cpu_percent", cpu, 60),
            ("target.disk_percent", disk, 70),
        ] {
            if !(1..=95).contains(&value) {
                return Err(PolicyError::new(key, value, format!("want 1 to 95, usually {usual}")));
            }
        }
        if !(1..=90).contains(&self.low_percent) {
            let wanted = "want 1 to 90 percent of the targets, usually 70: the nearer it is to the targets, the sooner a node that was retired is missed";
            return Err(PolicyError::new("low_percent", self.low_percent, wanted));
        }
        Ok(())
    }

    fn check_waits(&self) -> Result<(), PolicyError> {
        let Policy { window, calm, cool_down_out, cool_down_in, replace_after, join_within, .. } = *self;
        let second = Duration::from_secs(1);
        for (key, value, least, why) in [
            ("window", window, second, "a second"),
            ("calm", calm, window, "autoscaler.window"),
            ("cool_down_out", cool_down_out, window, "autoscaler.window"),
            ("cool_down_in", cool_down_in, window, "autoscaler.window"),
            ("replace_after", replace_after, second, "a second"),
            ("join_within", join_within, second, "a second"),
        ] {
            if !(least..=WAIT_MAX).contains(&value) {
                let wanted = format!("want no less than {why} and no more than a week");
                return Err(PolicyError::new(key, format!("{value:?}"), wanted));
            }
        }
        Ok(())
    }

    fn check_pool(&self) -> Result<(), PolicyError> {
        if self.pool.len() > POOL_MAX {
            return Err(PolicyError::new(
                "pool",
                self.pool.len(),
                format!("want {POOL_MAX} entries at most"),
            ));
        }
        for (place, entry) in self.pool.iter().enumerate() {
            let others = &self.pool[..place];
            if others
                .iter()
                .any(|other| (&other.data_center, &other.rack) == (&entry.data_center, &entry.rack))
            {
                let value = format!("{}/{}", entry.data_center, entry.rack);
                return Err(PolicyError::new(
                    "pool",
                    value,
                    "a rack is listed once, with how many nodes it may have",
                ));
            }
            if entry.nodes == 0 {
                let wanted = "want how many nodes may be started in this rack, or leave the entry out";
                return Err(PolicyError::new("pool.nodes", 0, wanted));
            }
        }
        Ok(())
    }
}
