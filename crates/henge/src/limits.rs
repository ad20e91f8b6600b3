//! `[limits]`: how much a node has under way at once, and how much of what it does it may do twice.

use anyhow::{Result, bail};
use node::{BudgetShare, CoordinatorOptions};
use serde::Deserialize;

use crate::config::Size;

/// `[limits]`. What is left out is as usual.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsSection {
    /// Client operations under way at once.
    pub(crate) operations: Option<usize>,
    /// Bytes of values under way at once.
    pub(crate) bytes: Option<Size>,
    /// Of a hundred reads, for how many another owner may be asked because one is late.
    pub(crate) hedge_percent: Option<u8>,
    /// Of a hundred requests, for how many something may be asked again after a refusal.
    pub(crate) retry_percent: Option<u8>,
}

/// Fewer operations than this would refuse a single batch; more would not fit into memory.
const OPERATIONS: std::ops::RangeInclusive<usize> = 64..=1 << 20;

/// As much as the largest value that a keyspace allows where nothing is said.
const BYTES_MIN: u64 = 1 << 20;

impl LimitsSection {
    /// What it comes to, for a node with so much memory.
    pub(crate) fn options(&self, memory_bytes: u64) -> Result<CoordinatorOptions> {
        let usual = CoordinatorOptions::default();
        let operations_max = self.operations.unwrap_or(usual.operations_max);
        if !OPERATIONS.contains(&operations_max) {
            let (least, most) = (OPERATIONS.start(), OPERATIONS.end());
            bail!(
                "limits.operations = {operations_max}: want {least} to {most}, usually {}",
                usual.operations_max
            );
        }
        let bytes_max = match &self.bytes {
            None => usual.bytes_max,
            Some(size) => {
                let bytes = size.bytes("limits.bytes")?;
                if !(BYTES_MIN..=memory_bytes).contains(&bytes) {
                    bail!(
                        "limits.bytes is {bytes}: want 1MiB to {memory_bytes}, which is node.memory, usually {}",
                        usual.bytes_max
                    );
                }
                usize::try_from(bytes)?
            }
        };
        Ok(CoordinatorOptions {
            operations_max,
            bytes_max,
            hedges: share("limits.hedge_percent", self.hedge_percent, usual.hedges)?,
            retries: share("limits.retry_percent", self.retry_percent, usual.retries)?,
            ..usual
        })
    }
}

/// None at all where it is zero: not even the few that the time allows.
fn share(key: &str, percent: Option<u8>, usual: BudgetShare) -> Result<BudgetShare> {
    match percent {
        None => Ok(usual),
        Some(0) => Ok(BudgetShare { percent: 0, per_second: 0, burst: 0 }),
        Some(percent @ 1..=100) => Ok(BudgetShare { percent, ..usual }),
        Some(percent) => bail!("{key} = {percent}: want 0 (never) to 100, usually {}", usual.percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<CoordinatorOptions> {
        toml::from_str::<LimitsSection>(text)?.options(256 << 20)
    }

    #[test]
    fn what_is_left_out_is_as_usual_and_what_is_said_counts() {
        assert_eq!(section("").expect("nothing is wrong with it"), CoordinatorOptions::default());
        let text = "operations = 100\nbytes = \"2MiB\"\nhedge_percent = 0\nretry_percent = 5";
        let options = section(text).expect("can be set");
        assert_eq!((options.operations_max, options.bytes_max), (100, 2 << 20));
        assert_eq!((options.hedges.burst, options.retries.percent), (0, 5));
        assert!(options.retries.burst > 0);
    }

    #[test]
    fn what_cannot_work_is_named_with_what_would() {
        for (text, words) in [
            ("operations = 0", ["limits.operations", "= 0:", "usually 32768"]),
            ("bytes = 5", ["limits.bytes", "is 5:", "1MiB"]),
            ("bytes = \"1GiB\"", ["limits.bytes", "1073741824", "node.memory"]),
            ("hedge_percent = 101", ["limits.hedge_percent", "101", "usually 10"]),
            ("retry_percent = 200", ["limits.retry_percent", "200", "usually 25"]),
        ] {
            let error = section(text).expect_err(text).to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
