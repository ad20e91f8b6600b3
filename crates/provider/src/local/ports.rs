//! Free ports of the loopback address.
//!
//! All are held at once, so that none of them is found twice; the one for peers is free for datagrams too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// How often a port is tried for that is free for both kinds.
const TRIES: u32 = 16;

/// A port that is held.
pub(super) struct Port {
    address: SocketAddr,
    _listener: TcpListener,
    _socket: Option<UdpSocket>,
}

impl Port {
    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn reserve(for_datagrams: bool) -> io::Result<Port> {
        let mut tries = 0;
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            tries += 1;
            match for_datagrams.then(|| UdpSocket::bind(address)).transpose() {
                Ok(socket) => return Ok(Port { address, _listener: listener, _socket: socket }),
                Err(error) if tries >= TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// What a node listens on.
pub(super) struct Ports {
    pub(super) resp: Port,
    pub(super) cluster: Port,
    pub(super) http: Port,
    pub(super) peer: Port,
}

impl Ports {
    /// Four that are free, until they are dropped.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn reserve() -> io::Result<Ports> {
        Ok(Ports {
            resp: Port::reserve(false)?,
            cluster: Port::reserve(false)?,
            http: Port::reserve(false)?,
            peer: Port::reserve(true)?,
        })
    }
}
