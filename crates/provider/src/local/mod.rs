//! The provider `local`: nodes that are processes of this machine, for trying things out and for machines with many cores.
//!
//! Each node is a `henge server` with a directory of its own under the root, free ports of the loopback address, and the
//! running members as seeds. What was started is in the list ([`record`]) before it is started, so that a provider that
//! begins anew, on whichever node leads then, knows it. Each call reads the list anew, under a lock.
//!
//! Always true:
//! - Only a process is ended that is the one that was started: it is held by a descriptor and known by when it began, for
//!   numbers of processes are used again ([`process`]).
//! - A name is never used again, and neither is a directory. What is in the directory of a node that has ended stays: to
//!   delete data is the operator's to do.
//! - Nodes do not depend on the process that started them: they have a process group of their own and log to a file.

mod ports;
#[cfg(target_os = "linux")]
mod process;
#[cfg(not(target_os = "linux"))]
#[path = "process_elsewhere.rs"]
mod process;
mod record;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autoscale::{LocalConfig, PolicyError, config};

use crate::contract::{Order, Provided, Provider, is_plain};
use crate::error::ProviderError;
use ports::Ports;
use process::Held;
use record::{List, Record};

/// How long a process that was ended by force may take to be gone.
const FORCED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether a node listens.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of a log is read to say why a node did not start, in bytes.
const LOG_TAIL_BYTES: u64 = 2 << 10;
/// The most nodes at once.
const NODES_MAX: usize = 256;
/// Variables of the environment that a node takes over though they begin with `HENGE_`: they are the cluster's, and no
/// other node's.
const TAKEN_OVER: [&str; 2] = ["HENGE_CLUSTER_SECRET", "HENGE_LOG"];

/// Starts and ends nodes on this machine.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    binary: PathBuf,
    arguments: Vec<String>,
    start_within: Duration,
    stop_within: Duration,
    /// Those that this process has started, to be waited for when they end.
    children: Vec<Child>,
}

impl Local {
    /// With the settings of `[autoscaler.local]`.
    ///
    /// # Errors
    /// If there is no root, no binary, or this system has no processes that can be held.
    pub fn new(config: &LocalConfig) -> Result<Local, PolicyError> {
        if !process::IS_SUPPORTED {
            let wanted =
                "this system cannot hold a process while it is ended: run the provider command, or Linux";
            return Err(PolicyError::new("provider", "\"local\"", wanted));
        }
        let wanted =
            "want an absolute path, such as \"/var/lib/henge-auto\": whichever node leads must find it";
        let Some(root) = config.root.clone() else {
            return Err(PolicyError::new("local.root", "nothing", wanted));
        };
        if !root.is_absolute() {
            return Err(PolicyError::new("local.root", format!("{:?}", root.display().to_string()), wanted));
        }
        let running = || {
            std::env::current_exe().map_err(|error| {
                PolicyError::new("local.binary", "nothing", format!("say which program it is: {error}"))
            })
        };
        let seconds = Duration::from_secs;
        Ok(Local {
            root,
            binary: config.binary.clone().map_or_else(running, Ok)?,
            arguments: config.arguments.clone(),
            start_within: config::wait("local.start_within", config.start_within.as_deref(), seconds(20))?,
            stop_within: config::wait("local.stop_within", config.stop_within.as_deref(), seconds(60))?,
            children: Vec::new(),
        })
    }

    /// The list, under its lock, as long as the lock is kept.
    fn open(&mut self, asked: &str) -> Result<(File, List), ProviderError> {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let root = self.root.display();
        let no = |what: &str, error: &dyn std::fmt::Display| {
            ProviderError::not_done(asked, format!("autoscaler.local.root, {root}: {what}: {error}"))
        };
        std::fs::create_dir_all(&self.root).map_err(|error| no("it cannot be made", &error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.root.join("lock"));
        let lock = lock.map_err(|error| no("its lock cannot be opened", &error))?;
        lock.try_lock().map_err(|error| no("another node is at work in it, ask again", &error))?;
        let mut list = List::read(&self.root).map_err(|error| no("its list cannot be read", &error))?;
        for record in list.nodes.iter_mut().filter(|record| !record.has_ended && record.process.is_none()) {
            // Started by somebody who did not come to write down what the process is.
            record.process = process::find("--data-dir", &self.root.join(&record.name));
        }
        Ok((lock, list))
    }

    fn save(&self, asked: &str, list: &List) -> Result<(), ProviderError> {
        list.write(&self.root).map_err(|error| {
            let root = self.root.display();
            ProviderError::unknown(asked, format!("the list in {root} cannot be written: {error}"))
        })
    }

    /// Notes a node under a name and a directory that nothing has had.
    fn note(&self, asked: &str, list: &mut List, order: &Order) -> Result<usize, ProviderError> {
        if list.nodes.iter().filter(|record| !record.has_ended).count() >= NODES_MAX {
            return Err(ProviderError::not_done(asked, format!("there are {NODES_MAX} nodes already")));
        }
        let wanted = &order.wanted;
        let name = loop {
            list.last_number += 1;
            let name = format!("{}-{}", wanted.name, list.last_number);
            if !is_plain(&name) {
                return Err(ProviderError::not_done(asked, format!("{name:?} cannot be a node's name")));
            }
            if !self.root.join(&name).exists() {
                break name;
            }
        };
        list.nodes.push(Record {
            request: wanted.request.clone(),
            name,
            data_center: wanted.data_center.clone(),
            rack: wanted.rack.clone(),
            process: None,
            has_ended: false,
        });
        list.forget_old();
        Ok(list.nodes.len() - 1)
    }

    /// Starts the node's process, and hands back where it is to listen for peers.
    fn start(&self, name: &str, order: &Order) -> std::io::Result<(Child, std::net::SocketAddr)> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(name))?;
        let ports = Ports::reserve()?;
        let mut command = Command::new(&self.binary);
        for (key, _) in std::env::vars_os() {
            let of_henge = key.to_string_lossy().starts_with("HENGE_");
            if of_henge && !TAKEN_OVER.iter().any(|taken_over| key == *taken_over) {
                command.env_remove(key);
            }
        }
        let wanted = &order.wanted;
        let weight = f64::from(wanted.weight_thousandths) / 1_000.0;
        command.arg("server").arg("--node-id").arg(name).arg("--data-dir").arg(self.root.join(name));
        for (key, value) in [
            ("--datacenter", &wanted.data_center),
            ("--rack", &wanted.rack),
            ("--weight", &weight.to_string()),
            ("--cluster-name", &order.cluster),
            ("--seeds", &order.seeds.join(",")),
            ("--resp", &ports.resp.address().to_string()),
            ("--cluster", &ports.cluster.address().to_string()),
            ("--http", &ports.http.address().to_string()),
            ("--peer", &ports.peer.address().to_string()),
        ] {
            command.arg(key).arg(value);
        }
        if let Some(dead) = &order.replaces {
            command.arg("--replaces").arg(dead);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        process::apart(&mut command);
        let peer = ports.peer.address();
        // As late as can be: from here on another program may take the ports, and then the node says so and ends.
        drop(ports);
        Ok((command.spawn()?, peer))
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }

