//! `henge node`: what can be said of members.

use clap::{Args, Subcommand};

use super::At;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Let nodes hand over what they have, and leave. Several at once move less than one after the other.
    #[command(after_help = "Example: henge node drain n4 n5 --dry-run")]
    Drain(Drain),
    /// Say that a node is gone for good, and its data with it. Others get its partitions from those who have them too; it is
    /// never let in again. A node that is up is refused: drain it, or stop it first.
    #[command(after_help = "Example: henge node remove n4")]
    Remove(Remove),
    /// Let a node that joins leave again, or one that leaves stay.
    #[command(after_help = "Example: henge node cancel n4")]
    Cancel(Cancel),
    /// Give a node another weight: it is to own more partitions beside the others, or fewer.
    #[command(after_help = "Example: henge node weight n4 2 --dry-run")]
    Weight(Weight),
}

/// Whether a change is made, and waited for.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Change nothing, and show which partitions would move, from whom to whom, why, and how many bytes.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait until what is to move has moved.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The nodes.
    #[arg(required = true, value_name = "NODE")]
    pub(crate) nodes: Vec<String>,
    /// Though a data center is left with fewer nodes than a keyspace has replicas there.
    #[arg(long)]
    pub(crate) below_n: bool,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The node.
    pub(crate) node: String,
    /// Though a data center is left with fewer nodes than a keyspace has replicas there.
    #[arg(long)]
    pub(crate) below_n: bool,
    /// Though it has the last copy of some partitions: what is in them is lost.
    #[arg(long)]
    pub(crate) lose_data: bool,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The node.
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Weight {
    /// The node.
    pub(crate) node: String,
    /// Its capacity beside the others', from 0.001 to 1000; usually 1.
    pub(crate) weight: f64,
    #[command(flatten)]
    pub(crate) how: How,
}
