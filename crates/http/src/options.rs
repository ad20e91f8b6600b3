//! What can be set of this front end.

use std::sync::Arc;
use std::time::Duration;

use api::Autoscaling;

/// The settings of the router.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Names that clients may call this node by, beside `localhost` and any IP address, without a port. A request for
    /// another name is refused: it may be a page whose name an attacker points here (DNS rebinding).
    pub host_names: Vec<String>,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How many bytes of bodies may be in memory at once, over all connections; more are refused as overload.
    pub body_bytes_max: usize,
    /// The node's autoscaler, if it has one.
    pub autoscaler: Option<Arc<dyn Autoscaling>>,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            host_names: Vec::new(),
            body_timeout: Duration::from_secs(60),
            // Four of the largest values that any keyspace may allow (64 MiB).
            body_bytes_max: 256 * 1024 * 1024,
            autoscaler: None,
        }
    }
}

/// The limits of the server's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How many clients may be connected at once; more are turned away with a 503.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive, and how long a connection may stay idle between two.
    pub header_timeout: Duration,
    /// How many header fields a request may have.
    pub headers_max: usize,
    /// How many bytes the head of a request may have. Must hold the longest path (64 KiB) beside the longest context
    /// (64 KiB).
    pub header_bytes_max: usize,
    /// How long a write to a client that does not read may wait.
    pub write_timeout: Duration,
    /// How long requests in flight may go on once the server shuts down.
    pub shutdown_grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections_max: 1024,
            header_timeout: Duration::from_secs(30),
            headers_max: 64,
            header_bytes_max: 160 * 1024,
            write_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}
