//! `henge dev`: a cluster in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::http::Http;
use super::ports::Ports;
use super::process::{Ended, Process, Signal, run};
use super::resp::Resp;
use super::scratch::Scratch;

/// Nodes in a test's cluster.
pub(crate) const NODES: u16 = 3;

/// The last words of a cluster that is ready.
const READY: &str = "Stop with Ctrl-C.";

/// A directory and ports for a cluster, and the cluster while it runs.
#[derive(Debug)]
pub(crate) struct Dev {
    process: Process,
    options: Vec<String>,
    ports: Ports,
    scratch: Scratch,
}

impl Dev {
    /// Starts a cluster on an empty directory and waits until it is ready.
    #[track_caller]
    pub(crate) fn start() -> Dev {
        Dev::start_with(&[])
    }

    /// The same, with more options.
    #[track_caller]
    pub(crate) fn start_with(options: &[&str]) -> Dev {
        let (ports, scratch) = (Ports::claim(), Scratch::new());
        let mut words = words(&ports, &scratch.join("data"));
        if options.iter().any(|option| option.starts_with("--memory=")) {
            words.retain(|word| !word.starts_with("--memory="));
        }
        words.extend(options.iter().map(|&option| option.to_owned()));
        Dev { process: launch(&words, &scratch), options: words, ports, scratch }
    }

    /// Runs it with more options, on the same directory and ports, to its end: it cannot start.
    pub(crate) fn run_with(&self, options: &[&str]) -> Ended {
        run(self.options.iter().map(String::as_str).chain(options.iter().copied()))
    }

    /// Starts it again on its directory.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.process = launch(&self.options, &self.scratch);
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to stop; it must end well, and with no complaint.
    #[track_caller]
    pub(crate) fn stop(&mut self, signal: Signal) {
        let status = self.process.stop(signal);
        assert!(status.success(), "{status}: {}", self.process.logged());
        assert_eq!(self.process.logged(), "");
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// Where node `n1`, `n2` ... speaks RESP, counted from 1.
    pub(crate) fn resp_address(&self, node: u16) -> SocketAddr {
        self.ports.address(node - 1)
    }

    /// Where it speaks RESP as a Redis Cluster.
    pub(crate) fn cluster_address(&self, node: u16) -> SocketAddr {
        self.ports.address(NODES + node - 1)
    }

    /// Where it speaks HTTP.
    pub(crate) fn http_address(&self, node: u16) -> SocketAddr {
        self.ports.address(2 * NODES + node - 1)
    }

    /// Where its peers reach it.
    pub(crate) fn peer_address(&self, node: u16) -> SocketAddr {
        self.ports.address(3 * NODES + node - 1)
    }

    pub(crate) fn resp(&self, node: u16) -> Resp {
        Resp::connect(self.resp_address(node))
    }

    pub(crate) fn http(&self, node: u16) -> Http {
        Http::new(self.http_address(node))
    }
}

fn words(ports: &Ports, data: &Path) -> Vec<String> {
    let firsts = ["resp", "cluster", "http", "peer"].into_iter().zip(0..);
    let mut words = vec!["dev".to_owned(), "--memory=64MiB".to_owned(), format!("--data={}", data.display())];
    words.extend(firsts.map(|(door, place)| format!("--{door}-port={}", ports.port(place * NODES))));
    words
}

fn launch(words: &[String], scratch: &Scratch) -> Process {
    let mut process = Process::start(&scratch.join("said"), "dev", words);
    process.wait_for("the ready line of `henge dev`", |dev| dev.printed().contains(READY).then_some(()));
    process
}
