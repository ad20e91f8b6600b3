//! A node's HTTP API: what it says of itself and of the others.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::Agent;

/// How long a node may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any answer.
const BODY_MAX: u64 = 16 << 20;

/// One node's HTTP API.
#[derive(Clone)]
pub(super) struct Door {
    at: SocketAddr,
    agent: Agent,
}

impl Door {
    pub(super) fn new(at: SocketAddr) -> Door {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Door { at, agent: config.build().into() }
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut response = self.agent.get(format!("http://{}{path}", self.at)).call()?;
        let body = response.body_mut().with_config().limit(BODY_MAX).read_to_string()?;
        let status = response.status();
        ensure!(status.is_success(), "GET {path} at {}: {status}: {body}", self.at);
        Ok(body)
    }

    /// Whether it serves, if only to say that the others are not there.
    pub(super) fn serves(&self) -> bool {
        self.sees_up().is_ok()
    }

    /// All figures that it shows, as they stand in `/metrics`.
    pub(super) fn figures(&self) -> Result<Figures> {
        Ok(Figures(self.get("/metrics")?))
    }

    /// Whether it takes each node to be up, in the order of their names.
    pub(super) fn sees_up(&self) -> Result<Vec<bool>> {
        let document: Value = serde_json::from_str(&self.get("/v1/cluster")?)?;
        let nodes = document["nodes"].as_array().context("a cluster without nodes")?;
        Ok(nodes.iter().map(|node| node["state"] == "up").collect())
    }

    /// Has all that it owns compared with the other owners, now.
    pub(super) fn repair(&self) -> Result<()> {
        let answer = self.agent.post(format!("http://{}/v1/repair", self.at)).send_empty()?;
        ensure!(answer.status().is_success(), "POST /v1/repair at {}: {}", self.at, answer.status());
        Ok(())
    }

    /// Whether each owner of a key holds the same of it. Keys are plain letters, digits and hyphens.
    pub(super) fn owners_are_equal(&self, keyspace: &str, key: &str) -> Result<bool> {
        let document: Value = serde_json::from_str(&self.get(&format!("/v1/explain/{keyspace}/{key}"))?)?;
        let owners = document["owners"].as_array().context("an explanation without owners")?;
        let held = |owner: &Value| ["state", "clocks", "stamp", "bytes"].map(|part| owner[part].clone());
        Ok(owners.iter().all(|owner| owner["state"] == "found")
            && owners.windows(2).all(|pair| held(&pair[0]) == held(&pair[1])))
    }
}

/// The figures of one node at one time.
pub(super) struct Figures(String);

impl Figures {
    /// The figure `henge_<name>`.
    pub(super) fn get(&self, name: &str) -> Result<f64> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix("henge_")?.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("no figure henge_{name}"))
    }
}
