//! `henge partition`: what can be said of partitions, of all or of one.

use clap::{Args, Subcommand};

use super::At;
use super::node::How;

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// Halve all partitions: each becomes two with the same owners. Nothing moves, and clients notice nothing; but there is more to
    /// choose from when load is to be spread, and each movement is half as large.
    #[command(after_help = "Example: henge partition halve --dry-run")]
    Halve(Halve),
    /// Let a node own a partition, in the place of another. Partitions beside it may move too, the fewest that can be. Placement evens
    /// out claims again when members change.
    #[command(after_help = "Example: henge partition move 17 --to n4 --dry-run")]
    Move(Move),
}

#[derive(Debug, Args)]
pub(crate) struct Halve {
    /// Change nothing, and say what it would come to.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The number of the partition, as `henge top` shows it.
    #[arg(value_name = "PARTITION")]
    pub(crate) partition: u16,
    /// The node that is to own it.
    #[arg(long, value_name = "NODE")]
    pub(crate) to: String,
    /// The node that is to give it up; whoever gives way where nobody is named.
    #[arg(long, value_name = "NODE")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) how: How,
}
