//! What this process has cost so far, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};
use rustix::time::{ClockId, clock_gettime};

/// The costs at one moment; the difference of two is what happened in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    at: Instant,
    cpu: Duration,
    read_bytes: u64,
    written_bytes: u64,
    dirtied_bytes: u64,
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) elapsed: Duration,
    /// Of all threads, user and system.
    pub(crate) cpu: Duration,
    /// From the device.
    pub(crate) read_bytes: u64,
    /// Handed to the kernel to be written.
    pub(crate) written_bytes: u64,
    /// Pages made dirty, as the kernel charges them: whole folios of up to 64 KiB and more, of which a file system writes
    /// out the blocks that changed.
    pub(crate) dirtied_bytes: u64,
}

impl Cost {
    pub(crate) fn now() -> Result<Cost> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Cost {
            at: Instant::now(),
            cpu: Duration::new(u64::try_from(cpu.tv_sec)?, u32::try_from(cpu.tv_nsec)?),
            read_bytes: field("/proc/self/io", "read_bytes:")?,
            written_bytes: field("/proc/self/io", "wchar:")?,
            dirtied_bytes: field("/proc/self/io", "write_bytes:")?,
        })
    }

    pub(crate) fn spent(self) -> Result<Spent> {
        let now = Cost::now()?;
        Ok(Spent {
            elapsed: now.at - self.at,
            cpu: now.cpu - self.cpu,
            read_bytes: now.read_bytes - self.read_bytes,
            written_bytes: now.written_bytes - self.written_bytes,
            dirtied_bytes: now.dirtied_bytes - self.dirtied_bytes,
        })
    }
}

/// The most memory that this process has had resident, in bytes.
pub(crate) fn resident_peak_bytes() -> Result<u64> {
    Ok(field("/proc/self/status", "VmHWM:")? * 1024)
}

fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("{path} has no {name}"))?.parse()?)
}

/// Makes everything in a directory durable and asks the kernel to forget its pages, so that the next reads meet the
/// device. Nobody else's pages are touched.
pub(crate) fn evict(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
        } else if let Ok(file) = fs::File::open(&path) {
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// The bytes of all files in a directory, as long as they say they are.
pub(crate) fn directory_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            directory_bytes(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
