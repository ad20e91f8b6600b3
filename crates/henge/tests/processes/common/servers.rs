//! `henge server`: one process a node, from one configuration file each.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::http::Http;
use super::patience::wait_until;
use super::ports::Ports;
use super::process::{Ended, Process, Signal, run};
use super::resp::Resp;
use super::scratch::Scratch;

/// Directories, ports and configuration files for some nodes `n1`, `n2` ..., and those of them that run.
#[derive(Debug)]
pub(crate) struct Servers {
    running: Vec<Option<Process>>,
    ports: Ports,
    scratch: Scratch,
}

/// The listeners of a node, in the order of its ports.
#[derive(Clone, Copy, Debug)]
enum Listener {
    Resp,
    Http,
    Peer,
}

impl Servers {
    /// Starts `count` nodes with these `[[keyspaces]]` and waits until each sees all.
    #[track_caller]
    pub(crate) fn start(count: u16, keyspaces: &str) -> Servers {
        let mut servers = Servers::prepare(count, keyspaces);
        for node in 1..=count {
            servers.launch(node);
        }
        servers.wait_until_whole();
        servers
    }

    /// Writes the configurations, and starts nobody.
    pub(crate) fn prepare(count: u16, keyspaces: &str) -> Servers {
        let servers = Servers {
            running: (0..count).map(|_| None).collect(),
            ports: Ports::claim(),
            scratch: Scratch::new(),
        };
        for node in 1..=count {
            servers.configure(node, keyspaces);
        }
        servers
    }

    /// Writes one node's configuration, over what there was, with the least memory that a node may have.
    pub(crate) fn configure(&self, node: u16, keyspaces: &str) {
        self.configure_with(node, "memory = \"64MiB\"\n", keyspaces);
    }

    /// The same, with these lines in `[node]`.
    pub(crate) fn configure_with(&self, node: u16, lines: &str, keyspaces: &str) {
        let section = format!("[node]\nid = \"n{node}\"\ndata_dir = {:?}\n{lines}", self.data(node));
        let text = format!("{section}{}{keyspaces}", self.members());
        std::fs::write(self.config_path(node), text).expect("the target directory takes files");
    }

    /// Writes the configuration of a node that nobody names: it founds a cluster or joins one, as these lines of `[cluster]` say.
    pub(crate) fn configure_alone(&self, node: u16, lines: &str) {
        self.configure_named(node, &format!("n{node}"), lines);
    }

    /// The same for a node that takes this name.
    pub(crate) fn configure_named(&self, node: u16, name: &str, lines: &str) {
        self.configure_as(node, name, "", lines);
    }

    /// The same for one of this weight.
    pub(crate) fn configure_weighing(&self, node: u16, weight: f64, lines: &str) {
        self.configure_as(node, &format!("n{node}"), &format!("weight = {weight}\n"), lines);
    }

    /// The same for one in this data center.
    pub(crate) fn configure_in(&self, node: u16, data_center: &str, lines: &str) {
        self.configure_as(node, &format!("n{node}"), &format!("datacenter = \"{data_center}\"\n"), lines);
    }

    fn configure_as(&self, node: u16, name: &str, node_lines: &str, lines: &str) {
        let data = self.data(node);
        let [resp, http, peer] =
            [Listener::Resp, Listener::Http, Listener::Peer].map(|listener| self.address(node, listener));
        let text = format!(
            "[node]\nid = \"{name}\"\ndata_dir = {data:?}\nmemory = \"64MiB\"\n{node_lines}\
             [listen]\nresp = \"{resp}\"\nhttp = \"{http}\"\npeer = \"{peer}\"\n\
             [cluster]\nname = \"test\"\n{lines}"
        );
        std::fs::write(self.config_path(node), text).expect("the target directory takes files");
    }

    /// `seeds` of `[cluster]`: where these nodes hear their peers.
    pub(crate) fn seeds(&self, nodes: &[u16]) -> String {
        let each = nodes.iter().map(|&node| format!("\"{}\"", self.address(node, Listener::Peer)));
        format!("seeds = [{}]", each.collect::<Vec<_>>().join(", "))
    }

