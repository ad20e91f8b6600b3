//! A run, decided: arguments checked once, so that nothing behind this point can find them wrong.

use std::time::Duration;

use env::Rng;

use crate::Error;
use crate::args::{Args, ArrivalPattern};
use crate::distribution::KeyChooser;
use crate::key::KeyForm;
use crate::request::Templates;
use crate::value::ValueSource;
use crate::workload::{Distribution, Kind, Mix};

/// When a run is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// After this time, warmup not counted.
    Duration(Duration),
    /// After this many operations, those of the warmup not counted.
    Operations(u64),
}

/// A fixed rate of arrivals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct OpenLoop {
    /// Operations per second over all clients.
    pub(crate) per_second: f64,
    pub(crate) pattern: ArrivalPattern,
}

/// All that is fixed for the length of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) addresses: Vec<String>,
    pub(crate) cluster: bool,
    /// Commands that prepare every connection.
    pub(crate) prelude: Vec<Vec<String>>,
    pub(crate) wait_replicas: Option<u32>,
    pub(crate) timeout: Duration,
    /// For people: `a`, `set`, `9:1`.
    pub(crate) workload_name: String,
    pub(crate) mix: Mix,
    pub(crate) distribution: Distribution,
    pub(crate) keys: u64,
    pub(crate) key_form: KeyForm,
    pub(crate) templates: Templates,
    pub(crate) values: ValueSource,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) pipeline: usize,
    pub(crate) open_loop: Option<OpenLoop>,
    pub(crate) extent: Extent,
    pub(crate) warmup: Duration,
    pub(crate) seed: u64,
    pub(crate) verify: bool,
}

/// The most inserts that a run can make in a second, for the room that new keys need among the digits.
const INSERTS_PER_SECOND_MAX: u64 = 1_000_000;

impl Plan {
    /// Checks the arguments against each other.
    pub(crate) fn from_args(args: &Args) -> Result<Plan, Error> {
        check_counts(args)?;
        let (mix, distribution, workload_name) = workload(args)?;
        let extent = args.operations.map_or_else(
            || Extent::Duration(args.duration.unwrap_or(Duration::from_secs(10))),
            Extent::Operations,
        );
        let key_form = KeyForm::new(args.key_size, args.keys.saturating_add(inserts_max(args, mix, extent)))?;
        let values =
            ValueSource::new(args.value_size, args.verify, key_form, &mut Rng::from_seed(args.seed))?;
        Ok(Plan {
            addresses: args.addresses.clone(),
            cluster: args.cluster,
            prelude: prelude(args)?,
            wait_replicas: args.wait,
            timeout: args.timeout,
            workload_name,
            mix,
            distribution,
            keys: args.keys,
            key_form,
            templates: Templates::new(key_form, args.value_size, args.wait),
            values,
            connections: args.connections,
            threads: args.threads.min(args.connections),
            pipeline: args.pipeline,
            open_loop: args.rate.map(|per_second| OpenLoop { per_second, pattern: args.arrivals }),
            extent,
            warmup: args.warmup,
            seed: args.seed,
            verify: args.verify,
        })
    }

    /// The chooser of the run's distribution. For `latest` it takes time in proportion to the keys: make one, clone it.
    pub(crate) fn key_chooser(&self) -> KeyChooser {
        match self.distribution {
            Distribution::Uniform => KeyChooser::Uniform,
            Distribution::Zipfian => KeyChooser::scrambled_zipfian(),
            Distribution::Latest => KeyChooser::latest(self.keys),
        }
    }
}

