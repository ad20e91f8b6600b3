//! Waiting for what must come, without believing anything about how long it takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far beyond what the slowest machine needs: only a test that fails waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

const POLL_EVERY: Duration = Duration::from_millis(20);

/// The first thing that `look` finds. Fails the test, with `what` was waited for, if it never finds anything.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        sleep(POLL_EVERY);
    }
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
