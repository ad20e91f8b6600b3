//! The socket that gossip travels by.
//!
//! What must hold: nothing waits for it. A datagram that the socket will not take at once is lost, as one may be on its way,
//! and gossip makes good for that in its next round. Who sent a datagram is what its seal says; where it came from is looked
//! at only to lose it where the network is cut.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use cluster::Topology;
use tokio::net::UdpSocket;
use types::NodeId;

use super::driver::Driver;
use super::network::{Network, Way};
use crate::core::Input;

/// The longest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How long to wait after the socket has failed: a peer that is gone may be reported so, and more often than is of use.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How many datagrams may be under way to slow nodes. Gossip sends a few in a second.
const SLOW_MAX: usize = 1024;

/// The socket, and where the peers have theirs.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: Rc<UdpSocket>,
    peers: RefCell<BTreeMap<NodeId, (SocketAddr, Way)>>,
    slow: Rc<Cell<usize>>,
    /// Whether somebody may cut a way.
    may_be_cut: bool,
}

impl Datagrams {
    /// From a bound socket, on the thread that will use it.
    pub(super) fn new(
        socket: std::net::UdpSocket,
        topology: &Topology,
        network: Option<&Network>,
    ) -> std::io::Result<Datagrams> {
        socket.set_nonblocking(true)?;
        let datagrams = Datagrams {
            socket: Rc::new(UdpSocket::from_std(socket)?),
            peers: RefCell::default(),
            slow: Rc::default(),
            may_be_cut: network.is_some(),
        };
        datagrams.set_peers(topology, network);
        Ok(datagrams)
    }

    /// The members are these from now on.
    pub(super) fn set_peers(&self, topology: &Topology, network: Option<&Network>) {
        let members = topology.state.members().iter();
        let way = |peer| Way::new(network, topology.here, peer);
        let peers = members.filter_map(|member| Some((member.id, (member.addresses.peer?, way(member.id)))));
        *self.peers.borrow_mut() = peers.collect();
    }

    /// Sends a datagram, or loses it.
    pub(super) fn send(&self, to: NodeId, bytes: Vec<u8>) {
        let Some((address, way)) = self.peers.borrow().get(&to).cloned() else { return };
        let delay = way.delay();
        if delay.is_zero() {
            send(&self.socket, address, &way, &bytes);
        } else if self.slow.get() < SLOW_MAX {
            self.slow.set(self.slow.get() + 1);
            let (socket, slow) = (Rc::clone(&self.socket), Rc::clone(&self.slow));
            tokio::task::spawn_local(async move {
                tokio::time::sleep(delay).await;
                slow.set(slow.get() - 1);
                send(&socket, address, &way, &bytes);
            });
        }
    }

    /// Whether nothing passes from there.
    fn is_cut_off(&self, from: SocketAddr) -> bool {
        self.may_be_cut && self.peers.borrow().values().any(|(address, way)| *address == from && way.is_cut())
    }
}

fn send(socket: &UdpSocket, address: SocketAddr, way: &Way, bytes: &[u8]) {
    if way.is_cut() {
        return;
    }
    if let Err(error) = socket.try_send_to(bytes, address) {
        tracing::debug!(to = %address, %error, "a datagram was lost before it left");
    }
}

/// Feeds the shard what comes, for as long as it runs.
pub(super) async fn take_in(driver: Rc<Driver>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while driver.stopped().is_none() {
        let Some(datagrams) = driver.datagrams() else { return };
        match datagrams.socket.recv_from(&mut buffer).await {
            Ok((_, from)) if datagrams.is_cut_off(from) => {}
            Ok((length, _)) => {
                driver.feed(Input::Datagram(buffer.get(..length).unwrap_or_default().to_vec()));
            }
            Err(error) => {
                tracing::debug!(%error, "the gossip socket said");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}
