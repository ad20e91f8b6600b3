//! Processes that are held while they are looked at and ended.
//!
//! The system uses numbers of processes again, so a number alone is nobody. A process is known by its number, when it began,
//! and in which start of the machine; and it is held by a descriptor that stays with it whatever becomes of the number. The
//! descriptor is opened first and the beginning compared after it: if it is the recorded one, then the recorded process still
//! ran when the descriptor was opened, and the descriptor is of it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Whether this system has all of this.
pub(super) const IS_SUPPORTED: bool = true;

/// Who a process is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its number.
    pid: u32,
    /// When it began, in ticks from the start of the machine.
    began_ticks: u64,
    /// Which start of the machine.
    boot: String,
}

impl Identity {
    /// Of the process that has this number now.
    pub(super) fn of(pid: u32) -> Option<Identity> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything; the fields are counted from behind it, where the third is.
        let (_, fields) = text.rsplit_once(')')?;
        let began_ticks = fields.split_whitespace().nth(19)?.parse().ok()?;
        Some(Identity { pid, began_ticks, boot })
    }
}

/// A process that is held.
pub(super) struct Held {
    descriptor: OwnedFd,
}

impl Held {
    /// The process that is meant, if there still is one.
    pub(super) fn of(identity: &Identity) -> Option<Held> {
        let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let found = Identity::of(identity.pid)?;
        (found == *identity).then_some(Held { descriptor })
    }

    /// Whether it runs. One that has ended and was not waited for does not.
    pub(super) fn runs(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for its end, and says whether it came.
    pub(super) fn ends_within(&self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        loop {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], left.as_ref()) {
                Ok(ready) => return ready > 0,
                // A signal came to us; what is left of the wait is waited.
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Asks it to stop, as an operator would.
    pub(super) fn ask_to_end(&self) {
        // Where it has ended meanwhile there is nothing to ask.
        let _ = pidfd_send_signal(&self.descriptor, Signal::TERM);
    }

    /// Ends it at once.
    pub(super) fn end_by_force(&self) {
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }
}

/// The process that was started with this argument.
pub(super) fn find(key: &str, value: &Path) -> Option<Identity> {
    let has_it = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [key.as_bytes(), value.as_os_str().as_encoded_bytes()])
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| has_it(*pid)).and_then(Identity::of)
}

/// Lets a process live on when the one that starts it is interrupted.
pub(super) fn apart(command: &mut Command) {
    command.process_group(0);
}
