//! The provider `command`: three programs that the operator writes.
//!
//! Each is told what to do on its standard input, as one line of JSON, and in its environment for those who write shell; it
//! answers on its standard output with JSON, and with exit code 0 that it has been done. Any other exit code says that
//! nothing was done; the last line on standard error says why. One that takes too long is killed, and whether it has done
//! anything is then not known. The contract is in `docs/autoscaler.md`.
//!
//! What must hold: no answer of a program is believed unread. A name is a plain one, and a list has an end.

use std::process::Command as Process;
use std::time::Duration;

use autoscale::{CommandConfig, PolicyError, config};
use serde::{Deserialize, Serialize};

use crate::contract::{Order, Provided, Provider, is_plain};
use crate::error::ProviderError;
use crate::hook::{Ended, run};

/// The version of the contract.
const VERSION: u32 = 1;
/// The most nodes that a list may have.
const NODES_MAX: usize = 65_535;

/// Starts and ends nodes by programs.
#[derive(Clone, Debug)]
pub struct Command {
    add: Vec<String>,
    retire: Vec<String>,
    list: Vec<String>,
    within: Duration,
}

#[derive(Serialize)]
struct Asked<'a> {
    version: u32,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacenter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rack: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    seeds: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

#[derive(Deserialize)]
struct AddAnswer {
    node: String,
}

#[derive(Deserialize)]
struct ListAnswer {
    nodes: Vec<NodeAnswer>,
}

#[derive(Deserialize)]
struct NodeAnswer {
    node: String,
    #[serde(default)]
    datacenter: String,
    #[serde(default)]
    rack: String,
    #[serde(default = "yes")]
    running: bool,
    #[serde(default = "yes")]
    retirable: bool,
}

fn yes() -> bool {
    true
}

impl Command {
    /// By these programs.
    ///
    /// # Errors
    /// If one is missing, or the time is none.
    pub fn new(config: &CommandConfig) -> Result<Command, PolicyError> {
        for (key, words) in [("add", &config.add), ("retire", &config.retire), ("list", &config.list)] {
            if words.first().is_none_or(String::is_empty) {
                let wanted = "want a program and its arguments, such as [\"/etc/henge/hook\", \"add\"]";
                return Err(PolicyError::new(&format!("command.{key}"), format!("{words:?}"), wanted));
            }
        }
        Ok(Command {
            add: config.add.clone(),
            retire: config.retire.clone(),
            list: config.list.clone(),
            within: config::wait("command.within", config.within.as_deref(), Duration::from_secs(60))?,
        })
    }

    /// Runs a hook, and hands back what it answered.
    fn ask(&self, what: &str, words: &[String], asked: &Asked<'_>) -> Result<Vec<u8>, ProviderError> {
        let [program, arguments @ ..] = words else {
            return Err(ProviderError::not_done(what, "no program is set for it"));
        };
        let mut line = serde_json::to_vec(asked).expect("plain fields become JSON");
        line.push(b'\n');
        let mut process = Process::new(program);
        process.args(arguments).envs(environment(asked));
        let told = |why: String, complaint: &str| {
            let said = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
            format!("`{program}` {why}{said}")
        };
        match run(&mut process, line, self.within) {
            Err(error) => Err(ProviderError::not_done(what, format!("cannot run `{program}`: {error}"))),
            Ok(Ended::Killed { why, complaint }) => {
                Err(ProviderError::unknown(what, told(format!("failed: {why}"), &complaint)))
            }
            Ok(Ended::Exited { status, answer, .. }) if status.success() => Ok(answer),
            // A signal may have come when half was done; an exit code is the program's own word.
            Ok(Ended::Exited { status, complaint, .. }) if status.code().is_none() => {
                Err(ProviderError::unknown(what, told(format!("was killed ({status})"), &complaint)))
            }
            Ok(Ended::Exited { status, complaint, .. }) => {
                Err(ProviderError::not_done(what, told(format!("refused ({status})"), &complaint)))
            }
        }
    }
}