    /// Waits until the node listens, or has ended.
    fn wait_for(&self, held: &Held, peer: std::net::SocketAddr) -> Started {
        let end = Instant::now() + self.start_within;
        loop {
            if TcpStream::connect_timeout(&peer, LOOK_EVERY).is_ok() {
                return Started::Listens;
            }
            if held.ends_within(LOOK_EVERY) {
                return Started::Ended;
            }
            if Instant::now() >= end {
                return Started::Silent;
            }
        }
    }
}

enum Started {
    Listens,
    Ended,
    /// It runs, and may yet listen: a disk may be slow.
    Silent,
}

impl Provider for Local {
    fn add(&mut self, order: &Order) -> Result<String, ProviderError> {
        let asked = format!("add {}", order.wanted);
        if order.seeds.is_empty() {
            return Err(ProviderError::not_done(
                asked,
                "it needs a member to join at, and no seeds were given",
            ));
        }
        let (_lock, mut list) = self.open(&asked)?;
        let place = match list.nodes.iter().position(|record| record.request == order.wanted.request) {
            Some(place) => place,
            None => self.note(&asked, &mut list, order)?,
        };
        let Record { name, has_ended, process, .. } = list.nodes[place].clone();
        if has_ended {
            let why = format!("{name}, which was started for it, has been ended: ask under another request");
            return Err(ProviderError::not_done(asked, why));
        }
        if process.as_ref().and_then(Held::of).is_some_and(|held| held.runs()) {
            return Ok(name);
        }
        self.save(&asked, &list)?;
        let (child, peer) = self.start(&name, order).map_err(|error| {
            ProviderError::not_done(
                asked.as_str(),
                format!("cannot start {}: {error}", self.binary.display()),
            )
        })?;
        list.nodes[place].process = process::Identity::of(child.id());
        self.children.push(child);
        self.save(&asked, &list)?;
        let held = list.nodes[place].process.as_ref().and_then(Held::of);
        match held.map_or(Started::Ended, |held| self.wait_for(&held, peer)) {
            Started::Listens | Started::Silent => Ok(name),
            Started::Ended => {
                list.nodes[place].has_ended = true;
                self.save(&asked, &list)?;
                let log = self.log_path(&name);
                let why = format!("{name} ended at once ({}): {}", log.display(), last_line(&log));
                Err(ProviderError::not_done(asked, why))
            }
        }
    }

    fn retire(&mut self, name: &str) -> Result<(), ProviderError> {
        let asked = format!("retire {name}");
        let (_lock, mut list) = self.open(&asked)?;
        let Some(record) = list.nodes.iter_mut().find(|record| record.name == name) else {
            let root = self.root.display();
            let why = format!("it is not in the list in {root}: whoever started it must end it");
            return Err(ProviderError::not_done(asked, why));
        };
        if let Some(held) = record.process.as_ref().and_then(Held::of) {
            held.ask_to_end();
            if !held.ends_within(self.stop_within) {
                held.end_by_force();
                if !held.ends_within(FORCED_WITHIN) {
                    let why = "it was ended by force and still runs: its disk may hold it up".to_owned();
                    return Err(ProviderError::unknown(asked, why));
                }
            }
        }
        record.has_ended = true;
        self.save(&asked, &list)?;
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Provided>, ProviderError> {
        let (_lock, list) = self.open("list the nodes")?;
        let there = list.nodes.into_iter().filter(|record| !record.has_ended);
        let mut nodes: Vec<Provided> = there
            .map(|record| Provided {
                is_running: record.process.as_ref().and_then(Held::of).is_some_and(|held| held.runs()),
                name: record.name,
                data_center: record.data_center,
                rack: record.rack,
                is_retirable: true,
            })
            .collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }
}

/// The last line of a log, to say why a node ended.
fn last_line(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it said nothing").to_owned()
}
