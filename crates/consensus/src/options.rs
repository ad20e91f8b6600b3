//! The numbers that a group goes by.

use std::time::Duration;

/// How a member behaves. All members of a group should have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How often a member looks at the time.
    pub tick: Duration,
    /// After how many ticks of silence an election begins, at the earliest; at the latest after nearly twice as many. Also for
    /// how long a leader stays one without a majority, or without its disk.
    pub election_ticks: u32,
    /// How many ticks lie between two heartbeats.
    pub heartbeat_ticks: u32,
    /// How large a proposal may be, in bytes.
    pub entry_bytes_max: usize,
    /// From how many bytes of entries on a message takes no more of them.
    pub append_bytes: usize,
    /// How many messages with entries may be under way to one member.
    pub appends_in_flight: usize,
    /// How many bytes of proposals may wait to be committed. One is always taken.
    pub uncommitted_bytes_max: usize,
    /// How large the caller's state may be, in bytes, as a snapshot.
    pub snapshot_bytes_max: usize,
    /// How long a snapshot may be on its way to a member before it is taken for lost and sent again.
    pub snapshot_patience: Duration,
    /// How many entries are kept behind a snapshot, for members that are a little late.
    pub entries_kept: u64,
    /// After how many entries the caller should make a snapshot ([`crate::Group::wants_snapshot`]).
    pub snapshot_after_entries: u64,
    /// The same, in bytes.
    pub snapshot_after_bytes: usize,
    /// How many voters there may be.
    pub voters_max: usize,
    /// By how many entries a learner may be late and be promoted.
    pub promote_within_entries: u64,
    /// How many reads may wait at once.
    pub reads_max: usize,
    /// Whether a commit is on stable storage before what it commits is applied. For a caller who has his state in memory, and
    /// must find after a restart, alone, all that he went by before. It costs each member one more sync, before it applies and not
    /// before it acknowledges. A caller who keeps his state and its index in one durable write has no need of it.
    pub remembers_commits: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tick: Duration::from_millis(100),
            election_ticks: 10,
            heartbeat_ticks: 2,
            entry_bytes_max: 1 << 20,
            append_bytes: 256 << 10,
            appends_in_flight: 64,
            uncommitted_bytes_max: 8 << 20,
            snapshot_bytes_max: 64 << 20,
            snapshot_patience: Duration::from_secs(10),
            entries_kept: 256,
            snapshot_after_entries: 1024,
            snapshot_after_bytes: 16 << 20,
            voters_max: 5,
            promote_within_entries: 64,
            reads_max: 1024,
            remembers_commits: true,
        }
    }
}

/// Why these numbers do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("these options do not work: {0}")]
pub struct OptionsError(pub &'static str);

impl Options {
    /// How large a message may be, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        const MEMBERSHIP_AND_HEADERS: usize = 64 << 10;
        let entries = self.append_bytes.saturating_add(self.entry_bytes_max).saturating_mul(2);
        entries.max(self.snapshot_bytes_max).saturating_add(MEMBERSHIP_AND_HEADERS)
    }

    /// How long a silent leader is believed in, at the least.
    pub fn election_timeout(&self) -> Duration {
        self.tick.saturating_mul(self.election_ticks)
    }

    /// Whether they go together.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), OptionsError> {
        let wrong = |why| Err(OptionsError(why));
        if self.tick.is_zero() {
            return wrong("a tick takes time");
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return wrong("an election takes more ticks than a heartbeat, which takes one at least");
        }
        if self.appends_in_flight == 0 || self.reads_max == 0 || self.voters_max == 0 {
            return wrong("nothing could ever be sent, read or voted on");
        }
        if self.entry_bytes_max == 0 || self.uncommitted_bytes_max < self.append_bytes {
            return wrong("a proposal needs room, and what waits is at least what one message takes");
        }
        Ok(())
    }
}
