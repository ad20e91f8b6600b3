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

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::impatient::Impatient;
use crate::options::ConnectionLimits;

/// How long to wait after the system refused to accept, which it does when it is out of descriptors or memory; going on
/// at once would only turn in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that is done with is read on.
const LINGER: Duration = Duration::from_secs(2);

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
    let (close, closing) = watch::channel(());
    let server = Server { router, limits, places: Arc::new(Semaphore::new(limits.connections_max)), closing };
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
    let _ = close.send(()); // Nobody listens when there is no connection, and then there is nobody to tell.
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let _ = tokio::time::timeout(limits.shutdown_grace, drained).await; // Those that are left end with the set.
}

type Io = TokioIo<Impatient<TcpStream>>;
type Service = TowerToHyperService<Router>;

/// What all connections share.
struct Server {
    router: Router,
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    closing: watch::Receiver<()>,
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
        let mut connection = protocol(&self.limits).serve_connection(io, service);
        let mut closing = self.closing.clone();
        async move {
            let _place = place;
            let served = tokio::select! {
                outcome = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(outcome),
                _ = closing.changed() => None,
            };
            match served {
                Some(Ok(())) => linger(connection.into_parts().io.into_inner()).await,
                Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                None => finish(connection).await,
            }
        }
    }
}

/// Lets the request in flight end, and takes no other.
async fn finish(mut connection: http1::Connection<Io, Service>) {
    Pin::new(&mut connection).graceful_shutdown();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Says that nothing more comes, and reads on for a moment without keeping anything. A client that is still sending the
/// body of a request which was refused would otherwise be told of a reset connection instead of the refusal.
async fn linger(mut stream: Impatient<TcpStream>) {
    let until_closed = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, until_closed).await {
        tracing::debug!(%error, "a connection was not closed in order");
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
    let told = stream.into_std().and_then(|mut stream| stream.write_all(TOO_MANY));
    tracing::debug!(was_told = told.is_ok(), "a client was turned away: too many connections are open");
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
