//! The progress bar: on a terminal only, so that logs and pipes stay clean.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What a phase's end is measured in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many operations.
    Operations(u64),
    /// So much time.
    Time(Duration),
}

/// A bar, or nothing where nobody watches.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    goal: Goal,
}

impl Progress {
    /// A bar with this title towards this goal.
    pub(crate) fn new(title: &'static str, goal: Goal, quiet: bool) -> Progress {
        let length = match goal {
            Goal::Operations(operations) => operations,
            Goal::Time(time) => millis(time),
        };
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(length)
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{bar:40}] {percent:>3} % {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title);
        Progress { bar, goal }
    }

    /// Shows how far it is, `nanos` after the start.
    pub(crate) fn update(&self, operations: u64, nanos: u64) {
        let elapsed = Duration::from_nanos(nanos);
        self.bar.set_position(match self.goal {
            Goal::Operations(_) => operations,
            Goal::Time(_) => millis(elapsed),
        });
        let per_second = operations as f64 / elapsed.as_secs_f64().max(1e-9);
        self.bar.set_message(format!("{operations} operations, {per_second:.0}/s"));
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
