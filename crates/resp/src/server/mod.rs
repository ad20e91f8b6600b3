//! Sockets: the one part of this crate that is async.
//!
//! Everything runs on one thread's local tasks, because the store's handle does: a command goes from the socket to the
//! node without changing threads, and an answer that the node has at once goes back in the same turn. Each connection
//! is one task and one hand-written future, `connection`, that reads, runs all that came, and writes once.
//!
//! What must hold: nothing that one connection does ends another, or the listener. A panic ends its task, a failed
//! `accept` (no more file descriptors, say) is waited out, and connections beyond the limit are turned away with
//! Redis's words for it.
//!
//! `buffers` lends memory to connections while they have something in it, so that an idle one keeps none.

mod buffers;
mod connection;
mod door;
mod patience;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use api::Store;
use env::Clock;
use tokio::net::TcpStream;
use tokio::task::{Id, JoinError, JoinSet};

use crate::clients::{Client, Clients};
use crate::session::Session;
use crate::state::{ListenerKind, Selected, Settings};

use buffers::Buffers;
use connection::Connection;
pub use door::{Dealer, Dealt, Door};

/// The RESP front end of one thread of a node. Cheap to clone; all listeners share one, and all threads the registry of
/// [`Clients`], so that `CLIENT LIST` and the limits speak of all connections of the node.
pub struct Server<S: Store> {
    shared: Rc<Shared<S>>,
}

impl<S: Store> Clone for Server<S> {
    fn clone(&self) -> Server<S> {
        Server { shared: self.shared.clone() }
    }
}

/// What a listener's connections begin with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listening {
    /// What it pretends to be.
    pub kind: ListenerKind,
    /// The keyspace that it is bound to, by number or name; number 0 where absent.
    pub keyspace: Option<String>,
}

/// A listener cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It is bound to a keyspace that there is not.
    #[error("the listener is bound to keyspace {0}, and there is none of that number or name")]
    NoSuchKeyspace(String),
}

/// What the connections of a node share.
struct Shared<S> {
    store: S,
    clients: Clients,
    settings: Settings,
    clock: Arc<dyn Clock>,
    buffers: Buffers,
}

/// How long connections have to end when the listener is shut down.
const GRACE: Duration = Duration::from_secs(5);

/// How long no connection is accepted after that failed for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After how long without a word the kernel asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(300);

impl<S: Store> Server<S> {
    /// A front end to `store`, whose connections are entered among `clients`.
    pub fn new(store: S, clients: Clients, settings: Settings, clock: Arc<dyn Clock>) -> Server<S> {
        let shared = Shared { store, clients, settings, clock, buffers: Buffers::default() };
        Server { shared: Rc::new(shared) }
    }

    /// The connections, and what they did.
    pub fn clients(&self) -> &Clients {
        &self.shared.clients
    }

    /// Serves what comes through `door` until `shutdown`, then ends its connections when what they asked is answered. To be run in a
    /// [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// [`ServeError`] if it cannot begin. Once it serves, nothing ends it but `shutdown`.
    pub async fn serve(
        &self,
        mut door: Door,
        listening: Listening,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.home(&listening)?;
        let mut tasks = Tasks::default();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = tasks.set.join_next_with_id() => tasks.ended(ended),
                accepted = door.next() => match accepted {
                    Ok((stream, address)) => self.admit(stream, address, &listening, &mut tasks),
                    Err(error) => wait_out(&error).await,
                },
            }
        }
        drop(door);
        tasks.drain().await;
        Ok(())
    }

    fn home(&self, listening: &Listening) -> Result<Selected, ServeError> {
        let name = listening.keyspace.as_deref().unwrap_or("0");
        let status = self.shared.store.status();
        let keyspace = status.keyspace(name).ok_or_else(|| ServeError::NoSuchKeyspace(name.to_owned()))?;
        Ok(Selected::new(keyspace))
    }

    /// Takes a connection, or turns it away.
    fn admit(&self, stream: TcpStream, address: SocketAddr, listening: &Listening, tasks: &mut Tasks) {
        let shared = &self.shared;
        if shared.clients.count() >= shared.settings.connections_max {
            shared.clients.figures().rejected.add(1);
            return turn_away_async(stream, "max number of clients reached");
        }
        let home = match self.home(listening) {
            Ok(home) => home,
            Err(error) => return turn_away_async(stream, &error.to_string()),
        };
        prepare(&stream);
        let now = shared.clock.now().wall;
        let client = shared.clients.register(Some(address), stream.local_addr().ok(), now);
        let session = Session::new(client.clone(), listening.kind, home);
        let connection = Connection::new(shared.clone(), stream, session, client.clone());
        let task = tasks.set.spawn_local(connection);
        tasks.clients.insert(task.id(), client);
    }
}

/// The connections of one listener.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    clients: HashMap<Id, Arc<Client>>,
}

impl Tasks {
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let client = self.clients.remove(&id).map_or(0, |client| client.id);
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(client, %error, "a connection panicked and was ended; the others go on");
        }
    }

    /// Asks all to end and waits for them, for a while.
    async fn drain(mut self) {
        for client in self.clients.values() {
            client.kill();
        }
        let all = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                self.ended(ended);
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("connections that did not end in time were cut");
        }
    }
}

/// Without TCP_NODELAY a reply in two pieces waits for the acknowledgement of the first. A connection that cannot be
/// tuned is as good as closed and will say so when it is read.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

fn turn_away_async(stream: TcpStream, why: &str) {
    if let Ok(stream) = stream.into_std() {
        turn_away(stream, why);
    }
}

/// Says why and closes. A new socket has room for a line; if it has not, nobody is there to read it.
fn turn_away(mut stream: std::net::TcpStream, why: &str) {
    let _ = stream.write_all(format!("-ERR {why}\r\n").as_bytes());
}

/// A connection that ended before it was accepted costs nothing. Anything else (no file descriptors, no memory) would
/// fail again at once, so it is waited out instead of spun on.
async fn wait_out(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "no connection can be accepted; trying again");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
