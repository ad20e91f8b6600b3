//! A small HTTP client.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use super::patience::LIMIT;

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header field; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The context that the answer carries.
    #[track_caller]
    pub(crate) fn context(&self) -> String {
        let token = self.header("henge-context");
        assert!(!token.is_empty(), "no context in {self:?}");
        token.to_owned()
    }

    /// The same answer, if it has this status; else the test fails.
    #[track_caller]
    pub(crate) fn with_status(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The values of a JSON answer, each with its clock as the literature writes it: `([n1,2],[n2,1])`.
    #[track_caller]
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        let document = self.json();
        let values = document["values"].as_array().expect("an answer with values");
        values.iter().map(|value| (text_of(&value["value"]), clock_of(&value["clock"]))).collect()
    }
}

fn text_of(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().expect("values are base64")).expect("values are base64");
    String::from_utf8(bytes).expect("tests store text")
}

fn clock_of(clock: &Value) -> String {
    let entries = clock.as_array().expect("clocks are lists").iter();
    let each: Vec<String> =
        entries.map(|entry| format!("[{},{}]", entry[0].as_str().expect("a name"), entry[1])).collect();
    format!("({})", each.join(","))
}

/// One node's HTTP API.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    agent: Agent,
}

impl Http {
    pub(crate) fn new(address: SocketAddr) -> Http {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT)).max_redirects(0);
        Http { address, agent: config.build().into() }
    }

    /// Asks, or says why there was no answer.
    pub(crate) fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match method {
            "GET" => self.agent.run(request.body(()).expect("tests make good requests"))?,
            _ => self.agent.run(request.body(body).expect("tests make good requests"))?,
        };
        let body = response.body_mut().with_config().limit(1 << 30).read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_ask("GET", path, headers, b"").expect("the node answers")
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_ask("PUT", path, headers, body.as_bytes()).expect("the node answers")
    }

    /// A key with everything that the node knows of it, as JSON.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Answer {
        self.get(path, &[("accept", "application/json")])
    }

    /// The context of a key, if it has been written.
    pub(crate) fn read_head(&self, path: &str) -> Option<String> {
        let answer = self.get(path, &[]);
        Some(answer.header("henge-context").to_owned()).filter(|token| !token.is_empty())
    }

    /// The states of all nodes as this one sees them, in the order of their names; nothing if it does not answer.
    pub(crate) fn states(&self) -> Option<Vec<String>> {
        let answer = self.try_ask("GET", "/v1/cluster", &[], b"").ok()?;
        let nodes = answer.json()["nodes"].as_array()?.clone();
        Some(nodes.iter().map(|node| node["state"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

/// The path of a key.
pub(crate) fn key_path(keyspace: &str, key: &str) -> String {
    format!("/v1/keyspaces/{keyspace}/keys/{key}")
}
