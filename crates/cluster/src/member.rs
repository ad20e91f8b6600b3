//! Members: the nodes that the cluster state knows.

use std::net::SocketAddr;

use ring::{PlacementMember, WEIGHTS};
use serde::{Deserialize, Serialize};
use types::NodeId;

use crate::error::ConfigError;

/// The longest name of a cluster, node, data center, rack or keyspace, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Where a node listens; nothing where it does not, or where nobody needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Addresses {
    /// RESP, as one store.
    pub resp: Option<SocketAddr>,
    /// RESP, as a Redis Cluster.
    pub cluster: Option<SocketAddr>,
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// For its peers.
    pub peer: Option<SocketAddr>,
}

/// A node to be: what people say of it before the cluster state numbers it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemberPlan {
    /// What people call it; unique in the cluster.
    pub name: String,
    /// Its data center.
    pub data_center: String,
    /// Its rack: whatever fails together with it.
    pub rack: String,
    /// Its capacity beside the others'.
    pub weight: f64,
    /// Where it listens.
    pub addresses: Addresses,
}

/// How a member stands to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It has yet to get all that it is to have.
    Joining,
    /// It has all that it is to have.
    Settled,
    /// It hands over what it has, and goes.
    Leaving,
    /// It is gone for good, with its data: nobody waits for it, and nobody lets it in.
    Gone,
}

impl Standing {
    /// Whether it is to keep anything, or to get it.
    pub fn stays(self) -> bool {
        matches!(self, Standing::Joining | Standing::Settled)
    }
}

/// A node of the cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its number, never used again for another.
    pub id: NodeId,
    /// What people call it; unique in the cluster.
    pub name: String,
    /// Its data center.
    pub data_center: String,
    /// Its rack: whatever fails together with it.
    pub rack: String,
    /// Its capacity beside the others'.
    pub weight: f64,
    /// Where it listens.
    pub addresses: Addresses,
    /// How it stands to the cluster.
    pub standing: Standing,
}

impl Member {
    pub(crate) fn new(id: NodeId, plan: MemberPlan, standing: Standing) -> Member {
        let MemberPlan { name, data_center, rack, weight, addresses } = plan;
        Member { id, name, data_center, rack, weight, addresses, standing }
    }

    /// Checks its names and its weight.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_name("cluster.members.id", &self.name)?;
        let section = format!("cluster.members.{}", self.name);
        check_name("datacenter", &self.data_center).map_err(|error| error.within(&section))?;
        check_name("rack", &self.rack).map_err(|error| error.within(&section))?;
        if WEIGHTS.contains(&self.weight) {
            return Ok(());
        }
        let wanted = "a weight is a number from 0.001 to 1000, usually 1";
        Err(ConfigError::new("weight", self.weight, wanted).within(&section))
    }

    /// What placement needs to know of it.
    pub(crate) fn to_placement(&self) -> PlacementMember {
        PlacementMember {
            node: self.id,
            data_center: self.data_center.clone(),
            rack: self.rack.clone(),
            weight: self.weight,
        }
    }
}

/// Checks a name: it appears in files, addresses, metrics and commands, so it is plain everywhere.
///
/// # Errors
/// Unless it is 1 to 64 of the letters `A-Z a-z 0-9 . _ -`.
pub fn check_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(ConfigError::new(
        key,
        format!("{shown:?}"),
        "a name is 1 to 64 letters, digits, dots, dashes and underscores",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["n1", "a", "Node-1.rack_2", &"x".repeat(64)] {
            assert_eq!(check_name("node.id", good), Ok(()));
        }
        for bad in ["", "a b", "ü", "a/b", "n1\n", &"x".repeat(65)] {
            assert!(check_name("node.id", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_is_told_with_its_key() {
        assert_eq!(
            check_name("cluster.name", "my cluster").unwrap_err().to_string(),
            "cluster.name = \"my cluster\": a name is 1 to 64 letters, digits, dots, dashes and underscores"
        );
    }
}