/// The largest counts that a run may have: more would take memory, or time before the first request, without bound.
fn check_counts(args: &Args) -> Result<(), Error> {
    let bounds: [(&'static str, u64, u64); 7] = [
        ("--keys", args.keys, 10_000_000_000),
        ("--key-size", args.key_size as u64, 1 << 16),
        ("--value-size", (args.value_size as u64).max(1), 512 << 20),
        ("--connections", args.connections as u64, 50_000),
        ("--pipeline", args.pipeline as u64, 100_000),
        ("--threads", args.threads as u64, 1_000),
        ("--operations", args.operations.unwrap_or(1), 1 << 50),
    ];
    for (flag, value, max) in bounds {
        if !(1..=max).contains(&value) {
            return Err(Error::invalid(flag, &value, format!("must be from 1 to {max}")));
        }
    }
    if let Some(rate) = args.rate.filter(|rate| !(1e-3..=1e8).contains(rate)) {
        return Err(Error::invalid("--rate", &rate, "must be from 0.001 to 100000000 per second"));
    }
    let second = Duration::from_secs(1);
    check_time("--timeout", args.timeout, Duration::from_millis(1), 3_600 * second)?;
    check_time("--warmup", args.warmup, Duration::ZERO, 86_400 * second)?;
    check_time(
        "--duration",
        args.duration.unwrap_or(second),
        Duration::from_millis(1),
        30 * 86_400 * second,
    )?;
    check_addresses(&args.addresses)
}

fn check_time(flag: &'static str, time: Duration, min: Duration, max: Duration) -> Result<(), Error> {
    if (min..=max).contains(&time) {
        return Ok(());
    }
    Err(Error::invalid(flag, &format!("{time:?}"), format!("must be from {min:?} to {max:?}")))
}

fn check_addresses(addresses: &[String]) -> Result<(), Error> {
    let bad_address = addresses.iter().find(|address| !is_host_and_port(address));
    bad_address.map_or(Ok(()), |address| {
        Err(Error::invalid("--addresses", address, "an address is host:port, such as 127.0.0.1:7001"))
    })
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn workload(args: &Args) -> Result<(Mix, Distribution, String), Error> {
    let Some(ratio) = &args.ratio else {
        let name = clap::ValueEnum::to_possible_value(&args.workload)
            .map_or_else(String::new, |value| value.get_name().to_owned());
        let distribution = args.distribution.unwrap_or(args.workload.distribution());
        return Ok((args.workload.mix(), distribution, name));
    };
    let shares = ratio.split_once(':').and_then(|(get, set)| Some((get.parse().ok()?, set.parse().ok()?)));
    match shares {
        Some((get, set)) if (get, set) != (0, 0) => Ok((
            Mix::new([get, set, 0, 0]),
            args.distribution.unwrap_or(Distribution::Uniform),
            ratio.clone(),
        )),
        _ => Err(Error::invalid(
            "--ratio",
            ratio,
            "two whole numbers, reads to updates, not both zero, such as 9:1",
        )),
    }
}

fn inserts_max(args: &Args, mix: Mix, extent: Extent) -> u64 {
    if !mix.has(Kind::Insert) {
        return 0;
    }
    let while_measured = match extent {
        Extent::Operations(operations) => operations,
        Extent::Duration(duration) => {
            duration.as_secs().saturating_add(1).saturating_mul(INSERTS_PER_SECOND_MAX)
        }
    };
    let while_warming = args.warmup.as_secs().saturating_add(1).saturating_mul(INSERTS_PER_SECOND_MAX);
    while_measured.saturating_add(while_warming)
}

fn prelude(args: &Args) -> Result<Vec<Vec<String>>, Error> {
    let mut commands = Vec::new();
    if let Some(database) = &args.database {
        if args.cluster {
            let reason = "a cluster listener knows only its own keyspace; leave out --cluster or --database";
            return Err(Error::invalid("--database", database, reason));
        }
        commands.push(vec!["SELECT".to_owned(), database.clone()]);
    }
    let levels = [("READ", &args.r), ("WRITE", &args.w)];
    let words: Vec<String> = levels
        .iter()
        .filter_map(|(word, level)| level.as_ref().map(|level| [(*word).to_owned(), level.clone()]))
        .flatten()
        .collect();
    if !words.is_empty() {
        commands.push([vec!["KV.CONSISTENCY".to_owned()], words].concat());
    }
    Ok(commands)
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

    fn plan(flags: &[&str]) -> Result<Plan, Error> {
        let program = Program::try_parse_from([&["bench"], flags].concat()).unwrap();
        Plan::from_args(&program.args)
    }

    #[test]
    fn levels_and_database_prepare_the_connection() {
        let plan = plan(&["--r", "one", "--w", "2", "--database", "siblings"]).unwrap();
        assert_eq!(
            plan.prelude,
            [vec!["SELECT", "siblings"], vec!["KV.CONSISTENCY", "READ", "one", "WRITE", "2"]]
        );
    }

    #[test]
    fn a_ratio_stands_in_for_a_workload() {
        let plan = plan(&["--ratio", "9:1"]).unwrap();
        assert_eq!((plan.mix, plan.distribution), (Mix::new([9, 1, 0, 0]), Distribution::Uniform));
    }

    /// What cannot work is refused with the flag's name, before anything connects.
    #[test]
    fn wrong_arguments_are_named() {
        let wrong: [(&[&str], &str); 12] = [
            (&["--pipeline", "1000000"], "--pipeline 1000000"),
            (&["--rate", "1e300"], "--rate"),
            (&["--timeout", "1e15s"], "--timeout"),
            (&["--duration", "0"], "--duration"),
            (&["--keys", "0"], "--keys 0"),
            (&["--ratio", "0:0"], "--ratio 0:0"),
            (&["--ratio", "many"], "--ratio many"),
            (&["--rate", "-5"], "--rate"),
            (&["--addresses", "localhost"], "--addresses localhost"),
            (&["--key-size", "6"], "--key-size 6"),
            (&["--verify", "--value-size", "10"], "--value-size 10"),
            (&["--cluster", "--database", "1"], "--database 1"),
        ];
        for (flags, named) in wrong {
            let flags: Vec<&str> = if flags.contains(&"-5") { vec!["--rate=-5"] } else { flags.to_vec() };
            let message = plan(&flags).unwrap_err().to_string();
            assert!(message.starts_with(named), "{message}");
        }
    }
}
