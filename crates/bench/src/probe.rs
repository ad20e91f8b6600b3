//! A look at the servers before the run: do they answer, are they on this machine, who owns which slots.
//!
//! Asked once, with blocking sockets; a run that cannot work is refused here with a clear error.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::Error;
use crate::plan::Plan;
use crate::reply::{Reply, parse};
use crate::request::command;
use crate::slots::SlotMap;

/// The largest `CLUSTER SLOTS` reply that is waited for; one of 16,384 ranges would be about 2 MiB.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// What was found.
#[derive(Debug)]
pub(crate) struct Servers {
    /// With `--cluster`.
    pub(crate) slots: Option<SlotMap>,
    /// Ports of the servers on this machine.
    pub(crate) local_ports: Vec<u16>,
    /// Addresses that are not on this machine.
    pub(crate) remote: Vec<String>,
}

/// Connects to every address once.
pub(crate) fn probe(plan: &Plan) -> Result<Servers, Error> {
    let mut servers = Servers { slots: None, local_ports: Vec::new(), remote: Vec::new() };
    for address in &plan.addresses {
        let mut stream = connect(address, plan.timeout)?;
        servers.note(address, &stream);
        if plan.cluster && servers.slots.is_none() {
            servers.slots = Some(ask_slots(&mut stream, address)?);
        }
    }
    let others = servers.slots.as_ref().map_or_else(Vec::new, |slots| slots.everyone().to_vec());
    for address in others {
        match connect(&address, plan.timeout) {
            Ok(stream) => servers.note(&address, &stream),
            // A replica that is down does no work; a primary that is down is found out when the run connects.
            Err(_) => continue,
        }
    }
    Ok(servers)
}

impl Servers {
    fn note(&mut self, address: &str, stream: &TcpStream) {
        match local_port(stream) {
            Some(port) if !self.local_ports.contains(&port) => self.local_ports.push(port),
            None if !self.remote.iter().any(|known| known == address) => self.remote.push(address.to_owned()),
            _ => {}
        }
    }
}

/// The port of the peer, where the peer is this machine: a loopback address, or the same address as our end.
fn local_port(stream: &TcpStream) -> Option<u16> {
    let (peer, own) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    (peer.ip().is_loopback() || peer.ip() == own.ip()).then_some(peer.port())
}

fn connect(address: &str, timeout: Duration) -> Result<TcpStream, Error> {
    let failed = |source| Error::Connect { address: address.to_owned(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout)).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn ask_slots(stream: &mut TcpStream, address: &str) -> Result<SlotMap, Error> {
    let refused = |reply: String| Error::Refused {
        address: address.to_owned(),
        command: "CLUSTER SLOTS".to_owned(),
        reply,
    };
    let mut request = Vec::new();
    command(&[b"CLUSTER", b"SLOTS"], &mut request);
    stream.write_all(&request).map_err(|error| refused(error.to_string()))?;
    let reply = read_reply(stream).map_err(|error| refused(error.to_string()))?;
    match parse(&reply) {
        Ok(Some((Reply::Error(text), _))) => Err(refused(String::from_utf8_lossy(text).into_owned())),
        _ => SlotMap::from_reply(&reply, address).map_err(refused),
    }
}

fn read_reply(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut reply, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 || reply.len() > REPLY_BYTES_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&chunk[..count]);
        let whole =
            parse(&reply).map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
        if whole.is_some() {
            return Ok(reply);
        }
    }
}
