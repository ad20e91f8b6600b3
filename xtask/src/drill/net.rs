//! Where the nodes of a drill are: all on this machine's loopback addresses, or each in a network namespace of its own.
//!
//! What must hold: nothing outside is touched. Namespaces belong to a user namespace that the drill enters first, so they need no
//! rights, reach no other network, and are gone with the last process in them.
//!
//! One direction between two nodes is cut by giving the sender a hardware address for the other that nobody has: frames
//! leave and arrive nowhere, nobody is told, and what the other sends still arrives. Neither packet filters nor traffic
//! control are needed, which many kernels come without.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Set for the drill that runs within namespaces.
const INSIDE: &str = "HENGE_DRILL_INSIDE";

/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:fe";

/// The bridge's own host number.
const BRIDGE_HOST: u8 = 254;

/// Where to look for free ports: below those that the system gives to outgoing connections, which would take the ports of a
/// node that is away.
const PORTS: std::ops::Range<u16> = 12_000..16_000;

/// How nodes reach each other.
pub(super) enum Net {
    /// By ports of 127.0.0.1: of each node, those for RESP, HTTP and peers.
    Loopback(Vec<[u16; 3]>),
    /// Over a bridge, each from a namespace of its own.
    Namespaces,
}

/// The listeners of a node.
#[derive(Clone, Copy)]
pub(super) enum Listener {
    Resp,
    Http,
    Peer,
}

impl Net {
    /// Nodes on free ports of this machine.
    pub(super) fn loopback(nodes: usize) -> Result<Net> {
        // Two drills at once begin to look at different places.
        let spread = u32::from(PORTS.end - PORTS.start);
        let skip = usize::try_from(std::process::id().wrapping_mul(97) % spread)?;
        let mut held = Vec::new();
        for port in PORTS.cycle().skip(skip).take(usize::try_from(spread)?) {
            let at = (Ipv4Addr::LOCALHOST, port);
            // Held until all are found, which shows that they are free together.
            if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(at), UdpSocket::bind(at)) {
                held.push((tcp, udp, port));
            }
            if held.len() == 3 * nodes {
                let each = held.chunks_exact(3).map(|held| [held[0].2, held[1].2, held[2].2]);
                return Ok(Net::Loopback(each.collect()));
            }
        }
        bail!("{} ports of {PORTS:?} are needed, and fewer are free for both TCP and UDP", 3 * nodes)
    }

    /// Nodes in namespaces. Replaces this process by one like it that is within them, if it is not yet.
    pub(super) fn namespaces(nodes: usize) -> Result<Net> {
        if std::env::var_os(INSIDE).is_none() {
            let program = std::env::current_exe()?;
            let error = Command::new("unshare")
                .args(["--user", "--map-root-user", "--net", "--mount", "--"])
                .arg(program)
                .args(std::env::args_os().skip(1))
                .env(INSIDE, "1")
                .exec();
            return Err(error).context("`unshare` is not there: --one-way needs Linux and util-linux");
        }
        let here = "this machine does not let a user make network namespaces, which --one-way needs";
        shell(&format!(
            "mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up && ip link add br0 type bridge && \
             ip address add 10.77.0.{BRIDGE_HOST}/24 dev br0 && ip link set br0 up"
        ))
        .context(here)?;
        for node in 1..=nodes {
            shell(&format!(
                "ip netns add n{node} && ip link add v{node} type veth peer name eth0 netns n{node} && \
                 ip link set v{node} master br0 up && ip -n n{node} address add 10.77.0.{node}/24 dev eth0 && \
                 ip -n n{node} link set eth0 up && ip -n n{node} link set lo up"
            ))
            .context(here)?;
        }
        Ok(Net::Namespaces)
    }

    /// Where a node listens, counted from 0.
    pub(super) fn address(&self, node: usize, listener: Listener) -> SocketAddr {
        match self {
            Net::Loopback(ports) => (Ipv4Addr::LOCALHOST, ports[node][listener as usize]).into(),
            Net::Namespaces => (host(node), 7000 + listener as u16).into(),
        }
    }

    /// A command line that runs the program where this node is.
    pub(super) fn command(&self, node: usize, program: &std::path::Path) -> Command {
        match self {
            Net::Loopback(_) => Command::new(program),
            Net::Namespaces => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &format!("n{}", node + 1)]).arg(program);
                command
            }
        }
    }

    /// Whether single directions can be cut.
    pub(super) fn can_cut(&self) -> bool {
        matches!(self, Net::Namespaces)
    }

    /// Lets nothing pass from one node to another; the other direction goes on.
    pub(super) fn cut(&self, from: usize, to: usize) -> Result<()> {
        ensure!(self.can_cut(), "nodes on loopback addresses cannot be cut off");
        let (from, to) = (from + 1, host(to));
        shell(&format!("ip -n n{from} neigh replace {to} lladdr {NOBODY} nud permanent dev eth0"))
    }

    /// Ends that.
    pub(super) fn heal(&self, from: usize, to: usize) -> Result<()> {
        let (from, to) = (from + 1, host(to));
        shell(&format!("ip -n n{from} neigh del {to} dev eth0"))
    }
}

fn host(node: usize) -> IpAddr {
    // Drills have few nodes.
    Ipv4Addr::new(10, 77, 0, u8::try_from(node + 1).unwrap_or(u8::MAX)).into()
}

/// Runs a line of shell.
pub(super) fn shell(line: &str) -> Result<()> {
    let output = Command::new("sh").args(["-ec", line]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed: {}", said.trim());
    Ok(())
}
