//! Everything that can be said on the command line. Help, completions and the manual are made from this alone.

pub(crate) mod keyspace;
pub(crate) mod node;
pub(crate) mod partition;
pub(crate) mod recover;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::lab::order::{self, Nodes, parse_delay};

use keyspace::KeyspaceCommand;
use node::NodeCommand;
use partition::PartitionCommand;
use recover::Recover;

/// A distributed key-value store: a ring of equal nodes that any Redis client talks to and that keeps answering while
/// nodes, racks and data centers fail.
#[derive(Debug, Parser)]
#[command(name = "henge", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What was said on the command line. What cannot be said ends the program with the reason.
pub(crate) fn parse() -> Cli {
    let mut command = Cli::command();
    let matches = command.get_matches_mut();
    if let Some(what) = lost_on_an_order(&command, &matches) {
        command.error(ErrorKind::ArgumentConflict, what).exit();
    }
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// An option of `henge dev` that says how a ring is started, given with an order to one that runs: it would do nothing.
fn lost_on_an_order(command: &clap::Command, matches: &ArgMatches) -> Option<String> {
    let dev = matches.subcommand_matches("dev")?;
    let order = dev.subcommand_name()?;
    let own = command.find_subcommand("dev")?.get_arguments().filter(|one| !one.is_global_set());
    let mut given =
        own.filter(|one| dev.value_source(one.get_id().as_str()) == Some(ValueSource::CommandLine));
    let option = given.next()?.get_long()?;
    Some(format!("--{option} says how a ring is started: it means nothing to `henge dev {order}`"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster on this machine, in one process, to try things out; and, from another terminal, let its nodes fail.
    Dev(Box<Dev>),
    /// Run one node.
    Server(Box<Server>),
    /// Read a key.
    Get(Get),
    /// Write a key.
    Put(Put),
    /// Delete a key.
    Del(Del),
    /// Show the cluster, its nodes and its keyspaces.
    Status(At),
    /// Show what a node has heard of all members: their heartbeats, how old those are, and who suspects whom.
    Members(At),
    /// Show which keys and partitions a node is asked for most, over about the last minute.
    Top(At),
    /// Show which node owns which slots.
    Ring(At),
    /// Watch what moves until all is where it is to be, whatever it moves for: how much, how fast, and for how long still.
    Watch(At),
    /// Show where a key lives and what each of its owners holds.
    Explain(Explain),
    /// Compare all that the nodes own with each other, now, and mend what differs. Owners do so by themselves about every
    /// ten seconds; this waits until all have, and says what they found.
    Repair(At),
    /// Make, alter, list and drop keyspaces.
    #[command(subcommand)]
    Keyspace(KeyspaceCommand),
    /// Let nodes leave, take them for gone, weigh them, and turn that round. Nodes join by being started.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Halve all partitions, merge them again, or move single ones.
    #[command(subcommand)]
    Partition(PartitionCommand),
    /// Show whether the autoscaler decides, on which figures, and what it has decided of late.
    Autoscaler(At),
    /// Begin the history of the cluster state again, at one of the nodes that are left, because the majority of those who keep it is lost
    /// for good. Shows what each node has, and does nothing without --yes.
    #[command(after_help = "Example: henge recover --at 10.0.0.4:8001 --without n1 --without n2 --yes")]
    Recover(Recover),
    /// Measure a server that speaks the Redis protocol: this one, or another.
    Bench(Box<bench::Args>),
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff), or write one page per command into a directory.
    Man {
        /// Write `henge.1`, `henge-dev.1`, ... here.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(subcommand_help_heading = "Commands to a cluster that runs")]
pub(crate) struct Dev {
    #[command(subcommand)]
    pub(crate) command: Option<DevCommand>,
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32), env = "HENGE_DEV_NODES")]
    pub(crate) nodes: u16,
    /// Where to keep their data. It is there again at the next start.
    #[arg(long, value_name = "DIR", default_value = "henge-data", env = "HENGE_DEV_DATA", global = true)]
    pub(crate) data: PathBuf,
    /// When a write of the built-in keyspaces counts as stored: when it is synced to disk, or before, with a sync every
    /// second.
    #[arg(long, value_enum, default_value_t = Durability::Always)]
    pub(crate) durability: Durability,
    /// Memory for each node, such as 256MiB.
    #[arg(long, default_value = "256MiB", value_parser = crate::config::parse_bytes)]
    pub(crate) memory: u64,
    /// How many shards each node divides its work among, a power of two.
    #[arg(long, default_value_t = 1)]
    pub(crate) shards: u8,
    /// Partitions of the ring: a power of two. Read when the data directory is made; later `henge partition` halves and merges them.
    #[arg(long, default_value_t = 256)]
    pub(crate) partitions: u64,
    /// The first node's port for Redis clients; the others follow.
    #[arg(long, default_value_t = 7001)]
    pub(crate) resp_port: u16,
    /// The first node's port for Redis Cluster clients.
    #[arg(long, default_value_t = 7101)]
    pub(crate) cluster_port: u16,
    /// The first node's port for HTTP.
    #[arg(long, default_value_t = 8001)]
    pub(crate) http_port: u16,
    /// The first node's port for its peers.
    #[arg(long, default_value_t = 9001)]
    pub(crate) peer_port: u16,
}

/// What is done to a `henge dev` that runs on the same directory. Nodes are called `n2`, or `2`.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// End nodes at once, as if their machines stopped: what they had not synced is lost.
    Kill(Which),
    /// Let nodes stand still: they keep their connections and answer nothing.
    Pause(Which),
    /// Let paused nodes go on.
    Resume(Which),
    /// Start nodes that were killed; those that run are stopped in good order before.
    Restart(Which),
    /// Cut the network: nothing passes between the sides. A node on no side reaches all.
    Cut {
        /// The sides, as in 1,2/3.
        #[arg(value_parser = clap::builder::ValueParser::new(parse_sides))]
        sides: Sides,
    },
    /// Let all nodes reach each other again, as fast as ever.
    Heal,
    /// Let every message to or from a node take longer.
    Slow {
        /// Which node.
        node: String,
        /// By how much, as in 200ms or 1.5s; 0 ends it.
        #[arg(value_parser = parse_delay)]
        by: Duration,
    },
    /// Show which nodes run, and what is between them.
    Show,
    /// Watch a ring fail for half a minute: a ring of its own is loaded, loses a node, is cut in two and healed, and what
    /// clients saw is shown for each choice of the CAP theorem. Fails if an acknowledged write is lost.
    Drill,
}

