//! What a level means for the owners that there are.
//!
//! Quorums are over the owners there are: where a partition has fewer than N, because there are fewer nodes, `quorum`
//! is a majority of those, and `two` and `three` ask for as many as there are. A bare number is somebody's explicit
//! demand and is never lowered: more than there are owners cannot be met, and is said so before anything is sent.
//!
//! Plain levels count over the owners of all data centers together, `local-*` over the coordinator's own.

use std::fmt;

use types::NodeId;

use crate::Level;

/// A data center, as the cluster state numbers it.
pub type DataCenter = u8;

/// A node that owns a partition, and the data center that it is in.
pub type Owner = (NodeId, DataCenter);

/// How many answers are needed, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requirement {
    /// This many distinct owners, anywhere.
    Anywhere(usize),
    /// This many distinct owners in this data center.
    Within(DataCenter, usize),
    /// In each of these data centers this many distinct owners; ascending by data center.
    Each(Vec<(DataCenter, usize)>),
}

/// What `level` requires of `owners`, for a coordinator in `local`. Owners are distinct nodes.
///
/// At least one answer is always required, also where there is no owner to give it: a request that nobody served must
/// never count as served.
pub fn required(level: Level, owners: &[Owner], local: DataCenter) -> Requirement {
    let all = owners.len();
    let up_to = |count: usize| Requirement::Anywhere(count.min(all).max(1));
    match level {
        Level::One => up_to(1),
        Level::Two => up_to(2),
        Level::Three => up_to(3),
        Level::Quorum => Requirement::Anywhere(majority(all)),
        Level::All => up_to(all),
        Level::Count(count) => Requirement::Anywhere(usize::from(count).max(1)),
        Level::LocalOne => Requirement::Within(local, 1),
        Level::LocalQuorum => Requirement::Within(local, majority(within(owners, local))),
        Level::EachQuorum => each_quorum(owners),
    }
}

impl Requirement {
    /// The answers needed in all.
    pub fn total(&self) -> usize {
        match self {
            Requirement::Anywhere(count) | Requirement::Within(_, count) => *count,
            Requirement::Each(counts) => counts.iter().map(|(_, count)| count).sum(),
        }
    }

    /// Whether these owners are enough; each is to be named once.
    pub fn is_met_by(&self, owners: impl Iterator<Item = Owner> + Clone) -> bool {
        let within = |home| owners.clone().filter(|owner| owner.1 == home).count();
        match self {
            Requirement::Anywhere(count) => owners.count() >= *count,
            Requirement::Within(home, count) => within(*home) >= *count,
            Requirement::Each(counts) => counts.iter().all(|&(home, count)| within(home) >= count),
        }
    }

    /// The counts that are due in particular data centers; none if the owners may be anywhere.
    pub(crate) fn per_data_center(&self) -> Option<Vec<(DataCenter, usize)>> {
        match self {
            Requirement::Anywhere(_) => None,
            Requirement::Within(home, count) => Some(vec![(*home, *count)]),
            Requirement::Each(counts) => Some(counts.clone()),
        }
    }
}

/// As an error message says it: `2 owners`, `2 owners in data center 0`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners = |count: usize| if count == 1 { "owner" } else { "owners" };
        match self {
            Requirement::Anywhere(count) => write!(f, "{count} {}", owners(*count)),
            Requirement::Within(data_center, count) => {
                write!(f, "{count} {} in data center {data_center}", owners(*count))
            }
            Requirement::Each(counts) => {
                for (index, &(data_center, count)) in counts.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " and " };
                    write!(f, "{separator}{}", Requirement::Within(data_center, count))?;
                }
                Ok(())
            }
        }
    }
}

/// More than half of `count`.
fn majority(count: usize) -> usize {
    count / 2 + 1
}

fn within(owners: &[Owner], data_center: DataCenter) -> usize {
    owners.iter().filter(|owner| owner.1 == data_center).count()
}

fn each_quorum(owners: &[Owner]) -> Requirement {
    let mut data_centers: Vec<DataCenter> = owners.iter().map(|owner| owner.1).collect();
    data_centers.sort_unstable();
    data_centers.dedup();
    if data_centers.is_empty() {
        return Requirement::Anywhere(1);
    }
    let quorum = |data_center| (data_center, majority(within(owners, data_center)));
    Requirement::Each(data_centers.into_iter().map(quorum).collect())
}
