//! How much a replica takes in of what is not a client's.
//!
//! What comes back to a node that was away comes from many at once, each with all that he kept. What must hold: together
//! they get so much in a second and no more, whoever asks first, so that clients have the rest (INVARIANTS F4). Whoever gets
//! nothing asks again a little later.

use std::time::Duration;

use types::Instant;

/// For how long a count is kept.
const WINDOW: Duration = Duration::from_millis(100);

/// How much is granted in that time.
const BYTES_A_WINDOW: u32 = 1 << 20;

/// How much is granted at once.
const BYTES_A_GRANT: u32 = 128 << 10;

/// What was granted lately.
#[derive(Debug, Default)]
pub(crate) struct Granting {
    since: Instant,
    granted: u32,
}

impl Granting {
    /// So many bytes, or none for the moment.
    pub(crate) fn grant(&mut self, now: Instant) -> u32 {
        if now.since(self.since) >= WINDOW {
            *self = Granting { since: now, granted: 0 };
        }
        let bytes = BYTES_A_GRANT.min(BYTES_A_WINDOW - self.granted);
        self.granted += bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_granted_in_a_window_than_it_has_and_the_next_begins_anew() {
        let mut granting = Granting::default();
        let at = |millis| Instant::default() + Duration::from_secs(9) + Duration::from_millis(millis);
        let all: u32 = (0..100).map(|n| granting.grant(at(n))).sum();
        assert_eq!(all, BYTES_A_WINDOW);
        assert_eq!(granting.grant(at(99)), 0);
        assert_eq!(granting.grant(at(100)), BYTES_A_GRANT);
    }
}
