//! One node, as the drill's clients ask it: through its public HTTP API, and told what any client is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ring::Choice;
use super::tally::Ending;
use crate::client::{Answered, Node, key_path};

/// How long a node may take with a request before it answers that it could not, in milliseconds.
const DEADLINE_MS: u64 = 1000;

/// How long to wait for a node that does not keep its deadline.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A node's HTTP API.
pub(super) struct Door(Node);

/// What came of a write.
pub(super) struct Written {
    pub(super) ending: Ending,
    pub(super) took: Duration,
}

/// What came of a read.
pub(super) struct Read {
    pub(super) ending: Ending,
    pub(super) took: Duration,
    /// All values; none where there is none.
    pub(super) values: Vec<String>,
    /// What to write the key with.
    pub(super) context: Option<String>,
}

impl Door {
    pub(super) fn new(at: SocketAddr) -> Door {
        Door(Node::with_timeout(at, TIMEOUT))
    }

    pub(super) fn put(&self, of: Choice, key: &str, value: &str, context: Option<&str>) -> Written {
        let path = format!("{}?timeout_ms={DEADLINE_MS}", keys_path(of, key));
        let headers: Vec<(&str, &str)> = context.map(|token| ("henge-context", token)).into_iter().collect();
        let began = Instant::now();
        let answered = self.0.put(&path, &headers, value.as_bytes());
        Written { took: began.elapsed(), ending: ending_of(&answered) }
    }

    /// With the keyspace's own R, or another level.
    pub(super) fn get(&self, of: Choice, key: &str, level: Option<&str>) -> Read {
        let mut path = format!("{}?timeout_ms={DEADLINE_MS}", keys_path(of, key));
        if let Some(level) = level {
            path.push_str(&format!("&r={level}"));
        }
        let began = Instant::now();
        let answered = self.0.get(&path, &[("accept", "application/json")]);
        let took = began.elapsed();
        match answered {
            Ok(answered) if answered.status == 404 => {
                Read { ending: Ending::Good, took, values: Vec::new(), context: None }
            }
            Ok(answered) if answered.status < 400 => match shown(&answered.body) {
                Ok((values, context)) => Read { ending: Ending::Good, took, values, context },
                Err(_) => Read { ending: Ending::Unanswered, took, values: Vec::new(), context: None },
            },
            other => Read { ending: ending_of(&other), took, values: Vec::new(), context: None },
        }
    }

    /// Whether each owner of a key holds the same of it.
    pub(super) fn replicas_are_equal(&self, of: Choice, key: &str) -> Result<bool> {
        let document = self.0.document(&key_path("/v1/explain/{ks}/", of.name(), key))?;
        let owners = document["owners"].as_array().context("an explanation without owners")?;
        let held = |owner: &Value| ["state", "clocks", "stamp", "bytes"].map(|part| owner[part].clone());
        let is_there = |owner: &Value| owner["state"] == "found";
        Ok(owners.iter().all(is_there) && owners.windows(2).all(|pair| held(&pair[0]) == held(&pair[1])))
    }

    /// Whether it takes each node to be up, in their order.
    pub(super) fn sees_up(&self) -> Result<Vec<bool>> {
        let document = self.0.document("/v1/cluster")?;
        let nodes = document["nodes"].as_array().context("a cluster without nodes")?;
        Ok(nodes.iter().map(|node| node["state"] == "up").collect())
    }

    /// Has all that it owns compared with the other owners, now.
    pub(super) fn repair(&self) -> Result<()> {
        self.0.post("/v1/repair")?.check()
    }
}

fn keys_path(of: Choice, key: &str) -> String {
    key_path("/v1/keyspaces/{ks}/keys/", of.name(), key)
}

fn ending_of(answered: &Result<Answered>) -> Ending {
    match answered {
        Err(_) => Ending::Unanswered,
        Ok(answered) if answered.status < 400 => Ending::Good,
        Ok(answered) => {
            let problem: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
            if problem["result"] == "not-done" { Ending::Refused } else { Ending::Unknown }
        }
    }
}

/// The values of a JSON answer, and its context.
fn shown(body: &[u8]) -> Result<(Vec<String>, Option<String>)> {
    let document: Value = serde_json::from_slice(body)?;
    let values = document["values"].as_array().context("an answer without values")?;
    let text = |value: &Value| {
        let bytes = STANDARD.decode(value["value"].as_str().context("a value without bytes")?)?;
        Ok(String::from_utf8(bytes)?)
    };
    let values = values.iter().map(text).collect::<Result<_>>()?;
    Ok((values, document["context"].as_str().map(str::to_owned)))
}