/// Which nodes.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Nodes, as in 2 or n2.
    #[arg(required = true, value_name = "NODE")]
    pub(crate) nodes: Vec<String>,
}

/// The sides of a cut.
#[derive(Clone, Debug)]
pub(crate) struct Sides(pub(crate) Vec<Nodes>);

fn parse_sides(text: &str) -> Result<Sides, String> {
    order::parse_sides(text).map(Sides)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Durability {
    /// Synced before it is acknowledged.
    Always,
    /// Acknowledged first, synced every second.
    Interval,
}

impl Durability {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Durability::Always => "always",
            Durability::Interval => "interval",
        }
    }
}

/// Every key of the configuration file, but for lists and the section `[autoscaler]`, is also a flag and an environment variable; a
/// flag wins over a variable, and that over the file.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "HENGE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The node's name [node.id]
    #[arg(long, value_name = "NAME", env = "HENGE_NODE_ID")]
    pub(crate) node_id: Option<String>,
    /// Where the node keeps its data [node.data_dir]
    #[arg(long, value_name = "DIR", env = "HENGE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The memory that the node may use, such as 1GiB [node.memory]
    #[arg(long, value_name = "BYTES", env = "HENGE_MEMORY", value_parser = crate::config::parse_bytes)]
    pub(crate) memory: Option<u64>,
    /// Room on the disk that is kept for deletes and compactions: with less than this free the node refuses new values. As
    /// much as they may need where nothing is said, but no more than a quarter of the disk [node.disk_reserve]
    #[arg(long, value_name = "BYTES", env = "HENGE_DISK_RESERVE", value_parser = crate::config::parse_bytes)]
    pub(crate) disk_reserve: Option<u64>,
    /// How many shards the node divides its work among, a power of two; half of the cores where nothing is said. Another
    /// number than before rewrites the store at the start [node.shards]
    #[arg(long, value_name = "N", env = "HENGE_SHARDS")]
    pub(crate) shards: Option<u8>,
    /// The node's capacity beside the others'. Where nothing is said, a node that joins weighs by its cores, memory and disk
    /// beside those of the member that it asks, and one that founds a cluster weighs 1 [node.weight]
    #[arg(long, env = "HENGE_WEIGHT")]
    pub(crate) weight: Option<f64>,
    /// The node's data center [node.datacenter]
    #[arg(long, value_name = "NAME", env = "HENGE_DATACENTER")]
    pub(crate) datacenter: Option<String>,
    /// The node's rack [node.rack]
    #[arg(long, value_name = "NAME", env = "HENGE_RACK")]
    pub(crate) rack: Option<String>,
    /// The address for Redis clients [listen.resp]
    #[arg(long, value_name = "ADDRESS", env = "HENGE_RESP")]
    pub(crate) resp: Option<String>,
    /// The address for Redis Cluster clients [listen.cluster]
    #[arg(long, value_name = "ADDRESS", env = "HENGE_CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// The address for HTTP [listen.http]
    #[arg(long, value_name = "ADDRESS", env = "HENGE_HTTP")]
    pub(crate) http: Option<String>,
    /// The address for the node's peers [listen.peer]
    #[arg(long, value_name = "ADDRESS", env = "HENGE_PEER")]
    pub(crate) peer: Option<String>,
    /// The cluster's name [cluster.name]
    #[arg(long, value_name = "NAME", env = "HENGE_CLUSTER_NAME")]
    pub(crate) cluster_name: Option<String>,
    /// Found the cluster on this node, though it names seeds [cluster.bootstrap]
    #[arg(long, env = "HENGE_BOOTSTRAP", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true")]
    pub(crate) bootstrap: Option<bool>,
    /// Where peers of members are reached, to join their cluster at the first start [cluster.seeds]
    #[arg(long, value_name = "ADDRESS", env = "HENGE_SEEDS", value_delimiter = ',')]
    pub(crate) seeds: Option<Vec<String>>,
    /// The member whose place this node takes when it joins, one for one. If that one is up it hands over what it has and leaves;
    /// else it is gone for good, and others give what they have of it [cluster.replaces]
    #[arg(long, value_name = "NODE", env = "HENGE_REPLACES")]
    pub(crate) replaces: Option<String>,
    /// Partitions of the ring, a power of two [cluster.partitions]
    #[arg(long, value_name = "N", env = "HENGE_PARTITIONS")]
    pub(crate) partitions: Option<u64>,
    /// A file with the secret that the cluster's nodes share, at least 16 random bytes; HENGE_CLUSTER_SECRET may hold the
    /// secret itself [cluster.secret_file]
    #[arg(long, value_name = "FILE", env = "HENGE_SECRET_FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The time from one round of gossip to the next, in milliseconds [gossip.interval_ms]
    #[arg(long, value_name = "MS", env = "HENGE_GOSSIP_INTERVAL_MS")]
    pub(crate) gossip_interval_ms: Option<u64>,
    /// How many peers are told in a round of gossip [gossip.fan_out]
    #[arg(long, value_name = "N", env = "HENGE_GOSSIP_FAN_OUT")]
    pub(crate) gossip_fan_out: Option<usize>,
    /// How improbable a silence is that makes a node suspected, as a negative decimal logarithm [gossip.phi]
    #[arg(long, value_name = "PHI", env = "HENGE_GOSSIP_PHI")]
    pub(crate) gossip_phi: Option<f64>,
    /// The same for a node that failed requests in its silence [gossip.phi_after_failures]
    #[arg(long, value_name = "PHI", env = "HENGE_GOSSIP_PHI_AFTER_FAILURES")]
    pub(crate) gossip_phi_after_failures: Option<f64>,
    /// How many client operations may be under way at once; more are refused as overload [limits.operations]
    #[arg(long, value_name = "N", env = "HENGE_LIMIT_OPERATIONS")]
    pub(crate) limit_operations: Option<usize>,
    /// How many bytes of values may be under way at once [limits.bytes]
    #[arg(long, value_name = "BYTES", env = "HENGE_LIMIT_BYTES", value_parser = crate::config::parse_bytes)]
    pub(crate) limit_bytes: Option<u64>,
    /// Of a hundred reads, for how many another owner may be asked because one is late; 0 for none [limits.hedge_percent]
    #[arg(long, value_name = "0..100", env = "HENGE_HEDGE_PERCENT")]
    pub(crate) hedge_percent: Option<u8>,
    /// Of a hundred requests, for how many something may be asked again after a refusal; 0 for none [limits.retry_percent]
    #[arg(long, value_name = "0..100", env = "HENGE_RETRY_PERCENT")]
    pub(crate) retry_percent: Option<u8>,
    /// Start nothing, and show what would move to this node if it joined: from whom, how much, and why. For a node that has --seeds,
    /// with --replaces too.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: print JSON.
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// Listen on addresses other than loopback though nothing is encrypted and nobody has to log in.
    #[arg(long, env = "HENGE_INSECURE", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    pub(crate) insecure: bool,
}

