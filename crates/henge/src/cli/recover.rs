//! `henge recover`: the history of the cluster state is begun again.

use clap::Args;

use super::At;

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// A node that is gone for good, with its data: it is removed at once. May be given several times.
    #[arg(long, value_name = "NODE")]
    pub(crate) without: Vec<String>,
    /// A node that has a later state, or one of another history, which is to be given up. May be given several times.
    #[arg(long, value_name = "NODE")]
    pub(crate) losing: Vec<String>,
    /// Do it. Without this, nothing is done: it is shown what each node has, and what it would come to.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) at: At,
}
