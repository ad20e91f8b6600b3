//! The `[autoscaler]` section of `henge.toml`.
//!
//! ```toml
//! [autoscaler]
//! enabled = true
//! provider = "local"              # or command, kubernetes
//! min = 3
//! max = 5
//! operations_per_second = 20000   # what a node of weight 1 is good for
//! target = { operations_percent = 60, cpu_percent = 60, disk_percent = 70 }
//! replace_after = "15m"
//!
//! [[autoscaler.pool]]
//! rack = "r4"
//! nodes = 2
//! ```
//!
//! What must hold: an error names the key, its value and what would be right, and a key that is not known is an error too.
//! What the [sections](crate::sections) of the providers come to is theirs to say.

use std::time::Duration;

use serde::Deserialize;

use crate::error::PolicyError;
use crate::policy::{Percentages, Policy, PoolEntry, ProviderKind};
use crate::sections::{CommandConfig, KubernetesConfig, LocalConfig};

/// `[autoscaler]`. What is left out is as usual.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoscalerConfig {
    /// Whether anything is decided at all.
    #[serde(default)]
    pub enabled: bool,
    /// Whether decisions are only told.
    #[serde(default)]
    pub dry_run: bool,
    /// `local`, `command` or `kubernetes`.
    pub provider: Option<String>,
    /// The fewest members.
    pub min: Option<u32>,
    /// The most members.
    pub max: Option<u32>,
    /// The most members in one rack.
    pub max_per_rack: Option<u32>,
    /// How many operations per second a node of weight 1 is good for.
    pub operations_per_second: Option<u64>,
    /// Above what a data center gets a node.
    #[serde(default)]
    pub target: TargetConfig,
    /// Below how many hundredths of the targets the nodes that remain must be.
    pub low_percent: Option<u32>,
    /// Over how long load is smoothed, such as `60s`.
    pub window: Option<String>,
    /// How long load must have been low before a node is retired.
    pub calm: Option<String>,
    /// The least time from a change to one for more room.
    pub cool_down_out: Option<String>,
    /// The least time from a change to the retirement of a node.
    pub cool_down_in: Option<String>,
    /// After how long a node that is down is taken for dead.
    pub replace_after: Option<String>,
    /// How long a node that was asked for may take until it is a member.
    pub join_within: Option<String>,
    /// How many MiB a partition may have in the mean before all are halved.
    pub partition_mib_max: Option<u64>,
    /// For how many partitions for each node halves are merged again where none does much; 0 for never.
    pub merge_above: Option<u32>,
    /// What nodes may be started.
    #[serde(default)]
    pub pool: Vec<PoolConfig>,
    /// What the provider `local` is told.
    #[serde(default)]
    pub local: LocalConfig,
    /// What the provider `command` is told.
    #[serde(default)]
    pub command: CommandConfig,
    /// What the provider `kubernetes` is told.
    #[serde(default)]
    pub kubernetes: KubernetesConfig,
}

/// `target` of `[autoscaler]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// Of the operations per second that a node is good for.
    pub operations_percent: Option<u32>,
    /// Of its cores.
    pub cpu_percent: Option<u32>,
    /// Of its disk.
    pub disk_percent: Option<u32>,
}

/// One of `[[autoscaler.pool]]`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// The data center; `dc1` if it is left out.
    pub datacenter: Option<String>,
    /// The rack.
    pub rack: String,
    /// How many nodes may be started there; 1 if it is left out.
    pub nodes: Option<u32>,
    /// The weight of each; 1 if it is left out.
    pub weight: Option<f64>,
    /// What their names begin with; `auto` if it is left out.
    pub name: Option<String>,
}

/// The weights that a node may have, in thousandths.
const WEIGHT_THOUSANDTHS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// The longest name of a data center or a rack, or beginning of a node's name, in bytes: a node's whole name has 64.
const NAME_BYTES_MAX: usize = 48;

