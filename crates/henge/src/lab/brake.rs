//! Makes the threads of a node stand still, as a process stands that was sent SIGSTOP.
//!
//! What must hold: while the brake is on, nothing of the node answers, on no thread, and what it had begun is neither lost
//! nor told: sockets fill up, timers are late. Each thread blocks itself, within a task that does nothing else; threads that
//! wait for the disk end what they were given and then have nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How often a thread that stands looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long the threads may take to stand: the longest that one is ever busy with one thing, amply.
const STAND_MAX: Duration = Duration::from_secs(10);

/// A brake on the threads that obey it; clones are handles on the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brake {
    is_on: Arc<watch::Sender<bool>>,
    standing: Arc<AtomicUsize>,
}

impl Brake {
    /// Stops the threads, so many of them; false if one has not stood still within a time in which each could have.
    pub(crate) fn put_on(&self, threads: usize) -> bool {
        self.is_on.send_replace(true);
        let began = Instant::now();
        while self.standing.load(Ordering::SeqCst) < threads {
            if began.elapsed() > STAND_MAX {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// Lets them go on.
    pub(crate) fn release(&self) {
        self.is_on.send_replace(false);
    }

    /// Obeys on this thread, for as long as this is polled.
    pub(crate) async fn obey(self) {
        let mut is_on = self.is_on.subscribe();
        // It cannot end: `self` keeps the sender.
        while is_on.wait_for(|is_on| *is_on).await.is_ok() {
            let _standing = Counted::one(&self.standing);
            while *is_on.borrow() {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

/// One more, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn one(count: &AtomicUsize) -> Counted<'_> {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever has put the brake on knows that the threads stand, and released they go on.
    #[test]
    fn threads_stand_while_the_brake_is_on() {
        let (brake, turns) = (Brake::default(), Arc::new(AtomicUsize::new(0)));
        let (end, mut ended) = watch::channel(false);
        let (obeyed, counted) = (brake.clone(), Arc::clone(&turns));
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = obeyed.obey() => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                    () = async { loop {
                        counted.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    } } => {}
                }
            });
        });
        let wait_for = |more: usize| {
            while turns.load(Ordering::SeqCst) < more {
                std::thread::yield_now();
            }
        };
        wait_for(1);
        assert!(brake.put_on(1));
        let at = turns.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(turns.load(Ordering::SeqCst), at);
        brake.release();
        wait_for(at + 1);
        end.send_replace(true);
        thread.join().expect("it ends");
    }
}
