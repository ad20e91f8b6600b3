//! `henge partition`: what can be said of single partitions.

use clap::{Args, Subcommand};

use super::node::How;

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// Let a node own a partition, in the place of another. Partitions beside it may move too, the fewest that can be. Placement evens
    /// out claims again when members change.
    #[command(after_help = "Example: henge partition move 17 --to n4 --dry-run")]
    Move(Move),
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
