//! One node of a laboratory, and what can be done to it.
//!
//! What must hold: to its clients and peers a killed node is one whose machine stopped, and a paused one is a process that
//! stands. So a kill ends its threads where they are, closes its ports and loses what was not synced, in this order: first
//! nobody is answered any more, then the disk forgets; never is anything said after it was forgotten.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use env::Disk;
use env::disk::{ForgetfulDisk, Lost};
use node::runtime::{Network, RemoteHandle, Running};
use types::NodeId;

use super::brake::Brake;
use super::web::Web;
use crate::config::{First, NodeConfig};
use crate::launch::{Launched, Surroundings, launch};

/// A node, whether it runs or not.
#[derive(Debug)]
pub(super) struct Node {
    config: NodeConfig,
    id: NodeId,
    network: Network,
    disk: ForgetfulDisk,
    life: Life,
}

#[derive(Debug)]
enum Life {
    Runs(Box<Alive>),
    Killed,
    /// It has ended by itself, or could not be started again.
    Ended(String),
}

#[derive(Debug)]
struct Alive {
    running: Running,
    web: Option<Web>,
    brake: Brake,
    is_paused: bool,
    /// How many threads obey the brake.
    threads: usize,
}

impl Node {
    /// Starts it. Returns once it can serve.
    pub(super) fn start(config: NodeConfig, network: Network) -> Result<Node> {
        let First::Founds(state) = &config.first else {
            bail!("the nodes of a laboratory found their cluster")
        };
        let member = state.member_by_name(&config.name).context("a member of the cluster")?;
        let (id, disk) = (member.id, ForgetfulDisk::new());
        let life = Life::Runs(Box::new(Alive::start(&config, &disk, &network)?));
        Ok(Node { config, id, network, disk, life })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    /// The door to it, while it runs.
    pub(super) fn handle(&self) -> Option<&RemoteHandle> {
        match &self.life {
            Life::Runs(alive) => Some(&alive.running.handle),
            Life::Killed | Life::Ended(_) => None,
        }
    }

    /// In a few words, how it is.
    pub(super) fn condition(&self) -> String {
        match &self.life {
            Life::Runs(alive) if alive.is_paused => "paused".to_owned(),
            Life::Runs(_) => "runs".to_owned(),
            Life::Killed => "killed".to_owned(),
            Life::Ended(why) => format!("stopped: {why}"),
        }
    }

    /// Whether it can be brought back or need not be.
    pub(super) fn is_in_play(&self) -> bool {
        !matches!(self.life, Life::Ended(_))
    }

    pub(super) fn kill(&mut self) -> Result<Lost> {
        let Life::Runs(alive) = std::mem::replace(&mut self.life, Life::Killed) else {
            bail!("{} does not run: `restart` starts it", self.name());
        };
        let Alive { mut running, web, brake, .. } = *alive;
        running.kill();
        web.iter().for_each(Web::die);
        let lost = self.disk.kill();
        brake.release();
        if let Some(web) = web {
            web.join();
        }
        // It was asked to: there is nothing to hear of it.
        let _ = running.join();
        lost.with_context(|| {
            format!("{} is killed, but not all that it had not synced could be undone", self.name())
        })
    }

    pub(super) fn pause(&mut self) -> Result<()> {
        let alive = self.alive()?;
        alive.is_paused = true;
        if !alive.brake.put_on(alive.threads) {
            bail!("a thread of {} has not stood still yet; the others do", self.config.name);
        }
        Ok(())
    }

    pub(super) fn resume(&mut self) -> Result<()> {
        let alive = self.alive()?;
        alive.is_paused = false;
        alive.brake.release();
        Ok(())
    }

    /// Starts it; one that runs is stopped in good order before.
    pub(super) fn restart(&mut self) -> Result<()> {
        if let Some(why) = self.stop() {
            tracing::warn!(node = %self.name(), %why, "it had stopped by itself");
        }
        match Alive::start(&self.config, &self.disk.restarted(), &self.network) {
            Ok(alive) => {
                self.disk = self.disk.restarted();
                self.life = Life::Runs(Box::new(alive));
                Ok(())
            }
            Err(error) => {
                self.life = Life::Ended(format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// Lets it end what its clients have asked for and take nothing new; whoever stops several does this first.
    pub(super) fn wind_up(&mut self) {
        if let Life::Runs(alive) = &mut self.life {
            alive.brake.release();
            alive.is_paused = false;
            if let Some(web) = alive.web.take() {
                web.stop();
                web.join();
            }
            alive.running.stop();
        }
    }

    /// Stops it in good order; why it had stopped before, if it had.
    pub(super) fn stop(&mut self) -> Option<String> {
        self.wind_up();
        match std::mem::replace(&mut self.life, Life::Killed) {
            Life::Runs(alive) => alive.running.join(),
            Life::Killed => None,
            Life::Ended(why) => Some(why),
        }
    }

    /// Whether it has just now been found to have stopped by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        let Life::Runs(alive) = &self.life else { return false };
        if !alive.running.is_finished() {
            return false;
        }
        let why = self.stop().unwrap_or_else(|| "nobody knows why".to_owned());
        self.life = Life::Ended(why);
        true
    }

    fn alive(&mut self) -> Result<&mut Alive> {
        match &mut self.life {
            Life::Runs(alive) => Ok(alive),
            Life::Killed | Life::Ended(_) => bail!("{} does not run: `restart` starts it", self.config.name),
        }
    }
}

impl Alive {
    fn start(config: &NodeConfig, disk: &ForgetfulDisk, network: &Network) -> Result<Alive> {
        let (brake, disk) = (Brake::default(), Arc::new(disk.clone()));
        let surroundings = Surroundings {
            disk: disk as Arc<dyn Disk>,
            network: Some(network.clone()),
            brake: Some(brake.clone()),
        };
        let Launched { name, running, http } = launch(config.clone(), surroundings)?;
        let handle = running.handle.clone();
        let web = http.map(|listener| Web::start(&name, listener, handle, brake.clone())).transpose()?;
        let threads = usize::from(running.shards().count()) + usize::from(web.is_some());
        Ok(Alive { running, web, brake, is_paused: false, threads })
    }
}
