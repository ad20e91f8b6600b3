//! The commands that ask a node: all through its public HTTP API, so that they can say nothing that an operator's own
//! program could not find out.

pub(crate) mod autoscaler;
mod change;
pub(crate) mod keys;
pub(crate) mod keyspace;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod partition;
pub(crate) mod plan;
pub(crate) mod recover;
pub(crate) mod repair;
pub(crate) mod show;
mod tally;
pub(crate) mod top;
pub(crate) mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

/// A node answers by its own deadline, which is far below this.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest value that a keyspace may allow, with all its siblings as base64.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// One node's HTTP API.
pub(crate) struct Node {
    at: SocketAddr,
    agent: Agent,
}

/// What a node answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Node {
    pub(crate) fn new(at: SocketAddr) -> Node {
        Node::with_timeout(at, TIMEOUT)
    }

    /// For who does not want to wait so long.
    pub(crate) fn with_timeout(at: SocketAddr, timeout: Duration) -> Node {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .build();
        Node { at, agent: config.into() }
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answered> {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answered(request.call())
    }

    /// Puts a value.
    pub(crate) fn put(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answered> {
        let octets = [("content-type", "application/octet-stream")];
        self.send(self.agent.put(self.url(path)), &[&octets, headers].concat(), body)
    }

    /// Puts a document.
    pub(crate) fn put_document(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answered> {
        self.send(self.agent.put(self.url(path)), headers, body)
    }

    pub(crate) fn patch(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answered> {
        self.send(self.agent.patch(self.url(path)), headers, body)
    }

    /// Posts a document.
    pub(crate) fn post_document(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answered> {
        self.send(self.agent.post(self.url(path)), headers, body)
    }

    fn send(
        &self,
        request: RequestBuilder<WithBody>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answered> {
        let mut request = request;
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answered(request.send(body))
    }

    pub(crate) fn post(&self, path: &str) -> Result<Answered> {
        self.answered(self.agent.post(self.url(path)).send_empty())
    }

    pub(crate) fn delete(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answered> {
        let mut request = self.agent.delete(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answered(request.call())
    }

    /// A document of the API, which must be there.
    pub(crate) fn document(&self, path: &str) -> Result<Value> {
        let answered = self.get(path, &[("accept", "application/json")])?;
        answered.check()?;
        serde_json::from_slice(&answered.body)
            .with_context(|| format!("{} did not answer with JSON", self.url(path)))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn answered(&self, result: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answered> {
        let mut response = result.with_context(|| {
            format!("cannot ask the node at {}: is it running? `henge dev` starts a cluster; --at names another node", self.at)
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
        Ok(Answered { status, headers, body })
    }
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// An error in the node's own words, if the answer is one.
    pub(crate) fn check(&self) -> Result<()> {
        if self.status < 400 {
            return Ok(());
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let title = problem["title"].as_str().unwrap_or("the node answered with an error");
        match problem["detail"].as_str() {
            Some(detail) => bail!("{title} ({}): {detail}", self.status),
            None => bail!("{title} ({})", self.status),
        }
    }
}

/// The path of a key; every byte that could mean something else is escaped.
pub(crate) fn key_path(prefix: &str, keyspace: &str, key: &str) -> String {
    let mut path = prefix.replace("{ks}", &escape(keyspace));
    path.push_str(&escape(key));
    path
}

fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_characters_is_one_segment_of_a_path() {
        let path = key_path("/v1/keyspaces/{ks}/keys/", "default", "a/b c?ä..");
        assert_eq!(path, "/v1/keyspaces/default/keys/a%2Fb%20c%3F%C3%A4%2E%2E");
    }
}
