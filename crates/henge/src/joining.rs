//! `henge server --dry-run`: what joining would come to, as the members see it now.
//!
//! What must hold: nothing is changed, here or there, and the plan is that of the join itself: it is worked out by a member from the same
//! words.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use env::RealDisk;

use crate::client::plan;
use crate::config::{First, NodeConfig};

/// How long the seeds are asked for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prints what would move if the node joined.
pub(crate) fn preview(config: NodeConfig, json: bool) -> Result<ExitCode> {
    let NodeConfig { name, data_dir, first, .. } = config;
    let First::Joins { seeds, plan: node } = first else {
        bail!(
            "--dry-run shows what joining a cluster would come to, and {name} founds one: name its seeds (--seeds)"
        );
    };
    let known = node::known_state(&RealDisk, &data_dir).map_err(|why| {
        anyhow!("{}: the cluster state kept here cannot be read: {why}", data_dir.display())
    })?;
    if let Some(known) = known {
        bail!("{name} is a member of cluster {} already, by what {} has", known.name(), data_dir.display());
    }
    let say = |what: &str| tracing::info!(node = %name, waits = %what, "asks what joining would come to");
    let planned = http_front::plan_document(node::runtime::preview(&seeds, &node, PATIENCE, say)?);
    if json {
        println!("{planned}");
    } else {
        print!("{}", plan::shown(&planned));
    }
    Ok(ExitCode::SUCCESS)
}