/// The same as the line of JSON, for those who write shell.
fn environment(asked: &Asked<'_>) -> Vec<(String, String)> {
    let weight = asked.weight.map(|weight| weight.to_string());
    let seeds = (!asked.seeds.is_empty()).then(|| asked.seeds.join(","));
    let pairs = [
        ("ACTION", Some(asked.action)),
        ("REQUEST", asked.request),
        ("NODE", asked.node),
        ("NAME", asked.name),
        ("DATACENTER", asked.datacenter),
        ("RACK", asked.rack),
        ("WEIGHT", weight.as_deref()),
        ("CLUSTER", asked.cluster),
        ("SEEDS", seeds.as_deref()),
        ("REPLACES", asked.replaces),
    ];
    let told = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
    told.map(|(key, value)| (format!("HENGE_AUTOSCALER_{key}"), value.to_owned())).collect()
}

fn nothing(action: &str) -> Asked<'_> {
    Asked {
        version: VERSION,
        action,
        request: None,
        node: None,
        name: None,
        datacenter: None,
        rack: None,
        weight: None,
        cluster: None,
        seeds: &[],
        replaces: None,
    }
}

/// An answer as it was meant to be; `example` is one.
fn understand<T: for<'de> Deserialize<'de>>(
    what: &str,
    answer: &[u8],
    example: &str,
) -> Result<T, ProviderError> {
    serde_json::from_slice(answer).map_err(|error| {
        let shown: String = String::from_utf8_lossy(answer).trim().chars().take(100).collect();
        ProviderError::unknown(
            what,
            format!("it answered `{shown}`, and was to answer like `{example}` ({error})"),
        )
    })
}

fn check_name(what: &str, name: &str) -> Result<(), ProviderError> {
    if is_plain(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(64).collect();
    let wanted = "a node's name is 1 to 64 letters, digits, dots, dashes and underscores";
    Err(ProviderError::unknown(what, format!("it answered that the node is called {shown:?}: {wanted}")))
}

impl Provider for Command {
    fn add(&mut self, order: &Order) -> Result<String, ProviderError> {
        let wanted = &order.wanted;
        let what = format!("add {wanted}");
        let asked = Asked {
            request: Some(&wanted.request),
            name: Some(&wanted.name),
            datacenter: Some(&wanted.data_center),
            rack: Some(&wanted.rack),
            weight: Some(f64::from(wanted.weight_thousandths) / 1_000.0),
            cluster: Some(&order.cluster),
            seeds: &order.seeds,
            replaces: order.replaces.as_deref(),
            ..nothing("add")
        };
        let answer = self.ask(&what, &self.add, &asked)?;
        let answer: AddAnswer = understand(&what, &answer, "{\"node\": \"auto-1\"}")?;
        check_name(&what, &answer.node)?;
        Ok(answer.node)
    }

    fn retire(&mut self, name: &str) -> Result<(), ProviderError> {
        let asked = Asked { node: Some(name), ..nothing("retire") };
        self.ask(&format!("retire {name}"), &self.retire, &asked).map(|_| ())
    }

    fn list(&mut self) -> Result<Vec<Provided>, ProviderError> {
        let what = "list the nodes";
        let answer = self.ask(what, &self.list, &nothing("list"))?;
        let answer: ListAnswer = understand(what, &answer, "{\"nodes\": [{\"node\": \"auto-1\"}]}")?;
        if answer.nodes.len() > NODES_MAX {
            let why = format!("it listed {} nodes, and there can be {NODES_MAX}", answer.nodes.len());
            return Err(ProviderError::not_done(what, why));
        }
        let mut nodes = Vec::with_capacity(answer.nodes.len());
        for node in answer.nodes {
            check_name(what, &node.node)?;
            nodes.push(Provided {
                name: node.node,
                data_center: node.datacenter,
                rack: node.rack,
                is_running: node.running,
                is_retirable: node.retirable,
            });
        }
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes.dedup_by(|one, other| one.name == other.name);
        Ok(nodes)
    }
}
