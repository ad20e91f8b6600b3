//! The nodes of a drill: their directories, configurations and processes.
//!
//! What must hold: every process is ended when the drill is, whatever becomes of it.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::door::Door;
use super::net::{Listener, Net, shell};

/// How long a node may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The keyspaces: one that is always written to somewhere, one that counts owners only, and one that keeps siblings.
pub(super) const SLOPPY: &str = "default";
pub(super) const STRICT: &str = "strict";
pub(super) const SETS: &str = "sets";

/// Some nodes `n1`, `n2` ..., and those of them that run.
pub(super) struct Ring {
    pub(super) net: Net,
    program: PathBuf,
    dir: PathBuf,
    running: Vec<Option<Child>>,
}

/// What came of starting a node.
pub(super) enum Started {
    Serves,
    /// It ended by itself; what it said.
    Refused(String),
}

impl Ring {
    /// Writes the configurations, and starts nobody.
    pub(super) fn prepare(nodes: usize, net: Net, program: &Path, dir: &Path) -> Result<Ring> {
        let ring = Ring {
            net,
            program: program.to_owned(),
            dir: dir.to_owned(),
            running: (0..nodes).map(|_| None).collect(),
        };
        let secret = dir.join("secret");
        fs::write(&secret, "a secret that the nodes of a drill share, of no use to anybody else\n")?;
        shell(&format!("chmod 600 '{}'", secret.display()))?;
        for node in 0..nodes {
            let mut text = format!(
                "[node]\nid = \"n{}\"\ndata_dir = {:?}\nmemory = \"{}MiB\"\nshards = {}\n[cluster]\nname = \"drill\"\n\
                 secret_file = {secret:?}\n",
                node + 1,
                ring.data(node),
                64 * (1 + node % 2),
                // Some are divided, which they have a file about.
                1 + node % 2,
            );
            for member in 0..nodes {
                let [resp, http, peer] = [Listener::Resp, Listener::Http, Listener::Peer]
                    .map(|door| ring.net.address(member, door));
                writeln!(
                    text,
                    "[[cluster.members]]\nid = \"n{}\"\nresp = \"{resp}\"\nhttp = \"{http}\"\npeer = \"{peer}\"",
                    member + 1
                )?;
            }
            for (name, rest) in [
                (SLOPPY, "quorum = \"sloppy\""),
                (STRICT, "quorum = \"strict\""),
                (SETS, "policy = \"siblings\""),
            ] {
                writeln!(text, "[[keyspaces]]\nname = \"{name}\"\nn = 3\nr = 2\nw = 2\n{rest}")?;
            }
            fs::write(ring.config(node), text)?;
        }
        Ok(ring)
    }

    pub(super) fn nodes(&self) -> usize {
        self.running.len()
    }

    /// Where a node keeps its data.
    pub(super) fn data(&self, node: usize) -> PathBuf {
        self.dir.join(format!("n{}", node + 1))
    }

    fn config(&self, node: usize) -> PathBuf {
        self.dir.join(format!("n{}.toml", node + 1))
    }

    fn log(&self, node: usize) -> PathBuf {
        self.dir.join(format!("n{}.log", node + 1))
    }

    pub(super) fn resp(&self, node: usize) -> SocketAddr {
        self.net.address(node, Listener::Resp)
    }

    pub(super) fn door(&self, node: usize) -> Door {
        Door::new(self.net.address(node, Listener::Http))
    }

    /// Starts a node and waits until it serves, or has refused to.
    pub(super) fn start(&mut self, node: usize) -> Result<Started> {
        let log = File::options().create(true).append(true).open(self.log(node))?;
        let before = log.metadata()?.len();
        let mut command = self.net.command(node, &self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HENGE_"))
        {
            command.env_remove(name);
        }
        command.args(["server", "--config"]).arg(self.config(node));
        if self.net.can_cut() {
            // Addresses within a namespace of its own: nobody else can reach them.
            command.arg("--insecure");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let (began, door) = (Instant::now(), self.door(node));
        while !door.serves() {
            if child.try_wait()?.is_some() {
                let said = fs::read(self.log(node))?;
                let since = usize::try_from(before)?.min(said.len());
                return Ok(Started::Refused(String::from_utf8_lossy(&said[since..]).into_owned()));
            }
            if began.elapsed() > START_PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                bail!("n{} does not serve after {START_PATIENCE:?}", node + 1);
            }
            sleep(LOOK_EVERY);
        }
        self.running[node] = Some(child);
        Ok(Started::Serves)
    }

    /// Starts a node, which must serve.
    pub(super) fn must_start(&mut self, node: usize) -> Result<()> {
        match self.start(node)? {
            Started::Serves => Ok(()),
            Started::Refused(said) => bail!("n{} does not start: {said}", node + 1),
        }
    }

    /// Ends a node without a word.
    pub(super) fn kill(&mut self, node: usize) -> Result<()> {
        let mut child = self.running[node].take().with_context(|| format!("n{} does not run", node + 1))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Has a node hold still, or go on.
    pub(super) fn signal(&self, node: usize, name: &str) -> Result<()> {
        let child = self.running[node].as_ref().with_context(|| format!("n{} does not run", node + 1))?;
        shell(&format!("kill -s {name} {}", child.id()))
    }

    /// Those that ended though nobody ended them, with the last that they said.
    pub(super) fn fallen(&mut self) -> Result<Option<String>> {
        for node in 0..self.nodes() {
            let Some(child) = &mut self.running[node] else { continue };
            if let Some(status) = child.try_wait()? {
                let said = fs::read(self.log(node))?;
                let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(2000)..]).into_owned();
                return Ok(Some(format!("n{} ended by itself ({status}): {tail}", node + 1)));
            }
        }
        Ok(None)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
