//! Where connections come from: a listener of one's own, or another thread's that deals them out.
//!
//! One thread accepts for all shards of a node and deals connections out in turns, so that a few busy connections are on as
//! many threads as there can be. (Listeners of one port for each thread would leave it to the kernel's hash: two
//! connections of eight on one thread, none on another.) A thread that has no room for a connection is passed over.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{turn_away, wait_out};
use crate::clients::Clients;

/// How many connections may wait for a thread to take them.
const DEALT_MAX: usize = 1024;

/// A connection that was accepted, and from where.
pub type Dealt = (std::net::TcpStream, SocketAddr);

/// Where a server takes its connections.
#[derive(Debug)]
pub enum Door {
    /// At a listener of its own.
    Listener(TcpListener),
    /// From a [`Dealer`].
    Dealt(mpsc::Receiver<Dealt>),
}

impl Door {
    /// The next connection. Waits for ever where there will be none.
    pub(super) async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Door::Listener(listener) => listener.accept().await,
            Door::Dealt(dealt) => loop {
                let Some((stream, address)) = dealt.recv().await else {
                    return std::future::pending().await;
                };
                // One that is over already is nobody else's loss.
                if let Ok(stream) = TcpStream::from_std(stream) {
                    return Ok((stream, address));
                }
            },
        }
    }
}

/// Accepts connections, and deals them out.
#[derive(Debug)]
pub struct Dealer {
    hands: Vec<mpsc::Sender<Dealt>>,
}

impl Dealer {
    /// A dealer for so many servers, and the door of each.
    pub fn new(servers: usize) -> (Dealer, Vec<Door>) {
        let (hands, doors): (Vec<_>, Vec<_>) = (0..servers).map(|_| mpsc::channel(DEALT_MAX)).unzip();
        (Dealer { hands }, doors.into_iter().map(Door::Dealt).collect())
    }

    /// Accepts at `listener` until `shutdown`. Whoever finds no thread with room is counted among `clients`.
    pub async fn deal(self, listener: TcpListener, clients: &Clients, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut next = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        if let Ok(stream) = stream.into_std()
                            && !self.give((stream, address), next)
                        {
                            clients.figures().rejected.add(1);
                        }
                        next = (next + 1) % self.hands.len();
                    }
                    Err(error) => wait_out(&error).await,
                },
            }
        }
    }

    /// Gives a connection to the server whose turn it is, or to the next that has room; false where none has.
    fn give(&self, dealt: Dealt, first: usize) -> bool {
        let mut dealt = dealt;
        for place in 0..self.hands.len() {
            match self.hands[(first + place) % self.hands.len()].try_send(dealt) {
                Ok(()) => return true,
                Err(refused) => dealt = refused.into_inner(),
            }
        }
        turn_away(dealt.0, "max number of clients reached");
        false
    }
}
