//! `[autoscaler.local]`, `[autoscaler.command]` and `[autoscaler.kubernetes]`, as they are written.
//!
//! They stand here and not with the providers, so that a misspelt key is refused by a program that was built without one of
//! them. What they come to is the providers' to say.

use std::path::PathBuf;

use serde::Deserialize;

/// `[autoscaler.local]`: nodes that are processes of this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// Where their data, their logs and the list of them are kept.
    pub root: Option<PathBuf>,
    /// The program; the running one if it is left out.
    pub binary: Option<PathBuf>,
    /// What it is given beside what the provider gives it.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// How long a start may take until the node listens, such as `20s`.
    pub start_within: Option<String>,
    /// How long a node may take to stop before it is ended by force.
    pub stop_within: Option<String>,
}

/// `[autoscaler.command]`: programs that the operator wrote, each with its arguments.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// Starts a node.
    #[serde(default)]
    pub add: Vec<String>,
    /// Ends a node.
    #[serde(default)]
    pub retire: Vec<String>,
    /// Lists the nodes that were started.
    #[serde(default)]
    pub list: Vec<String>,
    /// How long each may take, such as `60s`.
    pub within: Option<String>,
}

/// `[autoscaler.kubernetes]`: nodes that are pods.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The namespace; `default` if it is left out.
    pub namespace: Option<String>,
    /// How long a change may take, with all attempts, such as `30s`.
    pub within: Option<String>,
    /// For each rack the StatefulSet whose pods are its nodes.
    #[serde(default)]
    pub stateful_sets: Vec<StatefulSetConfig>,
}

/// One of `[[autoscaler.kubernetes.stateful_sets]]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatefulSetConfig {
    /// What it is called. Its pods are called so with a number, and each node is called as its pod.
    pub name: String,
    /// The data center of its nodes; `dc1` if it is left out.
    pub datacenter: Option<String>,
    /// Their rack.
    pub rack: String,
}
