//! What processes on this machine have used, from `/proc` (see proc(5)).
//!
//! CPU time is the figure to trust on a small or shared machine: neighbours, the scheduler and the generator's own
//! speed change throughput and latency, but hardly the work that a server does for a request. User and system time of
//! all threads are added, threads that have ended included; time of waited-for children is not.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The unit of times in `/proc/PID/stat`. Linux fixes it at 1/100 s for user space on every architecture that it
/// still runs on (`USER_HZ`), whatever the kernel's own tick.
const MICROS_PER_TICK: u64 = 10_000;

/// What a set of processes has used since they started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_micros: u64,
    /// Memory in use now.
    pub(crate) resident_bytes: u64,
    /// Times that a thread gave up the CPU to wait.
    pub(crate) voluntary_switches: u64,
}

impl Usage {
    /// The usage of these processes together, now.
    pub(crate) fn of(pids: &[u32]) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for pid in pids {
            let process = Path::new("/proc").join(pid.to_string());
            sum.cpu_micros += cpu_ticks(&fs::read_to_string(process.join("stat"))?)? * MICROS_PER_TICK;
            sum.resident_bytes +=
                field(&fs::read_to_string(process.join("status"))?, "VmRSS:").unwrap_or(0) * 1024;
            sum.voluntary_switches += switches(&process)?;
        }
        Ok(sum)
    }

    /// What came on top since `earlier`; memory stays as it is now.
    pub(crate) fn since(self, earlier: Usage) -> Usage {
        Usage {
            cpu_micros: self.cpu_micros.saturating_sub(earlier.cpu_micros),
            resident_bytes: self.resident_bytes,
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
        }
    }
}

/// The name of a process, for people.
pub(crate) fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

/// The processes that listen on any of these ports. Only processes that we may look into are seen: our own user's.
pub(crate) fn listening_on(ports: &[u16]) -> io::Result<Vec<u32>> {
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        sockets.extend(listening_inodes(&fs::read_to_string(table).unwrap_or_default(), ports));
    }
    let mut pids: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| holds_any(*pid, &sockets))
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// User and system time: fields 14 and 15. The name, field 2, may hold spaces and parentheses, so count from its end.
fn cpu_ticks(stat: &str) -> io::Result<u64> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat has an unknown form");
    let (_, rest) = stat.rsplit_once(')').ok_or_else(invalid)?;
    let mut times = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(user + system),
        _ => Err(invalid()),
    }
}

/// The number behind a name in `/proc/PID/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The process's own file speaks of its first thread only, so all threads are added up.
fn switches(process: &Path) -> io::Result<u64> {
    let threads = fs::read_dir(process.join("task"))?;
    // A thread may end between the listing and the look at it.
    let of_thread =
        |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).unwrap_or_default();
    Ok(threads.flatten().filter_map(|thread| field(&of_thread(thread), "voluntary_ctxt_switches:")).sum())
}

/// Inodes of the sockets of a `/proc/net/tcp` table that listen on one of these ports.
fn listening_inodes(table: &str, ports: &[u16]) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let listens = *fields.get(3)? == LISTEN && ports.contains(&port);
        if listens { fields.get(9)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn holds_any(pid: u32, sockets: &BTreeSet<u64>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        fs::read_link(file.path())
            .ok()
            .and_then(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
            .is_some_and(|inode| sockets.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process name may hold what separates the fields.
    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 130 70 5 6 20 0 4 0 100 1000 10";
        assert_eq!(cpu_ticks(stat).unwrap(), 200);
        assert!(cpu_ticks("42 (x) S 1").is_err());
        assert!(cpu_ticks("").is_err());
    }

    #[test]
    fn listening_sockets_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F36 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:1F36 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
            2: 0100007F:1F37 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listening_inodes(table, &[0x1F36]), [4_711]);
        assert_eq!(listening_inodes(table, &[1]), [] as [u64; 0]);
    }

    #[test]
    fn status_fields_are_read_by_name() {
        assert_eq!(field("VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1_234));
        assert_eq!(field("Name: x\n", "VmRSS:"), None);
    }

    /// The real `/proc`: a listener of this process leads back to this process, and it has used something.
    #[test]
    fn this_process_is_found_by_its_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pids = listening_on(&[port]).unwrap();
        assert_eq!(pids, [std::process::id()]);
        assert!(Usage::of(&pids).unwrap().resident_bytes > 0);
    }
}
