//! The socket that gossip travels by.
//!
//! What must hold: nothing waits for it. A datagram that the socket will not take at once is lost, as one may be on its way,
//! and gossip makes good for that in its next round. Where a datagram came from is not looked at: its seal says who sent it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use cluster::Topology;
use tokio::net::UdpSocket;
use types::NodeId;

use super::driver::Driver;
use crate::core::Input;

/// The longest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How long to wait after the socket has failed: a peer that is gone may be reported so, and more often than is of use.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The socket, and where the peers have theirs.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    addresses: BTreeMap<NodeId, SocketAddr>,
}

impl Datagrams {
    /// From a bound socket, on the thread that will use it.
    pub(super) fn new(socket: std::net::UdpSocket, topology: &Topology) -> std::io::Result<Datagrams> {
        socket.set_nonblocking(true)?;
        let members = topology.state.members().iter();
        let addresses = members.filter_map(|member| Some((member.id, member.addresses.peer?))).collect();
        Ok(Datagrams { socket: UdpSocket::from_std(socket)?, addresses })
    }

    /// Sends a datagram, or loses it.
    pub(super) fn send(&self, to: NodeId, bytes: &[u8]) {
        if let Some(address) = self.addresses.get(&to)
            && let Err(error) = self.socket.try_send_to(bytes, *address)
        {
            tracing::debug!(%to, %error, "a datagram was lost before it left");
        }
    }
}

/// Feeds the shard what comes, for as long as it runs.
pub(super) async fn take_in(driver: Rc<Driver>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while driver.stopped().is_none() {
        let Some(datagrams) = driver.datagrams() else { return };
        match datagrams.socket.recv_from(&mut buffer).await {
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
