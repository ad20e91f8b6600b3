//! Connections: accepted, bounded and ended.
//!
//! What must hold before a request is understood (INVARIANTS K3, K4): a connection costs a small fixed amount; there
//! are only so many of them; a head that trickles, grows or never ends is cut off; and what is not HTTP/1.1 is answered
//! 400 and closed by the parser, so that a command of another protocol is never a request of this one. A client that
//! does not read its answer is cut off too. A panic ends the connection that it happened on and no other, because
//! each is a task of its own.
//!
//! `axum::serve` has none of these limits, which is why the connections are driven here. One HTTP version, one listener,
//! no upgrades: there is little to drive.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::impatient::Impatient;
use crate::options::ConnectionLimits;

/// How long to wait after the system refused to accept, which it does when it is out of descriptors or memory; going on
/// at once would only turn in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client gets that is one too many. It is written before its request was read.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 151\r\n\
    \r\n\
    {\"type\":\"/problems/overloaded\",\"title\":\"The node has more to do than it can\",\"status\":503,\
    \"detail\":\"too many connections are open\",\"result\":\"not-done\"}";

/// Serves `router` on `listener` until `shutdown` is done; then lets the requests in flight end, for as long as the
/// limits allow.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(());
    let server = Server {
        router,
        limits,
        places: Arc::new(Semaphore::new(limits.connections_max)),
        closed,
    };
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.admit(stream, &mut connections),
                Err(error) => pause_after(&error).await,
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    drop(listener);
    let _ = closing.send(()); // Nobody listens when there is no connection, and then there is nobody to tell.
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let _ = tokio::time::timeout(limits.shutdown_grace, drained).await; // Those that are left end with the set.
}

/// What all connections share.
struct Server {
    router: Router,
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    closed: watch::Receiver<()>,
}

impl Server {
    fn admit(&self, stream: TcpStream, connections: &mut JoinSet<()>) {
        // Small answers must not wait for the acknowledgement of those before them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        match self.places.clone().try_acquire_owned() {
            Ok(place) => drop(connections.spawn(self.connection(stream, place))),
            Err(_) => turn_away(stream),
        }
    }

    /// One connection, from its first byte to its last.
    fn connection(&self, stream: TcpStream, place: OwnedSemaphorePermit) -> impl Future<Output = ()> + use<> {
        let io = TokioIo::new(Impatient::new(stream, self.limits.write_timeout));
        let service = TowerToHyperService::new(self.router.clone());
        let connection = protocol(&self.limits).serve_connection(io, service);
        let mut closed = self.closed.clone();
        async move {
            let _place = place;
            let mut connection = pin!(connection);
            let outcome = tokio::select! {
                outcome = &mut connection => outcome,
                _ = closed.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

/// HTTP/1.1 as strictly as the parser has it, with a timer: without one the header timeout would silently do nothing.
fn protocol(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.header_bytes_max)
        .half_close(false);
    builder
}

/// Says why, if that can be done at once, and closes. The answer fits into any socket's empty buffer.
fn turn_away(stream: TcpStream) {
    let told = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(TOO_MANY));
    tracing::debug!(
        was_told = told.is_ok(),
        "a client was turned away: too many connections are open"
    );
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a defect of the server");
    }
}
