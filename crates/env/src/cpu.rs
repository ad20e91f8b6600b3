//! How much of the machine's cores this process uses. There is no simulated form: nothing that is simulated decides by it.

use std::time::Duration;

/// The time that this process has spent on cores since it was started, all of its threads together.
pub fn process_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How many cores it may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever else runs here, a process that works uses some time, and its time does not go back.
    #[test]
    fn work_takes_time() {
        let before = process_time();
        let mut sum = 0_u64;
        while process_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(process_time() > before && cores() >= 1);
    }
}
