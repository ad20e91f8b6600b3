//! `[gossip]`, and the cluster's secret.
//!
//! What must hold: a secret is read from a file or the environment and from nowhere else, for command lines are seen by
//! everybody on the machine; and it is never shown.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gossip::Options;
use node::Secret;
use serde::Deserialize;

/// The shortest secret.
const SECRET_BYTES_MIN: usize = gossip::seal::SECRET_BYTES_MIN;

/// `[gossip]`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GossipSection {
    /// The time from one round to the next, in milliseconds.
    pub(crate) interval_ms: Option<u64>,
    /// How many peers are told in a round.
    pub(crate) fan_out: Option<usize>,
    /// From which phi on a silent node is suspected.
    pub(crate) phi: Option<f64>,
    /// The same for one that failed requests in its silence.
    pub(crate) phi_after_failures: Option<f64>,
}

impl GossipSection {
    /// What it comes to. What follows from the interval is kept in proportion to it.
    pub(crate) fn options(&self) -> Result<Options> {
        let usual = Options::default();
        let round = self.interval_ms.map_or(usual.round, Duration::from_millis);
        let options = Options {
            round,
            fan_out: self.fan_out.unwrap_or(usual.fan_out),
            phi: self.phi.unwrap_or(usual.phi),
            // A lower limit for all is one for these as well.
            phi_after_failures: self
                .phi_after_failures
                .unwrap_or(usual.phi_after_failures.min(self.phi.unwrap_or(usual.phi))),
            deviation_min: (round / 2).max(Duration::from_millis(1)),
            lag_max: usual.lag_max.max(round / 2),
            dwell: round * 2,
            dwell_max: usual.dwell_max.max(round * 2),
            silence_max: usual.silence_max.max(round * 20),
            ..usual
        };
        options.check().map_err(|error| {
            let (key, value) = match error.option {
                "fan_out" => ("fan_out", options.fan_out.to_string()),
                "phi" => ("phi", options.phi.to_string()),
                "phi_after_failures" => ("phi_after_failures", options.phi_after_failures.to_string()),
                _ => ("interval_ms", options.round.as_millis().to_string()),
            };
            anyhow!("gossip.{key} = {value}: want {}", wanted(key, error.wanted))
        })?;
        Ok(options)
    }
}

fn wanted<'a>(key: &str, wanted: &'a str) -> &'a str {
    if key == "interval_ms" { "10 to 180000 milliseconds, usually 1000" } else { wanted }
}

/// The cluster's secret: what the environment says, else what the file holds; nothing where there is neither.
pub(crate) fn secret(given: Option<&str>, file: Option<&Path>) -> Result<Option<Secret>> {
    let (bytes, from) = match (given, file) {
        (Some(text), _) => (text.as_bytes().to_vec(), "HENGE_CLUSTER_SECRET".to_owned()),
        (None, Some(path)) => {
            let bytes = std::fs::read(path).with_context(|| {
                format!("cluster.secret_file is {}, which cannot be read", path.display())
            })?;
            (bytes, format!("cluster.secret_file, {}", path.display()))
        }
        (None, None) => return Ok(None),
    };
    // Editors end a file with a line end, and the other node's may not have.
    let secret = bytes.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN {
        bail!(
            "{from}: a secret of {} bytes; want at least {SECRET_BYTES_MIN} random ones, the same on every node, such as `openssl rand -hex 32` prints",
            secret.len()
        );
    }
    Ok(Some(Secret::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<Options> {
        toml::from_str::<GossipSection>(text)?.options()
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        assert_eq!(section("").expect("nothing is wrong with it"), Options::default());
    }

    #[test]
    fn a_limit_follows_the_interval() {
        let options = section("interval_ms = 200\nphi = 2.0").expect("can be set");
        assert_eq!(options.dwell, Duration::from_millis(400));
        assert!(options.phi_after_failures <= 2.0);
    }

    #[test]
    fn what_cannot_work_is_named_with_what_would() {
        for (text, words) in [
            ("interval_ms = 1", ["gossip.interval_ms", "= 1:", "usually 1000"]),
            ("interval_ms = 9000000", ["gossip.interval_ms", "9000000", "milliseconds"]),
            ("fan_out = 0", ["gossip.fan_out", "= 0:", "1 to 16"]),
            ("phi = 0.5", ["gossip.phi", "0.5", "1 to 100"]),
            ("phi_after_failures = 9.0", ["gossip.phi_after_failures", "9", "value of phi"]),
        ] {
            let error = section(text).expect_err(text).to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        let error = secret(Some("short"), None).expect_err("five bytes").to_string();
        assert!(error.contains("HENGE_CLUSTER_SECRET") && error.contains("16"), "{error}");
        assert!(!error.contains("short"), "{error}");
        let secret = secret(Some("0123456789abcdef\n"), None).expect("long enough").expect("one");
        assert!(!format!("{secret:?}").contains("0123"));
    }
}
