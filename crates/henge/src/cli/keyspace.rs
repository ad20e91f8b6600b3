//! `henge keyspace`: what can be said of keyspaces.

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::At;
use super::node::How;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyspaceCommand {
    /// Make a keyspace. It can be used at once, on every node that has heard of it.
    #[command(after_help = "Example: henge keyspace create carts --n 3 --preset quorum --quorum strict")]
    Create(Create),
    /// Alter settings of a keyspace, those that are named. Another N moves partitions; this waits until they have moved.
    #[command(after_help = "Example: henge keyspace alter carts --n dc1=2,dc2=1 --dry-run")]
    Alter(Alter),
    /// Show the keyspaces and what each promises.
    #[command(after_help = "Example: henge keyspace list")]
    List(At),
    /// Drop a keyspace and all its keys, for ever.
    #[command(after_help = "Example: henge keyspace drop carts --yes")]
    Drop(Drop),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is to be called: letters, digits, dots, dashes and underscores.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Alter {
    /// What it is called, or its number.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// What it is called, or its number.
    pub(crate) name: String,
    /// Do not ask whether it is meant.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) at: At,
}

/// What can be set of a keyspace, as the node is told of it. What is left out is the default, or stays as it is.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// The number that SELECT takes; the next free one where nothing is said. It stays what it is.
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// How many owners each key has in each data center: 3, or dc1=2,dc2=1.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// How many owners answer a read: a number, or one, two, three, quorum, all, local-one, local-quorum, each-quorum.
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<String>,
    /// How many owners hold a write before it is acknowledged.
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<String>,
    /// R and W by a name: fast-read, fast-write or quorum.
    #[arg(long, value_name = "PRESET")]
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
    /// What becomes of concurrent writes: siblings, lww or priority. It stays what it is.
    #[arg(long, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// Who may answer for an owner that is away: others (sloppy), or nobody (strict).
    #[arg(long, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<String>,
    /// When a write counts as stored: once it is synced (always), or before (interval).
    #[arg(long, value_name = "DURABILITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<String>,
    /// Overwriting needs a context.
    #[arg(long, value_name = "YES|NO", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    require_context: Option<bool>,
    /// FLUSHDB may delete all its keys.
    #[arg(long, value_name = "YES|NO", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_flush: Option<bool>,
    /// The classic size threshold of vector clocks, beyond which superseded values may come back; 0 for none.
    #[arg(long, value_name = "ENTRIES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_clock_entries: Option<u32>,
    /// The longest value, such as 4MiB.
    #[arg(long, value_name = "BYTES", value_parser = crate::config::parse_bytes)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value_bytes_max: Option<u64>,
}
