//! A member's machine: its disk, what is on its way there, and the state that it makes of the log.

use std::collections::VecDeque;

use bytes::Bytes;
use consensus::{Group, Payload, Snapshot, Stored, Write};
use types::Instant;

pub(crate) struct Member {
    /// Nothing while it is down.
    pub(crate) group: Option<Group>,
    /// How often it was started.
    pub(crate) life: u64,
    pub(crate) disk: Stored,
    /// What was to be written and is not there yet.
    pub(crate) writing: VecDeque<(u64, Write)>,
    pub(crate) writes_done_at: Instant,
    pub(crate) state: State,
    pub(crate) stands_still_until: Instant,
}

impl Member {
    pub(crate) fn new(disk: Stored) -> Member {
        Member {
            group: None,
            life: 0,
            disk,
            writing: VecDeque::new(),
            writes_done_at: Instant(0),
            state: State::default(),
            stands_still_until: Instant(0),
        }
    }

    /// The oldest write reaches the disk.
    pub(crate) fn write_one(&mut self) -> Option<u64> {
        let (number, write) = self.writing.pop_front()?;
        match write {
            Write::Append { hard_state, entries } => {
                self.disk.append(hard_state, entries).expect("a member writes what hangs together");
            }
            Write::Replace(stored) => self.disk = *stored,
        }
        Some(number)
    }
}

/// What came of all entries: a number that differs where any of them does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(crate) applied: u64,
    pub(crate) sum: u64,
}

impl State {
    /// What a group begins with.
    pub(crate) const FOUNDING: State = State { applied: 1, sum: 0 };

    pub(crate) fn apply(&mut self, index: u64, term: u64, payload: &Payload) {
        self.applied = index;
        self.sum = fold(self.sum, format!("{index} {term} {payload:?}").as_bytes());
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        [self.applied.to_le_bytes(), self.sum.to_le_bytes()].concat().into()
    }

    pub(crate) fn of(snapshot: &Snapshot) -> State {
        let number =
            |at: usize| u64::from_le_bytes(snapshot.data[at..at + 8].try_into().expect("eight bytes"));
        State { applied: number(0), sum: number(8) }
    }
}

/// FNV-1a, going on from a sum.
pub(crate) fn fold(sum: u64, bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(sum ^ 0xcbf2_9ce4_8422_2325, step)
}
