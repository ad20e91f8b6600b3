//! What every provider can do.

use autoscale::{Requested, Wanted};

use crate::error::ProviderError;

/// A node to be started, and the cluster that it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// What was decided.
    pub wanted: Wanted,
    /// The cluster's name.
    pub cluster: String,
    /// Where members listen for peers: the node joins at any of them.
    pub seeds: Vec<String>,
    /// The member that is gone for good, and whose place it takes when it joins. A provider that cannot tell a single node so passes
    /// it over: then the node joins as one more, and the dead one is taken out when it has.
    pub replaces: Option<String>,
}

/// A node that a provider has started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provided {
    /// What it is called, as a member too.
    pub name: String,
    /// Its data center; empty where the provider does not know.
    pub data_center: String,
    /// Its rack; empty where the provider does not know.
    pub rack: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Whether it could be ended now.
    pub is_retirable: bool,
}

impl Provided {
    /// The same, as an autoscaler is shown it where it is no member.
    pub fn requested(&self) -> Requested {
        Requested { name: self.name.clone(), data_center: self.data_center.clone(), rack: self.rack.clone() }
    }
}

/// Starts and ends nodes.
pub trait Provider: Send {
    /// Starts a node, which joins by itself, and says what it is called. The same request starts one node.
    ///
    /// # Errors
    /// If it was not started, or that is not known.
    fn add(&mut self, order: &Order) -> Result<String, ProviderError>;

    /// Ends a node that has left the cluster, or was never in it. One that has ended already is done.
    ///
    /// # Errors
    /// If it still runs, or that is not known; or if the provider did not start it.
    fn retire(&mut self, name: &str) -> Result<(), ProviderError>;

    /// What it has started and not ended, in the order of names.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn list(&mut self) -> Result<Vec<Provided>, ProviderError>;
}

/// The longest name of a node, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whether a node may be called so: names appear in files, addresses, metrics and commands, so they are plain everywhere.
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}
