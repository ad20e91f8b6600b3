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
    /// Merge partitions, two by two: what was halved becomes one again. Both halves of each pair go to the same owners first, where they
    /// are not; then they are joined, and clients notice nothing. There is less to keep trees and marks of, and less to move at once.
    #[command(after_help = "Example: henge partition merge --dry-run")]
    Merge(Merge),
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
pub(crate) struct Merge {
    /// Call it off: the halves stay, and go where placement would have them.
    #[arg(long)]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) how: How,
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
