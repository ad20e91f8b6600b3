//! What the machine has for a node: cores, memory, and the disk under its data.
//!
//! What must hold: a limit that is set for this process (a control group's, a core mask) counts, and not what the machine has beyond
//! it. What cannot be measured does not count, so that a node starts anywhere.
//!
//! *Capacity* is one number, in which machines are compared: what a core does, 2 GiB of memory cache and 32 GiB of disk hold is
//! 1, and the scarcest of the three counts, since a node that has its fill of one can take no more of the others.

use std::path::Path;

use env::{Disk, RealDisk, cpu};

/// The memory that goes with one core.
const MEMORY_OF_ONE_BYTES: f64 = (2_u64 << 30) as f64;
/// The disk that goes with one core.
const DISK_OF_ONE_BYTES: f64 = (32_u64 << 30) as f64;

/// Where a control group says how much memory there is: of version 2, as seen from inside it, and of version 1.
const GROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The memory that this process may use, in bytes: the machine's, or its control group's where that is less. Nothing where neither
/// is told.
pub(crate) fn memory_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").as_deref().and_then(total_of_meminfo);
    let group = GROUP_LIMITS.iter().filter_map(|path| read(path)?.trim().parse::<u64>().ok()).min();
    machine.into_iter().chain(group).min()
}

fn total_of_meminfo(text: &str) -> Option<u64> {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(total.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// How large the file system is that a directory is in, or is to be in, in bytes.
fn disk_bytes(dir: &Path) -> Option<u64> {
    let made = dir.ancestors().find(|dir| dir.exists());
    let made = made.unwrap_or_else(|| Path::new("."));
    RealDisk.space(made).ok().map(|space| space.total_bytes)
}

/// The capacity of this machine for a node whose data is in this directory; in `ring::WEIGHTS`, as weights are.
pub(crate) fn capacity(data_dir: &Path) -> f64 {
    capacity_of(cpu::cores() as u64, memory_bytes(), disk_bytes(data_dir))
}

#[allow(clippy::cast_precision_loss)] // Two digits of it count.
fn capacity_of(cores: u64, memory_bytes: Option<u64>, disk_bytes: Option<u64>) -> f64 {
    let memory = memory_bytes.map(|bytes| bytes as f64 / MEMORY_OF_ONE_BYTES);
    let disk = disk_bytes.map(|bytes| bytes as f64 / DISK_OF_ONE_BYTES);
    let scarcest = memory.into_iter().chain(disk).fold(cores as f64, f64::min);
    scarcest.clamp(*ring::WEIGHTS.start(), *ring::WEIGHTS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_scarcest_counts() {
        for (cores, memory, disk, capacity) in [
            (8, Some(64 * GIB), Some(1024 * GIB), 8.0),
            (8, Some(8 * GIB), Some(1024 * GIB), 4.0),
            (8, Some(64 * GIB), Some(64 * GIB), 2.0),
            (4, None, None, 4.0),
        ] {
            assert!(
                (capacity_of(cores, memory, disk) - capacity).abs() < 1e-9,
                "{cores} {memory:?} {disk:?}"
            );
        }
    }

    #[test]
    fn it_is_a_weight_whatever_there_is() {
        for (cores, disk) in [(1, 0), (1, 1), (100_000, u64::MAX)] {
            let capacity = capacity_of(cores, None, Some(disk));
            assert!(ring::WEIGHTS.contains(&capacity), "{capacity}");
        }
    }

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       16332724 kB\nMemFree:         1034432 kB\n";
        assert_eq!(total_of_meminfo(text), Some(16_332_724 * 1024));
        assert_eq!(total_of_meminfo("nothing of the kind"), None);
    }

    #[test]
    fn a_directory_that_is_yet_to_be_is_measured_where_it_will_be() {
        assert!(disk_bytes(Path::new("/no such directory/yet")).is_some());
    }
}