    /// `[[cluster.members]]`, the same for all.
    pub(crate) fn members(&self) -> String {
        (1..=self.count()).fold("[cluster]\nname = \"test\"\n".to_owned(), |mut text, node| {
            let [resp, http, peer] =
                [Listener::Resp, Listener::Http, Listener::Peer].map(|listener| self.address(node, listener));
            let _ = write!(
                text,
                "[[cluster.members]]\nid = \"n{node}\"\nresp = \"{resp}\"\nhttp = \"{http}\"\npeer = \"{peer}\"\n"
            );
            text
        })
    }

    /// Starts a node and waits until it serves.
    #[track_caller]
    pub(crate) fn launch(&mut self, node: u16) {
        let config = self.config_path(node);
        let config = config.to_str().expect("the target directory has a plain name");
        let mut process =
            Process::start(&self.scratch.join("said"), &format!("n{node}"), ["server", "--config", config]);
        let http = self.http(node);
        process.wait_for("a node to serve", |_| http.states());
        self.running[usize::from(node) - 1] = Some(process);
    }

    /// Runs a node that cannot start, to its end.
    pub(crate) fn run(&self, node: u16) -> Ended {
        run([std::ffi::OsStr::new("server"), "--config".as_ref(), self.config_path(node).as_os_str()])
    }

    /// Waits until every running node sees that exactly the running ones are up.
    #[track_caller]
    pub(crate) fn wait_until_seen(&self) {
        let is = |process: &Option<Process>| if process.is_some() { "up" } else { "down" };
        let wanted: Vec<&str> = self.running.iter().map(is).collect();
        for node in (1..=self.count()).filter(|&node| self.running[usize::from(node) - 1].is_some()) {
            let http = self.http(node);
            wait_until(&format!("n{node} to see {wanted:?}"), || {
                http.states().is_some_and(|states| states == wanted)
            });
        }
    }

    #[track_caller]
    fn wait_until_whole(&self) {
        assert!(self.running.iter().all(Option::is_some), "all nodes were started");
        self.wait_until_seen();
        for node in 1..=self.count() {
            wait_until(&format!("n{node} to answer for its keys"), || {
                self.figure(node, "missing_partitions") == 0.0
            });
        }
    }

    /// Ends a node without a word, and waits until the others have noticed.
    #[track_caller]
    pub(crate) fn kill(&mut self, node: u16) {
        self.kill_unnoticed(node);
        self.wait_until_seen();
    }

    /// Ends a node without a word.
    #[track_caller]
    pub(crate) fn kill_unnoticed(&mut self, node: u16) {
        self.running[usize::from(node) - 1].take().expect("it runs").kill();
    }

    /// Stops a node in good order.
    #[track_caller]
    pub(crate) fn stop(&mut self, node: u16) {
        let mut process = self.running[usize::from(node) - 1].take().expect("it runs");
        let status = process.stop(Signal::Terminate);
        assert!(status.success(), "{status}: {}", process.logged());
    }

    /// A node that runs.
    #[track_caller]
    pub(crate) fn process(&mut self, node: u16) -> &mut Process {
        self.running[usize::from(node) - 1].as_mut().expect("it runs")
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.running.len()).expect("tests have few nodes")
    }

    pub(crate) fn data(&self, node: u16) -> PathBuf {
        self.scratch.join(format!("n{node}"))
    }

    pub(crate) fn config_path(&self, node: u16) -> PathBuf {
        self.scratch.join(format!("n{node}.toml"))
    }

    fn address(&self, node: u16, listener: Listener) -> SocketAddr {
        self.ports.address(3 * (node - 1) + listener as u16)
    }

    pub(crate) fn resp_address(&self, node: u16) -> SocketAddr {
        self.address(node, Listener::Resp)
    }

    /// A connection to a node, in a keyspace.
    #[track_caller]
    pub(crate) fn http_address(&self, node: u16) -> SocketAddr {
        self.address(node, Listener::Http)
    }

    pub(crate) fn resp(&self, node: u16, keyspace: &str) -> Resp {
        Resp::connect_to(self.resp_address(node), keyspace)
    }

    /// A figure that a node shows.
    #[track_caller]
    pub(crate) fn figure(&self, node: u16, name: &str) -> f64 {
        let text = self.http(node).get("/metrics", &[]).text();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("henge_{name} ")));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    pub(crate) fn http(&self, node: u16) -> Http {
        Http::new(self.address(node, Listener::Http))
    }
}
