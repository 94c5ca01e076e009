//! The clocks of the machine. Kernel stamps are in wall-clock time, so freezes and grids are too; spans are monotonic.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970: the clock that the kernel stamps packets with.
pub(crate) fn wall() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Since some moment in the past; never goes back.
pub(crate) fn monotonic() -> Duration {
    duration(ClockId::Monotonic)
}

/// Processor time of this thread, user and system.
pub(crate) fn thread_cpu() -> Duration {
    duration(ClockId::ThreadCPUTime)
}

fn duration(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