impl AutoscalerConfig {
    /// What it comes to, checked.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        let usual = Policy::default();
        let min = self.min.unwrap_or(usual.min);
        let policy = Policy {
            enabled: self.enabled,
            dry_run: self.dry_run,
            provider: self.provider.as_deref().map_or(Ok(usual.provider), provider)?,
            min,
            // Who says nothing of a maximum has not asked for nodes.
            max: self.max.unwrap_or(min),
            max_per_rack: self.max_per_rack,
            operations_per_second: self.operations_per_second,
            target: Percentages {
                operations: self.target.operations_percent.unwrap_or(usual.target.operations),
                cpu: self.target.cpu_percent.unwrap_or(usual.target.cpu),
                disk: self.target.disk_percent.unwrap_or(usual.target.disk),
            },
            low_percent: self.low_percent.unwrap_or(usual.low_percent),
            window: wait("window", self.window.as_deref(), usual.window)?,
            calm: wait("calm", self.calm.as_deref(), usual.calm)?,
            cool_down_out: wait("cool_down_out", self.cool_down_out.as_deref(), usual.cool_down_out)?,
            cool_down_in: wait("cool_down_in", self.cool_down_in.as_deref(), usual.cool_down_in)?,
            replace_after: wait("replace_after", self.replace_after.as_deref(), usual.replace_after)?,
            join_within: wait("join_within", self.join_within.as_deref(), usual.join_within)?,
            partition_bytes_max: self
                .partition_mib_max
                .map_or(usual.partition_bytes_max, |mib| mib.saturating_mul(1 << 20)),
            merge_above: match self.merge_above {
                Some(0) => None,
                above => above.or(usual.merge_above),
            },
            pool: self.pool.iter().map(PoolConfig::entry).collect::<Result<_, _>>()?,
        };
        policy.check()?;
        Ok(policy)
    }
}

impl PoolConfig {
    fn entry(&self) -> Result<PoolEntry, PolicyError> {
        let data_center = self.datacenter.clone().unwrap_or_else(|| "dc1".to_owned());
        let name = self.name.clone().unwrap_or_else(|| "auto".to_owned());
        check_name("pool.datacenter", &data_center)?;
        check_name("pool.rack", &self.rack)?;
        check_name("pool.name", &name)?;
        Ok(PoolEntry {
            data_center,
            rack: self.rack.clone(),
            nodes: self.nodes.unwrap_or(1),
            weight_thousandths: thousandths(self.weight.unwrap_or(1.0))?,
            name,
        })
    }
}

/// A weight in thousandths, which is as fine as the ring weighs.
fn thousandths(weight: f64) -> Result<u32, PolicyError> {
    let wanted =
        || PolicyError::new("pool.weight", weight, "a weight is a number from 0.001 to 1000, usually 1");
    let text = format!("{:.0}", weight * 1_000.0);
    let thousandths: u32 = text.parse().map_err(|_| wanted())?;
    if WEIGHT_THOUSANDTHS.contains(&thousandths) { Ok(thousandths) } else { Err(wanted()) }
}

/// Names appear in files, commands and addresses, so they are plain.
///
/// # Errors
/// Unless it is 1 to 48 of the letters `A-Z a-z 0-9 . _ -`, the first a letter or a digit.
pub fn check_name(key: &str, name: &str) -> Result<(), PolicyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_plain = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_plain && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    let wanted = "want 1 to 48 letters, digits, dots, dashes and underscores, the first a letter or a digit";
    Err(PolicyError::new(key, format!("{shown:?}"), wanted))
}

fn provider(word: &str) -> Result<ProviderKind, PolicyError> {
    let found = ProviderKind::WORDS.into_iter().find(|(known, _)| *known == word);
    let wanted = "want local, command or kubernetes";
    found.map(|(_, kind)| kind).ok_or_else(|| PolicyError::new("provider", format!("{word:?}"), wanted))
}

/// A wait such as `500ms`, `90s`, `15m` or `2h`; the usual one where nothing is said.
///
/// # Errors
/// If it is no such thing.
pub fn wait(key: &str, text: Option<&str>, usual: Duration) -> Result<Duration, PolicyError> {
    let Some(text) = text else {
        return Ok(usual);
    };
    let wanted = || PolicyError::new(key, format!("{text:?}"), "want a time such as 500ms, 90s, 15m or 2h");
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = digits.trim().parse().map_err(|_| wanted())?;
    let unit_ms = match &text.trim()[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wanted()),
    };
    count.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wanted)
}