/// Which node to talk to.
#[derive(Clone, Debug, Args)]
pub(crate) struct At {
    /// The HTTP address of any node.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001", env = "HENGE_AT")]
    pub(crate) at: SocketAddr,
    /// Print JSON, as the node gives it.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which key.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The key.
    pub(crate) key: String,
    /// The keyspace, by name or number.
    #[arg(long, value_name = "KEYSPACE", default_value = "default")]
    pub(crate) keyspace: String,
}

/// How a key is changed.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// How many owners must hold the write.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) w: Option<String>,
    /// What was read before: those values are replaced or deleted.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many owners must answer: a number, or one, two, three, quorum, all, local-one, local-quorum, each-quorum.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) r: Option<String>,
    /// Answer only with what covers this context.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) context: Option<String>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) change: Change,
    /// The importance of the writer, for keyspaces of the policy `priority`.
    #[arg(long, value_name = "0..255")]
    pub(crate) priority: Option<u8>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Del {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) change: Change,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) at: At,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands that do something, below one.
    fn ends(command: &clap::Command) -> Vec<&clap::Command> {
        let below: Vec<_> = command.get_subcommands().flat_map(ends).collect();
        if below.is_empty() { vec![command] } else { below }
    }

    #[test]
    fn all_that_can_be_said_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What help shows as an example can be said, and every command that changes the cluster shows one.
    #[test]
    fn every_example_is_a_command() {
        let all = Cli::command();
        for name in ["keyspace", "node", "partition"] {
            for command in ends(all.find_subcommand(name).unwrap()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let words: Vec<&str> = help.strip_prefix("Example: ").unwrap().split_whitespace().collect();
                assert_eq!(words[..3], ["henge", name, command.get_name()], "{help}");
                Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{help}: {error}"));
            }
        }
    }

    /// A switch does not take the name behind it for its value.
    #[test]
    fn a_switch_may_stand_before_the_name() {
        let words = "henge keyspace create --allow-flush --require-context=no carts --value-bytes-max 4MiB";
        let Command::Keyspace(KeyspaceCommand::Create(create)) =
            Cli::try_parse_from(words.split_whitespace()).unwrap().command
        else {
            panic!("{words}");
        };
        assert_eq!(create.name, "carts");
        let told = serde_json::to_value(&create.settings).unwrap();
        let expected =
            serde_json::json!({"allow_flush": true, "require_context": false, "value_bytes_max": 4194304});
        assert_eq!(told, expected);
    }
}
