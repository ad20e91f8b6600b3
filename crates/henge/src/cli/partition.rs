//! `henge partition`: what can be said of all partitions.

use clap::{Args, Subcommand};

use super::At;

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// Halve all partitions: each becomes two with the same owners. Nothing moves, and clients notice nothing; but there is more to
    /// choose from when load is to be spread, and each movement is half as large.
    #[command(after_help = "Example: henge partition halve --dry-run")]
    Halve(Halve),
}

#[derive(Debug, Args)]
pub(crate) struct Halve {
    /// Change nothing, and say what it would come to.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) at: At,
}
