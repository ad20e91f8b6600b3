//! The command line of `henge bench`; what the flags mean together is decided in `plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::workload::{Distribution, Workload};

/// How arrivals of an open loop are spread in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalPattern {
    /// Independent of each other, as many users together are
    Poisson,
    /// Evenly spaced
    Uniform,
}

/// Measure a store that speaks the Redis protocol: Henge, Redis, Redis Cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Servers to talk to; connections are dealt to them in turn
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:7001", help_heading = "Servers")]
    pub addresses: Vec<String>,
    /// Ask CLUSTER SLOTS and send each key to the node that it names; follows MOVED
    #[arg(long, help_heading = "Servers")]
    pub cluster: bool,
    /// SELECT this keyspace (or Redis database) on every connection
    #[arg(long, value_name = "NAME", help_heading = "Servers")]
    pub database: Option<String>,
    /// Henge only: how many nodes a read asks (a number or a level name), by KV.CONSISTENCY
    #[arg(long, value_name = "LEVEL", help_heading = "Servers")]
    pub r: Option<String>,
    /// Henge only: how many nodes a write waits for (a number or a level name), by KV.CONSISTENCY
    #[arg(long, value_name = "LEVEL", help_heading = "Servers")]
    pub w: Option<String>,
    /// Send WAIT N 1000 after every SET; the pair is one operation
    #[arg(long, value_name = "REPLICAS", help_heading = "Servers")]
    pub wait: Option<u32>,
    /// Longest wait for a connection or a reply
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, help_heading = "Servers")]
    pub timeout: Duration,

    /// The operations and how their keys are chosen
    #[arg(long, value_enum, default_value = "a", help_heading = "Load")]
    pub workload: Workload,
    /// Instead of a named workload: reads to updates, such as 9:1
    #[arg(long, value_name = "GET:SET", conflicts_with = "workload", help_heading = "Load")]
    pub ratio: Option<String>,
    /// How keys are chosen, where not as the workload defines
    #[arg(long, value_enum, help_heading = "Load")]
    pub distribution: Option<Distribution>,
    /// Keys that exist when the run starts
    #[arg(long, default_value_t = 100_000, help_heading = "Load")]
    pub keys: u64,
    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 16, help_heading = "Load")]
    pub key_size: usize,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 1024, help_heading = "Load")]
    pub value_size: usize,
    /// Clients, each with one connection (with --cluster: one to each node)
    #[arg(long, default_value_t = 50, help_heading = "Load")]
    pub connections: usize,
    /// Requests that a client sends together before it waits for their replies
    #[arg(long, default_value_t = 1, help_heading = "Load")]
    pub pipeline: usize,
    /// Open loop: operations per second over all clients, sent whether or not earlier ones were answered;
    /// latency counts from the intended time
    #[arg(long, value_name = "PER SECOND", help_heading = "Load")]
    pub rate: Option<f64>,
    /// Open loop: how arrivals are spread
    #[arg(long, value_enum, default_value = "poisson", help_heading = "Load")]
    pub arrivals: ArrivalPattern,
    /// Seed of all key streams; equal seeds ask for equal keys
    #[arg(long, default_value_t = 1, help_heading = "Load")]
    pub seed: u64,

    /// Store all keys first
    #[arg(long, help_heading = "Run")]
    pub load: bool,
    /// Store all keys and stop
    #[arg(long, conflicts_with = "load", help_heading = "Run")]
    pub load_only: bool,
    /// How long to measure [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Run")]
    pub duration: Option<Duration>,
    /// Measure this many operations, however long they take
    #[arg(long, conflicts_with = "duration", help_heading = "Run")]
    pub operations: Option<u64>,
    /// Run this long before measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, help_heading = "Run")]
    pub warmup: Duration,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, help_heading = "Run")]
    pub threads: usize,
    /// Values carry their key and a checksum, and every read is checked
    #[arg(long, help_heading = "Run")]
    pub verify: bool,

    /// Count the CPU time of this process (repeatable) [default: of whoever listens on the addressed ports]
    #[arg(long, value_name = "PID", help_heading = "Report")]
    pub server_pid: Vec<u32>,
    /// Count the CPU time of the local processes that listen on this port (repeatable)
    #[arg(long, value_name = "PORT", conflicts_with = "server_pid", help_heading = "Report")]
    pub server_port: Vec<u16>,
    /// Write the report as JSON; - for standard output, in place of the table
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub json: Option<PathBuf>,
    /// Draw latency by percentile and throughput over time as SVG
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub plot: Option<PathBuf>,
    /// No progress bar
    #[arg(long, short, help_heading = "Report")]
    pub quiet: bool,
}

/// Reads `500us`, `250ms`, `10s`, `2m`, or plain seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds_per_unit = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("a time is a number with us, ms, s, m or h, such as 250ms".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "a time is a number with a unit, such as 10s".to_owned())?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Program as clap::CommandFactory>::command().debug_assert();
        let program =
            Program::try_parse_from(["bench", "--addresses", "a:1,b:2", "--warmup", "250ms"]).unwrap();
        assert_eq!(program.args.addresses, ["a:1", "b:2"]);
        assert_eq!(program.args.warmup, Duration::from_millis(250));
        assert!(Program::try_parse_from(["bench", "--duration", "1s", "--operations", "5"]).is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("20us"), Ok(Duration::from_micros(20)));
        for bad in ["", "s", "5 parsecs", "-1s", "1e400s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
