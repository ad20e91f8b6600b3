//! A laboratory: a cluster on this machine whose nodes can be killed, stopped and cut off from each other while it serves.
//!
//! All nodes run in this process, each on threads of its own, on a [`Network`] that can be cut and on disks that can forget.
//! [`order`] is what the laboratory can be told, [`control`] how it is told from outside, [`self::node`] what a kill
//! and a pause are. What must hold: whatever is done to one node, the others neither wait nor stop.

mod brake;
pub(crate) mod control;
mod node;
pub(crate) mod order;
mod web;

use std::collections::BTreeSet;
use std::time::Duration;

use ::node::runtime::{Network, RemoteHandle};
use anyhow::{Result, bail};

pub(crate) use self::brake::Brake;
use self::node::Node;
use self::order::{DELAY_MAX, Nodes, Order};
use crate::config::NodeConfig;

/// The nodes, and what is between them.
#[derive(Debug)]
pub(crate) struct Lab {
    nodes: Vec<Node>,
    network: Network,
}

impl Lab {
    /// Starts the nodes of a cluster. Returns once each of them can serve.
    pub(crate) fn start(configs: impl IntoIterator<Item = Result<NodeConfig>>) -> Result<Lab> {
        let mut lab = Lab { nodes: Vec::new(), network: Network::new() };
        for config in configs {
            match config.and_then(|config| Node::start(config, lab.network.clone())) {
                Ok(node) => lab.nodes.push(node),
                Err(error) => {
                    lab.stop();
                    return Err(error);
                }
            }
        }
        Ok(lab)
    }

    /// The doors to the nodes that run.
    pub(crate) fn handles(&self) -> Vec<RemoteHandle> {
        self.nodes.iter().filter_map(|node| node.handle().cloned()).collect()
    }

    /// The nodes that have stopped by themselves since this was last asked.
    pub(crate) fn newly_ended(&mut self) -> Vec<String> {
        let ended = self.nodes.iter_mut().filter_map(|node| node.has_ended().then(|| node.name().to_owned()));
        ended.collect()
    }

    /// Whether nothing is left to serve or to be started again.
    pub(crate) fn is_over(&self) -> bool {
        !self.nodes.iter().any(Node::is_in_play)
    }

    /// Stops all nodes in good order; which had stopped by themselves, and why.
    pub(crate) fn stop(&mut self) -> Vec<(String, String)> {
        self.network.heal();
        self.nodes.iter_mut().for_each(Node::wind_up);
        let stopped = self.nodes.iter_mut().map(|node| (node.stop(), node.name().to_owned()));
        stopped.filter_map(|(why, name)| Some((name, why?))).collect()
    }

    /// Does what it is told; what there is to say of it, line by line.
    ///
    /// Several nodes are dealt with one after the other, and what cannot be done to one ends the order there.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Result<Vec<String>> {
        match order {
            Order::Kill { nodes } => self.each(nodes, |node| {
                let lost = node.kill()?;
                Ok(format!("{} is killed; {}", node.name(), lost_text(lost.bytes, lost.names)))
            }),
            Order::Pause { nodes } => self.each(nodes, |node| {
                node.pause()?;
                Ok(format!("{} stands still", node.name()))
            }),
            Order::Resume { nodes } => self.each(nodes, |node| {
                node.resume()?;
                Ok(format!("{} goes on", node.name()))
            }),
            Order::Restart { nodes } => self.each(nodes, |node| {
                node.restart()?;
                Ok(format!("{} runs", node.name()))
            }),
            Order::Cut { sides } => self.cut(sides),
            Order::Heal {} => {
                self.network.heal();
                Ok(vec!["all nodes reach each other as fast as ever".to_owned()])
            }
            Order::Slow { nodes, by_ms } => self.slow(nodes, Duration::from_millis(*by_ms)),
            Order::Show {} => Ok(self.show()),
        }
    }

    fn each(
        &mut self,
        nodes: &Nodes,
        mut act: impl FnMut(&mut Node) -> Result<String>,
    ) -> Result<Vec<String>> {
        let places = self.places(nodes)?;
        places.into_iter().map(|place| act(&mut self.nodes[place])).collect()
    }

    fn cut(&mut self, sides: &[Nodes]) -> Result<Vec<String>> {
        let places = sides.iter().map(|side| self.places(side)).collect::<Result<Vec<_>>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = places.iter().flatten().find(|place| !seen.insert(**place)) {
            bail!("{} is on two sides of the cut: name it once", self.nodes[*twice].name());
        }
        let ids = |side: &Vec<usize>| side.iter().map(|place| self.nodes[*place].id()).collect();
        self.network.cut(&places.iter().map(ids).collect::<Vec<_>>());
        let names = |side: &Vec<usize>| {
            side.iter().map(|place| self.nodes[*place].name()).collect::<Vec<_>>().join(", ")
        };
        let mut said = vec![format!(
            "nothing passes between {}",
            places.iter().map(names).collect::<Vec<_>>().join(" | ")
        )];
        let bridges: Vec<usize> = (0..self.nodes.len()).filter(|place| !seen.contains(place)).collect();
        if !bridges.is_empty() {
            said.push(format!("{} on no side, and reaches all", names(&bridges)));
        }
        Ok(said)
    }

    fn slow(&mut self, nodes: &Nodes, by: Duration) -> Result<Vec<String>> {
        if by > DELAY_MAX {
            bail!("{by:?} is too slow: want {DELAY_MAX:?} at the most");
        }
        let network = self.network.clone();
        self.each(nodes, |node| {
            network.slow(node.id(), by);
            Ok(match by {
                Duration::ZERO => format!("{} is reached as fast as ever", node.name()),
                by => format!("every message to or from {} takes {by:?} longer", node.name()),
            })
        })
    }

    /// A line for each node.
    fn show(&self) -> Vec<String> {
        let line = |node: &Node| {
            let mut line = format!("{}: {}", node.name(), node.condition());
            let is_cut = |other: &&Node| self.network.is_cut(node.id(), other.id());
            let cut: Vec<&str> = self.nodes.iter().filter(is_cut).map(Node::name).collect();
            if !cut.is_empty() {
                line.push_str(&format!(", cut off from {}", cut.join(", ")));
            }
            let delay = self.network.delay(node.id());
            if !delay.is_zero() {
                line.push_str(&format!(", slower by {delay:?}"));
            }
            line
        };
        self.nodes.iter().map(line).collect()
    }

    /// Where the nodes of these names are: each is called `n2`, or `2`.
    fn places(&self, nodes: &Nodes) -> Result<Vec<usize>> {
        let place = |called: &String| {
            let is_called =
                |node: &Node| node.name() == called || node.name().strip_prefix('n') == Some(called);
            self.nodes.iter().position(is_called).ok_or_else(|| {
                let names: Vec<&str> = self.nodes.iter().map(Node::name).collect();
                anyhow::anyhow!("no node is called `{called}`: there are {}", names.join(", "))
            })
        };
        nodes.iter().map(place).collect()
    }
}

fn lost_text(bytes: u64, names: u64) -> String {
    match (bytes, names) {
        (0, 0) => "it had synced all that it had written".to_owned(),
        (bytes, 0) => format!("{bytes} bytes that it had not synced are lost"),
        (bytes, names) => format!("{bytes} bytes and {names} names of files that it had not synced are lost"),
    }
}
