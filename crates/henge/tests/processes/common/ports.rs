//! Ports that nobody else on this machine takes while a test uses them.
//!
//! A port that was found free by binding it is free no more by the time a node binds it, if another test looks at the same
//! moment. So ranges are claimed by locking a file of the range's name: among all test processes of this machine, each
//! range has one holder, and a process that dies gives up its claims. Binding then only shows that no stranger is there.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;

/// How many consecutive ports one claim has.
const RANGE: u16 = 32;

/// Below the ports that the system gives to outgoing connections.
const PORTS: Range<u16> = 20_000..32_000;

/// A claim on consecutive ports, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ports {
    first: u16,
    _claim: File,
}

impl Ports {
    pub(crate) fn claim() -> Ports {
        let claims = std::env::temp_dir().join("henge-test-ports");
        std::fs::create_dir_all(&claims).expect("a temporary directory takes files");
        PORTS
            .step_by(usize::from(RANGE))
            .find_map(|first| {
                let path = claims.join(first.to_string());
                let claim = File::options().create(true).append(true).open(path).ok()?;
                claim.try_lock().ok()?;
                are_free(first).then_some(Ports { first, _claim: claim })
            })
            .expect("some range of ports is free")
    }

    /// The claim's port number `place`.
    pub(crate) fn port(&self, place: u16) -> u16 {
        assert!(place < RANGE, "the claim has {RANGE} ports");
        self.first + place
    }

    /// The same as an address of this machine.
    pub(crate) fn address(&self, place: u16) -> SocketAddr {
        loopback(self.port(place))
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn are_free(first: u16) -> bool {
    (first..first + RANGE).all(|port| TcpListener::bind(loopback(port)).is_ok())
}
